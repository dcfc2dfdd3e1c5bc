"""Match the lines of the new roster with children: by name and reading, one grade higher.

Nothing is written here. A line is `sure` (one child matches in every way), `doubtful` (an administrator decides), or
`new` (no child matches).
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.imports.columns import RosterRow
from core.members.normalise import is_same_name
from i18n import N_
from models import Child

DECIDED_NEW, DECIDED_SKIP = "new", "skip"

DOUBT_REASONS = {
    "grade": N_("The grade is not the next one."),
    "twice": N_("Several children have this name."),
    "shared": N_("Another line means the same child."),
    "reading": N_("The name is the same, but the reading differs."),
    "spelling": N_("The reading is the same, but the name is written differently."),
    "family": N_("Given name and grade fit, but the family name differs."),
    "half": N_("Name and grade fit, but one of the readings is missing."),
}


@dataclass(slots=True)
class RosterLine:
    """One line of the new roster: candidates, the best first, and why the match is doubtful ('' if it is not)."""

    number: int
    row: RosterRow
    candidates: list[Child] = field(default_factory=list)
    doubt: str = ""
    decision: str = ""  # by hand: a child id, NEW or SKIP

    @property
    def kind(self) -> str:
        if not self.candidates:
            return "new"
        return "doubtful" if self.doubt else "sure"

    @property
    def child(self) -> Child | None:
        """Return the matched child, as far as that is decided."""
        if self.kind == "doubtful":
            return next((child for child in self.candidates if str(child.id) == self.decision), None)
        return self.candidates[0] if self.candidates else None

    @property
    def is_open(self) -> bool:
        """Return whether an administrator must decide."""
        return self.kind == "doubtful" and self.child is None and self.decision not in (DECIDED_NEW, DECIDED_SKIP)

    @property
    def is_new(self) -> bool:
        return self.kind == "new" or (self.kind == "doubtful" and self.decision == DECIDED_NEW)


def match_rows(rows: Iterable[RosterRow], children: Iterable[Child], decided: dict[str, str]) -> list[RosterLine]:
    """Match every line with the continuing children. `decided`: {line number: decision}."""
    index = _ChildIndex(list(children))
    lines = [_match_row(row, index) for row in rows]
    taken = Counter(line.candidates[0].id for line in lines if line.kind == "sure")
    for line in lines:
        if line.kind == "sure" and taken[line.candidates[0].id] > 1:
            line.doubt = "shared"
        line.decision = decided.get(str(line.number), "")
    return lines


class _ChildIndex:
    """The continuing children, by name, reading and given name."""

    def __init__(self, children: list[Child]) -> None:
        self.all = children
        self.by_name: dict[str, list[Child]] = defaultdict(list)
        self.by_kana: dict[str, list[Child]] = defaultdict(list)
        self.by_given: dict[str, list[Child]] = defaultdict(list)
        for child in children:
            self.by_name[without_spaces(child.name)].append(child)
            if child.kana:
                self.by_kana[without_spaces(child.kana)].append(child)
            self.by_given[_given_name(child.name)].append(child)


def _match_row(row: RosterRow, known: _ChildIndex) -> RosterLine:
    line = RosterLine(row.number, row)
    same_name = known.by_name.get(without_spaces(row.child_name)) or _match_lost_characters(row, known)
    exact = [
        child for child in same_name if row.child_kana and without_spaces(child.kana) == without_spaces(row.child_kana)
    ]
    half = [child for child in same_name if not row.child_kana or not child.kana]
    for candidates, doubt in ((exact, ""), (half, "half"), (same_name, "reading")):
        if candidates:
            return _rank_candidates(line, candidates, doubt)
    if row.child_kana and (same_kana := known.by_kana.get(without_spaces(row.child_kana))):
        return _rank_candidates(line, same_kana, "spelling")
    if same_given := [
        child for child in known.by_given.get(_given_name(row.child_name), ()) if is_next_grade(child.grade, row.grade)
    ]:
        return _rank_candidates(line, same_given, "family")
    return line


def _match_lost_characters(row: RosterRow, known: _ChildIndex) -> list[Child]:
    """Find a name in which a character was lost when a file was saved."""
    if "?" not in row.child_name and not any("?" in child.name for child in known.all):
        return []
    return [child for child in known.all if is_same_name(child.name, row.child_name)]


def _rank_candidates(line: RosterLine, candidates: list[Child], doubt: str) -> RosterLine:
    """Set the candidates; the grade decides between children of one name."""
    next_grade = [child for child in candidates if is_next_grade(child.grade, line.row.grade)]
    line.candidates = [*next_grade, *(child for child in candidates if child not in next_grade)]
    if len(next_grade) == 1 and doubt in ("", "half"):
        line.candidates = next_grade
        line.doubt = "half" if doubt and len(candidates) > 1 else ""
    else:
        line.doubt = doubt if doubt not in ("", "half") else "twice" if len(candidates) > 1 else "grade"
    return line


def is_next_grade(before: str, after: str) -> bool:
    """Return whether a grade follows another; a grade that is no number never contradicts."""
    if not (before.isdecimal() and after.isdecimal()):
        return True
    return int(after) == int(before) + 1


def without_spaces(text: str) -> str:
    """Return a name without spaces, in one normal form (NFC)."""
    return "".join(unicodedata.normalize("NFC", text).split())


def _given_name(name: str) -> str:
    """Return the given name; for a name in one piece, a key that matches no other."""
    return name.replace("\u3000", " ").partition(" ")[2] or f"\0{name}"
