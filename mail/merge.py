"""Merge fields: `{{氏名}}` in a text replaced by a reader's value, and nothing more.

User text is never a template (design decision 10): no expressions, no second expansion, no
attribute access. Full-width braces, as Japanese keyboards give them, are taken too.
What people paste is also made fit for a mail here (RFC 5322 2.2 and 2.3, RFC 3629 3).
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
    """A stretch of a text as it was written, and the field's name if it is one."""

    text: str
    field: str | None


def split_fields(text: str) -> list[TextPiece]:
    """Cut a text at its merge fields; joined again, the pieces are the text."""
    found: list[TextPiece] = []
    end = 0
    for match in _FIELD.finditer(text):
        if name := match[1].strip():
            found += [TextPiece(text[end : match.start()], None), TextPiece(match[0], name)]
            end = match.end()
    found.append(TextPiece(text[end:], None))
    return [piece for piece in found if piece.text]


def field_names(text: str) -> list[str]:
    """Return the names of the merge fields in a text, each once, in order of appearance."""
    return list(dict.fromkeys(piece.field for piece in split_fields(text) if piece.field))


def unknown_fields(text: str, known: Collection[str]) -> list[str]:
    """Return the names in a text that are no field, so that a page can refuse them in time."""
    return [name for name in field_names(text) if name not in known]


def fill_fields(text: str, values: Mapping[str, str], allowed: Collection[str] | None = None) -> str:
    """Replace the allowed fields (default: all with a value); values are never expanded again.

    An allowed field without value becomes empty, so that no reader ever sees its braces; a name
    that is not allowed stays as it was written.
    """
    return join_pieces(split_fields(text), values, values if allowed is None else allowed)


def join_pieces(cut: Iterable[TextPiece], values: Mapping[str, str], allowed: Collection[str]) -> str:
    """Put a text together again from its pieces, fields filled as `fill` says."""
    return "".join([values.get(name, "") if name and name in allowed else text for text, name in cut])


def clean_text(text: str) -> str:
    """Return a text fit for a letter's body: lines end with \\n, no control characters but tab.

    Half characters (lone surrogates), which UTF-8 cannot carry, become U+FFFD.
    """
    if text.isprintable():
        return text
    text = _CONTROLS.sub("", _BREAKS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return a text fit for a header: no control characters; breaks, tabs and spaces in a row are one space.

    The ideographic space between the two parts of a Japanese name stays.
    """
    return _GAPS.sub(" ", clean_text(text)).strip()
