"""What in the words themselves should be looked at again: dates, day words, files that are named, another class.

field 4.4 no. 16 and 17, 5.3 no. 2 and 4, X-04. Each gives warnings and forbids nothing.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import clock
import i18n
from core.notices.audience import Audience
from i18n import N_
from models import MailingList

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
