"""Rosters as programs really write them: each kind is read right, or what was changed or left out is said."""

import io

import openpyxl
import pytest

import clock
from core import settings
from core.imports import columns, jobs
from core.imports import read as roster_read
from core.imports.columns import RosterRow, Sheet, find_header, read_rows
from core.imports.read import read_pasted
from core.members import lists
from models import Child, Person
from tests.core.rosters import bring, sheet_of

HEADER = ["学年", "組", "児童氏名", "保護者氏名", "メールアドレス"]


@pytest.fixture
def zenko(config):
    settings.load_settings()
    return lists.add_list(None, "全校", "zenko", whole=True, now=clock.now())


def rows_of(sheet: Sheet) -> list[RosterRow]:
    return read_rows(sheet, columns.guess_mapping(sheet))


def workbook(fill) -> Sheet:
    """Return the sheet that is read from a workbook which `fill` writes."""
    book = openpyxl.Workbook()
    fill(book)
    held = io.BytesIO()
    book.save(held)
    return jobs.read_sheet(held.getvalue(), "名簿.xlsx")


def line(place: int) -> list[object]:
    return [3, 2, f"山川 子{place}", f"山川 親{place}", f"p{place}@example.jp"]


# ── pasted text ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("山川 太郎 <a@x.jp>; 谷 花 <b@x.jp>; 林 冬 <c@x.jp>", ["山川 太郎", "谷 花", "林 冬"]),
        ("山川 太郎 <a@x.jp>, 谷 花 <b@x.jp>", ["山川 太郎", "谷 花"]),
        ("a@x.jp\n谷 花 <b@x.jp>、林 冬 <c@x.jp>", ["", "谷 花", "林 冬"]),
        ("Yamakawa, Taro <a@x.jp>; Tani, Hana <b@x.jp>", ["Yamakawa, Taro", "Tani, Hana"]),
        ('"Yamakawa, Taro" <a@x.jp>, "Tani, Hana" <b@x.jp>;', ["Yamakawa, Taro", "Tani, Hana"]),
        ("Yamakawa, Taro <a@x.jp>\nTani, Hana <b@x.jp>", ["Yamakawa, Taro", "Tani, Hana"]),
    ],
)
def test_each_recipient_of_a_pasted_line_is_a_member(zenko, text, found):
    sheet = find_header(read_pasted(text))
    plan = jobs.import_now(zenko, sheet, columns.guess_mapping(sheet), None, clock.now())
    assert plan.counts["added"] == len(found)
    assert [person.name for person in Person.select().order_by(Person.address)] == found


def test_a_sheet_is_not_taken_for_recipients():
    sheet = find_header(read_pasted("氏名,メール\n山川 太郎,a@x.jp\n"))
    assert [(row.name, row.address) for row in rows_of(sheet)] == [("山川 太郎", "a@x.jp")]


@pytest.mark.parametrize(
    "text",
    [
        "氏名,メールアドレス,備考\n林 冬,a@x.jp,卵;乳;小麦;そば;えび\n",
        "氏名;メールアドレス;備考\n林 冬;a@x.jp;卵,乳,小麦,そば\n",
        "氏名\tメールアドレス\t備考\n林 冬\ta@x.jp\t卵,乳,小麦;そば,えび\n",
        '氏名,メールアドレス,備考\n林 冬,a@x.jp,"卵;乳;小麦"\n谷 花,b@x.jp,;;;;;;\n',
    ],
)
def test_the_separator_is_the_one_of_most_lines(text):
    assert (rows_of(sheet_of(text))[0].name, rows_of(sheet_of(text))[0].address) == ("林 冬", "a@x.jp")


# ── encodings ────────────────────────────────────────────────────────────────────────────────────────────────────

CSV = "学年,組,児童氏名,保護者氏名,メールアドレス\n3,2,山川 一郎,山川 太郎,v@example.jp\n"


@pytest.mark.parametrize("encoding", ["euc_jp", "cp932", "utf-8", "utf-16-le", "utf-16-be", "iso2022_jp"])
def test_an_encoding_is_found(encoding):
    (row,) = rows_of(jobs.read_sheet(CSV.encode(encoding)))
    assert (row.child_name, row.name, row.address) == ("山川 一郎", "山川 太郎", "v@example.jp")


def test_half_width_kana_of_shift_jis_are_no_euc_jp():
    assert roster_read.guess_encoding("ﾒｰﾙ,ﾅﾏｴ\na@x.jp,ﾔﾏﾀﾞ\n".encode("cp932")) == "cp932"


def test_euc_jp_keeps_half_width_kana_and_row_13():
    assert roster_read.decode_text("ｱ氏".encode("euc_jp") + b"\xad\xa1", "euc-jp") == "ｱ氏①"


@pytest.mark.parametrize("other", ["か\u3099く 一", "がく\ufe00 一", "がく\U000e0100 一"])
def test_a_decomposed_name_means_the_same_child(zenko, other):
    sheet = "児童氏名,学年,組,保護者氏名,メール\n{},3,2,{},w@example.jp\n"
    bring(zenko, sheet.format("がく 一", "がく 父"))
    plan = bring(zenko, sheet.format(other, other.replace("一", "父")))
    assert plan.counts["already"] == 1
    assert [child.name for child in Child.select()] == ["がく 一"]


def test_a_compatibility_ideograph_of_a_name_stays(zenko):
    bring(zenko, "氏名,メール\n\ufa19谷 髙,k@example.jp\n")
    assert Person.get().name == "\ufa19谷 髙"


# ── workbooks ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hidden_sheet_is_left_out_and_named():
    def fill(book):
        book.active.title = "R6"
        book.active.append(HEADER)
        book.active.append(line(1))
        book.active.sheet_state = "hidden"
        shown = book.create_sheet("R7")
        shown.append(HEADER)
        shown.append(line(2))
        book.active = 1

    sheet = workbook(fill)
    assert [row.address for row in rows_of(sheet)] == ["p2@example.jp"]
    assert [values for _, values in sheet.remarks] == [{"name": "R7", "others": "R6"}]


@pytest.mark.parametrize("cover", [["3年2組 名簿"], ["学年", 3, "組", 2], ["担任", "小川 守"]])
def test_a_cover_sheet_is_passed_over(cover):
    def fill(book):
        book.active.append(cover)
        listed = book.create_sheet("名簿")
        listed.append(HEADER)
        listed.append(line(1))

    assert [row.address for row in rows_of(workbook(fill))] == ["p1@example.jp"]


def test_hidden_rows_are_left_out_and_counted():
    def fill(book):
        for row in (HEADER, line(1), line(2), line(3)):
            book.active.append(row)
        book.active.row_dimensions[2].hidden = True
        book.active.row_dimensions[4].hidden = True

    sheet = workbook(fill)
    assert [(row.number, row.address) for row in rows_of(sheet)] == [(3, "p2@example.jp")]
    assert [values for _, values in sheet.remarks] == [{"number": 2}]


def test_a_merged_cell_gives_its_value_to_all_its_rows():
    def fill(book):
        for row in (HEADER, line(1), line(2), line(3)):
            book.active.append(row)
        for merged in ("A2:A4", "B2:B3", "D2:D3", "E2:E3"):
            book.active.merge_cells(merged)
        book.active["B4"] = 1

    found = [(row.grade, row.class_name, row.address) for row in rows_of(workbook(fill))]
    assert found == [("3", "2", "p1@example.jp"), ("3", "2", "p1@example.jp"), ("3", "1", "p3@example.jp")]


@pytest.mark.parametrize(
    "content",
    [
        "<html><table><tr><td>氏名</td></tr></table></html>".encode("cp932"),
        b"\xef\xbb\xbf\r\n<!DOCTYPE html><table></table>",
        b'<?xml version="1.0"?><Workbook></Workbook>',
        "<TABLE><tr></tr></TABLE>".encode("utf-16"),
    ],
)
def test_a_web_page_named_xls_is_said(content):
    with pytest.raises(roster_read.UnreadableFile, match="web page"):
        jobs.read_sheet(content, "名簿.xls")


def test_a_password_is_said():
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(roster_read.UnreadableFile, match="password"):
        jobs.read_sheet(content, "名簿.xlsx")


def test_csv_named_xls_is_read():
    assert rows_of(jobs.read_sheet(CSV.encode("cp932"), "名簿.xls"))[0].address == "v@example.jp"
