"""Render decorated text as HTML: for a letter, with buttons, and for the reader's page (decision 10).

Mail programs drop style sheets, so css-inline writes the styles into the elements (X-15). The style sheet in the head
is for dark mode only. There is no script and no remote content (RFC 2110 4.1), except the open-tracking image if an
organizer asked for it (D-31). User text and values of merge fields are escaped: as text, or as part of a URL. Decorated
`html` is always output of `mail.html.sanitizer.RichDocument`, where no attribute holds an angle bracket.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape, unescape
from typing import NamedTuple, Protocol
from urllib.parse import quote

from mail import merge
from mail.html import links

_STYLES = """
div, ul, ol, blockquote { margin: 0 0 16px }
h1 { font-size: 20px; line-height: 1.5; margin: 24px 0 8px }
ul, ol { padding-left: 1.6em }
li ul, li ol { margin: 0 }
blockquote { border-left: 4px solid #857b69; padding-left: 12px }
a { color: inherit }
img { max-width: 100%; height: auto }
"""
_TAGS = re.compile(r"(<[^<>]*>)")
_LINK = re.compile(r'(<a href=")([^"]*)("[^>]*>)(.*?)(</a>)', re.DOTALL)
_SOURCE = re.compile(r'src="cid:(p-[0-9a-f]{32})"')


class LinkTarget(Protocol):
    """The target of a counted link, and the text shown for it."""

    @property
    def href(self) -> str: ...
    @property
    def words(self) -> str: ...


class FieldPart(NamedTuple):
    """A piece of HTML, and its merge field, if it is one. place: words, link (text of one), href, alt."""

    html: str
    field: str | None
    place: str


def render_for_letter(html: str, domain: str, counted: Mapping[str, LinkTarget]) -> list[FieldPart]:
    """Render for the letters of a template, split at the merge fields.

    domain: for the Content-IDs of the pictures. counted: URLs that lead by our counter.
    """
    import css_inline  # loaded only where there is an HTML letter

    styled = css_inline.inline_fragment(_with_content_ids(html, domain), _STYLES, load_remote_stylesheets=False)
    return list(_split_at_fields(_replace_counted_links(styled, counted) if counted else styled))


def _with_content_ids(html: str, domain: str) -> str:
    return _SOURCE.sub(lambda found: f'src="cid:{found[1]}@{domain}"', html)


def render_for_page(html: str, values: Mapping[str, str], pictures: Mapping[str, str], small: str = "h2") -> str:
    """Render for a page, with fields filled. pictures: id → URL; a missing picture is shown as its alt text."""
    html = html.replace("<h1>", f"<{small}>").replace("</h1>", f"</{small}>")
    html = html.replace("<a href=", '<a rel="noopener noreferrer" href=')
    return fill_parts(_split_at_fields(_IMAGE.sub(lambda found: _page_image(found, pictures), html)), values)


_IMAGE = re.compile(r'<img src="cid:(p-[0-9a-f]{32})" alt="([^"]*)">')


def _page_image(found: re.Match[str], pictures: Mapping[str, str]) -> str:
    address = pictures.get(found[1])
    return f'<img src="{escape(address)}" alt="{found[2]}" loading="lazy">' if address else f"[{found[2]}]"


def fill_parts(parts: Iterator[FieldPart] | list[FieldPart], values: Mapping[str, str]) -> str:
    """Fill the parts; a field without a value in `values` stays as written."""
    return "".join(
        [_escape_value(values[name], place) if name and name in values else html for html, name, place in parts]
    )


def _escape_value(value: str, place: str) -> str:
    value = merge.clean_text(value)
    if place == "href":
        return quote(value, safe="")
    if place == "alt":
        return escape(merge.one_line(value))
    cut = links.split_at_urls(value) if place == "words" else [(value, None)]
    shown = (f'<a href="{escape(url)}">{escape(text)}</a>' if url else escape(text) for text, url in cut)
    return "".join(shown).replace("\n", "<br>")


def _split_at_fields(html: str) -> Iterator[FieldPart]:
    inside = False
    for number, stretch in enumerate(_TAGS.split(html)):
        place = "link" if inside else "words"
        if number % 2:
            inside = stretch.startswith("<a ") or (inside and stretch != "</a>")
            place = "href" if stretch.startswith("<a ") else "alt"
        for text, name in merge.split_fields(stretch):
            yield FieldPart(text, unescape(name) if name else None, place)


def _replace_counted_links(html: str, counted: Mapping[str, LinkTarget]) -> str:
    """Lead links by our counter. A link whose text names a host shows other text: text and target must agree."""

    def led(found: re.Match[str]) -> str:
        way = counted.get(unescape(found[2]))
        if way is None:
            return str(found[0])
        named = links.looks_like_host(unescape(_TAGS.sub("", found[4])))
        shown = escape(way.words) if named else found[4]
        return f"{found[1]}{escape(way.href)}{found[3]}{shown}{found[5]}"

    return _LINK.sub(led, html)


# ── the HTML part of a letter ────────────────────────────────────────────────────────────────────────────────────────

TOKEN_PLACEHOLDER = "\0"  # noqa: S105  (stands for the reader's token in texts that are made once)

_MAIL = (
    "max-width:36em;margin:0 auto;padding:16px;font-family:sans-serif;font-size:17px;line-height:1.8;"
    "color:#24201a;background:#fffdf7;overflow-wrap:anywhere"
)
_OPENING = f'<body style="margin:0">\n<div class="mail" style="{_MAIL}">\n'
_BUTTON = (
    "display:block;padding:12px 16px;border:2px solid #24201a;border-radius:4px;color:#24201a;font-weight:bold;"
    "text-decoration:none"
)
_ASK = "border-top:3px solid #24201a;padding-top:16px"
_SMALL = "border-top:1px solid #857b69;padding-top:16px;font-size:16px;color:#5c5446"
_DARK = (
    "@media (prefers-color-scheme:dark){.mail{background:#201d19!important}"
    ".mail,.choice{color:#eee8db!important}.choice,.ask{border-color:#eee8db!important}"
    ".small,.small a{color:#b9b09f!important}}"
)


@dataclass(frozen=True, slots=True)
class HtmlSection:
    """A section below the text: heading, lines, and buttons (text, URL)."""

    title: str
    lines: tuple[str, ...] = ()
    buttons: tuple[tuple[str, str], ...] = ()
    small: bool = False


@dataclass(frozen=True, slots=True)
class CountedLink:
    """The target of a link in the text (may hold TOKEN_PLACEHOLDER), and the text shown for it."""

    href: str
    words: str


@dataclass(frozen=True, slots=True)
class RichBody:
    """Decorated text (`mail.html.sanitizer`), and the domain for the Content-IDs of its pictures."""

    html: str
    domain: str


class HtmlPage:
    """The HTML part of all letters of a template."""

    def __init__(
        self,
        language: str,
        text: str,
        pieces: Iterable[HtmlSection],
        counted: Mapping[str, CountedLink] | None = None,
        image: str = "",
        decorated: RichBody | None = None,
    ) -> None:
        """counted: URLs of the text that lead by our counter. image: URL of the open-tracking image, "" for none.

        decorated: the same text as HTML.
        """
        self._counted = counted or {}
        self._words = merge.split_fields(merge.clean_text(text).strip("\n"))
        self._decorated = render_for_letter(decorated.html, decorated.domain, self._counted) if decorated else None
        self._head = (
            f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<style>{_DARK}</style>\n</head>\n"
            f"{_OPENING}"
        )
        below = "".join(_render_section(piece) for piece in pieces)
        self._tail = f"{below}</div>\n{_counting_picture(image)}</body>\n</html>\n".split(TOKEN_PLACEHOLDER)

    def render(self, values: Mapping[str, str], token: str, about: str = "") -> str:
        """Return the HTML for one reader. about: the sentence above the text."""
        if self._decorated:
            body = _paragraph(escape(about)) if about else ""
            body += fill_parts(self._decorated, values).replace(TOKEN_PLACEHOLDER, token) + "\n"
        else:
            words = (f"{about}\n\n" if about else "") + merge.join_pieces(self._words, values, values)
            body = _paragraph(_escape_text(words, self._counted).replace(TOKEN_PLACEHOLDER, token))
        return f"{self._head}{body}{token.join(self._tail)}"


class HtmlCopy:
    """The HTML of one letter below the text of another: an author's copy, a test (X-04)."""

    def __init__(self, text: str, page: str) -> None:
        """text: shown above. page: as `HtmlPage.render` returns it."""
        above = _paragraph(_escape_text(text.strip("\n"), {})) + f'<div style="{_ASK}">\n'
        start, opening, rest = page.partition(_OPENING)
        words, end, after = rest.rpartition("</div>\n")
        self._page = f"{start}{opening}{above}{words}</div>\n{end}{after}"

    def render(self, values: Mapping[str, str], token: str, about: str = "") -> str:
        """Return the HTML; it holds no fields."""
        return self._page


def _paragraph(html: str) -> str:
    return f'<p style="margin:0 0 16px">{html}</p>\n'


def _counting_picture(url: str) -> str:
    """Return the open-tracking image as the background of an empty cell.

    An `img` in a letter with little text costs 2 to 3 points in SpamAssassin.
    """
    if not url:
        return ""
    return (
        '<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>'
        f'<td width="1" height="1" background="{escape(url)}"></td></tr></table>\n'
    )


def _render_section(piece: HtmlSection) -> str:
    if not any((piece.title, piece.buttons, *piece.lines)):
        return ""
    kind, style = ("small", _SMALL) if piece.small else ("ask", _ASK) if piece.title else ("note", "")
    title = f'<h2 style="font-size:20px;line-height:1.5;margin:0 0 16px">{escape(piece.title)}</h2>\n'
    lines = "<br>\n".join(_link(line) for line in piece.lines if line)
    return (
        f'<div class="{kind}" style="{style}">\n'
        + (title if piece.title else "")
        + (_paragraph(lines) if lines else "")
        + "".join(_button(words, url) for words, url in piece.buttons)
        + "</div>\n"
    )


def _button(words: str, url: str) -> str:
    return (
        f'<p style="margin:0 0 16px"><a class="choice" href="{escape(url)}" style="{_BUTTON}">{escape(words)}</a></p>\n'
    )


def _link(line: str) -> str:
    """Return a line; a URL becomes a link."""
    shown = escape(line)
    return f'<a href="{shown}" style="color:#5c5446">{shown}</a>' if line.startswith(("https://", "http://")) else shown


def _escape_text(words: str, counted: Mapping[str, CountedLink]) -> str:
    """Escape user text with its line breaks, indents and URLs.

    A counted URL is shown by other text: what is shown and its target must not be two hosts.
    """
    shown = (
        f'<a href="{escape(way.href)}" style="color:inherit">{escape(way.words)}</a>'
        if url and (way := counted.get(url, CountedLink(url, text)))
        else escape(text)
        for text, url in links.split_at_urls(words)
    )
    return "".join(shown).replace("  ", "&nbsp; ").replace("\n", "<br>\n")
