"""Checks of a notice before sending: errors that block it, and warnings that do not (law 7).

`find_missing` returns the errors by field: recipients (D-06), words (D-09), placeholders (N-04), merge fields (D-22,
D-24), questions (T-49).
`collect_warnings` returns what the sender should check again: D-28, D-29, field 4.3 no. 8, 4.4 no. 16 and 17, 5.3 no.
2 to 4, X-01, X-04, X-06. `compare_with_previous` shows who is new or gone since the last notice to the same list.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from peewee import fn

import clock
import i18n
from core.notices import attachments, html_body, merge_fields, placeholders, questions, reminders
from core.notices.audience import Audience
from core.notices.questions import QuestionDraft
from core.notices.related_notices import latest_to_same_list
from core.settings import Settings, load_settings
from i18n import N_, LazyMessage
from mail import merge
from models import Delivery, DeliveryMembership, MailingList, Notice, NoticeState, NoticeStats, Target, User, Wording

_DATE_WITH_WEEKDAY = re.compile(r"(?<!\d)(\d{1,2})(?:月(\d{1,2})日|/(\d{1,2}))[（(]([月火水木金土日])[）)]")
_ANY_DATE = re.compile(r"(?<!\d)(\d{1,2})(?:月(\d{1,2})日|/(\d{1,2})(?=[（(]))")
_DEADLINE = re.compile(
    r"(?<!\d)(\d{1,2})(?:月(\d{1,2})日|/(\d{1,2}))(?:\s*[（(][月火水木金土日][）)])?[^\n、。]{0,12}?(?:まで|締)"
)
_DAY_OFFSETS = {
    "今日": 0,
    "本日": 0,
    "きょう": 0,
    "今朝": 0,
    "今夜": 0,
    "明日": 1,
    "あした": 1,
    "あす": 1,
    "明朝": 1,
    "明後日": 2,
    "あさって": 2,
    "昨日": -1,
    "きのう": -1,
}
_DAY_WORD = re.compile(
    r"今日|本日|きょう|今朝|今夜|明日|あした|明朝|明後日|あさって|昨日|きのう|(?<![ぁ-ん])あす(?=[、はのにも\s])"
)
_WEEKDAYS = "月火水木金土日"
_PAST_WINDOW = timedelta(days=90)
_FILE_MENTION = re.compile(r"添付|別添|PDF|ピーディーエフ|attach", re.IGNORECASE)
_COURTESY = re.compile(r"保護者|皆様|皆さま|各位|お世話|日頃|平素|いつも|よろしく|ご理解|ご協力|ありがとう|ご覧|確認")
_CLASS_NAME = re.compile(r"(\d{1,2})年(\d{1,2})組")
_ALMOST_FIELD = re.compile(r"[{｛]{1,3}[^{}｛｝\r\n]{1,80}[}｝]{1,3}|(?:\{\{|｛｛)[^{}｛｝\s]{1,20}")
_GRADE = re.compile(r"(\d{1,2})年")
_PRIVATE_FILE_NAME = re.compile(
    r"名簿|連絡先|住所録|緊急連絡|成績|通知表|健康|アレルギー|roster|address", re.IGNORECASE
)
MIN_TEXT_CHARS = 40
NIGHT_HOURS = (22, 6)
NOTICES_COMPARED = 20
UNUSUAL_LETTERS = 50
DUPLICATE_WINDOW = timedelta(days=7)
NAMES_SHOWN = 5
_AWAITS_ROSTER = N_("%(lists)s: waits for the roster of the new year, so no notice can go there yet.")
SIGNATURE_EMPTY = N_("Your signature is not entered yet, so the notice cannot be sent. Enter it under your name.")
ONLY_FILE = N_(
    "The text does not say what it is about. Some families cannot open attachments: please write days and things to "
    "bring into the text."
)
FOOTER_OFF = N_(
    "The way to stop the mail and the school's address are required by law (特定電子メール法) in mail that advertises."
    " We do not recommend leaving them out."
)
IMAGE_ONLY = N_(
    "There are hardly any words beside the picture. Some cannot see it, and filters take such letters for advertising:"
    " please write what it is about into the text."
)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def find_missing(
    notice: Notice, audience: Audience, by: User | None = None, begins: datetime | None = None
) -> dict[str, str]:
    """Return {field: error}. by: the sender, whose signature is checked; begins: start of sending (None: now)."""
    wording, errors = notice.wording, dict[str, str]()
    if not _has_targets(notice):
        errors["targets"] = N_("Choose the recipients.")
    elif waiting := audience.waiting:
        errors["targets"] = LazyMessage(_AWAITS_ROSTER, lists=", ".join(waiting))
    elif not audience.receiving and not any(recipient.missing for recipient in audience.left_out):
        errors["targets"] = N_("Nobody of the chosen recipients can receive mail.")
    if not wording.subject.strip():
        errors["subject"] = N_("Write a subject.")
    if not wording.text.strip():
        errors["text"] = N_("Write the text.")
    elif error := html_body.html_error(notice, wording):
        errors["text"] = error
    if error := questions.questions_error(notice, begins or clock.now()):
        errors["questions"] = error
    return {
        **_field_empty_for_all(audience),
        **placeholders.placeholder_errors(notice),
        **_merge_field_errors(notice, wording, by),
        **errors,
    }


def _has_targets(notice: Notice) -> bool:
    return bool(Target.select().where(Target.notice == notice, Target.include == True).exists())


def _field_empty_for_all(audience: Audience) -> dict[str, str]:
    """Return the error if an empty merge field excludes every recipient."""
    empty = next((recipient.missing[0] for recipient in audience.left_out if recipient.missing), None)
    if audience.receiving or empty is None:
        return {}
    message = N_("“%(field)s” is empty for everybody who is chosen, so nobody would get a letter.")
    return {"text": LazyMessage(message, field=empty)}


def _merge_field_errors(notice: Notice, wording: Wording, by: User | None) -> dict[str, str]:
    names = {part: merge.field_names(getattr(wording, part)) for part in ("subject", "text")}
    if not any(names.values()):
        return {}
    custom, settings = merge_fields.custom_field_names(merge_fields.lists_of_notice(notice)), load_settings()
    has_targets = _has_targets(notice)
    errors = {
        part: _merge_field_error(part_names, custom, settings, by, has_targets) for part, part_names in names.items()
    }
    return {part: error for part, error in errors.items() if error}


def _merge_field_error(
    names: list[str], custom: list[str], settings: Settings, by: User | None, has_targets: bool
) -> str:
    """Return the error of the first bad name. Without targets the custom fields are unknown, so names are not checked."""
    for name, likely in merge_fields.unknown_names(names, custom) if has_targets else ():
        if likely:
            message = N_("There is no merge field “%(name)s”. Did you mean “%(likely)s”?")
            return LazyMessage(message, name=name, likely=likely)
        return LazyMessage(
            N_("There is no merge field “%(name)s”. Please choose one of those below the text."), name=name
        )
    if by is not None and not by.signature.strip() and merge_fields.uses_signature(names):
        return SIGNATURE_EMPTY
    if unset := merge_fields.missing_organization_value(names, settings):
        return LazyMessage(N_("“%(name)s” is not set for the school yet. An administrator can enter it."), name=unset)
    return ""


# ── warnings ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SendWarning:
    """A message with its values. `kind` selects a button on the page (`night`: book for `at`)."""

    kind: str
    message: str
    values: dict[str, object] = field(default_factory=dict)
    at: datetime | None = None


def collect_warnings(
    notice: Notice, audience: Audience, now: datetime, at: datetime | None = None, language: str = "ja"
) -> list[SendWarning]:
    """Return the warnings for a notice that goes out at `at` (None: now)."""
    begins, wording = at or now, notice.wording
    text = f"{wording.subject}\n{wording.text}"
    day = clock.to_local(begins).date()
    asked = questions.question_drafts(notice)
    text_and_questions = "\n".join([text, *(part for draft in asked for part in (draft.heading, draft.text))])
    files = [file.name for file in attachments.files_of_notice(notice)]
    return [
        *([] if notice.urgent else _check_night(begins, at)),
        *check_braces(text),
        *check_other_classes(text, audience),
        *check_deadline(text, asked, day, language),
        *check_files(wording.text, len(files)),
        *check_file_names(files),
        *_check_image_only(wording),
        *check_day_words(text, begins, at, language),
        *check_subject(wording.subject, begins, language),
        *check_weekdays(text_and_questions, day, language),
        *check_past_dates(text_and_questions, day, language),
        *check_size(notice, audience),
        *check_duplicate(notice, audience, now, language),
        *_check_footer(notice, load_settings()),
    ]


def _check_night(begins: datetime, at: datetime | None) -> Iterator[SendWarning]:
    hour = clock.to_local(begins).hour
    if hour >= NIGHT_HOURS[0] or hour < NIGHT_HOURS[1]:
        message = (
            N_("It will be %(time)s then. The sound of the phone may wake somebody.")
            if at
            else N_("It is %(time)s now. The sound of the phone may wake somebody.")
        )
        morning = reminders.skip_quiet_hours(begins)
        yield SendWarning("night", message, {"time": i18n.format_time(begins)}, at=morning)


def _check_footer(notice: Notice, settings: Settings) -> Iterator[SendWarning]:
    if not notice.footer:
        yield SendWarning("footer", FOOTER_OFF)
    elif not settings.postal:
        yield SendWarning("postal", N_("The postal address of the school is not set, so the footer has none."))


def check_braces(text: str) -> Iterator[SendWarning]:
    """Warn of words in braces that look like a merge field and are none: {氏名}, ｛氏名｝, {{氏名}."""
    plain = "\n".join(piece.text for piece in merge.split_fields(text) if not piece.field)
    if places := list(dict.fromkeys(_ALMOST_FIELD.findall(plain))):
        message = N_(
            "%(places)s looks like a merge field, but would go out as it is. Please choose the field below the text."
        )
        yield SendWarning("braces", message, {"places": " ".join(places[:5])})


def check_day_words(text: str, begins: datetime, at: datetime | None, language: str) -> Iterator[SendWarning]:
    """Say which day "tomorrow" means for the reader, if the notice does not go out today."""
    if at is None or clock.to_local(at).date() == clock.today():
        return
    message = N_("The text says “%(word)s” but goes out on %(day)s; readers will take it as %(read)s.")
    for word in dict.fromkeys(_DAY_WORD.findall(text)):
        read_as = clock.to_local(begins).date() + timedelta(days=_DAY_OFFSETS[word])
        values = {"word": word, "day": i18n.format_day(language, begins), "read": i18n.format_day(language, read_as)}
        yield SendWarning("day", message, values)


def check_subject(subject: str, begins: datetime, language: str) -> Iterator[SendWarning]:
    """Warn of "today" in a subject, which stays in the mailbox for days (field 4.3)."""
    for word in dict.fromkeys(_DAY_WORD.findall(subject)):
        day = clock.to_local(begins).date() + timedelta(days=_DAY_OFFSETS[word])
        message = N_("The subject says “%(word)s”, which is another day for who reads it later. Better: %(day)s.")
        yield SendWarning("subject_day", message, {"word": word, "day": i18n.format_day(language, day)})


def check_weekdays(text: str, today: date, language: str) -> Iterator[SendWarning]:
    """Warn of a date with the wrong day of the week."""
    for month, day, other_day, weekday in dict.fromkeys(_DATE_WITH_WEEKDAY.findall(text)):
        named = _nearest_date(int(month), int(day or other_day), today)
        if named and _WEEKDAYS[named.weekday()] != weekday:
            written = f"{month}月{day}日({weekday})" if day else f"{month}/{other_day}({weekday})"
            message = N_("“%(written)s”: that day is %(day)s.")
            yield SendWarning("weekday", message, {"written": written, "day": i18n.format_day(language, named)})


def check_past_dates(text: str, today: date, language: str) -> Iterator[SendWarning]:
    """Name all dates in the past in one warning."""
    dates = {_nearest_date(int(month), int(day or other), today) for month, day, other in _ANY_DATE.findall(text)}
    past = sorted(day for day in dates if day and today - _PAST_WINDOW < day < today)
    if past:
        days = i18n.say(language, ", ").join(i18n.format_day(language, day) for day in past)
        yield SendWarning("past", N_("These days have already passed: %(days)s."), {"days": days})


def check_deadline(text: str, asked: list[QuestionDraft], today: date, language: str) -> Iterator[SendWarning]:
    """Warn of a question without a deadline beside a text that names one, such as 12/4まで."""
    if any(draft.deadline is None for draft in asked) and (named := deadlines_in_text(text, today)):
        message = N_("The text says “until %(day)s”, but the answers have no deadline.")
        yield SendWarning("deadline", message, {"day": i18n.format_day(language, named[0])})


def deadlines_in_text(text: str, today: date) -> list[date]:
    """Return the coming days that a text names as a deadline: 12月4日(金)まで, 12/4 17時までに."""
    found = (_nearest_date(int(month), int(day or other), today) for month, day, other in _DEADLINE.findall(text))
    return [day for day in dict.fromkeys(found) if day and day >= today]


def _nearest_date(month: int, day: int, today: date) -> date | None:
    """Return the date nearest to today with this month and day."""
    dates = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            dates.append(date(year, month, day))
        except ValueError:
            continue
    return min(dates, key=lambda date_: abs(date_ - today), default=None)


# ── warnings: attachments and images ─────────────────────────────────────────────────────────────────────────────


def check_files(text: str, files: int) -> Iterator[SendWarning]:
    """Warn of a mentioned file that is missing, and of a text that only refers to the file (field 4.4 no. 17)."""
    mention = _FILE_MENTION.search(text)
    if mention and not files:
        message = N_("The text says “%(word)s”, but no file has been added.")
        yield SendWarning("no_file", message, {"word": mention[0]})
    elif files and _text_only_refers_to_file(text):
        yield SendWarning("only_file", ONLY_FILE)


def _text_only_refers_to_file(text: str) -> bool:
    """Say whether the text holds only courtesies and the mention of the file."""
    sentences = [sentence.strip() for sentence in re.split(r"[。．\n]", text) if sentence.strip()]
    if any(re.search(r"\d", sentence) for sentence in sentences):
        return False
    content = [
        sentence
        for sentence in sentences
        if not _COURTESY.search(sentence) and (len(sentence) > 30 or not _FILE_MENTION.search(sentence))
    ]
    return sum(map(len, content)) < 8


def check_file_names(names: list[str]) -> Iterator[SendWarning]:
    """Warn of files named like private data (X-01, field 5.3 no. 2)."""
    for name in names:
        if _PRIVATE_FILE_NAME.search(name):
            message = N_("“%(name)s” sounds like a list of people or something private. May all families have it?")
            yield SendWarning("private_file", message, {"name": name})


def _check_image_only(wording: Wording) -> Iterator[SendWarning]:
    """Warn of images almost without text: some readers do not see them, spam filters reject them."""
    has_images = html_body.image_ids_of_wording(wording)
    if has_images and html_body.text_length_without_images(wording) < MIN_TEXT_CHARS:
        yield SendWarning("picture", IMAGE_ONLY)


# ── warnings: recipients ─────────────────────────────────────────────────────────────────────────────────────────


def check_other_classes(text: str, audience: Audience) -> Iterator[SendWarning]:
    """Warn of a class in the text that is not among the recipients (field 5.3 no. 2)."""
    if audience.whole or not audience.lists:
        return
    own_names = {_normalize(mailing_list.name) for mailing_list in audience.lists}
    plain = _normalize(text)
    others = [
        f"{match[1]}年{match[2]}組"
        for match in _CLASS_NAME.finditer(plain)
        if not _is_recipient_class(match, own_names, audience)
    ]
    others += [other.name for other in _other_lists(own_names) if _normalize(other.name) in plain]
    lists = ", ".join(mailing_list.name for mailing_list in audience.lists)
    for name in dict.fromkeys(others):
        message = N_("The text names “%(name)s”, but goes to %(lists)s.")
        yield SendWarning("class", message, {"name": name, "lists": lists})


def _normalize(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _is_recipient_class(match: re.Match[str], own_names: set[str], audience: Audience) -> bool:
    class_ = f"{int(match[1])}-{int(match[2])}"
    return any(match[0] in name for name in own_names) or any(
        class_ in recipient.rooms.split(", ") for recipient in audience.receiving
    )


def _other_lists(own_names: set[str]) -> list[MailingList]:
    """Return the other lists with a name that is long or names a grade, and does not overlap the own names."""
    own_grades = {grade for name in own_names for grade in _GRADE.findall(name)}
    others = []
    for mailing_list in MailingList.open_lists():
        name = _normalize(mailing_list.name)
        is_own_grade = "組" not in name and set(_GRADE.findall(name)) & own_grades
        is_distinct = len(name) >= 4 or _GRADE.search(name)
        overlaps = any(name in own or own in name for own in own_names)
        if is_distinct and not mailing_list.whole and not is_own_grade and not overlaps:
            others.append(mailing_list)
    return others


# ── comparison with earlier notices ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PreviousSend:
    """The last notice to the same list. new, gone: the first names; more: difference of the number of people."""

    at: datetime
    count: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    more: int


def compare_with_previous(notice: Notice, audience: Audience) -> PreviousSend | None:
    """Compare the recipients with the last notice to the same list, for a notice to a single list (X-04, X-06)."""
    previous = latest_to_same_list(notice) if len(audience.lists) == 1 and not audience.groups else None
    if previous is None or previous.started_at is None or previous.purged_at:
        return None
    # The previous notice may have gone to other lists too, whose families this sender may not see.
    of_list = DeliveryMembership.select(DeliveryMembership.delivery).where(DeliveryMembership.list == audience.lists[0])
    rows = Delivery.select(Delivery.person, Delivery.name).where(
        Delivery.notice == previous, Delivery.reason == "", Delivery.person.is_null(False), Delivery.id.in_(of_list)
    )
    before = dict(rows.order_by(Delivery.kana, Delivery.id).tuples())
    now = {recipient.person_id: recipient.name for recipient in audience.receiving}
    new = [name for person, name in now.items() if person not in before]
    gone = [name for person, name in before.items() if person not in now]
    return PreviousSend(
        previous.started_at, len(before), tuple(new[:NAMES_SHOWN]), tuple(gone[:NAMES_SHOWN]), len(now) - len(before)
    )


def check_size(notice: Notice, audience: Audience) -> Iterator[SendWarning]:
    """Warn of twice as many letters as the sender's largest notice (X-06, field 5.3 no. 2)."""
    most = _largest_send(notice)
    if most and audience.letters >= UNUSUAL_LETTERS and audience.letters >= 2 * most:
        message = N_("Your notices have reached %(most)s people at most until now; this one goes to %(n)s.")
        yield SendWarning("size", message, {"most": most, "n": audience.letters})


def _largest_send(notice: Notice) -> int:
    """Return the most letters of one of the sender's last notices, also from the statistics of purged ones."""
    last = (
        Notice.select(Notice.id)
        .where(Notice.by == notice.by_id, Notice.started_at.is_null(False), Notice.id != notice.id)
        .order_by(Notice.started_at.desc())
        .limit(NOTICES_COMPARED)
    )
    counts = (
        Delivery.select(fn.COUNT(Delivery.id))
        .where(Delivery.notice.in_(last), Delivery.reason == "")
        .group_by(Delivery.notice)
    )
    purged = (
        NoticeStats.select(fn.MAX(NoticeStats.sent))
        .where(NoticeStats.notice.in_(last), NoticeStats.kept.is_null(False))
        .scalar()
    )
    return max([int(count) for (count,) in counts.tuples()] + [int(purged or 0)])


def check_duplicate(notice: Notice, audience: Audience, now: datetime, language: str) -> Iterator[SendWarning]:
    """Warn if the same words went to one of these lists within a week (field 5.3 no. 3)."""
    wording = notice.wording
    same = (
        Notice.select(Notice)
        .join(Wording)
        .switch(Notice)
        .join(Target)
        .where(
            Notice.id != notice.id,
            Notice.confirmed_at > now - DUPLICATE_WINDOW,
            Notice.state.not_in((NoticeState.DRAFT, NoticeState.DROPPED, NoticeState.WITHDRAWN)),
            Wording.subject == wording.subject,
            Wording.text == wording.text,
            Target.kind == "list",
            Target.include == True,
            Target.number.in_([mailing_list.id for mailing_list in audience.lists]),
        )
        .order_by(Notice.confirmed_at.desc())
        .first()
    )
    if same:
        message = N_("The same words were sent to this list before (%(at)s). Is it meant to go out twice?")
        yield SendWarning("again", message, {"at": i18n.format_datetime(language, same.confirmed_at)})
