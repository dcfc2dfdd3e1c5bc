"""The second step of a rollover: preview the new roster line by line, decide doubtful lines, apply it.

Guardians follow their children into the new classes; a stopped membership stays stopped. Lines without a match become
new families with the guardian and address of the line. Without an address they are reached by telephone until they
register with the child's slip. `core.imports` plans and writes them. Known children are matched here, because an import
finds people by their cells, and this file has none for guardians.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core import audit, backup
from core.accounts import class_teacher
from core.errors import DomainError
from core.imports import apply, columns, jobs
from core.imports.class_source import class_from_text
from core.imports.columns import RosterRow, Sheet, read_rows
from core.imports.matching import NO_PERSON
from core.imports.plan import plan_rows
from core.imports.plan_model import SECOND, ImportPlan, LineChoices, RowDraft, preview_digest
from core.imports.read import read_pasted
from core.members import lists
from core.rollover.child_matching import DECIDED_NEW, DECIDED_SKIP, RosterLine, match_rows
from core.rollover.year_end import PreviewOutdated, change_rollover, class_list_candidates
from core.settings import load_settings
from database import db, in_chunks
from i18n import N_, say
from models import Child, MailingList, Membership, MembershipState, Person, Rollover, RolloverState, User


class NoChildColumns(DomainError):
    """The file has no children or no classes."""

    message = N_("No column with the names of the children and their class was found in this roster.")


class UndecidedLines(DomainError):
    """Doubtful lines wait for a decision."""

    message = N_("%(number)s lines are not decided yet.")


@dataclass(frozen=True, slots=True)
class RosterPreview:
    """What the new roster will do. `missing`: continuing children on no line; `leaving`: those marked to leave."""

    lines: tuple[RosterLine, ...]
    missing: tuple[Child, ...]
    leaving: frozenset[int]
    lists_by_class: dict[tuple[str, str], MailingList]
    classes_without_list: tuple[tuple[str, str], ...]  # classes of the roster without a list
    unfilled_lists: tuple[MailingList, ...]  # lists without a line of the roster

    def lines_of_kind(self, kind: str) -> list[RosterLine]:
        return [line for line in self.lines if line.kind == kind]

    @property
    def undecided(self) -> int:
        return sum(line.is_open for line in self.lines)

    @property
    def base_digest(self) -> str:
        """Return a digest of the page before any decision on it."""
        text = ";".join(f"{line.number}{line.kind}{[child.id for child in line.candidates]}" for line in self.lines)
        return preview_digest(f"{text}|{sorted(self.lists_by_class)}")

    @property
    def fingerprint(self) -> str:
        """Return a digest of what will be done."""
        text = ";".join(f"{line.number}{line.child.id if line.child else line.is_new}" for line in self.lines)
        text += f"|{sorted(self.leaving)}|{sorted(child.id for child in self.missing)}|{sorted(self.lists_by_class)}"
        return preview_digest(text)


# ── bringing it in ───────────────────────────────────────────────────────────────────────────────────────────────


def upload_roster(
    rollover: Rollover, *, content: bytes = b"", text: str = "", filename: str = "", take: Iterable[str] = ()
) -> int:
    """Store the lines of a roster until they are applied; return how many.

    An unknown column is read only if a list has this item, or `take` names it: the lines may wait for weeks, and a note
    about an allergy must not. Raises UnreadableFile, NoChildColumns, StepAlreadyDone.
    """
    sheet = columns.find_header(read_pasted(text)) if text.strip() else jobs.read_sheet(content, filename)
    known = {*lists.item_names([row.id for row in MailingList.open_lists()]), *take}
    mapping = columns.drop_unknown_items(sheet, _child_mapping(sheet), known)
    read = read_rows(sheet, mapping, split=False)
    rows = [row for row in read if row.child_name and not row.no_person]
    if not rows or not any(row.grade or row.class_name for row in rows):
        raise NoChildColumns()
    roster = {
        "filename": filename[-120:],
        "rows": [asdict(row) for row in rows],
        "decided": {},
        "leaving": [],
        "untaken": [column or str(place + 1) for place, column in columns.untaken_columns(sheet, mapping)],
        "remarks": [[0, *remark] for remark in sheet.remarks] + _remarks(read),
    }
    change_rollover(rollover, RolloverState.ENDED, roster=roster)
    return len(rows)


def _remarks(rows: Iterable[RosterRow]) -> list[list[Any]]:
    """Return [line, message, values] of lines that are left out, and of cells that were changed or look odd."""
    found: list[list[Any]] = []
    for row in rows:
        if row.no_person:
            found.append([row.number, NO_PERSON[row.no_person], {}])
        elif not row.child_name:
            found.append([row.number, N_("There is no child on this line, so it is left out."), {}])
        found += [[row.number, message, values] for message, values in row.remarks]
    return found


def _child_mapping(sheet: Sheet) -> tuple[str, ...]:
    """Map the columns; in a roster of children a plain 「氏名」 is the child's."""
    mapping = columns.guess_mapping(sheet)
    if "child_name" in mapping:
        return mapping
    return tuple({"name": "child_name", "kana": "child_kana"}.get(field, field) for field in mapping)


def discard_roster(rollover: Rollover) -> None:
    """Drop the stored lines, to upload others. Raises StepAlreadyDone."""
    change_rollover(rollover, RolloverState.ENDED, roster={})


def save_decisions(rollover: Rollover, decided: dict[str, str], leaving: Iterable[int]) -> None:
    """Store the decisions on doubtful lines and on missing children. Raises StepAlreadyDone."""
    lines = {str(line.number): line for line in preview_roster(rollover).lines if line.kind == "doubtful"}
    valid = {
        number: choice
        for number, choice in decided.items()
        if number in lines
        and choice in {DECIDED_NEW, DECIDED_SKIP, *(str(child.id) for child in lines[number].candidates)}
    }
    rollover.roster = {**rollover.roster, "decided": valid}
    missing = {child.id for child in preview_roster(rollover).missing}
    change_rollover(
        rollover, RolloverState.ENDED, roster={**rollover.roster, "leaving": sorted(set(leaving) & missing)}
    )


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


def preview_roster(rollover: Rollover) -> RosterPreview:
    """Work out what the roster will do now."""
    roster = rollover.roster
    continuing = _continuing_children(rollover)
    lines = match_rows([RosterRow(**row) for row in roster["rows"]], continuing, roster["decided"])
    lists_by_class = _list_by_class(rollover)
    classes = dict.fromkeys((line.row.grade, line.row.class_name) for line in lines)
    return RosterPreview(
        lines=tuple(lines),
        missing=tuple(_missing_children(lines, continuing)),
        leaving=frozenset(roster["leaving"]),
        lists_by_class=lists_by_class,
        classes_without_list=tuple(class_ for class_ in classes if class_ not in lists_by_class),
        unfilled_lists=tuple(mailing_list for class_, mailing_list in lists_by_class.items() if class_ not in classes),
    )


def _continuing_children(rollover: Rollover) -> list[Child]:
    """Return the children who did not graduate and had a membership when the year ended, or got one since."""
    ended = _states_at_year_end(rollover)
    numbers = {row.child_id for chunk in in_chunks(ended) for row in _child_ids(Membership.id.in_(chunk))}
    numbers |= {row.child_id for row in _child_ids(Membership.is_member)}
    numbers -= {None, *rollover.plan["graduates"]}
    rows = (row for chunk in in_chunks(numbers) for row in Child.select().where(Child.id.in_(chunk)))
    return sorted(
        rows, key=lambda child: (child.grade.zfill(3), child.class_name.zfill(3), child.kana or child.name, child.id)
    )


def _states_at_year_end(rollover: Rollover) -> dict[int, str]:
    """Return the earlier states of the memberships that ended with the year, by id."""
    logs = (apply.UndoLog.from_json(stored) for stored in rollover.undo["end"])
    return {number: old["state"] for log in logs for number, (old, _) in log.changed["membership"].items()}


def _child_ids(which: Any) -> Any:
    return Membership.select(Membership.child).where(which).distinct()


def _missing_children(lines: Iterable[RosterLine], continuing: Iterable[Child]) -> Iterable[Child]:
    """Yield the children whom no line means or may mean."""
    matched = {line.child.id for line in lines if line.child}
    matched |= {child.id for line in lines if line.is_open for child in line.candidates}
    return (child for child in continuing if child.id not in matched)


def _list_by_class(rollover: Rollover) -> dict[tuple[str, str], MailingList]:
    """Return the open list of each class, by (grade, class); the names of newer lists say their class."""
    known = {int(number): tuple(class_) for number, class_ in rollover.plan["rooms"].items()}
    candidates = class_list_candidates()
    rooms = {known[mailing_list.id]: mailing_list for mailing_list in candidates if mailing_list.id in known}
    for mailing_list in candidates:
        if mailing_list.id not in known and all(class_ := class_from_text(mailing_list.name)):
            rooms.setdefault(class_, mailing_list)
    return rooms


# ── carrying it out ──────────────────────────────────────────────────────────────────────────────────────────────


def apply_roster(rollover: Rollover, by: User | None, now: datetime, *, fingerprint: str) -> RosterPreview:
    """Apply the new roster, after a backup. Raises StepAlreadyDone, PreviewOutdated, UndecidedLines."""
    backup.create_backup_before("roster", now)
    with db.atomic():
        preview = preview_roster(rollover)
        if preview.undecided:
            raise UndecidedLines(number=preview.undecided)
        if preview.fingerprint != fingerprint:
            raise PreviewOutdated()
        undo = {**rollover.undo, "roster": _write_roster(rollover, preview, now)}
        change_rollover(rollover, RolloverState.ENDED, state=RolloverState.DONE, done_at=now, undo=undo, roster={})
        audit.log_action(by, "rollover.roster_in", rollover.id, detail={"lines": len(preview.lines)})
    return preview


def _write_roster(rollover: Rollover, preview: RosterPreview, now: datetime) -> list[dict[str, Any]]:
    """Write children, memberships and new families; open the lists with a roster. Return the undo logs."""
    undo_log = apply.UndoLog()
    for plan in (*_plan_known_children(rollover, preview, now), _plan_lists_and_leaving(preview, now)):
        apply.apply_plan(plan, undo_log=undo_log)
    return [undo_log.as_json(), *_register_new_families(preview, now)]


def _plan_lists_and_leaving(preview: RosterPreview, now: datetime) -> ImportPlan:
    """Plan the opening of the lists, and the end of all memberships of children who have moved away."""
    filled = (row for row in preview.lists_by_class.values() if row not in preview.unfilled_lists)
    plan = ImportPlan(0, now, lists=[RowDraft(row, {"awaiting_roster_since": None}) for row in filled])
    plan.end_memberships(Membership.select().where(Membership.child.in_(preview.leaving), Membership.is_member))
    return plan


def _plan_known_children(rollover: Rollover, preview: RosterPreview, now: datetime) -> Iterable[ImportPlan]:
    """Plan grade and class of the matched children, and the memberships of their guardians in the new classes."""
    lines = [(line, line.child) for line in preview.lines if line.child]
    states = _states_at_year_end(rollover)
    guardians = _memberships_by_guardian(child.id for _, child in lines)
    teachers: dict[MailingList, dict[str, User]] = {}
    plans: dict[int, ImportPlan] = {}
    for line, matched in lines:
        mailing_list = preview.lists_by_class.get((line.row.grade, line.row.class_name))
        list_id = mailing_list.id if mailing_list else 0
        plan = plans.setdefault(list_id, ImportPlan(list_id, now))
        child = RowDraft(matched, _child_fields(line, matched))
        plan.add_change(child=child)
        if mailing_list is None:
            continue
        name = class_teacher.teacher_name_key(line.row.class_teacher)
        if name and mailing_list not in teachers:
            teachers[mailing_list] = class_teacher.candidates_by_name(mailing_list)
        teacher = teachers[mailing_list].get(name) if name else None
        for person, rows in guardians[matched.id].items():
            membership = _draft_membership(rows, list_id, states, now)
            if membership is not None:
                membership.fields["class_teacher"] = teacher.id if teacher else None
                plan.add_change(person=RowDraft(Person(id=person)), child=child, membership=membership)
    return plans.values()


def _child_fields(line: RosterLine, child: Child) -> dict[str, str]:
    """Return grade and class of the line, and the name if it was decided by hand."""
    fields = {"grade": line.row.grade, "class_name": line.row.class_name, "kana": line.row.child_kana or child.kana}
    return fields | ({"name": line.row.child_name} if line.decision else {})


def _memberships_by_guardian(children: Iterable[int]) -> dict[int, dict[int, list[Membership]]]:
    """Return {child: {person: memberships}}, ended ones too."""
    found: dict[int, dict[int, list[Membership]]] = defaultdict(lambda: defaultdict(list))
    for chunk in in_chunks(children):
        for row in Membership.select().where(Membership.child.in_(chunk)).order_by(Membership.id):
            found[row.child_id][row.person_id].append(row)
    return found


def _draft_membership(rows: list[Membership], list_id: int, states: dict[int, str], now: datetime) -> RowDraft | None:
    """Reopen a guardian's ended membership in the new class, else draft one.

    None if the guardian is a member already, or left before the year ended.
    """
    here = next((row for row in rows if row.list_id == list_id), None)
    if (here is not None and here.is_member) or not any(row.is_member or row.id in states for row in rows):
        return None
    state, stopped_by = _state_of_old_class(rows, states)
    fields: dict[str, Any] = {
        "state": state,
        "stopped_by": stopped_by,
        "stopped_at": now if state == MembershipState.STOPPED else None,
        "joined_at": now,
    }
    if here is not None:
        return RowDraft(here, {**fields, "left_at": None})
    relation = next((row.relation for row in rows if row.relation), "")
    return RowDraft(None, {**fields, "relation": relation, "joined_via": "move", "attributes": {}})


def _state_of_old_class(rows: list[Membership], states: dict[int, str]) -> tuple[str, str]:
    """Return (state, stopped_by) of the old class: a stopped membership stays stopped (field.md 3.1)."""
    old = [row for row in rows if row.id in states]
    before = {states[row.id] for row in old}
    if MembershipState.STOPPED in before and MembershipState.ACTIVE not in before:
        stopped_by = (row.stopped_by for row in old if states[row.id] == MembershipState.STOPPED)
        return MembershipState.STOPPED, next(stopped_by, "reader")
    waiting = {MembershipState.PENDING, MembershipState.UNCONFIRMED}
    return (before.pop() if len(before) == 1 and before <= waiting else MembershipState.ACTIVE), ""


def _register_new_families(preview: RosterPreview, now: datetime) -> list[dict[str, Any]]:
    """Import the families of new children into class and whole school; return the undo logs."""
    by_list: dict[MailingList, list[RosterRow]] = defaultdict(list)
    whole = list(MailingList.open_lists().where(MailingList.whole == True))  # noqa: E712
    for line in preview.lines:
        if not line.is_new:
            continue
        row = line.row
        row.name = row.name or say(load_settings().language, N_("Guardian of %(child)s"), child=row.child_name)
        room = preview.lists_by_class.get((row.grade, row.class_name))
        for mailing_list in (*whole, *([room] if room else ())):
            by_list[mailing_list].append(row)
    return [
        apply.apply_plan(
            plan_rows(
                mailing_list, [RosterRow(**asdict(row)) for row in rows], now, choices=LineChoices(unasked=SECOND)
            )
        ).as_json()
        for mailing_list, rows in by_list.items()
    ]
