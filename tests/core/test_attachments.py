"""Files of a notice: kept, looked at, opened, withdrawn, closed (decision 12; X-01, X-03, X-05)."""

import email
import os
import stat
from datetime import UTC, datetime, timedelta
from email import policy

import pytest

import clock
from core import settings
from core.errors import AttachmentNotOpened, NotADraft
from core.notices import approval, attachments, audience, author_copy, drafts, rendering
from core.notices.file_types import UnfitFile
from core.responses import read_confirmations
from models import Attachment, AttachmentView, Notice
from tests import cast_notices, files

NOW = datetime(2026, 10, 14, 6, 0, tzinfo=UTC)


@pytest.fixture
def draft(school):
    made = drafts.create_draft(school.users["花子"], now=NOW)
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=NOW)
    drafts.save_draft(made, subject="遠足", text="遠足に行きます。添付をご覧ください。", now=NOW)
    return made


def add(notice, name="しおり.pdf", content=files.PDF, by=None, now=NOW):
    return attachments.add_file(notice, name, content, by, now)


def test_a_file_lies_alone_under_a_name_nobody_guesses(draft):
    made = add(draft)
    path = attachments.existing_path(made)
    assert path.read_bytes() == files.PDF and made.name not in path.name and len(path.name) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_same_file_twice_is_one_and_two_of_one_name_are_told_apart(draft):
    """A double tap on a slow line sends the same file again."""
    first, again = add(draft), add(draft)
    other = add(draft, content=files.PDF + b"%")
    assert first.id == again.id and other.name == "しおり (2).pdf"
    assert len(os.listdir(attachments.attachments_dir())) == 2


def test_sizes_and_numbers_are_capped_with_a_sentence(draft, monkeypatch):
    monkeypatch.setattr(attachments, "MAX_FILE_BYTES", 100)
    with pytest.raises(UnfitFile, match="larger than"):
        add(draft, content=files.PDF + bytes(200))
    monkeypatch.setattr(attachments, "MAX_NOTICE_BYTES", 2 * len(files.PDF))
    add(draft)
    with pytest.raises(UnfitFile, match="together"):
        add(draft, content=files.PDF + b"%%")
    monkeypatch.setattr(attachments, "MAX_FILES", 1)
    with pytest.raises(UnfitFile, match="at most"):
        add(draft, content=files.PDF + b"%")
    assert len(os.listdir(attachments.attachments_dir())) == 1


def test_a_confirmed_notice_takes_and_loses_no_file(draft, school):
    made = add(draft, by=school.users["花子"])
    Notice.update(state="held").where(Notice.id == draft.id).execute()
    for act in (lambda: add(draft, content=files.PDF + b"%"), lambda: attachments.remove_file(made, NOW)):
        with pytest.raises(NotADraft):
            act()
    assert attachments.files_of_notice(draft).count() == 1 and len(os.listdir(attachments.attachments_dir())) == 1


def confirm(draft, by):
    mark = audience.resolve_audience(draft).fingerprint
    return approval.confirm_send(draft, by=by, fingerprint=mark, now=NOW)


@pytest.mark.proves("X-01")
def test_each_file_is_opened_by_who_sends_before_it_goes(draft, school):
    """X-01, field 5.3 no. 2: the wrong file was attached although somebody had approved."""
    hanako, made = school.users["花子"], add(draft)
    attachments.mark_previewed(made, school.users["送る子"], NOW)
    with pytest.raises(AttachmentNotOpened) as refused:
        confirm(draft, hanako)
    assert refused.value.values == {"names": "しおり.pdf"}
    attachments.mark_previewed(made, hanako, NOW)
    attachments.mark_previewed(made, hanako, NOW)
    assert confirm(draft, hanako).state == "held"


def test_an_urgent_notice_waits_for_nobody_to_look(draft, school):
    """Law 7."""
    add(draft)
    drafts.save_draft(draft, urgent=True, now=NOW)
    assert confirm(draft, school.users["花子"]).state == "held"


def test_a_file_looked_at_and_changed_is_looked_at_again(draft, school):
    hanako, made = school.users["花子"], add(draft)
    attachments.mark_previewed(made, hanako, NOW)
    attachments.remove_file(made, NOW)
    add(draft, content=files.PDF + b"%")
    assert [one.name for one in attachments.unpreviewed_files(draft, hanako)] == ["しおり.pdf"]


@pytest.mark.parametrize("asks", [True, False])
def test_the_letter_names_the_files_and_leads_to_them_once(draft, asks):
    add(draft)
    drafts.save_draft(draft, read_confirmation=asks, now=NOW)
    reader = audience.resolve_audience(draft).receiving[0]
    text = rendering.preview_letter(draft, reader, settings.load_settings(), NOW).text
    assert "【添付ファイル】\n- しおり.pdf (1 KB)\n" in text
    assert text.count("/r/") == 1


# ── after it was sent ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=NOW)
    Notice.update(state="draft").where(Notice.id == made.notice.id).execute()
    add(made.notice)
    Notice.update(state="sent").where(Notice.id == made.notice.id).execute()
    return made


def test_openings_are_counted_once_for_each_reader(sent):
    (made,) = attachments.files_of_notice(sent.notice)
    kenta, misaki = sent.deliveries["青山 健太"], sent.deliveries["青山 美咲"]
    assert attachments.record_view(kenta, made, NOW) and not attachments.record_view(kenta, made, NOW)
    attachments.record_view(misaki, made, NOW)
    assert attachments.view_counts(sent.notice) == {made.id: 2}
    assert [one.attachment.name for one in attachments.views_by_delivery([kenta.id])[kenta.id]] == ["しおり.pdf"]


def test_a_withdrawn_file_is_closed_and_the_notice_stays(sent, school):
    """X-03."""
    (made,) = attachments.files_of_notice(sent.notice)
    attachments.withdraw_file(made, school.users["花子"], NOW)
    assert attachments.files_for_readers(sent.notice, NOW) == []
    assert not read_confirmations.is_page_closed(sent.deliveries["青山 健太"])
    assert attachments.existing_path(attachments.files_of_notice(sent.notice).get()) is not None
    with pytest.raises(attachments.AlreadyWithdrawn):
        attachments.withdraw_file(made, school.users["花子"], NOW)


@pytest.mark.proves("X-03")
@pytest.mark.parametrize(
    ("begun", "closes"),
    [
        (datetime(2026, 10, 14, tzinfo=UTC), datetime(2027, 3, 31, 15, tzinfo=UTC)),
        (datetime(2027, 3, 30, tzinfo=UTC), datetime(2027, 4, 29, tzinfo=UTC)),
        (datetime(2027, 3, 31, 16, tzinfo=UTC), datetime(2028, 3, 31, 15, tzinfo=UTC)),
    ],
)
def test_files_close_with_the_school_year(sent, begun, closes):
    """Decision 12; what was sent in the last days of March stays open for thirty days."""
    sent.notice.started_at = begun
    assert attachments.closes_at(sent.notice) == closes
    assert len(attachments.files_for_readers(sent.notice, closes - timedelta(seconds=1))) == 1
    assert attachments.files_for_readers(sent.notice, closes) == []


def test_what_nobody_needs_is_deleted_and_nothing_else(sent, draft, school):
    kept, dropped = attachments.files_of_notice(sent.notice).get(), add(draft, content=files.PDF + b"%")
    drafts.delete_draft(draft, school.users["花子"])
    assert attachments.delete_expired_files(clock.now()) == 0, "it may be an upload of this moment"
    for path in attachments.attachments_dir().iterdir():
        os.utime(path, (0, 0))
    assert attachments.delete_expired_files(clock.now()) == 1
    assert attachments.existing_path(kept) and attachments.existing_path(dropped) is None
    assert (
        attachments.delete_expired_files(
            attachments.closes_at(sent.notice) + attachments.DELETE_AFTER_CLOSE + timedelta(days=1)
        )
        == 1
    )
    assert Attachment.get_by_id(kept.id).file_deleted_at and AttachmentView.select().count() == 0


def test_files_go_inside_the_letters_if_they_are_small_and_still_open(sent, school, monkeypatch):
    """Decision 12. A sender that has prepared the letters looks again at each batch."""
    Notice.update(files_inside=True).where(Notice.id == sent.notice.id).execute()
    desk, letter = rendering.RenderCache(settings.load_settings()), sent.deliveries["青山 健太"].letters.get()
    assert b"filename*0*=" in desk.render(letter, False, NOW)
    (made,) = attachments.files_of_notice(sent.notice)
    attachments.withdraw_file(made, school.users["花子"], NOW)
    desk.evict_notices_with_files()
    assert b"filename" not in desk.render(letter, False, NOW)
    Attachment.update(withdrawn_at=None).execute()
    monkeypatch.setattr(attachments, "MAX_ENCLOSED_BYTES", 10)
    desk.evict_notices_with_files()
    raw = desk.render(letter, False, NOW)
    assert b"filename" not in raw and b"multipart" not in raw


@pytest.mark.parametrize(("most", "says", "count"), [(10**6, "URLの先の画面で開きます", 1), (10, "/notices/", 0)])
def test_own_copy_and_test_letter_show_the_files_as_they_go_out(draft, school, monkeypatch, most, says, count):
    """X-01: what is wrong with a file is seen before it goes, also on the phone that wrote the notice."""
    monkeypatch.setattr(attachments, "MAX_ENCLOSED_BYTES", most)
    hanako = school.users["花子"]
    made = add(draft)
    attachments.mark_previewed(made, hanako, NOW)
    test = author_copy.send_test(draft, hanako, NOW)
    own = author_copy.send_author_copy(confirm(draft, hanako), hanako, NOW)
    for letter in (test, own):
        raw = rendering.RenderCache(settings.load_settings()).render(letter, False, clock.now())
        mail = email.message_from_bytes(raw, policy=policy.default)
        assert says in mail.get_body(("plain",)).get_content()
        found = list(mail.iter_attachments()) if mail.is_multipart() else []
        assert [(one.get_filename(), one.get_content()) for one in found] == [("しおり.pdf", files.PDF)] * count


def test_the_copy_of_a_draft_that_was_thrown_away_has_no_file(draft, school):
    add(draft)
    letter = author_copy.send_test(draft, school.users["花子"], NOW)
    before = rendering.RenderCache(settings.load_settings()).render(letter, False, clock.now())
    assert b"multipart" in before
    drafts.delete_draft(draft, None)
    after = rendering.RenderCache(settings.load_settings()).render(letter, False, clock.now())
    assert b"Subject: " in after and b"multipart" not in after


@pytest.mark.proves("X-03")
def test_by_default_a_letter_carries_the_link_and_no_file(sent):
    notice = Notice.get_by_id(sent.notice.id)
    assert not notice.files_inside
    letter = sent.deliveries["青山 健太"].letters.get()
    raw = rendering.RenderCache(settings.load_settings()).render(letter, False, NOW)
    mail = email.message_from_bytes(raw, policy=policy.default)
    text = mail.get_body(("plain",)).get_content()
    assert "しおり.pdf" in text and "/r/" in text
    assert list(mail.iter_attachments()) == []
