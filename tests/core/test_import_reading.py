"""Rosters in every encoding and form, and what their columns and cells mean (T-36, defences.md 10)."""

import io

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clock
from core import settings
from core.imports import columns, jobs
from core.imports import read as roster_read
from core.imports.columns import FIELDS, STATE_LABELS, _field_of_header, find_header, parse_state, read_rows
from core.imports.read import read_pasted
from core.members import lists
from core.members.normalise import normalise_class, normalise_grade, normalise_kana, normalise_phone
from i18n import say
from models import Person
from tests.core.rosters import bring, sheet_of


@pytest.fixture
def zenko(config):
    settings.load_settings()  # makes the Organization row, which is not what the tests of queries count
    return lists.add_list(None, "全校", "zenko", whole=True, now=clock.now())


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

SHEET = "氏名,メールアドレス,学年\r\n髙橋 ①,t@example.jp,2年\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_every_encoding_and_separator_is_read(encoding, mark):
    sheet = jobs.read_sheet(SHEET.replace(",", mark).encode(encoding))
    assert read_rows(sheet, columns.guess_mapping(sheet))[0].child_name == "髙橋 ①"


def test_iso_2022_jp_is_read_with_the_signs_that_python_does_not_know():
    content = "氏名,アドレス\r\n髙".replace("髙", "山").encode("iso2022_jp") + b"\x1b$B\x2d\x21\x1b(B,a@example.jp\r\n"
    sheet = jobs.read_sheet(content)
    assert sheet.encoding == "iso-2022-jp"
    assert sheet.rows[0][1] == ("山①", "a@example.jp")


@given(st.text(st.characters(codec="iso2022_jp", categories=("Lo", "Lu", "Ll", "Nd")), min_size=1))
def test_iso_2022_jp_reads_what_python_writes(text):
    sheet = jobs.read_sheet(f"氏名,アドレス\n山{text},a@example.jp".encode("iso2022_jp"))
    assert sheet.rows[0][1][0] == f"山{text}"


def excel(rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def test_excel_is_read_with_whole_numbers_and_a_title_above(zenko):
    content = excel(
        [["令和7年度 名簿"], [], ["氏名", "学年", "組", "メールアドレス"], ["山田 花子", 3.0, 2, "h@example.jp"]]
    )
    made = bring(zenko, content, "名簿.xlsx")
    assert made.counts["added"] == 1
    assert made.lines[0].number == 4


def test_a_broken_excel_file_is_refused_with_a_sentence(zenko):
    with pytest.raises(roster_read.UnreadableFile):
        jobs.read_sheet(b"PK\x03\x04 nothing")
    with pytest.raises(roster_read.UnreadableFile):
        jobs.read_sheet(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 nothing")


def test_a_tiny_excel_file_cannot_ask_for_the_memory_of_the_machine(zenko):
    """Archive bombs: one cell in the farthest corner means 17,000,000,000 of them for the reader."""
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "氏名", "x"
    held = io.BytesIO()
    book.save(held)
    with pytest.raises(roster_read.UnreadableFile):
        jobs.read_sheet(held.getvalue(), "名簿.xlsx")


@given(st.binary(max_size=200))
def test_any_bytes_after_an_escape_of_iso_2022_jp_are_read_or_refused(content):
    """Law 6: what is no pair of JIS X 0208 becomes U+FFFD, which the plan refuses line by line."""
    try:
        sheet = jobs.read_sheet(b"x\x1b$B" + content)
    except roster_read.UnreadableFile:
        return
    assert sheet.rows


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b",,,\r\n"])
def test_nothing_is_refused_with_a_sentence(content):
    with pytest.raises(roster_read.UnreadableFile):
        jobs.read_sheet(content)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(roster_read.UnreadableFile):
        jobs.read_sheet(b"a" * (5 * 2**20))
    with pytest.raises(roster_read.UnreadableFile):
        jobs.read_sheet(b"a\r\n" * 20_001)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("山田 花子 <h@example.jp>\nk@example.jp\n", [("山田 花子", "h@example.jp"), ("", "k@example.jp")]),
        ("山田 花子　ｈ＠ｅｘ．ｊｐ", [("山田 花子", "ｈ＠ｅｘ．ｊｐ")]),
        ("a@example.jp; b@example.jp", [("", "a@example.jp"), ("", "b@example.jp")]),
    ],
)
def test_pasted_lines_of_names_and_addresses(text, found):
    sheet = find_header(read_pasted(text))
    assert [(row.name, row.address) for row in read_rows(sheet, columns.guess_mapping(sheet))] == found


def test_cells_pasted_from_a_sheet_without_a_header():
    sheet = find_header(read_pasted("山田 花子\tヤマダ ハナコ\th@example.jp\n林 一\tハヤシ ハジメ\ti@example.jp"))
    assert columns.guess_mapping(sheet) == ("name", "kana", "address")


def test_a_line_number_is_that_of_the_file_also_after_a_cell_of_two_lines(zenko):
    made = bring(zenko, '氏名,メール,備考\r\n山田,y@example.jp,"一\r\n二"\r\n林,bad,\r\n')
    assert [(line.number, line.outcome) for line in made.lines] == [(2, "added"), (4, "wrong")]


# ── columns and cells ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "mapping"),
    [
        ("保護者氏名,保護者カナ,お子さんの氏名,電話番号,e-mail", "name kana child_name phone address"),
        (
            "学年,組,出席番号,氏名,ふりがな,保護者氏名,メール",
            "grade class_name attribute child_name child_kana name address",
        ),
        ("姓,名,セイ,メイ,E-Mail", "family given family_kana given_kana address"),
        (
            "Name,Email,Child's name,Grade,Class,Phone,Allergy",
            "name address child_name grade class_name phone attribute",
        ),
        ("名前,クラス,アドレス（必須）,世帯,状態,地区", "name class_name address household state attribute"),
    ],
)
def test_headers_are_known_by_their_many_names(header, mapping):
    assert columns.guess_mapping(sheet_of(header + "\r\n" + ",".join("x" * header.count(",")) + ",y")) == tuple(
        mapping.split()
    )


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_header_and_state_that_we_write_is_read_back(language):
    parts = {"family", "given", "family_kana", "given_kana"}
    assert {name: _field_of_header(say(language, label)) for name, label in FIELDS.items() if name not in parts} == {
        name: name for name in FIELDS if name not in parts
    }
    assert {key: parse_state(say(language, word)) for key, word in STATE_LABELS.items()} == {
        key: key for key in STATE_LABELS
    }


@pytest.mark.parametrize(
    ("typed", "short"), [("1年", "1"), ("１", "1"), ("第3学年", "3"), ("二年生", "2"), ("年少", "年少"), ("", "")]
)
def test_grades(typed, short):
    assert normalise_grade(typed) == short


@pytest.mark.parametrize(
    ("typed", "short"), [("1組", "1"), ("２", "2"), ("Ａ組", "A"), ("ひまわり組", "ひまわり"), ("03", "3")]
)
def test_classes(typed, short):
    assert normalise_class(typed) == short


def test_names_are_only_trimmed_and_kana_unified(zenko):
    bring(zenko, "氏名,フリガナ,メール\r\n　㈱髙﨑　一 ,ﾀｶｻｷ　はじめ,t@example.jp\r\n")
    person = Person.get()
    assert (person.name, person.kana) == ("㈱髙﨑 一", "タカサキ ハジメ")
    assert normalise_kana("やまだ") == normalise_kana("ﾔﾏﾀﾞ") == "ヤマダ"


def test_the_zero_that_excel_took_comes_back():
    assert normalise_phone("9012345678") == "09012345678"
    assert normalise_phone("０９０－１２３４－５６７８") == "090-1234-5678"
    assert normalise_phone("+81 90 1234") == "+81 90 1234"
