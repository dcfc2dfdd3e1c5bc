"""Decorated words where they are shown: in the HTML part of a letter, and on the reader's page.

Mail programs drop style sheets, so css-inline puts the styles into the elements (X-15); merge fields are filled behind
that, each as its place wants it: escaped among words, as part of an address in a link. `html` is always what
`mail.html.sanitizer.RichDocument` wrote, where no attribute holds an angle bracket.
"""

import re
from collections.abc import Iterator, Mapping
from html import escape, unescape
from typing import NamedTuple, Protocol
from urllib.parse import quote

from mail import merge
from mail.html import link_safety, linkify

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
    """Where a counted link leads, and the words shown for it."""

    @property
    def href(self) -> str: ...
    @property
    def words(self) -> str: ...


class FieldPart(NamedTuple):
    """A stretch of HTML, and the merge field that it is, if it is one; place: words, link (words of one), href, alt."""

    html: str
    field: str | None
    place: str


def render_for_letter(html: str, domain: str, counted: Mapping[str, LinkTarget]) -> list[FieldPart]:
    """Return the words for the letters of a form, cut at the merge fields.

    domain: of the Content-IDs of the pictures. counted: web addresses that lead by our counter.
    """
    import css_inline  # loaded only where there is an HTML letter

    styled = css_inline.inline_fragment(_with_content_ids(html, domain), _STYLES, load_remote_stylesheets=False)
    return list(_split_at_fields(_replace_counted_links(styled, counted) if counted else styled))


def _with_content_ids(html: str, domain: str) -> str:
    return _SOURCE.sub(lambda found: f'src="cid:{found[1]}@{domain}"', html)


def render_for_page(html: str, values: Mapping[str, str], pictures: Mapping[str, str], small: str = "h2") -> str:
    """Return the words as part of a page of ours, filled; pictures: mark → address. A picture that is gone is named."""
    html = html.replace("<h1>", f"<{small}>").replace("</h1>", f"</{small}>")
    html = html.replace("<a href=", '<a rel="noopener noreferrer" href=')
    return fill_parts(_split_at_fields(_IMAGE.sub(lambda found: _page_image(found, pictures), html)), values)


_IMAGE = re.compile(r'<img src="cid:(p-[0-9a-f]{32})" alt="([^"]*)">')


def _page_image(found: re.Match[str], pictures: Mapping[str, str]) -> str:
    address = pictures.get(found[1])
    return f'<img src="{escape(address)}" alt="{found[2]}" loading="lazy">' if address else f"[{found[2]}]"


def fill_parts(parts: Iterator[FieldPart] | list[FieldPart], values: Mapping[str, str]) -> str:
    """Return the words with a reader's values; a name without value in `values` stays as it was written."""
    return "".join(
        [_escape_value(values[name], place) if name and name in values else html for html, name, place in parts]
    )


def _escape_value(value: str, place: str) -> str:
    value = merge.clean_text(value)
    if place == "href":
        return quote(value, safe="")
    if place == "alt":
        return escape(merge.one_line(value))
    cut = linkify.split_at_urls(value) if place == "words" else [(value, None)]
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
    """Lead links by our counter. One that shows an address is shown by words: these must not be two hosts."""

    def led(found: re.Match[str]) -> str:
        way = counted.get(unescape(found[2]))
        if way is None:
            return str(found[0])
        named = link_safety.looks_like_host(unescape(_TAGS.sub("", found[4])))
        shown = escape(way.words) if named else found[4]
        return f"{found[1]}{escape(way.href)}{found[3]}{shown}{found[5]}"

    return _LINK.sub(led, html)
