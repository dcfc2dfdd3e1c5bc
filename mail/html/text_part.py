"""Render decorated text as plain text, complete without HTML or pictures (T-16, X-15).

A URL stands alone on its line, below the line that mentions it (as in `mail.compose`). Struck-out text is marked:
"14:00 15:00" would be read as both.
"""

from collections.abc import Iterator

from i18n import say
from mail.html.normalize import PLAIN_STYLE, Block, InlinePicture, TextStyle
from mail.html.sanitizer import RichDocument


def render_text(document: RichDocument, language: str) -> str:
    """Return the plain text in this language; lines end with \\n."""
    lines: list[str] = []
    numbers: list[int] = []
    last: Block | None = None
    for block in document.blocks:
        if last and (block.kind != last.kind or block.kind == "h1"):
            lines.append("")
        numbers = _item_numbers(numbers, last, block)
        lines += _block(block, language, numbers)
        last = block
    return (
        "\n".join(line.replace("\xa0", " ").rstrip(" ") if line.strip() else "" for line in lines) + "\n"
        if lines
        else ""
    )


def _item_numbers(numbers: list[int], last: Block | None, block: Block) -> list[int]:
    """Return the item number of a block in each of its lists."""
    before = last.lists if last else ()
    same = [
        kept for kept, (old, new) in zip(numbers, zip(before, block.lists, strict=False), strict=False) if old == new
    ]
    kept = [*same, *[0] * (len(block.lists) - len(same))]
    return [*kept[:-1], kept[-1] + 1] if kept else []


def _block(block: Block, language: str, numbers: list[int]) -> Iterator[str]:
    """Yield the lines of a block with their prefixes."""
    first, other = _line_prefix(block, language, numbers)
    for number, line in enumerate(_lines(block, language)):
        address = line.startswith(("http://", "https://"))  # moved in, it would be no line of its own
        yield line if address else f"{other if number else first}{line}"


def _line_prefix(block: Block, language: str, numbers: list[int]) -> tuple[str, str]:
    if block.kind == "h1":
        return "■ ", "　"
    if block.kind == "quote":
        return "> ", "> "
    if not block.lists:
        return "", ""
    space = "　" if language == "ja" else "  "
    point = f"{numbers[-1]}. " if block.lists[-1] == "ol" else "・" if language == "ja" else "- "
    return space * (len(block.lists) - 1) + point, space * len(block.lists)


def _lines(block: Block, language: str) -> Iterator[str]:
    """Yield the lines of a block; link targets follow their line."""
    line, after_picture = "", False
    leads: dict[str, str] = {}
    for what, marks in [*block.runs(), ("\n", PLAIN_STYLE)]:
        if isinstance(what, InlinePicture):
            yield from _finish_line(line, leads, language)
            yield _picture(what, language)
            line, leads, after_picture = "", _note_link({}, what.alt, marks), True
        elif what == "\n":
            yield from _finish_line(line, leads, language, bare=not after_picture)
            line, leads, after_picture = "", {}, False
        else:
            leads = _note_link(leads, what, marks)
            line += say(language, "[struck out: %(words)s]", words=what) if marks.struck else what


def _note_link(leads: dict[str, str], words: str, marks: TextStyle) -> dict[str, str]:
    """Add text to a link target; one link may consist of several runs."""
    return {**leads, marks.href: leads.get(marks.href, "") + words} if marks.href else leads


def _finish_line(line: str, leads: dict[str, str], language: str, bare: bool = False) -> Iterator[str]:
    """Yield a finished line and the targets that it does not show."""
    if line.strip() or leads or bare:
        if line or not leads:
            yield line
        hidden = {
            _readable_href(href): words.strip() for href, words in leads.items() if _readable_href(href) not in line
        }
        for address, words in hidden.items():
            if len(hidden) > 1:
                yield say(language, "“%(words)s”:", words=words)
            yield address


def _readable_href(href: str) -> str:
    """Return a link target without `mailto:` or `tel:`."""
    return href.removeprefix("mailto:").removeprefix("tel:")


def _picture(picture: InlinePicture, language: str) -> str:
    if not picture.alt:
        return say(language, "[Picture]")
    return say(language, "[Picture: %(words)s]", words=picture.alt)
