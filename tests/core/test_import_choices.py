"""What the organizer decides on the preview of an import, and what a file says of its class, families and typing errors."""

import io

import openpyxl
import pytest

import clock
from core import settings
from core.imports import class_source, columns, jobs, preview
from core.imports import read as roster_read
from core.imports.columns import read_rows
from core.imports.plan import plan_sheet
from core.imports.plan_model import KEEP, REPLACE, SECOND, LineChoices
from core.imports.read import ReadOptions
from core.members import lists
from models import Child, Membership, Person
from tests.core.rosters import bring, sheet_of


@pytest.fixture
def zenko(config):
    settings.load_settings()
    return lists.add_list(None, "全校", "zenko", whole=True, now=clock.now())


@pytest.fixture
def class_list(config):
    settings.load_settings()
    return lists.add_list(None, "3年2組", "3nen2kumi", now=clock.now())


def plan_of(mailing_list, text, choices=None):
    sheet = sheet_of(text)
    return plan_sheet(mailing_list, sheet, columns.guess_mapping(sheet), clock.now(), None, choices)


def write(plan):
    jobs.apply.apply_plan(plan)


def rows_of(content, options=roster_read.DEFAULT_OPTIONS, name="名簿.csv"):
    sheet = jobs.read_sheet(content.encode() if isinstance(content, str) else content, name, options)
    return [(row.child_name, row.name, row.address) for row in read_rows(sheet, columns.guess_mapping(sheet))]


def loud(line):
    return [note.message for note in line.loud]


# ── how the file is read ─────────────────────────────────────────────────────────────────────────────────────────


def workbook(**sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return book


def content_of(book):
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


HEAD = ["児童氏名", "保護者氏名", "メール"]


def test_another_sheet_can_be_chosen_also_a_hidden_one():
    book = workbook(一組=[HEAD, ["山川 一", "山川 父", "a@x.jp"]], 二組=[HEAD, ["谷 二", "谷 母", "b@x.jp"]])
    book["二組"].sheet_state = "hidden"
    assert rows_of(content_of(book), name="x.xlsx") == [("山川 一", "山川 父", "a@x.jp")]
    assert rows_of(content_of(book), ReadOptions(sheet="二組"), "x.xlsx") == [("谷 二", "谷 母", "b@x.jp")]
    assert jobs.read_sheet(content_of(book)).source.sheets == ("一組", "二組")


def test_hidden_rows_are_read_if_wanted():
    book = workbook(名簿=[HEAD, ["山川 一", "山川 父", "a@x.jp"], ["谷 二", "谷 母", "b@x.jp"]])
    book["名簿"].row_dimensions[2].hidden = True
    assert [row[0] for row in rows_of(content_of(book), name="x.xlsx")] == ["谷 二"]
    assert [row[0] for row in rows_of(content_of(book), ReadOptions(hidden_rows=True), "x.xlsx")] == [
        "山川 一",
        "谷 二",
    ]


def test_text_that_is_struck_through_is_named():
    book = workbook(名簿=[HEAD, ["山川 一", "山川 父", "a@x.jp"], ["谷 二", "谷 母", "b@x.jp"]])
    book["名簿"]["A3"].font = openpyxl.styles.Font(strike=True)
    assert {"rows": "3"} in [values for _, values in jobs.read_sheet(content_of(book)).remarks]


def test_another_separator_can_be_chosen():
    text = "氏名;メール,予備\n山田;y@x.jp,1\n林;h@x.jp,2\n"
    sheet = jobs.read_sheet(text.encode(), "x.csv", ReadOptions(separator=";"))
    assert (sheet.columns, sheet.source.separator) == (("氏名", "メール,予備"), ";")
    assert jobs.read_sheet(text.encode(), "x.csv", ReadOptions(separator=",")).rows[0] == (1, ("氏名;メール", "予備"))


def test_the_line_that_names_the_separator_is_followed_and_not_read():
    sheet = jobs.read_sheet("sep=;\r\n氏名;メール\r\n山田;y@x.jp\r\n".encode())
    assert (sheet.columns, sheet.rows, sheet.heading) == (("氏名", "メール"), ((3, ("山田", "y@x.jp")),), 2)


@pytest.mark.parametrize(("heading", "first"), [(None, 3), (2, 3), (1, 2), (0, 1)])
def test_another_heading_line_can_be_chosen(heading, first):
    text = "ひばり,3,2\n児童氏名,組,メール\n山川 一,2,a@x.jp\n"
    sheet = jobs.read_sheet(text.encode(), "x.csv", ReadOptions(heading=heading))
    assert sheet.rows[0][0] == first


def test_options_keep_the_upload_and_forget_choices_of_rows(school):
    job = jobs.create_import(
        school.lists["1-1"],
        school.users["守"],
        content="氏名,メール\n山田,y@x.jp\n".encode(),
        filename="x.csv",
        now=clock.now(),
    )
    jobs.set_choices(job, LineChoices(left_out=frozenset({1})))
    assert jobs.preview_import(job, clock.now(), None)[1].counts["wrong"] == 1
    jobs.set_options(job, ReadOptions(heading=0))
    sheet, plan = jobs.preview_import(job, clock.now(), None)
    assert (len(sheet.rows), jobs.line_choices(job)) == (2, LineChoices())


# ── the class of the list ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *[
            ("3年2組", ("3", "2")),
            ("3-2", ("3", "2")),
            ("令和8年度 3年2組 名簿", ("3", "2")),
            ("３年２組名簿", ("3", "2")),
        ],
        *[
            ("第3学年の2組", ("3", "2")),
            ("三年二組", ("3", "2")),
            ("4年ひまわり組", ("4", "ひまわり")),
            ("5年生", ("5", "")),
        ],
        *[
            ("令和8年4月", ("", "")),
            ("2026年度", ("", "")),
            ("全校", ("", "")),
            ("Sheet1", ("", "")),
            ("名簿 2026-03-02", ("", "")),
        ],
        ("令和8年 3年2組", ("3", "2")),
    ],
)
def test_the_class_of_a_title(text, found):
    assert class_source.class_in_title(text) == found


def test_a_class_list_gives_its_class_to_children_without_one(class_list):
    plan = bring(class_list, "児童氏名,保護者氏名,メール\n山川 一,山川 父,a@x.jp\n谷 二,谷 母,b@x.jp\n")
    assert plan.classes_given == 2
    assert {(child.grade, child.class_name) for child in Child.select()} == {("3", "2")}


def test_a_class_on_the_line_stays(class_list):
    bring(class_list, "児童氏名,学年,組,メール\n山川 一,4,1,a@x.jp\n谷 二,3,,b@x.jp\n")
    assert [(child.grade, child.class_name) for child in Child.select()] == [("4", "1"), ("3", "2")]


def test_a_known_child_keeps_its_class(class_list, zenko):
    bring(zenko, "児童氏名,学年,組,保護者氏名,メール\n山川 一,4,1,山川 父,a@x.jp\n")
    bring(class_list, "児童氏名,保護者氏名,メール\n山川 一,山川 父,a@x.jp\n")
    assert [(child.grade, child.class_name) for child in Child.select()] == [("4", "1")]


def test_the_class_is_not_given_if_it_is_not_wanted(class_list):
    plan = plan_of(class_list, "児童氏名,メール\n山川 一,a@x.jp\n", LineChoices(give_class=False))
    assert (plan.classes_given, plan.lines[0].class_name) == (0, "")


@pytest.mark.parametrize("title", ["3年2組 名簿\n", "令和8年度,,3年2組,担任 小川\n"])
def test_a_title_gives_its_class_in_any_list(zenko, title):
    plan = bring(zenko, f"{title}児童氏名,保護者氏名,メール\n山川 一,山川 父,a@x.jp\n")
    assert (Child.get().grade, Child.get().class_name, plan.counts["wrong"]) == ("3", "2", 0)


def test_the_name_of_the_sheet_gives_its_class(zenko):
    book = workbook(**{"3-2": [HEAD, ["山川 一", "山川 父", "a@x.jp"]]})
    bring(zenko, content_of(book), "x.xlsx")
    assert (Child.get().grade, Child.get().class_name) == ("3", "2")


def test_a_file_of_another_class_gives_none(class_list):
    sheet = sheet_of("3年1組 名簿\n児童氏名,メール\n山川 一,a@x.jp\n")
    assert class_source.find_class(class_list, sheet).contradicts
    assert plan_sheet(class_list, sheet, columns.guess_mapping(sheet), clock.now()).classes_given == 0


# ── typing errors ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "meant", "outcome"),
    [
        ("a@gmial.com", "a@gmail.com", "added"),
        ("a@docomo.ne.co", "a@docomo.ne.jp", "added"),
        ('"a@ezweb.ne,jp"', "a@ezweb.ne.jp", "wrong"),
        ("a＠yahoo.co.jpn", "a@yahoo.co.jp", "added"),
        ("a@example.con", "a@example.com", "added"),
    ],
)
def test_a_likely_typing_error_is_remarked_and_never_changed_by_itself(zenko, typed, meant, outcome):
    text = f"氏名,メール\n山田,{typed}\n"
    line = plan_of(zenko, text).lines[0]
    assert (line.outcome, line.meant) == (outcome, meant)
    assert any("meant" in message for message in loud(line))
    taken = plan_of(zenko, text, LineChoices(meant=frozenset({1})))
    assert (taken.lines[0].outcome, loud(taken.lines[0])) == ("added", [])
    write(taken)
    assert Person.get().address == meant


# ── lines without a child, families that left ────────────────────────────────────────────────────────────────────

FAMILIES = "児童氏名,保護者氏名,メール,電話\n山川 一,山川 父,a@x.jp,\n谷 二,谷 母,b@x.jp,\n林 三,林 父,c@x.jp,\n"


@pytest.mark.parametrize(
    ("line", "outcome", "word"),
    [
        (",小川 守,ogawa@x.jp,", "added", "no child"),
        (",,d@x.jp,", "added", "no child"),
        (",小川 守,,", "wrong", "no child, no e-mail"),
        ("合計 35名,,,", "wrong", "sum"),
        ("3年2組 35名（男子18名、女子17名）,,,", "wrong", "sum"),
        ("男 18 女 17 計 35,,,", "wrong", "sum"),
        ("担任,小川 守,,", "wrong", "teacher"),
        ("担任：小川 守,,,", "wrong", "teacher"),
        ("児童氏名,保護者氏名,メール,電話", "wrong", "once more"),
        ("※個人情報につき取扱注意,,,", "wrong", "remark"),
        ("以上,,,", "wrong", "sum"),
        ("欠番,,,", "wrong", "remark"),
        ("（転出）,,,", "wrong", "remark"),
    ],
)
def test_a_line_without_a_child_is_named(zenko, line, outcome, word):
    plan = plan_of(zenko, f"{FAMILIES}{line}\n")
    last = plan.lines[-1]
    assert (last.outcome, plan.counts["added"]) == (outcome, 3 + (outcome == "added"))
    assert any(word in message for message in loud(last))
    assert [line for line in plan.lines[:3] if line.loud] == []


@pytest.mark.parametrize(
    ("header", "text"),
    [
        *[("備考", text) for text in ("転出", "4月に転校", "配信停止", "退会", "メール不要", "卒業")],
        *[("転出日", "2026/9/1"), ("退会", "○"), ("メモ", "moved"), ("区分", "unsubscribed")],
    ],
)
def test_a_family_that_left_is_remarked_though_the_column_is_not_read(zenko, header, text):
    sheet = sheet_of(f"氏名,メール,{header}\n林 冬,d@x.jp,{text}\n谷 花,e@x.jp,\n川 夏,f@x.jp,車で送迎\n")
    mapping = jobs.suggest_mapping(zenko, sheet)
    plan = plan_sheet(zenko, sheet, mapping, clock.now())
    said = plan.lines[0].loud or mapping[2] == "state"
    assert said and not plan.lines[1].loud
    if mapping[2] == "":
        left_out = plan_sheet(zenko, sheet, mapping, clock.now(), None, LineChoices(left_out=frozenset({1})))
        assert [line.outcome for line in left_out.lines] == ["wrong", "added", "added"]


@pytest.mark.parametrize("name", ["山川 一（転出）", "山川 一(4月転校)", "山川 一【退会】"])
def test_a_mark_behind_a_name_is_remarked(zenko, name):
    line = plan_of(zenko, f"児童氏名,保護者氏名,メール\n{name},山川 父,a@x.jp\n").lines[0]
    assert (line.outcome, line.may_leave_out) == ("added", True)
    assert {"item": "児童氏名", "text": name} in [note.values for note in line.loud]


@pytest.mark.parametrize("word", ["○", "×"])
def test_a_sign_in_a_column_of_deliveries_is_asked(zenko, word):
    assert plan_of(zenko, f"氏名,メール,配信\n林,a@x.jp,{word}\n").counts["wrong"] == 1


@pytest.mark.parametrize(
    "text", ["転入", "なし", "転出予定なし", "卵アレルギー", "卒業アルバム委員をしない", "給食停止なし"]
)
def test_other_remarks_say_nothing_of_leaving(zenko, text):
    sheet = sheet_of(f"氏名,メール,備考\n林 冬,d@x.jp,{text}\n")
    assert plan_sheet(zenko, sheet, ("name", "address", ""), clock.now()).lines[0].loud == []


# ── a known guardian with another address ────────────────────────────────────────────────────────────────────────

SHIMIZU = "保護者氏名,児童氏名,学年,組,メール\n清水 奈々,清水 葵,3,2,{}\n"


def test_a_new_address_of_a_known_guardian_is_asked_and_the_old_one_stays(zenko):
    bring(zenko, SHIMIZU.format("old@x.jp"))
    plan = plan_of(zenko, SHIMIZU.format("new@x.jp"))
    line = plan.lines[0]
    assert (line.known.address, line.choice, line.outcome) == ("old@x.jp", KEEP, "already")
    assert any("registered with the address" in message for message in loud(line))
    write(plan)
    assert [person.address for person in Person.select()] == ["old@x.jp"]


def test_the_new_address_replaces_the_old_one(zenko):
    bring(zenko, SHIMIZU.format("old@x.jp"))
    Person.update(address_state="bounced").execute()
    plan = plan_of(zenko, SHIMIZU.format("new@x.jp"), LineChoices(known={1: REPLACE}))
    assert plan.lines[0].changes == ["e-mail address"]
    write(plan)
    person = Person.get()
    assert (person.address, person.address_key, person.address_state) == ("new@x.jp", "new@x.jp", "fine")
    assert Membership.select().count() == 1


def test_the_new_address_becomes_a_second_one_of_the_household(zenko):
    bring(zenko, SHIMIZU.format("old@x.jp"))
    write(plan_of(zenko, SHIMIZU.format("new@x.jp"), LineChoices(known={1: SECOND})))
    assert {person.address for person in Person.select()} == {"old@x.jp", "new@x.jp"}
    assert (Person.select(Person.household).distinct().count(), Child.select().count()) == (1, 1)


def test_a_person_of_the_same_name_without_other_evidence_is_asked_too(zenko):
    bring(zenko, SHIMIZU.format("old@x.jp"))
    plan = plan_of(zenko, "保護者氏名,児童氏名,学年,組,メール\n清水 奈々,清水 蓮,1,1,other@x.jp\n")
    assert (plan.lines[0].known.address, plan.lines[0].choice, plan.lines[0].outcome) == ("old@x.jp", SECOND, "added")


def test_both_addresses_in_the_file_are_no_question(zenko):
    bring(zenko, SHIMIZU.format("old@x.jp"))
    plan = bring(zenko, SHIMIZU.format("old@x.jp") + "清水 奈々,清水 葵,3,2,new@x.jp\n")
    assert [(line.known, line.outcome) for line in plan.lines] == [(None, "already"), (None, "added")]
    assert Person.select(Person.household).distinct().count() == 1


# ── several guardians or children on one line ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "児童氏名,父氏名,父メール,母氏名,母メール\n山川 一,山川 太郎,a@x.jp,山川 花子,b@x.jp\n谷 二,,,谷 花,c@x.jp\n",
            [("山川 一", "山川 太郎", "a@x.jp"), ("山川 一", "山川 花子", "b@x.jp"), ("谷 二", "谷 花", "c@x.jp")],
        ),
        (
            "児童氏名,保護者氏名,メールアドレス1,メールアドレス2\n山川 一,山川 太郎,a@x.jp,b@x.jp\n谷 二,谷 花,c@x.jp,なし\n",
            [("山川 一", "山川 太郎", "a@x.jp"), ("山川 一", "山川 太郎", "b@x.jp"), ("谷 二", "谷 花", "c@x.jp")],
        ),
        (
            '児童氏名,保護者氏名,メール\n山川 一,"山川 太郎\n山川 花子","a@x.jp\nb@x.jp"\n',
            [("山川 一", "山川 太郎", "a@x.jp"), ("山川 一", "山川 花子", "b@x.jp")],
        ),
        (
            "児童氏名,保護者氏名,メール\n山川 一,山川 太郎,a@x.jp / b@x.jp\n",
            [("山川 一", "山川 太郎", "a@x.jp"), ("山川 一", "山川 太郎", "b@x.jp")],
        ),
        (
            "児童1氏名,児童1学年,児童2氏名,児童2学年,保護者氏名,メール\n山川 一,3,山川 二,1,山川 太郎,a@x.jp\n谷 三,2,,,谷 花,b@x.jp\n",
            [("山川 一", "山川 太郎", "a@x.jp"), ("山川 二", "山川 太郎", "a@x.jp"), ("谷 三", "谷 花", "b@x.jp")],
        ),
        (
            "児童氏名,学年,保護者氏名,メール\n山川 一、山川 二,3、1,山川 太郎,a@x.jp\n",
            [("山川 一", "山川 太郎", "a@x.jp"), ("山川 二", "山川 太郎", "a@x.jp")],
        ),
        ('Student name,Parent name,Email\n"Smith, John",Ann Smith,a@x.jp\n', [("Smith, John", "Ann Smith", "a@x.jp")]),
    ],
)
def test_each_guardian_and_child_of_a_line_is_read(zenko, text, found):
    assert rows_of(text) == found
    plan = bring(zenko, text)
    assert plan.counts["wrong"] == 0
    assert {person.address for person in Person.select()} == {address for _, _, address in found}
    assert {child.name for child in Child.select()} == {child for child, _, _ in found}
    assert bring(zenko, text).counts["added"] == 0


# ── nothing is cut, no foreign file is guessed at ────────────────────────────────────────────────────────────────


def test_what_is_too_long_is_said_and_not_cut(zenko):
    sheet = sheet_of(f"氏名,メール,項目,電話\n山田,y@x.jp,{'あ' * 501},{'1' * 41}\n{'長' * 201},h@x.jp,,\n")
    plan = plan_sheet(zenko, sheet, ("name", "address", "attribute", "phone"), clock.now())
    assert [note.values["number"] for line in plan.lines for note in line.loud if "number" in note.values] == [
        40,
        500,
        200,
    ]
    write(plan)
    assert [(person.name, person.phone) for person in Person.select()] == [("山田", ""), ("", "")]
    assert [row.attributes for row in Membership.select()] == [{}, {}]


def test_too_many_columns_are_refused():
    with pytest.raises(roster_read.UnreadableFile, match="columns"):
        jobs.read_sheet(("氏名,メール" + ",x" * 199 + "\n").encode())
    assert len(jobs.read_sheet(("氏名,メール" + ",x" * 198 + "\n山田,y@x.jp\n").encode()).columns) == 200


def test_a_cell_behind_the_last_column_is_said(zenko):
    plan = plan_of(zenko, "氏名,メール\n山田,a@ezweb.ne,jp\n")
    assert {"text": "jp"} in [note.values for note in plan.lines[0].loud] or plan.lines[0].meant == "a@ezweb.ne.jp"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\r\n \r\n", "empty"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n", "picture"),
        (b"\xff\xd8\xff\xe0", "picture"),
        ("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:山田\r\n".encode(), "vCard"),
        (b"BEGIN:VCALENDAR\r\n", "calendar"),
        (b"{\\rtf1", "text document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "text document"),
        (b"\x1f\x8b\x08", "archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Excel"),
    ],
)
def test_a_file_that_is_no_sheet_is_named(content, word):
    with pytest.raises(roster_read.UnreadableFile, match=word):
        jobs.read_sheet(content, "名簿")


# ── the preview ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_remark_on_many_rows_stands_once(zenko):
    lines = "".join(f"子{place},{place}@x.jp\n" for place in range(10, 30))
    sheet = sheet_of(f"児童氏名,メール\n{lines}山田,bad\n")
    mapping = columns.guess_mapping(sheet)
    shown = preview.build_preview(sheet, plan_sheet(zenko, sheet, mapping, clock.now()), mapping)
    assert [line.number for line, _ in shown.look] == [22]
    assert [(len(one.lines), preview.row_numbers(one.lines)) for one in shown.common] == [(20, "2–21")]
    assert shown.count == 21


def test_people_are_counted_not_lines(zenko):
    plan = plan_of(
        zenko, "児童氏名,学年,メール\n山川 一,1,a@x.jp\n山川 二,3,a@x.jp\n谷 三,2,bad\n合計,,\n林 四,2,d@x.jp\n"
    )
    assert plan.people_by_outcome == {"added": 2, "changed": 0, "already": 0, "wrong": 1}
