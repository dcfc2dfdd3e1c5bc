"""What reports about letters do to letters and people (D-37, D-38, E-09; decision 3; inbound rules 2 and 3)."""

from datetime import timedelta

import pytest

import clock
from core.delivery import lifecycle as delivery_
from core.delivery import suppression
from core.inbound import bounces
from core.members import members
from mail.bounce.report import Explanation
from models import AuditLog, Bounce, Delivery, Letter, Membership, Notice, PageView, Person
from tests import cast_notices


def report(kind: str = "bounce", reason: str = "unknown_user", permanent: bool = True, **extra: object):
    """A report as the explainer gives it."""
    given = {"kind": kind, "reason": reason, "permanent": permanent, "status": "5.1.1", "text": "550 no", **extra}
    return Explanation(**given)


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"])


def letter_of(sent, name: str) -> Letter:
    return Letter.get(Letter.delivery == sent.deliveries[name])


def person(name: str) -> Person:
    return Person.get(Person.name == name)


@pytest.mark.proves("D-37", "E-09")
def test_user_unknown_excludes_at_once_and_names_why(sent):
    """D-37: the first hard bounce registers; E-09: the row stays."""
    letter = letter_of(sent, "青山 健太")
    serial = Notice.get_by_id(sent.notice.id).serial
    result = bounces.record_report(letter, report(), clock.now())
    assert (result.kind, result.outcome, result.reason) == ("bounce", "done", "unknown_user")
    assert (letter_of(sent, "青山 健太").state, letter_of(sent, "青山 健太").reason) == ("bounced", "unknown_user")
    who = person("青山 健太")
    assert (who.address_state, who.address_reason, who.address_state_notice_id) == (
        "bounced",
        "unknown_user",
        sent.notice.id,
    )
    assert who.address == "aoyama.k@example.com"
    assert Notice.get_by_id(sent.notice.id).serial == serial + 1, "the board shows it at its next look"
    assert person("青山 美咲").address_state == "fine"


def test_one_click_releases_it(sent):
    """D-38."""
    bounces.record_report(letter_of(sent, "青山 健太"), report(), clock.now())
    assert members.clear_suppression(person("青山 健太"), None, clock.now())
    assert person("青山 健太").is_deliverable


@pytest.mark.parametrize(
    ("reason", "state"),
    [("filtered", "refusing"), ("full", "fine"), ("temporary", "fine"), ("other", "fine"), ("policy", "fine")],
)
def test_what_does_not_exclude(sent, reason, state):
    """A reader's filter, a full mailbox or distrust of our server is no dead address (decision 3)."""
    bounces.record_report(letter_of(sent, "青山 健太"), report(reason=reason, permanent=False), clock.now())
    assert person("青山 健太").address_state == state
    assert person("青山 健太").is_deliverable
    assert letter_of(sent, "青山 健太").state == "bounced"


def test_distrust_of_our_server_raises_one_alarm_an_hour(sent):
    for name in ("青山 健太", "石川 直樹"):
        Letter.update(domain="example.com").where(Letter.id == letter_of(sent, name).id).execute()
        bounces.record_report(letter_of(sent, name), report(reason="policy", permanent=False), clock.now())
    assert AuditLog.select().where(AuditLog.action == "mail.policy_alarm").count() == 1


def test_a_complaint_stops_everything_until_the_reader_comes_back(sent):
    bounces.record_report(letter_of(sent, "青山 健太"), report("complaint", "abuse"), clock.now())
    who = person("青山 健太")
    assert who.address_state == "complained"
    assert {row.state for row in Membership.select().where(Membership.person == who)} == {"stopped"}
    assert not members.clear_suppression(who, None, clock.now()), "no organizer may mail against a complaint"


def test_a_complaint_stops_also_what_is_not_confirmed_yet(sent):
    Membership.update(state="unconfirmed").where(Membership.person == person("青山 健太")).execute()
    bounces.record_report(letter_of(sent, "青山 健太"), report("complaint", "abuse"), clock.now())
    rows = Membership.select().where(Membership.person == person("青山 健太"))
    assert {(row.state, row.stopped_by) for row in rows} == {("stopped", "reader")}


@pytest.mark.parametrize("state", ["bounced", "complained"])
def test_a_filter_makes_no_excluded_address_deliverable(sent, state):
    Person.update(address_state=state).where(Person.name == "青山 健太").execute()
    bounces.record_report(letter_of(sent, "青山 健太"), report(reason="filtered", permanent=False), clock.now())
    assert person("青山 健太").address_state == state


@pytest.mark.parametrize("kind", ["delayed", "mdn", "success"])
def test_what_is_no_failure_changes_nobody(sent, kind):
    bounces.record_report(letter_of(sent, "青山 健太"), report(kind, "temporary"), clock.now())
    assert letter_of(sent, "青山 健太").state == "accepted"
    assert person("青山 健太").address_state == "fine"
    assert sent.deliveries["青山 健太"].read_at is None, "a receipt of a program is not read evidence"


def test_a_success_settles_an_unknown_letter(sent):
    letter = letter_of(sent, "青山 健太")
    Letter.update(state="unknown").where(Letter.id == letter.id).execute()
    bounces.record_report(letter, report("success", ""), clock.now())
    assert letter_of(sent, "青山 健太").state == "accepted"


def test_a_bounce_settles_an_unknown_letter(sent):
    letter = letter_of(sent, "青山 健太")
    Letter.update(state="unknown").where(Letter.id == letter.id).execute()
    bounces.record_report(letter, report(), clock.now())
    assert letter_of(sent, "青山 健太").state == "bounced"


def test_only_the_address_that_bounced_is_excluded(sent):
    """A corrected address must not suffer for the old one."""
    members.change_address(person("青山 健太"), "new@example.com", None, clock.now())
    bounces.record_report(letter_of(sent, "青山 健太"), report(), clock.now())
    assert person("青山 健太").address_state == "fine"
    assert Bounce.select().count() == 1


def test_after_fourteen_days_a_report_counts_no_more(sent):
    letter = letter_of(sent, "青山 健太")
    later = letter.done_at + timedelta(days=14, seconds=1)
    assert bounces.record_report(letter, report(), later).reason == "too old"
    assert person("青山 健太").address_state == "fine"
    assert bounces.record_report(letter, report(), later - timedelta(seconds=2)).outcome == "done"


def test_a_report_about_nothing_of_ours_is_dropped(school):
    assert bounces.record_report(None, report(), clock.now()).outcome == "dropped"


def test_text_is_cut(sent):
    bounces.record_report(letter_of(sent, "青山 健太"), report(text="x" * 9000), clock.now())
    assert len(Bounce.get().text) == 500


@pytest.mark.parametrize("reason", ["unknown_host", "closed"])
def test_a_whole_system_that_is_gone_excludes_at_the_second_notice(school, reason):
    """Inbound 2: a domain may be out of order for a day."""
    for days, expected in ((9, "fine"), (5, "bounced")):
        at = clock.now() - timedelta(days=days)
        made = cast_notices.send([school.lists["1-1"]], at=at)
        bounces.record_report(letter_of(made, "青山 健太"), report(reason=reason), at + timedelta(minutes=5))
        assert person("青山 健太").address_state == expected


def test_a_provider_that_doubts_our_signature_is_no_complaint(sent):
    bounces.record_report(letter_of(sent, "青山 健太"), report("complaint", "auth-failure"), clock.now())
    assert person("青山 健太").address_state == "fine"


# ── failures that are counted ────────────────────────────────────────────────────────────────────────────────────


def fail(school, name: str, days_ago: float, reason: str = "full") -> Delivery:
    at = clock.now() - timedelta(days=days_ago)
    made = cast_notices.send([school.lists["1-1"]], at=at)
    bounces.record_report(letter_of(made, name), report(reason=reason, permanent=False), at + timedelta(minutes=5))
    return made.deliveries[name]


def test_five_on_three_days_exclude(school):
    for days in (9, 9, 6, 6):
        fail(school, "青山 健太", days)
    assert person("青山 健太").address_state == "fine"
    fail(school, "青山 健太", 2)
    assert (person("青山 健太").address_state, person("青山 健太").address_reason) == ("bounced", "full")
    assert person("青山 美咲").address_state == "fine"


def test_two_bad_days_do_not(school):
    for days in (5, 5, 5, 3, 3, 3, 3):
        fail(school, "青山 健太", days)
    assert person("青山 健太").address_state == "fine"


def test_what_lies_back_further_than_thirty_days_does_not_count(school):
    for days in (40, 39, 38, 5, 2):
        fail(school, "青山 健太", days)
    assert person("青山 健太").address_state == "fine"


@pytest.mark.parametrize("sign", ["read", "reply", "visit"])
def test_a_sign_of_life_begins_the_count_anew(school, sign):
    seen = clock.now() - timedelta(days=5)
    for days in (9, 8, 7):
        delivery = fail(school, "青山 健太", days)
    if sign == "visit":
        PageView.create(delivery=delivery, at=seen, page="r", agent="phone")
    else:
        field = {"read": "read_at", "reply": "replied_at"}[sign]
        Delivery.update({field: seen}).where(Delivery.id == delivery.id).execute()
    for days in (4, 3, 2, 1):
        fail(school, "青山 健太", days)
    assert person("青山 健太").address_state == "fine"
    fail(school, "青山 健太", 0.5)
    assert person("青山 健太").address_state == "bounced"


@pytest.mark.parametrize(("reason", "failures"), [("full", 4), ("doubtful", 2)])
def test_failures_of_the_old_address_do_not_count_for_the_new_one(school, reason, failures):
    for days in range(failures, 0, -1):
        fail(school, "青山 健太", days + 1, reason)
    members.change_address(person("青山 健太"), "new@example.com", None, clock.now())
    fail(school, "青山 健太", 0.5, reason)
    assert person("青山 健太").address_state == "fine"


@pytest.mark.parametrize(("state", "reason"), [("refused", "full"), ("expired", "expired")])
def test_letters_refused_at_the_old_address_do_not_count_for_the_new_one(school, state, reason):
    for days in (9, 8, 7, 6):
        made = cast_notices.send([school.lists["1-1"]], at=clock.now() - timedelta(days=days))
        Letter.update(state=state, reason=reason, code=452).where(
            Letter.delivery == made.deliveries["青山 健太"]
        ).execute()
    members.change_address(person("青山 健太"), "new@example.com", None, clock.now())
    fail(school, "青山 健太", 1)
    assert person("青山 健太").address_state == "fine"


def test_letters_that_expired_without_an_answer_of_a_server_do_not_count(school):
    """Our own connection was down: no fault of the address."""
    for days in (9, 8, 7, 6):
        made = cast_notices.send([school.lists["1-1"]], at=clock.now() - timedelta(days=days))
        Letter.update(state="expired", reason="expired", code=None).where(
            Letter.delivery == made.deliveries["青山 健太"]
        ).execute()
    fail(school, "青山 健太", 1)
    assert person("青山 健太").address_state == "fine"


def test_a_robot_is_no_sign_of_life(school):
    for days in (9, 8, 7, 6):
        delivery = fail(school, "青山 健太", days)
    PageView.create(delivery=delivery, at=clock.now() - timedelta(days=3), page="r", agent="bot", automatic=True)
    fail(school, "青山 健太", 1)
    assert person("青山 健太").address_state == "bounced"


def test_two_reports_about_one_letter_are_one_failure(school):
    for days in (9, 8, 7, 6):
        fail(school, "青山 健太", days)
    again = Letter.select().order_by(Letter.id.desc()).where(Letter.person == person("青山 健太")).first()
    bounces.record_report(again, report(reason="full", permanent=False), clock.now())
    assert not suppression.exceeds_failure_threshold(person("青山 健太").id, "aoyama.k@example.com", clock.now())


def test_answers_of_servers_and_bounces_count_together(school):
    """One rule for both (decision 3): letters put off until they were useless, and letters that came back."""
    for days in (9, 8, 7):
        at = clock.now() - timedelta(days=days)
        made = cast_notices.send([school.lists["1-1"]], at=at)
        Letter.update(state="expired", reason="expired", code=452, done_at=at + timedelta(days=1)).where(
            Letter.delivery == made.deliveries["青山 健太"]
        ).execute()
    fail(school, "青山 健太", 3)
    assert person("青山 健太").address_state == "fine"
    fail(school, "青山 健太", 1)
    assert person("青山 健太").address_state == "bounced"


def test_unknown_with_a_temporary_code_is_believed_the_third_time(school):
    """Inbound rules 2: 4.1.1 "user unknown" may be a directory that is down; repeated at the third letter it counts."""
    for days in (20, 9):
        fail(school, "青山 健太", days, "doubtful")
    assert person("青山 健太").address_state == "fine"
    fail(school, "青山 健太", 1, "doubtful")
    assert (person("青山 健太").address_state, person("青山 健太").address_reason) == ("bounced", "doubtful")


def test_two_doubts_and_a_sign_of_life_are_none(school):
    for days in (9, 8):
        delivery = fail(school, "青山 健太", days, "doubtful")
    Delivery.update(read_at=clock.now() - timedelta(days=5)).where(Delivery.id == delivery.id).execute()
    fail(school, "青山 健太", 2, "doubtful")
    assert person("青山 健太").address_state == "fine"


@pytest.mark.parametrize(
    ("text", "state"), [("450 4.1.1 no such user here", "bounced"), ("451 4.3.0 please come back", "fine")]
)
def test_letters_put_off_until_they_are_useless_count_too(school, text, state):
    """A server that says "450 user unknown" for ever gives no report: the letters that were given up tell it."""
    for days in (9, 5, 1):
        at = clock.now() - timedelta(days=days)
        made = cast_notices.send([school.lists["1-1"]], at=at)
        late = {"state": "deferred", "code": 450, "text": text, "expires_at": at + timedelta(hours=1)}
        Letter.update(late).where(Letter.delivery == made.deliveries["青山 健太"]).execute()
        delivery_.expire_letters(at + timedelta(hours=2))
    assert person("青山 健太").address_state == state


def test_a_carrier_that_throws_a_whole_run_back_excludes_nobody(school):
    """Decision 3: more than a fifth and at least five of a carrier's letters: it blocks us, nobody is registered."""
    made = cast_notices.send([school.lists["1-1"]])
    some = list(made.deliveries.values())[0]
    letters = []
    for number in range(6):
        who = Person.create(name=f"P{number}", address=f"p{number}@docomo.ne.jp", address_key=f"p{number}@docomo.ne.jp")
        delivery = Delivery.create(notice=made.notice, person=who, token=f"t{number}", list=some.list)
        letters.append(
            Letter.create(
                notice=made.notice,
                delivery=delivery,
                person=who,
                address=who.address,
                domain="docomo.ne.jp",
                state="accepted",
                done_at=clock.now(),
                expires_at=clock.now(),
            )
        )
    for letter in letters:
        bounces.record_report(letter, report(), clock.now())
    states = {row.address_state for row in Person.select().where(Person.name.startswith("P"))}
    assert states == {"fine"}
    assert Letter.select().where(Letter.domain == "docomo.ne.jp", Letter.state == "bounced").count() == 6
