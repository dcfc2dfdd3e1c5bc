"""The class teacher: set by hand, by class and by roster; letters in that name, told each for the own members."""

from datetime import timedelta
from email import message_from_bytes, policy

import pytest

import clock
from core.accounts import class_teacher
from core.errors import AudienceChanged
from core.imports import export as roster_export
from core.imports import jobs, register
from core.members import members, move_copy
from core.notices import approval, audience, rendering, sender_names, start
from core.permissions import permissions_of
from core.settings import load_settings
from core.signup import signup
from core.signup.quotas import SignupRequest
from models import AuditLog, Delivery, Letter, Membership, Notice, Person, User
from tests.core.test_sender_names import begin, confirm, draft


@pytest.fixture
def teachers(school):
    """見る子 teaches 1年1組, 送る子 cares for the family Aoyama alone."""
    first = school.lists["1-1"]
    class_teacher.assign_classes(first, {("1", "1"): school.users["見る子"].id}, school.users["花子"])
    mine = Membership.get(Membership.list == first, Membership.person == school.people["青山 健太"])
    class_teacher.assign_membership(mine, school.users["送る子"].id, school.users["花子"])
    return school


def names_by_reader(notice: Notice) -> dict[str, set[str]]:
    """Return in whose names each reader got letters, by the bytes of the mails."""
    desk, found = rendering.RenderCache(load_settings()), {}
    for letter in Letter.select().where(Letter.notice == notice):
        sender = message_from_bytes(desk.render(letter, False, clock.now()), policy=policy.default)["From"].addresses[0]
        assert sender.domain == "mail.school.example"  # decision 4
        found.setdefault(letter.delivery.name, set()).add(sender.display_name)
    return found


def wish(notice: Notice, by: User, **what: object) -> None:
    sender_names.set_sender_name(notice, permissions_of(by), clock.now(), from_class_teacher=True, **what)


@pytest.mark.proves("D-03", "D-15", "D-16")
def test_letters_go_in_the_name_of_the_class_teacher(teachers):
    """D-03, D-15, D-16: a member without a class teacher keeps the normal sender."""
    first, hanako = teachers.lists["1-1"], teachers.users["花子"]
    nobody = Membership.get(Membership.list == first, Membership.person == teachers.people["石川 直樹"])
    class_teacher.assign_membership(nobody, 0, hanako)
    notice = draft(teachers)
    wish(notice, hanako)
    begin(notice, hanako)
    assert names_by_reader(notice) == {
        "青山 健太": {"かえで原小学校（送る子）"},
        "青山 美咲": {"かえで原小学校（見る子）"},
        "石川 直樹": {"かえで原小学校（花子）"},
        "鈴木 大輔": {"かえで原小学校（見る子）"},
    }


def test_each_is_told_of_the_own_members_alone(teachers):
    """D-18, D-20."""
    notice, hanako = draft(teachers), teachers.users["花子"]
    wish(notice, hanako)
    begin(notice, hanako)
    told = {
        one.name: sender_names.response_recipient(one).name
        for one in Delivery.select().where(Delivery.notice == notice)
    }
    assert told["青山 健太"] == "送る子"
    assert told["青山 美咲"] == "見る子"


def test_brothers_and_sisters_of_two_teachers_get_a_letter_each(teachers):
    """D-15 and one letter for each child: to the whole school too, through the places in the classes."""
    second = teachers.lists["2-1"]
    class_teacher.assign_classes(second, {("2", "1"): teachers.users["太郎"].id}, None)
    notice, admin = draft(teachers, "守", "whole"), teachers.users["守"]
    wish(notice, admin)
    found = audience.resolve_audience(notice)
    approval.confirm_send(notice, by=admin, fingerprint=found.fingerprint, typed=str(found.letters), now=clock.now())
    start.start_due_notices(clock.now() + timedelta(minutes=5))
    assert names_by_reader(notice)["鈴木 大輔"] == {"かえで原小学校（見る子）", "かえで原小学校（太郎）"}
    rows = Delivery.select().where(Delivery.notice == notice, Delivery.name == "鈴木 大輔")
    assert {(one.child_name, one.sender_name) for one in rows} == {("鈴木 海斗", "太郎"), ("鈴木 美月", "見る子")}


def test_below_manager_no_letters_in_the_names_of_others(teachers):
    """D-08, D-21."""
    notice, sender = draft(teachers, "送る子"), teachers.users["送る子"]
    with pytest.raises(sender_names.SenderNameForbidden):
        wish(notice, sender)
    shared = draft(teachers)
    wish(shared, teachers.users["花子"])
    with pytest.raises(sender_names.SenderNameForbidden):
        confirm(shared, sender)


def test_a_closed_account_is_class_teacher_no_more(teachers):
    User.update(disabled_at=clock.now()).where(User.name == "見る子").execute()
    notice, hanako = draft(teachers), teachers.users["花子"]
    wish(notice, hanako)
    begin(notice, hanako)
    assert names_by_reader(notice)["青山 美咲"] == {"かえで原小学校（花子）"}


@pytest.mark.parametrize("state", ["left", "stopped"])
def test_the_teacher_of_a_membership_that_is_not_active_signs_nothing(teachers, state):
    notice, kenta = draft(teachers), teachers.people["青山 健太"]
    wish(notice, teachers.users["花子"])
    assert kenta.id in {person for person, _ in sender_names.teachers_by_reader(notice)}
    Membership.update(state=state).where(Membership.person == kenta, Membership.list == teachers.lists["1-1"]).execute()
    assert kenta.id not in {person for person, _ in sender_names.teachers_by_reader(notice)}


def test_a_change_of_teacher_after_the_check_page_asks_again(teachers):
    notice, hanako = draft(teachers), teachers.users["花子"]
    wish(notice, hanako)
    seen = audience.resolve_audience(notice).fingerprint
    class_teacher.assign_classes(teachers.lists["1-1"], {("1", "1"): hanako.id}, hanako)
    with pytest.raises(AudienceChanged):
        approval.confirm_send(notice, by=hanako, fingerprint=seen, now=clock.now())


def test_only_who_has_a_role_for_the_list_can_be_class_teacher(school):
    """T-33."""
    first, hanako = school.lists["1-1"], school.users["花子"]
    assert "太郎" not in {user.name for user in class_teacher.teacher_candidates(first)}
    assert class_teacher.assign_classes(first, {("1", "1"): school.users["太郎"].id}, hanako) == 0
    assert class_teacher.assign_classes(first, {("1", "1"): hanako.id}, hanako) == 5
    assert class_teacher.assign_classes(first, {("1", "1"): hanako.id}, hanako) == 0
    assert (
        class_teacher.assign_classes(first, {("", ""): hanako.id}, hanako) == 2
    )  # without a child, not those who left
    assert [(room.grade, room.places, room.user) for room in class_teacher.teachers_of_classes(first)] == [
        ("1", 5, hanako.id),
        ("", 2, hanako.id),
    ]
    assert AuditLog.select().where(AuditLog.action == "list.class_teacher_set").count() == 2


ROSTER = """保護者氏名,児童氏名,学年,組,メールアドレス,担任
青山 健太,青山 陽菜,1,1,aoyama.k@example.com,見る子先生
新井 恵,新井 空,1,1,arai@example.jp,花子
森 一,森 海,1,1,mori@example.jp,知らない人
"""


def test_a_column_of_the_roster_sets_it_and_the_export_writes_it(school):
    """D-03: 「担任」 is read, an unknown name is said and changes nothing, undo takes it back."""
    first, hanako = school.lists["1-1"], school.users["花子"]
    job = jobs.create_import(first, hanako, content=ROSTER.encode(), filename="r.csv", now=clock.now())
    _, plan = jobs.preview_import(job, clock.now(), job.user)
    assert [note.values for line in plan.lines for note in line.notes if note.values.get("name")] == [
        {"name": "知らない人"}
    ]
    jobs.start_import(job, hanako, fingerprint=plan.fingerprint, now=clock.now())
    held = {row.person.name: row.class_teacher and row.class_teacher.name for row in first.memberships}
    assert (held["青山 健太"], held["新井 恵"], held["森 一"]) == ("見る子", "花子", None)
    assert "担任・担当者" in roster_export.export_csv(first).decode("utf-8-sig").splitlines()[0]
    assert "見る子" in roster_export.export_csv(first).decode("utf-8-sig")
    jobs.undo_import(type(job).get_by_id(job.id), hanako, clock.now())
    assert Membership.select().where(Membership.class_teacher.is_null(False)).count() == 0


def test_the_export_can_be_brought_in_again(teachers):
    first, hanako = teachers.lists["1-1"], teachers.users["花子"]
    written = roster_export.export_csv(first)
    Membership.update(class_teacher=None).execute()
    job = jobs.create_import(first, hanako, content=written, filename="r.csv", now=clock.now())
    _, plan = jobs.preview_import(job, clock.now(), job.user)
    jobs.start_import(job, hanako, fingerprint=plan.fingerprint, now=clock.now())
    assert Membership.select().where(Membership.class_teacher.is_null(False)).count() == 5


# ── who is new ───────────────────────────────────────────────────────────────────────────────────────────────────


def place(school, name: str, key: str = "1-1") -> Membership:
    person = Person.get(Person.name == name) if name not in school.people else school.people[name]
    return Membership.get(Membership.list == school.lists[key], Membership.person == person)


def join_by_slip(school, address: str) -> Person:
    child = school.children["石川 蓮"]
    wish = SignupRequest(school.lists["1-1"], address, "blank mail", "child", child, "dkim", {})
    return signup.join_list(wish, clock.now())[0]


def test_who_joins_by_a_slip_gets_the_teacher_of_the_class(teachers):
    """D-03: the class has its teacher, one family another; the guardian of a slip gets the class's."""
    new = join_by_slip(teachers, "mother@example.jp")
    assert Membership.get(Membership.person == new).class_teacher == teachers.users["見る子"]


def test_a_class_without_one_teacher_gives_none(school):
    new = join_by_slip(school, "mother@example.jp")
    assert Membership.get(Membership.person == new).class_teacher is None
    class_teacher.assign_membership(
        place(school, "青山 健太"), school.users["送る子"].id, None
    )  # one family is not the class
    assert class_teacher.teacher_by_class(school.lists["1-1"]) == {}


def test_who_is_added_by_hand_named_later_or_copied_too(teachers):
    first, hanako = teachers.lists["1-1"], teachers.users["花子"]
    child = {"child_name": "新井 空", "grade": "1", "class_name": "1"}
    made = register.add_member(first, by=hanako, now=clock.now(), name="新井 恵", address="arai@example.jp", **child)
    assert Membership.get_by_id(made.id).class_teacher == teachers.users["見る子"]
    bare = register.add_member(first, by=hanako, now=clock.now(), name="森 一", address="mori@example.jp")
    bare = Membership.get_by_id(bare.id)
    assert bare.class_teacher is None
    said = {"name": "森 海", "grade": "1", "class_name": "1"}
    members.edit_membership(bare, None, relation="", items={}, child=said)
    assert Membership.get_by_id(bare.id).class_teacher == teachers.users["見る子"]
    class_teacher.assign_classes(teachers.lists["2-1"], {("2", "1"): teachers.users["太郎"].id}, None)
    Membership.delete().where(Membership.id == place(teachers, "加藤 誠", "2-1").id).execute()
    source, people = teachers.lists["whole"], [teachers.people["加藤 誠"].id]
    move_copy.move_or_copy("copy", source, teachers.lists["2-1"], people, None, clock.now())
    assert place(teachers, "加藤 誠", "2-1").class_teacher == teachers.users["太郎"]
