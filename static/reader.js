// Presses "I have read this" for the reader, once (docs: "What counts as read"):
//   <form id="read" method="post" data-touch-url="/r/…/touch" data-press-after="2026-10-14T05:51:00Z" data-now="..."> ... <section id="seal">
// The same for an opened choice, where a list records answers on opening too; that form stays (data-stays).
// Only when the time has come, the page is visible, and a hand was on it: mail scanners open links too, some run
// scripts on a page that calls itself visible, and can scroll it; so a scroll counts by its wheel or touch only.
"use strict";

(() => {
  const form = document.querySelector("form[data-press-after]");
  if (!form || !form.dataset.pressAfter) return;

  // data-now is the server's clock when the page was made; this machine's own may be minutes off.
  const now = Date.parse(form.dataset.now);
  const due = Date.parse(form.dataset.pressAfter) - (Number.isNaN(now) ? 0 : now - Date.now());
  const signs = ["pointerdown", "touchstart", "wheel", "keydown"];
  let touched = false;
  let done = false;
  let tries = 3;
  let timer;

  function press() {
    if (done || !touched || document.visibilityState !== "visible") return;
    clearTimeout(timer);
    const wait = due - Date.now();
    if (wait > 0) timer = setTimeout(press, Math.min(wait, 2 ** 31 - 1));
    else if (wait <= 0) send();
  }

  async function send() {
    done = true;
    try {
      const answer = await fetch(form.dataset.touchUrl, {
        method: "POST",
        headers: { "HX-Request": "true" },
        body: new URLSearchParams(new FormData(form)),
      });
      if (answer.status === 503 || answer.status === 507) throw new Error("not recorded");
      if (answer.ok) show(await answer.text());
    } catch {
      // No network, or the server cannot write now: the next touch tries again, a few times; the button stays where it is.
      tries -= 1;
      done = tries === 0;
    }
  }

  // Put the stamp where it belongs; nobody's focus or place on the page moves.
  function show(html) {
    const seal = document.getElementById("seal");
    const page = new DOMParser().parseFromString(html, "text/html");
    const fresh = page.getElementById("seal");
    if (!seal || !fresh) return;
    const kept = seal.contains(document.activeElement) && document.activeElement.id;
    seal.replaceWith(fresh);
    if (kept) document.getElementById(kept)?.focus({ preventScroll: true });
    if (form.isConnected && !("stays" in form.dataset) && !form.contains(document.activeElement)) form.hidden = true;
  }

  function touch(event) {
    if (!event.isTrusted || document.visibilityState !== "visible") return;
    touched = true;
    press();
  }

  for (const sign of signs) addEventListener(sign, touch, { passive: true });
  document.addEventListener("visibilitychange", press);
  form.addEventListener("submit", () => { done = true; });
})();
