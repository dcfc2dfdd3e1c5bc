"""What comes after a notice: its correction, and the latest news; each a draft to the same recipients."""

import re
from datetime import datetime

import words
from core.writing import questions
from core.writing.notices import draft, write_targets
from database import db
from models import Notice, Question, Target, User, Wording
from words import N_

UPDATE = N_("[Update %(time)s] %(subject)s")
_UPDATED = re.compile(r"【\d{1,2}:\d\d 更新】|\[Update \d{1,2}:\d\d\] ")


def correct(notice: Notice, by: User | None, now: datetime) -> Notice:
    """Begin the correction of a notice: a draft with the same recipients and options, marked 【訂正】."""
    subject = "【訂正】" + notice.wording.subject.removeprefix("【訂正】")
    return _draft_like(notice, by, now, subject, corrects=notice)


def apologise(notice: Notice, by: User | None, now: datetime) -> Notice:
    """Begin a correction that does not repeat what was wrong: no old words, no questions, no files (field 4.3 no. 14).

    The old subject is left out, too: it is the first thing that the wrong family sees.
    """
    with db.atomic():
        fresh = _draft_like(notice, by, now, "", corrects=notice)
        language = fresh.wording.language
        at = words.time_of_day(notice.started_at or now)
        Question.delete().where(Question.notice == fresh).execute()
        subject, text = words.say(language, WRONG_SUBJECT), words.say(language, WRONG_TEXT, time=at)
        said = {"subject": subject, "text": text, "html": "", "decorated": False}
        Wording.update(**said).where(Wording.notice == fresh).execute()
        Notice.update(read_confirmation=True).where(Notice.id == fresh.id).execute()
    return Notice.get_by_id(fresh.id)


WRONG_SUBJECT = N_("[Correction] An earlier letter was sent by mistake")
WRONG_TEXT = N_(
    "The letter of about %(time)s was sent to you by mistake. We are very sorry. Please delete it.\n"
    "If you have read it, please do not pass its contents on.\n"
)


def follow_up(notice: Notice, by: User | None, now: datetime) -> Notice:
    """Begin the next news of a notice: a draft to the same people, the time before its subject (field 5.2.7).

    【6:10 更新】 tells a reader with two letters at a glance which one holds; the mark of an earlier one goes.
    """
    wording = notice.wording
    subject = _UPDATED.sub("", wording.subject, count=1)
    marked = words.say(wording.language, UPDATE, time=words.time_of_day(now), subject=subject)
    return _draft_like(notice, by, now, marked, follows=notice)


def _draft_like(notice: Notice, by: User | None, now: datetime, subject: str, **link: Notice) -> Notice:
    with db.atomic():
        fresh = draft(by, now=now, urgent=notice.urgent)
        options = (
            "read_confirmation", "footer", "replies_to", "useful_s", "sends_as", "sender_name", "in_charge",
            "remind_every_s", "remind_times", "remind_before", "skip_missing",
        )  # fmt: skip
        Notice.update(step=2, **link, **{name: getattr(notice, name) for name in options}).where(
            Notice.id == fresh.id
        ).execute()
        targets = Target.select().where(Target.notice == notice).order_by(Target.id)
        write_targets([(fresh.id, one.kind, one.number, one.include) for one in targets])
        said = {name: getattr(notice.wording, name) for name in ("text", "html", "decorated")}
        Wording.update(subject=subject, **said).where(Wording.notice == fresh).execute()
        questions.copy(notice, fresh, now)
    return Notice.get_by_id(fresh.id)
