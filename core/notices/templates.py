"""Samples: words for the usual notices, shipped and own, from which a notice is begun (N-04, X-15, field 5.2).

Shipped ones stand in templates.json in the organization's language; 〔…〕 marks what is to be filled in. Own ones are
rows, for one list or for all. Who changes a shipped one gets an own version of it, and may go back to the shipped
words. A sample never names recipients: these are chosen anew each time (field 5.3 no. 2).
"""

import json
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
MAX_QUICK_TEMPLATES = 4
REMIND_EVERY_S, REMIND_TIMES = 30 * 60, 2
"""An urgent sample is sent again by itself to those who have not confirmed or answered (field 2.3)."""
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
"""What samples are about, in the order in which the page shows them; the first four are those of N-04."""


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """What a sample says and asks; `html` if it is decorated (its text is then made from it)."""

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
    """A sample to begin from; `code` names it in addresses, `row` is there if it is an own one.

    key: of the shipped one, which it is or of which it is an own version.
    """

    code: str
    words: TemplateContent
    home: bool = False
    row: NoticeTemplate | None = None
    key: str = ""

    @property
    def is_version(self) -> bool:
        """Say whether it stands for a shipped one."""
        return self.row is not None and bool(self.key)


@cache
def _shipped_entries() -> list[dict[str, Any]]:
    return json.loads(SHIPPED_FILE.read_text(encoding="utf-8"))


# ── which there are ──────────────────────────────────────────────────────────────────────────────────────────────


def available_templates(rights: Permissions) -> list[TemplateChoice]:
    """Return the samples that a user may begin from: own ones by name, then those shipped and not hidden."""
    lists = [one.id for one in rights.lists("send") if not one.practice_of_id]
    mine = NoticeTemplate.list.is_null() | NoticeTemplate.list.in_(lists)
    rows = list(NoticeTemplate.select().where(mine).order_by(NoticeTemplate.name, NoticeTemplate.id))
    own = [
        TemplateChoice(f"{OWN_PREFIX}{row.id}", template_content(row), row.urgent, row)
        for row in rows
        if row.key is None
    ]
    return [*own, *(one for entry in _shipped_entries() for one in _shipped_or_versions(entry, rows, lists))]


def group_by_category(samples: Iterable[TemplateChoice], text: str = "") -> list[tuple[str, list[TemplateChoice]]]:
    """Return samples by what they are about; `text`: only those that hold it in name, subject or words."""
    order = {kind: place for place, kind in enumerate(CATEGORIES)}
    wanted = text.casefold().strip()
    found = [one for one in samples if wanted in f"{one.words.name}\n{one.words.subject}\n{one.words.text}".casefold()]
    found.sort(key=lambda one: order[one.words.kind])
    return [(kind, list(held)) for kind, held in groupby(found, key=lambda one: one.words.kind)]


def _shipped_or_versions(
    entry: dict[str, Any], rows: list[NoticeTemplate], lists: list[int]
) -> Iterator[TemplateChoice]:
    """Give a shipped sample as a user sees it: its version for all instead, and the versions of the own lists.

    Where every list of the user has a version of its own, the common one is not needed any more.
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
    said, asks = entry[language], _question_drafts(entry.get("question"), language)
    words = TemplateContent(
        said["name"], said["subject"], said["text"], entry["urgent"], entry["read"], entry["kind"], asks
    )
    return TemplateChoice(entry["key"], words, entry["home"], key=entry["key"])


def shipped_template(key: str) -> TemplateChoice | None:
    """Return a shipped sample as it was shipped."""
    return next((_build_shipped(entry) for entry in _shipped_entries() if entry["key"] == key), None)


def _question_drafts(question: dict[str, Any] | None, language: str) -> tuple[QuestionDraft, ...]:
    if not question:
        return ()
    said = question[language]
    shared = {"kind": question["kind"], "unit": question["unit"], "comment": question["comment"]}
    if "days" in said:
        return tuple(QuestionDraft(day, tuple(said["choices"]), heading=said["text"], **shared) for day in said["days"])
    return (QuestionDraft(said["text"], tuple(said["choices"]), **shared),)


def template_content(row: NoticeTemplate) -> TemplateContent:
    """Return what an own sample says."""
    asks = tuple(QuestionDraft(**{**one, "choices": tuple(one["choices"])}) for one in row.questions)
    return TemplateContent(
        row.name, row.subject, row.text, row.urgent, row.read_confirmation, row.kind, asks, html_body.html_of(row)
    )


def get_template(rights: Permissions, code: str) -> TemplateChoice | None:
    """Return the sample with a code, if the user may begin from it."""
    return next((one for one in available_templates(rights) if one.code == code), None)


def quick_templates(rights: Permissions) -> list[TemplateChoice]:
    """Return the urgent ones that stand on the first page, own ones before shipped ones (field 5.2: two taps)."""
    if not rights.may("send"):
        return []
    return [one for one in available_templates(rights) if one.home and one.words.urgent][:MAX_QUICK_TEMPLATES]


def start_notice(sample: TemplateChoice, by: User, now: datetime, form_key: str | None = None) -> Notice:
    """Begin a notice with the words of a sample; the same `form_key` finds the first one as it stands.

    What is urgent goes again by itself, twice after half an hour each, to who has not confirmed; an option like others.
    """
    said = sample.words
    rule = {"every_s": REMIND_EVERY_S, "times": REMIND_TIMES} if said.urgent else {}
    with db.atomic():
        if form_key and (found := Notice.get_or_none(Notice.form_key == form_key)):
            return found
        notice = drafts.create_draft(by, now=now, form_key=form_key, urgent=said.urgent)
        drafts.save_draft(
            notice,
            now=now,
            subject=said.subject,
            read_confirmation=said.read_confirmation,
            questions=list(said.questions),
            **_body_fields(said),
            reminder_rule=rule,
        )
    return notice


# ── own ones ─────────────────────────────────────────────────────────────────────────────────────────────────────


def may_edit_template(rights: Permissions, sample: TemplateChoice) -> bool:
    """Say whether a user may change a sample: an own one its list's managers, one for all only administrators.

    Of a shipped one, or of its version for all, every manager may make a version for an own list.
    """
    row = sample.row
    if row is None or (sample.key and row.list_id is None):
        return rights.may("manage")
    return rights.is_admin if row.list_id is None else rights.may("manage", row.list_id)


def content_error(said: TemplateContent) -> str:
    """Return what is wrong with the questions of a sample, one sentence, or nothing."""
    return next((wrong for ask in said.questions if (wrong := questions.question_error(ask))), "")


def add_template(by: User, said: TemplateContent, mailing_list: MailingList | None) -> NoticeTemplate:
    """Keep words as a sample, for one list or for all."""
    row = NoticeTemplate.create(list=mailing_list, **_row_values(said))
    audit.log_action(by, "sample.added", row.id)
    return row


def content_from_notice(notice: Notice, name: str = "") -> TemplateContent:
    """Return words and questions of a notice as those of a sample, for `add`; its deadlines have passed."""
    wording = notice.wording
    asks = tuple(replace(ask, deadline=None) for ask in questions.question_drafts(notice))
    kind = "emergency" if notice.urgent else "other"
    return TemplateContent(
        name or wording.subject,
        wording.subject,
        wording.text,
        notice.urgent,
        notice.read_confirmation,
        kind,
        asks,
        html_body.html_of(wording),
    )


class VersionExists(DomainError):
    """The list has own words for this sample already."""

    message = N_("This list has a version of its own already. Please change that one.")


def update_template(sample: TemplateChoice, by: User, said: TemplateContent, mailing_list: MailingList | None) -> None:
    """Change words and list of an own sample; a shipped one gets an own version, for one list or for all.

    A list gets its own words beside those for all. Raises Taken.
    """
    with db.atomic():
        row = sample.row
        if sample.key and (row is None or row.list_id is None and mailing_list is not None):
            row = _create_version(sample.key, mailing_list)
        elif sample.key and row and row.list_id != (mailing_list and mailing_list.id):
            _require_no_version(sample.key, mailing_list)
        NoticeTemplate.update(list=mailing_list, **_row_values(said)).where(NoticeTemplate.id == row.id).execute()
        audit.log_action(by, "sample.changed", row.id)


def _create_version(key: str, mailing_list: MailingList | None) -> NoticeTemplate:
    """Make the own version of a shipped sample for a list (None: all)."""
    _require_no_version(key, mailing_list)
    return NoticeTemplate.create(key=key, list=mailing_list)


def _require_no_version(key: str, mailing_list: MailingList | None) -> None:
    here = NoticeTemplate.list.is_null() if mailing_list is None else NoticeTemplate.list == mailing_list
    if NoticeTemplate.select().where(NoticeTemplate.key == key, here).exists():
        raise VersionExists()


def _row_values(said: TemplateContent) -> dict[str, Any]:
    asks = [{name: value for name, value in asdict(ask).items() if name != "deadline"} for ask in said.questions]
    return {
        "name": said.name,
        "subject": said.subject,
        "urgent": said.urgent,
        "kind": said.kind,
        "read_confirmation": said.read_confirmation,
        "questions": asks,
        **html_body.normalize_body(_body_fields(said), load_settings().language),
    }


def _body_fields(said: TemplateContent) -> dict[str, str]:
    """Return the body of a sample as `notices.save` takes it."""
    return {"html": said.html} if said.html else {"text": said.text}


def count_hidden() -> int:
    """Return how many shipped ones are hidden."""
    return NoticeTemplate.select().where(NoticeTemplate.hidden == True).count()  # noqa: E712


def unhide_all(by: User) -> None:
    """Show every hidden shipped one again."""
    if NoticeTemplate.delete().where(NoticeTemplate.hidden == True).execute():  # noqa: E712
        audit.log_action(by, "sample.shown")


def remove_template(sample: TemplateChoice, by: User) -> None:
    """Remove an own sample, go from an own version back to the shipped one, or hide a shipped one; repeatable."""
    if sample.row:
        if NoticeTemplate.delete().where(NoticeTemplate.id == sample.row.id).execute():
            audit.log_action(by, "sample.back" if sample.is_version else "sample.removed", sample.row.id)
    elif NoticeTemplate.insert(key=sample.code, hidden=True).on_conflict_ignore().execute():
        audit.log_action(by, "sample.hidden")
