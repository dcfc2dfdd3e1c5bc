"""Convert HTML to plain text: blocks become lines, links 「文字 <URL>」, quotes lines with "> ".

Invisible content (scripts, styles, hidden preview lines) is dropped. Python's html.parser is not used: on some
malformed pages its time grows with the square of the length.
"""

import re
from html import unescape

MAX_CHARS = 1 << 18

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30})((?:[^<>\"']++|\"[^\"<>]*+\"|'[^'<>]*+'|[\"'])*+)>")
_INVISIBLE_ELEMENT = re.compile(
    r"<(script|style|head|title|template|noscript|select|svg|object|xml)\b[^<>]*>", re.IGNORECASE
)
_HREF = re.compile(r"href\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|\shidden(?=[\s=]|$)", re.IGNORECASE)
_BLOCKS = {
    *("p", "div", "tr", "table", "ul", "ol", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "hr"),
    *("blockquote", "section", "article", "header", "footer", "center", "address", "form", "fieldset", "body"),
}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote"}
_VOID = {"br", "img", "hr", "input", "meta", "link", "area", "base", "col", "source", "wbr", "embed", "param"}
_QUOTE_BEGINS, _QUOTE_ENDS = "\x02", "\x03"
_NO_QUOTE_MARKS = {2: None, 3: None}
_CITES = re.compile(r"type\s*=\s*[\"']?cite|\bcite\s*=|class\s*=\s*[\"']?[^\"'>]*quot", re.IGNORECASE)
_INTRODUCES = re.compile(
    r"(?:\d{1,2}[:：]\d{2}|@|のメール|wrote|schrieb|écrit|書きました)[^\n]{0,200}[:：]\Z", re.IGNORECASE
)
_SPACE = re.compile(r"[ \t\r\n\f]+")


def html_to_text(html: str) -> str:
    """Return the text of an HTML page in linear time. Never raises."""
    page = _drop_invisible_elements(_without_comments(html[:MAX_CHARS]))
    writer = _Writer()
    end = 0
    for found in _TAG.finditer(page):
        writer.text(page[end : found.start()])
        end = found.end()
        writer.tag(found[2].lower(), found[3], closing=bool(found[1]))
    writer.text(page[end:])
    return writer.result()


def _without_comments(html: str) -> str:
    """Drop comments and declarations; an unclosed one drops only its own start."""
    pieces, end = [], 0
    while (start := html.find("<!", end)) >= 0:
        pieces.append(html[end:start])
        mark = "-->" if html.startswith("<!--", start) else ">"
        close = html.find(mark, start)
        if close < 0:
            return "".join(pieces) + html[start + 4 :]
        end = close + len(mark)
    return "".join(pieces) + html[end:]


def _drop_invisible_elements(html: str) -> str:
    """Drop elements without visible text."""
    lower = html.lower()
    pieces, end = [], 0
    while found := _INVISIBLE_ELEMENT.search(html, end):
        pieces.append(html[end : found.start()])
        close = lower.find(f"</{found[1].lower()}", found.end())
        if close < 0:  # unclosed: drop only the tag, or a broken page would lose all its text
            end = found.end()
            return "".join(pieces) + html[end:]
        end = close
    return "".join(pieces) + html[end:]


class _Writer:
    """Collects text and line breaks; tracks hidden elements and the open link."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._hidden = ""
        self._depth = 0
        self._link: tuple[str, int] | None = None
        self._plain = 0
        self._quotes: list[bool] = []

    def text(self, raw: str) -> None:
        if not raw or self._hidden:
            return
        words = (unescape(raw) if "&" in raw else raw).translate(_NO_QUOTE_MARKS)
        self._out.append(words if self._plain else _SPACE.sub(" ", words).replace("\u200c", "").replace("\u034f", ""))

    def tag(self, name: str, rest: str, closing: bool) -> None:
        if self._hidden:
            self._count_hidden(name, rest, closing)
        elif not closing and name not in _VOID and _HIDDEN.search(rest):
            self._hidden, self._depth = name, 1
        else:
            self._shown(name, rest, closing)

    def _count_hidden(self, name: str, rest: str, closing: bool) -> None:
        if name == self._hidden and not rest.endswith("/"):
            self._depth += -1 if closing else 1
            if self._depth == 0:
                self._hidden = ""

    def _shown(self, name: str, rest: str, closing: bool) -> None:
        if name == "a":
            self._anchor(rest, closing)
        elif name == "br":
            self._out.append("\n")
        elif name == "li" and not closing:
            self._out.append("\n- ")
        elif name in ("td", "th") and not closing:
            self._out.append(" ")
        elif name == "blockquote":
            self._blockquote(rest, closing)
        elif name in _BLOCKS:
            self._out.append("\n\n" if name in _PARAGRAPHS else "\n")
            if name == "pre":
                self._plain = max(0, self._plain + (-1 if closing else 1))

    def _blockquote(self, rest: str, closing: bool) -> None:
        """Mark where a quoted mail begins and ends. A writer's own indented paragraph bears no mark."""
        if not closing:
            self._quotes.append(bool(_CITES.search(rest) or _INTRODUCES.search("".join(self._out[-12:]).rstrip())))
            self._out.append("\n\n" + (_QUOTE_BEGINS if self._quotes[-1] else ""))
        elif self._quotes:
            self._out.append((_QUOTE_ENDS if self._quotes.pop() else "") + "\n\n")

    def _anchor(self, rest: str, closing: bool) -> None:
        if closing:
            self._end_link()
        elif found := _HREF.search(rest):
            self._end_link()
            self._link = (unescape(found[1] or found[2] or found[3] or "").strip()[:2000], len(self._out))

    def _end_link(self) -> None:
        """Write the target behind the link text, unless the text is the target."""
        if self._link is None:
            return
        url, start = self._link
        self._link = None
        words = "".join(self._out[start:]).strip()
        bare = url.removeprefix("mailto:")
        shown = words.rstrip("/") in (url.rstrip("/"), bare, url.partition("://")[2].rstrip("/"))
        if url.lower().startswith(("http://", "https://", "mailto:")) and words and not shown:
            self._out.append(f" <{bare}>")

    def result(self) -> str:
        self._end_link()
        lines = [_SPACE.sub(" ", line).strip() for line in "".join(self._out).replace("\xa0", " ").split("\n")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
        return _with_quote_marks(text) if _QUOTE_BEGINS in text else text


def _with_quote_marks(text: str) -> str:
    """Write "> " before each line of a quote, once for each level."""
    lines, depth = [], 0
    for line in text.split("\n"):
        begins = line.count(_QUOTE_BEGINS)
        words = line.translate(_NO_QUOTE_MARKS)
        level = max(depth, depth + begins)
        lines.append(">" * min(level, 10) + " " + words if level and words.strip() else words)
        depth = max(0, depth + begins - line.count(_QUOTE_ENDS))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
