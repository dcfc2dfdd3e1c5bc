"""Rosters as other programs export them, and cells as people and spreadsheets leave them."""

import pytest

import clock
from core import settings
from core.imports import columns, jobs
from core.imports import export as roster_export
from core.imports.columns import read_rows
from core.members import lists
from models import Child, Person
from tests.core.rosters import bring, sheet_of

HEAD = "学年,組,児童氏名,保護者氏名,メールアドレス,電話番号\n"


def rows_of(text):
    sheet = sheet_of(text) if isinstance(text, str) else jobs.read_sheet(text)
    return read_rows(sheet, columns.guess_mapping(sheet))


def row_of(text):
    (row,) = rows_of(text)
    return row


@pytest.mark.parametrize(
    ("text", "name", "phone"),
    [
        (
            '"役職","名","姓","会社名","電子メール アドレス","携帯電話"\n"","太郎","山川","","a@x.jp","090-1111-2222"\n',
            *("山川 太郎", "090-1111-2222"),
        ),
        (
            "First Name,Last Name,E-mail Address,Mobile Phone\nTaro,Yamakawa,a@x.jp,090-1111-2222\n",
            *("Yamakawa Taro", "090-1111-2222"),
        ),
        (
            "Name,Given Name,Family Name,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value\n"
            "山川 太郎,太郎,山川,* Home,a@x.jp,Mobile,09011112222\n",
            *("山川 太郎", "09011112222"),
        ),
        (
            "First Name,Last Name,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Value\n太郎,山川,*,a@x.jp,09011112222\n",
            *("山川 太郎", "09011112222"),
        ),
        (
            "名,姓,表示名,第 1 メール アドレス,携帯電話番号\n太郎,山川,山川 太郎,a@x.jp,09011112222\n",
            "山川 太郎",
            "09011112222",
        ),
    ],
    ids=["Outlook, Japanese", "Outlook, English", "Google 2020", "Google 2024", "Thunderbird"],
)
def test_an_address_book_is_read(text, name, phone):
    row = row_of(text)
    assert (row.name, row.address, row.phone) == (name, "a@x.jp", phone)


@pytest.mark.parametrize(
    "text",
    [
        "タイムスタンプ,メールアドレス,お子様のお名前（フルネーム）,お子様のふりがな,学年・クラスを選んでください,保護者様のお名前\n"
        "2026/04/10 9:12:33,a@x.jp,山川 一郎,やまかわ いちろう,3年2組,山川 太郎\n",
        "学年,組,番号,姓,名,姓（ふりがな）,名（ふりがな）,保護者姓,保護者名,メール\n"
        "3,2,1,山川,一郎,やまかわ,いちろう,山川,太郎,a@x.jp\n",
        "学年クラス,名簿番号,児童名,児童名カナ,保護者名,メアド\n３－２,１,山川 一郎,ﾔﾏｶﾜ ｲﾁﾛｳ,山川 太郎,a@x.jp\n",
        "学年;組;氏名;氏名（フリガナ）;保護者氏名;メール\n小3;2組;山川 一郎;ヤマカワ イチロウ;山川 太郎;a@x.jp\n",
        "学年\t組\t児童氏名\t児童氏名(カナ)\t保護者氏名\tE-mail\n3.0\t2.0\t山川 一郎\tヤマカワ イチロウ\t山川 太郎\ta@x.jp\n",
    ],
    ids=["form", "names in two", "class in one", "semicolons", "floats"],
)
def test_a_school_roster_is_read(text):
    row = row_of(text)
    assert (row.child_name, row.child_kana, row.grade, row.class_name) == ("山川 一郎", "ヤマカワ イチロウ", "3", "2")
    assert (row.name, row.address) == ("山川 太郎", "a@x.jp")


def test_two_guardians_in_numbered_columns_have_their_relations():
    rows = rows_of(
        "学年,学級,氏名,保護者1氏名,保護者1続柄,保護者1電話,保護者1メール,保護者2氏名,保護者2続柄,保護者2電話,保護者2メール\n"
        "3,2,山川 一郎,山川 太郎,父,090-1111-2222,a@x.jp,山川 花子,母,090-3333-4444,b@x.jp\n"
    )
    assert [(row.name, row.relation, row.phone, row.address) for row in rows] == [
        ("山川 太郎", "父", "090-1111-2222", "a@x.jp"),
        ("山川 花子", "母", "090-3333-4444", "b@x.jp"),
    ]
    assert {row.child_name for row in rows} == {"山川 一郎"}


def test_a_second_guardian_below_gets_the_child_of_the_line_above_and_says_so():
    rows = rows_of(
        "学年,組,児童氏名,続柄,保護者氏名,メール\n3,2,山川 一,父,山川 太郎,a@x.jp\n,,,母,山川 花子,b@x.jp\n3,2,谷 二,母,谷 花,c@x.jp\n"
    )
    assert [(row.child_name, row.name) for row in rows] == [
        ("山川 一", "山川 太郎"),
        ("山川 一", "山川 花子"),
        ("谷 二", "谷 花"),
    ]
    assert [values for row in rows for _, values in row.remarks] == [{"child": "山川 一"}]


@pytest.mark.parametrize(
    "typed", ["'09011112222", '"=""09011112222"""', "9011112222.0", "9011112222", "０９０１１１１２２２２"]
)
def test_a_telephone_number_kept_as_text_or_number(typed):
    assert row_of(f"{HEAD}3,2,山川 一,山川 父,a@x.jp,{typed}\n").phone == "09011112222"


@pytest.mark.parametrize(
    "typed",
    ["a@x.jp（母）", "母：a@x.jp", "【父】a@x.jp", '"=HYPERLINK(""mailto:a@x.jp"",""a@x.jp"")"', '"a@x.jp\n(母)"'],
)
def test_an_address_with_words_around_it(typed):
    assert row_of(f"{HEAD}3,2,山川 一,山川 父,{typed},\n").address == "a@x.jp"


@pytest.mark.parametrize("error", ["#REF!", "#N/A", "#NAME?", "#VALUE!", "#DIV/0!", "########"])
def test_an_error_of_a_formula_is_not_taken(error):
    row = row_of(f"{HEAD}3,2,山川 一,山川 父,a@x.jp,{error}\n")
    assert (row.phone, [values for _, values in row.remarks]) == ("", [{"typed": error}])


@pytest.mark.parametrize(
    "content",
    [
        ("\ufeff" + HEAD.replace(",", "\t") + "3\t2\t髙﨑 一\t山﨑 父\ta@x.jp\t\n").encode("utf-16-le"),
        ("\ufeff" + HEAD + "3,2,髙﨑 一,山﨑 父,a@x.jp,\n").encode("utf-16-be"),
        (HEAD + "3,2,髙﨑 一,山﨑 父,a@x.jp,\n").encode("cp932"),
        (HEAD + '3,2,"髙﨑\n一","山﨑 父",a@x.jp,\n').replace("\n", "\r\n").encode("utf-8-sig"),
    ],
)
def test_a_rare_kanji_in_each_encoding(content):
    row = row_of(content)
    assert (row.child_name, row.name) == ("髙﨑 一", "山﨑 父")


def test_a_file_without_column_names_says_so_and_names_what_is_not_read():
    sheet = sheet_of("3,2,山川 一郎,a@x.jp\n3,2,谷 花,b@x.jp\n")
    assert any("No line with column names" in message for message, _ in sheet.remarks)
    assert columns.untaken_columns(sheet, columns.guess_mapping(sheet)) == [(0, ""), (1, "")]


def test_names_that_begin_like_a_formula_come_in_and_go_out_guarded(config):
    settings.load_settings()
    zenko = lists.add_list(None, "全校", "zenko", now=clock.now())
    bring(zenko, "保護者氏名,児童氏名,学年,組,メールアドレス\n＝HYPERLINK(1),＋1+1,3,2,z@example.jp\n")
    assert (Person.get().name, Child.get().name) == ("＝HYPERLINK(1)", "＋1+1")
    out = roster_export.export_csv(zenko).decode("utf-8-sig")
    assert "'＝HYPERLINK(1)" in out and "'＋1+1" in out
    assert bring(zenko, out).counts == {"added": 0, "changed": 0, "already": 1, "wrong": 0}


def test_headings_that_are_merged_over_two_lines():
    text = "3年2組 名簿\n番号,児童氏名,フリガナ,保護者,連絡先,\n番号,児童氏名,フリガナ,氏名,メール,電話\n"
    sheet = sheet_of(text + "1,山川 一,ヤマカワ,山川 父,a@x.jp,9011112222\n")
    (row,) = read_rows(sheet, columns.guess_mapping(sheet))
    assert (row.child_name, row.name, row.address, row.phone) == ("山川 一", "山川 父", "a@x.jp", "09011112222")
    assert sheet.titles == ["", "3年2組 名簿"]
