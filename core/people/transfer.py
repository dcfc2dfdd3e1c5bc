"""Moving and copying members from one list to another, by administrators (T-35).

Move: the places in the first list are left (what was read and answered stays with them) and begin in the second.
Copy: both. Nobody stands in the second list twice. Who had stopped the mail has stopped it there too: a wish goes
along with the person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core import history
from core.accounts import class_teacher
from database import db, insert_rows
from models import MailingList, Membership, User

KINDS = ("move", "copy")
_ACTIONS = {"move": "member.moved", "copy": "member.copied"}
LIVE = ("unconfirmed", "pending", "active", "stopped")


class SameList(Exception):
    """Nobody can be moved or copied from a list into itself."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of some people, each counted once: new in the second list, and there already."""

    new: int
    there: int


def look(source: MailingList, target: MailingList, people: Iterable[int]) -> Moved:
    """Say what moving or copying would do, changing nothing."""
    rows = _places(source, people)
    known = _known(target, rows)
    return _counted(rows, {key for key, row in known.items() if row.belongs})


def carry_out(
    kind: str, source: MailingList, target: MailingList, people: Iterable[int], by: User | None, now: datetime
) -> Moved:
    """Move or copy (`kind`) people from one list into another. Repeatable. Raises SameList."""
    if source.id == target.id:
        raise SameList()
    with db.atomic():
        rows = _places(source, people)
        known = _known(target, rows)
        there = {key for key, row in known.items() if row.belongs}
        arriving = [row for row in rows if _key(row) not in there]
        insert_rows(Membership, (_fresh(row, target, kind, now) for row in arriving if _key(row) not in known))
        for row in arriving:
            if _key(row) in known:
                again = _fresh(row, target, kind, now)
                Membership.update(**again, left_at=None).where(Membership.id == known[_key(row)].id).execute()
        class_teacher.assign_new_members(target, {row.person_id for row in arriving})
        if kind == "move":
            _leave(source, rows, now)
        done = _counted(rows, there)
        if rows:
            detail = {"from": source.id, "people": done.new + done.there, "new": done.new}
            history.log(
                by, "member.moved" if kind == "move" else "member.copied", target.id, kind="list", detail=detail
            )
    return done


def _places(source: MailingList, people: Iterable[int]) -> list[Membership]:
    wanted = list(people)
    return list(
        Membership.select()
        .where(Membership.list == source, Membership.person.in_(wanted), Membership.state.in_(LIVE))
        .order_by(Membership.id)
    )


def _known(target: MailingList, rows: list[Membership]) -> dict[tuple[int, int], Membership]:
    """Return the places that these people have, or had, in the second list."""
    people = {row.person_id for row in rows}
    here = Membership.select().where(Membership.list == target, Membership.person.in_(people))
    return {_key(row): row for row in here}


def _key(row: Membership) -> tuple[int, int]:
    return row.person_id, row.child_id or 0


def _counted(rows: list[Membership], there: set[tuple[int, int]]) -> Moved:
    new = {row.person_id for row in rows if _key(row) not in there}
    return Moved(len(new), len({row.person_id for row in rows} - new))


def _fresh(row: Membership, target: MailingList, kind: str, now: datetime) -> dict[str, object]:
    """Return a place in the second list like the one in the first, consent and all, but for who is in charge."""
    return {
        "person": row.person_id, "list": target.id, "child": row.child_id, "relation": row.relation,
        "attributes": row.attributes, "state": row.state, "stopped_by": row.stopped_by, "stopped_at": row.stopped_at,
        "joined_at": now, "joined_route": kind, "consent": {**row.consent, "from_list": row.list_id}, "in_charge": None,
    }  # fmt: skip


def _leave(source: MailingList, rows: list[Membership], now: datetime) -> None:
    numbers = [row.id for row in rows]
    Membership.update(state="left", left_at=now).where(
        Membership.id.in_(numbers), Membership.list == source, Membership.state.in_(LIVE)
    ).execute()
