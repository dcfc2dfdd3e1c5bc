"""Blocks of decorated text, and their normalization (X-15).

A block holds cells: each is a character or a picture with its style. Normalization collapses spaces as browsers do,
joins neighbouring lines, keeps merge fields whole, and turns bare URLs into links.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from mail import merge
from mail.html import links


@dataclass(frozen=True, slots=True)
class TextStyle:
    """The style and link of a piece of text."""

    strong: bool = False
    em: bool = False
    struck: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class InlinePicture:
    """A picture in the text: its id and alt text."""

    mark: str
    alt: str


PLAIN_STYLE = TextStyle()
Cell = tuple[str | InlinePicture, TextStyle]


@dataclass(slots=True)
class Block:
    """A heading, list item, quotation or run of lines. lists: the enclosing lists, outermost first."""

    kind: str = "div"
    lists: tuple[str, ...] = ()
    cells: list[Cell] = field(default_factory=list)
    apart: bool = False  # a paragraph: a blank line before and behind

    def runs(self) -> Iterator[tuple[str | InlinePicture, TextStyle]]:
        """Yield runs of equal style; line breaks and pictures stand alone."""
        words, last = "", PLAIN_STYLE
        for what, marks in self.cells:
            if isinstance(what, InlinePicture) or what == "\n" or marks != last:
                if words:
                    yield words, last
                words = ""
            if isinstance(what, InlinePicture) or what == "\n":
                yield what, marks
            else:
                words += what
            last = marks
        if words:
            yield words, last


# ── normalization ────────────────────────────────────────────────────────────────────────────────────────────────────

SOFT_BREAK = "\f"  # a line end of the source, which is no line end of the words
_MAX_BREAKS = 3
_WIDE = ("W", "F")


def normalize_blocks(blocks: Iterable[Block], most: int) -> list[Block]:
    """Normalize blocks: spaces, neighbouring lines, merge fields, bare URLs.

    most: cells after which no further block is taken; shown targets make text longer than it came.
    """
    joined: list[Block] = []
    cells = 0
    for block in _join_neighbours(blocks):
        block.cells = _show_true_targets(_link_bare_urls(_whole_fields(_few_breaks(block.cells))))
        if block.cells:
            joined.append(block)
        cells += len(block.cells)
        if cells > most:
            break
    return joined


def _join_neighbours(blocks: Iterable[Block]) -> list[Block]:
    """Join neighbouring lines into one block; a paragraph keeps a blank line around it."""
    found: list[Block] = []
    ended_blank = False
    for block in blocks:
        source, block.cells = block.cells, _without_last_break(_collapse_spaces(block.cells))
        while block.kind == "li" and block.cells and block.cells[0][0] == "\xa0":
            block.cells = block.cells[1:]  # what stood between a point and its words in Word
        blank = not has_words(block)
        if blank and not any(what in ("\n", "\xa0") for what, _ in source):
            continue  # nothing but the layout of the source
        last = found[-1] if found else None
        if last and last.kind == block.kind and block.kind in ("div", "quote"):
            apart = (last.apart or block.apart) and not (blank or ended_blank)
            last.cells += [("\n", PLAIN_STYLE)] * (1 + apart) + ([] if blank else block.cells)
            last.apart = block.apart
        elif not blank:
            found.append(block)
        ended_blank = blank
    return found


def _without_last_break(cells: list[Cell]) -> list[Cell]:
    return cells[:-1] if cells and cells[-1][0] == "\n" else cells


def _collapse_spaces(cells: list[Cell]) -> list[Cell]:
    """Collapse spaces as browsers do; a source line end between Japanese characters is dropped."""
    found: list[Cell] = []
    gap: Cell | None = None
    soft = False
    for what, marks in cells:
        if what in (" ", SOFT_BREAK):
            gap, soft = gap or (" ", marks), soft or what == SOFT_BREAK
            continue
        before = found[-1][0] if found else "\n"
        if gap and before != "\n" and what != "\n" and not (soft and _is_wide(before) and _is_wide(what)):
            found.append(gap)
        found.append((what, marks))
        gap, soft = None, False
    return found


def _is_wide(what: str | InlinePicture) -> bool:
    return isinstance(what, str) and unicodedata.east_asian_width(what) in _WIDE


def _few_breaks(cells: list[Cell]) -> list[Cell]:
    """Strip line breaks at both ends, and allow three in a row."""
    found: list[Cell] = []
    breaks = 0
    for what, marks in cells:
        breaks = breaks + 1 if what == "\n" else 0
        if breaks <= _MAX_BREAKS and (found or what != "\n"):
            found.append((what, PLAIN_STYLE if what == "\n" else marks))
    while found and found[-1][0] == "\n":
        found.pop()
    return found if any(what not in ("\xa0", "\n", "\u3000") for what, _ in found) else []


def _cell_text(cells: list[Cell]) -> str:
    """Return the text of cells, one character each."""
    return "".join("\n" if isinstance(what, InlinePicture) else what for what, _ in cells)


def _whole_fields(cells: list[Cell]) -> list[Cell]:
    """Give each merge field one style, that of its first brace, and strip spaces from its name."""
    found: list[Cell] = []
    at = 0
    for text, name in merge.split_fields(_cell_text(cells)):
        if name:
            look = cells[at][1]
            found += [(one, look) for one in f"{{{{{name.strip()}}}}}"]
        else:
            found += cells[at : at + len(text)]
        at += len(text)
    return found


def _link_bare_urls(cells: list[Cell]) -> list[Cell]:
    found: list[Cell] = []
    at = 0
    for text, url in links.split_at_urls(_cell_text(cells)):
        part = cells[at : at + len(text)]
        at += len(text)
        if url and all(marks.href == "" for _, marks in part) and (checked := links.clean_href(url)):
            part = [(what, replace(marks, href=checked)) for what, marks in part]
        found += part
    return found


def _show_true_targets(cells: list[Cell]) -> list[Cell]:
    """Replace link text that names another target by the real target, also for 「www.example.jp」.

    Each target is shown once per block: many names in one link would otherwise multiply its length.
    """
    found: list[Cell] = []
    at = 0
    shown: set[str] = set()
    for begin, end, named in _find_named_targets(_cell_text(cells)):
        false = [look for _, look in cells[begin:end] if not links.link_matches_text(look.href, named)]
        if false:
            words = "…" if false[0].href in shown else false[0].href
            found += cells[at:begin] + [(one, false[0]) for one in words]
            shown.add(false[0].href)
            at = end
    return found + cells[at:]


def _find_named_targets(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and name of each URL, host or mail address in a text."""
    at = 0
    for part, url in links.split_at_urls(text):
        if url:
            yield at, at + len(part), links.host_of_url(url)
        else:
            yield from ((at + begin, at + end, named) for begin, end, named in links.find_bare_names(part))
        at += len(part)


def has_words(block: Block) -> bool:
    return any(isinstance(what, InlinePicture) or what.strip(f" \n{SOFT_BREAK}\xa0") for what, _ in block.cells)
