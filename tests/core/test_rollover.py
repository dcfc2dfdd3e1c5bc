"""The change of the school year in two dates (field.md 5.1): shown before, backed up, taken back, left and resumed."""

import sqlite3
import tarfile
from contextlib import closing
from datetime import timedelta
from stat import S_IMODE

import pytest

import clock
import config as ground
from core.errors import MissingFields
from core.imports import register
from core.members import groups, members, segment_rules
from core.notices import approval, audience, drafts, start
from core.notices.content_checks import find_missing
from core.reports import board
from core.rollover import new_roster, year_end
from models import (
    AuditLog,
    Child,
    Delivery,
    DeliveryMembership,
    Letter,
    MailingList,
    Membership,
    Notice,
    Person,
    Rollover,
)
from tests import cast_notices

ROSTER = """児童氏名,ふりがな,学年,組,担任
青山 陽菜,あおやま はるな,2,1,花子
石川 蓮,いしかわ れん,2,1,
和田 慎,わだ しん,2,1,
鈴木 美月,すずき みつき,2,1,
新井 空,あらい そら,1,1,
"""


@pytest.fixture
def admin(school):
    return school.users["守"]


@pytest.fixture
def ended(school, admin) -> Rollover:
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    return year_end.current_rollover()


def names_in(mailing_list: MailingList) -> set[tuple[str, str, str]]:
    """Return (person, child, state) of the places of a list that have not ended."""
    rows = Membership.select().where(Membership.list == mailing_list, Membership.is_member)
    return {(row.person.name, row.child.name if row.child else "", row.state) for row in rows}


def everything() -> list[tuple]:
    """Return what an undo must bring back."""
    places = Membership.select(Membership.id, Membership.state, Membership.left_at, Membership.class_teacher).tuples()
    children = Child.select(Child.id, Child.name, Child.grade, Child.class_name).tuples()
    lists = MailingList.select(MailingList.id, MailingList.awaiting_roster_since, MailingList.join_code).tuples()
    return [sorted(one, key=str) for one in (places, children, lists)] + [[Person.select().count()]]


def bring(found: Rollover, text: str = ROSTER) -> new_roster.RosterPreview:
    new_roster.upload_roster(found, content=text.encode(), filename="r.csv")
    return new_roster.preview_roster(found)


# the year's end


def test_the_plan_guesses_the_highest_grade_and_the_classes_and_changes_nothing(school, admin):
    before = everything()
    found = year_end.begin_rollover(admin, clock.now())
    shown = year_end.preview_year_end(found)
    assert {child.name for child in shown.graduates} == {"加藤 悠斗", "木村 凛", "鈴木 海斗"}
    assert [(one.list.name, one.grade, one.class_name) for one in shown.lists] == [
        ("1年1組", "1", "1"),
        ("2年1組", "2", "1"),
    ]
    assert [(one.name, people) for one, people in shown.others] == [("全校", 3)]
    assert (
        shown.people_without_list == 2 + 2
    )  # 加藤 and 木村 with the graduates; two of the noise have no child and no other list
    assert everything() == before
    assert year_end.begin_rollover(admin, clock.now()) == found  # an idle one is taken up again, not doubled


def test_the_lists_get_new_codes_so_that_old_hand_outs_lead_nowhere(school, admin):
    before = {row.id: row.join_code for row in MailingList.select()}
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    changed = {row.id for row in MailingList.select() if row.join_code != before[row.id]}
    assert changed == {school.lists["1-1"].id, school.lists["2-1"].id}
    logged = AuditLog.select().where(AuditLog.action == "list.code_rotated")
    assert {row.number for row in logged} == changed


@pytest.mark.proves("E-12")
def test_the_years_end_empties_the_classes_and_takes_graduates_out_everywhere(school, admin, ended):
    assert names_in(school.lists["1-1"]) == names_in(school.lists["2-1"]) == set()
    left = {child for _, child, _ in names_in(school.lists["whole"])}
    assert left == {"青山 陽菜", "石川 蓮", "和田 慎", "鈴木 美月"}
    assert {one.name for one in year_end.lists_awaiting_roster()} == {"1年1組", "2年1組"}
    with pytest.raises(year_end.StepAlreadyDone):  # the second tap of two
        year_end.end_year(
            Rollover.get_by_id(ended.id), admin, clock.now(), fingerprint=year_end.preview_year_end(ended).fingerprint
        )


def test_a_backup_is_made_before(school, ended):
    """Readable by nobody else, and one that `flask restore` takes."""
    made = list((ground.current_config().data / "backups").glob("before-rollover-*.tar.gz"))
    assert len(made) == 1
    assert S_IMODE(made[0].stat().st_mode) == 0o600
    with tarfile.open(made[0]) as held:
        copy = ground.current_config().data / "copy.db"
        copy.write_bytes(held.extractfile("kairan.db").read())
    with closing(sqlite3.connect(copy)) as tables:
        assert tables.execute("SELECT count(*) FROM membership WHERE state = 'active'").fetchone()[0] > 10


def test_what_changed_since_the_page_was_shown_is_asked_again(school, admin):
    found = year_end.begin_rollover(admin, clock.now())
    mark = year_end.preview_year_end(found).fingerprint
    Membership.create(person=school.people["加藤 誠"], list=school.lists["1-1"])
    with pytest.raises(year_end.PreviewOutdated):
        year_end.end_year(found, admin, clock.now(), fingerprint=mark)
    assert year_end.current_rollover().state == "planned"


def test_a_class_takes_no_notice_until_its_roster_is_in(school, admin, ended):
    """The reason is said on the pages, to booked notices, and to who posts by mail."""
    made = drafts.create_draft(admin, now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id, school.lists["whole"].id], now=clock.now())
    drafts.save_draft(made, subject="x", text="x", now=clock.now())
    found = audience.resolve_audience(made)
    assert "名簿" in _ja(find_missing(made, found)["targets"])
    with pytest.raises(MissingFields):
        approval.confirm_send(made, by=admin, fingerprint=found.fingerprint, typed=str(found.letters), now=clock.now())


def test_a_group_of_a_waiting_class_waits_too(school, admin):
    """Also what was booked for it is shown before the year ends."""
    first = school.lists["1-1"]
    wide = groups.add_group(
        first,
        "みんな",
        None,
        clock.now(),
        segment_rules.parse_blocks([("and", segment_rules.SegmentRule("grade", "is", "1"))]),
    )
    made = drafts.create_draft(admin, now=clock.now())
    drafts.set_recipients(made, groups=[wide.id], now=clock.now())
    drafts.save_draft(made, subject="x", text="x", now=clock.now())
    mark = audience.resolve_audience(made).fingerprint
    approval.confirm_send(made, by=admin, fingerprint=mark, at=clock.now() + timedelta(hours=1), now=clock.now())
    found = year_end.begin_rollover(admin, clock.now())
    shown = year_end.preview_year_end(found)
    assert [one.id for one in shown.pending_notices] == [made.id]
    year_end.end_year(found, admin, clock.now(), fingerprint=shown.fingerprint)
    Membership.create(person=school.people["加藤 誠"], list=first, child=school.children["石川 蓮"])
    assert "1年1組" in _ja(find_missing(made, audience.resolve_audience(made))["targets"])


def _ja(message: str) -> str:
    import i18n

    return i18n.say("ja", message)


def test_what_was_booked_for_a_class_is_held(school, admin):
    made = drafts.create_draft(admin, now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="x", text="x", now=clock.now())
    at = clock.now() + timedelta(hours=1)
    approval.confirm_send(
        made, by=admin, fingerprint=audience.resolve_audience(made).fingerprint, at=at, now=clock.now()
    )
    found = year_end.begin_rollover(admin, clock.now())
    shown = year_end.preview_year_end(found)
    assert [one.id for one in shown.pending_notices] == [made.id]
    year_end.end_year(found, admin, clock.now(), fingerprint=shown.fingerprint)
    start.start_due_notices(at + timedelta(seconds=1))
    kept = Notice.get_by_id(made.id)
    assert (kept.state, kept.hold_reason) == ("held", "changed")
    assert Letter.select().where(Letter.notice == made, Letter.kind == "notice").count() == 0


def test_the_years_end_is_taken_back_until_the_first_notice(school, admin):
    Membership.update(class_teacher=school.users["花子"]).where(Membership.list == school.lists["1-1"]).execute()
    before = everything()
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    assert everything() != before
    ended_now = Membership.left_at == year_end.current_rollover().ended_at
    assert Membership.select().where(ended_now).count() > 10
    assert not Membership.select().where(ended_now, Membership.class_teacher.is_null(False)).exists()
    year_end.undo_step(year_end.current_rollover(), admin)
    assert everything() == before
    again = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(again, admin, clock.now(), fingerprint=year_end.preview_year_end(again).fingerprint)
    cast_notices.send([school.lists["whole"]], at=clock.now() + timedelta(seconds=1))
    with pytest.raises(year_end.UndoTooLate):
        year_end.undo_step(year_end.current_rollover(), admin)


def test_undo_keeps_what_was_edited_since(school, admin, ended):
    """Names of members and children, and a membership of which something changed, stay; the rest comes back."""
    kenta = school.people["青山 健太"]
    member = Membership.get(Membership.person == kenta, Membership.list == school.lists["1-1"])
    members.edit_person(kenta, admin, name="青山 健太郎", kana="", phone="090-1234-5678", language="en")
    Child.update(class_name="9").where(Child.id == member.child_id).execute()
    register.add_member(
        school.lists["2-1"], by=admin, now=clock.now(), name="和田 幸子", child_name="和田 慎", relation="祖母"
    )
    sachiko = Membership.get(Membership.list == school.lists["2-1"], Membership.is_member)
    undone, kept = year_end.undo_step(ended, admin)
    row = Membership.get_by_id(member.id)
    assert (row.state, row.left_at, row.person.name, row.person.language) == ("active", None, "青山 健太郎", "en")
    assert row.child.class_name == "9"
    assert (Membership.get_by_id(sachiko.id).relation, kept) == ("祖母", 0)
    assert undone > 10
    logged = AuditLog.get(AuditLog.action == "rollover.undone")
    assert logged.detail == {"back": undone, "kept": kept}


@pytest.mark.parametrize("state", ["left", "active", "stopped"])
def test_undo_never_brings_back_who_joined_again_and_left_or_stopped(school, admin, ended, state):
    """field.md 3.1: what a reader decided after the year's end holds, also if it looks like the year's end."""
    row = Membership.get(Membership.person == school.people["石川 直樹"], Membership.list == school.lists["1-1"])
    joined = {"name": "石川 直樹", "address": row.person.address, "child_name": "石川 蓮", "relation": row.relation}
    register.add_member(school.lists["1-1"], by=admin, now=clock.now(), **joined)
    later = clock.now() + timedelta(days=1)
    change = {"active": {}, "left": {"left_at": later}, "stopped": {"stopped_by": "reader", "stopped_at": later}}
    Membership.update(state=state, **change[state]).where(Membership.id == row.id).execute()
    since = Membership.get_by_id(row.id)
    _, kept = year_end.undo_step(ended, admin)
    now = Membership.get_by_id(row.id)
    assert (kept, now.state, now.left_at, now.joined_at) == (1, since.state, since.left_at, since.joined_at)
    assert not Membership.select().where(Membership.left_at == ended.ended_at).exists()


def test_undo_of_a_new_roster_keeps_what_was_edited_since(school, admin, ended):
    """The membership that was edited stays in the new class; the lists and all others go back."""
    bring(ended)
    carry_out(admin)
    row = Membership.get(Membership.person == school.people["石川 直樹"], Membership.list == school.lists["2-1"])
    members.edit_membership(
        row, admin, relation="叔父", items={}, child={"name": "石川 蓮", "grade": "2", "class_name": "1"}
    )
    _, kept = year_end.undo_step(year_end.current_rollover(), admin)
    assert (
        AuditLog.get(AuditLog.action == "rollover.roster_undone").detail["kept"] == kept == 2
    )  # the membership, and the child, whose reading the edit emptied
    assert names_in(school.lists["2-1"]) == {("石川 直樹", "石川 蓮", "active")}
    assert {one.name for one in year_end.lists_awaiting_roster()} == {"1年1組", "2年1組"}


def test_a_list_that_took_notices_again_does_not_wait_after_an_undo(school, admin, ended):
    year_end.reopen_list(school.lists["2-1"], admin)
    bring(ended)
    carry_out(admin)
    year_end.undo_step(year_end.current_rollover(), admin)
    assert {one.name for one in year_end.lists_awaiting_roster()} == {"1年1組"}


def test_a_second_undo_is_refused_and_changes_nothing(school, admin, ended):
    bring(ended)
    carry_out(admin)
    stale = year_end.current_rollover()
    year_end.undo_step(year_end.current_rollover(), admin)
    before = everything()
    with pytest.raises(year_end.StepAlreadyDone):  # the second tap must not take the year's end back too
        year_end.undo_step(stale, admin)
    assert (everything(), year_end.current_rollover().state) == (before, "ended")
    stale = year_end.current_rollover()
    year_end.undo_step(year_end.current_rollover(), admin)
    before = everything()
    for again in (stale, stale, year_end.current_rollover()):
        with pytest.raises(year_end.StepAlreadyDone):
            year_end.undo_step(again, admin)
    assert (everything(), year_end.current_rollover().state) == (before, "undone")
    assert AuditLog.select().where(AuditLog.action == "rollover.undone").count() == 1


def test_old_history_is_readable_under_the_old_classes(school, admin):
    """T-41: covers are frozen."""
    sent = cast_notices.send([school.lists["1-1"]], by=admin)
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    bring(year_end.current_rollover())
    carry_out(admin)
    assert Child.get(Child.name == "青山 陽菜").grade == "2"
    covers = DeliveryMembership.select().join(Delivery).where(Delivery.notice == sent.notice)
    assert {(one.grade, one.class_name) for one in covers if one.child_name} == {("1", "1")}
    assert board.build_board(sent.notice).rooms[0].short == "1-1"


# the new roster


def carry_out(admin) -> new_roster.RosterPreview:
    found = year_end.current_rollover()
    mark = new_roster.preview_roster(found).fingerprint
    return new_roster.apply_roster(found, admin, clock.now(), fingerprint=mark)


def test_guardians_follow_their_children_into_the_new_classes(school, admin, ended):
    shown = bring(ended)
    assert [len(shown.lines_of_kind(kind)) for kind in ("sure", "doubtful", "new")] == [4, 0, 1]
    assert not shown.missing and not shown.classes_without_list
    carry_out(admin)
    assert names_in(school.lists["2-1"]) == {
        ("青山 健太", "青山 陽菜", "active"),
        ("青山 美咲", "青山 陽菜", "active"),
        ("石川 直樹", "石川 蓮", "active"),
        ("和田 幸子", "和田 慎", "active"),
        ("鈴木 大輔", "鈴木 美月", "active"),
    }
    assert names_in(school.lists["1-1"]) == {("新井 空さんの保護者", "新井 空", "active")}
    assert ("新井 空さんの保護者", "新井 空", "active") in names_in(school.lists["whole"])
    assert year_end.lists_awaiting_roster() == []
    teachers = {row.class_teacher.name for row in school.lists["2-1"].memberships if row.class_teacher}
    assert teachers == set()  # 花子 has no role for 2年1組: only who has one can be class teacher
    assert AuditLog.select().where(AuditLog.action == "rollover.roster_in").count() == 1


def test_a_guardian_who_left_before_the_years_end_does_not_follow(school, admin):
    members.remove_members(school.lists["1-1"], [school.people["石川 直樹"].id], admin, clock.now())
    members.remove_members(school.lists["whole"], [school.people["石川 直樹"].id], admin, clock.now())
    clock.set_offset(60)
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    other = Membership.create(
        person=school.people["加藤 誠"], list=school.lists["whole"], child=school.children["石川 蓮"]
    )
    bring(year_end.current_rollover())
    carry_out(admin)
    assert {name for name, child, _ in names_in(school.lists["2-1"]) if child == "石川 蓮"} == {other.person.name}


def test_who_had_stopped_the_mail_stays_stopped_in_the_new_class(school, admin):
    """field.md 3.1: nobody is mailed against a refusal."""
    Membership.update(state="stopped", stopped_by="reader").where(
        Membership.person == school.people["石川 直樹"], Membership.list == school.lists["1-1"]
    ).execute()
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    bring(year_end.current_rollover())
    carry_out(admin)
    row = Membership.get(Membership.person == school.people["石川 直樹"], Membership.list == school.lists["2-1"])
    assert (row.state, row.stopped_by) == ("stopped", "reader")


DOUBTFUL = """氏名,フリガナ,学年,組
青山 春菜,アオヤマ ハルナ,2,1
佐藤 蓮,サトウ レン,2,1
和田 慎,ワダ マコト,2,1
鈴木 美月,スズキ ミツキ,3,1
"""


def test_doubtful_lines_are_decided_by_hand_and_kept(school, admin, ended):
    """Left idle and taken up again; undecided lines let nothing happen."""
    Child.update(kana="アオヤマ ハルナ").where(Child.name == "青山 陽菜").execute()
    Child.update(kana="ワダ シン").where(Child.name == "和田 慎").execute()
    shown = bring(ended, DOUBTFUL)
    assert [(line.row.child_name, line.doubt) for line in shown.lines_of_kind("doubtful")] == [
        ("青山 春菜", "spelling"),
        ("佐藤 蓮", "family"),
        ("和田 慎", "reading"),
        ("鈴木 美月", "grade"),
    ]
    with pytest.raises(new_roster.UndecidedLines):
        carry_out(admin)
    ids = {child.name: str(child.id) for child in Child.select()}
    numbers = [str(line.number) for line in shown.lines]
    first, second, third, fourth = numbers
    foreign = ids["加藤 悠斗"]  # a graduate is none of the candidates: not taken
    new_roster.save_decisions(ended, {first: ids["青山 陽菜"], second: "new", third: foreign, fourth: "skip"}, [])
    again = new_roster.preview_roster(year_end.current_rollover())
    assert [line.decision for line in again.lines] == [ids["青山 陽菜"], "new", "", "skip"]
    new_roster.save_decisions(
        ended, {first: ids["青山 陽菜"], second: "new", third: ids["和田 慎"], fourth: "skip"}, [int(ids["石川 蓮"])]
    )
    carry_out(admin)
    assert {child for _, child, _ in names_in(school.lists["2-1"])} == {"青山 春菜", "佐藤 蓮", "和田 慎"}
    assert Child.get_by_id(int(ids["青山 陽菜"])).name == "青山 春菜"
    gone = {child for _, child, _ in names_in(school.lists["whole"])}
    assert "石川 蓮" not in gone and "鈴木 美月" in gone


def test_twins_and_children_of_one_name_are_not_mixed_up(school, admin, ended):
    """Two of one name in one grade: doubtful; in two grades the grade tells."""
    other = Child.create(name="石川 蓮", kana="イシカワ レン", grade="1", class_name="1", household="z")
    Child.update(kana="イシカワ レン").where(Child.name == "石川 蓮").execute()
    Membership.create(person=school.people["加藤 誠"], list=school.lists["whole"], child=other)
    line = next(one for one in bring(ended).lines if one.row.child_name == "石川 蓮")
    assert (line.kind, line.doubt, len(line.candidates)) == ("doubtful", "twice", 2)
    Child.update(grade="4").where(Child.id == other.id).execute()
    line = next(one for one in new_roster.preview_roster(ended).lines if one.row.child_name == "石川 蓮")
    assert (line.kind, line.child.id == other.id) == ("sure", False)


def test_two_lines_for_one_child_are_doubtful(school, ended):
    shown = bring(ended, ROSTER + "石川 蓮,いしかわ れん,2,1,\n")
    assert [line.doubt for line in shown.lines_of_kind("doubtful")] == ["shared", "shared"]


def test_the_new_roster_is_taken_back_and_brought_in_again(school, admin, ended):
    before = everything()
    bring(ended)
    carry_out(admin)
    year_end.undo_step(year_end.current_rollover(), admin)
    assert everything() == before
    assert {one.name for one in year_end.lists_awaiting_roster()} == {"1年1組", "2年1組"}
    bring(year_end.current_rollover())
    carry_out(admin)
    cast_notices.send([school.lists["whole"]], at=clock.now() + timedelta(seconds=1))
    with pytest.raises(year_end.UndoTooLate):
        year_end.undo_step(year_end.current_rollover(), admin)


def test_both_steps_are_taken_back_one_after_the_other(school, admin):
    before = everything()
    found = year_end.begin_rollover(admin, clock.now())
    year_end.end_year(found, admin, clock.now(), fingerprint=year_end.preview_year_end(found).fingerprint)
    bring(year_end.current_rollover())
    carry_out(admin)
    year_end.undo_step(year_end.current_rollover(), admin)
    year_end.undo_step(year_end.current_rollover(), admin)
    assert everything() == before


def test_a_roster_without_children_says_so(school, ended):
    with pytest.raises(new_roster.NoChildColumns):
        bring(ended, "氏名,メールアドレス\n山田,a@example.jp\n")


def test_a_class_without_a_list_is_named_and_a_list_added_since_is_known(school, admin, ended):
    text = ROSTER + "森 海,もり うみ,1,2,\n"
    assert bring(ended, text).classes_without_list == (("1", "2"),)
    MailingList.create(name="1年2組", address="1nen2kumi")
    assert new_roster.preview_roster(ended).classes_without_list == ()


def test_a_list_may_be_opened_without_a_roster(school, admin, ended):
    assert year_end.reopen_list(MailingList.get_by_id(school.lists["1-1"].id), admin)
    assert not year_end.reopen_list(MailingList.get_by_id(school.lists["1-1"].id), admin)
    assert {one.name for one in year_end.lists_awaiting_roster()} == {"2年1組"}


def test_an_unknown_column_of_the_new_roster_is_not_read_unless_it_is_named(ended):
    text = "児童氏名,学年,組,備考,係\n新井 空,1,1,卵アレルギー,広報\n合計 1名,,,,\n,,,転出,\n"
    new_roster.upload_roster(ended, content=text.encode(), filename="r.csv")
    roster = Rollover.get().roster
    assert roster["untaken"] == ["備考", "係"]
    assert "卵アレルギー" not in str(roster)
    assert [line for line, _, _ in roster["remarks"]] == [3, 4, 4]
    new_roster.upload_roster(ended, content=text.encode(), filename="r.csv", take=["係"])
    roster = Rollover.get().roster
    assert (roster["untaken"], roster["rows"][0]["attributes"]) == (["備考"], {"係": "広報"})
