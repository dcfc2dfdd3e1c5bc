"""What in the words themselves should be looked at again: dates, day words, files that are named, another class.

field 4.4 no. 16 and 17, 5.3 no. 2 and 4, X-04. Each gives warnings and forbids nothing.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from peewee import fn

import clock
import i18n
from core.notices import attachments, html_body, merge_fields, questions
from core.notices.audience import Audience
from core.notices.related_notices import latest_to_same_list
from core.settings import Settings, load_settings
from i18n import N_, LazyMessage
from mail import merge
from models import Delivery, MailingList, Notice, NoticeStats, Target, User, Wording

_DATE_WITH_WEEKDAY = re.compile(r"(?<!\d)(\d{1,2})(?:月(\d{1,2})日|/(\d{1,2}))[（(]([月火水木金土日])[）)]")
_ANY_DATE = re.compile(r"(?<!\d)(\d{1,2})(?:月(\d{1,2})日|/(\d{1,2})(?=[（(]))")
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
_PLACEHOLDER = re.compile(r"〔[^〔〕\n]*〕")
_GRADE = re.compile(r"(\d{1,2})年")


@dataclass(frozen=True, slots=True)
class SendWarning:
    """A sentence with its values; `kind` names it for pages that offer a way out (`night`: book it for `at`)."""

    kind: str
    message: str
    values: dict[str, object] = field(default_factory=dict)
    at: datetime | None = None


def check_blanks(text: str) -> Iterator[SendWarning]:
    """Say which places of a sample are still to be filled in (N-04)."""
    if left := list(dict.fromkeys(_PLACEHOLDER.findall(text))):
        yield SendWarning(
            "blank", N_("Still as in the sample: %(places)s. Please fill in."), {"places": " ".join(left[:5])}
        )


def strip_blanks(text: str) -> str:
    """Return the words without the places of a sample that are still to be filled in."""
    return _PLACEHOLDER.sub("", text)


def check_day_words(text: str, begins: datetime, at: datetime | None, language: str) -> Iterator[SendWarning]:
    """Say which day "tomorrow" will be for the reader of a letter that goes out on another day."""
    if at is None or clock.to_local(at).date() == clock.today():
        return
    sentence = N_("The text says “%(word)s” but goes out on %(day)s; readers will take it as %(read)s.")
    for word in dict.fromkeys(_DAY_WORD.findall(text)):
        read_as = clock.to_local(begins).date() + timedelta(days=_DAY_OFFSETS[word])
        values = {"word": word, "day": i18n.format_day(language, begins), "read": i18n.format_day(language, read_as)}
        yield SendWarning("day", sentence, values)


def check_subject(subject: str, begins: datetime, language: str) -> Iterator[SendWarning]:
    """Say that a subject stays in the mailbox for days, and "today" with it (field 4.3)."""
    for word in dict.fromkeys(_DAY_WORD.findall(subject)):
        day = clock.to_local(begins).date() + timedelta(days=_DAY_OFFSETS[word])
        sentence = N_("The subject says “%(word)s”, which is another day for who reads it later. Better: %(day)s.")
        yield SendWarning("subject_day", sentence, {"word": word, "day": i18n.format_day(language, day)})


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_weekdays(text: str, today: date, language: str) -> Iterator[SendWarning]:
    """Say which date stands beside the wrong day of the week."""
    for month, day, other_day, weekday in dict.fromkeys(_DATE_WITH_WEEKDAY.findall(text)):
        named = _nearest_date(int(month), int(day or other_day), today)
        if named and _WEEKDAYS[named.weekday()] != weekday:
            written = f"{month}月{day}日({weekday})" if day else f"{month}/{other_day}({weekday})"
            yield SendWarning(
                "weekday",
                N_("“%(written)s”: that day is %(day)s."),
                {"written": written, "day": i18n.format_day(language, named)},
            )


def check_past_dates(text: str, today: date, language: str) -> Iterator[SendWarning]:
    """Name the dates that lie behind the reader, in one sentence."""
    named = {_nearest_date(int(month), int(day or other), today) for month, day, other in _ANY_DATE.findall(text)}
    past = sorted(one for one in named if one and today - _PAST_WINDOW < one < today)
    if past:
        days = i18n.say(language, ", ").join(i18n.format_day(language, one) for one in past)
        yield SendWarning("past", N_("These days have already passed: %(days)s."), {"days": days})


def _nearest_date(month: int, day: int, today: date) -> date | None:
    """Return the date nearest to today with this month and day."""
    found = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            found.append(date(year, month, day))
        except ValueError:
            continue
    return min(found, key=lambda one: abs(one - today), default=None)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_files(text: str, files: int) -> Iterator[SendWarning]:
    """Say that a file is named and not there, or that the words leave everything to it (field 4.4 no. 17)."""
    named = _FILE_MENTION.search(text)
    if named and not files:
        sentence = N_("The text says “%(word)s”, but no file has been added.")
        yield SendWarning("no_file", sentence, {"word": named[0]})
    elif files and _text_only_refers_to_file(text):
        yield SendWarning("only_file", ONLY_FILE)


ONLY_FILE = N_(
    "The text does not say what it is about. Some families cannot open attachments: please write days and things to "
    "bring into the text."
)


def _text_only_refers_to_file(text: str) -> bool:
    """Say whether nothing but politeness and the mention of the file is left."""
    sentences = [one.strip() for one in re.split(r"[。．\n]", text) if one.strip()]
    if any(re.search(r"\d", one) for one in sentences):
        return False
    told = [one for one in sentences if not _COURTESY.search(one) and (len(one) > 30 or not _FILE_MENTION.search(one))]
    return sum(map(len, told)) < 8


_PRIVATE_FILE_NAME = re.compile(
    r"名簿|連絡先|住所録|緊急連絡|成績|通知表|健康|アレルギー|roster|address", re.IGNORECASE
)


def check_file_names(names: list[str]) -> Iterator[SendWarning]:
    """Say that a file is named like one that must not go to families (X-01, field 5.3 no. 2)."""
    for name in names:
        if _PRIVATE_FILE_NAME.search(name):
            sentence = N_("“%(name)s” sounds like a list of people or something private. May all families have it?")
            yield SendWarning("private_file", sentence, {"name": name})


# ── another class ────────────────────────────────────────────────────────────────────────────────────────────────


def check_other_classes(text: str, audience: Audience) -> Iterator[SendWarning]:
    """Say that the words name a class which is not among the recipients (field 5.3 no. 2)."""
    if audience.whole or not audience.lists:
        return
    mine = {_normalize(one.name) for one in audience.lists}
    plain, foreign = _normalize(text), []
    foreign += [
        f"{one[1]}年{one[2]}組" for one in _CLASS_NAME.finditer(plain) if not _is_recipient_class(one, mine, audience)
    ]
    foreign += [one.name for one in _other_lists(audience, mine) if _normalize(one.name) in plain]
    for name in dict.fromkeys(foreign):
        sentence = N_("The text names “%(name)s”, but goes to %(lists)s.")
        yield SendWarning("class", sentence, {"name": name, "lists": ", ".join(one.name for one in audience.lists)})


def _normalize(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _is_recipient_class(found: re.Match, mine: set[str], audience: Audience) -> bool:
    room = f"{int(found[1])}-{int(found[2])}"
    return any(found[0] in name for name in mine) or any(room in one.rooms.split(", ") for one in audience.receiving)


def _other_lists(audience: Audience, mine: set[str]) -> list[MailingList]:
    """Return the lists that are named like a class or a grade, or long enough to be meant, and are no part of ours."""
    grades = {found for name in mine for found in _GRADE.findall(name)}
    others = []
    for one in MailingList.open_lists():
        name = _normalize(one.name)
        same_grade = "組" not in name and set(_GRADE.findall(name)) & grades
        tells = len(name) >= 4 or _GRADE.search(name)
        if tells and not one.whole and not same_grade and not any(name in own or own in name for own in mine):
            others.append(one)
    return others


def find_missing(
    notice: Notice, audience: Audience, by: User | None = None, begins: datetime | None = None
) -> dict[str, str]:
    """Return what is still missing, by field: recipients (D-06), words (D-09), merge fields (D-22), questions (T-49).

    by: who presses "send"; begins: when it is to go (None: now).
    """
    wording, missing = notice.wording, {}
    if not Target.select().where(Target.notice == notice, Target.include == True).exists():
        missing["targets"] = N_("Choose the recipients.")
    elif waiting := audience.waiting:
        missing["targets"] = LazyMessage(_AWAITS_ROSTER, lists=", ".join(waiting))
    elif not audience.receiving and not any(one.missing for one in audience.left_out):
        missing["targets"] = N_("Nobody of the chosen recipients can receive mail.")
    if not wording.subject.strip():
        missing["subject"] = N_("Write a subject.")
    if not wording.text.strip():
        missing["text"] = N_("Write the text.")
    elif wrong := html_body.html_error(notice, wording):
        missing["text"] = wrong
    if wrong := questions.questions_error(notice, begins or clock.now()):
        missing["questions"] = wrong
    return {**_field_empty_for_all(audience), **_merge_field_errors(notice, wording, by), **missing}


def _field_empty_for_all(audience: Audience) -> dict[str, str]:
    """Say which merge field keeps everybody from getting a letter."""
    empty = next((one.missing[0] for one in audience.left_out if one.missing), None)
    if audience.receiving or empty is None:
        return {}
    sentence = N_("“%(field)s” is empty for everybody who is chosen, so nobody would get a letter.")
    return {"text": LazyMessage(sentence, field=empty)}


def _merge_field_errors(notice: Notice, wording: Wording, by: User | None) -> dict[str, str]:
    """Return what stands against the merge fields of the words, by where it stands."""
    names = {part: merge.field_names(getattr(wording, part)) for part in ("subject", "text")}
    if not any(names.values()):
        return {}
    free, force = merge_fields.custom_field_names(merge_fields.lists_of_notice(notice)), load_settings()
    chosen = Target.select().where(Target.notice == notice, Target.include == True).exists()
    found = {part: _merge_field_error(held, free, force, by, chosen) for part, held in names.items()}
    return {part: sentence for part, sentence in found.items() if sentence}


def _merge_field_error(names: list[str], free: list[str], force: Settings, by: User | None, chosen: bool) -> str:
    """Say what is wrong with the first bad name; while no list is chosen nobody knows which items it has."""
    for name, likely in merge_fields.unknown_names(names, free) if chosen else ():
        if likely:
            return LazyMessage(
                N_("There is no merge field “%(name)s”. Did you mean “%(likely)s”?"), name=name, likely=likely
            )
        return LazyMessage(
            N_("There is no merge field “%(name)s”. Please choose one of those below the text."), name=name
        )
    if by is not None and not by.signature.strip() and merge_fields.uses_signature(names):
        return SIGNATURE_EMPTY
    if lacking := merge_fields.missing_organization_value(names, force):
        return LazyMessage(N_("“%(name)s” is not set for the school yet. An administrator can enter it."), name=lacking)
    return ""


_AWAITS_ROSTER = N_("%(lists)s: waits for the roster of the new year, so no notice can go there yet.")
_NO_FIELD = N_("There is no merge field “%(name)s”. Please choose one of those below the text.")
_DID_YOU_MEAN = N_("There is no merge field “%(name)s”. Did you mean “%(likely)s”?")
SIGNATURE_EMPTY = N_("Your signature is not entered yet, so the notice cannot be sent. Enter it under your name.")


FOOTER_OFF = N_(
    "The way to stop the mail and the school's address are required by law (特定電子メール法) in mail that advertises."
    " We do not recommend leaving them out."
)
MIN_TEXT_CHARS = 40
IMAGE_ONLY = N_(
    "There are hardly any words beside the picture. Some cannot see it, and filters take such letters for advertising:"
    " please write what it is about into the text."
)
NIGHT_HOURS = (22, 6)
MORNING_TIME = time(7)


def collect_warnings(
    notice: Notice, audience: Audience, now: datetime, at: datetime | None = None, language: str = "ja"
) -> list[SendWarning]:
    """Return what to look at again before this notice goes out at a time (None: now)."""
    force, begins = load_settings(), at or now
    wording = notice.wording
    text = f"{wording.subject}\n{wording.text}"
    filled_in = strip_blanks(text)  # the date of a sample is told once, as a blank
    day = clock.to_local(begins).date()
    files = [one.name for one in attachments.files_of_notice(notice)]
    return [
        *_check_night(begins, now, at),
        *check_blanks("\n".join([text, *(line for ask in questions.question_drafts(notice) for line in ask.choices)])),
        *check_other_classes(text, audience),
        *check_files(wording.text, len(files)),
        *check_file_names(files),
        *_check_image_only(wording),
        *check_day_words(text, begins, at, language),
        *check_subject(wording.subject, begins, language),
        *check_weekdays(filled_in, day, language),
        *check_past_dates(filled_in, day, language),
        *check_size(notice, audience),
        *check_duplicate(notice, audience, now, language),
        *_check_footer(notice, force),
    ]


def _check_night(begins: datetime, now: datetime, at: datetime | None) -> Iterator[SendWarning]:
    hour = clock.to_local(begins).hour
    if hour >= NIGHT_HOURS[0] or hour < NIGHT_HOURS[1]:
        sentence = (
            N_("It will be %(time)s then. The sound of the phone may wake somebody.")
            if at
            else N_("It is %(time)s now. The sound of the phone may wake somebody.")
        )
        yield SendWarning("night", sentence, {"time": i18n.format_time(begins)}, at=_next_morning(begins))


def _check_image_only(wording: Wording) -> Iterator[SendWarning]:
    """Say that a picture has hardly any words beside it: some do not see it, filters take it for advertising."""
    shown = html_body.image_ids_of_wording(wording)
    if shown and html_body.text_length_without_images(wording) < MIN_TEXT_CHARS:
        yield SendWarning("picture", IMAGE_ONLY)


def _next_morning(begins: datetime) -> datetime:
    """Return the first seven o'clock after a moment of the night."""
    local = clock.to_local(begins)
    day = local.date() + timedelta(days=local.time() >= MORNING_TIME)
    return clock.from_local(datetime.combine(day, MORNING_TIME))


def _check_footer(notice: Notice, force: Settings) -> Iterator[SendWarning]:
    if not notice.footer:
        yield SendWarning("footer", FOOTER_OFF)
    elif not force.postal:
        yield SendWarning("postal", N_("The postal address of the school is not set, so the footer has none."))


NOTICES_COMPARED = 20
UNUSUAL_LETTERS = 50
DUPLICATE_WINDOW = timedelta(days=7)
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PreviousSend:
    """The last notice to the same list: when, how many people; who is new and who is gone since, the first names."""

    at: datetime
    count: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    more: int


def compare_with_previous(notice: Notice, audience: Audience) -> PreviousSend | None:
    """Compare with the last notice to the same list, if this one goes to a single list (X-04, X-06)."""
    last = latest_to_same_list(notice) if len(audience.lists) == 1 and not audience.groups else None
    if last is None or last.started_at is None or last.purged_at:  # who got it nobody knows any more
        return None
    got = {person: name for person, name in _receivers(last)}
    now = {one.person_id: one.name for one in audience.receiving}
    new = [name for person, name in now.items() if person not in got]
    gone = [name for person, name in got.items() if person not in now]
    return PreviousSend(
        last.started_at, len(got), tuple(new[:NAMES_SHOWN]), tuple(gone[:NAMES_SHOWN]), len(now) - len(got)
    )


def _receivers(notice: Notice) -> Iterator[tuple[int, str]]:
    rows = Delivery.select(Delivery.person, Delivery.name).where(
        Delivery.notice == notice, Delivery.reason == "", Delivery.person.is_null(False)
    )
    return iter(rows.order_by(Delivery.kana, Delivery.id).tuples())


def check_size(notice: Notice, audience: Audience) -> Iterator[SendWarning]:
    """Say that this one reaches far more people than anything its writer has sent (X-06, field 5.3 no. 2)."""
    most = _largest_send(notice)
    if most and audience.letters >= UNUSUAL_LETTERS and audience.letters >= 2 * most:
        sentence = N_("Your notices have reached %(most)s people at most until now; this one goes to %(n)s.")
        yield SendWarning("size", sentence, {"most": most, "n": audience.letters})


def _largest_send(notice: Notice) -> int:
    """Return how many letters the largest of the writer's last notices had; 0 if there is none."""
    mine = (
        Notice.select(Notice.id)
        .where(Notice.by == notice.by_id, Notice.started_at.is_null(False), Notice.id != notice.id)
        .order_by(Notice.started_at.desc())
        .limit(NOTICES_COMPARED)
    )
    counts = (
        Delivery.select(fn.COUNT(Delivery.id).alias("n"))
        .where(Delivery.notice.in_(mine), Delivery.reason == "")
        .group_by(Delivery.notice)
    )
    deleted = (
        NoticeStats.select(fn.MAX(NoticeStats.sent))
        .where(NoticeStats.notice.in_(mine), NoticeStats.kept.is_null(False))
        .scalar()
        or 0
    )
    return max((*(row.n for row in counts), deleted))


def check_duplicate(notice: Notice, audience: Audience, now: datetime, language: str) -> Iterator[SendWarning]:
    """Say that the same words went to one of these lists within a week (field 5.3 no. 3: double sending)."""
    wording = notice.wording
    found = (
        Notice.select(Notice)
        .join(Wording)
        .switch(Notice)
        .join(Target)
        .where(
            Notice.id != notice.id,
            Notice.confirmed_at > now - DUPLICATE_WINDOW,
            Notice.state.not_in(("draft", "dropped", "withdrawn")),
            Wording.subject == wording.subject,
            Wording.text == wording.text,
            Target.kind == "list",
            Target.include == True,
            Target.number.in_([one.id for one in audience.lists]),
        )
        .order_by(Notice.confirmed_at.desc())
        .first()
    )
    if found:
        sentence = N_("The same words were sent to this list before (%(at)s). Is it meant to go out twice?")
        yield SendWarning("again", sentence, {"at": i18n.format_datetime(language, found.confirmed_at)})
