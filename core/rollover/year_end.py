"""The school-year rollover (年度更新) in two steps: the year's end now, the new roster later.

Year's end: the highest grade leaves every list; the class lists are emptied and take no notice until their new roster
is applied. A preview and a backup come first. Undo is possible until the next notice. Past notices keep their classes,
since deliveries are frozen. The second step: `core.rollover.new_roster`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN, Expression, fn

from core import audit, backup
from core.accounts.class_teacher import teachers_of_classes
from core.errors import DomainError
from core.imports.columns import normalise_row
from core.members.join_codes import rotate_list_code
from core.permissions import notice_ids_for_lists
from database import db, in_chunks, millis
from i18n import N_
from models import Child, MailingList, Membership, Notice, Person, Rollover, User

OPEN_STATES = ("planned", "ended")


class StepAlreadyDone(DomainError):
    """The rollover is no longer in this step."""

    message = N_("This step has been taken already. This page shows how things stand now.")


class PreviewOutdated(DomainError):
    """The data differ from what the page showed."""

    message = N_("Something has changed since this page was shown. Please look at it once more.")


class UndoTooLate(DomainError):
    """A notice was sent since: undo would mix two years."""

    message = N_("A notice has gone out since then, so this cannot be taken back any more.")


@dataclass(frozen=True, slots=True)
class ClassList:
    """A list of one class, with its grade and class, and how many people leave it."""

    list: MailingList
    grade: str
    class_name: str
    people: int


@dataclass(frozen=True, slots=True)
class YearEndPreview:
    """What the year's end will do. `people_without_list`: people who are in no list afterwards."""

    graduates: tuple[Child, ...]
    lists: tuple[ClassList, ...]
    others: tuple[tuple[MailingList, int], ...]  # other lists, and how many people leave them with the graduates
    people_without_list: int
    membership_ids: tuple[int, ...]  # ids of the memberships that end
    pending_notices: tuple[Notice, ...]

    @property
    def fingerprint(self) -> str:
        """Return a digest of the preview."""
        text = f"{sorted(self.membership_ids)} {[one.list.id for one in self.lists]} {[one.id for one in self.pending_notices]}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def current_rollover() -> Rollover | None:
    """Return the open rollover, else the last one."""
    newest = Rollover.select().order_by(Rollover.state.in_(OPEN_STATES).desc(), Rollover.id.desc())
    return newest.first()


def begin_rollover(by: User | None, now: datetime) -> Rollover:
    """Return the open rollover, or start one. Nothing changes yet."""
    with db.atomic():
        rollover = current_rollover()
        if rollover and rollover.state in OPEN_STATES:
            return rollover
        lists = [row for row in class_list_candidates() if _is_class_list(row)]
        top = max((int(grade) for grade in current_grades() if grade.isdecimal()), default=None)
        plan = {"grades": [str(top)] if top else [], "lists": [row.id for row in lists]}
        audit.log_action(by, "rollover.begun")
        return Rollover.create(by=by, made_at=now, plan=plan)


def class_list_candidates() -> list[MailingList]:
    """Return the lists that may be class lists: open, neither whole-school nor practice lists."""
    return list(MailingList.open_lists().where(MailingList.whole == False))  # noqa: E712


def current_grades() -> list[str]:
    """Return the grades of the children in any list, the lowest first."""
    rows = Child.select(Child.grade).join(Membership).where(Membership.is_member, Child.grade != "").distinct()
    return sorted((row.grade for row in rows), key=lambda grade: (not grade.isdecimal(), grade.zfill(3)))


def _is_class_list(mailing_list: MailingList) -> bool:
    """Guess whether a list is one class: by its name 「3年2組」, or because all its children are in one class."""
    if all(class_from_list_name(mailing_list)):
        return True
    classes = [row for row in teachers_of_classes(mailing_list) if row.grade or row.class_name]
    return len(classes) == 1 and bool(classes[0].class_name)


def class_from_list_name(mailing_list: MailingList) -> tuple[str, str]:
    """Return (grade, class) from the name of a list; ("", "") if it has none."""
    row = normalise_row(1, {"room": mailing_list.name}, {})
    return (row.grade, row.class_name) if row.grade else ("", "")


def set_plan(rollover: Rollover, grades: Iterable[str], lists: Iterable[int]) -> None:
    """Set the leaving grades and the class lists. Raises StepAlreadyDone."""
    candidates = {row.id for row in class_list_candidates()}
    plan = {"grades": list(grades), "lists": [number for number in lists if number in candidates]}
    if not Rollover.update(plan=plan).where(Rollover.id == rollover.id, Rollover.state == "planned").execute():
        raise StepAlreadyDone()
    rollover.plan = plan


def discard_plan(rollover: Rollover, by: User | None) -> None:
    """Drop a plan that was not carried out. Raises StepAlreadyDone."""
    if not Rollover.delete().where(Rollover.id == rollover.id, Rollover.state == "planned").execute():
        raise StepAlreadyDone()
    audit.log_action(by, "rollover.given_up")


# ── the year's end ───────────────────────────────────────────────────────────────────────────────────────────────


def preview_year_end(rollover: Rollover) -> YearEndPreview:
    """Work out what the year's end will do. The number of queries does not depend on the number of people."""
    leaving, wanted = rollover.plan["grades"], rollover.plan["lists"]
    lists = [row for row in class_list_candidates() if row.id in wanted]
    ends = Membership.list.in_([row.id for row in lists]) | Child.grade.in_(leaving)
    open_lists = MailingList.select(MailingList.id).where(MailingList.closed_at.is_null())
    rows = list(
        Membership.select(Membership.id, Membership.list, Membership.person)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.is_member, Membership.list.in_(open_lists), ends)
        .tuples()
    )
    people: dict[int, set[int]] = defaultdict(set)
    for _, list_id, person in rows:
        people[list_id].add(person)
    return YearEndPreview(
        graduates=tuple(_graduates(leaving)),
        lists=tuple(_class_list(row, len(people[row.id])) for row in lists),
        others=tuple((row, len(people[row.id])) for row in _lists_by_id(set(people) - {row.id for row in lists})),
        people_without_list=_count_without_list({row[2] for row in rows}, {row[0] for row in rows}),
        membership_ids=tuple(row[0] for row in rows),
        pending_notices=tuple(_pending_notices(lists)),
    )


def _graduates(leaving: list[str]) -> Iterable[Child]:
    current = Membership.select(Membership.child).where(Membership.is_member)
    return Child.select().where(Child.grade.in_(leaving), Child.id.in_(current)).order_by(Child.kana, Child.id)


def _class_list(mailing_list: MailingList, people: int) -> ClassList:
    grade, class_name = class_from_list_name(mailing_list)
    if not grade:
        classes = [row for row in teachers_of_classes(mailing_list) if row.grade or row.class_name]
        main = max(classes, key=lambda row: row.places, default=None)
        grade, class_name = (main.grade, main.class_name) if main else ("", "")
    return ClassList(mailing_list, grade, class_name, people)


def _lists_by_id(numbers: set[int]) -> Iterable[MailingList]:
    return MailingList.open_lists().where(MailingList.id.in_(numbers))


def _count_without_list(people: set[int], ending: set[int]) -> int:
    """Count the people whose memberships in open lists all end."""
    rows = (
        Membership.select(Membership.id, Membership.person)
        .join(MailingList)
        .where(Membership.is_member, Membership.person.in_(people), MailingList.closed_at.is_null())
    )
    staying = {row.person_id for row in rows if row.id not in ending}
    return len(people - staying)


def _pending_notices(lists: list[MailingList]) -> Iterable[Notice]:
    """Return the notices under way to a class or to a group of one: they will be held or reach nobody."""
    return (
        Notice.select()
        .where(
            Notice.id.in_(notice_ids_for_lists([row.id for row in lists])),
            Notice.state.in_(("held", "scheduled", "sending", "paused")),
        )
        .order_by(Notice.send_at, Notice.id)
    )


def end_year(rollover: Rollover, by: User | None, now: datetime, *, fingerprint: str) -> YearEndPreview:
    """Carry out the year's end, after a backup. Raises StepAlreadyDone, PreviewOutdated."""
    backup.create_backup_before("rollover", now)
    with db.atomic():
        preview = preview_year_end(rollover)
        if preview.fingerprint != fingerprint:
            raise PreviewOutdated()
        lists = [row.list.id for row in preview.lists]
        undo = {"places": _membership_snapshot(preview.membership_ids), "lists": _join_codes(lists)}
        change = {"state": "ended", "ended_at": now, "undo": {"end": undo}}
        plan = {**rollover.plan, "rooms": {row.list.id: [row.grade, row.class_name] for row in preview.lists}}
        plan["graduates"] = [row.id for row in preview.graduates]
        current = (Rollover.id == rollover.id) & (Rollover.state == "planned")
        if not Rollover.update(**change, plan=plan).where(current).execute():
            raise StepAlreadyDone()
        _end_memberships(preview.membership_ids, now)
        MailingList.update(awaiting_roster_since=now).where(MailingList.id.in_(lists)).execute()
        for row in preview.lists:
            rotate_list_code(row.list, by)  # hand-outs of the old class must not lead into the new one
        detail = {"graduates": len(preview.graduates), "places": len(preview.membership_ids), "lists": len(lists)}
        audit.log_action(by, "rollover.ended", rollover.id, detail=detail)
    return preview


def _membership_snapshot(numbers: Iterable[int]) -> dict[int, list[Any]]:
    """Return the undo data of memberships: {id: [state, class teacher]}."""
    return {
        number: [state, user]
        for chunk in in_chunks(numbers)
        for number, state, user in Membership.select(Membership.id, Membership.state, Membership.in_charge_id)
        .where(Membership.id.in_(chunk))
        .tuples()
    }


def _join_codes(lists: list[int]) -> dict[int, str]:
    return {row.id: row.join_code for row in MailingList.select().where(MailingList.id.in_(lists))}


def _end_memberships(numbers: Iterable[int], now: datetime) -> None:
    for chunk in in_chunks(numbers):
        Membership.update(state="left", left_at=now, in_charge=None).where(Membership.id.in_(chunk)).execute()


# ── taking it back ───────────────────────────────────────────────────────────────────────────────────────────────


def can_undo(rollover: Rollover) -> bool:
    """Return whether no notice has started since the last step."""
    since = rollover.done_at or rollover.ended_at
    return since is not None and not Notice.select().where(Notice.started_at >= since).exists()


def undo_year_end(rollover: Rollover, by: User | None) -> None:
    """Restore all memberships and join codes. Raises StepAlreadyDone, UndoTooLate."""
    with db.atomic():
        if not can_undo(rollover):
            raise UndoTooLate()
        current = (Rollover.id == rollover.id) & (Rollover.state == "ended")
        if not Rollover.update(state="undone", undo={}, roster={}).where(current).execute():
            raise StepAlreadyDone()
        undo = rollover.undo["end"]
        _restore_memberships(undo["places"], rollover.ended_at)
        for number, code in undo["lists"].items():
            MailingList.update(awaiting_roster_since=None, join_code=code).where(
                MailingList.id == int(number)
            ).execute()
        audit.log_action(by, "rollover.undone", rollover.id)


def _restore_memberships(places: dict[str, list[Any]], ended_at: datetime) -> None:
    """Restore the state of memberships that nothing changed since."""
    groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for number, (state, user) in places.items():
        groups[state, user].append(int(number))
    untouched: Expression = (Membership.state == "left") & (Membership.left_at == millis(ended_at))
    for (state, user), numbers in groups.items():
        for chunk in in_chunks(numbers):
            Membership.update(state=state, left_at=None, in_charge=user).where(
                Membership.id.in_(chunk), untouched
            ).execute()


# ── lists that wait ──────────────────────────────────────────────────────────────────────────────────────────────


def lists_awaiting_roster() -> list[MailingList]:
    return list(MailingList.open_lists().where(MailingList.awaiting_roster_since.is_null(False)))


def reopen_list(mailing_list: MailingList, by: User | None) -> bool:
    """Let a list take notices without a new roster; False if it was not waiting."""
    waiting = (MailingList.id == mailing_list.id) & MailingList.awaiting_roster_since.is_null(False)
    changed = MailingList.update(awaiting_roster_since=None).where(waiting).execute()
    if changed:
        audit.log_action(by, "rollover.list_opened", mailing_list.id, kind="list")
    return bool(changed)


def count_people(mailing_list: MailingList) -> int:
    current = (Membership.list == mailing_list) & Membership.is_member
    return Membership.select(fn.COUNT(fn.DISTINCT(Membership.person))).join(Person).where(current).scalar() or 0
