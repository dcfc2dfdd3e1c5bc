"""Rosters in and out: both demo files, every encoding, siblings, households, undo, and the same few queries."""

import csv
import io
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clock
import models
from core import lists, organization, roster, roster_apply
from core.roster_columns import FIELDS, _meaning, arrange, class_name, grade, kana, phone, read_rows
from core.roster_export import guarded
from core.roster_plan import plan_rows
from core.roster_read import clean, paste
from core.roster_words import STATE_WORDS, state_of
from models import Child, Cover, Delivery, Log, Membership, Notice, Person, User
from words import say

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def zenko(config):
    organization.settings()  # makes the Organization row, which is not what the tests of queries count
    return lists.add(None, "全校", "zenko", whole=True, now=clock.now())


@pytest.fixture
def by(config):
    return User.create(name="花子", name_key="花子")


def bring(mailing_list, content, name="x.csv"):
    sheet = roster.read(content.encode() if isinstance(content, str) else content, name)
    return roster.write(mailing_list, sheet, roster.guess_mapping(sheet), None, clock.now())


def sheet_of(text):
    return roster.read(text.encode())


def notes(line):
    return [one.message for one in line.notes]


def people():
    return {(one.name, one.address) for one in Person.select()}


# ── the demo school ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["demo_members.csv", "demo_members_sjis.csv"])
def test_the_demo_school_comes_in_whole(zenko, name):
    made = bring(zenko, (DEMO / name).read_bytes(), name)
    assert made.counts == {"added": 40, "changed": 0, "already": 0, "wrong": 0}
    assert made.people == 39
    assert lists.counts(zenko) == {"members": 39, "active": 36, "stopped": 1, "bounced": 1, "pending": 1}
    assert Child.select().count() == 37  # 38 lines with a child, rows 1 and 2 name the same one


def test_the_odd_rows_of_the_demo_school_are_right(zenko):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    by_name = {one.name: one for one in Person.select()}
    for name in ("大野 由香", "木村 恵"):
        assert by_name[name].violates_rfc
    assert by_name["大野 由香"].address == "yuka..ohno@mobile.example.jp"
    assert by_name["西田 千尋"].address == "-chihiro-@mobile.example.jp"
    assert not by_name["西田 千尋"].violates_rfc
    assert by_name["用務 北村 光代"].address == "kitamura@school.example.jp"
    assert by_name["林 俊介"].address_key == "shunsuke.hayashi@example.com"
    assert by_name["和田 幸子"].address is None
    assert by_name["関口 由美"].address_state == "bounced"
    assert by_name["教頭 小川 守"].memberships.get().child is None
    assert by_name["工藤 隆"].memberships.get().state == "stopped"
    assert by_name["工藤 隆"].memberships.get().stopped_by == "reader"
    assert by_name["松本 絵里"].memberships.get().state == "pending"
    assert "𠮷田 哲也" in by_name


def test_siblings_are_one_person_and_two_guardians_share_one_child(zenko):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    suzuki = Person.get(Person.name == "鈴木 大輔")
    children = [row.child for row in suzuki.memberships]
    assert sorted(child.name for child in children) == ["鈴木 海斗", "鈴木 美月"]
    assert {child.household for child in children} == {suzuki.household}
    hina = Child.get(Child.name == "青山 陽菜")
    guardians = [row.person for row in hina.memberships]
    assert sorted(one.name for one in guardians) == ["青山 健太", "青山 美咲"]
    assert {one.household for one in guardians} == {hina.household}
    assert suzuki.household != hina.household != ""


def test_items_of_the_child_and_of_the_membership(zenko):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    row = Membership.select().join(Person).where(Person.name == "青山 健太").get()
    assert row.child.attributes == {"地区": "本町"}
    assert row.attributes["当番日"] == "10月20日(月)"
    assert (row.child.grade, row.child.class_name, row.relation) == ("1", "1", "父")


def test_the_second_file_finds_everybody_there(zenko):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    before = people()
    made = bring(zenko, (DEMO / "demo_members_sjis.csv").read_bytes())
    assert made.counts == {"added": 0, "changed": 0, "already": 40, "wrong": 0}
    assert people() == before
    assert Child.select().where(Child.name.contains("?")).count() == 0


def test_a_better_file_repairs_a_name_that_lost_a_character(zenko):
    bring(zenko, (DEMO / "demo_members_sjis.csv").read_bytes())
    made = bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    assert made.counts == {"added": 0, "changed": 1, "already": 39, "wrong": 0}
    assert Person.select().where(Person.name == "𠮷田 哲也").exists()
    assert Child.select().where(Child.name == "𠮷田 陸").exists()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

SHEET = "氏名,メールアドレス,学年\r\n髙橋 ①,t@example.jp,2年\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_every_encoding_and_separator_is_read(encoding, mark):
    sheet = roster.read(SHEET.replace(",", mark).encode(encoding))
    assert read_rows(sheet, roster.guess_mapping(sheet))[0].name == "髙橋 ①"


def test_iso_2022_jp_is_read_with_the_signs_that_python_does_not_know():
    content = "氏名,アドレス\r\n髙".replace("髙", "山").encode("iso2022_jp") + b"\x1b$B\x2d\x21\x1b(B,a@example.jp\r\n"
    sheet = roster.read(content)
    assert sheet.encoding == "iso-2022-jp"
    assert sheet.rows[0][1] == ("山①", "a@example.jp")


@given(st.text(st.characters(codec="iso2022_jp", categories=("Lo", "Lu", "Ll", "Nd")), min_size=1))
def test_iso_2022_jp_reads_what_python_writes(text):
    sheet = roster.read(f"氏名,アドレス\n山{text},a@example.jp".encode("iso2022_jp"))
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
    with pytest.raises(roster.Unreadable):
        roster.read(b"PK\x03\x04 nothing")
    with pytest.raises(roster.Unreadable):
        roster.read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 nothing")


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b",,,\r\n"])
def test_nothing_is_refused_with_a_sentence(content):
    with pytest.raises(roster.Unreadable):
        roster.read(content)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(roster.Unreadable):
        roster.read(b"a" * (5 * 2**20))
    with pytest.raises(roster.Unreadable):
        roster.read(b"a\r\n" * 20_001)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("山田 花子 <h@example.jp>\nk@example.jp\n", [("山田 花子", "h@example.jp"), ("", "k@example.jp")]),
        ("山田 花子　ｈ＠ｅｘ．ｊｐ", [("山田 花子", "ｈ＠ｅｘ．ｊｐ")]),
        ("a@example.jp; b@example.jp", [("", "a@example.jp"), ("", "b@example.jp")]),
    ],
)
def test_pasted_lines_of_names_and_addresses(text, found):
    sheet = arrange(paste(text))
    assert [(row.name, row.address) for row in read_rows(sheet, roster.guess_mapping(sheet))] == found


def test_cells_pasted_from_a_sheet_without_a_header():
    sheet = arrange(paste("山田 花子\tヤマダ ハナコ\th@example.jp\n林 一\tハヤシ ハジメ\ti@example.jp"))
    assert roster.guess_mapping(sheet) == ("name", "kana", "address")


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
    assert roster.guess_mapping(sheet_of(header + "\r\n" + ",".join("x" * header.count(",")) + ",y")) == tuple(
        mapping.split()
    )


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_header_and_state_that_we_write_is_read_back(language):
    parts = {"family", "given", "family_kana", "given_kana"}
    assert {name: _meaning(say(language, label)) for name, label in FIELDS.items() if name not in parts} == {
        name: name for name in FIELDS if name not in parts
    }
    assert {key: state_of(say(language, word)) for key, word in STATE_WORDS.items()} == {
        key: key for key in STATE_WORDS
    }


@pytest.mark.parametrize(
    ("typed", "short"), [("1年", "1"), ("１", "1"), ("第3学年", "3"), ("二年生", "2"), ("年少", "年少"), ("", "")]
)
def test_grades(typed, short):
    assert grade(typed) == short


@pytest.mark.parametrize(
    ("typed", "short"), [("1組", "1"), ("２", "2"), ("Ａ組", "A"), ("ひまわり組", "ひまわり"), ("03", "3")]
)
def test_classes(typed, short):
    assert class_name(typed) == short


def test_names_are_only_trimmed_and_kana_unified(zenko):
    bring(zenko, "氏名,フリガナ,メール\r\n　㈱髙﨑　一 ,ﾀｶｻｷ　はじめ,t@example.jp\r\n")
    person = Person.get()
    assert (person.name, person.kana) == ("㈱髙﨑 一", "タカサキ ハジメ")
    assert kana("やまだ") == kana("ﾔﾏﾀﾞ") == "ヤマダ"


def test_the_zero_that_excel_took_comes_back():
    assert phone("9012345678") == "09012345678"
    assert phone("０９０－１２３４－５６７８") == "090-1234-5678"
    assert phone("+81 90 1234") == "+81 90 1234"


# ── what is wrong with a line ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("山田,bad,", "not complete"),
        ("山田,a@,", "not complete"),
        (",,", "neither"),
        ("山田,a@mail.school.example,", "Kairan itself"),
        ("山田,a@example.jp,冬眠中", "not known"),
    ],
)
def test_a_wrong_line_says_why_and_the_others_go_in(zenko, line, word):
    made = bring(zenko, f"氏名,メールアドレス,状態,項目\r\n{line},x\r\n林,h@example.jp,配信中,\r\n")
    assert [one.outcome for one in made.lines] == ["wrong", "added"]
    assert word in notes(made.lines[0])[0]
    assert made.lines[0].number == 2
    assert Person.select().count() == 1


def test_a_wrong_encoding_is_seen(zenko):
    sheet = roster.read("氏名,メール\r\n山田,y@example.jp\r\n".encode("cp932"), encoding="utf-8")
    assert roster.plan(zenko, sheet, ("name", "address"), clock.now()).counts["wrong"] == 2


# ── the same people again ────────────────────────────────────────────────────────────────────────────────────────

FAMILY = (
    "保護者氏名,児童氏名,児童カナ,学年,組,メール,当番日\r\n鈴木 大輔,鈴木 海斗,スズキ カイト,{},d@example.jp,{}\r\n"
)


def test_a_new_class_and_item_are_a_change_and_the_old_item_stays(zenko):
    bring(zenko, FAMILY.format("3,2", "1日"))
    bring(zenko, "保護者氏名,児童氏名,メール,係\r\n鈴木 大輔,鈴木 海斗,d@example.jp,広報\r\n")
    made = bring(zenko, FAMILY.format("4,1", "2日"))
    assert made.counts == {"added": 0, "changed": 1, "already": 0, "wrong": 0}
    assert made.lines[0].notes[0].values == {"what": ("grade", "class", "items")}
    row = Membership.get()
    assert (row.child.grade, row.child.class_name) == ("4", "1")
    assert row.attributes == {"当番日": "2日", "係": "広報"}


def test_a_new_guardian_of_a_child_that_moved_up_finds_the_child(zenko):
    bring(zenko, FAMILY.format("3,2", ""))
    text = FAMILY.format("4,1", "").replace("鈴木 大輔", "鈴木 直子").replace("d@", "n@")
    made = bring(zenko, text + "鈴木 大輔,鈴木 海斗,スズキ カイト,4,1,d@example.jp,\r\n")
    assert [line.outcome for line in made.lines] == ["added", "changed"]
    assert Child.select().count() == 1


def test_a_file_makes_nobody_active_who_stopped(zenko):
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    Membership.update(state="stopped", stopped_by="reader").execute()
    made = bring(zenko, "氏名,メール,状態\r\n山田,y@example.jp,配信中\r\n")
    assert made.counts["already"] == 1
    bring(zenko, "氏名,メール,児童氏名,学年\r\n山田,y@example.jp,山田 桃,2\r\n山田,y@example.jp,山田 椿,3\r\n")
    assert {row.state for row in Membership.select()} == {"stopped"}


def test_somebody_who_left_joins_anew(zenko):
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    Membership.update(state="left", left_at=clock.now()).execute()
    made = bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    assert made.counts["added"] == 1
    row = Membership.get()
    assert (row.state, row.left_at) == ("active", None)


def test_the_same_line_twice_is_one(zenko):
    made = bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n山田,Y@Example.jp\r\n")
    assert [line.outcome for line in made.lines] == ["added", "already"]
    assert made.lines[1].notes[0].values == {"line": 2}


def test_another_name_at_one_address_keeps_the_first(zenko):
    bring(
        zenko,
        "氏名,メール,児童氏名,学年\r\n青山 健太,a@example.jp,青山 陽菜,1\r\n青山 美咲,a@example.jp,青山 陽菜,1\r\n",
    )
    assert people() == {("青山 健太", "a@example.jp")}


def test_a_family_without_address_is_found_by_name_and_child_and_may_get_one(zenko):
    text = "保護者氏名,児童氏名,学年,電話,メール\r\n和田 幸子,和田 慎,6,000-0000-0001,{}\r\n"
    bring(zenko, text.format(""))
    assert bring(zenko, text.format("")).counts["already"] == 1
    assert bring(zenko, text.format("w@example.jp")).counts["changed"] == 1
    assert people() == {("和田 幸子", "w@example.jp")}
    assert bring(zenko, text.format("")).counts["already"] == 1
    assert people() == {("和田 幸子", "w@example.jp")}


def test_two_children_of_one_name_in_two_families_stay_two(zenko):
    bring(zenko, "保護者氏名,児童氏名,メール\r\n佐藤 一,田中 葵,s@example.jp\r\n高木 二,田中 葵,t@example.jp\r\n")
    assert Child.select().count() == 2


def test_a_person_of_another_list_joins_this_one(zenko):
    other = lists.add(None, "1年1組", "1nen1kumi", now=clock.now())
    bring(zenko, FAMILY.format("1,1", ""))
    assert bring(other, FAMILY.format("1,1", "")).counts["added"] == 1
    assert (Person.select().count(), Child.select().count(), Membership.select().count()) == (1, 1, 2)


# ── households ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_column_of_households_wins(zenko):
    bring(
        zenko,
        "保護者氏名,児童氏名,学年,メール,世帯\r\n父,林 葵,1,f@example.jp,A\r\n母,林 葵,1,m@example.jp,B\r\n"
        "祖母,,,g@example.jp,B\r\n",
    )
    key = {one.name: one.household for one in Person.select()}
    assert key["母"] == key["祖母"] != key["父"]
    assert Child.get().household == key["父"]


def test_numbers_of_two_files_are_not_the_same_household(zenko):
    bring(zenko, "氏名,メール,世帯\r\n山田,y@example.jp,1\r\n")
    bring(zenko, "氏名,メール,世帯\r\n林,h@example.jp,1\r\n")
    assert len({one.household for one in Person.select()}) == 2


def test_two_known_households_become_one_when_a_line_ties_them(zenko):
    bring(zenko, "氏名,メール\r\n鈴木 直子,n@example.jp\r\n")
    bring(zenko, FAMILY.format("3,2", ""))
    child = Child.get()
    bring(zenko, FAMILY.format("3,2", "").replace("鈴木 大輔", "鈴木 直子").replace("d@", "n@"))
    assert {one.household for one in Person.select()} == {Child.get_by_id(child.id).household}


# ── out and in again ─────────────────────────────────────────────────────────────────────────────────────────────


def cells(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


@pytest.mark.parametrize("language", ["ja", "en"])
def test_an_export_comes_back_unchanged(zenko, language):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    bring(
        zenko,
        "氏名,メール,電話,項目\r\n=cmd|' /C calc'!A0,e@example.jp,+81-90-0000,-1\r\n"
        '\'-x,f@example.jp,@x,"=1\r\n+2"\r\n',
    )
    out = roster.export(zenko, language)
    assert out.startswith(b"\xef\xbb\xbf")
    made = bring(zenko, out)
    assert made.counts == {"added": 0, "changed": 0, "already": 42, "wrong": 0}
    assert roster.export(zenko, language) == out


def test_an_export_makes_the_same_list_elsewhere(zenko):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    out = roster.export(zenko)
    for table in (Membership, Child, Person):
        table.delete().execute()
    bring(zenko, out)
    assert roster.export(zenko) == out
    assert lists.counts(zenko)["bounced"] == 1


def test_no_cell_of_an_export_is_a_formula(zenko):
    bring(zenko, '氏名,メール,項目\r\n=1+1,e@example.jp,"\t=2"\r\n西田,-chihiro-@example.jp,@SUM\r\n')
    for row in cells(roster.export(zenko)):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.text())
def test_the_guard_comes_off_again(text):
    trimmed = clean(text)
    assert clean(guarded(clean(trimmed))) == clean(trimmed)


def test_who_left_is_not_in_the_export(zenko):
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    Membership.update(state="left").execute()
    assert len(cells(roster.export(zenko))) == 1


# ── in steps, and back ───────────────────────────────────────────────────────────────────────────────────────────


def start(zenko, by, text="氏名,メール\r\n山田,y@example.jp\r\n林,bad\r\n"):
    return roster.begin(zenko, by, content=text.encode(), filename="名簿.csv", now=clock.now())


def carry_out(job, by):
    _, made = roster.preview(job, clock.now())
    return roster.run(job, by, fingerprint=made.fingerprint, now=clock.now())


def test_nothing_is_written_before_it_is_confirmed(zenko, by):
    job = start(zenko, by)
    roster.preview(job, clock.now())
    assert Person.select().count() == 0
    assert carry_out(job, by)["added"] == 1
    assert models.Job.get_by_id(job.id).state == "done"
    assert Log.select().where(Log.action == "roster.imported").get().detail["wrong"] == 1


def test_the_file_is_gone_afterwards(zenko, by, config):
    carry_out(start(zenko, by), by)
    assert list((config.data / "imports").iterdir()) == []


def test_a_second_press_does_nothing(zenko, by):
    job = start(zenko, by)
    _, made = roster.preview(job, clock.now())
    roster.run(job, by, fingerprint=made.fingerprint, now=clock.now())
    with pytest.raises(roster.Refused):
        roster.run(job, by, fingerprint=made.fingerprint, now=clock.now())
    assert Person.select().count() == 1


def test_a_list_that_changed_since_the_preview_asks_again(zenko, by):
    job = start(zenko, by)
    _, made = roster.preview(job, clock.now())
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    with pytest.raises(roster.Refused, match="changed"):
        roster.run(job, by, fingerprint=made.fingerprint, now=clock.now())


def test_undo_takes_everything_back(zenko, by):
    bring(zenko, FAMILY.format("3,2", "1日"))
    before = roster.export(zenko)
    job = start(zenko, by, FAMILY.format("4,1", "2日") + "林 一,林 葵,ハヤシ アオイ,1,1,h@example.jp,\r\n")
    carry_out(job, by)
    assert roster.export(zenko) != before
    job = models.Job.get_by_id(job.id)
    back, kept = roster.undo(job, by, clock.now())
    assert (back, kept) == (5, 0)
    assert roster.export(zenko) == before
    assert (Person.select().count(), Child.select().count()) == (1, 1)
    with pytest.raises(roster.Refused):
        roster.undo(job, by, clock.now())


def test_undo_leaves_what_something_happened_to(zenko, by):
    job = start(zenko, by, "氏名,メール\r\n山田,y@example.jp\r\n林,h@example.jp\r\n森,m@example.jp\r\n")
    carry_out(job, by)
    yamada, hayashi = (Person.get(Person.name == name) for name in ("山田", "林"))
    Membership.update(state="stopped", stopped_by="reader").where(Membership.person == yamada).execute()
    delivery = Delivery.create(notice=Notice.create(), person=hayashi, token="t")
    Cover.create(delivery=delivery, membership=hayashi.memberships.get())
    back, kept = roster.undo(models.Job.get_by_id(job.id), by, clock.now())
    assert (back, kept) == (2, 4)
    assert {one.name for one in Person.select()} == {"山田", "林"}


def test_undo_puts_a_rejoined_member_back_to_left(zenko, by):
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    Membership.update(state="left", left_at=clock.now()).execute()
    left_at = Membership.get().left_at
    job = start(zenko, by)
    carry_out(job, by)
    roster.undo(models.Job.get_by_id(job.id), by, clock.now())
    row = Membership.get()
    assert (row.state, row.left_at) == ("left", left_at)


def test_files_that_nobody_confirmed_are_deleted(zenko, by, config):
    start(zenko, by)
    clock.set_offset(25 * 3600)
    roster.forget_old(clock.now())
    assert models.Job.select().count() == 0
    assert list((config.data / "imports").iterdir()) == []


def test_another_encoding_and_other_columns_can_be_chosen(zenko, by):
    job = roster.begin(zenko, by, content="氏名,メール\r\n山田,y@example.jp\r\n".encode("cp932"), now=clock.now())
    roster.choose(job, encoding="utf-8")
    assert roster.preview(job, clock.now())[1].counts["wrong"] > 0
    roster.choose(job, encoding="cp932")
    roster.choose(job, mapping=("attribute", "address", "nonsense"))
    carry_out(job, by)
    assert (Person.get().name, Membership.get().attributes) == ("", {"氏名": "山田"})


# ── speed ────────────────────────────────────────────────────────────────────────────────────────────────────────


def roll(count, who, room="1"):
    lines = [f"山田 {who}{n},山田 {who}{n},ヤマダ,{n % 6 + 1},{room},{who}{n}@example.jp" for n in range(count)]
    return "保護者氏名,児童氏名,児童カナ,学年,組,メール\r\n" + "\r\n".join(lines)


def queries(work):
    seen = []
    models.db.connection().set_trace_callback(seen.append)
    try:
        work()
    finally:
        models.db.connection().set_trace_callback(None)
    return len(seen)


def test_the_number_of_queries_does_not_grow_with_the_lines(zenko):
    few, many = (lists.add(None, name, name, now=clock.now()) for name in ("few", "many"))
    first = queries(lambda: bring(few, roll(10, "few")))
    assert queries(lambda: bring(many, roll(500, "many"))) == first
    changed = queries(lambda: bring(few, roll(10, "few", "2")))
    assert queries(lambda: bring(many, roll(500, "many", "3"))) == changed


def test_one_plan_reads_and_never_writes(zenko):
    sheet = sheet_of(roll(5, "x"))
    before = models.db.connection().total_changes
    plan_rows(zenko, read_rows(sheet, roster.guess_mapping(sheet)), clock.now())
    assert models.db.connection().total_changes == before


def test_large_imports_report_their_progress(zenko, monkeypatch):
    monkeypatch.setattr(roster_apply, "CHUNK", 4)
    sheet, told = sheet_of(roll(10, "x")), []
    roster_apply.apply(roster.plan(zenko, sheet, roster.guess_mapping(sheet), clock.now()), told.append)
    assert told == [4, 8, 10]
    assert lists.counts(zenko)["members"] == 10
