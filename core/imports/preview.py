"""What the preview of an import shows: rows to look at, what was put right, all rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from core.imports.columns import Sheet, untaken_columns
from core.imports.plan_model import ImportPlan, LineNote, PlanLine

MANY = 8
"""Rows with the same remark, above which the remark stands once, with the numbers of its rows."""


@dataclass(slots=True)
class Remark:
    """One remark that stands on many rows."""

    note: LineNote
    lines: list[PlanLine] = field(default_factory=list)


@dataclass(slots=True)
class Preview:
    """`look`: rows to look at, with their remarks; `common`: remarks on many rows; `mended`: what Kairan did."""

    look: list[tuple[PlanLine, list[LineNote]]]
    common: list[Remark]
    mended: list[Remark]
    changed: list[PlanLine]
    untaken: list[tuple[int, str]]
    suggestions: list[PlanLine]

    @property
    def count(self) -> int:
        """Return how many rows somebody should look at."""
        rows = {line.place for line, _ in self.look}
        return len(rows | {line.place for remark in self.common for line in remark.lines})


def build_preview(sheet: Sheet, plan: ImportPlan, mapping: tuple[str, ...]) -> Preview:
    loud = _by_message((line, note) for line in plan.lines if _is_plain(line) for note in line.loud)
    common = {message for message, remark in loud.items() if len(remark.lines) > MANY}
    look = []
    for line in plan.lines:
        notes = [note for note in line.loud if not (_is_plain(line) and note.message in common)]
        if notes:
            look.append((line, notes))
    return Preview(
        look=look,
        common=[loud[message] for message in loud if message in common],
        mended=list(_by_message((line, note) for line in plan.lines for note in line.notes if _tells(note)).values()),
        changed=[line for line in plan.lines if line.outcome == "changed"],
        untaken=untaken_columns(sheet, mapping),
        suggestions=[line for line in plan.lines if line.meant],
    )


def _is_plain(line: PlanLine) -> bool:
    """Say whether nothing is asked about a row: its remarks may stand together with those of others."""
    return line.outcome != "wrong" and not line.meant and line.known is None


def _tells(note: LineNote) -> bool:
    return note.quiet and "what" not in note.values and not note.message.startswith("Already registered")


def _by_message(notes: Iterable[tuple[PlanLine, LineNote]]) -> dict[str, Remark]:
    found: dict[str, Remark] = {}
    for line, note in notes:
        found.setdefault(note.message, Remark(note)).lines.append(line)
    return found


def row_numbers(lines: Iterable[PlanLine]) -> str:
    """Return row numbers in short: 3–8, 12."""
    runs: list[list[int]] = []
    for number in sorted({line.number for line in lines}):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)
