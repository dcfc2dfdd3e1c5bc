"""The readers' pages: no login, no cookie, no script, and robots that open everything (T-18, T-44, T-45, law 2, 3)."""

import html
import re
from datetime import timedelta

import pytest

import clock
from core.notices import rendering
from core.responses import read_confirmations
from models import AuditLog, Delivery, Letter, Membership, Notice, PageView, Person
from tests import cast_notices
from tests.cast_notices import OTHER_PHONE, PHONE, SCANNER, fresh, outcome

UNKNOWN = "a" * 26


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"])


@pytest.fixture
def hers(sent):
    return sent.deliveries["青山 美咲"]


@pytest.fixture
def reader(app):
    """A parent's phone."""
    browser = app.test_client()
    browser.environ_base["HTTP_USER_AGENT"] = PHONE
    return browser


@pytest.fixture
def scanner(app):
    browser = app.test_client()
    browser.environ_base["HTTP_USER_AGENT"] = SCANNER
    return browser


def page(answer) -> str:
    return answer.get_data(as_text=True)


# ── the notice ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_shows_the_notice_and_the_button_in_both_languages(reader, hers):
    """T-44, decision 14"""
    answer = reader.get(f"/r/{hers.token}")
    text = page(answer)
    assert answer.status_code == 200
    assert "青山 美咲 様" in text and "【緊急】10/14(火)は臨時休校です" in text
    assert "見ました" in text and "I have read this" in text
    assert "まだ「見ました」になっていません。" in text
    assert '<a href="https://school.example/oshirase?id=7" rel="noopener noreferrer">' in text
    assert fresh(hers).read_at is None
    assert PageView.select().where(PageView.delivery == hers, PageView.page == "r").count() == 1


def test_speaks_the_language_of_the_reader(reader, hers):
    Delivery.update(language="en").where(Delivery.id == hers.id).execute()
    text = page(reader.get(f"/r/{hers.token}", headers={"Accept-Language": "ja"}))
    assert '<html lang="en">' in text and "Not confirmed yet." in text and "見ました" in text


# X-05, N-02
@pytest.mark.proves("N-02")
def test_shows_no_more_than_the_letter_itself(reader, sent, hers):
    """Law 2: no other guardian, address, time or child."""
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries["青山 健太"].token), agent=PHONE, now=clock.now()
    )
    text = page(reader.get(f"/r/{hers.token}"))
    for secret in ("健太", "陽菜", "石川", "@", "misaki", sent.deliveries["青山 健太"].token):
        assert secret not in text
    assert "ご家庭からは、すでに「見ました」を受け付けています。" in text


def test_a_title_says_nothing_about_the_notice(reader, hers):
    text = page(reader.get(f"/r/{hers.token}"))
    assert "<title>お知らせ – かえで原小学校</title>" in text
    assert "og:" not in text and 'name="description"' not in text


@pytest.mark.proves("T-18", "T-44")
def test_a_press_lands_the_stamp(reader, hers):
    """T-44"""
    answer = reader.post(f"/r/{hers.token}")
    assert answer.status_code == 303
    text = page(reader.get(answer.location))
    at = clock.to_local(fresh(hers).read_at)
    assert f"「見ました」を受け付けました（{at.month}月{at.day}日 {at.hour}:{at.minute:02d}）" in text
    assert 'data-s="青山"' in text and "I have read this" not in text


@pytest.mark.proves("T-45")
def test_the_first_time_is_kept_and_shown_again(reader, hers):
    """T-45"""
    reader.post(f"/r/{hers.token}")
    first = fresh(hers).read_at
    clock.set_offset(3600)
    answer = reader.post(f"/r/{hers.token}")
    text = page(reader.get(answer.location))
    assert fresh(hers).read_at == first
    assert "確認済みです。" in text and "を受け付けました" not in text


# T-21
def test_the_button_needs_no_script_and_the_page_no_cookie(reader, hers):
    """T-18"""
    outcome(hers, "unknown")
    answers = [
        reader.get(f"/r/{hers.token}"),
        reader.post(f"/r/{hers.token}"),
        reader.get(f"/r/{hers.token}?p=1&done=1"),
        reader.get(f"/u/{hers.token}"),
        reader.post(f"/u/{hers.token}/stop", data={"list": hers.list_id}),
        reader.post(f"/u/{hers.token}/one-click"),
        reader.get(f"/r/{UNKNOWN}"),
    ]
    for answer in answers:
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        scripts = [one for one in re.findall(r"<script[^>]*>", page(answer)) if "/static/hand.js" not in one]
        assert scripts == [] and "//fonts" not in page(answer) and "csrf" not in page(answer)


def test_readers_forms_are_exempt_from_csrf_and_nothing_else_is(app, reader, hers):
    app.config["WTF_CSRF_ENABLED"] = True
    assert reader.post(f"/r/{hers.token}").status_code == 303
    assert reader.post(f"/u/{hers.token}/one-click", data=b"\xff\xfe").status_code == 200
    assert reader.post("/login", data={"name": "花子", "password": "x"}).status_code == 403


@pytest.mark.proves("T-44")
@pytest.mark.parametrize(
    ("path", "posted"), [("/r/{}", ""), ("/u/{}", "/stop"), ("/u/{}", "/misdirected"), ("/u/{}/one-click", "")]
)
def test_an_unknown_token_is_told_kindly(reader, school, path, posted):
    """T-44: 404, nothing recorded."""
    answer = reader.get(path.format(UNKNOWN))
    assert answer.status_code == 404
    assert "このページは開けませんでした" in page(answer) and "電話 000-0000-0000" in page(answer)
    assert reader.post(path.format(UNKNOWN) + posted).status_code == 404
    assert PageView.select().count() == 0


def test_guessing_is_slowed_and_a_valid_token_never(reader, hers):
    answers = [reader.get(f"/r/{UNKNOWN}").status_code for _ in range(61)]
    assert answers[0] == 404 and answers[-1] == 429
    assert reader.get(f"/r/{hers.token}").status_code == 200


@pytest.mark.parametrize("tail", ["。", ".", ">", "%20", "/", "%EF%BC%89%E3%81%BE%E3%81%A7"])
def test_a_link_with_something_behind_it_opens(reader, hers, tail):
    assert reader.get(f"/r/{hers.token.upper()}{tail}").status_code == 200


def test_a_withdrawn_notice_is_closed(reader, hers):
    """Decision 13"""
    Notice.update(state="withdrawn").where(Notice.id == hers.notice_id).execute()
    answer = reader.get(f"/r/{hers.token}")
    assert answer.status_code == 410
    assert "取り消されました" in page(answer) and "臨時休校" not in page(answer) and "<button" not in page(answer)
    reader.post(f"/r/{hers.token}")
    assert fresh(hers).read_at is None


@pytest.mark.proves("T-42")
def test_no_button_where_no_confirmation_was_asked(reader, school):
    """T-42"""
    one = cast_notices.send([school.lists["1-1"]], read_confirmation=False).deliveries["青山 美咲"]
    answer = reader.get(f"/r/{one.token}")
    assert answer.status_code == 200 and "臨時休校" in page(answer)
    assert "<button" not in page(answer)
    assert reader.post(f"/r/{one.token}").status_code == 303
    assert fresh(one).read_at is None


def test_says_that_a_newer_notice_exists_and_not_which(reader, school, hers):
    cast_notices.send([school.lists["1-1"]], at=clock.now(), subject="給食の献立")
    text = page(reader.get(f"/r/{hers.token}"))
    assert "新しいお知らせ" in text and "給食" not in text


def test_text_of_a_notice_cannot_become_markup(reader, school):
    nasty = '<script>alert(1)</script> https://a.example/"onmouseover="x'
    one = cast_notices.send([school.lists["1-1"]], subject="<b>x", text=nasty).deliveries["青山 美咲"]
    text = page(reader.get(f"/r/{one.token}"))
    assert "<script>" not in text and "<b>x" not in text and 'href="https://a.example/"' in text


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(reader, hers, method):
    assert getattr(reader, method)(f"/r/{hers.token}").status_code == 405
    assert fresh(hers).read_at is None


# ── robots ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["head", "options"])
def test_head_and_options_never_run(reader, hers, method):
    """Law 3"""
    for path in (f"/r/{hers.token}", f"/u/{hers.token}", f"/u/{hers.token}/one-click", f"/r/{UNKNOWN}"):
        assert getattr(reader, method)(path).status_code == 204
    assert PageView.select().count() == 0 and AuditLog.select().where(AuditLog.action == "member.stopped").count() == 0


def test_a_scanner_that_opens_and_posts_everything_changes_nobody(scanner, hers):
    for path in (f"/r/{hers.token}", f"/u/{hers.token}", f"/u/{hers.token}/one-click"):
        scanner.get(path)
    scanner.post(f"/r/{hers.token}")
    scanner.post(f"/r/{hers.token}/touch")
    scanner.post(f"/u/{hers.token}/stop", data={"list": hers.list_id})
    scanner.post(f"/u/{hers.token}/misdirected")
    found = fresh(hers)
    assert found.read_at is None and found.misdirected_at is None
    assert Membership.select().where(Membership.person == hers.person, Membership.state == "active").count() == 2
    assert [row.automatic for row in PageView.select()] == [True] * 3


def touch(browser, one, **headers):
    return browser.post(f"/r/{one.token}/touch", headers={"HX-Request": "true", **headers})


def test_a_touch_before_180_seconds_is_a_visit(reader, hers):
    outcome(hers, "accepted", done_at=clock.now() - timedelta(seconds=170))
    assert touch(reader, hers).status_code == 204
    clock.set_offset(11)
    answer = touch(reader, hers)
    assert answer.status_code == 200 and page(answer).startswith('<section class="seal" id="seal"')
    assert "を受け付けました" in page(answer)
    assert fresh(hers).read_via == "touch"


def test_the_page_tells_its_script_when_a_touch_counts(reader, hers):
    done = Letter.get(Letter.delivery == hers).done_at
    text = page(reader.get(f"/r/{hers.token}"))
    assert f'data-press-after="{clock.to_local(done + timedelta(seconds=180)).isoformat(timespec="seconds")}"' in text
    assert "reader.js" in text


def test_a_scripting_scanner_that_fetches_the_leave_link_too_is_found_out(reader, hers):
    reader.get(f"/r/{hers.token}")
    assert touch(reader, hers).status_code == 200
    clock.set_offset(30)
    assert reader.get(f"/u/{hers.token}").status_code == 200
    assert fresh(hers).read_at is None


def test_a_reader_who_follows_the_links_of_the_page_is_not(reader, hers):
    reader.get(f"/r/{hers.token}")
    touch(reader, hers)
    reader.get(f"/u/{hers.token}?p=1")
    reader.get(f"/u/{hers.token}", headers={"Sec-Fetch-Site": "same-origin"})
    assert fresh(hers).read_via == "touch"


def test_a_press_just_after_the_touch_of_the_same_key_is_thanked_once(reader, hers):
    """The key that presses the button is also a touch: the request of the script may win."""
    touch(reader, hers)
    assert "を受け付けました" in page(reader.get(reader.post(f"/r/{hers.token}").location))
    assert fresh(hers).read_via == "press"
    assert "を受け付けました" not in page(reader.get(reader.post(f"/r/{hers.token}").location))


def test_after_a_minute_a_touch_stands(reader, hers):
    touch(reader, hers)
    clock.set_offset(61)
    reader.get(f"/u/{hers.token}")
    assert fresh(hers).read_via == "touch"


def test_the_same_link_by_another_agent_takes_a_touch_back(app, reader, hers):
    assert touch(reader, hers).status_code == 200 and fresh(hers).read_via == "touch"
    opened = app.test_client().get(f"/r/{hers.token}", headers={"User-Agent": OTHER_PHONE})
    assert opened.status_code == 200
    assert fresh(hers).read_at is None


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


def stopped(person: Person) -> int:
    return Membership.select().where(Membership.person == person, Membership.state == "stopped").count()


def test_the_leave_page_asks_first(reader, hers):
    """D-26, decision 2"""
    text = page(reader.get(f"/u/{hers.token}"))
    assert "「1年1組」のメールを止めますか。休校などの緊急のお知らせも届かなくなります。" in text
    assert "メールを止める" in text and "止めずに戻る" in text and "全校" not in text
    assert stopped(hers.person) == 0


@pytest.mark.proves("T-21", "D-26")
def test_stop_and_turn_on_again(reader, hers):
    answer = reader.post(f"/u/{hers.token}/stop", data={"list": hers.list_id})
    assert answer.status_code == 303 and stopped(hers.person) == 1
    text = page(reader.get(answer.location))
    assert "「1年1組」のメールを止めました。" in text and "元に戻す" in text
    reader.post(f"/u/{hers.token}/resume", data={"list": hers.list_id})
    assert stopped(hers.person) == 0


def test_lists_that_the_letter_does_not_cover_cannot_be_stopped(reader, school, hers):
    data = {"list": [school.lists["whole"].id, "x", hers.list_id]}
    assert reader.post(f"/u/{hers.token}/stop", data=data).status_code == 303
    states = {one.list_id: one.state for one in Membership.select().where(Membership.person == hers.person)}
    assert states[hers.list_id] == "stopped" and states[school.lists["whole"].id] == "active"


def test_several_lists_are_offered_each(reader, school):
    one = cast_notices.send([school.lists["whole"], school.lists["1-1"]]).deliveries["青山 美咲"]
    text = page(reader.get(f"/u/{one.token}"))
    assert text.count('type="checkbox"') == 2 and "全校" in text and "1年1組" in text
    reader.post(f"/u/{one.token}/stop", data={"list": [school.lists["1-1"].id]})
    text = page(reader.get(f"/u/{one.token}"))
    assert "「1年1組」のメールを止めました。" in text and "「全校」のメールを止めますか。" in text


def test_meant_for_another_family(reader, hers):
    answer = reader.post(f"/u/{hers.token}/misdirected")
    text = page(reader.get(answer.location))
    assert fresh(hers).misdirected_at and stopped(hers.person) == 2  # every list, not only that of the letter
    assert "学校に知らせました" in text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        (b"\xff\xfe\x00broken", "text/plain; charset=iso-2022-jp"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"", ""),
    ],
)
def test_one_click_takes_any_body(reader, hers, body, kind):
    """RFC 8058"""
    for _ in range(2):
        answer = reader.post(f"/u/{hers.token}/one-click", data=body, content_type=kind)
        assert answer.status_code == 200
    assert stopped(hers.person) == 1
    letter = Letter.get(Letter.kind == "resume")
    assert letter.payload["url"] == f"http://kairan.test/u/{hers.token}"
    assert Letter.select().where(Letter.kind == "resume").count() == 1


def test_one_click_from_a_provider_without_a_browsers_name(app, hers):
    browser = app.test_client()
    browser.environ_base["HTTP_USER_AGENT"] = ""
    assert browser.post(f"/u/{hers.token}/one-click").status_code == 200
    assert stopped(hers.person) == 1


def test_opening_the_one_click_address_shows_the_page(reader, hers):
    assert "メールを止めますか" in page(reader.get(f"/u/{hers.token}/one-click"))
    assert stopped(hers.person) == 0


# ── machines ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_healthz_and_robots(client):
    assert client.get("/healthz").get_data() == b"ok\n" and client.head("/healthz").status_code == 200
    assert "Disallow: /" in page(client.get("/robots.txt"))
    assert client.post("/healthz").status_code == 405


def test_a_person_whose_browser_says_no_name_can_press(app, hers):
    """T-20, T-44: some browsers hide what they are; a touch reported without a name does not count, a press does."""
    nameless = app.test_client()
    nameless.environ_base["HTTP_USER_AGENT"] = ""
    nameless.post(f"/r/{hers.token}/touch")
    assert fresh(hers).read_at is None
    assert nameless.post(f"/r/{hers.token}").status_code == 303
    assert fresh(hers).read_via == "press"


def test_a_wrong_method_sets_no_cookie_either(reader, hers):
    answer = reader.put(f"/r/{hers.token}")
    assert answer.status_code == 405 and "Set-Cookie" not in answer.headers


def test_a_withdrawn_notice_is_not_announced_as_newer(reader, hers, school):
    """Decision 13"""
    later = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    Notice.update(started_at=clock.now() + timedelta(seconds=5)).where(Notice.id == later.notice.id).execute()
    before = page(reader.get(f"/r/{hers.token}"))
    Notice.update(state="withdrawn").where(Notice.id == later.notice.id).execute()
    after = page(reader.get(f"/r/{hers.token}"))
    assert before.count('class="fusen"') == after.count('class="fusen"') + 1


@pytest.mark.parametrize("path", ["/r/", "/u/"])
def test_the_link_of_a_preview_says_that_it_is_a_sample(reader, school, path):
    answer = reader.get(path + rendering.PLACEHOLDER_TOKEN)
    assert answer.status_code == 404 and "見本" in answer.get_data(as_text=True)


def test_a_press_that_only_a_script_made_is_none(reader, hers):
    """Decision 1: the page's own script saw no hand; without scripts a press counts as ever."""
    text = html.unescape(reader.post(f"/r/{hers.token}", data={"hand": "0"}).get_data(as_text=True))
    assert "まだ受け付けていません" in text and fresh(hers).read_at is None
    reader.post(f"/r/{hers.token}", data={"hand": "1"})
    assert fresh(hers).read_via == "press"


@pytest.mark.parametrize(("typed", "counts"), [("{}", True), (" {} ", True), ("wide", True), ("", False), ("1", False)])
def test_a_program_that_helps_to_press_is_believed_with_the_number(reader, hers, typed, counts):
    """Decision 1: voice control presses as a scanner does; who says the number shown is a person."""
    text = reader.post(f"/r/{hers.token}", data={"hand": "0"}).get_data(as_text=True)
    number = re.search(r"(\d\d) と入力", text)[1]
    wide = number.translate({ord(one): ord(one) + 0xFEE0 for one in "0123456789"})
    reader.post(f"/r/{hers.token}", data={"hand": "0", "typed": wide if typed == "wide" else typed.format(number)})
    assert (fresh(hers).read_via == "press") is counts
