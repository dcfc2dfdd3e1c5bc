// Small helps on top of pages that work without them. No framework; every listener hangs on the document, so that
// what htmx brings in later is served too. htmx itself keeps the focus when an element with the same id comes back.
"use strict";

document.documentElement.classList.add("js");

// A page that "back" takes out of the browser's memory may show what is no longer so, also after logging out (T-12).
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// <select data-submit>, <input data-submit>: the form goes as soon as something is chosen.
document.addEventListener("change", (event) => {
  const field = event.target.closest("select[data-submit], input[data-submit]");
  if (field && field.form) field.form.requestSubmit();
});

// <input type="file" data-upload>, sent by htmx as soon as it is chosen: the bar beside it grows, and a press on
// "next" waits until the file has arrived, so that none is lost on the way. Stands before data-once, which must not
// take the waiting press for one that is underway.
let uploading = null;

document.addEventListener("htmx:beforeSend", (event) => {
  const input = event.detail.elt;
  if (!input.matches("[data-upload]")) return;
  uploading = { form: input.form, bar: input.parentElement.querySelector("progress"), button: null };
  uploading.bar.classList.remove("vh");
});

document.addEventListener("htmx:xhr:progress", (event) => {
  if (!uploading || !event.target.matches("[data-upload]")) return; // the draft saves itself meanwhile
  if (event.detail.lengthComputable) uploading.bar.value = (100 * event.detail.loaded) / event.detail.total;
});

document.addEventListener("submit", (event) => {
  if (!uploading || event.target !== uploading.form) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  uploading.button = event.submitter;
}, true);

document.addEventListener("htmx:afterRequest", (event) => {
  // The answer has taken the field's place, so the event names what is around it.
  if (!uploading || !event.detail.requestConfig.elt.matches("[data-upload]")) return;
  const { form, bar, button } = uploading;
  uploading = null;
  bar.classList.add("vh");
  if (!button || !event.detail.successful || !form.isConnected || form.querySelector("#files .wrong")) return;
  setTimeout(() => form.requestSubmit(button), 50);
});

// <form data-once>, <button data-busy="Sending…">: a second press of the same button does nothing. The button stays
// focusable and keeps its name and value. When no new page came (htmx, or loading was stopped), it can be pressed again.
const underway = new WeakMap();

function hold(form, button) {
  underway.set(form, button && { button, label: [...button.childNodes] });
  if (!button) return;
  button.setAttribute("aria-disabled", "true");
  if (button.dataset.busy) button.replaceChildren(button.dataset.busy);
}

function release(form) {
  const held = underway.get(form);
  underway.delete(form);
  if (!held) return;
  held.button.removeAttribute("aria-disabled");
  held.button.replaceChildren(...held.label);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-once]");
  if (!form) return;
  if (underway.has(form)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  } else {
    hold(form, event.submitter || form.querySelector("button:not([type=button])"));
    setTimeout(release, 20_000, form);
  }
}, true);

document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt.closest("form[data-once]");
  if (form && underway.has(form)) release(form);
});

// htmx posts to the `formaction` of the button that was pressed last. A form that saves itself has no button pressed.
document.addEventListener("htmx:configRequest", (event) => {
  const { elt, triggeringEvent } = event.detail;
  if (elt.matches("form") && triggeringEvent && triggeringEvent.type !== "submit") event.detail.path = elt.getAttribute("hx-post") || event.detail.path;
});

// <span data-until="2026-10-14T05:52:20Z" data-now="2026-10-14T05:52:00Z">: counts down. data-now is the server's clock
// when the page was made: a phone that is minutes off must not show minutes that nobody has.
const lateness = new WeakMap();

function left(element) {
  if (!lateness.has(element)) {
    const now = Date.parse(element.dataset.now);
    lateness.set(element, Number.isNaN(now) ? 0 : now - Date.now());
  }
  const ms = Date.parse(element.dataset.until) - Date.now() - lateness.get(element);
  return Math.max(0, Math.ceil(ms / 1000));
}

function countDown() {
  for (const element of document.querySelectorAll("[data-until]")) {
    const seconds = left(element);
    if (Number.isNaN(seconds)) continue;
    const [m, s] = [Math.floor(seconds / 60), String(seconds % 60).padStart(2, "0")];
    const english = element.closest("[lang]")?.lang.startsWith("en");
    const text = english ? `${m} min ${s} s` : `${m}分${s}秒`;
    if (element.textContent !== text) element.textContent = text;
  }
}

document.addEventListener("DOMContentLoaded", countDown);
document.addEventListener("htmx:afterSettle", countDown);
setInterval(countDown, 500);

// <button data-copy="text"> or <button data-copy="#id">, with data-done="Copied" as the answer.
// Browsers give navigator.clipboard to https and localhost only; elsewhere the old way is the only one.
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.className = "vh";
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || button.dataset.copying) return;
  const wanted = button.dataset.copy;
  const source = wanted.startsWith("#") && document.getElementById(wanted.slice(1));
  await copy(source ? source.value ?? source.textContent : wanted);
  button.focus();
  if (!button.dataset.done) return;
  const label = [...button.childNodes];
  button.dataset.copying = "1";
  button.replaceChildren(button.dataset.done);
  setTimeout(() => {
    button.replaceChildren(...label);
    delete button.dataset.copying;
  }, 2000);
});

// <button data-print>
document.addEventListener("click", (event) => {
  if (event.target.closest("button[data-print]")) window.print();
});

// Folded classes of the board and tables of pictures are printed too; browsers leave a closed <details> out.
window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:is(.class,[data-printed]):not([open])")) {
    fold.open = true;
    fold.dataset.folded = "1";
  }
});
window.addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-folded]")) {
    fold.open = false;
    delete fold.dataset.folded;
  }
});

// <button data-insert="…" data-into="text">: puts a merge field where the writer was last, in the subject or the text.
let wroteIn = null;

document.addEventListener("focusin", (event) => {
  if (event.target.matches("#subject, textarea")) wroteIn = event.target;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  if (!button) return;
  const here = wroteIn?.isConnected ? wroteIn : document.getElementById(button.dataset.into);
  if (!here) return;
  here.setRangeText(button.dataset.insert, here.selectionStart, here.selectionEnd, "end");
  here.focus();
  here.dispatchEvent(new Event("input", { bubbles: true }));
});

// <textarea data-most="1000">: says when there are more characters. Nothing is cut; the server refuses what is too long.
document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-most]");
  const sentence = document.getElementById("sentences")?.dataset.tooLong;
  if (!field || !sentence) return;
  const length = [...field.value].length;
  let note = field.parentElement.querySelector(".over");
  if (length > field.dataset.most) {
    if (!note) {
      note = document.createElement("p");
      note.className = "wrong over";
      note.setAttribute("role", "status");
      field.after(note);
    }
    note.textContent = sentence.replace("%m", field.dataset.most).replace("%n", length);
  } else {
    note?.remove();
  }
});
