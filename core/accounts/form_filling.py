"""Fill the form of an HTML page with posted values, as the browser would show them before the press."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlsplit

BUTTONS = ("submit", "button", "reset", "image")
TICKED = ("checkbox", "radio")
Attributes = dict[str, str | None]


class Tag(NamedTuple):
    """A start tag and its place in the page."""

    name: str
    attributes: Attributes
    start: int
    end: int

    def with_attribute(self, name: str, value: str | None) -> str:
        """Return the text of the tag with one more attribute, or another value of one."""
        return Tag(self.name, {**self.attributes, name: value}, 0, 0).text()

    def without(self, name: str) -> str:
        return Tag(self.name, {key: value for key, value in self.attributes.items() if key != name}, 0, 0).text()

    def text(self) -> str:
        parts = [name if value is None else f'{name}="{escape(value)}"' for name, value in self.attributes.items()]
        return f"<{' '.join([self.name, *parts])}>"


@dataclass
class Control:
    """One field: its tag, the <details> around it, its options or the range of its text."""

    tag: Tag
    folds: list[Tag]
    options: list[Tag] = field(default_factory=list)
    end_of_text: int = 0

    @property
    def name(self) -> str:
        return self.tag.attributes.get("name") or ""

    @property
    def kind(self) -> str:
        return (self.tag.attributes.get("type") or "text").lower() if self.tag.name == "input" else self.tag.name


@dataclass
class Form:
    tag: Tag
    addresses: set[str]
    controls: list[Control] = field(default_factory=list)


class _Forms(HTMLParser):
    """Collect the forms of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._folds: list[Tag] = []
        self._last: Control | None = None
        self._lines = [0]
        for line in html.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.feed(html)
        self.close()

    def _place(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        start, raw = self._place(), self.get_starttag_text() or ""
        found = Tag(tag, dict(attrs), start, start + len(raw))
        if tag == "form":
            self._open = Form(found, {found.attributes.get("action") or "", found.attributes.get("hx-post") or ""})
            self.forms.append(self._open)
        elif tag == "details":
            self._folds.append(found)
        elif tag == "option" and self._last and self._last.tag.name == "select":
            self._last.options.append(found)
        elif tag in ("input", "textarea", "select", "button") and self._open:
            if address := found.attributes.get("formaction"):
                self._open.addresses.add(address)
            self._last = Control(found, list(self._folds))
            self._open.controls.append(self._last)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "details" and self._folds:
            self._folds.pop()
        elif tag == "textarea" and self._last:
            self._last.end_of_text = self._place()


class Filled(NamedTuple):
    html: str
    left: list[str]
    """Posted texts for which the form has no field."""


def fill_form(html: str, page: str, action: str, fields: Sequence[tuple[str, str]], kept: int) -> Filled | None:
    """Fill the form of the page that posts to `action`; None if there is no such form.

    page: the path of the page, where a form without an action posts to. The form token stays that of the page.
    kept: the value of a hidden field that the form gets in addition.
    """
    names = {name for name, _ in fields}
    path = urlsplit(action).path
    fitting = [form for form in _Forms(html).forms if _posts_to(form, page, path)]
    if not fitting:
        return None
    form = max(fitting, key=lambda one: sum(control.name in names for control in one.controls))
    return _Filling(html, form, fields).result(kept)


def _posts_to(form: Form, page: str, path: str) -> bool:
    if (form.tag.attributes.get("method") or "get").lower() != "post":
        return False
    return path in {urlsplit(address or page).path for address in form.addresses}


class _Filling:
    """The changes to one form, and the values that are not used up yet."""

    def __init__(self, html: str, form: Form, fields: Sequence[tuple[str, str]]) -> None:
        self.html, self.form = html, form
        self.posted: dict[str, list[str]] = defaultdict(list)
        for name, value in fields:
            self.posted[name].append(value)
        self.left = {name: list(values) for name, values in self.posted.items()}
        self.edits: dict[tuple[int, int], str] = {}

    def result(self, kept: int) -> Filled:
        end = self.form.tag.end
        self.edits[end, end] = f'<input type="hidden" name="kept" value="{kept}">'
        for control in self.form.controls:
            self._fill(control)
        html = self.html
        for (start, end), text in sorted(self.edits.items(), reverse=True):
            html = html[:start] + text + html[end:]
        return Filled(html, [value for values in self.left.values() for value in values if value.strip()])

    def _fill(self, control: Control) -> None:
        name, kind = control.name, control.kind
        if kind in BUTTONS or kind == "button":
            self.left.pop(name, None)
        elif kind in TICKED:
            self._tick(control)
        elif not name or kind in ("file", "password") or name not in self.posted:
            return
        elif kind == "select":
            self._choose(control)
        elif self.left[name]:
            self._write(control, self.left[name].pop(0))

    def _write(self, control: Control, value: str) -> None:
        tag = control.tag
        if control.kind == "textarea":
            self._edit(control, tag.end, control.end_of_text, "\n" + escape(value))
        elif value != (tag.attributes.get("value") or ""):
            self._edit(control, tag.start, tag.end, tag.with_attribute("value", value), hidden=control.kind == "hidden")

    def _tick(self, control: Control) -> None:
        tag, value = control.tag, control.tag.attributes.get("value") or "on"
        wanted = value in self.posted.get(control.name, ())
        if value in self.left.get(control.name, ()):
            self.left[control.name].remove(value)
        if wanted != ("checked" in tag.attributes) and (
            wanted or control.kind == "checkbox" or control.name in self.posted
        ):
            changed = tag.with_attribute("checked", None) if wanted else tag.without("checked")
            self._edit(control, tag.start, tag.end, changed)

    def _choose(self, control: Control) -> None:
        for option in control.options:
            value = option.attributes.get("value")
            wanted = value in self.posted[control.name]
            if wanted and value in self.left[control.name]:
                self.left[control.name].remove(value)
            if wanted != ("selected" in option.attributes):
                changed = option.with_attribute("selected", None) if wanted else option.without("selected")
                self._edit(control, option.start, option.end, changed)

    def _edit(self, control: Control, start: int, end: int, text: str, hidden: bool = False) -> None:
        """Change a part of the page; a fold around a changed field is opened."""
        self.edits[start, end] = text
        for fold in () if hidden else control.folds:
            if "open" not in fold.attributes:
                self.edits[fold.start, fold.end] = fold.with_attribute("open", None)
