"""A second person before a notice goes (field 5.4, 5.3 no. 2; decision 11, law 7)."""

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import ApprovalRequired, AttachmentNotOpened, AudienceChanged, NotADraft, TimeInPast
from core.notices import approval, attachments, audience, drafts
from core.system import setup
from models import Attachment, AuditLog, Letter, MailingList, Notice, Person, Role, Wording
from tests import files

NOW = datetime(2026, 10, 14, 6, 0, tzinfo=UTC)


@pytest.fixture
def wanted(school):
    """1年1組 wants a second person; 守, 花子 and 送る子 may send there."""
    setup.update_safety(None, everywhere=False, lists=[school.lists["1-1"].id], public_urgent=False)
    return school


def draft(school, **fields):
    made = drafts.create_draft(school.users["花子"], now=NOW)
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=NOW)
    drafts.save_draft(made, **{"subject": "遠足", "text": "遠足に行きます。", **fields}, now=NOW)
    return made


def ask(school, made, who="守", at=None, by="花子"):
    mark = audience.resolve_audience(made).fingerprint
    approval.request_review(made, school.users[by], school.users[who], fingerprint=mark, now=NOW, at=at)
    return made


def approve(school, made, who="守", now=NOW, mark=None):
    fresh = Notice.get_by_id(made.id)
    shown = mark or approval.content_fingerprint(fresh, audience.resolve_audience(fresh))
    return approval.approve_notice(fresh, school.users[who], shown, now)


def test_it_is_wanted_for_ordinary_notices_of_the_list_alone(wanted, school):
    """Law 7: never for an urgent one."""
    hanako = school.users["花子"]
    assert approval.must_be_approved(draft(school), hanako)
    assert not approval.must_be_approved(draft(school, urgent=True), hanako)
    other = drafts.create_draft(school.users["太郎"], now=NOW)
    drafts.set_recipients(other, lists=[school.lists["2-1"].id], now=NOW)
    assert not approval.must_be_approved(other, school.users["太郎"])
    setup.update_safety(None, everywhere=True, lists=[], public_urgent=False)
    assert approval.must_be_approved(other, school.users["太郎"]) and not MailingList.get_by_id(1).requires_approval


def test_nobody_is_waited_for_who_is_not_there(wanted, school):
    assert approval.must_be_approved(draft(school), school.users["花子"])
    Role.delete().where(Role.user != school.users["花子"]).execute()
    assert not approval.must_be_approved(draft(school), school.users["花子"])


def test_without_the_colleague_it_does_not_go(wanted, school):
    made = draft(school)
    with pytest.raises(ApprovalRequired):
        approval.confirm_send(
            made, by=school.users["花子"], fingerprint=audience.resolve_audience(made).fingerprint, now=NOW
        )
    for who in ("花子", "太郎", "見る子"):
        with pytest.raises(approval.InvalidApprover):
            ask(school, made, who)
    assert Notice.get_by_id(made.id).state == "draft"


def test_asked_it_waits_and_the_colleague_gets_a_letter(wanted, school):
    made = ask(school, draft(school))
    assert made.state == "asked"
    letter = Letter.get(Letter.kind == "second")
    assert letter.address == school.users["守"].email
    assert letter.payload["url"].endswith(f"/notices/{made.id}/second")
    with pytest.raises(NotADraft):
        drafts.save_draft(made, subject="別の件名", now=NOW)


def test_approved_it_goes_in_the_name_of_its_writer(wanted, school):
    made = approve(school, ask(school, draft(school)))
    assert (made.state, made.hold_reason, made.by_name) == ("held", "window", "花子")
    assert made.review.reviewed_by == school.users["守"]
    assert [one.action for one in AuditLog.select().where(AuditLog.kind == "notice").order_by(AuditLog.id)][-3:] == [
        "notice.asked",
        "notice.approved",
        "notice.confirmed",
    ]
    with pytest.raises(approval.NotInReview):
        approve(school, made)


def test_a_booked_one_keeps_its_time_and_no_past_one_goes(wanted, school):
    at = NOW + timedelta(hours=2)
    made = ask(school, draft(school), at=at)
    with pytest.raises(TimeInPast):
        approve(school, made, now=at + timedelta(minutes=1))
    made = approve(school, made)
    assert (made.state, made.send_at) == ("scheduled", at)


def test_nobody_approves_the_own_notice(wanted, school):
    made = ask(school, draft(school))
    with pytest.raises(approval.SelfApproval):
        approve(school, made, "花子")


@pytest.mark.parametrize("what", ["words", "file", "audience", "option"])
def test_only_what_was_shown_goes(wanted, school, what):
    """field 5.3 no. 2: the wrong file went out although a manager had approved."""
    made = draft(school)
    file = attachments.add_file(made, "しおり.pdf", files.PDF, None, NOW)
    attachments.mark_previewed(file, school.users["花子"], NOW)
    attachments.mark_previewed(file, school.users["守"], NOW)
    ask(school, made)
    shown = approval.content_fingerprint(made, audience.resolve_audience(made))
    {
        "words": lambda: Wording.update(text="別の文").where(Wording.notice == made).execute(),
        "file": lambda: Attachment.update(digest="x").execute(),
        "audience": lambda: Person.update(address="new@example.jp").where(Person.name == "青山 健太").execute(),
        "option": lambda: Notice.update(footer=False).where(Notice.id == made.id).execute(),
    }[what]()
    for mark in (shown, None):
        with pytest.raises(AudienceChanged):
            approve(school, made, mark=mark)
    assert Notice.get_by_id(made.id).state == "asked"


def test_the_second_person_opens_the_files_too(wanted, school):
    """X-01."""
    made = draft(school)
    file = attachments.add_file(made, "しおり.pdf", files.PDF, None, NOW)
    attachments.mark_previewed(file, school.users["花子"], NOW)
    ask(school, made)
    with pytest.raises(AttachmentNotOpened):
        approve(school, made)
    attachments.mark_previewed(file, school.users["守"], NOW)
    assert approve(school, made).state == "held"


def test_sent_back_with_a_word_it_is_a_draft_again(wanted, school):
    made = ask(school, draft(school))
    approval.return_to_author(made, school.users["守"], "日付を直してください。", NOW)
    fresh = Notice.get_by_id(made.id)
    review = fresh.review
    assert fresh.state == "draft"
    assert (review.note, review.note_by, review.requested_from) == ("日付を直してください。", "守", None)
    assert Letter.get(Letter.kind == "sent-back").address == school.users["花子"].email
    with pytest.raises(approval.NotInReview):
        approval.return_to_author(fresh, school.users["守"], "もう一度", NOW)


def test_who_asked_may_take_it_back(wanted, school):
    made = ask(school, draft(school))
    approval.cancel_review_request(made, school.users["花子"], NOW)
    assert Notice.get_by_id(made.id).state == "draft"
    assert ask(school, Notice.get_by_id(made.id)).state == "asked"
