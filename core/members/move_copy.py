"""Move and copy members from one list to another, by administrators (T-35).

Move: end the memberships in the first list (reads and answers stay with them) and add them to the second. Copy: add
only. Nobody gets a second membership. A stopped membership is stopped in the second list too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core import audit
from core.accounts import class_teacher
from database import bulk_insert, db
from models import MailingList, Membership, MembershipState, User

_ACTIONS = {"move": "member.moved", "copy": "member.copied"}
KINDS = tuple(_ACTIONS)


class SameList(Exception):
    """The source list is the target list."""


@dataclass(frozen=True, slots=True)
class MoveCopyResult:
    """The number of people: new in the target list, and already members of it."""

    new: int
    already_members: int


def preview_move_copy(source: MailingList, target: MailingList, people: Iterable[int]) -> MoveCopyResult:
    """Count what moving or copying would do."""
    rows = _memberships_in(source, people)
    existing = _existing_memberships(target, rows)
    return _count_result(rows, {key for key, row in existing.items() if row.is_member})


def move_or_copy(
    kind: str, source: MailingList, target: MailingList, people: Iterable[int], by: User | None, now: datetime
) -> MoveCopyResult:
    """Move or copy (`kind`) people from one list to another. Idempotent. Raises SameList."""
    if source.id == target.id:
        raise SameList()
    with db.atomic():
        rows = _memberships_in(source, people)
        existing = _existing_memberships(target, rows)
        members = {key for key, row in existing.items() if row.is_member}
        arriving = [row for row in rows if _person_and_child(row) not in members]
        bulk_insert(
            Membership,
            (
                _new_membership_fields(row, target, kind, now)
                for row in arriving
                if _person_and_child(row) not in existing
            ),
        )
        for row in arriving:
            if _person_and_child(row) in existing:
                fields = _new_membership_fields(row, target, kind, now)
                Membership.update(**fields, left_at=None).where(
                    Membership.id == existing[_person_and_child(row)].id
                ).execute()
        class_teacher.assign_new_members(target, {row.person_id for row in arriving})
        if kind == "move":
            _end_memberships(source, rows, now)
        result = _count_result(rows, members)
        if rows:
            detail = {"from": source.id, "people": result.new + result.already_members, "new": result.new}
            audit.log_action(by, _ACTIONS[kind], target.id, kind="list", detail=detail)
    return result


def _memberships_in(source: MailingList, people: Iterable[int]) -> list[Membership]:
    wanted = list(people)
    return list(
        Membership.select()
        .where(Membership.list == source, Membership.person.in_(wanted), Membership.is_member)
        .order_by(Membership.id)
    )


def _existing_memberships(target: MailingList, rows: list[Membership]) -> dict[tuple[int, int], Membership]:
    """Return the memberships, ended ones too, that these people have in the target list."""
    people = {row.person_id for row in rows}
    existing = Membership.select().where(Membership.list == target, Membership.person.in_(people))
    return {_person_and_child(row): row for row in existing}


def _person_and_child(row: Membership) -> tuple[int, int]:
    return row.person_id, row.child_id or 0


def _count_result(rows: list[Membership], members: set[tuple[int, int]]) -> MoveCopyResult:
    new = {row.person_id for row in rows if _person_and_child(row) not in members}
    return MoveCopyResult(len(new), len({row.person_id for row in rows} - new))


def _new_membership_fields(row: Membership, target: MailingList, kind: str, now: datetime) -> dict[str, object]:
    """Return a copy of a membership for the target list, with its consent but without the class teacher."""
    return {
        "person": row.person_id,
        "list": target.id,
        "child": row.child_id,
        "relation": row.relation,
        "attributes": row.attributes,
        "state": row.state,
        "stopped_by": row.stopped_by,
        "stopped_at": row.stopped_at,
        "joined_at": now,
        "joined_via": kind,
        "consent": {**row.consent, "from_list": row.list_id},
        "class_teacher": None,
    }


def _end_memberships(source: MailingList, rows: list[Membership], now: datetime) -> None:
    numbers = [row.id for row in rows]
    Membership.update(state=MembershipState.LEFT, left_at=now).where(
        Membership.id.in_(numbers), Membership.list == source, Membership.is_member
    ).execute()
