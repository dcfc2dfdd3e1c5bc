"""A notice and the others of its lists: the previous and newer ones, its correction and its updates."""

import re
from datetime import datetime

import clock
import i18n
from core.notices import questions
from core.notices.drafts import create_draft, insert_targets, save_reminder_rule
from database import db, millis
from i18n import N_
from models import Delivery, Notice, Question, Target, User, Wording


def latest_to_same_list(notice: Notice) -> Notice | None:
    """Return the last notice sent to the first list of this one (X-09)."""
    first = (
        Target.select(Target.number)
        .where(Target.notice == notice, Target.kind == "list", Target.include == True)
        .order_by(Target.id)
        .limit(1)
    )
    others = Target.alias()
    latest: Notice | None = (
        Notice.latest()
        .join(others, on=(others.notice == Notice.id))
        .where(
            others.kind == "list",
            others.include == True,
            others.number.in_(first),
            Notice.id != notice.id,
            Notice.started_at.is_null(False),
            Notice.kind == "notice",
        )
        .first()
    )
    return latest


_NEWER = """
SELECT 1 FROM notice AS n JOIN target AS t ON t.notice_id = n.id
WHERE t.kind = 'list' AND n.id <> ? AND n.kind = 'notice' AND n.state <> 'withdrawn'
 AND t.number IN (SELECT number FROM target WHERE notice_id = ? AND kind = 'list' AND include)
 AND n.started_at > ? LIMIT 1"""


def newer_exists(notice: Notice) -> bool:
    """Say whether sending of a later notice to one of the same lists has started."""
    since = millis(notice.started_at or clock.now())
    return db.execute_sql(_NEWER, (notice.id, notice.id, since)).fetchone() is not None


def count_reached(notice: Notice) -> int:
    """Return the number of recipients, as frozen when sending started."""
    return Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").count()


# ── follow-ups ───────────────────────────────────────────────────────────────────────────────────────────────────


UPDATE_SUBJECT = N_("[Update %(time)s] %(subject)s")
_UPDATE_PREFIX = re.compile(r"【\d{1,2}:\d\d 更新】|\[Update \d{1,2}:\d\d\] ")


def create_correction(notice: Notice, by: User | None, now: datetime) -> Notice:
    """Create a draft with the same words, recipients and options, marked 【訂正】."""
    subject = "【訂正】" + notice.wording.subject.removeprefix("【訂正】")
    return _copy_as_draft(notice, by, now, subject, correction_of=notice)


def create_apology(notice: Notice, by: User | None, now: datetime) -> Notice:
    """Create a correction without the old subject, text, questions and files (field 4.3 no. 14).

    A letter to the wrong family must not repeat them.
    """
    with db.atomic():
        fresh = _copy_as_draft(notice, by, now, "", correction_of=notice)
        language = fresh.wording.language
        at = i18n.format_time(notice.started_at or now)
        Question.delete().where(Question.notice == fresh).execute()
        subject, text = i18n.say(language, APOLOGY_SUBJECT), i18n.say(language, APOLOGY_TEXT, time=at)
        words = {"subject": subject, "text": text, "html": "", "decorated": False}
        Wording.update(**words).where(Wording.notice == fresh).execute()
        Notice.update(read_confirmation=True).where(Notice.id == fresh.id).execute()
    return Notice.get_by_id(fresh.id)


APOLOGY_SUBJECT = N_("[Correction] An earlier letter was sent by mistake")
APOLOGY_TEXT = N_(
    "The letter of about %(time)s was sent to you by mistake. We are very sorry. Please delete it.\n"
    "If you have read it, please do not pass its contents on.\n"
)


def create_update(notice: Notice, by: User | None, now: datetime) -> Notice:
    """Create a draft to the same recipients, with the time in its subject: 【6:10 更新】 (field 5.2.7).

    A reader with two letters then sees which one is valid. The mark replaces that of an earlier update.
    """
    wording = notice.wording
    subject = _UPDATE_PREFIX.sub("", wording.subject, count=1)
    marked = i18n.say(wording.language, UPDATE_SUBJECT, time=i18n.format_time(now), subject=subject)
    return _copy_as_draft(notice, by, now, marked, follow_up_to=notice)


def _copy_as_draft(notice: Notice, by: User | None, now: datetime, subject: str, **link: Notice) -> Notice:
    with db.atomic():
        fresh = create_draft(by, now=now, urgent=notice.urgent)
        options = (
            "read_confirmation",
            "footer",
            "reply_to_user",
            "useful_s",
            "sender_user",
            "sender_name",
            "from_class_teacher",
            "skip_missing",
        )
        Notice.update(wizard_step=2, **link, **{name: getattr(notice, name) for name in options}).where(
            Notice.id == fresh.id
        ).execute()
        rule = notice.reminder_rule
        save_reminder_rule(fresh, every_s=rule.every_s, times=rule.times, before_deadline=rule.before_deadline)
        targets = Target.select().where(Target.notice == notice).order_by(Target.id)
        insert_targets([(fresh.id, target.kind, target.number, target.include) for target in targets])
        words = {name: getattr(notice.wording, name) for name in ("text", "html", "decorated")}
        Wording.update(subject=subject, **words).where(Wording.notice == fresh).execute()
        questions.copy_questions(notice, fresh, now)
    return Notice.get_by_id(fresh.id)
