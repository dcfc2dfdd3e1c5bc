"""What decorated words are made of: blocks of cells, each a character or a picture with its looks (X-15)."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How a stretch of words looks, and where it leads."""

    strong: bool = False
    em: bool = False
    struck: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class InlinePicture:
    """A picture among the words: its mark, and the words for those who do not see it."""

    mark: str
    alt: str


PLAIN_STYLE = TextStyle()
Cell = tuple[str | InlinePicture, TextStyle]


@dataclass(slots=True)
class Block:
    """A heading, item, quotation or stretch of lines. `lists`: what it is an item of, outermost first."""

    kind: str = "div"
    lists: tuple[str, ...] = ()
    cells: list[Cell] = field(default_factory=list)
    apart: bool = False  # a paragraph: a blank line before and behind

    def runs(self) -> Iterator[tuple[str | InlinePicture, TextStyle]]:
        """Give the stretches that look the same; line breaks and pictures stand alone."""
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
