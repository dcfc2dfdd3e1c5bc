"""Sanitize HTML from an editor or clipboard into the few elements that a letter may hold (X-15).

Keeps bold, emphasis, strikethrough, headings, lists, quotations, links and our pictures. Other elements are dropped;
their text stays. nh3 parses tag soup like browsers (HTML living standard 13.2) and drops active content. The rest is
read into `RichDocument`, which writes every tag itself. So nothing pasted is passed on unchecked: no attribute, style
or URL.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from html import escape
from html.parser import HTMLParser
from typing import Any

from mail import merge
from mail.html import links
from mail.html.normalize import (
    PLAIN_STYLE,
    SOFT_BREAK,
    Block,
    Cell,
    InlinePicture,
    TextStyle,
    has_words,
    normalize_blocks,
)

MAX_HTML_CHARS = 200_000
MAX_ALT_CHARS = 300
MAX_TAGS = 20_000
"""Limits; the rest is cut off. Forms refuse longer input earlier."""
MAX_DEPTH = 100
"""Elements in one another. What browsers and word processors copy has fewer."""
MAX_FORMATTING = 8
"""Formatting elements that wait for their end tag. A parser opens all of them anew in every following block."""
PICTURE_ID = re.compile(r"p-[0-9a-f]{32}")
"""The id of a picture is a hash of its content."""

_STYLE_TAGS = {"strong": "strong", "b": "strong", "em": "em", "i": "em", "del": "del", "s": "del", "strike": "del"}
_HEADS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = {
    *("p", "div", "pre", "section", "article", "header", "footer", "main", "aside", "nav", "center", "address", "dl"),
    *("dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "figure", "figcaption", "hr", "details"),
    *("summary", "blockquote", "ul", "ol", "li", *_HEADS),
}
_TAGS = {*_STYLE_TAGS, *_BLOCKS, "a", "br", "img", "td", "th"}
_DROPPED_TAGS = {
    "script",
    "style",
    "title",
    "head",
    "noscript",
    "iframe",
    "template",
    "svg",
    "math",
    "textarea",
    "object",
}
_TAG = re.compile(r"<[A-Za-z/!?]")
_ELEMENT = re.compile(r"<(/?)([A-Za-z][^\s/>]*)[^>]*>")
_VOID_TAGS = {"br", "hr", "img", "col", "wbr", "input", "meta", "link", "area", "base", "embed", "source", "track"}
_FORMATTING = {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}
_IMPLIED_END = {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "rb", "rt"}
_CONTAINERS = {"ul", "ol", "dl", "table", "div", "blockquote", "section", "article"}
_SPACES = re.compile(r"[ \t\r\n]+")
_MAX_LIST_DEPTH = 4  # lists in lists
_MAX_NESTING = 60  # whatever else in one another


class RichDocument:
    def __init__(self, blocks: Iterable[Block]) -> None:
        self.blocks = [one for one in blocks if one.cells]

    def html(self) -> str:
        """Return the HTML; equal text always gives equal HTML."""
        return "".join(_write_blocks(self.blocks))

    def pictures(self) -> list[InlinePicture]:
        return [what for block in self.blocks for what, _ in block.cells if isinstance(what, InlinePicture)]


def sanitize_html(html: str, known: Collection[str] = ()) -> RichDocument:
    """Parse untrusted HTML. known: ids of the allowed pictures; others are dropped."""
    html = merge.clean_text(html)[:MAX_HTML_CHARS]
    html = _cut_tags(html)
    if not _TAG.search(html):
        return document_from_text(_unescaped(html))
    parser = _Reader(known)
    parser.feed(_cut_tags(_strip_active_content(_limit_depth(html)), 3 * MAX_TAGS))
    parser.close()
    return RichDocument(normalize_blocks(parser.blocks, MAX_HTML_CHARS))


def _cut_tags(html: str, most: int = MAX_TAGS) -> str:
    return "<".join(html.split("<", most)[:most]) if html.count("<") > most else html


def document_from_text(text: str) -> RichDocument:
    text = merge.clean_text(text[:MAX_HTML_CHARS]).strip("\n")
    cells: list[Cell] = [(one, PLAIN_STYLE) for one in _indented(text)]
    return RichDocument(normalize_blocks([Block(cells=cells)], MAX_HTML_CHARS))


def _unescaped(text: str) -> str:
    return text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _indented(text: str) -> str:
    """Replace runs of spaces by no-break spaces."""
    return re.sub(r"(?<=[ \n])[ \t]|^[ \t]|\t", "\xa0", text)


def _limit_depth(html: str) -> str:
    """Drop the start tags below MAX_DEPTH open elements. nh3 looks through all open elements at most tags.

    An element whose end tag may be left out ends at the next one of its kind. Formatting elements are counted until
    their own end tag, because a parser opens them anew in every block. The result is not yet safe: nh3 comes after.
    """
    open_elements: list[str] = []
    formatting: list[str] = []
    kept: list[str] = []
    end = 0
    for found in _ELEMENT.finditer(html):
        closing, name = found[1] == "/", found[2].lower()
        if name in _VOID_TAGS:
            continue
        if name in _FORMATTING:
            if closing:
                if name in formatting:
                    formatting.remove(name)
            elif len(formatting) < MAX_FORMATTING:
                formatting.append(name)
            else:
                kept.append(html[end : found.start()])
                end = found.end()
        elif closing:
            if name in open_elements:
                while open_elements.pop() != name:
                    pass
        else:
            if name in _IMPLIED_END:
                _close_implied(open_elements, name)
            if len(open_elements) >= MAX_DEPTH:
                kept.append(html[end : found.start()])
                end = found.end()
            else:
                open_elements.append(name)
    return "".join(kept) + html[end:]


def _close_implied(open_elements: list[str], name: str) -> None:
    """End the open element of this kind, unless it stands outside of the innermost list, table or division."""
    for place in range(len(open_elements) - 1, -1, -1):
        if open_elements[place] == name:
            del open_elements[place:]
            return
        if open_elements[place] in _CONTAINERS:
            return


@cache
def _cleaner() -> Any:
    import nh3  # loaded only where somebody writes an HTML letter

    attributes = {"a": {"href"}, "img": {"src", "alt"}}
    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_DROPPED_TAGS,
        attributes=attributes,
        strip_comments=True,
        link_rel=None,
        url_schemes={"http", "https", "mailto", "tel", "cid"},
    )


def _strip_active_content(html: str) -> str:
    return str(_cleaner().clean(html))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Reader(HTMLParser):
    """Read cleaned HTML into blocks."""

    def __init__(self, known: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._known = known
        self.blocks: list[Block] = []
        self._marks: list[str] = []
        self._links: list[str] = []
        self._open: list[str] = []
        self._framed: Block | None = None  # the picture's own block, whose caption is still to come
        self._caption: list[str] | None = None
        self._first_cell = True
        self._block()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a block, or change how what follows looks."""
        given = {name: value or "" for name, value in attrs}
        if tag in _STYLE_TAGS:
            self._marks = [*self._marks[-_MAX_NESTING:], _STYLE_TAGS[tag]]
        elif tag == "a":
            self._links.append(links.clean_href(given.get("href", "")))
        elif tag == "br":
            self._put("\n")
        elif tag == "img":
            self._picture(given)
        elif tag in ("td", "th"):
            self._cell_of_a_table()
        elif tag == "figcaption" and self._framed:
            self._caption = []
        elif tag in _BLOCKS:
            self._begin(tag)

    def handle_endtag(self, tag: str) -> None:
        """End a block or a look."""
        if tag in _STYLE_TAGS and self._marks:
            self._marks.pop()
        elif tag == "a" and self._links:
            self._links.pop()
        elif tag == "figcaption" and self._caption is not None:
            self._describe()
        elif tag in _BLOCKS and tag in self._open:
            while self._open.pop() != tag:
                pass
            self._block(apart=tag == "p")

    def handle_data(self, data: str) -> None:
        """Take words; line ends of the source are none of the words, but in `pre`."""
        if self._caption is not None:
            self._caption.append(data)
        elif "pre" in self._open:
            self._put(data.replace("\r\n", "\n").replace(" ", "\xa0"))
        else:
            self._put(_SPACES.sub(_soft_breaks, data))

    def _begin(self, tag: str) -> None:
        self._open = [*self._open[-_MAX_NESTING:], tag]
        self._first_cell = True
        self._block(apart=tag == "p", item=tag == "li")

    def _block(self, apart: bool = False, item: bool = False) -> None:
        """Begin a block as what is open says. What stands in an item beside its first words goes on in a new line."""
        lists = tuple(one for one in self._open if one in ("ul", "ol"))[:_MAX_LIST_DEPTH]
        kind = "li" if "li" in self._open and lists else "div"
        if kind == "div":
            lists = ()
            kind = "quote" if "blockquote" in self._open else "h1" if _HEADS & set(self._open) else "div"
        last = self.blocks[-1] if self.blocks else None
        if kind == "li" and not item and last and last.kind == "li" and last.lists == lists:
            if has_words(last) and last.cells[-1][0] != "\n":
                last.cells.append(("\n", PLAIN_STYLE))
            return
        self.blocks.append(Block(kind, lists, apart=apart))

    def _put(self, words: str) -> None:
        marks = TextStyle("strong" in self._marks, "em" in self._marks, "del" in self._marks, self._href())
        words = links.strip_invisible(words) if marks.href else words
        self.blocks[-1].cells += [(one, marks) for one in words]

    def _href(self) -> str:
        return self._links[-1] if self._links else ""

    def _picture(self, given: dict[str, str]) -> None:
        found = PICTURE_ID.search(given.get("src", ""))
        if found is None or found[0] not in self._known:
            return
        picture = InlinePicture(found[0], _clean_alt(given.get("alt", "")))
        self.blocks[-1].cells.append((picture, TextStyle(href=self._href())))
        self._framed = self.blocks[-1] if "figure" in self._open else None

    def _describe(self) -> None:
        """Give the last picture the words of its caption."""
        said, block = _clean_alt("".join(self._caption or [])), self._framed
        self._caption = self._framed = None
        if block and said:
            at, mark, marks = [
                (at, what.mark, marks)
                for at, (what, marks) in enumerate(block.cells)
                if isinstance(what, InlinePicture)
            ][-1]
            block.cells[at] = (InlinePicture(mark, said), marks)

    def _cell_of_a_table(self) -> None:
        if not self._first_cell:
            self._put(" | ")
        self._first_cell = False


def _soft_breaks(spaces: re.Match[str]) -> str:
    """Return spaces as they count: those around a line end of the source are one."""
    found = spaces[0]
    return SOFT_BREAK if "\n" in found or "\r" in found else found.replace("\t", " ")


def _clean_alt(words: str) -> str:
    """Return a description as one line that can stand in an attribute."""
    return merge.one_line(words.replace("\xa0", " ")).replace("<", "＜").replace(">", "＞")[:MAX_ALT_CHARS]


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

_NAMES = {"h1": "h1", "quote": "blockquote", "div": "div"}


def _write_blocks(blocks: Iterable[Block]) -> Iterator[str]:
    lists: tuple[str, ...] = ()
    for block in blocks:
        yield from _write_list_tags(lists, block)
        lists = block.lists
        inside = "".join(_write_run(what, marks) for what, marks in block.runs())
        yield f"<li>{inside}" if lists else f"<{_NAMES[block.kind]}>{inside}</{_NAMES[block.kind]}>"
    yield from _write_list_tags(lists, Block())


def _write_list_tags(before: tuple[str, ...], block: Block) -> Iterator[str]:
    """Close and open lists between two blocks; a list within a list stands in the item before it."""
    after, shared = block.lists, 0
    while shared < min(len(before), len(after)) and before[shared] == after[shared]:
        shared += 1
    for name in reversed(before[shared:]):
        yield f"</li></{name}>"
    if shared and shared == len(after):
        yield "</li>"
    for number, name in enumerate(after[shared:]):
        yield f"<{name}>" + ("<li>" if number < len(after) - shared - 1 else "")


def _write_run(what: str | InlinePicture, marks: TextStyle) -> str:
    if what == "\n":
        return "<br>"
    shown = _image(what) if isinstance(what, InlinePicture) else escape(what).replace("\xa0", "&nbsp;")
    for name, on in (("del", marks.struck), ("em", marks.em), ("strong", marks.strong)):
        shown = f"<{name}>{shown}</{name}>" if on else shown
    return f'<a href="{escape(marks.href)}">{shown}</a>' if marks.href else shown


def _image(picture: InlinePicture) -> str:
    return f'<img src="cid:{picture.mark}" alt="{escape(picture.alt)}">'
