"""The parts of a plan: notes, row drafts, lines, the plan. Imports and the rollover use the same plan."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from i18n import N_, say
from models import Membership, MembershipState, Person, User

OUTCOMES = ("added", "changed", "already", "wrong")
OUTCOME_LABELS = {"added": N_("Added"), "changed": N_("Changed"), "already": N_("Skipped"), "wrong": N_("Error")}


@dataclass(frozen=True, slots=True)
class LineNote:
    """A note about a line; a value that is a tuple holds source strings.

    `quiet`: it tells what Kairan did, and needs nobody's look.
    """

    message: str
    values: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False


REPLACE, SECOND, KEEP = "replace", "second", "keep"
"""What to do with a new address of a known guardian."""


@dataclass(frozen=True, slots=True)
class LineChoices:
    """What a user chose on the preview, by place of the row.

    `meant`: rows whose suggested address is taken; `known`: REPLACE, SECOND or KEEP; `left_out`: rows not to register.
    `give_class`: children without a class get the one of the list.
    """

    meant: frozenset[int] = frozenset()
    known: Mapping[int, str] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()
    give_class: bool = True
    unasked: str = ""  # for a known guardian where nobody is asked: REPLACE, SECOND or KEEP


def format_note(language: str, note: LineNote) -> str:
    between = "・" if language == "ja" else ", "
    values = {
        key: between.join(say(language, text) for text in value) if isinstance(value, tuple) else value
        for key, value in note.values.items()
    }
    return say(language, note.message, **values)


@dataclass(slots=True, eq=False)
class RowDraft:
    """A row to write. `row`: the existing one, else None; `fields`: all fields of a new row, or the changed ones.

    `requested`: fields that the importing user may not change; they become a change request. `duplicate_of`: the row,
    unseen by that user, of perhaps the same person.
    """

    row: Any = None
    fields: dict[str, Any] = field(default_factory=dict)
    requested: dict[str, Any] = field(default_factory=dict)
    duplicate_of: Person | None = None
    line: int = 0  # the first line that means it
    place: int = 0  # the place of that line in the plan

    def get(self, name: str) -> Any:
        return self.fields[name] if name in self.fields or self.row is None else getattr(self.row, name)

    def change(self, name: str, value: Any) -> bool:
        """Set a field; return whether that changes an existing row."""
        if self.row is not None and getattr(self.row, name) == value:
            self.fields.pop(name, None)
            return False
        self.fields[name] = value
        return self.row is not None


@dataclass(slots=True)
class PlanLine:
    """One line of the file with its outcome. `notes`: why; `changes`: which fields of existing rows change."""

    number: int
    name: str
    child_name: str
    place: int = 0  # one line of the file may be several rows
    grade: str = ""
    class_name: str = ""
    address: str = ""
    phone: str = ""
    outcome: str = ""
    notes: list[LineNote] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    person: RowDraft | None = None
    child: RowDraft | None = None
    membership: RowDraft | None = None
    meant: str = ""  # the address that was probably meant
    known: Person | None = None  # a guardian who is registered with another address
    choice: str = ""  # what happens to that address: REPLACE, SECOND or KEEP
    may_leave_out: bool = False
    no_person: bool = False

    @property
    def loud(self) -> list[LineNote]:
        """Return the notes that somebody must look at."""
        return [note for note in self.notes if not note.quiet]

    def changed(self, really: bool, label: str) -> None:
        if really and label not in self.changes:
            self.changes.append(label)


@dataclass(slots=True)
class ImportPlan:
    """What an import or a step of the rollover would do.

    `by`: whose change requests it writes. `merges`: household keys to replace {old: new}; `lists`: changes of the lists themselves.
    """

    list_id: int
    now: datetime
    by: User | None = None
    lines: list[PlanLine] = field(default_factory=list)
    merges: dict[str, str] = field(default_factory=dict)
    lists: list[RowDraft] = field(default_factory=list)
    classes_given: int = 0  # children who got the class of the list or of a title

    def add_change(
        self, *, person: RowDraft | None = None, child: RowDraft | None = None, membership: RowDraft | None = None
    ) -> None:
        """Add a line that comes from no file."""
        number = len(self.lines) + 1
        if membership is not None:
            membership.line = membership.place = number
        line = PlanLine(number, "", "", number, outcome="changed", person=person, child=child, membership=membership)
        self.lines.append(line)

    def end_memberships(self, memberships: Iterable[Membership]) -> None:
        """Add the end of some memberships, which then have no class teacher."""
        for row in memberships:
            self.add_change(
                membership=RowDraft(row, {"state": MembershipState.LEFT, "left_at": self.now, "class_teacher": None})
            )

    @property
    def counts(self) -> dict[str, int]:
        """Return how many lines have each outcome, zeros included."""
        found = Counter(line.outcome for line in self.lines)
        return {name: found[name] for name in OUTCOMES}

    @property
    def people(self) -> int:
        """Return how many people (not lines) join the list."""
        return len({id(line.person) for line in self.lines if line.outcome == "added"})

    @property
    def fingerprint(self) -> str:
        """Return a digest of the preview; an import with another one asks again."""
        return preview_digest(";".join(f"{line.place}{line.outcome}" for line in self.lines))

    @property
    def people_by_outcome(self) -> dict[str, int]:
        """Return how many people (not lines) are added, changed or already there; a row with an error is one.

        Rows that are no person (sums, headings) do not count.
        """
        people: dict[int, str] = {}
        for name in ("already", "changed", "added"):
            people |= {id(line.person): name for line in self.lines if line.outcome == name}
        wrong = sum(line.outcome == "wrong" and not line.no_person for line in self.lines)
        return {**{name: 0 for name in OUTCOMES}, **Counter(people.values()), "wrong": wrong}


def preview_digest(shown: object) -> str:
    """Return a digest of what a preview shows."""
    return hashlib.sha256(str(shown).encode()).hexdigest()[:16]
