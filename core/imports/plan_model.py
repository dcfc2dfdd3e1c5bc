"""What an import is made of while it is being worked out: drafts of rows, lines, the plan."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from i18n import N_, say

OUTCOMES = ("added", "changed", "already", "wrong")
OUTCOME_LABELS = {"added": N_("Added"), "changed": N_("Changed"), "already": N_("Skipped"), "wrong": N_("Error")}


@dataclass(frozen=True, slots=True)
class LineNote:
    """A sentence about a line; a value that is a tuple holds source strings of its own."""

    message: str
    values: dict[str, Any] = field(default_factory=dict)


def format_note(language: str, note: LineNote) -> str:
    """Return a note in a language."""
    between = "・" if language == "ja" else ", "
    values = {
        key: between.join(say(language, one) for one in value) if isinstance(value, tuple) else value
        for key, value in note.values.items()
    }
    return say(language, note.message, **values)


@dataclass(slots=True, eq=False)
class RowDraft:
    """A row to be: `row` is the one that exists, else None; `fields` are all of a new row, or the changed ones."""

    row: Any = None
    fields: dict[str, Any] = field(default_factory=dict)
    line: int = 0  # the first line that means it

    def get(self, name: str) -> Any:
        """Return what the field will hold."""
        return self.fields[name] if name in self.fields or self.row is None else getattr(self.row, name)

    def change(self, name: str, value: Any) -> bool:
        """Set a field; say whether that changes a row that exists."""
        if self.row is not None and getattr(self.row, name) == value:
            self.fields.pop(name, None)
            return False
        self.fields[name] = value
        return self.row is not None


@dataclass(slots=True)
class PlanLine:
    """One line of the file and what becomes of it; `notes` say why, `changes` name what changes of known rows."""

    number: int
    name: str
    child_name: str
    outcome: str = ""
    notes: list[LineNote] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    person: RowDraft | None = None
    child: RowDraft | None = None
    membership: RowDraft | None = None

    def changed(self, really: bool, label: str) -> None:
        """Note a change of a row that exists."""
        if really and label not in self.changes:
            self.changes.append(label)


@dataclass(slots=True)
class ImportPlan:
    """What an import would do. `merges`: household keys that become another one."""

    list_id: int
    now: datetime
    lines: list[PlanLine]
    merges: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many lines have each outcome, all keys present."""
        found = Counter(line.outcome for line in self.lines)
        return {name: found[name] for name in OUTCOMES}

    @property
    def people(self) -> int:
        """Return how many people (not lines) join the list."""
        return len({id(line.person) for line in self.lines if line.outcome == "added"})

    @property
    def fingerprint(self) -> str:
        """Return a short mark of what the preview showed; an import with another mark asks once more."""
        shown = ";".join(f"{line.number}{line.outcome}" for line in self.lines)
        return hashlib.sha256(shown.encode()).hexdigest()[:16]
