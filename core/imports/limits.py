"""What a user who is no administrator may match and change in an import: rows of the own lists (T-33, decision 87)."""

from collections.abc import Collection

from peewee import ForeignKeyField

from core.imports.plan_model import ImportPlan, LineNote, RowDraft
from core.permissions import Permissions, memberships_of
from database import in_chunks
from i18n import N_
from models import Child, MailingList, Membership, Person

PERSON_LABELS = {
    "name": N_("name"),
    "kana": N_("reading"),
    "phone": N_("telephone"),
    "language": N_("language"),
    "address": N_("e-mail address"),
}
CHILD_LABELS = {
    "name": N_("child’s name"),
    "kana": N_("child’s reading"),
    "grade": N_("grade"),
    "class_name": N_("class"),
    "attributes": N_("items"),
}
_DERIVED = ("address_key", "violates_rfc", "address_state", "address_reason", "bare")


def own_rows(
    column: ForeignKeyField, ids: Collection[int], mailing_list: MailingList, rights: Permissions | None
) -> set[int]:
    """Return the persons or children whom a user may see: of managed lists, or of this list before and of none now."""
    if rights is None:
        return set(ids)
    managed = {row.id for row in rights.lists("manage")}
    current: dict[int, set[int]] = {number: set() for number in ids}
    for number, list_id in memberships_of(column, ids):
        current[number].add(list_id)
    before = {
        number
        for chunk in in_chunks(ids)
        for (number,) in Membership.select(column)
        .where(Membership.list == mailing_list, column.in_(chunk))
        .distinct()
        .tuples()
    }
    return {number for number, lists in current.items() if lists & managed or (number in before and not lists)}


def apply_limits(plan: ImportPlan, rights: Permissions) -> None:
    """Turn changes of people and children in lists of others into change requests, and drop those of households."""
    people = {line.person.row.id for line in plan.lines if line.person and line.person.row}
    children = {line.child.row.id for line in plan.lines if line.child and line.child.row}
    may_edit_people = rights.editable(Membership.person, people)
    may_edit_children = rights.editable(Membership.child, children)
    plan.merges = {old: key for old, key in plan.merges.items() if _may_merge(old, rights)}
    for line in plan.lines:
        labels: list[str] = []
        for draft, editable, names in (
            (line.person, may_edit_people, PERSON_LABELS),
            (line.child, may_edit_children, CHILD_LABELS),
        ):
            if draft is not None and draft.row is not None and draft.row.id not in editable:
                labels += _limit_draft(draft, names)
        if labels:
            line.changes = [label for label in line.changes if label not in (*labels, N_("household"))]
            line.notes.append(LineNote(_REQUESTED, {"what": tuple(labels)}))


_REQUESTED = N_("Waits for the consent of the managers of all lists of this family: %(what)s.")


def _limit_draft(draft: RowDraft, labels: dict[str, str]) -> list[str]:
    """Move the changed fields of a row to its change request; return their labels."""
    draft.fields.pop("household", None)
    draft.requested |= {name: value for name, value in draft.fields.items() if name not in _DERIVED}
    draft.fields = {}
    draft.duplicate_of = None
    return [labels[name] for name in draft.requested]


def _may_merge(key: str, rights: Permissions) -> bool:
    """Say whether the user may change every person and child of a household."""
    people = {row.id for row in Person.select(Person.id).where(Person.household == key)}
    children = {row.id for row in Child.select(Child.id).where(Child.household == key)}
    return people == rights.editable(Membership.person, people) and children == rights.editable(
        Membership.child, children
    )
