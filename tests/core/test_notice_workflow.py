"""A notice written, checked and confirmed (T-01, D-06, D-09, D-41, field 5.3.3)."""

import pytest

import clock
from core.errors import AlreadySent, AudienceChanged, MissingFields, NotADraft, TimeInPast, WrongLetterCount
from core.notices import approval, author_copy, drafts, start, workflow
from core.notices.audience import resolve_audience
from models import AuditLog, Letter, Membership, Notice, NoticeState, Target
from tests import smarthost
from tests.smarthost import at_once, confirmed, fresh, later, put, states, written

ALL_STATES = tuple(NoticeState)


@pytest.fixture
def draft(school, hanako):
    return written(hanako, [school.lists["1-1"]])


# writing


def test_a_double_tap_on_new_begins_one_draft(hanako):
    now = clock.now()
    first = drafts.create_draft(hanako, now=now, form_key="k1")
    assert drafts.create_draft(hanako, now=now, form_key="k1") == first
    assert drafts.create_draft(hanako, now=now, form_key="k2") != first


def test_a_draft_keeps_words_options_and_recipients(school, hanako):
    now = clock.now()
    notice = drafts.create_draft(hanako, now=now, urgent=True)
    drafts.save_draft(notice, now=now, subject=" 水筒\r\nBcc: x@example.com ", text="本文", footer=False, wizard_step=3)
    drafts.set_recipients(
        notice, now=now, lists=[school.lists["1-1"].id], without_persons=[school.people["石川 直樹"].id]
    )
    notice = fresh(notice)
    assert (notice.wording.subject, notice.wording.text) == ("水筒 Bcc: x@example.com", "本文")
    assert (notice.urgent, notice.footer, notice.wizard_step, notice.useful_s) == (True, False, 3, 6 * 3600)
    kept = [(one.kind, one.include) for one in notice.targets.order_by(Target.id)]
    assert kept == [("list", True), ("person", False)]


def test_an_urgent_notice_is_useful_for_six_hours_another_for_two_days(draft):
    drafts.save_draft(draft, now=clock.now(), urgent=True)
    assert draft.useful_s == 6 * 3600
    drafts.save_draft(draft, now=clock.now(), urgent=False)
    assert draft.useful_s == 48 * 3600
    drafts.save_draft(draft, now=clock.now(), urgent=True, useful_s=600)
    assert draft.useful_s == 600


def test_many_recipients_are_written_in_few_statements(school, draft):
    with smarthost.queries() as few:
        drafts.set_recipients(draft, now=clock.now(), persons=range(1, 11))
    with smarthost.queries() as many:
        drafts.set_recipients(draft, now=clock.now(), persons=range(1, 401))
    assert len(few) == len(many)
    assert draft.targets.count() == 400


@pytest.mark.proves("D-46")
@pytest.mark.parametrize("state", [one for one in ALL_STATES if one != "draft"])
def test_only_a_draft_is_written_in(draft, hanako, state):
    """D-46: the content of a booked notice is read-only."""
    put(draft, state=state)
    with pytest.raises(NotADraft):
        drafts.save_draft(draft, now=clock.now(), subject="anders")
    with pytest.raises(NotADraft):
        drafts.set_recipients(draft, now=clock.now(), lists=[])
    with pytest.raises(NotADraft):
        drafts.delete_draft(draft, hanako)
    assert fresh(draft).wording.subject == "水筒" and draft.targets.count() == 1


def test_a_draft_is_thrown_away_with_everything(draft, hanako):
    assert Notice.select().exists() and Target.select().exists()
    drafts.delete_draft(draft, hanako)
    assert not Notice.select().exists() and not Target.select().exists()


# confirming


@pytest.mark.proves("D-09")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": " \u3000 "}, "subject"),
        ({"text": "\n \n"}, "text"),
        ({"text": "{{氏命}} 様"}, "text"),
        ({"subject": "{{氏命}} 様"}, "subject"),
    ],
)
def test_what_is_missing_is_named_by_field(draft, hanako, change, field):
    """D-09, field 5.3.5."""
    drafts.save_draft(draft, now=clock.now(), **change)
    with pytest.raises(MissingFields) as refusal:
        confirmed(draft, hanako)
    assert list(refusal.value.fields) == [field]
    assert fresh(draft).state == "draft"


@pytest.mark.proves("D-06")
def test_no_recipients_and_nobody_reachable_are_refused(school, draft, hanako):
    """D-06."""
    drafts.set_recipients(draft, now=clock.now())
    with pytest.raises(MissingFields) as refusal:
        confirmed(draft, hanako)
    assert "targets" in refusal.value.fields
    drafts.set_recipients(draft, now=clock.now(), persons=[school.people["和田 幸子"].id])
    with pytest.raises(MissingFields) as refusal:
        confirmed(draft, hanako)
    assert "targets" in refusal.value.fields


def test_an_audience_that_changed_since_the_check_page_is_refused(school, draft, hanako):
    seen = resolve_audience(draft).fingerprint
    Membership.update(state="stopped").where(Membership.person == school.people["石川 直樹"]).execute()
    with pytest.raises(AudienceChanged):
        approval.confirm_send(draft, by=hanako, fingerprint=seen, now=clock.now())
    assert fresh(draft).state == "draft"


@pytest.mark.proves("N-06")
@pytest.mark.parametrize("typed", [None, "", "5", "60", "六", "06"])
def test_the_whole_school_wants_its_number_typed(school, typed):
    """Decision 7, N-06: nobody is used to it."""
    notice = written(school.users["守"], [school.lists["whole"]])
    audience = resolve_audience(notice)
    assert audience.letters == 6
    with pytest.raises(WrongLetterCount) as refusal:
        approval.confirm_send(notice, by=None, fingerprint=audience.fingerprint, now=clock.now(), typed=typed)
    assert refusal.value.values == {"number": 6}
    approval.confirm_send(notice, by=None, fingerprint=audience.fingerprint, now=clock.now(), typed=" 6 ")
    assert notice.state == "held"


def test_a_time_that_has_passed_is_refused(draft, hanako):
    with pytest.raises(TimeInPast):
        confirmed(draft, hanako, at=clock.now())
    assert fresh(draft).state == "draft"


def test_a_second_confirmation_is_refused_and_names_the_notice(draft, hanako):
    """Field 5.3.3: reload, back button."""
    stale = fresh(draft)
    confirmed(draft, hanako)
    for again in (draft, stale):
        with pytest.raises(AlreadySent) as refusal:
            confirmed(again, hanako)
        assert refusal.value.notice == draft
    assert AuditLog.select().where(AuditLog.action == "notice.confirmed").count() == 1


def test_two_tabs_at_the_same_moment_confirm_once(draft, hanako, config):
    outcomes = at_once(*[lambda: confirmed(Notice.get_by_id(draft.id), hanako) and "sent"] * 4)
    assert outcomes.count("sent") == 1 and outcomes.count("AlreadySent") == 3
    assert Letter.select().count() == 0


@pytest.mark.proves("N-05")
@pytest.mark.parametrize(("urgent", "seconds"), [(False, 180), (True, 20)])
def test_it_can_be_cancelled_for_a_while_before_it_goes(school, hanako, urgent, seconds):
    """Decision 11."""
    notice = confirmed(written(hanako, [school.lists["1-1"]], urgent=urgent), hanako, hold_s=None)
    assert (notice.state, notice.hold_reason, notice.booked) == ("held", "window", False)
    later(seconds=seconds - 1)
    assert start.start_due_notices(clock.now()) == []
    later(seconds=1)
    assert start.start_due_notices(clock.now()) == [notice.id]
    assert start.start_due_notices(clock.now()) == []
    assert states(notice) == {"waiting": 4}


# the own copy


def test_the_writer_gets_a_copy_with_a_link_that_cancels_this_confirmation_only(draft, hanako):
    confirmed(draft, hanako, hold_s=None)
    letter = Letter.get(Letter.kind == "own")
    assert (letter.address, letter.urgent, letter.state) == (hanako.email, True, "waiting")
    mark = letter.payload["url"].rpartition("/")[2]
    assert author_copy.notice_by_cancel_token(mark) == draft
    assert author_copy.notice_by_cancel_token(mark[:-2] + ("A" if mark[-2] != "A" else "B") + mark[-1]) is None
    assert author_copy.notice_by_cancel_token("") is None
    workflow.cancel_send(draft, None, clock.now())
    assert fresh(letter).state == "cancelled"
    later(seconds=1)
    confirmed(draft, hanako, hold_s=None)
    assert author_copy.notice_by_cancel_token(mark) is None


def test_no_copy_goes_without_an_address_or_without_a_window(school, draft, hanako):
    confirmed(draft, hanako, hold_s=0)
    hanako.email = None
    confirmed(written(hanako, [school.lists["1-1"]]), hanako, hold_s=None)
    assert Letter.select().count() == 0


def test_cancelling_one_notice_leaves_the_copies_of_others(school, draft, hanako):
    confirmed(draft, hanako, hold_s=None)
    other = confirmed(written(hanako, [school.lists["1-1"]]), hanako, hold_s=None)
    workflow.cancel_send(draft, hanako, clock.now())
    assert [one.payload["notice"] for one in Letter.select().where(Letter.state == "waiting")] == [str(other.id)]
