// The button says what is chosen: <form data-say="Answer “%s”"> with radio buttons in labels, and a button[data-send].
// Without this script it says "Answer with this", which is as true.
"use strict";

(() => {
  const form = document.querySelector("form[data-say]");
  const button = form && form.querySelector("button[data-send]");
  if (!button) return;

  function say() {
    const chosen = form.querySelector("input[type=radio]:checked");
    if (chosen) button.textContent = form.dataset.say.replace("%s", () => chosen.closest("label").textContent.trim());
  }

  form.addEventListener("change", say);
  say();
})();
