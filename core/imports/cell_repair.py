"""Repair what a spreadsheet or another program made of a cell, and remark what cannot be put right.

Each function takes {field: text} of one line, changes it, and returns remarks as (source string, values).
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from core.members.normalise import normalise_class, normalise_grade
from i18n import N_

Remark = tuple[str, dict[str, Any]]
Rows = tuple[tuple[int, tuple[str, ...]], ...]

_DITTO = {"〃", "同上", "々", "″", "”", "“", '"', "''", "仝", "〻", "同", "上に同じ", "ditto"}
_DASHES = re.compile(r"[-‐‑‒–—―−ーｰ－~〜～*×✕/／.・]+")
_NONE_WORDS = {
    "なし",
    "無し",
    "無",
    "ナシ",
    "ない",
    "無い",
    "該当なし",
    "未登録",
    "未定",
    "不明",
    "持っていない",
    "登録なし",
}
_NONE_WORDS |= {
    "アドレスなし",
    "メールなし",
    "電話なし",
    "none",
    "n/a",
    "na",
    "no",
    "null",
    "nil",
    "nothing",
    "unknown",
}
_MONTHS = {
    name: place
    for place, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_MONTH_NAME = r"(jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_EXCEL_EPOCH = date(1899, 12, 30)
_LAST_GRADE = 6
_SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?e\+?\d+", re.IGNORECASE)
_SUM_WORD = re.compile(
    r"(?:総?合計|総計|小計|計|総数|総人数|人数|児童数|生徒数|世帯数|以上|total|grandtotal|subtotal|sum)"
    r"[:=]?(?:約?\d+)?(?:名|人|世帯|件)?"
)
_SUMS_IN_WORDS = re.compile(
    r"(?:[1-9一二三四五六]年|\d+組|[^0-9]{1,4}組|男子?|女子?|児童|生徒|在籍|総数|合計|計|全校?|以上|会員|部員|世帯|[数は:=、,・/()（）\s]|\d+(?:名|人|世帯|件)?)+"
)
_NOTE = re.compile(
    r"[※*＊注]|備考[:：]|注意|個人情報|取扱|取り扱い|作成[日者]|更新日|印刷日|出力日|以下余白|page|ページ|\d+/\d+ページ"
)
_TEACHER = re.compile(
    r"(?:学級|学年)?(?:担任|副担任|主任|担当教諭?|教諭|校長|教頭|養護教諭)(?:[:：]|$|の?先生)|.{2,8}(?:教諭|先生)$"
)
_GONE = re.compile(
    r"転[出校学居]|退[学会部園]|除籍|抹消|死亡|逝去|卒業|卒園|休会|引っ?越|転入学済|moved|withdrawn|left|transferred|graduated"
)
_GONE_HEADER = re.compile(
    r"転[出校]|退[学会部園]|除籍|停止|解除日|抹消|卒業|withdraw|leaving|unsubscribed", re.IGNORECASE
)
_NOT_GONE = re.compile(r"なし|無し?|いいえ|×|✕|x|0|false|no|n|未|[-－ー]|在籍|在学|active|継続")
_STILL_THERE = re.compile(r"ない|なし|ません|しない|取消|取り消し|転入|戻|復|予定|卒業生の|卒業式|[?？]|not?\b")
_EMPTY_PLACE = re.compile(r"[(【\[]?(?:欠番|空番|空欄|空き|予備|転出|転校|転居|退学|退会|除籍)(?:済み?)?[)】\]]?")
_MAX_MARK = 20
MAX_FIELD_LENGTH = 200
_MAX_PHONE = 40
_COUNT = re.compile(r"(?:計|全|合計|約)?\d+(?:名|人|世帯|件)")
_NAME_WITH_READING = re.compile(r"(.+?)\s*[(（]\s*([ぁ-ゖァ-ヶーｦ-ﾟ・\s]+?)\s*[)）]")
_FEWEST_DIGITS = 9

_CLASS_READ = N_("“%(typed)s” is a class that Excel made a date: read as grade %(grade)s, class %(class_name)s.")
_CLASS_LOST = N_("“%(typed)s” looks like a class that Excel made a date, so it is not taken. Please write the class.")
_PHONE_CUT = N_("Excel cut the telephone number “%(typed)s”, so it is not taken.")
_NO_PHONE = N_("“%(typed)s” does not look like a whole telephone number.")
_DITTO_FILLED = N_("Marks like 〃: the value of the line above was put in (%(number)s cells).")
_FIELD_TOO_LONG = N_("“%(text)s” is longer than %(number)s characters, so it is not taken.")
READING_SPLIT = N_("The reading in brackets was taken off the name.")


def fill_ditto(rows: Rows) -> tuple[Rows, list[Remark]]:
    """Replace 〃 and 同上 by the value above; without a value above they stay."""
    above: dict[int, str] = {}
    filled, count = [], 0
    for number, cells in rows:
        texts = list(cells)
        for place, cell in enumerate(cells):
            if cell.lower() in _DITTO and place in above:
                texts[place] = above[place]
                count += 1
            elif cell:
                above[place] = cell
        filled.append((number, tuple(texts)))
    return tuple(filled), [(_DITTO_FILLED, {"number": count})] if count else []


def repair_values(values: dict[str, str]) -> list[Remark]:
    """Repair the cells of one line in place."""
    return [
        *_unwrap_address(values),
        *_drop_errors(values),
        *_repair_class(values),
        *_repair_phone(values),
        *_split_readings(values),
    ]


def why_no_person(values: dict[str, str], cells: Iterable[str]) -> str:
    """Return why a line is no person: "sum", "note", "teacher"; '' for a person. A line with an address never is one."""
    texts = [_plain(cell) for cell in cells if cell]
    if any("@" in text for text in texts):
        return ""
    names = [_plain(values.get(field, "")) for field in ("name", "child_name", "family", "given")]
    if any(_COUNT.fullmatch(name) for name in names) or any(
        _SUM_WORD.fullmatch(text) for text in [*texts[:1], *names, *map(_plain, values.values())]
    ):
        return "sum"
    if len(texts) == 1 and (_SUMS_IN_WORDS.fullmatch(texts[0]) or _NOTE.match(texts[0])):
        return "sum" if _SUMS_IN_WORDS.fullmatch(texts[0]) else "note"
    if any(_EMPTY_PLACE.fullmatch(name) for name in names):
        return "note"
    if any(_NOTE.match(text) for text in texts[:1]):
        return "note"
    child = values.get("child_name", "")
    if not values.get("phone") and any(_TEACHER.match(text) for text in texts) and (not child or _TEACHER.match(child)):
        return "teacher"
    return ""


def says_gone(header: str, text: str, stops_mail: bool) -> bool:
    """Say whether a cell of a column without meaning says that a family has left, or that its mail is stopped."""
    plain = _plain(text)
    if _GONE_HEADER.search(header) and not _NOT_GONE.fullmatch(plain):
        return True
    return stops_mail or (len(plain) <= _MAX_MARK and bool(_GONE.search(plain)) and not _STILL_THERE.search(plain))


def is_marked_gone(name: str) -> bool:
    """Say whether a name has a mark in brackets that its family has left: 山川 一（転出）."""
    plain = _plain(name)
    return any(
        _GONE.search(mark) and not _STILL_THERE.search(mark) for mark in re.findall(r"[(【\[](.*?)[)】\]]", plain)
    )


def drop_too_long(values: dict[str, str]) -> list[Remark]:
    """Take out what is longer than a member's fields; nothing is cut."""
    remarks: list[Remark] = []
    for field, text in list(values.items()):
        most = _MAX_PHONE if field == "phone" else MAX_FIELD_LENGTH
        if len(text) > most and field != "address":
            del values[field]
            remarks.append((_FIELD_TOO_LONG, {"text": f"{text[:20]}…", "number": most}))
    return remarks


_FORMULA_ERROR = re.compile(r"#(?:REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!|ERROR!|#+)")
ADDRESS_UNWRAPPED = N_("Only the address was taken from “%(typed)s”.")
_ERROR_DROPPED = N_("“%(typed)s” is an error of a formula, so it is not taken.")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_AROUND_ADDRESS = re.compile(r"[\s()【】\[\]:、・ぁ-んァ-ヶー一-龠]+")


def _plain(text: str) -> str:
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).lower()


def drop_none_words(values: dict[str, str]) -> None:
    """Empty cells that say "none": a dash everywhere, a word for address and telephone."""
    for name, text in list(values.items()):
        field = name.partition("#")[0]
        plain = re.sub(r"^[(（「【]|[)）」】。]$", "", text.strip()).strip()
        words = field in ("address", "phone") and _plain(plain) in _NONE_WORDS
        means_no = field == "state" and bool(re.search("[×✕*]", plain))  # a refusal, not an empty cell
        if (_DASHES.fullmatch(plain) and not means_no) or words:
            del values[name]


def month_and_day(text: str) -> tuple[int, int] | None:
    """Return (month, day) of a cell that Excel made a date: 3月2日, 2-Mar, Mar-2, 2026-03-02, 46083."""
    plain = _plain(text)
    if match := re.fullmatch(r"(?:(?:19|20)\d\d[-/.年])?(\d{1,2})[-/.月](\d{1,2})日(?:0?0:00(?::00)?)?", plain):
        return int(match[1]), int(match[2])
    if match := re.fullmatch(r"(?:19|20)\d\d[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:t?0?0:00(?::00)?)?", plain):
        return int(match[1]), int(match[2])
    if match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(?:19|20)\d\d", plain):
        return int(match[1]), int(match[2])
    if match := re.fullmatch(rf"(\d{{1,2}})[-/.]?{_MONTH_NAME}(?:[-/.]?(?:19|20)?\d\d)?", plain):
        return _MONTHS[match[2][:3]], int(match[1])
    if match := re.fullmatch(rf"{_MONTH_NAME}[-/.]?(\d{{1,2}})", plain):
        return _MONTHS[match[1][:3]], int(match[2])
    if re.fullmatch(r"[34][0-9]{4}(?:\.0)?|5[0-9]{4}", plain):
        day = _EXCEL_EPOCH + timedelta(days=int(float(plain)))
        return day.month, day.day
    return None


def _repair_class(values: dict[str, str]) -> list[Remark]:
    """Put back a class that became a date, if it agrees with the grade beside it."""
    remarks: list[Remark] = []
    for field in ("room", "class_name", "grade"):
        found = month_and_day(values.get(field, ""))
        if found is None:
            continue
        typed, (grade, number) = values.pop(field), found
        beside = normalise_grade(values.get("grade", "")) if field != "grade" else ""
        other_class = normalise_class(values.get("class_name", "")) if field == "grade" else ""
        if grade > _LAST_GRADE or beside not in ("", str(grade)) or other_class not in ("", str(number)):
            remarks.append((_CLASS_LOST, {"typed": typed}))
            continue
        values["grade"], values["class_name"] = str(grade), str(number)
        remarks.append((_CLASS_READ, {"typed": typed, "grade": grade, "class_name": number}))
    return remarks


def _drop_errors(values: dict[str, str]) -> list[Remark]:
    """Take out the error of a formula: #REF!, #N/A."""
    errors = [field for field, text in values.items() if _FORMULA_ERROR.fullmatch(text)]
    return [(_ERROR_DROPPED, {"typed": values.pop(field)}) for field in errors]


def _unwrap_address(values: dict[str, str]) -> list[Remark]:
    """Take off what stands around one address: a@example.jp（母）, 母：a@example.jp."""
    plain = unicodedata.normalize("NFKC", values.get("address", ""))
    found = _ADDRESS.findall(plain)
    if len(found) == 1 and plain.count("@") == 1 and _AROUND_ADDRESS.fullmatch(plain.replace(found[0], "", 1)):
        typed, values["address"] = values["address"], found[0]
        return [(ADDRESS_UNWRAPPED, {"typed": typed})]
    return []


def _repair_phone(values: dict[str, str]) -> list[Remark]:
    typed = values.get("phone", "")
    plain = _plain(typed)
    if _SCIENTIFIC.fullmatch(plain):
        del values["phone"]
        return [(_PHONE_CUT, {"typed": typed})]
    if typed and len(re.findall(r"\d", plain)) < _FEWEST_DIGITS:
        return [(_NO_PHONE, {"typed": typed})]
    return []


def _split_readings(values: dict[str, str]) -> list[Remark]:
    """Take a reading in brackets off a name: 山田 花子(やまだ はなこ)."""
    remarks: list[Remark] = []
    for name, kana in (("name", "kana"), ("child_name", "child_kana")):
        if match := _NAME_WITH_READING.fullmatch(values.get(name, "").strip()):
            values[name] = match[1]
            values.setdefault(kana, match[2])
            remarks = [(READING_SPLIT, {})]
    return remarks
