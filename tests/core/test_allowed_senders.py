"""Who may post to a list by mail (T-37, T-38, T-39), and joining and leaving by mail (T-26, T-27, T-36)."""

from dataclasses import replace
from datetime import timedelta

import pytest

import clock
import config as ground
from core.accounts import who_can
from core.errors import DomainError
from core.inbound import allowed_senders, dispatch
from core.members import preference_page, signed_links, unsubscribe
from core.settings import load_settings
from core.signup import emails, signup
from mail.address import message_id, reply_address
from models import AllowedSender, InboundMessage, Letter, MailingList, Membership, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, dns, mail, signed

JOIN = f"1nen1kumi-join@{DOMAIN}"
LEAVE = f"1nen1kumi-leave@{DOMAIN}"


@pytest.fixture(autouse=True)
def known_dns(monkeypatch):
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp", "example.com"))


@pytest.fixture
def the_list(school) -> MailingList:
    return school.lists["1-1"]


def come(raw: bytes, to: str, envelope: str) -> InboundMessage:
    return dispatch.handle_message(raw, envelope, to, clock.now())


def blank(address: str, to: str = JOIN, proven: bool = True, text: str = "") -> InboundMessage:
    """A blank mail as a phone sends it; each with its own Message-ID."""
    blank.count += 1
    raw = mail(address, to, "", text, Message_ID=f"<{blank.count}@client.example>")
    return come(signed(raw, address.rpartition("@")[2]) if proven else raw, to, address)


blank.count = 0


def letters(*kinds: str) -> list[Letter]:
    return list(Letter.select().where(Letter.kind.in_(kinds)).order_by(Letter.id))


# ── senders ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_sender_stays(the_list, school):
    """T-38."""
    first = allowed_senders.add_sender(the_list, school.users["花子"], "a@example.jp", "A", clock.now())
    with pytest.raises(allowed_senders.LastSenderError):
        allowed_senders.remove_sender(first, school.users["花子"])
    second = allowed_senders.add_sender(the_list, school.users["花子"], "b@example.jp", "B", clock.now())
    allowed_senders.remove_sender(first, school.users["花子"])
    assert [one.id for one in allowed_senders.list_senders(the_list)] == [second.id]


def test_managers_are_those_of_today(the_list, school):
    assert [user.name for user in who_can.managers_of(the_list)] == ["花子"]


@pytest.mark.parametrize("wrong", ["", "not an address", f"list@{DOMAIN}", "A@Example.jp"])
def test_what_cannot_be_a_sender(the_list, school, wrong):
    allowed_senders.add_sender(the_list, None, "a@example.jp", "", clock.now())
    with pytest.raises(DomainError):
        allowed_senders.add_sender(the_list, None, wrong, "", clock.now())
    assert len(allowed_senders.list_senders(the_list)) == 1


def test_a_changed_address_is_tried_anew(the_list, school):
    sender = allowed_senders.add_sender(the_list, None, "a@example.jp", "A", clock.now())
    AllowedSender.update(last_post_at=clock.now(), last_auth_method="dkim").execute()
    assert (
        allowed_senders.update_sender(sender, None, "a@example.jp", "新しい名", clock.now()).last_auth_method == "dkim"
    )
    fresh = allowed_senders.update_sender(sender, None, "c@example.jp", "A", clock.now())
    assert (fresh.address, fresh.last_post_at) == ("c@example.jp", None)
    assert [one.address for one in letters("sender")] == ["a@example.jp", "c@example.jp"]


@pytest.mark.parametrize(("proven", "kind", "how"), [(True, "sender-passes", "dkim"), (False, "sender-asks", "")])
def test_who_answers_the_trial_letter_learns_how_posts_will_go(the_list, school, proven, kind, how):
    sender = allowed_senders.add_sender(the_list, None, "a@example.jp", "A", clock.now())
    to = reply_address(letters("sender")[0].id, load_settings().secret, DOMAIN)
    raw = mail("a@example.jp", to, "Re: 送信者に登録されました", "")
    come(signed(raw, "example.jp") if proven else raw, to, "a@example.jp")
    assert [one.kind for one in letters("sender-passes", "sender-asks")] == [kind]
    fresh = AllowedSender.get_by_id(sender.id)
    assert (fresh.last_auth_method, fresh.last_post_at is not None) == (how, True)


def test_another_address_cannot_answer_the_trial_letter(the_list, school):
    allowed_senders.add_sender(the_list, None, "a@example.jp", "A", clock.now())
    to = reply_address(letters("sender")[0].id, load_settings().secret, DOMAIN)
    come(signed(mail("b@example.jp", to, "Re", ""), "example.jp"), to, "b@example.jp")
    assert InboundMessage.select().count() == 1
    assert letters("sender-passes", "sender-asks") == []
    come(signed(mail("a@example.jp", to, "Re", ""), "example.jp"), to, "a@example.jp")
    assert [one.kind for one in letters("sender-passes", "sender-asks")] == ["sender-passes"]


# ── joining ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-26", "T-27", "T-36")
def test_a_proven_blank_mail_joins_this_list_and_only_this(the_list):
    """T-27, N-16: empty subject and body; a greeting comes back."""
    row = blank("new@example.jp")
    person = Person.get(Person.address_key == "new@example.jp")
    assert (row.kind, row.outcome, row.person_id) == ("join", "done", person.id)
    held = list(Membership.select().where(Membership.person == person))
    assert [(one.list_id, one.state, one.joined_via) for one in held] == [(the_list.id, "active", "blank mail")]
    assert [one.address for one in letters("welcome")] == ["new@example.jp"]


@pytest.mark.proves("T-27")
def test_whatever_the_mail_holds_is_ignored(the_list):
    """T-27: a "blank" mail has a signature, an image, an advertisement."""
    blank("new@example.jp", text="iPhoneから送信\n" * 50)
    person = Person.get(Person.address_key == "new@example.jp")
    assert person.name == ""
    assert "iPhone" not in str([one.payload for one in Letter.select()])


def test_a_blank_mail_that_fails_the_policy_of_its_domain_is_not_answered(the_list, config, monkeypatch):
    """Decision 5: not even the letter that asks for a confirmation goes to an address that was forged."""
    ground.set_current_config(replace(config, authserv_id="mx.school.example"))
    monkeypatch.setattr(dispatch, "txt_lookup", dns(__dmarc_example_jp="v=DMARC1; p=quarantine"))
    verdict = b"Authentication-Results: mx.school.example; dmarc=fail header.from=example.jp\n"
    row = come(verdict + mail("new@example.jp", JOIN, "", ""), JOIN, "new@example.jp")
    assert (row.kind, row.outcome, row.reason) == ("join", "silent", "forged")
    assert Letter.select().count() == 0 and not Person.select().where(Person.address_key == "new@example.jp").exists()


@pytest.mark.proves("T-27")
def test_joining_twice_makes_no_second_member(the_list):
    """T-27."""
    for _ in range(4):
        blank("new@example.jp")
    assert Person.select().where(Person.address_key == "new@example.jp").count() == 1
    assert Membership.select().join(Person).where(Person.address_key == "new@example.jp").count() == 1
    assert len(letters("already")) == 1, "at most one a day"


def test_an_address_that_breaks_the_rules_joins(the_list, monkeypatch):
    monkeypatch.setattr(dispatch, "txt_lookup", dns("docomo.ne.jp"))
    raw = signed(mail('"taro..x."@docomo.ne.jp', JOIN), "docomo.ne.jp")
    come(raw, JOIN, '"taro..x."@docomo.ne.jp')
    assert Person.get(Person.address_key == "taro..x.@docomo.ne.jp").violates_rfc


def test_an_unproven_blank_mail_gets_one_letter_with_a_link(the_list):
    """Decision 5: nobody is made a member by a forged From."""
    row = blank("new@example.jp", proven=False)
    assert (row.outcome, row.reason) == ("held", "asked to confirm")
    assert Person.get_or_none(Person.address_key == "new@example.jp") is None
    (asked,) = letters("join")
    wish = emails.request_from_link(asked.payload["url"].rpartition("/")[2], clock.now())
    person, state = signup.confirm_signup(wish, clock.now())
    assert (state, person.address, wish.list.id) == ("active", "new@example.jp", the_list.id)
    assert signup.confirm_signup(wish, clock.now())[0].id == person.id
    assert Membership.select().where(Membership.person == person).count() == 1


@pytest.mark.parametrize(("envelope", "text"), [("other@example.jp", ""), ("new@example.jp", "x" * 101)])
def test_else_there_is_silence(the_list, envelope, text):
    """Subscription bombing: a forged mail must not make Kairan write to a third person."""
    row = come(mail("new@example.jp", JOIN, "", text), JOIN, envelope)
    assert (row.outcome, row.reason) == ("silent", "unproven")
    assert Letter.select().count() == 0


def test_a_confirmation_link_ends_after_three_days(the_list):
    blank("new@example.jp", proven=False)
    mark = letters("join")[0].payload["url"].rpartition("/")[2]
    assert emails.request_from_link(mark, clock.now() + timedelta(days=3, minutes=-1)) is not None
    assert emails.request_from_link(mark, clock.now() + timedelta(days=3)) is None
    assert emails.request_from_link(mark + "x", clock.now()) is None


def test_one_address_is_answered_once_in_ten_minutes_and_three_times_a_day(the_list):
    for _ in range(3):
        blank("new@example.jp", proven=False)
    assert len(letters("join")) == 1
    for hours in (1, 2, 3, 4):
        clock.set_offset(hours * 3600)
        blank("new@example.jp", proven=False)
    assert len(letters("join")) == 3


@pytest.mark.parametrize(("mode", "proven", "state"), [("approve", True, "pending"), ("open", True, "active")])
def test_a_list_may_approve(the_list, mode, proven, state):
    MailingList.update(join_mode=mode).execute()
    blank("new@example.jp", proven=proven)
    assert Membership.select().join(Person).where(Person.address_key == "new@example.jp").get().state == state
    assert len(letters("approval")) == (mode == "approve")


def test_a_list_may_always_ask(the_list):
    MailingList.update(join_mode="confirm").execute()
    blank("new@example.jp")
    assert Person.get_or_none(Person.address_key == "new@example.jp") is None
    assert len(letters("join")) == 1


@pytest.mark.parametrize("state", ["bounced", "complained", "refusing"])
def test_a_known_address_is_fine_again_when_its_owner_writes(the_list, state):
    """States: bounced → fine by proven mail from it, complained → fine by own rejoin only."""
    Person.update(address="a@example.jp", address_key="a@example.jp", address_state=state).where(
        Person.name == "石川 直樹"
    ).execute()
    blank("a@example.jp", proven=False)
    assert Person.get(Person.name == "石川 直樹").address_state == state
    clock.set_offset(700)
    blank("a@example.jp")
    if state != "refusing":  # a refusing address still gets letters, so there is nothing to join
        assert Person.get(Person.name == "石川 直樹").address_state == "fine"


def test_whom_a_manager_stopped_waits_for_a_manager(the_list):
    person = Person.get(Person.name == "石川 直樹")
    Person.update(address="a@example.jp", address_key="a@example.jp").where(Person.id == person.id).execute()
    mine = (Membership.person == person) & (Membership.list == the_list)
    Membership.update(state="stopped", stopped_by="manager").where(mine).execute()
    blank("a@example.jp")
    assert Membership.get(mine).state == "pending"
    Membership.update(state="stopped", stopped_by="reader").where(mine).execute()
    clock.set_offset(700)
    blank("a@example.jp")
    assert Membership.get(mine).state == "active"


def test_our_own_addresses_never_join(the_list):
    row = come(mail(f"2nen1kumi@{DOMAIN}", JOIN), JOIN, "x@example.jp")
    assert row.outcome == "dropped"


def test_the_new_member_is_asked_for_the_name_once(the_list):
    """Decision 5."""
    blank("new@example.jp")
    person = signed_links.person_by_token(letters("welcome")[0].payload["url"].rpartition("/")[2], clock.now())
    child = {"name": "山田 空", "kana": "", "grade": "1", "class_name": "1"}
    preference_page.save_preferences(
        person, preference_page.PreferenceForm("山田 花", "やまだ はな", "", "ja", {}, {}, child)
    )
    fresh = Person.get_by_id(person.id)
    assert (fresh.name, fresh.kana) == ("山田 花", "ヤマダ ハナ")
    assert Membership.get(Membership.person == person).child.room == "1-1"
    assert preference_page.membership_without_names(fresh, the_list) is None


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def member(the_list) -> Person:
    Person.update(address="a@example.jp", address_key="a@example.jp").where(Person.name == "石川 直樹").execute()
    return Person.get(Person.name == "石川 直樹")


def state(person: Person, the_list: MailingList) -> str:
    return Membership.get(Membership.person == person, Membership.list == the_list).state


def test_a_proven_mail_leaves_at_once_and_can_come_back(member, the_list):
    blank("a@example.jp", LEAVE)
    assert state(member, the_list) == "stopped"
    others = Membership.select().where(Membership.person == member, Membership.list != the_list)
    assert {one.state for one in others} == {"active"}
    (told,) = letters("resume")
    found = signed_links.membership_by_token(told.payload["url"].rpartition("/")[2])
    assert unsubscribe.resubscribe_to_list(*found)
    assert state(member, the_list) == "active"


def test_an_unproven_mail_gets_a_link_at_the_members_own_address(member, the_list):
    come(mail("a@example.jp", LEAVE), LEAVE, "evil@evil.com")
    assert state(member, the_list) == "active"
    assert [(one.kind, one.address) for one in Letter.select()] == [("leave", "a@example.jp")]


def test_a_stranger_who_leaves_gets_silence(the_list):
    row = blank("nobody@example.jp", LEAVE)
    assert (row.outcome, row.reason) == ("silent", "no member")
    assert Letter.select().count() == 0


def test_who_names_a_letter_from_another_address_is_asked_at_the_members_own(member, the_list):
    """The Message-ID of a letter stands in every copy of a reply to it."""
    sent = cast_notices.send([the_list])
    letter = Letter.get(Letter.delivery == sent.deliveries["石川 直樹"])
    ours = message_id(letter.id, load_settings().secret, DOMAIN)
    row = come(signed(mail("other@example.jp", LEAVE, In_Reply_To=ours), "example.jp"), LEAVE, "other@example.jp")
    assert (row.outcome, row.reason, state(member, the_list)) == ("held", "asked to confirm", "active")
    assert [one.address for one in letters("leave")] == ["a@example.jp"]


def test_who_waits_for_approval_does_not_become_a_member_by_leaving_and_coming_back(member, the_list):
    mine = (Membership.person == member) & (Membership.list == the_list)
    Membership.update(state="pending").where(mine).execute()
    assert unsubscribe.unsubscribe_from_list(member, the_list, clock.now())
    assert not unsubscribe.resubscribe_to_list(member, the_list)
    assert Membership.get(mine).state == "left"
