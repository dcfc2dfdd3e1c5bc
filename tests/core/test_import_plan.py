"""What a roster would do and does: the demo school, wrong lines, the same people again, households (T-36)."""

import pytest

import clock
from core import settings
from core.imports import jobs
from core.imports import plan as roster_plan
from core.imports.read import ReadOptions
from core.members import lists
from models import Child, Membership, Person
from tests.core.rosters import DEMO, FAMILY, bring


@pytest.fixture
def zenko(config):
    settings.load_settings()  # makes the Organization row, which is not what the tests of queries count
    return lists.add_list(None, "全校", "zenko", whole=True, now=clock.now())


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
    assert lists.count_members(zenko) == {"members": 39, "active": 36, "stopped": 1, "bounced": 1, "pending": 1}
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
    sheet = jobs.read_sheet("氏名,メール\r\n山田,y@example.jp\r\n".encode("cp932"), options=ReadOptions("utf-8"))
    assert roster_plan.plan_sheet(zenko, sheet, ("name", "address"), clock.now()).counts["wrong"] == 2


# ── the same people again ────────────────────────────────────────────────────────────────────────────────────────


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
    other = lists.add_list(None, "1年1組", "1nen1kumi", now=clock.now())
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
