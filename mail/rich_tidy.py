"""Tidy decorated words (X-15): spaces as browsers show them, neighbouring lines in one block, merge fields whole, and
bare addresses as links.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mail import href, links, merge
from mail.rich_parts import PLAIN, Block, Cell, Picture

SOFT = "\f"  # a line end of the source, which is no line end of the words
_BREAKS_MOST = 3
_WIDE = ("W", "F")


def tidied(blocks: Iterable[Block], most: int) -> list[Block]:
    """Return blocks with tidy spaces, lines of neighbours joined, fields whole and bare addresses as links.

    most: cells after which no further block is taken; addresses that are shown make words longer than they came.
    """
    joined: list[Block] = []
    cells = 0
    for block in _neighbours(blocks):
        block.cells = _honest(_linked(_whole_fields(_few_breaks(block.cells))))
        if block.cells:
            joined.append(block)
        cells += len(block.cells)
        if cells > most:
            break
    return joined


def _neighbours(blocks: Iterable[Block]) -> list[Block]:
    """Join lines that follow each other into one block; a paragraph stands apart from its neighbours."""
    found: list[Block] = []
    ended_blank = False
    for block in blocks:
        source, block.cells = block.cells, _without_last_break(_spaced(block.cells))
        while block.kind == "li" and block.cells and block.cells[0][0] == "\xa0":
            block.cells = block.cells[1:]  # what stood between a point and its words in Word
        blank = not has_words(block)
        if blank and not any(what in ("\n", "\xa0") for what, _ in source):
            continue  # nothing but the layout of the source
        last = found[-1] if found else None
        if last and last.kind == block.kind and block.kind in ("div", "quote"):
            apart = (last.apart or block.apart) and not (blank or ended_blank)
            last.cells += [("\n", PLAIN)] * (1 + apart) + ([] if blank else block.cells)
            last.apart = block.apart
        elif not blank:
            found.append(block)
        ended_blank = blank
    return found


def _without_last_break(cells: list[Cell]) -> list[Cell]:
    return cells[:-1] if cells and cells[-1][0] == "\n" else cells


def _spaced(cells: list[Cell]) -> list[Cell]:
    """Collapse spaces as browsers do; a line end of the source between Japanese characters is nothing at all."""
    found: list[Cell] = []
    gap: Cell | None = None
    soft = False
    for what, marks in cells:
        if what in (" ", SOFT):
            gap, soft = gap or (" ", marks), soft or what == SOFT
            continue
        before = found[-1][0] if found else "\n"
        if gap and before != "\n" and what != "\n" and not (soft and _is_wide(before) and _is_wide(what)):
            found.append(gap)
        found.append((what, marks))
        gap, soft = None, False
    return found


def _is_wide(what: str | Picture) -> bool:
    return isinstance(what, str) and unicodedata.east_asian_width(what) in _WIDE


def _few_breaks(cells: list[Cell]) -> list[Cell]:
    """Take line breaks off both ends, and more than three in a row."""
    found: list[Cell] = []
    breaks = 0
    for what, marks in cells:
        breaks = breaks + 1 if what == "\n" else 0
        if breaks <= _BREAKS_MOST and (found or what != "\n"):
            found.append((what, PLAIN if what == "\n" else marks))
    while found and found[-1][0] == "\n":
        found.pop()
    return found if any(what not in ("\xa0", "\n", "\u3000") for what, _ in found) else []


def _said(cells: list[Cell]) -> str:
    """Return the words of cells, one character for each."""
    return "".join("\n" if isinstance(what, Picture) else what for what, _ in cells)


def _whole_fields(cells: list[Cell]) -> list[Cell]:
    """Give each merge field one look, that of its first brace, and its name without spaces around it."""
    found: list[Cell] = []
    at = 0
    for text, name in merge.pieces(_said(cells)):
        if name:
            look = cells[at][1]
            found += [(one, look) for one in f"{{{{{name.strip()}}}}}"]
        else:
            found += cells[at : at + len(text)]
        at += len(text)
    return found


def _linked(cells: list[Cell]) -> list[Cell]:
    """Make bare web addresses links."""
    found: list[Cell] = []
    at = 0
    for text, url in links.cut(_said(cells)):
        part = cells[at : at + len(text)]
        at += len(text)
        if url and all(marks.href == "" for _, marks in part) and (checked := href.checked(url)):
            part = [(what, replace(marks, href=checked)) for what, marks in part]
        found += part
    return found


def _honest(cells: list[Cell]) -> list[Cell]:
    """Show where a link leads in place of what its words name instead, be it only as 「www.example.jp」.

    Each address is shown once a block: many names in one link would else make many times its length of it.
    """
    found: list[Cell] = []
    at = 0
    shown: set[str] = set()
    for begin, end, named in _named(_said(cells)):
        false = [look for _, look in cells[begin:end] if not href.is_named(look.href, named)]
        if false:
            words = "…" if false[0].href in shown else false[0].href
            found += cells[at:begin] + [(one, false[0]) for one in words]
            shown.add(false[0].href)
            at = end
    return found + cells[at:]


def _named(text: str) -> Iterator[tuple[int, int, str]]:
    """Give where words name a web address, a host or a mail address, and which."""
    at = 0
    for part, url in links.cut(text):
        if url:
            yield at, at + len(part), href.host(url)
        else:
            yield from ((at + begin, at + end, named) for begin, end, named in href.bare_names(part))
        at += len(part)


def has_words(block: Block) -> bool:
    return any(isinstance(what, Picture) or what.strip(f" \n{SOFT}\xa0") for what, _ in block.cells)
