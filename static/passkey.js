// <form data-passkey="create|get" data-options="/address">: asks the browser for a passkey, puts the answer into the
// hidden field "credential" and sends the form. Without script or passkeys the form stays hidden; the other ways remain.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function fetchOptions(form) {
  const token = form.querySelector("[name=csrf_token]").value;
  const answer = await fetch(form.dataset.options, { method: "POST", headers: { "X-CSRFToken": token } });
  if (answer.redirected) {
    location.href = answer.url; // it has been a while: the page asks for a confirmation first
    return null;
  }
  if (!answer.ok) throw new Error(`options: ${answer.status}`);
  const options = await answer.json();
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const list of [options.excludeCredentials, options.allowCredentials])
    for (const one of list || []) one.id = bytes(one.id);
  return options;
}

async function askBrowser(kind, options) {
  const made = await navigator.credentials[kind]({ publicKey: options });
  const { response } = made;
  const answer = { clientDataJSON: text(response.clientDataJSON) };
  if (kind === "create") {
    answer.attestationObject = text(response.attestationObject);
    answer.transports = response.getTransports ? response.getTransports() : [];
  } else {
    answer.authenticatorData = text(response.authenticatorData);
    answer.signature = text(response.signature);
    answer.userHandle = response.userHandle ? text(response.userHandle) : null;
  }
  return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response: answer });
}

let waiting = false;

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-passkey]");
  if (!form || form.credential.value) return;
  event.preventDefault();
  if (waiting) return;
  waiting = true;
  const problem = form.querySelector("[data-problem]");
  problem.hidden = true;
  try {
    const options = await fetchOptions(form);
    if (!options) return;
    form.credential.value = await askBrowser(form.dataset.passkey, options);
    form.submit();
  } catch (wrong) {
    problem.textContent = wrong.name === "InvalidStateError" ? problem.dataset.known : problem.dataset.refused;
    problem.hidden = false;
  } finally {
    waiting = false;
  }
});

document.addEventListener("DOMContentLoaded", () => {
  const there = Boolean(window.PublicKeyCredential);
  for (const form of document.querySelectorAll("form[data-passkey]")) form.hidden = !there;
  for (const sentence of document.querySelectorAll("[data-no-passkey]")) sentence.hidden = there;
});
