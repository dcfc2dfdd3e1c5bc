// Words that the server does not have yet are kept in this browser and offered back (docs/decisions/0089).
//   <form data-autosave>: htmx saves it while it is written. A failed save is said in every <p data-save-state> of the
//   form (="short": without when and where) and tried again; the words are kept in localStorage for three days.
//   Other forms in which text is written: kept in sessionStorage, that is until this tab is closed.
// Nothing is kept of a form with a password, and a user is offered only what the same user wrote.
"use strict";

(() => {
  const { user } = document.body.dataset;
  if (!user) return;
  const said = document.getElementById("sentences").dataset;
  const PREFIX = "kairan-words:";
  const KEPT_MS = 3 * 24 * 3600_000;
  const PAUSES_S = [2, 5, 10, 20, 40, 60];
  const SLOW_MS = 4000;
  const TIMEOUT_MS = 15_000;
  const FEWEST = 5;
  const UNTYPED = ["csrf_token", "seen", "kept"];
  const TEXT = "textarea, input[type=text], input[type=search], input:not([type])";

  const saves = new WeakMap(); // form → { saved, sent, failures, refused, timer, slow, login }
  let leaving = null;
  let loggedOut = false;

  // ── what is kept ──

  const autosaved = (form) => form.matches("[data-autosave]");
  const storeOf = (form) => (autosaved(form) ? localStorage : sessionStorage);
  const words = (form) => [...new FormData(form)].filter(([name, value]) => typeof value === "string" && !UNTYPED.includes(name));
  const asText = (form) => JSON.stringify(words(form));

  function keyOf(form) {
    const path = new URL(form.getAttribute("action") || location.pathname, location.href).pathname;
    const same = [...document.forms].filter((other) => other.getAttribute("action") === form.getAttribute("action"));
    return `${PREFIX}${user}:${path}#${same.indexOf(form)}`;
  }

  // A browser may refuse storage altogether (private windows, full): then the words are on the page only.
  function keep(form, more = {}) {
    if (loggedOut) return false;
    const entry = { at: Date.now(), words: words(form), seen: form.elements.seen?.value, ...more };
    try {
      storeOf(form).setItem(keyOf(form), JSON.stringify(entry));
      return true;
    } catch {
      return false;
    }
  }

  function drop(form) {
    try {
      storeOf(form).removeItem(keyOf(form));
    } catch {
      // nothing is stored where storage is refused
    }
  }

  function entries(store) {
    try {
      return Object.keys(store).filter((key) => key.startsWith(PREFIX)).map((key) => [key, JSON.parse(store[key])]);
    } catch {
      return [];
    }
  }

  function entryOf(form) {
    const found = entries(storeOf(form)).find(([key]) => key === keyOf(form));
    return found && found[1];
  }

  // What was sent is saved if the server led on to another page that reports no mistake and asks for no login.
  function sweep() {
    const arrived = performance.getEntriesByType("navigation")[0];
    const done = arrived?.redirectCount > 0 && !document.querySelector("#told .wrong, form[action^='/account/confirm']");
    for (const store of [localStorage, sessionStorage]) {
      for (const [key, entry] of entries(store)) {
        if (Date.now() - entry.at > KEPT_MS || (entry.sent && done)) store.removeItem(key);
        else if (entry.sent) store.setItem(key, JSON.stringify({ ...entry, sent: false }));
      }
    }
  }

  // ── which forms have unsaved words ──

  const writes = (form) => autosaved(form) || (form.querySelector(TEXT) && !form.querySelector("input[type=password]"));
  const forms = () => [...document.querySelectorAll("main form[method=post]")].filter(writes);

  function isUnsaved(form) {
    if (autosaved(form)) return saves.has(form) && saves.get(form).saved !== asText(form);
    return [...form.querySelectorAll(TEXT)].some((field) => field.value !== field.defaultValue && field.value.length >= FEWEST);
  }

  const unsaved = (but = null) => forms().some((form) => form !== but && isUnsaved(form));

  // ── saying it ──

  function control(kind, label, act) {
    const made = document.createElement(kind);
    if (kind === "button") Object.assign(made, { type: "button", className: "btn line" });
    made.append(label);
    if (kind === "a") made.href = act;
    else made.addEventListener("click", act);
    return made;
  }

  function say(form, why, isKept = false) {
    const state = saves.get(form);
    form.classList.toggle("unsaved", Boolean(why));
    const last = form.querySelector("[data-saved-at]")?.dataset.savedAt;
    const space = document.documentElement.lang === "ja" ? "" : " ";
    for (const place of form.querySelectorAll("[data-save-state]")) {
      const more = place.dataset.saveState === "short" ? [] : [last && said.last.replace("%s", last), isKept && said.kept];
      const text = [said.unsaved, why, ...more].filter(Boolean).join(space);
      place.hidden = !why;
      if (place.dataset.text === text) continue; // screen readers say it once
      place.dataset.text = text;
      place.replaceChildren(`${text} `);
      if (state.login) place.append(control("a", said.loginLabel, state.login));
      else if (why === said.elsewhere) place.append(control("a", said.lookBoth, "#saved"));
      else if (why === said.mistake) place.append(control("a", said.look, `#${form.id}`));
      else place.append(control("button", said.saveNow, () => retry(form)));
    }
  }

  // ── saving a draft again ──

  // After a new login the page holds the token of the old session. Another user's session is never used.
  async function renewToken() {
    const answer = await fetch(said.account);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("[name=csrf_token]")?.value;
    if (page.body.dataset.user !== user || !token) return false;
    for (const field of document.querySelectorAll("[name=csrf_token]")) field.value = token;
    document.body.setAttribute("hx-headers", page.body.getAttribute("hx-headers"));
    return true;
  }

  async function retry(form) {
    const state = saves.get(form);
    clearTimeout(state.timer);
    state.timer = null;
    if (!form.isConnected || !isUnsaved(form)) return;
    if (state.login && !(await renewToken().catch(() => false))) {
      plan(form);
      return;
    }
    htmx.trigger(form, "retry");
  }

  function plan(form) {
    const state = saves.get(form);
    clearTimeout(state.timer);
    state.timer = setTimeout(retry, 1000 * PAUSES_S[Math.min(state.failures, PAUSES_S.length) - 1], form);
  }

  function failed(form, xhr) {
    const state = saves.get(form);
    if (!state) return;
    state.failures += 1;
    state.login = [401, 403].includes(xhr.status) ? xhr.getResponseHeader("HX-Redirect") || said.loginUrl : "";
    say(form, failureSentence(state.login ? 401 : xhr.status), keep(form));
    plan(form);
  }

  const retryAll = () => forms().filter((form) => autosaved(form) && saves.get(form)?.failures).forEach(retry);
  window.addEventListener("online", retryAll);
  window.addEventListener("focus", retryAll);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && retryAll());

  document.addEventListener("htmx:configRequest", (event) => {
    const state = saves.get(event.detail.elt);
    if (!state || !autosaved(event.detail.elt)) return;
    event.detail.timeout = TIMEOUT_MS;
    state.sent = asText(event.detail.elt);
  });

  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      const { elt } = event.detail.requestConfig;
      if (autosaved(elt)) failed(elt, event.detail.xhr);
    });
  }

  // The answer may bring fields of its own (one more question): they are as saved as the rest.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr, requestConfig } = event.detail;
    const { elt, triggeringEvent } = requestConfig;
    const state = saves.get(elt);
    if (state) state.same = state.sent === asText(elt);
    if (xhr.status !== 401) return;
    const pressed = triggeringEvent?.type === "submit" ? elt : null; // the server keeps the words of this form
    if (unsaved(pressed)) {
      event.preventDefault();
      if (autosaved(elt)) failed(elt, xhr);
      else tell(elt, triggeringEvent, xhr.status);
    } else {
      leaving = pressed;
    }
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    const form = requestConfig.elt;
    const state = saves.get(form);
    if (!state || !autosaved(form)) return;
    state.refused = xhr.status === 422;
    if (state.refused) {
      keep(form);
      say(form, form.querySelector("#saved .wrong") ? said.elsewhere : said.mistake);
    }
    if (xhr.status < 200 || xhr.status >= 400) return;
    Object.assign(state, { saved: state.same ? asText(form) : state.sent, failures: 0, login: "" });
    clearTimeout(state.timer);
    say(form, "");
    if (isUnsaved(form)) keep(form);
    else drop(form);
  });

  // ── offering it back ──

  function put(form, entry) {
    const left = [...entry.words];
    for (const field of form.elements) {
      if (!field.name || UNTYPED.includes(field.name) || ["file", "hidden", "submit", "button"].includes(field.type)) continue;
      const values = left.filter(([name]) => name === field.name).map(([, value]) => value);
      if (["checkbox", "radio"].includes(field.type)) {
        field.checked = values.includes(field.value);
      } else if (values.length) {
        [field.value] = values;
        left.splice(left.findIndex(([name]) => name === field.name), 1);
        form.querySelector(`trix-editor[input="${field.id}"]`)?.editor.loadHTML(field.value);
      }
    }
    if (entry.seen !== undefined && form.elements.seen) form.elements.seen.value = entry.seen;
    form.dispatchEvent(new Event("input", { bubbles: true }));
    return left.filter(([name, value]) => value.trim() && !form.elements[name]).map(([, value]) => value);
  }

  function offer(form, entry) {
    const note = document.createElement("div");
    note.className = "fusen";
    note.setAttribute("role", "status");
    const sentence = document.createElement("p");
    const time = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
    sentence.append(said.found.replace("%s", time.format(entry.at)));
    const acts = document.createElement("p");
    acts.className = "acts";
    acts.append(
      control("button", said.putBack, () => {
        const homeless = put(form, entry);
        note.remove();
        if (homeless.length) showHomeless(form, homeless);
      }),
      control("button", said.discard, () => {
        drop(form);
        note.remove();
      }),
    );
    note.append(sentence, acts);
    form.before(note);
  }

  function showHomeless(form, texts) {
    const note = document.createElement("div");
    const field = document.createElement("textarea");
    note.className = "fusen";
    field.readOnly = true;
    field.setAttribute("aria-label", said.homeless);
    field.value = texts.join("\n");
    note.append(said.homeless, field);
    form.before(note);
  }

  function begin(isPage) {
    for (const form of forms()) {
      if (saves.has(form)) continue;
      const refused = form.querySelector(".wrong:not([hidden]), [aria-invalid]") || document.getElementById("kept-form");
      saves.set(form, { saved: refused ? "" : asText(form), sent: "", failures: 0, refused: false, timer: null, slow: null, login: "" });
      const entry = entryOf(form);
      if (autosaved(form) && refused && !isPage) {
        saves.get(form).refused = true;
        keep(form);
        say(form, said.mistake);
      }
      if (!entry || !isPage) continue;
      if (JSON.stringify(entry.words) !== asText(form)) offer(form, entry);
      else if (!refused) drop(form);
    }
  }

  document.addEventListener("input", (event) => {
    const form = event.target.form || event.target.closest("form");
    const state = form && saves.get(form);
    if (!state) return;
    if (isUnsaved(form)) keep(form);
    else drop(form);
    if (!autosaved(form) || state.slow) return;
    state.slow = setTimeout(() => {
      state.slow = null;
      if (isUnsaved(form) && !state.failures && !state.refused) say(form, said.waiting, keep(form));
    }, SLOW_MS);
  });

  document.addEventListener("trix-initialize", (event) => {
    const form = event.target.closest("form");
    const state = saves.get(form);
    if (state?.saved) state.saved = asText(form);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !saves.has(form) || autosaved(form)) return;
    if (isUnsaved(form)) keep(form, { sent: true });
    leaving = form;
  });

  window.addEventListener("beforeunload", (event) => {
    if (unsaved(leaving)) event.preventDefault();
  });

  // ── logging out ──

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-logout]")) return;
    const own = (store) => entries(store).filter(([key]) => key.startsWith(`${PREFIX}${user}:`));
    if (own(localStorage).length && !window.confirm(said.logout)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    for (const store of [localStorage, sessionStorage]) for (const [key] of own(store)) store.removeItem(key);
    localStorage.setItem("kairan-logout", Date.now());
  }, true);

  window.addEventListener("storage", (event) => {
    if (event.key === "kairan-logout") loggedOut = true;
  });

  document.addEventListener("DOMContentLoaded", () => {
    sweep();
    begin(true);
  });
  document.addEventListener("htmx:afterSettle", () => begin(false));
})();
