"""A letter to one person (D-30, decision 3; field 5.3 no. 2: a note about one family went to 228 addresses)."""

from datetime import timedelta

import pytest

import clock
from core import settings
from core.delivery import queue
from core.errors import NotADraft
from core.notices import approval, audience, direct_message, drafts, rendering, start
from core.notices.related_notices import newer_exists
from core.system import setup
from models import Delivery, Letter, Membership, Notice, Person
from tests import cast_notices


def write(school, name, key="k", **fields):
    words = {"subject": "お電話の件", "text": "お電話ください。", **fields}
    return direct_message.write_draft(
        school.people[name], school.users["花子"], read_confirmation=True, now=clock.now(), form_key=key, **words
    )


def sent(made):
    """Press the button and let its time come; return its letters."""
    approval.confirm_send(made, by=made.by, fingerprint=audience.resolve_audience(made).fingerprint, now=clock.now())
    Notice.update(send_at=clock.now()).where(Notice.id == made.id).execute()
    start.start_due_notices(clock.now())
    return list(Letter.select().where(Letter.notice == made))


def test_it_goes_to_this_person_alone(school):
    made = write(school, "石川 直樹")
    (letter,) = sent(made)
    assert (letter.address, Notice.get_by_id(made.id).state) == ("naoki@example.jp", "sending")
    raw = rendering.RenderCache(settings.load_settings()).render(letter, False, clock.now())
    assert b"List-Id" not in raw and b"1nen1kumi@" in raw  # the list by which 花子 may write to him
    text = rendering.preview_letter(
        made, audience.resolve_audience(made).receiving[0], settings.load_settings(), clock.now()
    ).text
    assert "お一人にお送りしています" in text and "登録された方へ" not in text


@pytest.mark.proves("D-30")
def test_who_has_stopped_can_be_written_to_and_it_is_said(school):
    """D-30."""
    person = school.people["雑音 一"]
    assert [one.kind for one in direct_message.warnings_for_person(person)] == ["stopped", "never"]
    (letter,) = sent(write(school, "雑音 一"))
    assert queue.recheck_claimed([letter.id], clock.now()) == {}
    Notice.update(kind="notice").execute()
    assert queue.recheck_claimed([letter.id], clock.now()) == {letter.id: "stopped"}


@pytest.mark.proves("D-30")
def test_a_notice_to_lists_still_leaves_out_who_has_stopped(school):
    """field 5.3 no. 6."""
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, persons=[school.people["雑音 一"].id], now=clock.now())
    assert [one.reason for one in audience.resolve_audience(made).left_out] == ["stopped"]


@pytest.mark.parametrize(("state", "key"), [("bounced", "bounced"), ("complained", "complained")])
def test_an_address_that_bounced_or_complained_is_refused(school, state, key):
    """D-30, decision 3."""
    Person.update(address_state=state).where(Person.name == "石川 直樹").execute()
    school.people["石川 直樹"] = Person.get(Person.name == "石川 直樹")
    assert direct_message.unreachable_reason(school.people["石川 直樹"]) == direct_message.UNREACHABLE_REASONS[key]
    with pytest.raises(direct_message.NotReachable):
        write(school, "石川 直樹")
    with pytest.raises(direct_message.NotReachable):
        write(school, "和田 幸子")


def test_who_left_is_not_written_to(school):
    made = write(school, "石川 直樹")
    assert [one.name for one in audience.resolve_audience(made).receiving] == ["石川 直樹"]
    Membership.update(state="left").where(Membership.person == school.people["石川 直樹"]).execute()
    assert audience.resolve_audience(made).receiving == ()


def test_an_address_that_never_confirmed_is_warned_of(school):
    reader = cast_notices.send([school.lists["1-1"]]).deliveries["石川 直樹"]
    person = school.people["石川 直樹"]
    assert [one.kind for one in direct_message.warnings_for_person(person)] == ["never"]
    Delivery.update(read_at=clock.now()).where(Delivery.id == reader.id).execute()
    assert direct_message.warnings_for_person(person) == []
    person.address = "new@example.jp"
    assert [one.kind for one in direct_message.warnings_for_person(person)] == ["never"], "the new one has not"


def test_the_same_form_twice_is_one_letter(school):
    """field 5.3 no. 3."""
    first, again = write(school, "石川 直樹"), write(school, "石川 直樹", text="改めました。")
    assert first.id == again.id and again.wording.text == "改めました。"
    sent(again)
    with pytest.raises(NotADraft):
        write(school, "石川 直樹")


def test_no_second_person_is_asked_about_one_family(school):
    hanako = school.users["花子"]
    setup.update_safety(None, everywhere=True, lists=[], public_urgent=False)
    assert not approval.must_be_approved(write(school, "石川 直樹"), hanako)
    listed = drafts.create_draft(hanako, now=clock.now())
    drafts.set_recipients(listed, lists=[school.lists["1-1"].id], now=clock.now())
    assert approval.must_be_approved(listed, hanako)


def test_it_stands_beside_no_list(school):
    """Nobody else who may see the list sees the letter, and no reader's page points to it as newer."""
    older = cast_notices.send([school.lists["1-1"]], at=clock.now() - timedelta(days=1))
    sent(write(school, "石川 直樹"))
    assert not newer_exists(older.notice)
    cast_notices.send([school.lists["1-1"]])
    assert newer_exists(older.notice)
