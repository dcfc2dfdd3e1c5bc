"""Create, edit and delete drafts. Only a notice in state `draft` can be edited."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from core import audit
from core.errors import EditedMeanwhile, NotADraft, TooManyGroups
from core.members.groups import MAX_GROUPS_PER_NOTICE
from core.notices import html_body, questions
from core.settings import load_settings
from database import db
from mail import merge
from models import Group, Notice, NoticePart, NoticeState, Target, User, Wording

URGENT_LIFETIME_S = 6 * 3600
DEFAULT_LIFETIME_S = 48 * 3600


def create_draft(
    by: User | None, *, now: datetime, form_key: str | None = None, urgent: bool = False, route: str = "web"
) -> Notice:
    """Create a draft. Idempotent for the same `form_key` (double tap)."""
    with db.atomic():
        if form_key and (existing := Notice.get_or_none(Notice.form_key == form_key)):
            return existing
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


def save_draft(notice: Notice, *, now: datetime, if_unchanged: bool = False, **fields: Any) -> None:
    """Save words, `questions` and columns of a draft. Raises NotADraft (D-46).

    reminder_rule, tracking: {column: value} of ReminderRule and NoticeTracking.
    if_unchanged: raise EditedMeanwhile if the row is newer than `notice`. Each save makes the row newer.
    """
    read_at = notice.updated_at if if_unchanged else None
    now = max(now, notice.updated_at + timedelta(milliseconds=1))
    rule, tracking = fields.pop("reminder_rule", None), fields.pop("tracking", None)
    wording: dict[str, Any] = {name: fields.pop(name) for name in ("subject", "text", "html") if name in fields}
    new_questions = fields.pop("questions", None)
    if "subject" in wording:
        wording["subject"] = merge.one_line(wording["subject"]).strip()
    if fields.get("urgent") is not None and "useful_s" not in fields and fields["urgent"] != notice.urgent:
        fields["useful_s"] = URGENT_LIFETIME_S if fields["urgent"] else DEFAULT_LIFETIME_S
    with db.atomic():
        update_draft(notice, read_at, updated_at=now, **fields)
        if rule:
            save_reminder_rule(notice, **rule)
        if tracking:
            save_tracking(notice, **tracking)
        if wording:
            row = notice.wording
            Wording.update(**html_body.normalize_body(wording, row.language)).where(Wording.id == row.id).execute()
        if new_questions is not None:
            questions.save_questions(notice, new_questions)
    reload_notice(notice)


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
    """Replace the included and excluded lists, groups and persons of a draft (D-11 to D-13).

    Raises TooManyGroups for more than 15 groups, included and excluded (D-14), and NotADraft.
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
            chosen[kind, int(number)] = include  # an exclusion comes later and wins
    group_count = sum(kind == "group" for kind, _ in chosen)
    if group_count > MAX_GROUPS_PER_NOTICE:
        raise TooManyGroups(count=group_count)
    with db.atomic():
        update_draft(notice, updated_at=now)
        Target.delete().where(Target.notice == notice).execute()
        insert_targets([(notice.id, kind, number, include) for (kind, number), include in chosen.items()])


def add_group(notice: Notice, group: Group, now: datetime) -> None:
    """Include a group in the recipients of a draft. Idempotent. Raises TooManyGroups, NotADraft."""
    others = Target.select().where(Target.notice == notice, Target.kind == "group", Target.number != group.id).count()
    if others >= MAX_GROUPS_PER_NOTICE:
        raise TooManyGroups(count=others + 1)
    with db.atomic():
        update_draft(notice, updated_at=now)
        Target.delete().where(Target.notice == notice, Target.kind == "group", Target.number == group.id).execute()
        insert_targets([(notice.id, "group", group.id, True)])


def insert_targets(rows: list[tuple[int, str, int, bool]]) -> None:
    """Insert rows of (notice, kind, number, include) in order."""
    fields = [Target.notice, Target.kind, Target.number, Target.include]
    for start in range(0, len(rows), 500):
        Target.insert_many(rows[start : start + 500], fields=fields).execute()


def update_draft(notice: Notice, read_at: datetime | None = None, /, **fields: Any) -> None:
    """Change columns of a draft by a conditional UPDATE. Raises NotADraft, or EditedMeanwhile if newer than `read_at`."""
    draft = Notice.id == notice.id, Notice.state == NoticeState.DRAFT
    unchanged = draft if read_at is None else (*draft, Notice.updated_at == read_at)
    if not Notice.update(**fields).where(*unchanged).execute():
        raise EditedMeanwhile() if Notice.select().where(*draft).exists() else NotADraft()


def reload_notice(notice: Notice) -> None:
    """Replace the attributes of a notice by those of its row."""
    notice.__data__.update(Notice.get_by_id(notice.id).__data__)
    notice.__rel__.clear()


def delete_draft(notice: Notice, by: User | None) -> None:
    """Delete a draft. Raises NotADraft."""
    if not Notice.delete().where(Notice.id == notice.id, Notice.state == NoticeState.DRAFT).execute():
        raise NotADraft()
    audit.log_action(by, "notice.thrown_away", notice.id)
