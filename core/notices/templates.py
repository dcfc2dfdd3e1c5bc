"""Templates of notices, shipped and own (N-04, X-15, field 5.2).

Shipped templates are in templates.json; 〔…〕 marks a placeholder. Own templates are rows, for one list or for all.
Changing a shipped template creates an own version; removing the version restores the shipped words. A template holds
no recipients: the author chooses them for each notice (field 5.3 no. 2).
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any

import config
from core import audit
from core.errors import DomainError
from core.notices import drafts, html_body, questions
from core.notices.questions import QuestionDraft
from core.permissions import Permissions
from core.settings import load_settings
from database import db
from i18n import N_
from models import MailingList, Notice, NoticeTemplate, User

SHIPPED_FILE = config.PROJECT_DIR / "core" / "notices" / "templates.json"
REMIND_EVERY_S, REMIND_TIMES = 30 * 60, 2
"""The reminder rule of urgent templates (field 2.3)."""
OWN_PREFIX = "own-"
CATEGORIES: dict[str, str] = {
    "emergency": N_("In an emergency"),
    "disaster": N_("Disasters, and whether all are safe"),
    "crime": N_("Suspicious persons and crime"),
    "office": N_("From the authorities"),
    "school": N_("School and class"),
    "asks": N_("Asking for something"),
    "club": N_("Club and team"),
    "test": N_("Trials and apologies"),
    "other": N_("Others"),
}
"""In the order of the page. The first four are those of N-04."""


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """The content of a template. `html`: "" for plain text; otherwise `text` is derived from it."""

    name: str
    subject: str
    text: str
    urgent: bool = False
    read_confirmation: bool = True
    kind: str = "other"
    questions: tuple[QuestionDraft, ...] = ()
    html: str = ""


@dataclass(frozen=True, slots=True)
class TemplateChoice:
    """A template offered to a user. code: its name in URLs. row: of an own template. key: of the shipped one."""

    code: str
    words: TemplateContent
    home: bool = False
    row: NoticeTemplate | None = None
    key: str = ""

    @property
    def short_name(self) -> str:
        """Return the name without what is in brackets."""
        return re.split(r"\s*[（(]", self.words.name)[0] or self.words.name

    @property
    def choices(self) -> dict[str, list[str]]:
        """Return {placeholder: usual values} of the shipped template; "" leaves out the placeholder's lines."""
        entry = next((entry for entry in _shipped_entries() if entry["key"] == self.key), {})
        usual: dict[str, dict[str, list[str]]] = entry.get("choices", {})
        return usual.get(load_settings().language, {})

    @property
    def is_version(self) -> bool:
        """Say whether this is an own version of a shipped template."""
        return self.row is not None and bool(self.key)


@cache
def _shipped_entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(SHIPPED_FILE.read_text(encoding="utf-8"))
    return entries


# ── list ──────────────────────────────────────────────────────────────────────────────────────────────


def available_templates(rights: Permissions) -> list[TemplateChoice]:
    """Return the templates that a user may use: own ones by name, then the shipped ones that are not hidden."""
    lists = [mailing_list.id for mailing_list in rights.lists("send") if not mailing_list.practice_of_id]
    visible = NoticeTemplate.list.is_null() | NoticeTemplate.list.in_(lists)
    rows = list(NoticeTemplate.select().where(visible).order_by(NoticeTemplate.name, NoticeTemplate.id))
    own = [
        TemplateChoice(f"{OWN_PREFIX}{row.id}", template_content(row), row.urgent, row)
        for row in rows
        if row.key is None
    ]
    return [*own, *(choice for entry in _shipped_entries() for choice in _shipped_or_versions(entry, rows, lists))]


def group_by_category(templates: Iterable[TemplateChoice], text: str = "") -> list[tuple[str, list[TemplateChoice]]]:
    """Return templates by category. text: only those that contain it in name, subject or text."""
    order = {kind: place for place, kind in enumerate(CATEGORIES)}
    wanted = text.casefold().strip()
    matches = [
        choice
        for choice in templates
        if wanted in f"{choice.words.name}\n{choice.words.subject}\n{choice.words.text}".casefold()
    ]
    matches.sort(key=lambda choice: order[choice.words.kind])
    return [(kind, list(group)) for kind, group in groupby(matches, key=lambda choice: choice.words.kind)]


def _shipped_or_versions(
    entry: dict[str, Any], rows: list[NoticeTemplate], lists: list[int]
) -> Iterator[TemplateChoice]:
    """Yield the versions of the user's lists, and the version for all or the shipped template.

    The latter is omitted if every list of the user has its own version.
    """
    versions = [row for row in rows if row.key == entry["key"]]
    for_lists = [row for row in versions if row.list_id]
    for_all = next((row for row in versions if not row.list_id), None)
    for row in for_lists:
        yield TemplateChoice(
            f"{OWN_PREFIX}{row.id}", template_content(row), entry["home"] and row.urgent, row, entry["key"]
        )
    if for_lists and {row.list_id for row in for_lists} >= set(lists):
        return
    if for_all is None:
        yield _build_shipped(entry)
    elif not for_all.hidden:
        yield TemplateChoice(
            entry["key"], template_content(for_all), entry["home"] and for_all.urgent, for_all, entry["key"]
        )


def _build_shipped(entry: dict[str, Any]) -> TemplateChoice:
    language = load_settings().language
    content, drafts = entry[language], _question_drafts(entry.get("question"), language)
    words = TemplateContent(
        content["name"], content["subject"], content["text"], entry["urgent"], entry["read"], entry["kind"], drafts
    )
    return TemplateChoice(entry["key"], words, entry["home"], key=entry["key"])


def shipped_template(key: str) -> TemplateChoice | None:
    """Return a shipped template with its original words."""
    return next((_build_shipped(entry) for entry in _shipped_entries() if entry["key"] == key), None)


def _question_drafts(question: dict[str, Any] | None, language: str) -> tuple[QuestionDraft, ...]:
    if not question:
        return ()
    content = question[language]
    shared = {"kind": question["kind"], "unit": question["unit"], "comment": question["comment"]}
    if "days" in content:
        return tuple(
            QuestionDraft(day, tuple(content["choices"]), heading=content["text"], **shared) for day in content["days"]
        )
    return (QuestionDraft(content["text"], tuple(content["choices"]), **shared),)


def template_content(row: NoticeTemplate) -> TemplateContent:
    drafts = tuple(QuestionDraft(**{**question, "choices": tuple(question["choices"])}) for question in row.questions)
    return TemplateContent(
        row.name, row.subject, row.text, row.urgent, row.read_confirmation, row.kind, drafts, html_body.html_of(row)
    )


def get_template(rights: Permissions, code: str) -> TemplateChoice | None:
    """Return the template with a code, if the user may use it."""
    return next((choice for choice in available_templates(rights) if choice.code == code), None)


def urgent_templates(rights: Permissions) -> list[TemplateChoice]:
    """Return the urgent templates of the urgent form: the shipped ones for emergencies, then own ones."""
    found = [choice for choice in available_templates(rights) if choice.home and choice.words.urgent]
    return sorted(found, key=lambda choice: not choice.key)


def start_notice(template: TemplateChoice, by: User, now: datetime, form_key: str | None = None) -> Notice:
    """Create a draft from a template. Idempotent for the same `form_key`.

    An urgent draft gets a reminder rule, which the author can change.
    """
    content = template.words
    rule = {"every_s": REMIND_EVERY_S, "times": REMIND_TIMES} if content.urgent else {}
    with db.atomic():
        if form_key and (existing := Notice.get_or_none(Notice.form_key == form_key)):
            return existing
        notice = drafts.create_draft(by, now=now, form_key=form_key, urgent=content.urgent)
        drafts.save_draft(
            notice,
            now=now,
            subject=content.subject,
            read_confirmation=content.read_confirmation,
            questions=list(content.questions),
            **_body_fields(content),
            reminder_rule=rule,
        )
    return notice


# ── own templates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def may_edit_template(rights: Permissions, template: TemplateChoice) -> bool:
    """Say whether a user may change a template: managers that of their list, administrators that for all lists.

    Every manager may create a version of a shipped template for an own list.
    """
    row = template.row
    if row is None or (template.key and row.list_id is None):
        return rights.may("manage")
    return rights.is_admin if row.list_id is None else rights.may("manage", row.list_id)


def content_error(content: TemplateContent) -> str:
    """Return the first error of the questions, or ""."""
    first = next((error for draft in content.questions if (error := questions.question_error(draft))), "")
    return first or questions.limit_error(content.questions)


def add_template(by: User, content: TemplateContent, mailing_list: MailingList | None) -> NoticeTemplate:
    """Store a template for one list, or for all (None)."""
    row = NoticeTemplate.create(list=mailing_list, **_row_values(content))
    audit.log_action(by, "sample.added", row.id)
    return row


def content_from_notice(notice: Notice, name: str = "") -> TemplateContent:
    """Return the content of a notice for `add_template`, without deadlines."""
    wording = notice.wording
    drafts = tuple(replace(draft, deadline=None) for draft in questions.question_drafts(notice))
    kind = "emergency" if notice.urgent else "other"
    return TemplateContent(
        name or wording.subject,
        wording.subject,
        wording.text,
        notice.urgent,
        notice.read_confirmation,
        kind,
        drafts,
        html_body.html_of(wording),
    )


class VersionExists(DomainError):
    message = N_("This list has a version of its own already. Please change that one.")


def update_template(
    template: TemplateChoice, by: User, content: TemplateContent, mailing_list: MailingList | None
) -> None:
    """Change the content and list of an own template, or create an own version of a shipped one.

    A list gets its own version beside the version for all. Raises VersionExists.
    """
    with db.atomic():
        row = template.row
        if row is None or (template.key and row.list_id is None and mailing_list is not None):
            row = _create_version(template.key, mailing_list)
        elif template.key and row.list_id != (mailing_list and mailing_list.id):
            _require_no_version(template.key, mailing_list)
        NoticeTemplate.update(list=mailing_list, **_row_values(content)).where(NoticeTemplate.id == row.id).execute()
        audit.log_action(by, "sample.changed", row.id)


def _create_version(key: str, mailing_list: MailingList | None) -> NoticeTemplate:
    _require_no_version(key, mailing_list)
    return NoticeTemplate.create(key=key, list=mailing_list)


def _require_no_version(key: str, mailing_list: MailingList | None) -> None:
    same_list = NoticeTemplate.list.is_null() if mailing_list is None else NoticeTemplate.list == mailing_list
    if NoticeTemplate.select().where(NoticeTemplate.key == key, same_list).exists():
        raise VersionExists()


def _row_values(content: TemplateContent) -> dict[str, Any]:
    drafts = [
        {name: value for name, value in asdict(draft).items() if name != "deadline"} for draft in content.questions
    ]
    return {
        "name": content.name,
        "subject": content.subject,
        "urgent": content.urgent,
        "kind": content.kind,
        "read_confirmation": content.read_confirmation,
        "questions": drafts,
        **html_body.normalize_body(_body_fields(content), load_settings().language),
    }


def _body_fields(content: TemplateContent) -> dict[str, Any]:
    return {"html": content.html} if content.html else {"text": content.text}


def count_hidden() -> int:
    return NoticeTemplate.select().where(NoticeTemplate.hidden == True).count()  # noqa: E712


def unhide_all(by: User) -> None:
    """Show all hidden shipped templates."""
    if NoticeTemplate.delete().where(NoticeTemplate.hidden == True).execute():  # noqa: E712
        audit.log_action(by, "sample.shown")


def remove_template(template: TemplateChoice, by: User) -> None:
    """Delete an own template or version, or hide a shipped template. Idempotent."""
    if template.row:
        if NoticeTemplate.delete().where(NoticeTemplate.id == template.row.id).execute():
            audit.log_action(by, "sample.back" if template.is_version else "sample.removed", template.row.id)
    elif NoticeTemplate.insert(key=template.code, hidden=True).on_conflict_ignore().execute():
        audit.log_action(by, "sample.hidden")
