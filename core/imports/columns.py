"""The meaning of roster columns and cells: headers in Japanese and English, normal forms.

Grade 「3年」 is 3 and class 「2組」 is 2 (field.md 3.6). An unknown column becomes a custom item under its own name if somebody takes it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from core.imports import cell_repair, row_parts
from core.imports.read import Cells
from core.members.normalise import (
    CHILD_ITEMS,
    language_code,
    normalise_class,
    normalise_grade,
    normalise_kana,
    normalise_phone,
    normalise_text,
    to_katakana,
)
from i18n import N_

ATTRIBUTE = "attribute"

FIELDS: dict[str, str] = {
    "name": N_("Name (guardian)"),
    "kana": N_("Reading (kana)"),
    "relation": N_("Relation"),
    "child_name": N_("Child’s name"),
    "child_given": N_("Child’s given name"),
    "child_given_kana": N_("Reading of the child’s given name"),
    "child_kana": N_("Child’s reading (kana)"),
    "grade": N_("Grade"),
    "class_name": N_("Class"),
    "room": N_("Grade and class in one"),
    "address": N_("E-mail address"),
    "phone": N_("Telephone"),
    "household": N_("Household"),
    "state": N_("State"),
    "language": N_("Language"),
    "class_teacher": N_("Class teacher"),
    "family": N_("Family name"),
    "given": N_("Given name"),
    "family_kana": N_("Family name (kana)"),
    "given_kana": N_("Given name (kana)"),
}

CONSENT_LABEL = N_("Consent record")
_EXPORT_ONLY_HEADERS = ("Consent record", "登録の記録")
"""Columns of our export for people to read. A file cannot record consent, so an import ignores them."""

# Words in headers, separated by blanks.
_GUARDIAN_WORDS = "保護者 親 ほごしゃ guardian parent"
_CHILD_WORDS = "児童 生徒 園児 子 子供 子ども こども お子さん お子様 お子さま 部員 選手 child student pupil"
_NAME_WORDS = "氏名 名前 お名前 なまえ 名 の氏名 の名前 のお名前 name 'sname fullname"
_KANA_WORDS = (
    "カナ フリガナ よみ ヨミガナ 読み 読み仮名 氏名カナ 氏名フリガナ 名カナ "
    "名フリガナ 名前カナ 名前フリガナ のカナ のフリガナ kana reading furigana"
)

_HEADER_WORDS: dict[str, str] = {
    "name": "会員名 会員氏名 登録者名 登録者 fullname",
    "relation": "続柄 関係 間柄 relation relationship",
    "grade": "学年 年 学年名 grade schoolyear gradelevel",
    "class_name": "組 クラス 学級 学級名 組名 class classname homeroom",
    "room": "学年組 学年・組 年組 年・組 学年クラス 学年・クラス クラス名 所属",
    "address": (
        "メールアドレス メール アドレス メアド メルアド eメール eメールアドレス 電子メール 電子メールアドレス "
        "email e-mail mail mailaddress emailaddress e-mailaddress address e-mail1-value e-mail2-value e-mail3-value "
        "e-mail2address e-mail3address"
    ),
    "phone": (
        "電話 電話番号 携帯 携帯番号 携帯電話 携帯電話番号 連絡先電話番号 緊急連絡先 "
        "緊急時の連絡先 緊急時連絡先 tel phone phonenumber telephone telephonenumber mobile mobilephone cellphone homephone "
        "phone1-value phone2-value"
    ),
    "household": "世帯 世帯番号 世帯id 家庭番号 household householdid",
    "state": (
        "状態 配信状態 登録状態 ステータス 配信ステータス 購読状態 受信状態 会員状態 配信可否 配信区分 メール配信 購読 "
        "配信 配信希望 メール配信希望 メール受信 受信希望 メール希望 "
        "state status subscription subscriptionstatus mailstatus emailstatus memberstatus deliverystatus"
    ),
    "language": "言語 使用言語 language",
    "class_teacher": (
        "担任 担任・担当者 担任名 担任氏名 担任の先生 担当 担当者 担当者名 担当者氏名 "
        "personincharge teacher classteacher homeroomteacher"
    ),
    "family": "姓 名字 苗字 保護者姓 lastname familyname surname",
    "given": "firstname givenname",
    "child_given": "お子さんの名 児童の名",
    "child_given_kana": "お子さんの名カナ",
    "family_kana": "セイ 姓カナ 姓フリガナ 保護者セイ",
    "given_kana": "メイ 名カナ 名フリガナ 保護者メイ",
}


def _fold_header(text: str) -> str:
    """Return a header without width, case, spaces, brackets and marks; hiragana as katakana."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"[(【\[](ふりがな|フリガナ|カナ|かな|よみ|よみがな|ヨミ|読み)[)】\]]", r"\1", plain)
    plain = re.sub(r"(?:を|について)?(?:お?選んで|ご?選択|ご?記入|ご?入力|お?書き|教えて).*$", "", plain)
    plain = re.sub(r"\(.*?\)|【.*?】|\[.*?\]|[\s*※:_・]", "", plain)
    return to_katakana(plain)


_GUARDIAN_PREFIX = to_katakana(
    "保護者(?:様|さま|の方)?|[1-4]人目|御?お?[父母](?:親|様|さん|さま)?|親|ご?家庭|ご?自宅|ご?連絡先?用?|緊急時?|第[一二三1-3]|主|代表|登録用?|配信先?用?|"
    "パソコン|pc|スマホ|スマートフォン|携帯(?:電話)?|ケータイ|parent|guardian|mother|father|primary|home|contact|your"
)
_CHILD_PREFIX = to_katakana(
    "第[一二三四1-4]子|[1-4]人目|きょうだい|兄弟姉妹|兄弟|弟妹|児童|生徒|園児|子ども|子供|こども|お子(?:さん|様|さま)?|部員|選手|student|child|pupil"
)


def _build_header_index() -> dict[str, str]:
    known = {_fold_header(label): name for name, label in FIELDS.items()}  # headers of our English export
    known |= {_fold_header(word): name for name, words in _HEADER_WORDS.items() for word in words.split()}
    for before, name, kana in ((_GUARDIAN_WORDS, "name", "kana"), (_CHILD_WORDS, "child_name", "child_kana")):
        known |= {_fold_header(who + word): kana for who in before.split() for word in _KANA_WORDS.split()}
        known |= {_fold_header(who + word): name for who in before.split() for word in ("", *_NAME_WORDS.split())}
    return known


_FIELD_BY_HEADER = _build_header_index()
_PLAIN_NAME_HEADERS = {_fold_header(word) for word in _NAME_WORDS.split() if not word.startswith(("の", "'"))} - {
    _fold_header("名")
}
_PLAIN_KANA_HEADERS = {_fold_header(word) for word in _KANA_WORDS.split()}


_NO_HEADING = N_("No line with column names was found. Please look below how the columns are read.")
HEADING_LINES = 15
"""First lines among which the heading is looked for, and may be chosen."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with named columns; `headed` False: the file had no header, and names are ''."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    headed: bool
    remarks: tuple[tuple[str, dict[str, Any]], ...] = ()  # (message, values) about the whole file
    source: Cells | None = None  # the cells before the heading was taken off
    heading: int = 0  # number of the line with the column names; 0: none

    @property
    def titles(self) -> list[str]:
        """Return the name of the sheet, and the lines above the heading."""
        above = [row for number, row in self.source.rows if number < self.heading] if self.source else []
        return [self.source.sheet if self.source else "", *(cell for row in above for cell in row if cell)]


def choose_sheet(sheets: list[Sheet]) -> Sheet:
    """Return the first visible sheet with a header of names or addresses, else the first with one, else the first."""
    sheets = [sheet for sheet in sheets if sheet.source and not sheet.source.hidden] or sheets
    people = {"name", "child_name", "address", "family"}
    with_people = (sheet for sheet in sheets if sheet.headed and people & set(map(_field_of_header, sheet.columns)))
    return next(with_people, next((sheet for sheet in sheets if sheet.headed), sheets[0]))


def find_header(cells: Cells, heading: int | None = None) -> Sheet:
    """Find the header row, also below titles; without one the names are ''. Fill 〃 from above.

    `heading`: the number of the line that a user chose, 0 for none.
    """
    sheet = _find_header(cells, heading)
    rows, remarks = (sheet.rows, []) if cells.lone else cell_repair.fill_ditto(sheet.rows)
    return replace(sheet, rows=rows, remarks=(*cells.remarks, *sheet.remarks, *remarks), source=cells)


def _find_header(cells: Cells, heading: int | None) -> Sheet:
    width = max(len(row) for _, row in cells.rows)
    if cells.lone:
        return Sheet(("氏名", "メールアドレス"), cells.rows, cells.encoding, True)
    for place, (number, row) in enumerate(cells.rows[:HEADING_LINES] if heading is None else cells.rows):
        below = cells.rows[place + 1][1] if place + 1 < len(cells.rows) else ()
        if heading not in (None, number):
            continue
        if joined := _join_headings(row, below, width):
            rows = cells.rows[place + 2 :]
            return Sheet(_number_duplicates(joined), rows, cells.encoding, True, heading=number)
        if heading == number or _is_header(row):
            names = _number_duplicates(row + ("",) * (width - len(row)))
            return Sheet(names, cells.rows[place + 1 :], cells.encoding, True, heading=number)
    return Sheet(("",) * width, cells.rows, cells.encoding, False, () if heading == 0 else ((_NO_HEADING, {}),))


def _join_headings(upper: tuple[str, ...], lower: tuple[str, ...], width: int) -> tuple[str, ...] | None:
    """Join two heading lines (児童 | 氏名, フリガナ); None if they are no two heading lines."""
    if any("@" in cell or "＠" in cell or cell.isdigit() for cell in (*upper, *lower)):
        return None
    below = [cell for cell in lower if cell]
    known_below = [cell for cell in below if _field_of_header(cell)]
    if not known_below or len(known_below) * 2 < len(below):
        return None
    group, joined = "", []
    for place in range(width):
        top = upper[place] if place < len(upper) else ""
        bottom = lower[place] if place < len(lower) else ""
        group = re.sub(r"(?:の?情報|欄|について)$", "", top) or group
        both = group + bottom if bottom and group != bottom else bottom or top
        joined.append(both if _field_of_header(both) or not _field_of_header(bottom) else bottom)
    fields = [set(filter(None, map(_field_of_header, row))) for row in (joined, upper, lower)]
    is_more = len(fields[0]) > max(len(fields[1]), len(fields[2]), 1)
    both_are_headings = len(fields[1]) > 1 and len(fields[0]) > len(fields[1]) and len(fields[0]) >= len(fields[2])
    return tuple(joined) if is_more or both_are_headings else None


def _is_header(row: tuple[str, ...]) -> bool:
    if any("@" in cell or "＠" in cell for cell in row):
        return False
    known = [name for name in map(_field_of_header, row) if name]
    strong = {"name", "child_name", "address", "family"} & set(known)
    return len(known) >= 2 or (bool(strong) and len([cell for cell in row if cell]) <= 3)


def _number_duplicates(headers: Iterable[str]) -> tuple[str, ...]:
    """Number repeated column names, so that no column is lost."""
    counts: dict[str, int] = {}
    names = []
    for header in headers:
        name = " ".join(header.split())
        counts[name] = counts.get(name, 0) + 1
        names.append(f"{name} {counts[name]}" if name and counts[name] > 1 else name)
    return tuple(names)


def _field_of_header(header: str) -> str:
    folded = _fold_header(header)
    if folded in _PLAIN_NAME_HEADERS:
        return "name"
    if folded in _PLAIN_KANA_HEADERS:
        return "kana"
    return _FIELD_BY_HEADER.get(folded) or _field_of_qualified_header(folded)


def _field_of_qualified_header(folded: str) -> str:
    """Return the field of a header with a person or number around it: 保護者メール, 母携帯, 保護者1氏名, お子さんの学年."""
    plain = re.sub(r"(?:欄|[0-9]+)$", "", folded)
    for words, fields in (
        (_GUARDIAN_PREFIX, ("name", "kana", "address", "phone", "relation")),
        (_CHILD_PREFIX, ("child_name", "child_kana", "grade", "class_name", "room")),
    ):
        base = plain
        while base:
            plain_name = base in _PLAIN_NAME_HEADERS or base in _PLAIN_KANA_HEADERS
            if base != plain and plain_name:
                return fields[0] if base in _PLAIN_NAME_HEADERS else fields[1]
            if _FIELD_BY_HEADER.get(base) in fields:
                return _FIELD_BY_HEADER[base]
            shorter = re.sub(f"^(?:{words})(?:'?s)?[0-9]?ノ?", "", base)
            base = shorter if shorter != base else ""
    return ""


# ── mapping ──────────────────────────────────────────────────────────────────────────────────────────────────────


def guess_mapping(sheet: Sheet) -> tuple[str, ...]:
    """Return a field for each column, or ATTRIBUTE, or '' (ignored)."""
    return _correct_by_content(sheet, _map_by_header(sheet.columns)) if sheet.headed else _map_by_content(sheet)


def drop_unknown_items(sheet: Sheet, mapping: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    """Return the mapping without items that nobody chose: a note about an allergy must not be stored unasked.

    `known`: items that the list has, or that the user named.
    """
    taken = {*known}
    return tuple(
        "" if name == ATTRIBUTE and column not in taken and column.lower() not in CHILD_ITEMS else name
        for column, name in zip(sheet.columns, mapping, strict=True)
    )


def untaken_columns(sheet: Sheet, mapping: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return (place, header) of the columns with text that are not read; those of our own export for people aside."""
    filled = {place for _, row in sheet.rows for place, cell in enumerate(row) if cell}
    pairs = enumerate(zip(sheet.columns, mapping, strict=True))
    return [
        (place, column)
        for place, (column, name) in pairs
        if place in filled and not name and column not in _EXPORT_ONLY_HEADERS
    ]


def _correct_by_content(sheet: Sheet, mapping: tuple[str, ...]) -> tuple[str, ...]:
    """Correct a mapping where the cells contradict the headers: a column of addresses or of states under another name."""
    cells = [[row[place] for _, row in sheet.rows if place < len(row) and row[place]] for place in range(len(mapping))]
    result = list(mapping)

    def share_of_addresses(place: int) -> float:
        return sum("@" in cell or "＠" in cell for cell in cells[place]) / max(1, len(cells[place]))

    current = result.index("address") if "address" in result else None
    if current is None or (cells[current] and share_of_addresses(current) == 0):
        free = [place for place, name in enumerate(result) if name == ATTRIBUTE and share_of_addresses(place) > 0.5]
        if free:
            result[free[0]] = "address"
            if current is not None:
                result[current] = ATTRIBUTE
    if "state" not in result:
        for place, name in enumerate(result):
            states = {parse_state(cell) for cell in cells[place]} if name == ATTRIBUTE else set()
            if states - {"active"} and "" not in states and any(map(_MAIL_WORD.search, cells[place])):
                result[place] = "state"
                break
    return tuple(result)


def _map_by_header(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Map headers from left to right; a plain 「氏名」 beside 「保護者氏名」 is the child's.

    So it is beside a grade, if no other column names a guardian or child.
    """
    meanings = [_field_of_header(column) for column in columns]
    folded = [_fold_header(column) for column in columns]
    guardian_too = any(m == "name" and f not in _PLAIN_NAME_HEADERS for m, f in zip(meanings, folded, strict=True))
    split = "family" in meanings
    child_in_two = split and "child_name" not in meanings and bool({"grade", "room"} & set(meanings))
    of_child = not split and "child_name" not in meanings and bool({"grade", "room"} & set(meanings))
    count: Counter[str] = Counter()
    last_name, mapping = "", []
    for meaning, plain, column in zip(meanings, folded, columns, strict=True):
        if (guardian_too or of_child) and plain in _PLAIN_NAME_HEADERS:
            meaning = "child_name"
        if plain in _PLAIN_KANA_HEADERS and last_name == "child_name":
            meaning = "child_kana"
        if split and plain in (_fold_header("名"), _fold_header("保護者名")):
            meaning = "given"
        if split and plain in (_fold_header("名フリガナ"), _fold_header("名カナ")):
            meaning = "given_kana"
        if child_in_two and plain in (_fold_header("姓"), _fold_header("名")):
            meaning = "child_name" if plain == _fold_header("姓") else "child_given"
        if child_in_two and plain in (_fold_header("姓フリガナ"), _fold_header("姓カナ"), _fold_header("セイ")):
            meaning = "child_kana"
        if child_in_two and plain in (_fold_header("名フリガナ"), _fold_header("名カナ"), _fold_header("メイ")):
            meaning = "child_given_kana"
        if meaning in ("name", "child_name"):
            last_name = meaning
        count[meaning] += 1
        field_name = meaning if count[meaning] < 2 else row_parts.repeated(meaning, count[meaning])
        mapping.append("" if column in _EXPORT_ONLY_HEADERS else field_name or (ATTRIBUTE if column else ""))
    return row_parts.drop_incomplete(tuple(mapping), ATTRIBUTE)


def _map_by_content(sheet: Sheet) -> tuple[str, ...]:
    """Map columns without a header: addresses, then katakana, telephone numbers and names."""
    mapping = [""] * len(sheet.columns)
    sample = [row for _, row in sheet.rows[:50]]
    columns = [[row[index] for row in sample if index < len(row)] for index in range(len(mapping))]

    def assign(name: str, pattern: re.Pattern[str]) -> None:
        hits = [
            0 if mapping[index] else sum(bool(pattern.search(cell)) for cell in cells)
            for index, cells in enumerate(columns)
        ]
        if max(hits, default=0) * 2 > len(sample):
            mapping[hits.index(max(hits))] = name

    assign("address", re.compile("[@＠]"))
    assign("kana", re.compile(r"^[ァ-ヶーｦ-ﾟぁ-ゖ\s・]+$"))
    assign("phone", re.compile(r"^[+0-9０-９][0-9０-９ー－-]{8,}$"))
    assign("name", re.compile(r"^[^\W\d_]+[\s　][^\d]+$"))
    if "name" not in mapping:
        assign("name", re.compile(r"^[^\W\d_]{2,}$"))
    return tuple(mapping)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class RosterRow:
    """One line of a roster in normal form. `address` and `state` are as typed; the plan validates them."""

    number: int
    name: str = ""
    kana: str = ""
    relation: str = ""
    child_name: str = ""
    child_kana: str = ""
    grade: str = ""
    class_name: str = ""
    address: str = ""
    phone: str = ""
    household: str = ""
    state: str = ""
    language: str = ""
    class_teacher: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    child_attributes: dict[str, str] = field(default_factory=dict)
    phone_mended: bool = False
    remarks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # (message, values)
    no_person: str = ""  # why the line is no person: sum, heading, note
    lacks_child: bool = False  # most other lines name a child
    class_given: bool = False  # grade and class come from the list or a title, not from the line
    place: int = 0  # of the row among all rows; one line may be several rows
    damaged: bool = False  # a cell has bytes that the encoding does not know


def read_rows(sheet: Sheet, mapping: tuple[str, ...], *, split: bool = True) -> list[RosterRow]:
    """Return the rows of a sheet in normal form. `split`: a line of several guardians or children is several rows."""
    header = {_fold_header(column) for column in sheet.columns if column}
    rows: list[RosterRow] = []
    for number, cells in sheet.rows:
        texts = [cell for cell in cells if cell]
        repeated = len(texts) > 1 and {*map(_fold_header, texts)} <= header
        rows += _roster_rows(number, cells, sheet.columns, mapping, "heading" if repeated else "", split)
    _fill_second_guardians(rows)
    children = sum(bool(row.child_name) for row in rows)
    if children * 2 > len([row for row in rows if not row.no_person]):
        for row in rows:
            row.lacks_child = not row.child_name and not row.no_person
    return rows


def _fill_second_guardians(rows: list[RosterRow]) -> None:
    """Give a line with a relation and without a child the child of the line above: the second guardian of a family."""
    for above, row in pairwise(rows):
        is_second = (
            _PARENT.fullmatch(row.relation) and row.address and not (row.child_name or row.grade or row.class_name)
        )
        if is_second and above.child_name and not above.no_person and not row.no_person:
            row.child_name, row.child_kana = above.child_name, above.child_kana
            row.grade, row.class_name, row.household = above.grade, above.class_name, row.household or above.household
            row.remarks.append((_CHILD_ABOVE, {"child": above.child_name}))


def _roster_rows(
    number: int, cells: tuple[str, ...], columns: tuple[str, ...], mapping: tuple[str, ...], no_person: str, split: bool
) -> list[RosterRow]:
    values: dict[str, str] = {}
    items: dict[str, str] = {}
    remarks: list[tuple[str, dict[str, Any]]] = []
    for index, (cell, column, name) in enumerate(zip(cells, columns, mapping, strict=False), 1):
        if cell and (
            cell_repair.says_gone(column, cell, is_stopping_word(cell))
            if name in ("", ATTRIBUTE)
            else row_parts.base_field(name)[0] in _NAME_FIELDS and cell_repair.is_marked_gone(cell)
        ):
            remarks.append((_STOPPED_ITEM, {"item": column or str(index), "text": cell}))
        if cell and name == ATTRIBUTE and len(cell) > MAX_ITEM_LENGTH:
            remarks.append((_TOO_LONG, {"item": column or str(index), "number": MAX_ITEM_LENGTH}))
        elif cell and name == ATTRIBUTE:
            items[column or str(index)] = cell
        elif cell and name:
            values[name] = cell
    for index in range(len(columns), len(cells)):
        if cells[index]:
            remarks.append((_BEYOND_COLUMNS, {"text": cells[index][:40]}))
    no_person = no_person or cell_repair.why_no_person(values, cells)
    cell_repair.drop_none_words(values)
    damaged = any("\ufffd" in cell for cell in cells)
    rows = []
    for part, some in enumerate(row_parts.split_line(values) if split and not no_person else [values]):
        repaired = cell_repair.repair_values(some)
        too_long = cell_repair.drop_too_long(some)
        row = normalise_row(number, some, items)
        row.remarks = [*repaired, *too_long, *(remarks if part == 0 else ())]
        row.no_person, row.damaged = no_person, damaged
        rows.append(row)
    return rows


def normalise_row(number: int, values: dict[str, str], items: dict[str, str]) -> RosterRow:
    """Return one row in normal form from {field: text} and {item: text}."""
    get = values.get
    name = get("name") or " ".join(filter(None, (get("family"), get("given"))))
    reading = get("kana") or " ".join(filter(None, (get("family_kana"), get("given_kana"))))
    grade_text, class_text = normalise_grade(get("grade", "")), normalise_class(get("class_name", ""))
    joined = get("room") or ("" if grade_text else get("class_name", ""))
    if both := _GRADE_AND_CLASS.fullmatch(unicodedata.normalize("NFKC", joined).strip()):
        grade_text, class_text = normalise_grade(both[1]), normalise_class(both[2])
    elif get("room"):
        class_text = class_text or normalise_class(joined)
    telephone = normalise_phone(get("phone", ""))
    has_child = bool(get("child_name"))
    if has_child and not name and telephone and not get("address"):
        name = get("child_name", "")  # a family that is told by telephone needs a name to be found again
    return RosterRow(
        number=number,
        name=normalise_text(name),
        kana=normalise_kana(reading),
        relation=normalise_text(get("relation", "")),
        child_name=normalise_text(" ".join(filter(None, (get("child_name"), get("child_given"))))),
        child_kana=normalise_kana(" ".join(filter(None, (get("child_kana"), get("child_given_kana"))))),
        grade=grade_text,
        class_name=class_text,
        address=get("address", ""),
        phone=telephone,
        household=normalise_text(get("household", "")),
        state=normalise_text(get("state", "")),
        language=language_code(_fold_header(get("language", ""))),
        class_teacher=normalise_text(get("class_teacher", "")),
        attributes={key: text for key, text in items.items() if not (has_child and key.lower() in CHILD_ITEMS)},
        child_attributes={key: text for key, text in items.items() if has_child and key.lower() in CHILD_ITEMS},
        phone_mended=telephone != normalise_phone(get("phone", ""), mend=False),
    )


_GRADE_AND_CLASS = re.compile(r"([0-9一二三四五六]+)\s*(?:年生?|[-‐−ー.・/])\s*([^\s]+?)\s*組?")


# Words of our export by language, and those of other rosters (field.md 4.1).
STATE_LABELS = {
    "active": N_("active"),
    "stopped": N_("stopped"),
    "stopped by manager": N_("stopped by manager"),
    "bounced": N_("address dead"),
    "complained": N_("reported as spam"),
    "pending": N_("waiting for approval"),
    "unconfirmed": N_("not confirmed yet"),
    "no address": N_("no address"),
}
_STATE_SPELLINGS = {
    "active": (
        "配信中",
        "有効",
        "登録済み",
        "登録済",
        "通常",
        "購読中",
        "受信中",
        "配信可",
        "希望する",
        "配信する",
        "受信する",
        "active",
        "subscribed",
        "enabled",
    ),
    "stopped": ("配信停止", "停止", "停止中", "配信停止中", "配信停止(本人)", "stopped", "unsubscribed"),
    "stopped by manager": ("配信停止(管理者)", "stoppedbymanager"),
    "bounced": ("エラー停止", "宛先不明", "エラー", "bounced", "addressdead"),
    "complained": ("迷惑メール報告", "reportedasspam"),
    "pending": ("承認待ち", "pending", "waitingforapproval"),
    "unconfirmed": ("確認待ち", "notconfirmedyet"),
    "no address": ("アドレスなし", "メールなし", "電話連絡", "noaddress"),
}
_STATE_BY_SPELLING = {word: state for state, known in _STATE_SPELLINGS.items() for word in known}


_STOPPING = re.compile(
    r"停止|解除|退会|脱会|無効|拒否|休止|中止|不要|削除|除外|対象外|配信不可|受信しない|希望しない|"
    r"unsub|block|inactive|disabled|suppress|opt-?edout|opt-?out|removed|deleted|cancel|nomail|stopped|paused|archived"
)
_BOUNCING = re.compile(r"不達|届かない|到達不能|宛先不明|宛先エラー|配信エラー|bounce|undeliver|cleaned|invalid")
_COMPLAINING = re.compile(r"迷惑メール|spam|complain|abuse")
_NEGATED = re.compile(
    r"ない$|ません|なし$|(?:停止|拒否|休止|中止)(?:の)?解除|解除済|^(?:not?|non|un)[-_]?(?:block|bounce|suppress)|再開|予定|\?|？"
)
_MAX_STATE_LENGTH = 20
_MAIL_WORD = re.compile("配信|購読|メール|停止|退会|不達|unsub|subscri|bounce|block", re.IGNORECASE)
_STOPPED_ITEM = N_("“%(item)s” says “%(text)s”. Is this family still to get the mail?")
_PARENT = re.compile(r"(?:実|義|養)?[父母]親?|祖[父母]|father|mother|grand(?:father|mother)", re.IGNORECASE)
_CHILD_ABOVE = N_("There is no child on this line: “%(child)s” of the line above was put in.")
_TOO_LONG = N_("“%(item)s” is longer than %(number)s characters, so it is not taken.")
_BEYOND_COLUMNS = N_("“%(text)s” stands behind the last column and is not read.")
MAX_ITEM_LENGTH = 500
_NAME_FIELDS = ("name", "child_name", "family", "given", "child_given")


def _state_of_foreign_word(plain: str) -> str:
    """Return the state for a word of another system; '' if it is unknown or negated, never 'active'."""
    if _NEGATED.search(plain) and not re.search("受信しない|希望しない|届かない", plain):
        return ""
    for pattern, state in ((_COMPLAINING, "complained"), (_BOUNCING, "bounced"), (_STOPPING, "stopped")):
        if pattern.search(plain):
            return state
    return ""


def is_stopping_word(text: str) -> bool:
    """Say whether a short text is a state in which no mail is sent."""
    return (
        len(text) <= _MAX_STATE_LENGTH
        and bool(_MAIL_WORD.search(text.lower()))
        and parse_state(text) in ("stopped", "stopped by manager", "bounced", "complained")
    )


def parse_state(text: str) -> str:
    """Return the state for a word in a file, 'active' for an empty cell, '' for an unknown word."""
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).lower()
    return _STATE_BY_SPELLING.get(plain) or _state_of_foreign_word(plain) if plain else "active"
