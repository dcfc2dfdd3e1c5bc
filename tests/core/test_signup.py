"""Joining by codes, above the caps, on a registration day, and with a manager's approval (T-26, T-27, T-36)."""

import re

import pytest

import clock
from core import permissions
from core.inbound import dispatch
from core.members import change_requests, join_codes, preference_page
from core.notifications.notify import render_message
from core.signup import approvals, emails, quotas, signup
from core.signup.quotas import SignupRequest
from models import (
    ChangeRequest,
    Child,
    ConsentText,
    InboundMessage,
    Letter,
    MailingList,
    Membership,
    Person,
    QueuedSignup,
    Role,
)
from tests.cast_mail import dns, mail, signed


@pytest.fixture(autouse=True)
def known_dns(monkeypatch):
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp"))


@pytest.fixture
def the_list(school) -> MailingList:
    return school.lists["1-1"]


def address(the_list: MailingList, code: str) -> str:
    return join_codes.join_address(the_list, code)


def blank(sender: str, to: str, *, proven: bool = False, envelope: str = "", text: str = "") -> InboundMessage:
    raw = mail(sender, to, "", text)
    return dispatch.handle_message(signed(raw, "example.jp") if proven else raw, envelope or sender, to, clock.now())


def letters(kind: str) -> list[Letter]:
    return list(Letter.select().where(Letter.kind == kind).order_by(Letter.id))


def person(address: str) -> Person | None:
    return Person.get_or_none(Person.address_key == address)


def places(who: Person, the_list: MailingList) -> list[Membership]:
    return list(Membership.select().where(Membership.person == who, Membership.list == the_list))


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_list_and_child_has_a_code_that_nobody_guesses_or_misreads(school):
    """T-26: no look-alike signs; compared without case, hyphens and spaces."""
    codes = [row.join_code for row in MailingList.select()]
    codes += [join_codes.child_code(row, child) for row in MailingList.select() for child in Child.select()]
    assert len(set(codes)) == len(codes) >= 10
    assert all(re.fullmatch("[acdefghjkmnpqrtwxy34679]{10}", one) for one in codes)
    the_list = school.lists["1-1"]
    for typed in (the_list.join_code.upper(), join_codes.format_code(the_list.join_code), f" {the_list.join_code} "):
        assert join_codes.resolve_code(the_list, typed).kind == "list"
    assert (
        join_codes.resolve_code(the_list, join_codes.child_code(the_list, school.children["石川 蓮"])).child.name
        == "石川 蓮"
    )


def test_the_door_takes_valid_codes_only(school, the_list):
    """Unknown recipients are refused before anything is accepted; a code opens its own list only."""
    other, child = school.lists["2-1"], school.children["石川 蓮"]
    assert dispatch.resolve_recipient(address(the_list, the_list.join_code).upper()).kind == "join"
    assert dispatch.resolve_recipient(address(the_list, join_codes.child_code(the_list, child))).kind == "join"
    for wrong in (
        other.join_code,
        join_codes.child_code(school.lists["2-1"], school.children["加藤 悠斗"]),
        "acdefghjkm",
        "-",
        "'",
    ):
        assert dispatch.resolve_recipient(address(the_list, wrong)) is None


def test_a_code_joins_at_once_without_any_proof(the_list):
    """Decision 5: a valid code is the proof."""
    row = blank("new@example.net", address(the_list, the_list.join_code), envelope="other@example.net")
    assert (row.outcome, row.reason) == ("done", "code")
    (place,) = places(person("new@example.net"), the_list)
    assert (place.state, place.joined_via, place.child_id) == ("active", "blank mail", None)
    assert [one.address for one in letters("welcome")] == ["new@example.net"]


def test_a_childs_code_settles_name_class_and_household(school, the_list):
    child = school.children["石川 蓮"]
    blank("haha@example.net", address(the_list, join_codes.child_code(the_list, child)))
    (place,) = places(mother := person("haha@example.net"), the_list)
    assert (place.child.name, place.child.room, mother.household) == ("石川 蓮", "1-1", "ishikawa")
    assert Membership.select().where(Membership.person == mother).count() == 1, "this list and no other (T-27)"


def test_a_family_of_the_telephone_list_gets_its_address(school, the_list):
    """The roster names the guardian; the slip brings the address, and no second person is made."""
    child = school.children["和田 慎"]
    blank("wada@example.net", address(the_list, join_codes.child_code(the_list, child)))
    mother = person("wada@example.net")
    assert (mother.id, mother.name, mother.phone) == (school.people["和田 幸子"].id, "和田 幸子", "000-0000-0001")
    assert [one.state for one in places(mother, the_list)] == ["active"]


def test_a_slip_gives_no_address_to_a_guardian_of_other_lists(school, the_list):
    """The letters of a club and of a class go to one address, so the slip of one of them does not decide it alone."""
    child, guardian = school.children["和田 慎"], school.people["和田 幸子"]
    club = MailingList.create(name="吹奏楽", address="band", join_mode="open")
    Membership.create(person=guardian, list=club, child=child)
    blank("wada@example.net", address(club, join_codes.child_code(club, child)))
    assert Person.get_by_id(guardian.id).address is None
    newcomer = person("wada@example.net")
    assert [row.list_id for row in Membership.select().where(Membership.person == newcomer)] == [club.id]
    request = ChangeRequest.get()
    assert (request.person_id, request.duplicate_id, request.list_id) == (guardian.id, newcomer.id, club.id)
    Role.create(user=school.users["太郎"], list_id=club.id, kind="manager")
    manager = permissions.permissions_of(school.users["太郎"])
    assert manager.may("manage", club.id) and change_requests.get_request(manager, request.id) is None
    teacher = permissions.permissions_of(school.users["花子"])
    assert change_requests.get_request(teacher, request.id) == request
    change_requests.accept_request(request, school.users["花子"], clock.now())
    assert Person.get_by_id(guardian.id).address == "wada@example.net"


def test_slips_of_all_lists_of_a_guardian_give_the_address(school, the_list):
    child, guardian = school.children["和田 慎"], school.people["和田 幸子"]
    club = MailingList.create(name="吹奏楽", address="band", join_mode="open")
    Membership.create(person=guardian, list=club, child=child)
    for here in (club, the_list):
        assert Person.get_by_id(guardian.id).address is None
        wish = SignupRequest(here, "wada@example.net", code="child", child=child, proof="letter")
        found, state = signup.join_list(wish, clock.now())
        assert state == "active"
    assert found.id == guardian.id and found.address == "wada@example.net"
    assert person("wada@example.net").id == guardian.id and not ChangeRequest.select().exists()
    assert {row.list_id for row in guardian.memberships if row.state == "active"} >= {club.id, the_list.id}


def test_two_slips_of_one_family_are_both_taken(school):
    """Brothers and sisters: the second slip is no repetition."""
    whole = school.lists["whole"]
    for name in ("石川 蓮", "加藤 悠斗"):
        row = blank("oba@example.jp", address(whole, join_codes.child_code(whole, school.children[name])), proven=True)
        assert row.outcome == "done"
    found = places(aunt := person("oba@example.jp"), whole)
    assert sorted(one.child.name for one in found) == ["加藤 悠斗", "石川 蓮"]
    households = {one.child.household for one in found} | {aunt.household}
    assert len(households) == 1


def test_a_forged_mail_with_a_code_changes_nothing_for_somebody_known(school, the_list):
    """Forged join: From is typed by whoever writes, and a code stands on paper."""
    code = join_codes.child_code(the_list, school.children["石川 蓮"])
    row = blank("kato@example.org", address(the_list, code), envelope="evil@evil.com")
    assert (row.outcome, row.reason) == ("held", "asked to confirm")
    victim = school.people["加藤 誠"]
    assert places(victim, the_list) == [] and Person.get_by_id(victim.id).household == "kato"
    (asked,) = letters("join")
    wish = emails.request_from_link(asked.payload["url"].rpartition("/")[2], clock.now())
    signup.confirm_signup(wish, clock.now())
    assert [one.child.name for one in places(victim, the_list)] == ["石川 蓮"]


def test_a_genuine_mail_to_somebody_else_joins_nobody(the_list):
    """A signed mail sent on by whoever received it proves nothing here."""
    raw = signed(mail("victim@example.jp", "friend@example.net", "こんにちは", "元気ですか"), "example.jp")
    row = dispatch.handle_message(raw, "evil@evil.com", address(the_list, ""), clock.now())
    assert (row.outcome, row.reason) == ("silent", "unproven")


def test_a_new_code_makes_the_old_one_useless(school, the_list):
    old, child, whole = the_list.join_code, school.children["石川 蓮"], school.lists["whole"]
    slip, other_slip = join_codes.child_code(the_list, child), join_codes.child_code(whole, child)
    join_codes.rotate_list_code(the_list, school.users["花子"])
    assert dispatch.resolve_recipient(address(the_list, old)) is None
    for _ in range(2):
        assert join_codes.rotate_child_codes(the_list, school.users["花子"]) == 4
    assert dispatch.resolve_recipient(address(the_list, slip)) is None
    renewed = join_codes.child_code(the_list, child)
    assert renewed != slip and dispatch.resolve_recipient(address(the_list, renewed))
    assert join_codes.child_code(whole, child) == other_slip, "slips of other lists stay good"
    assert dispatch.resolve_recipient(address(whole, other_slip))


def test_a_slip_opens_the_list_that_handed_it_out(school, the_list):
    """The child is in both lists, and each list's managers hand out their own code."""
    child, whole = school.children["石川 蓮"], school.lists["whole"]
    slip = join_codes.child_code(the_list, child)
    assert join_codes.resolve_code(the_list, slip).child == child
    assert join_codes.resolve_code(whole, slip) is None and dispatch.resolve_recipient(address(whole, slip)) is None
    assert join_codes.resolve_code(the_list, child.join_code) is None, "the stored seed is no code"
    blank("stranger@example.net", address(the_list, slip))
    stranger = person("stranger@example.net")
    assert preference_page.load_page(stranger).joinable == [], "its page offers no other list of the child"
    assert signup.join_another_list(stranger, whole.id, clock.now()) == ""


@pytest.mark.parametrize("name", ["石川 蓮", "和田 慎"])
def test_a_household_is_joined_when_a_manager_approves(school, the_list, name):
    child = school.children[name]
    MailingList.update(join_mode="approve").where(MailingList.id == the_list.id).execute()
    before = list(Person.select().where(Person.household == child.household).dicts())
    blank("stranger@example.net", address(the_list, join_codes.child_code(the_list, child)), proven=True)
    stranger = person("stranger@example.net")
    assert [row.state for row in places(stranger, the_list)] == ["pending"]
    assert list(Person.select().where(Person.household == child.household).dicts()) == before
    approvals.approve_requests(the_list, [stranger.id], school.users["花子"], clock.now())
    approved = person("stranger@example.net")
    assert approved.household == child.household
    assert [row.state for row in places(approved, the_list)] == ["active"]
    assert (approved.name == "和田 幸子") == (name == "和田 慎"), "the roster's guardian without an address gets it"
    assert [row.address for row in letters("registered" if approved.name else "welcome")] == ["stranger@example.net"]


def test_a_seventh_guardian_waits_for_a_manager(school, the_list):
    code = join_codes.child_code(the_list, school.children["石川 蓮"])
    for number in range(signup.MAX_GUARDIANS):
        blank(f"n{number}@example.net", address(the_list, code))
    states = [one.state for one in Membership.select().where(Membership.child == school.children["石川 蓮"])]
    assert states.count("pending") == 1


def test_who_left_with_another_child_comes_back_with_this_one_only(school, the_list):
    father = school.people["石川 直樹"]
    old = Child.create(name="石川 姉", grade="6", class_name="1", household="ishikawa")
    Membership.create(person=father, list=the_list, child=old, state="left")
    Membership.update(state="left").where(Membership.person == father).execute()
    wish = SignupRequest(the_list, "naoki@example.jp", code="child", child=school.children["石川 蓮"], proof="letter")
    signup.join_list(wish, clock.now())
    found = {one.child.name: one.state for one in places(father, the_list)}
    assert found == {"石川 姉": "left", "石川 蓮": "active"}


@pytest.mark.parametrize("with_child", [True, False])
def test_who_was_refused_may_ask_again_and_waits_again(school, the_list, with_child):
    """Decision 5: refused → as a new join, which a manager decides, also where the list is open to everybody."""
    child = school.children["石川 蓮"] if with_child else None
    wish = SignupRequest(
        the_list, "new@example.net", code="child" if with_child else "list", child=child, proof="letter"
    )
    who, _ = signup.join_list(wish, clock.now())
    Membership.update(state="pending").where(Membership.person == who).execute()
    approvals.reject_requests(the_list, [who.id], school.users["花子"], clock.now())
    assert [one.state for one in places(who, the_list)] == ["refused"]
    assert not emails.has_membership(wish, who, "pending")
    assert signup.join_list(wish, clock.now()) == (who, "pending")
    assert [(one.state, one.left_at) for one in places(who, the_list)] == [("pending", None)]


def test_deleting_oneself_does_not_lift_a_refusal(school, the_list):
    who = Person.create(name="", address="new@example.net", address_key="new@example.net")
    Membership.create(person=who, list=the_list, state="refused")
    preference_page.delete_own_data(who, clock.now())
    assert signup.join_list(SignupRequest(the_list, "new@example.net", proof="letter"), clock.now()) == (who, "pending")


@pytest.mark.parametrize("barred", [{"state": "refused"}, {"state": "stopped", "stopped_by": "manager"}])
@pytest.mark.parametrize("go", ["leave", "delete"])
def test_asking_going_and_asking_again_does_not_lift_a_refusal(school, the_list, barred, go):
    """Decision 5: only a manager lifts it; whoever waits may go, and waits again after the next mail."""
    who = Person.create(name="", address="new@example.net", address_key="new@example.net")
    Membership.create(person=who, list=the_list, **barred)
    wish = SignupRequest(the_list, "new@example.net", code="list", proof="letter")
    assert signup.join_list(wish, clock.now()) == (who, "pending")
    if go == "leave":
        assert preference_page.stop_or_resume_list(who, the_list.id, "stop", clock.now())
    else:
        preference_page.delete_own_data(who, clock.now())
    assert not any(row.is_member for row in places(who, the_list))
    assert signup.join_list(wish, clock.now()) == (who, "pending")
    assert approvals.approve_requests(the_list, [who.id], school.users["花子"], clock.now()) == 1
    assert [(row.state, row.stopped_by) for row in places(who, the_list)] == [("active", "")]


@pytest.mark.parametrize(
    ("mode", "code", "state"),
    [("open", True, "active"), ("code", True, "active"), ("code", False, "pending"), ("approve", True, "pending")],
)
def test_the_modes_of_a_list(the_list, mode, code, state):
    MailingList.update(join_mode=mode).execute()
    blank("new@example.jp", address(the_list, the_list.join_code if code else ""), proven=True)
    assert [one.state for one in places(person("new@example.jp"), the_list)] == [state]


def test_a_list_may_always_ask_and_may_be_closed(the_list):
    MailingList.update(join_mode="confirm").execute()
    blank("new@example.jp", address(the_list, the_list.join_code), proven=True)
    assert person("new@example.jp") is None and len(letters("join")) == 1
    link = letters("join")[0].payload["url"].rpartition("/")[2]
    MailingList.update(join_mode="closed").execute()
    assert dispatch.resolve_recipient(address(the_list, the_list.join_code)) is None
    assert emails.request_from_link(link, clock.now()) is None


@pytest.mark.proves("X-02")
def test_the_consent_is_kept_with_its_words(the_list):
    """field.md 3.1: route, when, the wording, the Message-ID; new words get a number of their own."""
    blank("a1@example.jp", address(the_list, the_list.join_code), proven=True)
    MailingList.update(purpose="新しい使いみち").execute()
    blank("a2@example.jp", address(the_list, the_list.join_code), proven=True)
    first, second = (places(person(f"a{number}@example.jp"), the_list)[0].consent for number in (1, 2))
    assert (first["proof"], first["code"]) == ("dkim", "list") and first["message"].endswith("@client.example")
    assert "学校からのお知らせ" in ConsentText.get_by_id(first["terms"]).text
    assert "新しい使いみち" in ConsentText.get_by_id(second["terms"]).text


@pytest.mark.proves("N-16")
def test_the_greeting_stands_in_the_welcome_letter(the_list):
    """N-16: the list's own words; a per cent sign or a field in them is taken as written."""
    signup.set_signup_options(the_list, None, mode="open", greeting="ようこそ 100% %(url)s", purpose="連絡")

    blank("new@example.net", address(the_list, the_list.join_code))
    subject, text = render_message(letters("welcome")[0], "かえで原小学校")
    assert text.startswith("ようこそ 100% %(url)s\n\n") and "1年1組" in subject and "連絡" in text


# ── above the caps ───────────────────────────────────────────────────────────────────────────────────────────────


def test_above_the_caps_the_strong_wait_in_their_order_and_nobody_is_lost(the_list, monkeypatch):
    """Decision 5: proven joins wait in order, never drop; what proves nothing is dropped."""
    monkeypatch.setattr(quotas, "PER_LIST_PER_HOUR", 2)
    coded = address(the_list, the_list.join_code)
    for number in range(5):
        blank(f"n{number}@example.net", coded)
    forged = [blank(f"f{number}@example.net", address(the_list, "")).reason for number in range(3)]
    assert forged == ["asked to confirm", "asked to confirm", "too many joins"]
    assert [one.address for one in QueuedSignup.select().order_by(QueuedSignup.id)] == [
        f"n{n}@example.net" for n in (2, 3, 4)
    ]
    assert signup.process_queued_signups(clock.now()) == 0
    clock.set_offset(3700)
    assert blank("n5@example.net", coded).reason == "waits", "nobody overtakes"
    assert signup.process_queued_signups(clock.now()) == 2
    assert person("n3@example.net") and not person("n4@example.net")
    clock.set_offset(2 * 3700)
    signup.process_queued_signups(clock.now())
    assert QueuedSignup.select().count() == 0 and person("n5@example.net")


def test_who_waits_hears_it_if_the_address_is_proven_and_once(the_list, monkeypatch):
    """Decision 5: nobody is lost, and nobody who never wrote is written to."""
    monkeypatch.setattr(quotas, "PER_LIST_PER_HOUR", 0)
    coded = address(the_list, the_list.join_code)
    wish = SignupRequest(the_list, "haha@example.jp", code="list", proof="dkim")
    for _ in range(2):
        assert signup.join_within_quota(wish, None, clock.now()).reason == "waits"
    blank("forged@example.net", coded)
    assert [one.address for one in letters("waits-join")] == ["haha@example.jp"]
    assert QueuedSignup.select().count() == 2
    subject, text = render_message(letters("waits-join")[0], "かえで原小学校")
    assert "受け付けました" in subject and "順番" in text and "1年1組" in text


def test_a_registration_day_has_no_caps_and_ends(the_list, school, monkeypatch):
    monkeypatch.setattr(quotas, "PER_LIST_PER_HOUR", 1)
    monkeypatch.setattr(quotas, "UNPROVEN_PER_REGISTRATION_DAY", 6)
    coded = address(the_list, the_list.join_code)
    for number in range(3):
        blank(f"n{number}@example.net", coded)
    quotas.open_registration_day(the_list, school.users["花子"], clock.now())
    assert signup.process_queued_signups(clock.now()) == 2
    for number in range(3, 9):
        blank(f"n{number}@example.net", coded)
    assert person("n6@example.net") and not person("n7@example.net"), "a public code alone has a ceiling even then"
    assert blank("p@example.jp", coded, proven=True).outcome == "done"
    clock.set_offset(24 * 3600)
    assert not quotas.is_registration_day(MailingList.get_by_id(the_list.id), clock.now())


def test_what_waits_can_be_dropped_up_to_what_was_seen(the_list, school, monkeypatch):
    monkeypatch.setattr(quotas, "PER_LIST_PER_HOUR", 0)
    coded = address(the_list, the_list.join_code)
    blank("n1@example.net", coded)
    seen = quotas.newest_queued_id(the_list)
    blank("n2@example.net", coded)
    assert quotas.discard_queued(the_list, school.users["花子"], seen) == 1
    assert [one.address for one in QueuedSignup.select()] == ["n2@example.net"]


def test_one_address_cannot_be_bombed_over_many_lists(school, monkeypatch):
    """Subscription bombing: whatever codes somebody holds, one address gets a dozen letters a day."""
    monkeypatch.setattr(quotas, "PER_ADDRESS_ALL_LISTS_DAY", 2)
    for key in ("whole", "1-1", "2-1"):
        blank("victim@example.net", address(school.lists[key], ""), envelope="victim@example.net")
    assert len(Letter.select()) == 2


# ── approval ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_press_lets_in_or_refuses_and_a_letter_says_so(the_list, school):
    MailingList.update(join_mode="approve").execute()
    for number in (1, 2):
        blank(f"n{number}@example.net", address(the_list, the_list.join_code))
    mine = permissions.permissions_of(school.users["花子"])
    waiting = [one.place.person for one in approvals.pending_requests(mine)]
    assert len(waiting) == 2 and approvals.pending_requests(permissions.permissions_of(school.users["太郎"])) == []
    assert approvals.approve_requests(the_list, [waiting[0].id], school.users["花子"], clock.now()) == 1
    assert approvals.reject_requests(the_list, [waiting[1].id], school.users["花子"], clock.now()) == 1
    assert approvals.reject_requests(the_list, [waiting[0].id], school.users["花子"], clock.now()) == 0
    assert [one.address for one in letters("welcome")] == ["n1@example.net"]
    assert [one.address for one in letters("refused")] == ["n2@example.net"]
    MailingList.update(join_mode="open").execute()
    clock.set_offset(700)
    blank("n2@example.net", address(the_list, the_list.join_code), text="もう一度")
    link = letters("join")[0].payload["url"].rpartition("/")[2]
    _, state = signup.confirm_signup(emails.request_from_link(link, clock.now()), clock.now())
    assert state == "pending", "whom a manager refused waits for a manager again"


def test_a_letter_with_a_link_is_never_seen_without_it(the_list, monkeypatch):
    """A sender process may take a letter at any moment: letter and link are one transaction."""
    from database import db

    sane = emails.notify

    def watched(*args, **values):
        assert db.in_transaction(), "the letter could be sent before its link stands in it"
        return sane(*args, **values)

    monkeypatch.setattr("core.signup.emails.notify", watched)
    monkeypatch.setattr("core.members.preference_page.notify", watched)
    signup.request_signup(SignupRequest(the_list, "new@example.net", "link"), "ja", clock.now())
    signup.send_requested_links(clock.now())
    signup.confirm_signup(SignupRequest(the_list, "new@example.net", "link", proof="letter"), clock.now())

    preference_page.request_new_address(person("new@example.net"), "other@example.net", clock.now())
    assert {one.kind for one in Letter.select()} == {"join", "welcome", "new-address"}


def test_who_is_known_by_name_is_not_asked_for_it(school, the_list):
    """The guardian whom the roster names has registered with that; somebody new has one more step."""
    blank("wada@example.net", address(the_list, join_codes.child_code(the_list, school.children["和田 慎"])))
    blank("shin@example.net", address(the_list, join_codes.child_code(the_list, school.children["石川 蓮"])))
    assert [one.address for one in letters("registered")] == ["wada@example.net"]
    assert [one.address for one in letters("welcome")] == ["shin@example.net"]
