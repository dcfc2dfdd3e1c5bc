"""Families that are not reached, and faults that are ours: who is told, by name, gathered (E-09, E-12, D-37)."""

from datetime import timedelta

import pytest

import clock
from core.delivery import alerts, suppression, throttle
from core.members import join_codes
from core.notices.merge_fields import display_subject
from core.reports import undeliverable
from core.reports.progress import Progress
from models import AuditLog, Bounce, Letter, Membership, Person
from tests import cast_notices

SOON = timedelta(hours=1)


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")


def letter_of(sent, name: str = "青山 健太") -> Letter:
    return Letter.get(Letter.delivery == sent.deliveries[name])


def dead(*names: str, state: str = "bounced") -> None:
    Person.update(address_state=state, address_state_at=clock.now()).where(Person.name.in_(names)).execute()


def told(kind: str) -> list[Letter]:
    return list(Letter.select().where(Letter.kind == kind).order_by(Letter.id))


# ── to the managers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("E-09")
def test_managers_hear_of_the_names_in_one_letter_and_once(school):
    """E-09: who died, by name and child; no address; not a letter for each bounce."""
    dead("青山 健太", "加藤 誠")
    assert undeliverable.notify_managers(clock.now()) == 0, "they are still gathered"
    assert undeliverable.notify_managers(clock.now() + SOON) >= 1
    texts = [one.payload for one in told("unreached")]
    names = [one for text in texts for one in text["names"].split("\n")]
    assert any("青山 健太" in one and "アドレスが使われていません" in one for one in names)
    assert not any("@" in text["names"] for text in texts)
    assert undeliverable.notify_managers(clock.now() + 2 * SOON) == 0
    dead("青山 健太", state="fine")
    assert undeliverable.notify_managers(clock.now() + 3 * SOON) == 0
    dead("青山 健太", state="refusing")
    assert undeliverable.notify_managers(clock.now() + 4 * SOON) >= 1


def test_nobody_else_hears_and_stopped_members_are_not_named(school):
    dead("青山 健太")
    person = Person.get(Person.name == "青山 健太")
    Membership.update(state="stopped").where(Membership.person == person).execute()
    assert undeliverable.notify_managers(clock.now() + SOON) == 0 and told("unreached") == []
    dead("石川 直樹")
    assert undeliverable.notify_managers(clock.now() + SOON) >= 1
    names = [one.payload["names"] for one in told("unreached")]
    assert any("石川 直樹" in one for one in names) and not any("青山 健太" in one for one in names)


def test_the_slip_is_about_one_family_and_shows_no_whole_address(school):
    Person.update(address_state="fine").execute()
    dead("青山 健太")
    person = Person.get(Person.name == "青山 健太")
    found = undeliverable.address_slips(school.lists["1-1"], "ja")
    assert [one.person.id for one in found] == [person.id]
    assert found[0].gone and person.address not in repr(found[0].address) and "***@" in found[0].address
    assert found[0].child and found[0].ways.link.endswith(join_codes.child_code(school.lists["1-1"], found[0].child))
    assert undeliverable.address_slips(school.lists["2-1"], "ja") == []


# ── our own faults ───────────────────────────────────────────────────────────────────────────────────────────────


def test_distrust_is_told_to_the_administrators_once_a_day_and_excludes_nobody(school, sent):
    """Decision 3: 5.7.x is our fault."""
    letter = letter_of(sent)
    Letter.update(state="refused", reason="policy", done_at=clock.now(), text="550 5.7.26 not authenticated").where(
        Letter.id == letter.id
    ).execute()
    for _ in range(3):
        assert suppression.record_failure(letter, "policy", clock.now()) == ""
    (alarm,) = told("distrust")
    assert alarm.address == "user0@school.example" and "5.7.26" in alarm.payload["said"]
    (shown,) = alerts.policy_rejections(clock.now())
    assert (shown.domain, shown.letters) == (letter.domain, 1) and "5.7.26" in shown.said
    Bounce.create(letter=letter, person=letter.person, kind="policy", at=clock.now())
    assert alerts.policy_rejections(clock.now())[0].letters == 1, "one letter, told in two ways"
    assert alerts.policy_rejections(clock.now() + timedelta(days=2)) == []
    assert Person.get_by_id(letter.person_id).address_state == "fine"


def test_a_carrier_that_blocks_is_told_and_tried_again_with_one_press(school, sent):
    """Field 3.4: pause, register nobody, one click."""
    now, letter = clock.now(), letter_of(sent)
    Letter.update(state="deferred", domain="docomo.ne.jp", next_attempt_at=now + SOON).where(
        Letter.id == letter.id
    ).execute()
    throttle.pause_bucket("docomo.ne.jp", now + SOON, alerts.CARRIER_BLOCK, now)
    alerts.notify_carrier_blocked(Letter.get_by_id(letter.id), now, display_subject)
    alerts.notify_carrier_blocked(Letter.get_by_id(letter.id), now, display_subject)
    assert {one.address for one in told("blocked")} == {"user0@school.example", school.users["花子"].email}
    (shown,) = alerts.blocked_carriers(now)
    assert (shown.domain, shown.letters) == ("docomo.ne.jp", 1)
    assert [one.letters for one in alerts.blocked_carriers(now, sent.notice)] == [1]
    assert alerts.resume_carrier("docomo.ne.jp", school.users["花子"], now) == 1
    assert Letter.get_by_id(letter.id).next_attempt_at <= now and not throttle.pause_reason("docomo.ne.jp", now)
    assert alerts.resume_carrier("docomo.ne.jp", school.users["花子"], now) == 0
    assert AuditLog.select().where(AuditLog.action == "carrier.resumed").count() == 1


def test_what_rests_for_another_reason_is_not_opened(school):
    now = clock.now()
    throttle.pause_bucket(throttle.GLOBAL_BUCKET, now + SOON, "login", now)
    assert (
        alerts.blocked_carriers(now) == []
        and alerts.resume_carrier(throttle.GLOBAL_BUCKET, school.users["守"], now) == 0
    )
    assert throttle.pause_reason(throttle.GLOBAL_BUCKET, now) == "login"


# ── the rate ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("E-10")
@pytest.mark.parametrize(
    ("accepted", "refused", "bounced", "rate"),
    [(197, 1, 2, "98.5 %"), (0, 0, 0, "―"), (200, 0, 0, "100.0 %"), (0, 3, 0, "0.0 %"), (1999, 1, 0, "99.9 %")],
)
def test_the_delivery_rate_is_the_share_without_errors(accepted, refused, bounced, rate):
    """E-10: {1 - (errors / sent)} × 100; who was left out is not among the sent; a dash for none."""
    counts = {"accepted": accepted, "refused": refused, "bounced": bounced, "skipped": 40, "waiting": 7}
    assert Progress(counts, 0, None, "").delivery_rate_text == rate
