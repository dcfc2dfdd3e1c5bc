"""The school-year rollover (年度更新) in two steps: the year's end now, the new roster later.

Year end: the highest grade leaves every list, and the class lists are emptied. Emptied lists accept no notice until
their new roster is applied. A preview and a backup come first. Undo is possible until the next notice. Past notices
keep their classes, since deliveries are frozen. The second step: `core.rollover.new_roster`. Both steps are plans of
`core.imports`: its `apply` writes them, keeps the undo logs and undoes them. The preview stays here, since an import
ends no membership.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN

from core import audit, backup
from core.accounts.class_teacher import teachers_of_classes
from core.errors import DomainError
from core.imports import apply
from core.imports.class_source import class_from_text
from core.imports.plan_model import ImportPlan, RowDraft, preview_digest
from core.permissions import notice_ids_for_lists
from database import db, new_join_code
from i18n import N_
from models import Child, MailingList, Membership, Notice, NoticeState, Rollover, RolloverState, User

OPEN_STATES = (RolloverState.PLANNED, RolloverState.ENDED)


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
    ending: tuple[Membership, ...]
    pending_notices: tuple[Notice, ...]

    @property
    def fingerprint(self) -> str:
        """Return a digest of the preview."""
        parts = (self.ending, [row.list for row in self.lists], self.pending_notices)
        return preview_digest([sorted(row.id for row in rows) for rows in parts])


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
    if all(class_from_text(mailing_list.name)):
        return True
    classes = [row for row in teachers_of_classes(mailing_list) if row.grade or row.class_name]
    return len(classes) == 1 and bool(classes[0].class_name)


def change_rollover(rollover: Rollover, in_state: str, **fields: Any) -> None:
    """Change a rollover that is in a state. Raises StepAlreadyDone if it is in another."""
    if not Rollover.update(**fields).where(Rollover.id == rollover.id, Rollover.state == in_state).execute():
        raise StepAlreadyDone()
    for name, value in fields.items():
        setattr(rollover, name, value)


def set_plan(rollover: Rollover, grades: Iterable[str], lists: Iterable[int]) -> None:
    """Set the leaving grades and the class lists. Raises StepAlreadyDone."""
    candidates = {row.id for row in class_list_candidates()}
    plan = {"grades": list(grades), "lists": [number for number in lists if number in candidates]}
    change_rollover(rollover, RolloverState.PLANNED, plan=plan)


def discard_plan(rollover: Rollover, by: User | None) -> None:
    """Drop a plan that was not carried out. Raises StepAlreadyDone."""
    if not Rollover.delete().where(Rollover.id == rollover.id, Rollover.state == RolloverState.PLANNED).execute():
        raise StepAlreadyDone()
    audit.log_action(by, "rollover.given_up")


# ── the year's end ───────────────────────────────────────────────────────────────────────────────────────────────


def preview_year_end(rollover: Rollover) -> YearEndPreview:
    """Work out what the year's end will do. The number of queries does not depend on the number of people."""
    leaving, wanted = rollover.plan["grades"], rollover.plan["lists"]
    lists = [row for row in class_list_candidates() if row.id in wanted]
    ends = Membership.list.in_([row.id for row in lists]) | Child.grade.in_(leaving)
    open_lists = MailingList.select(MailingList.id).where(MailingList.closed_at.is_null())
    ending: list[Membership] = list(
        Membership.select()
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.is_member, Membership.list.in_(open_lists), ends)
        .order_by(Membership.id)
    )
    people: dict[int, set[int]] = defaultdict(set)
    for row in ending:
        people[row.list_id].add(row.person_id)
    return YearEndPreview(
        graduates=tuple(_graduates(leaving)),
        lists=tuple(_class_list(row, len(people[row.id])) for row in lists),
        others=tuple((row, len(people[row.id])) for row in _lists_by_id(set(people) - {row.id for row in lists})),
        people_without_list=_count_without_list(ending),
        ending=tuple(ending),
        pending_notices=tuple(_pending_notices(lists)),
    )


def _graduates(leaving: list[str]) -> Iterable[Child]:
    current = Membership.select(Membership.child).where(Membership.is_member)
    return Child.select().where(Child.grade.in_(leaving), Child.id.in_(current)).order_by(Child.kana, Child.id)


def _class_list(mailing_list: MailingList, people: int) -> ClassList:
    grade, class_name = class_from_text(mailing_list.name)
    if not grade:
        classes = [row for row in teachers_of_classes(mailing_list) if row.grade or row.class_name]
        main = max(classes, key=lambda row: row.places, default=None)
        grade, class_name = (main.grade, main.class_name) if main else ("", "")
    return ClassList(mailing_list, grade, class_name, people)


def _lists_by_id(numbers: set[int]) -> Iterable[MailingList]:
    return MailingList.open_lists().where(MailingList.id.in_(numbers))


def _count_without_list(ending: list[Membership]) -> int:
    """Count the people whose memberships in open lists all end."""
    people, ended = {row.person_id for row in ending}, {row.id for row in ending}
    rows = (
        Membership.select(Membership.id, Membership.person)
        .join(MailingList)
        .where(Membership.is_member, Membership.person.in_(people), MailingList.closed_at.is_null())
    )
    return len(people - {row.person_id for row in rows if row.id not in ended})


def _pending_notices(lists: list[MailingList]) -> Iterable[Notice]:
    """Return the notices under way to a class or to a group of one: they will be held or reach nobody."""
    return (
        Notice.select()
        .where(
            Notice.id.in_(notice_ids_for_lists([row.id for row in lists])),
            Notice.state.in_((NoticeState.HELD, NoticeState.SCHEDULED, NoticeState.SENDING, NoticeState.PAUSED)),
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
        undo_log = apply.apply_plan(_plan_year_end(preview, now))
        plan = {**rollover.plan, "rooms": {row.list.id: [row.grade, row.class_name] for row in preview.lists}}
        plan["graduates"] = [row.id for row in preview.graduates]
        undo = {"end": [undo_log.as_json()]}
        change_rollover(rollover, RolloverState.PLANNED, state=RolloverState.ENDED, ended_at=now, plan=plan, undo=undo)
        for row in preview.lists:
            audit.log_action(by, "list.code_rotated", row.list.id)
        detail = {"graduates": len(preview.graduates), "places": len(preview.ending), "lists": len(preview.lists)}
        audit.log_action(by, "rollover.ended", rollover.id, detail=detail)
    return preview


def _plan_year_end(preview: YearEndPreview, now: datetime) -> ImportPlan:
    """Plan the ends; hand-outs of an old class must not lead into the new one, so the lists get new join codes."""
    plan = ImportPlan(0, now)
    plan.lists = [
        RowDraft(row.list, {"awaiting_roster_since": now, "join_code": new_join_code()}) for row in preview.lists
    ]
    plan.end_memberships(preview.ending)
    return plan


# ── taking it back ───────────────────────────────────────────────────────────────────────────────────────────────


def can_undo(rollover: Rollover) -> bool:
    """Return whether no notice has started since the last step."""
    since = rollover.done_at or rollover.ended_at
    return since is not None and not Notice.select().where(Notice.started_at >= since).exists()


def undo_step(rollover: Rollover, by: User | None) -> tuple[int, int]:
    """Undo the last step; return (rows undone, rows skipped, as of an import). Raises StepAlreadyDone, UndoTooLate."""
    with db.atomic():
        if not can_undo(rollover):
            raise UndoTooLate()
        if rollover.state == RolloverState.DONE:
            logs, rest = rollover.undo["roster"], {"end": rollover.undo["end"]}
            change_rollover(rollover, RolloverState.DONE, state=RolloverState.ENDED, done_at=None, undo=rest)
            action = "rollover.roster_undone"
        else:
            logs = rollover.undo.get("end", [])
            change_rollover(rollover, RolloverState.ENDED, state=RolloverState.UNDONE, undo={}, roster={})
            action = "rollover.undone"
        counts = [apply.undo_changes(log) for log in reversed(logs)]
        undone, skipped = sum(one for one, _ in counts), sum(one for _, one in counts)
        audit.log_action(by, action, rollover.id, detail={"back": undone, "kept": skipped})
    return undone, skipped


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
