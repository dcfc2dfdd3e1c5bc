"""What stands on a stamp: the surname, as it is cut into a personal seal, or 「済」 where none fits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stamp:
    """The characters of one stamp. `size` is how many there are, 1 to 4, for its type size."""

    text: str
    size: int


DONE = Stamp("済", 1)


def surname(name: str) -> str:
    """Return what stands before the first space of a name, or all of it."""
    return name.replace("\u3000", " ").strip().partition(" ")[0]


def given_name(name: str) -> str:
    """Return what stands behind the surname, or all of it."""
    return name.replace("\u3000", " ").strip().partition(" ")[2].strip() or name.strip()


def stamp(name: str) -> Stamp:
    """Return the stamp of a person; Latin letters and more than four characters do not fit into the ring."""
    text = surname(name)
    if not text or len(text) > 4 or text.isascii():
        return DONE
    return Stamp(text, len(text))


def empty_place(name: str) -> Stamp:
    """Return what stands in the place that waits for a stamp: the surname, or its first letter."""
    found = stamp(name)
    return Stamp(surname(name)[:1] or "印", 1) if found == DONE else found
