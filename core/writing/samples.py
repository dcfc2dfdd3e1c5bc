"""Samples: words for the usual notices, shipped and own, from which a notice is begun (N-04, X-15, field 5.2).

Shipped ones stand in samples.json in the organization's language; 〔…〕 marks what is to be filled in. Own ones are
rows, for one list or for all. A sample never names recipients: these are chosen anew each time (field 5.3 no. 2).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import config
from core import history
from core.organization import settings
from core.rights import Rights
from core.writing import notices
from core.writing.questions import Ask
from models import MailingList, Notice, Sample, User, db

FILE = config.HERE / "core" / "writing" / "samples.json"
AT_HAND = 4
OWN = "own-"


@dataclass(frozen=True, slots=True)
class Words:
    """What a sample says."""

    name: str
    subject: str
    text: str
    urgent: bool = False
    read_confirmation: bool = True


@dataclass(frozen=True, slots=True)
class Ready:
    """A sample to begin from; `code` names it in addresses, `row` is there if it is an own one."""

    code: str
    words: Words
    home: bool = False
    questions: tuple[Ask, ...] = ()
    row: Sample | None = None


@cache
def _file() -> list[dict[str, Any]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def of(rights: Rights) -> list[Ready]:
    """Return the samples that a user may begin from: own ones by name, then those shipped and not hidden."""
    return [*_own(rights), *_shipped()]


def _own(rights: Rights) -> Iterator[Ready]:
    lists = [one.id for one in rights.lists("send")]
    mine = Sample.key.is_null() & (Sample.list.is_null() | Sample.list.in_(lists))
    for row in Sample.select().where(mine).order_by(Sample.name, Sample.id):
        yield Ready(f"{OWN}{row.id}", words_of(row), row.urgent, row=row)


def words_of(row: Sample) -> Words:
    """Return what an own sample says."""
    return Words(row.name, row.subject, row.text, row.urgent, row.read_confirmation)


def _shipped() -> Iterator[Ready]:
    hidden = {row.key for row in Sample.select(Sample.key).where(Sample.key.is_null(False))}
    language = settings().language
    for one in _file():
        if one["key"] in hidden:
            continue
        said = one[language]
        words = Words(said["name"], said["subject"], said["text"], one["urgent"], one["read"])
        yield Ready(one["key"], words, one["home"], _asks(one.get("question"), language))


def _asks(question: dict[str, Any] | None, language: str) -> tuple[Ask, ...]:
    if not question:
        return ()
    said = question[language]
    ask = Ask(
        said["text"], tuple(said["choices"]), question["kind"], unit=question["unit"], comment=question["comment"]
    )
    return (ask,)


def find(rights: Rights, code: str) -> Ready | None:
    """Return the sample with a code, if the user may begin from it."""
    return next((one for one in of(rights) if one.code == code), None)


def at_hand(rights: Rights) -> list[Ready]:
    """Return the urgent ones that stand on the first page, own ones before shipped ones (field 5.2: two taps)."""
    if not rights.may("send"):
        return []
    return [one for one in of(rights) if one.home and one.words.urgent][:AT_HAND]


def begin(sample: Ready, by: User, now: datetime, form_key: str | None = None) -> Notice:
    """Begin a notice with the words of a sample; the same `form_key` finds the first one as it stands."""
    said = sample.words
    with db.atomic():
        if form_key and (found := Notice.get_or_none(Notice.form_key == form_key)):
            return found
        notice = notices.draft(by, now=now, form_key=form_key, urgent=said.urgent)
        notices.save(
            notice, now=now, subject=said.subject, text=said.text, read_confirmation=said.read_confirmation,
            questions=list(sample.questions),
        )  # fmt: skip
    return notice


# ── own ones ─────────────────────────────────────────────────────────────────────────────────────────────────────


def may_change(rights: Rights, row: Sample) -> bool:
    """Say whether a user may change an own sample: its list's managers; one for all only administrators."""
    return rights.is_admin if row.list_id is None else rights.may("manage", row.list_id)


def add(by: User, said: Words, mailing_list: MailingList | None) -> Sample:
    """Keep words as a sample, for one list or for all."""
    row = Sample.create(list=mailing_list, **_fields(said))
    history.log(by, "sample.added", row.id)
    return row


def save_as(notice: Notice, name: str = "") -> Words:
    """Return the words of a notice as those of a sample, for `add`."""
    wording = notice.wording
    return Words(name or wording.subject, wording.subject, wording.text, notice.urgent, notice.read_confirmation)


def change(row: Sample, by: User, said: Words, mailing_list: MailingList | None) -> None:
    """Change words and list of an own sample."""
    Sample.update(list=mailing_list, **_fields(said)).where(Sample.id == row.id).execute()
    history.log(by, "sample.changed", row.id)


def _fields(said: Words) -> dict[str, Any]:
    return {
        "name": said.name, "subject": said.subject, "text": said.text, "urgent": said.urgent,
        "read_confirmation": said.read_confirmation,
    }  # fmt: skip


def hidden() -> int:
    """Return how many shipped ones are hidden."""
    return Sample.select().where(Sample.key.is_null(False)).count()


def show_again(by: User) -> None:
    """Show every hidden shipped one again."""
    if Sample.delete().where(Sample.key.is_null(False)).execute():
        history.log(by, "sample.shown")


def remove(sample: Ready, by: User) -> None:
    """Remove an own sample, or hide a shipped one; repeatable."""
    if sample.row:
        if Sample.delete().where(Sample.id == sample.row.id).execute():
            history.log(by, "sample.removed", sample.row.id)
    elif Sample.insert(key=sample.code).on_conflict_ignore().execute():
        history.log(by, "sample.hidden")
