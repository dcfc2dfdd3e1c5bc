"""HTML letters on the pages (X-15): written without script, looked at three ways, read, and never anybody else's."""

import io
import re
from datetime import timedelta

import pytest

import clock
from cli.work import open_worker
from core.notices import drafts, html_body, workflow
from models import Delivery, Notice, NoticeTemplate, Wording
from tests import files
from tests.web.notice_factory import get_page, start_notice

HTML = '<div>{{氏名}}様<br><strong>水筒</strong><img src=x onerror="alert(1)"></div>'


def written(school, **fields):
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="遠足", now=clock.now(), **(fields or {"html": HTML}))
    return Notice.get_by_id(made.id)


def words(notice):
    return Wording.get(Wording.notice == notice)


def post(browser, notice, verb="", headers=None, **fields):
    data = {
        "subject": "遠足",
        "read_confirmation": "y",
        "footer": "y",
        "skip_missing": "y",
        "useful_s": "0",
        "remind": "0x1",
        **fields,
    }
    return browser.post(
        f"/notices/{notice.id}/words{verb}", data=data, content_type="multipart/form-data", headers=headers
    )


def test_text_is_the_ordinary_way_and_no_editor_is_loaded(as_, school):
    shown = get_page(as_("花子"), f"/notices/{written(school, text='水筒').id}/words")
    assert 'name="text"' in shown and 'name="html"' not in shown and "trix" not in shown
    assert "見出しや太字、画像を使う" in shown


def test_the_page_is_loaded_again_although_it_leads_to_a_place_on_itself(as_, school):
    """A browser only scrolls to a place of the page that it is on, so htmx is told to load it again."""
    notice, browser = written(school, text="水筒"), as_("花子")
    here = f"http://localhost/notices/{notice.id}/words"
    htmx = {"HX-Request": "true", "HX-Current-URL": here}
    answer = post(browser, notice, "/rich-text", headers=htmx, text="水筒")
    assert answer.headers["HX-Redirect"].endswith("/words#body") and answer.headers["HX-Refresh"] == "true"
    other = {**htmx, "HX-Current-URL": here.replace("words", "check")}
    answer = post(browser, notice, "/plain-text", headers=other, html="<div>水筒</div>")
    assert answer.headers["HX-Redirect"].endswith("/words#body") and "HX-Refresh" not in answer.headers


@pytest.mark.proves("X-15")
def test_decoration_is_switched_on_and_off_and_nothing_typed_is_lost(as_, school):
    notice, browser = written(school, text="古い文"), as_("花子")
    assert post(browser, notice, "/rich-text", text="水筒を\nお持ちください").status_code == 303
    assert words(notice).decorated and words(notice).html == "<div>水筒を<br>お持ちください</div>"
    shown = get_page(browser, f"/notices/{notice.id}/words")
    assert 'name="html"' in shown and 'name="text"' not in shown and "水筒を<br>お持ちください" in shown
    post(browser, notice, html="<div><b>水筒</b>を</div>")
    post(browser, notice, "/plain-text", html="<div><b>水筒</b>を持つ</div>")
    assert not words(notice).decorated and words(notice).text == "水筒を持つ\n"
    post(browser, notice, "/rich-text", text="水筒を持つ\n")
    assert words(notice).html == "<div><strong>水筒</strong>を持つ</div>"


def test_hostile_words_are_clean_in_the_draft_the_frame_and_the_readers_page(as_, school, client):
    notice, browser = written(school, text="x"), as_("花子")
    post(browser, notice, html=HTML + "<script>alert(2)</script><style>a{}</style><svg onload=alert(3)>")
    assert "alert" not in words(notice).html and "<strong>水筒</strong>" in words(notice).html
    frame = browser.get(f"/notices/{notice.id}/check/buttons")
    assert "alert" not in frame.get_data(as_text=True)
    assert "sandbox" in frame.headers["Content-Security-Policy"]
    assert "script" not in frame.headers["Content-Security-Policy"]


def test_too_long_words_are_refused_with_everything_typed(as_, school):
    notice, browser = written(school), as_("花子")
    answer = post(browser, notice, html="<div>" + "あ" * 50_001 + "</div>")
    assert answer.status_code == 422 and "50,000文字" in answer.get_data(as_text=True)
    assert "あ" * 1000 in answer.get_data(as_text=True) and "水筒" in words(notice).text
    assert post(browser, notice, html="<b>" * 25_000).status_code == 422


def test_another_window_is_never_overwritten_unasked(as_, school):
    notice, browser = written(school), as_("花子")
    seen = re.search(r'name="seen" value="(\d+)"', get_page(browser, f"/notices/{notice.id}/words"))[1]
    Notice.update(updated_at=clock.now() + timedelta(seconds=3)).where(Notice.id == notice.id).execute()
    assert post(browser, notice, html=words(notice).html, seen=seen).status_code == 303  # the same words
    Notice.update(updated_at=clock.now() + timedelta(seconds=9)).where(Notice.id == notice.id).execute()
    answer = post(browser, notice, html="<div>別の文</div>", seen=seen)
    assert answer.status_code == 422 and "別の文" in answer.get_data(as_text=True)
    assert "水筒" in words(notice).text
    assert post(browser, notice, text="文字だけ", seen=seen).status_code == 422


def test_a_picture_without_script_goes_behind_the_words(as_, school):
    notice, browser = written(school), as_("花子")
    chosen = {"picture": (io.BytesIO(files.png()), "地図.png"), "alt": '校門の"地図"'}
    assert post(browser, notice, "/images", html=words(notice).html, **chosen).status_code == 303
    assert '<img src="cid:p-' in words(notice).html and 'alt="校門の&quot;地図&quot;"' in words(notice).html
    post(browser, notice, "/images", html=words(notice).html, picture=(io.BytesIO(b"<svg>"), "a.svg"))
    assert words(notice).html.count("<img") == 1
    assert "a.svg" in get_page(browser, f"/notices/{notice.id}/words")


def test_the_editor_puts_a_picture_in_by_itself(as_, school):
    notice, browser = written(school), as_("花子")
    answer = browser.post(f"/notices/{notice.id}/pictures", data={"picture": (io.BytesIO(files.png()), "a.png")})
    mark = answer.get_json()["mark"]
    assert answer.get_json()["url"] == f"/notices/{notice.id}/pictures/{mark}"
    got = browser.get(f"/notices/{notice.id}/pictures/{mark}", buffered=True)
    assert (
        got.data == files.png() and got.mimetype == "image/png" and "sandbox" in got.headers["Content-Security-Policy"]
    )
    wrong = browser.post(f"/notices/{notice.id}/pictures", data={"picture": (io.BytesIO(b"<svg>"), "a.svg")})
    assert wrong.status_code == 422 and "a.svg" in wrong.get_json()["wrong"]
    assert browser.post(f"/notices/{notice.id}/pictures").status_code == 422


def test_pictures_of_others_are_not_found(as_, school, client):
    mark = html_body.add_image("a.png", files.png())
    notice = written(school, html=f'<div>図<img src="cid:{mark}" alt="図"></div>')
    for browser in (as_("太郎"), client):
        assert browser.get(f"/notices/{notice.id}/pictures/{mark}").status_code in (302, 404)
        assert browser.post(f"/notices/{notice.id}/pictures").status_code in (302, 404)
    assert as_("花子").get(f"/notices/{notice.id}/pictures/p-{'b' * 32}").status_code == 404
    sent = start_notice(school, html="<div>図なし</div>")
    assert as_("花子").get(f"/notices/{sent.id}/pictures/{mark}").status_code == 404


def test_the_check_page_shows_it_on_a_phone_in_the_dark_and_as_text(as_, school):
    mark = html_body.add_image("a.png", files.png())
    notice = written(school, html=f'{HTML}<div><img src="cid:{mark}" alt="地図"></div>')
    browser, where = as_("花子"), f"/notices/{notice.id}/check"
    shown = get_page(browser, where)
    assert f"{where}/buttons?look=phone" in shown and "暗い画面" in shown and "<iframe" in shown
    assert f"{where}/buttons?look=dark" in get_page(browser, f"{where}?look=dark")
    text = get_page(browser, f"{where}?look=text&as=1")
    assert "<iframe" not in text and "［画像：地図］" in text and "look=text" in text
    frame = browser.get(f"{where}/buttons?look=phone").get_data(as_text=True)
    assert "data:image/png;base64," in frame and "cid:" not in frame and "prefers-color-scheme:dark" in frame
    dark = browser.get(f"{where}/buttons?look=dark").get_data(as_text=True)
    assert "@media all{.mail{background" in dark
    part = browser.get(f"{where}/letter?look=dark", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert part.lstrip().startswith('<div class="part" id="as">') and "look=dark" in part
    plain = written(school, text="水筒")
    assert "暗い画面" not in get_page(browser, f"/notices/{plain.id}/check")


def test_a_sent_one_is_shown_as_it_was_and_its_reader_sees_it(as_, school, client):
    mark = html_body.add_image("a.png", files.png())
    notice = start_notice(school, html=f'{HTML}<h1>持ち物</h1><div><img src="cid:{mark}" alt="地図"></div>')
    browser = as_("花子")
    assert f"/notices/{notice.id}/letter" in get_page(browser, f"/notices/{notice.id}/text")
    assert "<strong>水筒</strong>" in get_page(browser, f"/notices/{notice.id}/letter")
    token = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").first().token
    shown = get_page(client, f"/r/{token}")
    assert (
        "<strong>水筒</strong>" in shown
        and "<h2>持ち物</h2>" in shown
        and "style=" not in shown.split('class="rich"')[1][:300]
    )
    assert f'src="/r/{token}/pictures/{mark}" alt="地図" loading="lazy"' in shown
    assert client.get(f"/r/{token}/pictures/{mark}", buffered=True).data == files.png()
    assert client.head(f"/r/{token}/pictures/{mark}").status_code == 204
    assert client.get(f"/r/{token}/pictures/p-{'b' * 32}").status_code == 404
    assert client.get(f"/r/{'2' * 26}/pictures/{mark}").status_code == 404
    workflow.withdraw_notice(notice, school.users["花子"], clock.now())
    assert client.get(f"/r/{token}/pictures/{mark}").status_code == 404
    assert "水筒" not in get_page(client, f"/r/{token}", 410)


def test_a_sample_is_changed_without_losing_its_looks(as_, school):
    notice, browser = written(school), as_("花子")
    kept = words(notice).html
    shown = get_page(browser, f"/samples/new?notice={notice.id}")
    assert 'name="html"' in shown and kept.replace("<", "<") in shown
    data = {
        "name": "遠足",
        "list": school.lists["1-1"].id,
        "subject": "遠足",
        "html": kept,
        "read_confirmation": "y",
        "kind": "other",
    }
    assert browser.post("/samples/new", data=data).status_code == 303
    row = NoticeTemplate.get(NoticeTemplate.name == "遠足")
    assert row.decorated and row.html == kept and "水筒" in row.text
    assert 'name="html"' in get_page(browser, f"/samples/own-{row.id}/edit")
    browser.post(f"/samples/own-{row.id}/edit", data={**data, "html": "<script>alert(1)</script>"})
    assert NoticeTemplate.get_by_id(row.id).html == kept  # an empty body is refused


def test_the_editor_alone_may_write_styles_and_is_loaded_where_it_is_wanted(as_, school):
    """The strict policy stays; a word that only this page knows opens it for the editor's own style sheets."""
    notice, browser = written(school), as_("花子")
    answer = browser.get(f"/notices/{notice.id}/words")
    policy, shown = answer.headers["Content-Security-Policy"], answer.get_data(as_text=True)
    nonce = re.search(r"style-src 'self' 'nonce-([\w-]{20,})'", policy)[1]
    assert f'content="{nonce}"' in shown and "trix.umd.min.js" in shown and "unsafe" not in policy
    assert nonce not in browser.get(f"/notices/{notice.id}/words").headers["Content-Security-Policy"]
    for where in ("/", f"/notices/{written(school, text='水筒').id}/words", f"/notices/{notice.id}/check"):
        other = browser.get(where)
        assert "nonce" not in other.headers["Content-Security-Policy"] and "trix" not in other.get_data(as_text=True)


def test_pictures_of_samples_are_shown_to_who_may_begin_from_them(as_, school):
    mark = html_body.add_image("a.png", files.png())
    row = NoticeTemplate.create(
        name="図", subject="図", text="図", html=f'<img src="cid:{mark}" alt="図">', decorated=True
    )
    NoticeTemplate.update(list=school.lists["1-1"]).where(NoticeTemplate.id == row.id).execute()
    assert as_("花子").get(f"/samples/pictures/{mark}", buffered=True).data == files.png()
    assert as_("太郎").get(f"/samples/pictures/{mark}").status_code == 404
    assert as_("花子").get(f"/samples/pictures/p-{'b' * 32}").status_code == 404


def test_a_practice_letter_shows_its_pictures_in_the_outbox(as_, school, config):
    """A newcomer sees the whole letter on a laptop with nothing else installed (design 4)."""
    mark = html_body.add_image("a.png", files.png())
    start_notice(school, html=f'<div>図<img src="cid:{mark}" alt="図"></div>')
    sender = open_worker()
    assert sender.drain()
    sender.close()
    name = sorted(path.name for path in (config.data / "outbox").glob("*.eml"))[0]
    browser = as_("守")
    shown = browser.get(f"/outbox/{name}/html").get_data(as_text=True)
    assert "data:image/png;base64," in shown and "cid:" not in shown
