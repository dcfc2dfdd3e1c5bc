"""Attachments on the pages: added, looked at, opened by readers, withdrawn (decision 12; X-01, X-03)."""

import io
import re
from datetime import timedelta

import pytest

import clock
from core.notices import attachments
from models import Attachment, AttachmentView, Notice
from tests import cast_notices, files
from tests.web.notice_factory import get_page
from tests.web.test_notices_check import draft_of, hidden

HTMX = {"HX-Request": "true"}
NEW = {"subject": "新", "text": "い", "useful_s": "0"}


@pytest.fixture
def hanako(as_):
    """花子 manages 1年1組."""
    return as_("花子")


@pytest.fixture
def draft(school):
    return draft_of(school, "花子", "1-1")


def upload(browser, draft, *chosen, headers=None, **form):
    data = {"file": [(io.BytesIO(content), name) for name, content in chosen], **form}
    return browser.post(f"/notices/{draft.id}/files", data=data, headers=headers or {})


def names(draft):
    return [one.name for one in attachments.files_of_notice(draft)]


def test_files_are_taken_as_soon_as_they_are_chosen(hanako, draft):
    answer = upload(hanako, draft, ("しおり.pdf", files.PDF), ("photo.jpg", files.jpeg(files.exif())), headers=HTMX)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200 and names(draft) == ["しおり.pdf", "photo.jpg"]
    assert 'id="files"' in text and 'id="saved" role="status" hx-swap-oob="true"' in text
    assert "撮影した場所や日時の情報は取り除きました" in text
    assert "photo.jpg" in get_page(hanako, f"/notices/{draft.id}/words"), "it survives a closed tab"


def test_the_mark_of_the_page_moves_along_unless_another_window_was_faster(hanako, draft):
    seen = re.search(r'name="seen" value="(\d+)"', get_page(hanako, f"/notices/{draft.id}/words"))[1]
    answer = upload(hanako, draft, ("a.pdf", files.PDF), headers=HTMX, seen=seen).get_data(as_text=True)
    fresh = re.search(r'name="seen" value="(\d+)"', answer)[1]
    saved = hanako.post(f"/notices/{draft.id}/words", data={**NEW, "seen": fresh}, headers=HTMX)
    assert saved.status_code == 200
    late = upload(hanako, draft, ("b.pdf", files.PDF + b"%"), headers=HTMX, seen=seen).get_data(as_text=True)
    assert f'name="seen" value="{seen}"' in late


def test_without_script_files_come_with_the_words_and_nothing_typed_is_lost(hanako, draft):
    data = {"useful_s": "0", "subject": "件名", "text": "本文です", "file": (io.BytesIO(files.PDF), "a.pdf")}
    assert hanako.post(f"/notices/{draft.id}/words/files", data=data).location.endswith("/words#files")
    data = {"useful_s": "0", "subject": "件名2", "text": "本文です", "file": (io.BytesIO(b"<html>"), "b.pdf")}
    answer = hanako.post(f"/notices/{draft.id}/words/next", data=data)
    assert answer.status_code == 422 and "中身が名前の末尾（.pdf）と合わない" in answer.get_data(as_text=True)
    assert Notice.get_by_id(draft.id).wording.subject == "件名2" and names(draft) == ["a.pdf"]
    (made,) = attachments.files_of_notice(draft)
    data = {"useful_s": "0", "subject": "件名3", "text": "本文です"}
    assert hanako.post(f"/notices/{draft.id}/words/files/{made.id}/remove", data=data).status_code == 303
    assert Notice.get_by_id(draft.id).wording.subject == "件名3" and names(draft) == []


def test_a_file_of_another_list_is_not_found(as_, draft, school):
    made = attachments.add_file(draft, "a.pdf", files.PDF, None, clock.now())
    taro = as_("太郎")
    for path in (f"/notices/{draft.id}/files/{made.id}", f"/notices/{draft.id}/files/{made.id + 1}"):
        assert taro.get(path).status_code == 404
    mine = draft_of(school, "太郎", "2-1")
    assert taro.get(f"/notices/{mine.id}/files/{made.id}").status_code == 404
    assert taro.post(f"/notices/{mine.id}/files/{made.id}/remove").status_code == 303 and names(draft) == ["a.pdf"]


@pytest.mark.proves("X-01")
def test_the_check_page_wants_each_file_opened(hanako, draft):
    """X-01: name, size, a button to open it; field 5.3 no. 2."""
    made = attachments.add_file(draft, "しおり.pdf", files.PDF, None, clock.now())
    address = f"/notices/{draft.id}/check"
    text = get_page(hanako, address)
    assert "しおり.pdf" in text and "1 KB" in text and 'hx-trigger="every 4s"' in text
    refused = hanako.post(address, data={**hidden(text), "at": ""})
    assert refused.status_code == 422 and "ファイルを一度開いて" in refused.get_data(as_text=True)
    assert hanako.get(f"{address}/files?seen=0", headers=HTMX).status_code == 204
    opened = hanako.post(f"/notices/{draft.id}/files/{made.id}/open", follow_redirects=True, buffered=True)
    assert opened.data == files.PDF and opened.headers["Content-Disposition"].startswith("attachment")
    assert "開いて確認済み" in hanako.get(f"{address}/files?seen=0", headers=HTMX).get_data(as_text=True)
    text = get_page(hanako, address)
    assert "開いて確認済み" in text and "every 4s" not in text
    assert hanako.post(address, data={**hidden(text), "at": ""}).status_code == 303


def test_a_file_added_in_another_tab_makes_the_check_page_old(hanako, draft):
    address = f"/notices/{draft.id}/check"
    shown = hidden(get_page(hanako, address))
    attachments.add_file(draft, "しおり.pdf", files.PDF, None, clock.now() + timedelta(seconds=1))
    assert hanako.post(address, data={**shown, "at": ""}).status_code == 422


@pytest.mark.parametrize(("name", "content", "inline"), [("a.png", files.png(), True), ("a.pdf", files.PDF, False)])
def test_files_are_sent_as_what_they_are(hanako, draft, name, content, inline):
    made = attachments.add_file(draft, name, content, None, clock.now())
    headers = hanako.get(f"/notices/{draft.id}/files/{made.id}?show=1", buffered=True).headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Content-Type"] == made.kind
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Content-Disposition"].startswith("inline" if inline else "attachment")
    plain = hanako.get(f"/notices/{draft.id}/files/{made.id}", buffered=True)
    assert plain.headers["Content-Disposition"].startswith("attachment")


def test_small_files_may_go_inside_the_letters(hanako, draft, monkeypatch):
    attachments.add_file(draft, "しおり.pdf", files.PDF, None, clock.now())
    assert 'name="files_inside"' in get_page(hanako, f"/notices/{draft.id}/words")
    hanako.post(f"/notices/{draft.id}/words", data={**NEW, "files_inside": "y"})
    assert Notice.get_by_id(draft.id).files_inside
    assert "届いたあとは取り下げられません" in get_page(hanako, f"/notices/{draft.id}/check")
    assert "このメールに付いています" in get_page(hanako, f"/notices/{draft.id}/check")
    monkeypatch.setattr(attachments, "MAX_ENCLOSED_BYTES", 10)
    assert 'name="files_inside"' not in get_page(hanako, f"/notices/{draft.id}/words")


# ── the reader's page ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    Attachment.create(
        notice=made.notice,
        name="しおり.pdf",
        kind="application/pdf",
        size=len(files.PDF),
        digest="x",
        file=attachments._store_content(files.PDF),
    )
    return made


def reader(client, sent, agent=cast_notices.PHONE):
    (made,) = attachments.files_of_notice(sent.notice)
    token = sent.deliveries["青山 健太"].token
    return f"/r/{token}", f"/r/{token}/file/{made.id}", {"User-Agent": agent}


def test_a_press_opens_and_counts_a_get_does_not(client, sent):
    """field 5.3 no. 10: scanners fetch what they find."""
    at, there, agent = reader(client, sent)
    assert "しおり.pdf" in client.get(at, headers=agent).get_data(as_text=True)
    got = client.get(there, headers=agent, buffered=True)
    assert got.data == files.PDF and got.headers["Content-Disposition"].startswith("attachment")
    assert client.head(there).status_code == 204 and AttachmentView.select().count() == 0
    pressed = client.post(there, headers=agent, follow_redirects=True, buffered=True)
    assert pressed.data == files.PDF and AttachmentView.select().count() == 1
    client.post(there, headers={"User-Agent": cast_notices.SCANNER})
    assert AttachmentView.select().count() == 1


@pytest.mark.proves("X-05")
def test_no_token_opens_the_file_of_another_notice(client, sent, school):
    """X-05."""
    other = cast_notices.send([school.lists["2-1"]])
    (made,) = attachments.files_of_notice(sent.notice)
    assert client.get(f"/r/{other.deliveries['加藤 誠'].token}/file/{made.id}").status_code == 410
    assert client.get(f"/r/{'a' * 26}/file/{made.id}").status_code == 404
    agent = {"User-Agent": cast_notices.PHONE}
    foreign = client.post(f"/r/{other.deliveries['加藤 誠'].token}/file/{made.id}", headers=agent)
    assert foreign.status_code == 410 and not AttachmentView.select().exists()
    own = client.post(
        f"/r/{sent.deliveries['青山 健太'].token}/file/{made.id}", headers=agent, follow_redirects=True, buffered=True
    )
    assert own.data == files.PDF and AttachmentView.select().count() == 1


@pytest.mark.proves("X-03")
def test_a_withdrawn_file_and_a_withdrawn_notice_are_closed(client, hanako, sent):
    """X-03."""
    at, there, _ = reader(client, sent)
    (made,) = attachments.files_of_notice(sent.notice)
    address = f"/notices/{sent.notice.id}/files/{made.id}/withdraw"
    assert "0人が開きました" in get_page(hanako, address)
    assert hanako.post(address).status_code == 303
    assert client.get(there).status_code == client.post(there).status_code == 410
    assert "しおり.pdf" not in get_page(client, at)
    assert "に取り下げ" in get_page(hanako, f"/notices/{sent.notice.id}/text")
    assert "ファイルを取り下げました" in get_page(hanako, f"/notices/{sent.notice.id}/record")
    Attachment.update(withdrawn_at=None).execute()
    assert client.get(there, buffered=True).status_code == 200
    Notice.update(state="withdrawn", withdrawn_at=clock.now()).execute()
    assert client.get(there).status_code == 410
