// What a failed htmx request says: beside the button that was pressed, with a way to press again. A part of the page
// that loads or renews itself says it at its own end. The sentences stand in <template id="sentences" data-…>.
"use strict";

const FAILURES = { 0: "offline", 401: "login", 403: "role", 404: "gone", 413: "large", 429: "many", 503: "busy", 507: "full" };
const failureNotes = new WeakMap();

function failureSentence(status) {
  const { dataset } = document.getElementById("sentences");
  return dataset[FAILURES[status]] || dataset.server;
}

function clearFailure(element) {
  failureNotes.get(element)?.remove();
  failureNotes.delete(element);
}

function tell(element, event, status) {
  const { dataset } = document.getElementById("sentences");
  const note = document.createElement("p");
  note.className = "wrong failed";
  note.setAttribute("role", "alert");
  note.append(`${failureSentence(status)} `);
  clearFailure(element);
  failureNotes.set(element, note);
  const renews = /every/.test(element.getAttribute("hx-trigger"));
  if (renews) {
    note.append(dataset.old);
  } else {
    const again = document.createElement("button");
    again.type = "button";
    again.className = "btn line";
    again.append(dataset.retry);
    again.addEventListener("click", () => pressAgain(element, event));
    note.append(again);
  }
  const pressed = event?.submitter || (event?.target instanceof Element ? event.target : element);
  if (!event || pressed.matches("form, section")) (pressed.isConnected ? pressed : element).append(note);
  else (pressed.closest(".acts, .find, .field, label, p") || pressed).after(note);
}

function pressAgain(element, event) {
  clearFailure(element);
  if (!event) htmx.ajax("GET", element.getAttribute("hx-get"), { source: element, target: element, swap: "outerHTML" });
  else if (event.submitter?.isConnected) event.submitter.click(); // htmx posts to the address of the button clicked last
  else if (event.type === "submit") element.requestSubmit();
  else if (event.type === "click") element.click();
  else event.target.dispatchEvent(new Event(event.type, { bubbles: true }));
}

for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const { elt, triggeringEvent } = event.detail.requestConfig;
    // While a draft saves itself, unsaved.js says it.
    if (elt.matches("[data-autosave]") && triggeringEvent?.type !== "submit") return;
    tell(elt, triggeringEvent, event.detail.xhr.status);
  });
}

document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.xhr.status < 400) clearFailure(event.detail.requestConfig.elt);
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, triggeringEvent } = event.detail.requestConfig;
  if (triggeringEvent) clearFailure(elt);
});
