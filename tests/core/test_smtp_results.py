"""What a server's answer means for letter and reader (decision 3, D-37, D-38, field 3.4)."""

import pytest

import clock
from core.delivery import queue, smtp_results, throttle
from core.notices.audience import resolve_audience
from core.notices.merge_fields import display_subject
from mail.smtp import SmtpReply
from models import AuditLog, Letter, Person, ThrottleBucket
from tests import smarthost
from tests.smarthost import begun, fresh, letter_to


def reply(code, text="", phase="rcpt"):
    enhanced = text.split()[0] if text[:1] in "245" and text[1:2] == "." else ""
    return SmtpReply(code, enhanced, text, phase)


@pytest.mark.parametrize(
    ("answer", "domain", "state", "reason"),
    [
        (reply(250, "2.0.0 ok", "end"), "example.com", "accepted", ""),
        (reply(451, "4.7.1 greylisted"), "example.com", "deferred", "temporary"),
        (reply(452, "4.2.2 mailbox full"), "example.com", "deferred", "full"),
        (reply(421, "4.3.2 closing"), "example.com", "deferred", "temporary"),
        (reply(552, "5.2.2 mailbox full", "end"), "example.com", "deferred", "full"),
        (reply(550, "5.1.1 User unknown"), "example.com", "refused", "unknown_user"),
        (reply(550, "Unknown user"), "docomo.ne.jp", "refused", "unknown_user"),
        (reply(550, "Unknown user", "end"), "docomo.ne.jp", "refused", "filtered"),
        (reply(550, "5.7.1 spam", "end"), "example.com", "refused", "content"),
        (reply(550, "5.7.1 access denied"), "example.com", "refused", "policy"),
        (reply(552, "5.3.4 too big", "end"), "example.com", "refused", "content"),
        (reply(554, "transaction failed", "end"), "example.com", "refused", "other"),
    ],
)
def test_an_answer_becomes_an_outcome(answer, domain, state, reason):
    assert smtp_results.classify_reply(answer, f"a@{domain}") == smtp_results.SmtpResult(state, reason)


def refuse(letter, reason, state="refused"):
    Letter.update(state=state, reason=reason).where(Letter.id == letter.id).execute()
    return smtp_results.record_refusal(fresh(letter), reason, clock.now(), display_subject)


# E-12
@pytest.mark.proves("D-38", "E-09", "E-12")
def test_user_unknown_excludes_the_address_at_once_and_from_the_next_notice_on(school, hanako):
    """D-37, D-38."""
    notice = begun(hanako, [school.lists["1-1"]])
    refuse(letter_to(notice, "naoki@example.jp"), "unknown_user")
    naoki = fresh(school.people["石川 直樹"])
    assert (naoki.address_state, naoki.address_reason, naoki.address_state_notice_id) == (
        "bounced",
        "unknown_user",
        notice.id,
    )
    audience = resolve_audience(smarthost.written(hanako, [school.lists["1-1"]]))
    assert {one.name: one.reason for one in audience.left_out}["石川 直樹"] == "bounced"
    assert naoki.address == "naoki@example.jp"  # E-09: excluded, never deleted


@pytest.mark.parametrize("reason", ["policy", "other", "temporary", "full", "address"])
def test_nobody_is_excluded_for_our_faults_or_in_doubt(school, hanako, reason):
    notice = begun(hanako, [school.lists["1-1"]])
    refuse(letter_to(notice, "naoki@example.jp"), reason)
    assert fresh(school.people["石川 直樹"]).address_state == "fine"


def test_a_filter_is_marked_and_tried_again_until_it_opens(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    letter, naoki = letter_to(notice, "naoki@example.jp"), school.people["石川 直樹"]
    refuse(letter, "filtered")
    assert fresh(naoki).address_state == "refusing" and fresh(naoki).is_deliverable
    Letter.update(state="sending", owner="one").where(Letter.id == letter.id).execute()
    smtp_results.record_acceptance(queue.load_claimed([letter.id], "one")[0], False, clock.now())
    assert (fresh(naoki).address_state, fresh(naoki).address_reason) == ("fine", "")
    refuse(letter, "filtered")
    refuse(letter, "unknown_user")
    assert fresh(naoki).address_state == "bounced"


def test_an_old_refusal_does_not_touch_a_corrected_address(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    letter = letter_to(notice, "naoki@example.jp")
    Person.update(address="new@example.jp").where(Person.id == school.people["石川 直樹"].id).execute()
    refuse(letter, "unknown_user")
    assert fresh(school.people["石川 直樹"]).address_state == "fine"


def test_a_complaint_is_not_forgotten_by_a_bounce(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    letter = letter_to(notice, "naoki@example.jp")
    Person.update(address_state="complained").where(Person.id == school.people["石川 直樹"].id).execute()
    refuse(letter, "unknown_user")
    assert fresh(school.people["石川 直樹"]).address_state == "complained"


# the carrier guard (field 3.4)


def run_at(school, hanako, domain, accepted, refused):
    """Let a server take some letters to a domain and refuse others, one after the other."""
    smarthost.families(school.lists["1-1"], accepted + refused, domain)
    notice = begun(hanako, [school.lists["1-1"]])
    rows = list(Letter.select().where(Letter.notice == notice, Letter.domain == domain).order_by(Letter.id))
    Letter.update(state="accepted").where(Letter.id.in_([one.id for one in rows[:accepted]])).execute()
    blocked = [refuse(letter, "unknown_user") for letter in rows[accepted:]]
    bounced = Person.select().where(Person.address_state == "bounced", Person.address.endswith("@" + domain)).count()
    return notice, blocked, bounced


@pytest.mark.parametrize(
    ("accepted", "refused", "guarded"),
    [(0, 4, False), (0, 5, True), (20, 5, False), (19, 5, True), (40, 10, False), (40, 11, True), (0, 30, True)],
)
def test_a_carrier_that_refuses_more_than_a_fifth_and_five_is_paused_and_nobody_is_registered(
    school, hanako, accepted, refused, guarded
):
    notice, blocked, bounced = run_at(school, hanako, "docomo.ne.jp", accepted, refused)
    assert any(blocked) == guarded
    assert bounced == (0 if guarded else refused)
    assert (throttle.pause_reason("docomo.ne.jp", clock.now()) == "carrier") == guarded
    at_docomo = Letter.select().where(Letter.notice == notice, Letter.domain == "docomo.ne.jp")
    assert at_docomo.where(Letter.state == "deferred").count() == (refused if guarded else 0)
    if guarded:
        waits = {one.next_attempt_at for one in at_docomo.where(Letter.state == "deferred")}
        assert min(waits) > clock.now()
        assert AuditLog.select().where(AuditLog.action == "carrier.paused").exists()


@pytest.mark.parametrize(
    ("accepted", "refused", "guarded"), [(0, 4, False), (0, 5, True), (40, 10, False), (0, 40, True)]
)
def test_the_guard_holds_for_every_domain(school, hanako, accepted, refused, guarded):
    """A broken directory (5.1.1 for all) excludes nobody."""
    _, blocked, bounced = run_at(school, hanako, "parents.example", accepted, refused)
    assert any(blocked) == guarded and bounced == (0 if guarded else refused)


def test_the_guard_holds_for_the_whole_run_of_many_domains(school, hanako):
    """Three of each domain are no reason to pause it, but eighteen dead addresses of twenty-two exclude nobody."""
    for number in range(6):
        smarthost.families(school.lists["1-1"], 3, f"d{number}.example", start=10 * number)
    notice = begun(hanako, [school.lists["1-1"]])
    rows = Letter.select().where(Letter.notice == notice, Letter.domain.startswith("d")).order_by(Letter.id)
    blocked = [refuse(letter, "unknown_user") for letter in rows]
    assert len(blocked) == 18 and not any(blocked)
    assert Person.select().where(Person.address_state == "bounced", Person.address ** "p%").count() == 0
    assert not [one for one in ThrottleBucket.select() if one.paused_until]


def test_who_bounced_before_stays_registered_when_a_carrier_blocks(school, hanako):
    smarthost.families(school.lists["1-1"], 1, "docomo.ne.jp", start=900)
    Person.update(address_state="bounced", address_state_notice_id=None).where(
        Person.address == "p00900@docomo.ne.jp"
    ).execute()
    _, _, bounced = run_at(school, hanako, "docomo.ne.jp", 0, 8)
    assert bounced == 1
