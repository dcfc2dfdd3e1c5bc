"""Write the plan of an import or of a rollover step in chunks of one short transaction each, and undo it.

New rows are inserted together and found again by their ids: inside an immediate transaction no other process inserts.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from peewee import fn

from core.imports.plan_model import ImportPlan, PlanLine, RowDraft
from core.members import change_requests, households
from core.permissions import Permissions
from database import db, in_chunks, millis
from models import BaseModel, Child, Delivery, DeliveryMembership, Letter, MailingList, Membership, Person

CHUNK_LINES = 500  # lines of one transaction, about 50 ms

# In the order of writing; undo goes the other way.
TABLES: dict[str, type[BaseModel]] = {"list": MailingList, "person": Person, "child": Child, "membership": Membership}
# Columns of the digest: if one of them differs later, undo skips the row. A list is never skipped.
_DIGEST_FIELDS: dict[str, tuple[str, ...]] = {
    "list": (),
    "person": ("name", "kana", "address", "phone", "language", "household", "address_state"),
    "child": ("name", "kana", "grade", "class_name", "household", "attributes"),
    "membership": ("child_id", "relation", "attributes", "state", "stopped_by"),
}


@dataclass(slots=True)
class UndoLog:
    """What was written: {table: {id: digest}} made, {table: {id: [old values, digest]}} changed.

    Undo skips a row whose digest differs. An empty digest matches every row.
    """

    made: dict[str, dict[int, str]] = field(default_factory=lambda: {name: {} for name in TABLES})
    changed: dict[str, dict[int, list[Any]]] = field(default_factory=lambda: {name: {} for name in TABLES})

    def as_json(self) -> dict[str, Any]:
        return {"made": self.made, "changed": self.changed}

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> "UndoLog":
        """Read it from the detail of a Job, to continue an interrupted import."""
        if stored is None:
            return cls()
        log = cls()
        for part in ("made", "changed"):
            for name, rows in stored[part].items():
                getattr(log, part)[name] = {int(number): entry for number, entry in rows.items()}
        return log


def apply_plan(
    plan: ImportPlan, note: Callable[[int], None] = lambda done: None, undo_log: UndoLog | None = None
) -> UndoLog:
    """Write a plan; `note` gets the number of lines done, inside the transaction of each chunk.

    `undo_log`: of an earlier attempt, to be extended. Raises peewee.IntegrityError if another process registered one of
    the addresses meanwhile. Earlier chunks stay written; a new plan then finds them "already there".
    """
    undo_log = UndoLog() if undo_log is None else undo_log
    with db.atomic():
        _update_drafts("list", plan.lists, undo_log)
        _merge_households(plan, undo_log)
        note(0)
    lines = [line for line in plan.lines if line.outcome != "wrong"]
    for start in range(0, len(lines), CHUNK_LINES):
        chunk = lines[start : start + CHUNK_LINES]
        with db.atomic():
            _write_chunk(plan, chunk, undo_log)
            note(start + len(chunk))
    return undo_log


def _merge_households(plan: ImportPlan, undo_log: UndoLog) -> None:
    """Merge households; a row that this log made is deleted by an undo, another one gets its first household back."""
    merged: dict[str, set[int]] = {"person": set(), "child": set()}
    for table, number, old in households.merge_households(plan.merges):
        name = table.__name__.lower()
        merged[name].add(number)
        if number not in undo_log.made[name]:
            earlier = undo_log.changed[name].get(number, [{}, ""])[0]
            undo_log.changed[name][number] = [{"household": old, **earlier}, ""]
    for name, numbers in merged.items():
        for chunk in in_chunks(numbers & set(undo_log.made[name])):
            for row in TABLES[name].select().where(TABLES[name].id.in_(chunk)):
                undo_log.made[name][row.id] = row_digest(name, row)


def _write_chunk(plan: ImportPlan, chunk: list[PlanLine], undo_log: UndoLog) -> None:
    people = _unique_drafts(line.person for line in chunk)
    children = _unique_drafts(line.child for line in chunk)
    for name, drafts in (("person", people), ("child", children)):
        _update_drafts(name, [draft for draft in drafts if draft.row is not None and draft.fields], undo_log)
        _insert_drafts(name, [draft for draft in drafts if draft.row is None], undo_log)
    new, known = [], []
    for line in chunk:
        draft = line.membership
        if draft is None or draft.place != line.place:
            continue
        if draft.row is None and line.person is not None:
            draft.fields |= {"person": line.person.row.id, "list": plan.list_id}
            draft.fields["child"] = line.child.row.id if line.child else None
            new.append(draft)
        elif draft.row is not None and draft.fields:
            if draft.fields.get("child") is True and line.child:
                draft.fields["child"] = line.child.row.id
            known.append(draft)
    _store_requests(plan, chunk)
    _update_drafts("membership", known, undo_log)
    _insert_drafts("membership", new, undo_log)


def _store_requests(plan: ImportPlan, chunk: list[PlanLine]) -> None:
    """Write the change requests of a chunk: for fields that the user may not change, and for second rows of a person."""
    for line in chunk:
        person, child = line.person, line.child
        if person is None:
            continue
        if person.duplicate_of is not None:
            change_requests.request_merge(person.duplicate_of, person.row, plan.list_id, plan.by, plan.now)
            person.duplicate_of = None
        for draft, of_child in ((person, None), (child, child)):
            if draft is not None and draft.requested:
                number = of_child.row.id if of_child else None
                change_requests.request_change(person.row.id, number, draft.requested, plan.list_id, plan.by, plan.now)
                draft.requested = {}


def _unique_drafts(drafts: Iterable[RowDraft | None]) -> list[RowDraft]:
    return list({id(draft): draft for draft in drafts if draft is not None}.values())


def _insert_drafts(name: str, drafts: list[RowDraft], undo_log: UndoLog) -> None:
    """Insert new rows together and set the row of each draft."""
    if not drafts:
        return
    table = TABLES[name]
    before = table.select(fn.MAX(table.id)).scalar() or 0
    table.insert_many([draft.fields for draft in drafts]).execute()
    numbers = [row[0] for row in table.select(table.id).where(table.id > before).order_by(table.id).tuples()]
    for draft, number in zip(drafts, numbers, strict=True):
        draft.row = table(id=number, **draft.fields)
        draft.fields = {}
        undo_log.made[name][number] = row_digest(name, draft.row)


def _update_drafts(name: str, drafts: list[RowDraft], undo_log: UndoLog) -> None:
    """Update existing rows, 500 at once; the undo log gets the old values."""
    if not drafts:
        return
    table = TABLES[name]
    touched: set[str] = set()
    for draft in drafts:
        column = {key: f"{key}_id" if key in ("child", "class_teacher") else key for key in draft.fields}
        old = {key: getattr(draft.row, column[key]) for key in draft.fields}
        for key, value in draft.fields.items():
            setattr(draft.row, key, value)
        touched |= set(draft.fields)
        if draft.row.id in undo_log.made[name]:
            undo_log.made[name][draft.row.id] = row_digest(name, draft.row)
        else:
            earlier = undo_log.changed[name].get(draft.row.id, [{}, ""])[0]
            undo_log.changed[name][draft.row.id] = [{**_to_json_values(old), **earlier}, row_digest(name, draft.row)]
        draft.fields = {}
    fields = [getattr(table, key) for key in sorted(touched)]
    table.bulk_update([draft.row for draft in drafts], fields, batch_size=500)


def _to_json_values(old: dict[str, Any]) -> dict[str, Any]:
    return {key: (value.isoformat() if hasattr(value, "isoformat") else value) for key, value in old.items()}


def row_digest(name: str, row: Any) -> str:
    """Return the digest of a row. An ended membership has its end in it: undo skips one that a reader ended again."""
    values = [getattr(row, column) for column in _DIGEST_FIELDS[name]]
    values += [millis(row.left_at)] if name == "membership" and row.left_at else []
    text = json.dumps(values, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# ── undo ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def undo_changes(stored: dict[str, Any], rights: Permissions | None = None) -> tuple[int, int]:
    """Undo what a plan wrote; return (rows undone, rows skipped). `stored`: an UndoLog as JSON.

    A row is skipped if it was changed since, got a letter, or is used by a newer row. `rights`: people and children
    that the user may not edit today are skipped too, for example because they joined another list since.
    """
    undone = skipped = 0
    undo_log = UndoLog.from_json(stored)
    with db.atomic():
        for name in reversed(TABLES):
            made, changed = undo_log.made[name], undo_log.changed[name]
            unchanged = _unchanged_rows(name, made) - _referenced_rows(name, made)
            _delete_rows(TABLES[name], unchanged)
            undone, skipped = undone + len(unchanged), skipped + len(made) - len(unchanged)
            restored = _restore_rows(name, _editable_rows(name, changed, rights))
            undone, skipped = undone + restored, skipped + len(changed) - restored
    return undone, skipped


def _editable_rows(name: str, changed: dict[int, list[Any]], rights: Permissions | None) -> dict[int, list[Any]]:
    columns: dict[str, Any] = {"person": Membership.person, "child": Membership.child}
    if rights is None or name not in columns:
        return changed
    editable = rights.editable(columns[name], changed)
    return {number: entry for number, entry in changed.items() if number in editable}


def _unchanged_rows(name: str, made: dict[int, str]) -> set[int]:
    table = TABLES[name]
    rows = (row for chunk in in_chunks(made) for row in table.select().where(table.id.in_(chunk)))
    return {row.id for row in rows if made[row.id] in ("", row_digest(name, row))}


def _referenced_rows(name: str, made: dict[int, str]) -> set[int]:
    """Return the rows that others refer to: letters, deliveries, memberships."""
    uses: dict[str, tuple[Any, ...]] = {
        "membership": (DeliveryMembership.membership,),
        "child": (Membership.child, Delivery.child),
        "person": (Membership.person, Delivery.person, Letter.person),
    }
    return {
        row[0]
        for column in uses.get(name, ())
        for chunk in in_chunks(made)
        for row in column.model.select(column).where(column.in_(chunk)).distinct().tuples()
    }


def _delete_rows(table: type[BaseModel], numbers: set[int]) -> None:
    for chunk in in_chunks(numbers):
        table.delete().where(table.id.in_(chunk)).execute()


def _restore_rows(name: str, changed: dict[int, list[Any]]) -> int:
    table = TABLES[name]
    rows = [row for chunk in in_chunks(changed) for row in table.select().where(table.id.in_(chunk))]
    same = [row for row in rows if changed[row.id][1] in ("", row_digest(name, row))]
    touched: set[str] = set()
    for row in same:
        old = changed[row.id][0]
        touched |= set(old)
        for key, value in old.items():
            setattr(row, key, _parse_value(key, value))
    if same:
        table.bulk_update(same, [getattr(table, key) for key in sorted(touched)], batch_size=500)
    return len(same)


def _parse_value(key: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if key.endswith(("_at", "_since")) and value else value
