"""A form that met an ended session, another session or a confirmation: its words wait for the user who typed them."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

import clock
from core.accounts import kept_forms, login_links
from core.errors import EditedMeanwhile
from core.notices import drafts
from models import KeptForm, Notice, User
from tests import cast
from tests.web.notice_factory import confirm_notice

TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
WORDS = "保護者各位 <b>大事</b> & 「言葉」"


@pytest.fixture
def strict(app):
    """The application with form tokens switched on, as it is served."""
    app.config["WTF_CSRF_ENABLED"] = True
    return app


def token(browser, url: str = "/account") -> str:
    return TOKEN.search(browser.get(url).get_data(as_text=True))[1]


def log_in(app, name: str, next_url: str = "", browser=None):
    """Log in through the login page; return (browser, answer)."""
    browser = browser or app.test_client()
    data = {"name": name, "password": cast.PASSWORD, "next": next_url, "csrf_token": token(browser, "/login")}
    answer = browser.post("/login", data=data)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return browser, answer


def post_profile(browser, mark: str, **more):
    data = {"name": "花子", "language": "ja", "signature": WORDS, "csrf_token": mark, **more.pop("data", {})}
    headers = {"Referer": "http://localhost/account", **more.pop("headers", {})}
    return browser.post("/account", data=data, headers=headers, **more)


def wanted(answer) -> str:
    return parse_qs(urlsplit(answer.headers["Location"]).query)["next"][0]


def test_the_same_page_shows_the_same_words_after_the_login(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    browser.post("/logout", data={"csrf_token": mark})
    answer = post_profile(browser, mark)
    assert answer.status_code == 302 and wanted(answer).startswith("/account/kept/")
    browser, answer = log_in(strict, "花子", wanted(answer), browser)
    page = browser.get(answer.headers["Location"], follow_redirects=True)
    html = page.get_data(as_text=True)
    assert page.status_code == 200 and page.request.path == "/account"
    assert "まだ送られていません" in html and "保護者各位 &lt;b&gt;大事&lt;/b&gt; &amp; 「言葉」</textarea>" in html
    assert User.get(User.name == "花子").signature != WORDS, "nothing acts by itself"
    number = KeptForm.get().id
    answer = post_profile(browser, TOKEN.search(html)[1], data={"kept": str(number)})
    assert answer.status_code == 303 and User.get(User.name == "花子").signature == WORDS
    assert KeptForm.select().count() == 0
    assert "まだ送られていません" not in browser.get(f"/account?kept={number}").get_data(as_text=True)


def test_an_expired_session_leads_to_the_same_words(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    user = User.get(User.name == "花子")
    type(user.sessions.get()).update(expires_at=clock.now()).execute()
    answer = post_profile(browser, mark)
    assert answer.status_code == 302 and wanted(answer).startswith("/account/kept/")


def test_no_other_user_gets_the_words(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    browser.post("/logout", data={"csrf_token": mark})
    other, _answer = log_in(strict, "太郎", browser=browser)
    answer = post_profile(other, mark)
    assert answer.status_code == 403 and WORDS not in answer.get_data(as_text=True)
    number = KeptForm.get().id
    assert KeptForm.get().user.name == "花子"
    shown = other.get(f"/account/kept/{number}")
    assert shown.status_code == 404 and "大事" not in shown.get_data(as_text=True)
    assert "大事" not in other.get(f"/account?kept={number}").get_data(as_text=True)
    assert User.get(User.name == "太郎").signature != WORDS


def test_a_page_that_is_older_than_the_login_keeps_its_words(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    log_in_again = browser.post("/logout", data={"csrf_token": mark})
    assert log_in_again.status_code == 303
    log_in(strict, "花子", browser=browser)
    answer = post_profile(browser, mark)
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/account/kept/")
    assert "大事" in browser.get(answer.headers["Location"], follow_redirects=True).get_data(as_text=True)


def test_a_login_by_letter_leads_to_the_words_once(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    browser.post("/logout", data={"csrf_token": mark})
    post_profile(browser, mark)
    now, user = clock.now(), User.get(User.name == "花子")
    places = []
    for _ in range(2):
        url = f"/login/letter/{login_links.sign_link_token(user, 'login', now)}"
        answer = browser.post(url, data={"csrf_token": token(browser, url)})
        places.append(answer.headers["Location"])
        browser.get(places[-1], follow_redirects=True)
        browser.post("/logout", data={"csrf_token": token(browser)})
        user = User.get(User.name == "花子")
    assert places == [f"/account/kept/{KeptForm.get().id}", "/"]


def test_a_script_is_led_to_the_login_and_one_form_is_kept(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    browser.post("/logout", data={"csrf_token": mark})
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/account"}
    for words in ("a", "ab"):
        answer = post_profile(browser, mark, data={"signature": words}, headers=headers)
        assert answer.status_code == 401 and "/login?next=/account/kept/" in answer.headers["HX-Redirect"]
    assert [dict(row.fields)["signature"] for row in KeptForm.select()] == ["ab"]


def test_a_confirmation_brings_back_the_form(strict):
    browser, _answer = log_in(strict, "守")
    page = browser.get("/lists/1/export")
    mark = TOKEN.search(page.get_data(as_text=True))
    answer = browser.post(
        "/lists/1/export",
        data={"csrf_token": mark[1] if mark else token(browser), "columns": "name"},
        headers={"Referer": "http://localhost/lists/1/export"},
    )
    assert answer.status_code == 303 and "/account/confirm" in answer.headers["Location"]
    assert wanted(answer).startswith("/account/kept/")
    assert KeptForm.get().page == "/lists/1/export"


@pytest.mark.parametrize("mark", ["", "x", "WyJ4Il0.aaaa.bbbb"])
def test_a_form_without_a_genuine_token_is_not_kept(strict, mark):
    answer = post_profile(strict.test_client(), mark)
    assert answer.status_code == 403 and KeptForm.select().count() == 0


def test_only_pages_of_this_site_are_led_to(strict):
    browser, _answer = log_in(strict, "花子")
    mark = token(browser)
    browser.post("/logout", data={"csrf_token": mark})
    for page in (
        "https://evil.example/account",
        "http://localhost//evil.example",
        "http://localhost/notices/1/words/next",
    ):
        post_profile(browser, mark, headers={"Referer": page})
    assert [row.page for row in KeptForm.select().order_by(KeptForm.id)] == ["/account"] * 3


def test_secrets_are_never_kept_and_the_number_is_limited(school):
    user, now = User.get(User.name == "花子"), clock.now()
    fields = [("password", "p"), ("old", "o"), ("code", "c"), ("csrf_token", "t"), ("text", "t")]
    rows = [
        kept_forms.keep_form(user, page="/a", action="/a", fields=fields, has_files=False, now=now) for _ in range(12)
    ]
    assert rows[-1].fields == [("text", "t")]
    assert KeptForm.select().count() == kept_forms.MAX_FORMS
    assert kept_forms.form_of_user(user, rows[0].id, now) is None
    assert kept_forms.form_of_user(user, rows[-1].id, now + timedelta(days=3)) is None
    assert kept_forms.delete_old_forms(now + timedelta(days=3)) == kept_forms.MAX_FORMS
    long = [("text", "x" * (kept_forms.MAX_CHARS + 1))]
    assert kept_forms.keep_form(user, page="/a", action="/a", fields=long, has_files=False, now=now) is None


def test_an_error_page_shows_what_was_typed(as_):
    answer = as_("花子").post(
        "/notices/9999/words", data={"text": WORDS, "password": "ひみつ の 言葉", "seen": "12345"}
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 404
    assert "保護者各位 &lt;b&gt;大事&lt;/b&gt; &amp; 「言葉」</textarea>" in text
    assert "ひみつ" not in text and text.count("<textarea") == 1


def test_a_fault_of_the_server_repeats_the_press(as_, app, monkeypatch):
    def fail(*_args, **_values):
        raise RuntimeError

    browser = as_("花子")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("core.accounts.accounts.change_account", fail)
    answer = browser.post("/account", data={"name": "花子", "language": "ja", "signature": WORDS})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 500 and "もう一度" in text
    assert 'name="signature" value="保護者各位 &lt;b&gt;大事' in text


def test_a_save_that_did_not_see_another_one_overwrites_nothing(school):
    now = clock.now()
    draft = drafts.create_draft(school.users["花子"], now=now)
    mine, other = Notice.get_by_id(draft.id), Notice.get_by_id(draft.id)
    drafts.save_draft(other, now=now, if_unchanged=True, text="先に保存した文")
    with pytest.raises(EditedMeanwhile):
        drafts.save_draft(mine, now=now, if_unchanged=True, text="あとの文")
    assert Notice.get_by_id(draft.id).wording.text == "先に保存した文"


def test_overwritten_words_stay_reachable_without_script(as_, school):
    draft = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.save_draft(draft, now=clock.now(), subject="件名", text="同僚の文")
    browser = as_("花子")
    data = {"seen": "1", "subject": "件名", "text": "わたしの文", "useful_s": "0", "remind": "0x1"}
    answer = browser.post(f"/notices/{draft.id}/words", data=data)
    assert answer.status_code == 422 and "同僚の文" in answer.get_data(as_text=True)
    answer = browser.post(f"/notices/{draft.id}/words/overwrite", data=data)
    saved = browser.get(answer.headers["Location"]).get_data(as_text=True)
    assert "わたしの文" in saved
    where = re.search(r'href="(/account/kept/\d+)"', saved)[1]
    other = browser.get(where, follow_redirects=True).get_data(as_text=True)
    assert "同僚の文</textarea>" in other and "上書きされた内容" in other
    assert Notice.get_by_id(draft.id).wording.text == "わたしの文"
    login = browser.post("/login", data={"name": "花子", "password": cast.PASSWORD})
    assert login.headers["Location"] == "/"


def test_words_for_a_draft_that_was_sent_meanwhile_are_shown_on_its_page(as_, school):
    notice = confirm_notice(school)
    data = {"seen": "1", "subject": "件名", "text": WORDS, "useful_s": "0", "remind": "0x1"}
    browser = as_("花子")
    answer = browser.post(f"/notices/{notice.id}/words", data=data)
    assert answer.status_code == 303 and answer.headers["Location"].startswith(f"/notices/{notice.id}?kept=")
    page = browser.get(answer.headers["Location"]).get_data(as_text=True)
    assert "保護者各位 &lt;b&gt;大事&lt;/b&gt; &amp; 「言葉」</textarea>" in page
    assert Notice.get_by_id(notice.id).wording.text == "遠足に行きます。"
    assert "大事" not in as_("太郎").get(answer.headers["Location"]).get_data(as_text=True)
