"""Merge fields: replace `{{氏名}}` in a text by a reader's value.

User text is never a template (design decision 10): no expressions, no second expansion, no attribute access.
Full-width braces of Japanese keyboards are accepted. Pasted text is made fit for mail here (RFC 5322 2.2 and 2.3,
RFC 3629 3).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

_FIELD = re.compile(r"(?:\{\{|｛｛)([^{}｛｝\r\n]{1,80})(?:\}\}|｝｝)")
_BREAKS = re.compile("\r\n?|[\u0085\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_GAPS = re.compile("[ \n\t]+")
_SURROGATES = re.compile("[\ud800-\udfff]")


class TextPiece(NamedTuple):
    """A piece of text as written, and the field name if it is a field."""

    text: str
    field: str | None


def split_fields(text: str) -> list[TextPiece]:
    """Split a text at its merge fields; the joined pieces equal the text."""
    found: list[TextPiece] = []
    end = 0
    for match in _FIELD.finditer(text):
        if name := match[1].strip():
            found += [TextPiece(text[end : match.start()], None), TextPiece(match[0], name)]
            end = match.end()
    found.append(TextPiece(text[end:], None))
    return [piece for piece in found if piece.text]


def field_names(text: str) -> list[str]:
    """Return the field names in a text, each once, in order."""
    return list(dict.fromkeys(piece.field for piece in split_fields(text) if piece.field))


def fill_fields(text: str, values: Mapping[str, str], allowed: Collection[str] | None = None) -> str:
    """Replace the allowed fields (default: all with a value). Values are not expanded again.

    An allowed field without value becomes empty. A field that is not allowed stays as written.
    """
    return join_pieces(split_fields(text), values, values if allowed is None else allowed)


def join_pieces(cut: Iterable[TextPiece], values: Mapping[str, str], allowed: Collection[str]) -> str:
    """Join pieces, with fields filled as in `fill_fields`."""
    return "".join([values.get(name, "") if name and name in allowed else text for text, name in cut])


def clean_text(text: str) -> str:
    """Make a text fit for a body: line ends \\n, no control characters but tab.

    Lone surrogates, which UTF-8 cannot encode, become U+FFFD.
    """
    if text.isprintable():
        return text
    text = _CONTROLS.sub("", _BREAKS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", text)


def shorten(text: str, most: int) -> str:
    """Return a text for a place that shows the beginning only, with "…" for what is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def one_line(text: str) -> str:
    """Make a text fit for a header: no control characters; line breaks, tabs and spaces collapse to one space.

    The ideographic space inside Japanese names stays.
    """
    return _GAPS.sub(" ", clean_text(text)).strip()
