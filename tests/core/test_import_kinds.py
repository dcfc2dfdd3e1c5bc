"""Rosters as programs really write them: each kind is read right, or what was changed or left out is said."""

import io
from datetime import date

import openpyxl
import pytest

import clock
from core import settings
from core.imports import columns, jobs
from core.imports import read as roster_read
from core.imports.columns import RosterRow, Sheet, find_header, read_rows
from core.imports.read import read_pasted
from core.members import lists
from models import Child, Membership, Person
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


# ── states of other systems ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "word", "state", "address_state"),
    [
        ("ステータス", "配信停止", "stopped", "fine"),
        ("status", "blocklisted", "stopped", "fine"),
        ("Status", "unsubscribed", "stopped", "fine"),
        ("配信状態", "退会済み", "stopped", "fine"),
        ("購読状態", "受信しない", "stopped", "fine"),
        ("Subscription status", "Inactive", "stopped", "fine"),
        ("状態", "無効", "stopped", "fine"),
        ("ステータス", "不達", "active", "bounced"),
        ("E-mail status", "Bounced", "active", "bounced"),
        ("備考", "メール配信停止", "stopped", "fine"),
        ("区分", "unsubscribed", "stopped", "fine"),
        ("メール配信", "希望しない", "stopped", "fine"),
        ("配信", "受信する", "active", "fine"),
        ("ステータス", "購読中", "active", "fine"),
    ],
)
def test_a_state_of_another_system_is_never_active(zenko, header, word, state, address_state):
    bring(zenko, f"氏名,メールアドレス,{header}\n林 冬,d@example.jp,{word}\n")
    membership = Membership.get()
    assert (membership.state, membership.person.address_state) == (state, address_state)
    assert membership.attributes == {}


@pytest.mark.parametrize("word", ["○", "1", "停止解除", "無効ではない", "not blocked", "区分B", "停止予定?"])
def test_an_unknown_state_is_asked(zenko, word):
    plan = bring(zenko, f"氏名,メールアドレス,ステータス\n林 冬,d@example.jp,{word}\n")
    assert plan.counts["wrong"] == 1
    assert plan.lines[0].notes[0].values == {"state": word}
    assert not Membership.select().exists()


def test_a_stop_among_remarks_is_said_on_its_line(zenko):
    plan = bring(zenko, "氏名,メールアドレス,連絡\n林 冬,d@example.jp,配信停止\n谷 花,e@example.jp,車で送迎\n")
    assert [note.values for note in plan.lines[0].notes] == [{"item": "連絡", "text": "配信停止"}]
    assert not plan.lines[1].notes


@pytest.mark.parametrize("word", ["停止", "拒否"])
def test_a_stop_of_something_else_stops_no_mail(zenko, word):
    bring(zenko, f"氏名,メールアドレス,給食\n林 冬,d@example.jp,{word}\n谷 花,e@example.jp,あり\n")
    assert {row.state for row in Membership.select()} == {"active"}


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "field"),
    [
        *[
            (header, "address")
            for header in ("保護者メールアドレス", "メールアドレス１", "携帯メール", "母メールアドレス")
        ],
        *[(header, "address") for header in ("Parent Email", "Mother's e-mail", "父のメール", "連絡先メールアドレス①")],
        *[(header, "phone") for header in ("電話番号１", "母携帯", "保護者電話番号", "緊急連絡先１", "自宅電話")],
        *[(header, "grade") for header in ("お子さんの学年", "児童学年", "Child's grade", "学年（４月から）")],
        *[(header, "class_name") for header in ("学級名", "お子様のクラス", "生徒の組")],
    ],
)
def test_sisters_of_headers_are_known(header, field):
    sheet = sheet_of(f"保護者氏名,児童氏名,{header}\n山川 太郎,山川 九,x\n")
    assert columns.guess_mapping(sheet) == ("name", "child_name", field)


def test_a_column_full_of_addresses_is_the_address():
    sheet = sheet_of("氏名,アドレス,連絡はこちら\n林 冬,東京都千代田区1-1,d@x.jp\n谷 花,京都市,e@x.jp\n")
    assert columns.guess_mapping(sheet) == ("name", "attribute", "address")


@pytest.mark.parametrize(
    "heading",
    [
        "学年,組,児童,,保護者,\n,,氏名,フリガナ,氏名,メールアドレス\n",
        "学年,組,児童情報,,保護者情報,\n,,氏名,ふりがな,氏名,メール\n",
        "児童,,,,連絡先,\n学年,組,氏名,フリガナ,保護者氏名,メール\n",
        "名簿\n学年,組,お子さん,,保護者,\n学年,組,氏名,読み仮名,名前,Email\n",
    ],
)
def test_two_heading_lines_are_joined(heading):
    (row,) = rows_of(sheet_of(heading + "3,2,山川 八,ヤマカワ ハチ,山川 太郎,o@example.jp\n"))
    assert (row.grade, row.class_name, row.child_name, row.child_kana) == ("3", "2", "山川 八", "ヤマカワ ハチ")
    assert (row.name, row.address) == ("山川 太郎", "o@example.jp")


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mark", ["〃", "同上", "々", "″", "仝"])
def test_ditto_takes_the_value_above(mark):
    sheet = sheet_of(
        f"学年,組,児童氏名,メール\n3,2,山川 二,i@x.jp\n{mark},{mark},谷口 二,j@x.jp\n{mark},1,林 二,k@x.jp\n"
    )
    assert [(row.grade, row.class_name) for row in rows_of(sheet)] == [("3", "2"), ("3", "2"), ("3", "1")]
    assert [values for _, values in sheet.remarks] == [{"number": 3}]


@pytest.mark.parametrize(
    "typed",
    ["3月2日", "2-Mar", "Mar-2", "2026-03-02", "2026/3/2", "46083", "02-Mar-26", "2026-03-02 00:00:00", "３月２日"],
)
def test_a_class_that_became_a_date_is_put_back_and_said(typed):
    (row,) = rows_of(sheet_of(f"年組,児童氏名,メール\n{typed},山川 三,k@x.jp\n"))
    assert (row.grade, row.class_name) == ("3", "2")
    assert row.remarks[0][1] == {"typed": typed, "grade": 3, "class_name": 2}


def test_a_date_in_excel_is_put_back_too():
    def fill(book):
        book.active.append(["クラス", "児童氏名", "メール"])
        book.active.append([date(2026, 3, 2), "山川 三", "k@x.jp"])

    (row,) = rows_of(workbook(fill))
    assert (row.grade, row.class_name) == ("3", "2")


@pytest.mark.parametrize(("grade", "typed"), [("2", "3月2日"), ("", "10月2日"), ("3", "2-Apr")])
def test_a_date_that_contradicts_is_not_taken(grade, typed):
    (row,) = rows_of(sheet_of(f"学年,組,児童氏名,メール\n{grade},{typed},山川 三,k@x.jp\n"))
    assert (row.grade, row.class_name) == (grade, "")
    assert row.remarks[0][1] == {"typed": typed}


@pytest.mark.parametrize("typed", ["3-2", "3年2組", "3/2", "３－２"])
def test_a_class_is_no_date(typed):
    (row,) = rows_of(sheet_of(f"年組,児童氏名,メール\n{typed},山川 三,k@x.jp\n"))
    assert (row.grade, row.class_name, row.remarks) == ("3", "2", [])


@pytest.mark.parametrize("word", ["なし", "－", "無", "-", "無し", "（なし）", "ー", "N/A", "未登録"])
def test_no_address_in_words_means_the_telephone(zenko, word):
    plan = bring(zenko, f"児童氏名,保護者氏名,メール,電話\n山川 六,山川 太郎,{word},090-1111-2222\n")
    person = Person.get()
    assert plan.counts["added"] == 1
    assert (person.address, person.phone) == (None, "090-1111-2222")


@pytest.mark.parametrize("typed", ["9.01111E+09", "9E+10", "8.19011E+11", "９．０１Ｅ＋０９"])
def test_a_number_that_excel_cut_is_not_kept(typed):
    (row,) = rows_of(sheet_of(f"保護者氏名,メール,電話番号\n山川 太郎,s@x.jp,{typed}\n"))
    assert row.phone == ""
    assert row.remarks[0][1] == {"typed": typed}


def test_a_short_number_is_remarked():
    (row,) = rows_of(sheet_of("保護者氏名,メール,電話番号\n山川 太郎,s@x.jp,1111-22\n"))
    assert (row.phone, row.remarks[0][1]) == ("1111-22", {"typed": "1111-22"})


@pytest.mark.parametrize("cells", [",,計,1名,", "合計,,,1,", "計：1名,,,,", ",,総数,24人,", "Total,,1,,", ",,,24名,"])
def test_a_sum_is_no_person(zenko, cells):
    head = "学年,組,児童氏名,保護者氏名,メールアドレス\n3,2,山川 一郎,山川 太郎,taro@example.jp\n"
    plan = bring(zenko, head + cells + "\n")
    assert (plan.counts["added"], plan.counts["wrong"]) == (1, 1)
    assert [person.name for person in Person.select()] == ["山川 太郎"]


def test_a_reading_in_brackets_is_the_kana():
    (row,) = rows_of(sheet_of("児童氏名,保護者氏名,メール\n山田 一（やまだ はじめ）,山田(ヤマダ),y@x.jp\n"))
    assert (row.child_name, row.child_kana, row.name, row.kana) == ("山田 一", "ヤマダ ハジメ", "山田", "ヤマダ")


# ── unknown columns ──────────────────────────────────────────────────────────────────────────────────────────────

WITH_REMARKS = "氏名,メール,備考,地区,当番日\n林 冬,d@example.jp,卵アレルギー,本町,3日\n"


def test_an_unknown_column_is_not_taken_unless_it_is_named(zenko):
    sheet = sheet_of(WITH_REMARKS)
    mapping = jobs.suggest_mapping(zenko, sheet)
    assert mapping == ("name", "address", "", "attribute", "")
    assert columns.untaken_columns(sheet, mapping) == [(2, "備考"), (4, "当番日")]
    assert jobs.suggest_mapping(zenko, sheet, ["当番日"]) == ("name", "address", "", "attribute", "attribute")


def test_an_item_that_the_list_has_is_taken_again(zenko):
    sheet = sheet_of(WITH_REMARKS)
    jobs.import_now(zenko, sheet, jobs.suggest_mapping(zenko, sheet, ["当番日"]), None, clock.now())
    assert Membership.get().attributes == {"地区": "本町", "当番日": "3日"}
    assert jobs.suggest_mapping(zenko, sheet) == ("name", "address", "", "attribute", "attribute")


# ── a child without a guardian column ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("学年,組,番号,氏名,ふりがな,メールアドレス", "3,2,1,山川 五,やまかわ ご,m@example.jp"),
        ("年組,名前,よみ,メール", "3-2,山川 五,ヤマカワ ゴ,m@example.jp"),
        ("Grade,Class,Name,Kana,Email", "3,2,山川 五,ﾔﾏｶﾜ ｺﾞ,m@example.jp"),
    ],
)
def test_a_name_beside_a_grade_is_the_childs(zenko, header, cells):
    bring(zenko, f"{header}\n{cells}\n")
    child = Child.get()
    assert (child.name, child.kana, child.grade, child.class_name) == ("山川 五", "ヤマカワ ゴ", "3", "2")
    assert (Person.get().name, Person.get().address) == ("", "m@example.jp")


def test_a_child_without_address_is_told_by_telephone_and_found_again(zenko):
    sheet = "学年,組,氏名,メール,電話\n3,2,山川 五,なし,090-1111-2222\n"
    bring(zenko, sheet)
    assert bring(zenko, sheet).counts["already"] == 1
    assert (Person.select().count(), Child.get().class_name) == (1, "2")


def test_a_class_without_a_child_is_said(zenko):
    plan = bring(zenko, "氏名,組,メール\n山川 太郎,2,m@example.jp\n")
    assert "grade and class are not kept" in plan.lines[0].notes[0].message
