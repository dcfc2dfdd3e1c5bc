"""HTML letters from the draft to the bytes (X-15; decision 10): cleaned, with a complete text part, pictures inside."""

import email
import os
import stat
import struct
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.policy import default as policy

import pytest

import clock
from core.notices import (
    approval,
    attachments,
    audience,
    author_copy,
    content_checks,
    drafts,
    html_body,
    related_notices,
    rendering,
    templates,
    tracking_options,
)
from core.notices.file_types import UnfitFile
from core.responses import read_confirmations
from core.settings import load_settings
from models import Delivery, Letter, Notice, Wording
from tests import files, smarthost
from tests.smarthost import begun, drained

NOW = datetime(2026, 10, 14, 6, 0, tzinfo=UTC)
HTML = (
    '<div onclick="x()">{{<b>氏</b>名}}様<br><strong>水筒</strong>をお持ちください。'
    '<a href="https://school.example/a">くわしく</a></div><script>alert(1)</script>'
)


@pytest.fixture
def draft(school):
    made = drafts.create_draft(school.users["花子"], now=NOW)
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=NOW)
    drafts.save_draft(made, subject="遠足", html=HTML, now=NOW)
    return made


def decorated(notice):
    return Wording.get(Wording.notice == notice)


def parts(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=policy)


def first_letter(notice):
    reader = audience.resolve_audience(notice).receiving[0]
    return rendering.preview_letter(notice, reader, load_settings(), NOW)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_kept_is_clean_and_its_text_is_made_from_it(draft):
    kept = decorated(draft)
    assert kept.decorated and kept.html == (
        '<div>{{氏名}}様<br><strong>水筒</strong>をお持ちください。<a href="https://school.example/a">くわしく</a></div>'
    )
    assert kept.text == "{{氏名}}様\n水筒をお持ちください。くわしく\nhttps://school.example/a\n"


def test_a_short_text_may_not_make_a_huge_letter():
    """Each change of the look writes the address of the link once more."""
    href = f"https://a.example/{'a' * 1900}"
    assert html_body.is_too_long(f'<a href="{href}">' + "x<b>y</b>" * 5000 + "</a>", "ja")
    assert not html_body.is_too_long(f'<a href="{href}">' + "x<b>y</b>" * 20 + "</a>", "ja")


def test_plain_words_again_and_back(draft):
    """Decoration that was switched off by mistake comes back, as long as the words are the same."""
    before = decorated(draft)
    drafts.save_draft(draft, text=before.text, now=NOW)
    plain = decorated(draft)
    assert not plain.decorated and plain.text == before.text and html_body.html_of(plain) == ""
    assert html_body.initial_html(plain, "ja") == before.html
    drafts.save_draft(draft, text="別の文\n2行目 <b>", now=NOW)
    assert html_body.initial_html(decorated(draft), "ja") == "<div>別の文<br>2行目 &lt;b&gt;</div>"


def test_corrections_and_latest_news_carry_it_and_an_apology_does_not(school, draft):
    for verb in (related_notices.create_correction, related_notices.create_update):
        fresh = decorated(verb(draft, school.users["花子"], NOW))
        assert fresh.decorated and fresh.html == decorated(draft).html and fresh.text == decorated(draft).text
    sorry = decorated(related_notices.create_apology(draft, school.users["花子"], NOW))
    assert not sorry.decorated and sorry.html == ""


@pytest.mark.proves("X-15")
def test_a_sample_keeps_it_and_begins_a_notice_with_it(school, draft):
    row = templates.add_template(school.users["花子"], templates.content_from_notice(draft, "遠足"), None)
    said = templates.template_content(row)
    assert said.html == decorated(draft).html and row.text == decorated(draft).text
    fresh = templates.start_notice(templates.TemplateChoice("own-1", said, row=row), school.users["花子"], NOW)
    assert decorated(fresh).decorated and decorated(fresh).html == said.html


def test_a_change_of_looks_alone_asks_the_second_person_anew(draft):
    found = audience.resolve_audience(draft)
    before = approval.content_fingerprint(draft, found)
    drafts.save_draft(draft, html=HTML.replace("strong", "em"), now=NOW)
    assert approval.content_fingerprint(Notice.get_by_id(draft.id), found) != before


# ── before it goes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_warnings_and_gaps_read_the_words_not_the_tags(school, draft):
    drafts.save_draft(draft, html="<div>10月<b>14</b>日(金)に<i>添</i>付のとおり</div>", now=NOW)
    kinds = {one.kind for one in content_checks.collect_warnings(draft, audience.resolve_audience(draft), NOW)}
    assert {"weekday", "no_file"} <= kinds
    drafts.save_draft(draft, html="<div>{{名<b>札</b>}}</div>", now=NOW)
    assert "名札" in str(content_checks.find_missing(draft, audience.resolve_audience(draft))["text"].values)
    drafts.save_draft(draft, html="<div><br></div><ul><li></li></ul>", now=NOW)
    assert content_checks.find_missing(draft, audience.resolve_audience(draft))["text"] == "Write the text."


def test_a_picture_needs_words_unless_it_is_urgent(draft):
    mark = html_body.add_image("地図.png", files.png())
    drafts.save_draft(draft, html=f'<div>地図<img src="cid:{mark}"></div>', now=NOW)
    found = audience.resolve_audience(draft)
    assert content_checks.find_missing(draft, found)["text"] == html_body.MISSING_ALT_TEXT
    drafts.save_draft(draft, urgent=True, now=NOW)
    assert "text" not in content_checks.find_missing(draft, found)
    drafts.save_draft(draft, urgent=False, html=f'<div>地図<img src="cid:{mark}" alt="校門"></div>', now=NOW)
    assert "text" not in content_checks.find_missing(draft, found) and decorated(draft).text == "地図\n［画像：校門］\n"


def test_a_picture_among_few_words_is_told(draft):
    """Some do not see it, and filters take it for an advertisement (X-08)."""
    mark = html_body.add_image("地図.png", files.png())
    picture = f'<div><img src="cid:{mark}" alt="{"とても長い説明です。" * 9}"></div>'
    for words, told in (("ご覧ください。", True), ("運動会は10月24日(土) 9:00から校庭で行います。" * 3, False)):
        drafts.save_draft(draft, html=f"<div>{words}</div>{picture}", now=NOW)
        kinds = {one.kind for one in content_checks.collect_warnings(draft, audience.resolve_audience(draft), NOW)}
        assert ("picture" in kinds) == told
    drafts.save_draft(draft, html="<div>短い</div>", now=NOW)
    assert "picture" not in {
        one.kind for one in content_checks.collect_warnings(draft, audience.resolve_audience(draft), NOW)
    }


def test_pictures_may_not_be_too_heavy(draft, monkeypatch):
    mark = html_body.add_image("地図.png", files.png())
    drafts.save_draft(draft, html=f'<div>地図<img src="cid:{mark}" alt="校門"></div>', now=NOW)
    monkeypatch.setattr(html_body, "MAX_TOTAL_BYTES", 10)
    assert content_checks.find_missing(draft, audience.resolve_audience(draft))["text"] == html_body.IMAGES_TOO_LARGE
    monkeypatch.setattr(html_body, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(UnfitFile, match="a picture in a letter may have"):
        html_body.add_image("別の地図.png", files.png())


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (0, 0), (0x7FFFFFFF, 1)])
def test_a_picture_does_not_unfold_to_gigabytes_on_phones(config, width, height):
    bomb = files.png().replace(struct.pack(">II", 1, 1), struct.pack(">II", width, height), 1)
    with pytest.raises(UnfitFile, match="dots"):
        html_body.add_image("bomb.png", bomb)
    wide = struct.pack(">HH", min(width, 60_000), min(height, 60_000))
    with pytest.raises(UnfitFile, match="dots") if width != 0x7FFFFFFF else nullcontext():
        html_body.add_image("bomb.jpg", files.jpeg().replace(b"\x08\0\1\0\1", b"\x08" + wide, 1))


def test_a_photo_loses_where_it_was_taken_and_lies_closed(config):
    mark = html_body.add_image("photo.jpg", files.jpeg(files.exif()))
    path = html_body.image_path(mark)
    assert files.SECRET not in path.read_bytes() and html_body.media_type_of(path) == "image/jpeg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert html_body.add_image("again.jpg", files.jpeg(files.exif())) == mark


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("a.png", b"<html><script>alert(1)</script>"),
        ("a.webp", files.webp()),
        ("a.pdf", files.PDF),
        ("a.gif", b"GIF89a" + bytes(20)),
        ("a.png", b""),
    ],
)
def test_what_is_no_picture_is_not_taken(config, name, content):
    with pytest.raises(UnfitFile):
        html_body.add_image(name, content)
    assert not list(html_body.images_dir().iterdir())


@pytest.mark.parametrize("mark", ["../kairan.db", "p-" + "A" * 32, "p-" + "a" * 31, ".", ""])
def test_a_mark_leads_nowhere_else(config, mark):
    assert html_body.image_path(mark) is None


def test_words_can_only_show_pictures_that_are_kept(draft):
    drafts.save_draft(draft, html=f'<div>図<img src="cid:p-{"a" * 32}" alt="x"></div>', now=NOW)
    assert "img" not in decorated(draft).html


def test_pictures_go_when_no_words_hold_them(school, draft):
    used, unused, kept = (
        html_body.add_image("a.png", files.png(files.chunk(b"gAMA", bytes([0, 0, 0, n])))) for n in (1, 2, 3)
    )
    drafts.save_draft(draft, html=f'<div>図<img src="cid:{used}" alt="x"></div>', now=NOW)
    templates.add_template(
        school.users["花子"], templates.TemplateContent("図", "図", "", html=f'<img src="cid:{kept}" alt="y">'), None
    )
    assert html_body.delete_unused_images(NOW) == 0
    for one in html_body.images_dir().iterdir():
        os.utime(one, (time.time() - 2 * html_body.UPLOAD_GRACE_S,) * 2)
    assert html_body.delete_unused_images(NOW) == 1 and html_body.image_path(used) and not html_body.image_path(unused)
    Notice.update(started_at=NOW - timedelta(days=900)).where(Notice.id == draft.id).execute()
    assert html_body.delete_unused_images(NOW) == 1 and not html_body.image_path(used) and html_body.image_path(kept)


# ── the letter ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-16", "X-15", "E-01")
def test_a_letter_carries_both_parts_and_its_pictures(school):
    """T-16: the text part alone says everything; the HTML loads nothing from elsewhere."""
    mark = html_body.add_image("地図.png", files.png())
    html = HTML + f'<figure><img src="/notices/1/pictures/{mark}"><figcaption>校門までの地図</figcaption></figure>'
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        begun(school.users["花子"], [school.lists["1-1"]], html=html)
        assert drained()
    mail = parts(host.mails[0][2])
    assert mail.get_content_type() == "multipart/alternative"
    plain, related = mail.get_payload()
    assert (plain.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    page, picture = related.get_payload()
    text = plain.get_content()
    assert "水筒をお持ちください。くわしく\nhttps://school.example/a\n" in text.replace("\r\n", "\n")
    assert "［画像：校門までの地図］" in text and "{{" not in text + page.get_content()
    assert picture["Content-ID"] == f"<{mark}@mail.school.example>" and picture.get_content() == files.png()
    assert f'src="cid:{mark}@mail.school.example"' in page.get_content() and "alert" not in page.get_content()
    assert "見ました</a>" in page.get_content() and 'style="' in page.get_content()
    assert all(len(line) <= 76 for part in (plain, page, picture) for line in part.get_payload().splitlines())


def test_files_inside_stand_around_it(school):
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        notice = smarthost.written(school.users["花子"], [school.lists["1-1"]], html=HTML, files_inside=True)
        made = attachments.add_file(notice, "しおり.pdf", files.PDF, None, clock.now())
        attachments.mark_previewed(made, school.users["花子"], clock.now())
        smarthost.confirmed(notice, school.users["花子"])
        Notice.update(send_at=clock.now()).where(Notice.id == notice.id).execute()
        assert drained()
    kinds = [part.get_content_type() for part in parts(host.mails[0][2]).walk()]
    assert kinds == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf"]


def test_a_text_letter_stays_text_alone(school):
    """Decision 10: text alone is the default."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        begun(school.users["花子"], [school.lists["1-1"]])
        assert drained()
    assert {parts(raw).get_content_type() for _, _, raw, _ in host.mails} == {"text/plain"}


def test_links_are_counted_by_their_words(draft):
    drafts.save_draft(draft, tracking={"clicks": True}, now=NOW)
    draft = Notice.get_by_id(draft.id)
    assert tracking_options.tracked_urls(draft) == ("https://school.example/a",)
    shown = first_letter(draft)
    assert "/c/" in shown.html and ">くわしく</a>" in shown.html and "https://school.example/a" not in shown.html
    assert "https://school.example/a" in shown.text


def test_the_writers_copy_and_the_test_show_it_below_their_own_words(school, draft):
    letter = author_copy.send_test(draft, school.users["花子"], NOW)
    raw = parts(rendering.RenderCache(load_settings()).render(Letter.get_by_id(letter.id), False, NOW))
    page = raw.get_body(("html",)).get_content()
    assert page.index("テスト") < page.index("水筒") and "<strong>水筒</strong>" in page and page.count("<body") == 1
    assert "水筒をお持ちください" in raw.get_body(("plain",)).get_content()
    drafts.save_draft(draft, text="文字だけ", now=NOW)
    plain = author_copy.send_test(draft, school.users["花子"], NOW)
    again = parts(rendering.RenderCache(load_settings()).render(Letter.get_by_id(plain.id), False, NOW))
    assert again.get_content_type() == "text/plain"


def test_the_readers_page_has_the_same_words(school):
    mark = html_body.add_image("地図.png", files.png())
    notice = begun(
        school.users["花子"], [school.lists["1-1"]], html=f'{HTML}<div><img src="cid:{mark}" alt="図"></div>'
    )
    delivery = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").first()
    words = read_confirmations.letter_text(delivery, lambda one: f"/r/x/{one}")
    assert "<strong>水筒</strong>" in words.html and "{{" not in words.html and f'src="/r/x/{mark}"' in words.html
