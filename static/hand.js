// Tells a hand from a script that presses buttons: mail scanners run pages and click through them.
//   <form data-hand>: once this runs, the form says hand=0 until something trusted happened on the page, then hand=1.
// Without scripts the form says nothing, and counts.
"use strict";

(() => {
  const form = document.querySelector("form[data-hand]");
  if (!form) return;
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "hand";
  field.value = "0";
  form.append(field);

  function seen(event) {
    if (event.isTrusted) field.value = "1";
  }

  for (const sign of ["pointerdown", "touchstart", "keydown", "click"]) {
    addEventListener(sign, seen, { capture: true, passive: true });
  }
})();
