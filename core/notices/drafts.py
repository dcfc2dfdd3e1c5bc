"""Create, edit and delete drafts. Only a notice in state `draft` can be edited."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from core import audit
from core.errors import NotADraft, TooManyGroups
from core.members.groups import MAX_GROUPS_PER_NOTICE
from core.notices import html_body, questions
from core.settings import load_settings
from database import db
from mail import merge
from models import Group, Notice, NoticePart, Target, User, Wording

URGENT_LIFETIME_S = 6 * 3600
DEFAULT_LIFETIME_S = 48 * 3600


def create_draft(
    by: User | None, *, now: datetime, form_key: str | None = None, urgent: bool = False, route: str = "web"
) -> Notice:
    """Begin a notice. The same `form_key` returns the same draft, so that a double tap begins one."""
    with db.atomic():
        if form_key and (found := Notice.get_or_none(Notice.form_key == form_key)):
            return found
        notice = Notice.create(
            by=by,
            by_name=by.name if by else "",
            form_key=form_key,
            urgent=urgent,
            route=route,
            useful_s=URGENT_LIFETIME_S if urgent else DEFAULT_LIFETIME_S,
            created_at=now,
            updated_at=now,
        )
        Wording.create(notice=notice, language=load_settings().language)
    return notice


def save_draft(notice: Notice, *, now: datetime, **fields: Any) -> None:
    """Save words, `questions` and options of a draft. Raise NotADraft if it is none any more (D-46).

    `reminder_rule` and `tracking`: {column: value} of ReminderRule and NoticeTracking.
    """
    rule, tracking = fields.pop("reminder_rule", None), fields.pop("tracking", None)
    wording = {name: fields.pop(name) for name in ("subject", "text", "html") if name in fields}
    asks = fields.pop("questions", None)
    if "subject" in wording:
        wording["subject"] = merge.one_line(wording["subject"]).strip()
    if fields.get("urgent") is not None and "useful_s" not in fields and fields["urgent"] != notice.urgent:
        fields["useful_s"] = URGENT_LIFETIME_S if fields["urgent"] else DEFAULT_LIFETIME_S
    with db.atomic():
        _update_draft(notice, updated_at=now, **fields)
        if rule:
            save_reminder_rule(notice, **rule)
        if tracking:
            save_tracking(notice, **tracking)
        if wording:
            kept = notice.wording
            Wording.update(**html_body.normalize_body(wording, kept.language)).where(Wording.id == kept.id).execute()
        if asks is not None:
            questions.save_questions(notice, asks)
    notice.__data__.update(Notice.get_by_id(notice.id).__data__)


def save_reminder_rule(notice: Notice, **values: Any) -> None:
    """Change the rule of automatic reminders. Call inside a transaction."""
    _store_part(notice.reminder_rule, values)


def save_tracking(notice: Notice, **values: Any) -> None:
    """Change what is counted of a notice. Call inside a transaction."""
    _store_part(notice.tracking, values)


def _store_part(row: NoticePart, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.store()


def set_recipients(
    notice: Notice,
    *,
    now: datetime,
    lists: Iterable[int] = (),
    without: Iterable[int] = (),
    persons: Iterable[int] = (),
    without_persons: Iterable[int] = (),
    groups: Iterable[int] = (),
    without_groups: Iterable[int] = (),
) -> None:
    """Replace the recipients of a draft: lists, groups and single persons, in and out (D-11 to D-13).

    Raises TooManyGroups for more than 15, those in and those out counted together (D-14).
    """
    kinds = (
        ("list", True, lists),
        ("group", True, groups),
        ("list", False, without),
        ("group", False, without_groups),
        ("person", True, persons),
        ("person", False, without_persons),
    )
    chosen: dict[tuple[str, int], bool] = {}
    for kind, include, numbers in kinds:
        for number in numbers:
            chosen[kind, int(number)] = include  # what is left out comes later and wins
    named = sum(kind == "group" for kind, _ in chosen)
    if named > MAX_GROUPS_PER_NOTICE:
        raise TooManyGroups(count=named)
    with db.atomic():
        _update_draft(notice, updated_at=now)
        Target.delete().where(Target.notice == notice).execute()
        rows = [(notice.id, kind, number, include) for (kind, number), include in chosen.items()]
        insert_targets(rows)


def add_group(notice: Notice, group: Group, now: datetime) -> None:
    """Add a group to those that a draft is sent to. Raises TooManyGroups, NotNow; repeatable."""
    named = Target.select().where(Target.notice == notice, Target.kind == "group", Target.number != group.id).count()
    if named >= MAX_GROUPS_PER_NOTICE:
        raise TooManyGroups(count=named + 1)
    with db.atomic():
        _update_draft(notice, updated_at=now)
        Target.delete().where(Target.notice == notice, Target.kind == "group", Target.number == group.id).execute()
        insert_targets([(notice.id, "group", group.id, True)])


def insert_targets(rows: list[tuple[int, str, int, bool]]) -> None:
    """Write rows of notice, kind, number, include, keeping their order."""
    fields = [Target.notice, Target.kind, Target.number, Target.include]
    for start in range(0, len(rows), 500):
        Target.insert_many(rows[start : start + 500], fields=fields).execute()


def _update_draft(notice: Notice, **fields: Any) -> None:
    changed = Notice.update(**fields).where(Notice.id == notice.id, Notice.state == "draft").execute()
    if not changed:
        raise NotADraft()


def delete_draft(notice: Notice, by: User | None) -> None:
    """Delete a draft for good."""
    if not Notice.delete().where(Notice.id == notice.id, Notice.state == "draft").execute():
        raise NotADraft()
    audit.log_action(by, "notice.thrown_away", notice.id)
