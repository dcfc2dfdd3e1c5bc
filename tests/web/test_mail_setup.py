"""How mail goes and comes: the four situations, the server that sends, the mailbox that is read (N-07, X-08)."""

import html
import smtplib
from dataclasses import replace

import pytest

import config as ground
from core import settings
from core.inbound import imap_poller
from core.settings import load_settings
from core.system import mail_settings
from mail.imap import MailboxUnavailable
from mail.smtp import SmtpReply
from models import AuditLog, ImapStatus, Letter
from tests import smarthost

SERVER = {
    "host": "smtp.momiji.example",
    "port": "",
    "security": "starttls",
    "user": "school@momiji",
    "password": "p@ss:/w",
}

BOX = {
    "mailbox": "Kairan@momiji.example",
    "host": "imap.momiji.example",
    "port": "",
    "security": "tls",
    "user": "kairan@momiji",
    "password": "p@ss:/w",
    "header": "",
}
POSTS = ("road", "server", "test", "box", "look")


@pytest.fixture
def as_(as_confirmed):
    return as_confirmed


@pytest.fixture
def free(config):
    """Settings that the environment leaves to the page."""
    return ground.set_current_config(replace(config, mail_domain="", base_url=""))


@pytest.fixture
def opens(monkeypatch):
    """Mailboxes that open; those who are asked for are kept."""
    asked = []

    class Opened:
        def __init__(self, box, timeout=0):
            asked.append(box)

        def ensure_folder(self, folder):
            pass

        def close(self):
            pass

    monkeypatch.setattr(imap_poller, "ImapSession", Opened)
    return asked


def page(browser) -> str:
    return html.unescape(browser.get("/admin/mail").text)


@pytest.mark.parametrize("name", ["花子", "送る子", "見る子"])
def test_only_administrators_set_how_mail_goes(as_, name):
    browser = as_(name)
    assert browser.get("/admin/mail").status_code == 403
    assert [browser.post(f"/admin/mail/{one}").status_code for one in POSTS] == [403] * len(POSTS)


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_mail_server_is_kept_as_one_route_and_its_password_is_never_shown(as_, free):
    browser = as_("守")
    assert browser.post("/admin/mail/server", data=SERVER).status_code == 303
    route = settings.load_settings().route
    assert (route.host, route.port, route.security, route.user, route.password) == (
        "smtp.momiji.example",
        587,
        "starttls",
        "school@momiji",
        "p@ss:/w",
    )
    text = browser.get("/admin/mail").text
    assert "smtp.momiji.example" in text
    assert "p@ss" not in text and "p%40ss" not in text


def test_empty_password_keeps_the_old_one_for_the_same_server_only(as_, free):
    browser = as_("守")
    browser.post("/admin/mail/server", data=SERVER)
    browser.post("/admin/mail/server", data={**SERVER, "port": "2525", "password": ""})
    assert (settings.load_settings().route.port, settings.load_settings().route.password) == (2525, "p@ss:/w")
    other = {**SERVER, "host": "thief.example", "password": ""}
    assert browser.post("/admin/mail/server", data=other).status_code == 422
    assert settings.load_settings().route.host == "smtp.momiji.example"


def test_without_server_letters_stay_in_the_outbox(as_, free):
    browser = as_("守")
    browser.post("/admin/mail/server", data=SERVER)
    browser.post("/admin/mail/server", data={**SERVER, "host": ""})
    assert settings.load_settings().practice


@pytest.mark.parametrize(
    ("field", "value"), [("port", "99999"), ("security", "none"), ("security", "x"), ("host", "a b/c"), ("user", "")]
)
def test_server_that_cannot_be_used_is_refused(as_, free, field, value):
    assert as_("守").post("/admin/mail/server", data={**SERVER, field: value}).status_code == 422
    assert settings.load_settings().practice


def test_server_of_the_environment_cannot_be_changed(as_, config):
    ground.set_current_config(replace(config, smtp="smtp://127.0.0.1:2525"))
    browser = as_("守")
    assert "KAIRAN_SMTP" in browser.get("/admin/mail").text
    assert browser.post("/admin/mail/server", data=SERVER).status_code == 403


@pytest.mark.parametrize(("typed", "kept"), [("500", 500), ("", 0)])
def test_what_the_provider_allows_in_an_hour_is_kept(as_, free, typed, kept):
    """N-10"""
    as_("守").post("/admin/mail/server", data={**SERVER, "hour_rate": typed})
    assert load_settings().hour_rate == kept
    assert as_("守").post("/admin/mail/server", data={**SERVER, "hour_rate": "-1"}).status_code == 422


def test_while_practising_the_test_letter_goes_to_the_outbox(as_):
    browser = as_("守")
    assert browser.post("/admin/mail/test").status_code == 303
    assert [(one.kind, one.address, one.state) for one in Letter.select()] == [
        ("test", "user0@school.example", "waiting")
    ]
    assert "最後のテスト" in page(browser)


def test_a_test_letter_is_sent_while_its_administrator_waits(as_):
    browser = as_("守")
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        assert browser.post("/admin/mail/test").status_code == 303
        sender, recipients, raw, _ = host.mails[0]
    letter = Letter.get()
    assert recipients == ["user0@school.example"] and sender == load_settings().own_addresses.return_path(
        letter.id, load_settings().secret
    )
    assert b"DKIM-Signature" in raw and letter.state == "accepted"
    assert "サーバーがテストメールを受け取りました" in page(browser)
    assert AuditLog.get(AuditLog.action == "organization.tested").detail == {"well": True}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            "554 5.7.1 <user0@school.example>: Relay access denied",
            "ログインなしでは、ここから外へのメールを受け付けません",
        ),
        ("553 5.7.1 <b-1@x>: Sender address rejected: not owned by user school", "を差出人にして送れません"),
        ("450 4.7.1 Greylisted, try again", "「あとでもう一度」と答えました"),
        ("data 554 5.7.1 spam", "サーバーがメールを受け付けませんでした"),
        ("550 5.1.1 <b>no</b>", "<b>no</b>"),
    ],
)
def test_the_server_s_refusal_is_said_in_plain_words_and_in_its_own(as_, answer, said):
    browser = as_("守")
    with smarthost.running(user0=answer) as (_, port):
        smarthost.send_by(port)
        browser.post("/admin/mail/test")
    text = page(browser)
    assert said in text and answer.removeprefix("data ") in text
    assert Letter.get().state == "refused"
    answer = browser.get("/admin/mail")
    assert answer.status_code == 200 and "<b>no</b>" not in answer.text


def test_a_server_that_is_not_there_is_named_and_the_letter_goes_no_more(as_):
    smarthost.send_by(smarthost.closed_port())
    browser = as_("守")
    browser.post("/admin/mail/test")
    assert "メールサーバーにつながりません" in page(browser) and Letter.get().state == "cancelled"


def test_the_sender_process_does_not_send_the_test_a_second_time(as_):
    browser = as_("守")
    with smarthost.running(user0="450 4.7.1 later") as (host, port):
        smarthost.send_by(port)
        browser.post("/admin/mail/test")
        assert smarthost.drained()
        assert host.mails == [] and len(host.asked) == 1


def test_a_refusal_of_the_sender_shows_by_its_place():
    assert "send as" in mail_settings.explain_reply(SmtpReply(550, "5.7.0", "no", "mail"))
    assert "encryption" in mail_settings.explain_reply(
        SmtpReply(530, "5.7.0", "Must issue a STARTTLS command first", "mail")
    )


# ── the four situations ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_situation_says_what_works_and_hides_what_does_not(as_, free, school):
    """Without a way in, no page offers an address to write to."""
    browser = as_("守")
    settings.update_organization(None, smtp="smtp://127.0.0.1:2525", mail_domain="mail.momiji.example")
    senders = f"/lists/{school.lists['1-1'].id}/senders"
    assert page(browser).count("使えません") == 4
    assert "1nen1kumi-join@" not in browser.get(senders).text and "メールを受け取れません" in browser.get(senders).text
    ground.set_current_config(replace(free, inlet="lmtp://127.0.0.1:8024"))
    assert page(browser).count("使えません") == 0
    assert "1nen1kumi-join@mail.momiji.example" in browser.get(senders).text


def test_one_mailbox_offers_its_plus_or_nothing(as_, free, school, opens):
    browser = as_("守")
    settings.update_organization(None, smtp="smtp://127.0.0.1:2525")
    assert browser.post("/admin/mail/road", data={"road": "mailbox"}).status_code == 303
    assert browser.post("/admin/mail/box", data=BOX).status_code == 303
    senders = f"/lists/{school.lists['1-1'].id}/senders"
    assert page(browser).count("使えません") == 2
    for words in ("アドレス1つではできないこと", "リストごとのアドレスがない", "OAuth だけ"):
        assert words in page(browser), words
    assert "@momiji.example" not in browser.get("/lists").text
    assert "メールを受け取れません" in browser.get(senders).text
    browser.post("/admin/mail/box", data={**BOX, "plus": "y", "password": ""})
    assert page(browser).count("使えません") == 0
    assert "リストごとのアドレスがない" not in page(browser)
    assert "kairan+1nen1kumi-join@momiji.example" in browser.get(senders).text
    assert "kairan+1nen1kumi@momiji.example" in browser.get("/lists").text
    assert len(opens) == 2


def test_the_mailbox_is_tried_when_it_is_saved_and_its_password_never_shown(as_, free, opens):
    browser = as_("守")
    browser.post("/admin/mail/road", data={"road": "collected"})
    assert browser.post("/admin/mail/box", data=BOX).status_code == 303
    box = load_settings().imap_account
    assert (box.host, box.port, box.user, box.password) == ("imap.momiji.example", 993, "kairan@momiji", "p@ss:/w")
    assert settings.imap_address(load_settings()) == "kairan@momiji.example"
    text = page(browser)
    assert "メールボックスを開けました" in text and "p@ss" not in text and "p%40ss" not in text
    assert ImapStatus.load_row().last_success_at


def test_what_is_wrong_with_the_mailbox_stands_on_the_page(as_, free, monkeypatch):
    def closed(box, timeout=0):
        raise MailboxUnavailable(
            "The mailbox refused the login. Please check user and password.", "login", "NO <b>bad</b>"
        )

    monkeypatch.setattr(imap_poller, "ImapSession", closed)
    browser = as_("守")
    browser.post("/admin/mail/road", data={"road": "collected"})
    browser.post("/admin/mail/box", data=BOX)
    assert "メールボックスにログインできませんでした" in page(browser)
    assert "NO <b>bad</b>" in page(browser) and "<b>bad</b>" not in browser.get("/admin/mail").text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("host", ""), ("host", "a b/c"), ("user", ""), ("password", ""), ("mailbox", "x"), ("mailbox", "a+b@c.jp")],
        *[("mailbox", "1nen1kumi@momiji.example"), ("header", "X Y"), ("port", "0"), ("security", "none")],
    ],
)
def test_a_mailbox_that_cannot_be_is_refused_and_nothing_typed_is_lost(as_, free, school, opens, field, value):
    settings.update_organization(None, mail_mode="collected", mail_domain="momiji.example")
    answer = as_("守").post("/admin/mail/box", data={**BOX, field: value})
    assert answer.status_code == 422
    kept = "user" if field == "host" else "host"
    assert f'value="{BOX[kept]}"' in answer.text
    assert not settings.configured("imap") and not opens


def test_what_the_environment_fixes_is_named_and_cannot_be_posted(as_, config):
    fixed = {
        "road": "mailbox",
        "imap": "imaps://u:geheim@imap.x.jp",
        "mailbox": "a@x.jp",
        "plus": "yes",
        "hour_rate": 7,
    }
    ground.set_current_config(replace(config, smtp="smtp://127.0.0.1:2525", **fixed))
    browser = as_("守")
    text = page(browser)
    assert all(f"KAIRAN_{name}" in text for name in ("ROAD", "IMAP", "SMTP")) and "geheim" not in text
    for one in ("road", "server", "box"):
        assert browser.post(f"/admin/mail/{one}", data={**BOX, **SERVER, "road": "own"}).status_code == 403
    assert not (config.data / "kairan.toml").exists() and load_settings().hour_rate == 7


def test_a_word_that_is_no_situation_is_refused(as_, free):
    assert as_("守").post("/admin/mail/road", data={"road": "pigeon"}).status_code == 422
    assert as_("守").post("/admin/mail/road", data={}).status_code == 422


def test_smtplib_says_what_we_ask_for():
    assert issubclass(smtplib.SMTPNotSupportedError, smtplib.SMTPException)
