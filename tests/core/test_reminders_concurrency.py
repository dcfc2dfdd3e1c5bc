"""What guards a reminder: the number typed for most of the whole school, and the copy that goes first (X-04, X-06)."""

import email
from email import policy

import pytest

import clock
from core.errors import WrongLetterCount
from core.notices import audience, author_copy, reminders, rendering
from core.notices.reminders import find_recipients
from core.settings import load_settings
from models import Delivery, Letter, Reminder
from tests import cast_notices
from tests.core.test_reminders import at_ten, sent
from tests.smarthost import fresh

__all__ = ["at_ten", "sent"]


def test_most_of_the_whole_school_wants_its_number_typed(school):
    """X-06, decision 7: as large as a notice; what is left of it in the evening goes with one button (field 5.2)."""
    mamoru = school.users["守"]
    sent = cast_notices.send([school.lists["whole"]], by=mamoru)
    everybody = find_recipients(sent.notice, clock.now())
    for typed in (None, "", str(len(everybody) + 1)):
        with pytest.raises(WrongLetterCount):
            reminders.request_reminder(sent.notice, mamoru, clock.now(), typed=typed)
    assert not Reminder.select().exists() and not Letter.select().where(Letter.kind == "own-again").exists()
    made = reminders.request_reminder(sent.notice, mamoru, clock.now(), typed=f" {len(everybody)} ")
    reminders.cancel_reminder(made, mamoru, clock.now())
    for one in everybody[len(everybody) // 2 :]:
        Delivery.update(read_at=clock.now(), read_via="press").where(Delivery.id == one.delivery_id).execute()
    left = find_recipients(sent.notice, clock.now())
    assert 0 < 2 * len(left) <= len(everybody)
    assert reminders.request_reminder(fresh(sent.notice), mamoru, clock.now()).letters == len(left)


def test_a_copy_goes_first_and_is_kept_back_if_it_is_called_off(sent, hanako):
    """X-04: who asked sees what goes out, and may close the page."""
    made = reminders.request_reminder(sent, hanako, clock.now())
    copy = Letter.get(Letter.kind == "own-again")
    assert copy.address == hanako.email and copy.payload["subject"].startswith("【再送】")
    assert author_copy.reminder_by_cancel_token(copy.payload["url"].rpartition("/")[2]) == made
    for wrong in ("", "x", copy.payload["url"].rpartition("/")[2][:-1]):
        assert author_copy.reminder_by_cancel_token(wrong) is None
    reminders.cancel_reminder(made, hanako, clock.now())
    assert Letter.get_by_id(copy.id).state == "cancelled"


def test_most_of_all_wants_its_number_though_no_list_is_the_whole_school(school, monkeypatch):
    """X-06: classes put together are the whole school under another name."""
    monkeypatch.setattr(audience, "MIN_FOR_MAJORITY", 3)
    mamoru = school.users["守"]
    sent = cast_notices.send([school.lists["1-1"], school.lists["2-1"]], by=mamoru)
    readers = find_recipients(sent.notice, clock.now())
    assert reminders.needs_typed_count(sent.notice, readers) and not reminders.needs_typed_count(
        sent.notice, readers[:3]
    )
    with pytest.raises(WrongLetterCount):
        reminders.request_reminder(sent.notice, mamoru, clock.now())


def test_the_copy_has_the_buttons_that_families_get(sent, hanako):
    """Decision 10: what goes out, also its HTML part."""
    cast_notices.ask(type("Sent", (), {"notice": sent})())
    reminders.request_reminder(sent, hanako, clock.now())
    raw = rendering.RenderCache(load_settings()).render(Letter.get(Letter.kind == "own-again"), False, clock.now())
    mail = email.message_from_bytes(raw, policy=policy.default)
    text, page = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "再送の取り消しはこちら" in text and "再送の取り消しはこちら" in page
    assert page.count('class="choice"') >= 3 and f"/a/{rendering.PLACEHOLDER_TOKEN}/1" in page
