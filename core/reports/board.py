"""The board of a notice: a cell for each household, by class (T-45, N-17).

`core.household_reads` decides what a household has read. Families without an address have a cell too. A telephone call is
marked in the cell, but is no stamp.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from zlib import crc32

from peewee import fn

from core import household_reads
from core.display_names import Stamp, given_name, make_stamp, placeholder_stamp
from core.reports import board_rows, poll_results
from core.reports.board_rows import BoardReader, CoveredMembership, StoppedReader, natural_sort_key
from database import millis
from models import Delivery, MailingList, Notice, count_letters

IDLE_AFTER = timedelta(minutes=10)


@dataclass
class BoardUnit:
    """A household (or person) with its readers, and its children by class."""

    key: str
    readers: list[BoardReader] = field(default_factory=list)
    rooms: dict[str, dict[str, str]] = field(default_factory=dict)  # room key → child's name → kana

    @cached_property
    def counted(self) -> list[BoardReader]:
        """Return its readers without those who had stopped the mail; all of them if the whole household had."""
        return [one for one in self.readers if not one.resting] or self.readers

    @cached_property
    def state(self) -> str:
        """Return the best state of its readers; `trouble` only if no letter arrived at any of them."""
        states = {one.state for one in self.counted}
        return next(state for state in ("read", "told", "sent", "going", "trouble") if state in states)

    @cached_property
    def letter_state(self) -> str:
        """Return the state without regard to telephone calls."""
        states = {"trouble" if one.state == "told" and one.failed else one.state for one in self.counted}
        return next((state for state in ("read", "sent", "going", "told") if state in states), "trouble")

    @property
    def read_at(self) -> datetime | None:
        return min((one.read_at for one in self.readers if one.read_at), default=None)

    @property
    def told(self) -> BoardReader | None:
        return next((one for one in self.counted if one.phoned_at), None)

    @property
    def replied(self) -> bool:
        return any(one.replied_at for one in self.readers)

    @property
    def trouble(self) -> str:
        """Return why no letter is known to have arrived, a key of FAILURE_ADVICE; empty if one is, or none is needed."""
        if self.state in ("read", "told") or not all(one.trouble for one in self.counted):
            return ""
        return next(one.trouble for one in self.counted if one.state == self.state)

    @property
    def resting(self) -> bool:
        """Say whether the whole household had unsubscribed before this notice."""
        return all(one.resting for one in self.readers)

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(one.name for one in self.readers))

    @property
    def children(self) -> list[str]:
        return list(dict.fromkeys(name for held in self.rooms.values() for name in held if name))

    @property
    def classes(self) -> list[tuple[str, str]]:
        """Return grade and class of its children, in order."""
        held = [tuple(key.split("\t")[:2]) for key in self.rooms]
        return [(grade, name) for grade, name in held if grade or name]

    @property
    def possibly_twice(self) -> bool:
        return any(one.possibly_twice for one in self.readers)

    @property
    def phones(self) -> list[tuple[str, str]]:
        return [(one.name, one.phone) for one in self.readers if one.phone]

    @property
    def numbers(self) -> str:
        """Return the delivery ids that the telephone form marks, or those already marked."""
        marked = [one.number for one in self.readers if one.phoned_at]
        return ",".join(str(number) for number in marked or [self.counted[0].number])


@dataclass(frozen=True, slots=True)
class BoardCell:
    """One cell: a unit in one class."""

    unit: BoardUnit
    stamp: Stamp
    name: str
    full_name: str
    kana: str
    state: str
    replied: bool
    at: datetime | None
    trouble: str
    said: str = ""  # what was answered to the first question


@dataclass(slots=True)
class BoardClass:
    """A class, or a list if its members have no class. `short`: the label on the filter chips."""

    key: str
    grade: str
    class_name: str
    list_name: str
    places: list[BoardCell] = field(default_factory=list)

    @property
    def short(self) -> str:
        return "-".join(part for part in (self.grade, self.class_name) if part) or self.list_name

    @property
    def mark(self) -> str:
        """Return an ASCII name for URLs and element ids."""
        return f"c{crc32(self.key.encode()):x}"

    def count(self, *states: str) -> int:
        return sum(place.state in states for place in self.places)

    @property
    def left(self) -> int:
        return len(self.places) - self.count("read", "told")


@dataclass(frozen=True)
class Board:
    """The board of a notice as one user may see it."""

    units: tuple[BoardUnit, ...]
    resting: tuple[BoardUnit, ...]  # had stopped the mail before: they are named, not counted
    rooms: tuple[BoardClass, ...]
    readers: tuple[BoardReader, ...]
    stopped: tuple[StoppedReader, ...]
    letters: dict[str, int]

    def count(self, *states: str) -> int:
        """Count the units in these states."""
        return sum(one.state in states for one in self.units)

    @property
    def left(self) -> int:
        return len(self.units) - self.count("read", "told")

    @cached_property
    def troubled(self) -> list[BoardUnit]:
        """Return the units that certainly received no letter."""
        return [one for one in self.units if one.state == "trouble"]

    @cached_property
    def waiting(self) -> list[BoardUnit]:
        """Return the units that may have received the notice and have not read it; doubtful ones come first."""
        return sorted((one for one in self.units if one.state in ("sent", "going")), key=lambda one: not one.trouble)

    @cached_property
    def told(self) -> list[BoardUnit]:
        return [one for one in self.units if one.state == "told"]

    @property
    def by_child(self) -> bool:
        """Say whether letters differ by child, so that each child has a stamp."""
        return any(one.child for one in self.readers)

    @property
    def strange(self) -> list[BoardReader]:
        """Return the readers who reported that the letter was meant for another family."""
        return [one for one in self.readers if one.misdirected_at]

    @property
    def possibly_twice(self) -> list[BoardReader]:
        """Return the readers whose letter was sent again after an unknown outcome."""
        return [one for one in self.readers if one.possibly_twice]

    @property
    def persons(self) -> tuple[int, int]:
        """Return how many readers have read, and how many there are."""
        asked = [one for one in self.readers if not one.resting]
        return sum(one.read_at is not None for one in asked), len(asked)

    def room(self, mark: str) -> BoardClass | None:
        return next((one for one in self.rooms if one.mark == mark), None)


def build_board(notice: Notice, *, lists: Collection[int] | None = None, by: str = "household") -> Board:
    """Build the board of a notice, by `household` or by `person`. `lists`: visible lists, None for all."""
    rows = board_rows.load_board_data(notice, lists)
    names = dict(MailingList.select(MailingList.id, MailingList.name).tuples())
    units: dict[str, BoardUnit] = {}
    rooms: dict[str, BoardClass] = {}
    for reader in rows.readers:
        for cell in reader.cells:
            _add_reader(units, rooms, reader, cell, names, by)
    asked = tuple(one for one in units.values() if not one.resting)
    resting = tuple(one for one in units.values() if one.resting)
    _fill_classes(rooms, asked, poll_results.first_answer_texts(notice))
    ordered = tuple(sorted((one for one in rooms.values() if one.places), key=_class_order))
    return Board(asked, resting, ordered, rows.readers, rows.stopped, rows.letters)


def _add_reader(
    units: dict[str, BoardUnit],
    rooms: dict[str, BoardClass],
    reader: BoardReader,
    cell: CoveredMembership,
    names: dict[int, str],
    by: str,
) -> None:
    key = household_reads.unit_key(cell.household if by == "household" else "", reader.child, reader.number)
    unit = units.setdefault(key, BoardUnit(key))
    if not unit.readers or unit.readers[-1] is not reader:
        unit.readers.append(reader)
    in_list = "" if cell.grade or cell.class_name else names.get(cell.list_id or 0, "")
    room = "\t".join((cell.grade, cell.class_name, in_list))
    rooms.setdefault(room, BoardClass(room, cell.grade, cell.class_name, in_list))
    unit.rooms.setdefault(room, {})[cell.child_name] = cell.child_kana


def _class_order(room: BoardClass) -> tuple:
    return bool(room.list_name), natural_sort_key(room.grade), natural_sort_key(room.class_name), room.list_name


def _fill_classes(rooms: dict[str, BoardClass], units: Iterable[BoardUnit], said: dict[int, str]) -> None:
    """Put each unit into its classes: unread first, then by kana."""
    for unit in units:
        state, read_at = unit.state, unit.read_at
        for key, children in unit.rooms.items():
            rooms[key].places.append(_build_cell(unit, children, state, read_at, said))
    for room in rooms.values():
        room.places.sort(key=lambda place: (place.state in ("read", "told"), place.kana))


def _build_cell(
    unit: BoardUnit, children: dict[str, str], state: str, read_at: datetime | None, said: dict[int, str]
) -> BoardCell:
    names = [name for name in children if name] or unit.names[:1]
    cut = make_stamp(names[0]) if state == "read" else placeholder_stamp(names[0])
    told = unit.told
    return BoardCell(
        unit=unit,
        stamp=cut,
        name="・".join(given_name(name) for name in names),
        full_name="・".join(names),
        kana=next((kana for kana in children.values() if kana), unit.readers[0].kana) or names[0],
        state=state,
        replied=unit.replied,
        at=read_at or (told.phoned_at if told else None),
        trouble=unit.trouble,
        said=next((said[one.number] for one in unit.readers if one.number in said), ""),
    )


# ── polling ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class BoardVersion:
    """A hash that changes with the board. `quiet`: nothing changed for ten minutes, so the page polls less often."""

    serial: str
    quiet: bool


def board_version(notice: Notice, now: datetime) -> BoardVersion:
    """Return the version of a board from two small queries; equal serials mean no change."""
    moments = (Delivery.read_at, Delivery.phoned_at, Delivery.replied_at, Delivery.misdirected_at)
    row = (
        Delivery.select(*(fn.COUNT(one) for one in moments), *(fn.MAX(one) for one in moments))
        .where(Delivery.notice == notice)
        .tuples()
        .get()
    )
    latest = [_in_millis(one) for one in (*row[4:], notice.started_at, notice.updated_at)]
    quiet = max(latest) < millis(now - IDLE_AFTER)
    letters = sorted(count_letters(notice.id).items())
    seen = f"{row} {letters} {notice.state} {notice.serial} {quiet} {poll_results.poll_version(notice)}"
    return BoardVersion(f"{crc32(seen.encode()):08x}", quiet)


def _in_millis(moment: datetime | int | None) -> int:
    return millis(moment) if isinstance(moment, datetime) else moment or 0


def short_hash(*values: object) -> str:
    """Return a hash of five characters."""
    return f"{crc32(repr(values).encode()) & 0xFFFFF:05x}"


def class_hash(places: Iterable[BoardCell]) -> str:
    """Return the hash of the cells of a class."""
    return short_hash(*((one.full_name, one.state, one.at, one.replied, one.trouble, one.said) for one in places))
