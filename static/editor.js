// The editor of decorated letters: Trix over a <textarea data-decorated>, which stays the field that is posted and
// is all there is where this script does not run. What the server makes of it: mail/html/sanitizer.py.
"use strict";

const WIDE = "[\\u2E80-\\u9FFF\\uF900-\\uFAFF\\uFE30-\\uFE4F\\uFF00-\\uFFEF]";
const BROKEN = new RegExp(`(${WIDE})\\s*\\n\\s*(?=${WIDE})`, "g");
const WIDEST = 1280;
const HEAVY = 300_000;
const MARK = /p-[0-9a-f]{32}/;

// ── pictures ──

function figure(url, words) {
  const made = document.createElement("figure");
  made.dataset.trixAttachment = JSON.stringify({ contentType: "image", url });
  made.dataset.trixAttributes = JSON.stringify({ caption: words, presentation: "gallery" });
  return made;
}

function withPictures(html, base) {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const image of page.querySelectorAll("img")) {
    const mark = MARK.exec(image.getAttribute("src") || "");
    if (mark) image.replaceWith(figure(`${base}/${mark[0]}`, image.alt));
  }
  return page.body.innerHTML;
}

// A photo of a phone has some megabytes; what a letter shows needs a tenth of that. Transparent drawings stay PNG.
async function smaller(file) {
  if (file.size <= HEAVY || !window.createImageBitmap) return file;
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!bitmap) return file;
  const scale = Math.min(1, WIDEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.82));
  return blob && blob.size < file.size ? new File([blob], file.name.replace(/\.\w+$/, "") + ".jpg") : file;
}

async function upload(editor, file, words) {
  const field = editor.inputElement;
  const told = document.getElementById("picture-wrong");
  told.hidden = true;
  const form = new FormData();
  form.append("picture", await smaller(file), file.name);
  form.append("csrf_token", field.form.elements.csrf_token.value);
  let answer;
  try {
    const response = await fetch(field.dataset.pictures, { method: "POST", body: form });
    answer = await response.json();
  } catch {
    answer = { wrong: field.dataset.failed };
  }
  if (answer.wrong) {
    told.textContent = answer.wrong;
    told.hidden = false;
    document.getElementById("picture-part").open = true;
    return false;
  }
  editor.editor.insertHTML(figure(answer.url, words).outerHTML);
  return true;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("#put-picture");
  const editor = button && document.querySelector("trix-editor");
  const chosen = document.getElementById("picture");
  if (!editor || !chosen.files.length) return;
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  const words = document.getElementById("alt");
  if (await upload(editor, chosen.files[0], words.value.trim())) chosen.value = words.value = "";
  button.disabled = false;
}, true);

document.addEventListener("trix-file-accept", (event) => {
  event.preventDefault();
  const { file } = event;
  if (event.target.inputElement.dataset.pictures && file.type.startsWith("image/")) upload(event.target, file, "");
});

// ── pasting ──

// Word breaks the lines of its source anywhere, and writes the points of its lists as words; Google writes bold as a
// style. Styles are read from an attribute of another name: the page's policy would take them for its own.
function tidy(html) {
  const harmless = html.replace(/<(\/?)style\b/gi, "<$1template").replace(/(\s)style(\s*=)/gi, "$1data-style$2");
  const page = new DOMParser().parseFromString(harmless, "text/html");
  for (const gone of page.querySelectorAll("template, script, meta, link, title, img, xml")) gone.remove();
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_COMMENT);
  const comments = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.nodeType === Node.COMMENT_NODE) comments.push(node);
    else node.data = node.data.replace(BROKEN, "$1").replace(/[ \t]*\n\s*/g, " ");
  }
  for (const comment of comments) comment.remove();
  listsOfWord(page);
  boldOfGoogle(page);
  return page.body.innerHTML;
}

function boldOfGoogle(page) {
  for (const plain of page.querySelectorAll("b[data-style*='font-weight:normal' i]")) plain.replaceWith(...plain.childNodes);
  for (const span of page.querySelectorAll("span[data-style*='font-weight' i]")) {
    if (!/font-weight:\s*(bold|[6-9]00)/i.test(span.dataset.style)) continue;
    const bold = page.createElement("strong");
    bold.append(...span.childNodes);
    span.replaceWith(bold);
  }
}

function listsOfWord(page) {
  let list = null;
  for (const item of page.querySelectorAll("p[class*=MsoListParagraph], p[data-style*='mso-list:l' i]")) {
    const point = item.querySelector("[data-style*='mso-list:Ignore' i]");
    const name = point && /^[\s]*[0-9０-９①-⑳]/.test(point.textContent) ? "ol" : "ul";
    point?.remove();
    while (item.firstChild && !item.firstChild.textContent.trim()) item.firstChild.remove();
    if (!list || list.localName !== name || item.previousElementSibling !== list) {
      list = page.createElement(name);
      item.before(list);
    }
    const made = page.createElement("li");
    made.append(...item.childNodes);
    list.append(made);
    item.remove();
  }
}

// Taken before Trix sees it, which would read it with its styles and trip over the page's policy.
document.addEventListener("paste", (event) => {
  const editor = event.target.closest?.("trix-editor");
  const html = event.clipboardData?.getData("text/html");
  if (!editor || !html || event.target.closest("figcaption")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  editor.editor.recordUndoEntry("Paste");
  editor.editor.insertHTML(tidy(html));
}, true);

// ── beginning, saving, merge fields ──

function begin() {
  const field = document.querySelector("textarea[data-decorated]:not([hidden])");
  const toolbar = document.getElementById("toolbar");
  if (!field || !toolbar || !window.Trix) return;
  const { lang } = Trix.config;
  Object.assign(lang, { captionPlaceholder: field.dataset.caption, remove: field.dataset.remove });
  Trix.config.attachments.preview.caption = { name: false, size: false };
  field.value = withPictures(field.value, field.dataset.shown);
  const editor = document.createElement("trix-editor");
  for (const [name, value] of Object.entries({ id: "editor", input: field.id, toolbar: toolbar.id })) {
    editor.setAttribute(name, value);
  }
  editor.setAttribute("aria-label", document.querySelector(`label[for=${field.id}]`).textContent.trim());
  for (const name of ["aria-describedby", "aria-invalid"]) {
    if (field.hasAttribute(name)) editor.setAttribute(name, field.getAttribute(name));
  }
  field.hidden = true;
  toolbar.hidden = false;
  field.after(toolbar, editor);
}

document.addEventListener("DOMContentLoaded", begin);
document.addEventListener("htmx:afterSettle", begin);

// What the toolbar or a paste changes is no typing, so the form is told; never while an input method is at work.
let composing = false;
document.addEventListener("compositionstart", () => { composing = true; });
document.addEventListener("compositionend", () => { composing = false; });
document.addEventListener("trix-change", (event) => {
  if (!composing && event.target.isConnected) event.target.inputElement.dispatchEvent(new Event("input", { bubbles: true }));
});

// What its description says, the picture says to who hears the page, too.
for (const name of ["trix-initialize", "trix-render", "trix-change"]) {
  document.addEventListener(name, (event) => {
    for (const image of event.target.querySelectorAll("figure img")) {
      image.alt = image.closest("figure").querySelector("figcaption")?.textContent || "";
    }
  });
}

let wroteInEditor = true;
document.addEventListener("focusin", (event) => {
  if (event.target.matches("#subject, textarea, trix-editor")) wroteInEditor = event.target.matches("trix-editor");
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  const editor = button && document.querySelector("trix-editor");
  if (!editor || !wroteInEditor) return;
  event.stopImmediatePropagation();
  editor.focus();
  editor.editor.insertString(button.dataset.insert);
}, true);
