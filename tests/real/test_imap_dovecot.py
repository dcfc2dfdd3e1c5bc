"""Mail read from a real Dovecot mailbox: the roads of the mail door (T-15, T-27, T-30, D-37; design 2c)."""

import os
import smtplib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import clock
import config as ground
from core import settings
from core.inbound import dispatch, imap_poller, spool
from core.settings import load_settings, update_organization
from core.system import diagnostics
from database import db
from mail.address import message_id
from mail.imap import HANDLED_FOLDER, OTHER_FOLDER, ImapSession, MailboxUnavailable
from mail.server_urls import ImapAccount
from models import AllowedSender, ImapStatus, InboundMessage, Letter, Membership, Notice, Person
from smtpd import SpoolWorker
from tests import cast_notices, smarthost
from tests.cast_mail import DOMAIN, dns, mail, signed
from tests.core.test_dispatch import dsn
from tests.mail.smtp_servers import free_port, self_signed_context
from tests.processes import until
from tests.real.dovecot import run_dovecot
from tests.real.external_programs import run_postfix

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(120)]

LIST = f"1nen1kumi@{DOMAIN}"
JOIN = f"1nen1kumi-join@{DOMAIN}"


def came(raw: bytes, to: str, envelope: str = "x@example.jp") -> bytes:
    """Return a mail as Postfix lays it into a catch-all mailbox."""
    head = f"Return-Path: <{envelope}>\r\nX-Original-To: {to}\r\nDelivered-To: kairan@{DOMAIN}\r\n"
    return head.encode() + b"Received: from a\r\n\tby mx; Sun, 22 Nov 2026 09:00:00 +0900\r\n" + raw


@pytest.fixture
def box(tmp_path, school, monkeypatch):
    """A mailbox that collects the whole domain."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp"))
    with run_dovecot(tmp_path / "imap") as made:
        ground.set_current_config(
            replace(ground.current_config(), road="collected", imap=made.url, mailbox=f"kairan@{DOMAIN}")
        )
        yield made


def read() -> int:
    """Take what lies there and handle it."""
    number = imap_poller.poll_once(load_settings().imap_account, clock.now())
    SpoolWorker().run_once()
    return number


def test_posts_joins_and_bounces_come_by_the_mailbox(school, box):
    """T-30, T-27, D-37: byte for byte, so that signatures hold; handled mail is moved into a folder."""
    AllowedSender.create(
        list=school.lists["1-1"], address="hanako@example.jp", address_key="hanako@example.jp", name="花子"
    )
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    report = dsn(letter)
    path = load_settings().own_addresses.return_path(letter.id, load_settings().secret)
    box.put(came(signed(mail("hanako@example.jp", LIST, "練習中止", "雨です。\n"), "example.jp"), LIST), "1.a")
    box.put(came(signed(mail("new@example.jp", JOIN), "example.jp"), JOIN, "new@example.jp"), "2.b")
    box.put(came(report, path, ""), "3.c")
    box.put(came(mail("x@example.jp", "n", "a", "b"), f"nobody@{DOMAIN}"), "4.d")
    assert read() == 4
    assert {row.kind: row.outcome for row in InboundMessage.select()} == {
        "post": "done",
        "join": "done",
        "bounce": "done",
    }
    assert InboundMessage.get(InboundMessage.kind == "post").reason == "dkim"
    assert Membership.select().join(Person).where(Person.address == "new@example.jp").get().state == "active"
    assert Person.get_by_id(letter.person_id).address_state == "bounced"
    assert (box.lying(), box.lying(HANDLED_FOLDER), box.lying(OTHER_FOLDER)) == (0, 3, 1)
    state = ImapStatus.load_row()
    assert (state.reason, state.taken, state.others) == ("", 3, 1)
    assert read() == 0


def test_the_same_mail_seen_twice_changes_nothing(school, box, monkeypatch):
    """The connection broke between writing down and moving aside."""
    AllowedSender.create(list=school.lists["1-1"], address="hanako@example.jp", address_key="hanako@example.jp")
    box.put(came(signed(mail("hanako@example.jp", LIST, "練習", "本文\n"), "example.jp"), LIST), "1.a")

    def cut(self, uid, folder):
        raise MailboxUnavailable("cut", "broken")

    with monkeypatch.context() as once, pytest.raises(MailboxUnavailable):
        once.setattr(ImapSession, "move_message", cut)
        read()
    SpoolWorker().run_once()
    assert ImapStatus.load_row().reason == "broken" and box.lying() == 1
    assert read() == 1 and Notice.select().where(Notice.route == "mail").count() == 1
    assert ImapStatus.load_row().reason == ""


def test_a_mail_that_is_too_large_is_not_fetched(school, box, monkeypatch):
    monkeypatch.setattr(imap_poller, "MAX_MESSAGE_BYTES", 1000)
    box.put(came(mail("x@example.jp", LIST, "a", "b" * 2000), LIST), "1.a")
    assert read() == 1 and box.lying(OTHER_FOLDER) == 1 and not spool.list_messages()


def test_with_one_mailbox_replies_and_bounces_are_known_by_the_letter(school, box):
    """T-18, D-37: no address of our own but the mailbox; a reply names our Message-ID, a report returns it."""
    ground.set_current_config(
        replace(
            ground.current_config(), road="mailbox", mailbox=f"kairan@{DOMAIN}", base_url="https://pages.school.example"
        )
    )
    own = load_settings().own_addresses
    assert own.return_path(1, b"") == own.address("r-x") == f"kairan@{DOMAIN}"
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    ours = message_id(letter.id, load_settings().secret, load_settings().mail_domain)
    assert ours.endswith("@pages.school.example>")
    head = b"Return-Path: <p@example.jp>\r\nReceived: from a\r\n\tby mx; Sun\r\n"
    box.put(head + mail("p@example.jp", f"kairan@{DOMAIN}", "Re: 運動会", "行きます", In_Reply_To=ours), "1.a")
    report = dsn(letter).replace(message_id(letter.id, load_settings().secret, DOMAIN).encode(), ours.encode())
    box.put(head.replace(b"<p@example.jp>", b"<>") + report, "2.b")
    box.put(head + mail("q@example.jp", f"kairan@{DOMAIN}", "質問", "行事はいつですか"), "3.c")
    assert read() == 3
    assert {row.kind: row.outcome for row in InboundMessage.select()} == {
        "reply": "done",
        "bounce": "done",
        "house": "held",
    }
    assert Person.get_by_id(letter.person_id).address_state == "bounced"


def test_a_recipient_that_is_only_guessed_posts_nothing_by_itself(school, box):
    """T-30, N-07: no header says for whom it came; To names the list, so its sender is asked first."""
    ground.set_current_config(
        replace(ground.current_config(), road="mailbox", mailbox="kaede@gmail.example", plus="yes")
    )
    AllowedSender.create(list=school.lists["1-1"], address="hanako@example.jp", address_key="hanako@example.jp")
    list_ = "kaede+1nen1kumi@gmail.example"
    head = b"Received: from a\r\n\tby mx; Sun\r\n"
    box.put(head + signed(mail("hanako@example.jp", list_, "練習", "本文\n"), "example.jp"), "1.a")
    both = mail("hanako@example.jp", f"{list_}, kaede+2nen1kumi@gmail.example", "両方", "本文\n")
    box.put(head + signed(both, "example.jp"), "2.b")
    assert read() == 2
    rows = {row.subject: row for row in InboundMessage.select()}
    assert (rows["練習"].kind, rows["練習"].outcome, rows["練習"].reason) == ("post", "held", "bcc")
    assert rows["両方"].kind == "house"
    assert Notice.get(Notice.route == "mail").hold_reason == "proof"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "wrong"}, "login"),
        ({"port": 1}, "connect"),
        ({"folder": "Missing"}, "folder"),
        ({"security": "starttls"}, "tls"),
        ({"security": "tls"}, "tls"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words_and_tried_less_and_less(school, box, change, reason):
    """Never a crash, never a busy loop: the next tries come later and later."""
    wrong = replace(load_settings().imap_account, **change)
    update_organization(None, imap="")
    with pytest.raises(MailboxUnavailable) as told:
        imap_poller.poll_once(wrong, clock.now())
    assert (told.value.reason, ImapStatus.load_row().reason) == (reason, reason)
    assert load_settings().imap_account.password not in told.value.detail + ImapStatus.load_row().detail
    assert told.value.message == ImapStatus.load_row().message != ""
    ground.set_current_config(replace(ground.current_config(), imap=box.url))
    check = next(
        one
        for one in diagnostics.check_system(ground.current_config(), load_settings(), clock.now())
        if one.kind == "incoming"
    )
    assert (check.ok, check.advice) == (False, told.value.message)


def test_the_collector_rests_after_trouble_and_forgets_it_with_new_settings(school, box, monkeypatch):
    good = ground.current_config()
    ground.set_current_config(replace(good, imap=box.url.replace("geheim", "falsch")))
    collector = imap_poller.ImapPoller()
    assert not collector.run_once() and ImapStatus.load_row().reason == "login"
    ImapStatus.update(reason="").execute()
    assert not collector.run_once() and ImapStatus.load_row().reason == "", "not tried again at once"
    ground.set_current_config(good)
    box.put(came(mail("x@example.jp", LIST, "a", "b"), LIST), "1.a")
    assert collector.run_once() and box.lying() == 0
    collector._disconnect()


def test_a_mail_that_arrives_while_waiting_is_taken_at_once(school, box):
    """IDLE: a post need not wait for the next round; a second process keeps out meanwhile."""
    stop = threading.Event()

    def run():
        imap_poller.ImapPoller().run(stop.is_set)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert until(lambda: ImapStatus.select().where(ImapStatus.last_success_at.is_null(False)).exists(), 10)
        box.put(came(mail("x@example.jp", LIST, "a", "b"), LIST), "1.a")
        assert until(lambda: box.lying(HANDLED_FOLDER) == 1, 10), box.said()
        with pytest.raises(imap_poller.MailboxLocked):
            imap_poller.poll_once(load_settings().imap_account, clock.now())
    finally:
        stop.set()
        thread.join(20)
        db.close()
    assert not thread.is_alive() and len(spool.list_messages()) == 1


def test_tls_is_required_off_this_machine_and_its_certificate_checked(school, tmp_path, monkeypatch):
    home = tmp_path / "tls"
    home.mkdir()
    self_signed_context(home)
    with run_dovecot(tmp_path / "imap", tls=(home / "both.pem", home / "both.pem")) as made:
        there = ImapAccount.parse(made.url.replace("imap://", "imap+starttls://"))
        ImapSession(there).close()
        monkeypatch.setattr("mail.smtp.is_loopback", lambda host: False)
        with pytest.raises(MailboxUnavailable) as told:
            ImapSession(there)
        assert told.value.reason == "certificate"


def test_the_command_reads_once(school, box, monkeypatch):
    from click.testing import CliRunner

    from cli.deliver import collect

    monkeypatch.setattr("cli.common._open_installation", lambda: None)
    box.put(came(mail("x@example.jp", LIST, "a", "b"), LIST), "1.a")
    done = CliRunner().invoke(collect)
    assert (done.exit_code, done.stdout) == (0, "1\n"), done.output
    assert InboundMessage.get().kind == "stray"
    assert settings.load_settings().imap_account and Path(ground.current_config().data).exists()


# ── a provider's own Postfix in front of the mailbox ─────────────────────────────────────────────────────────────

CATCH_ALL = """
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {home}
virtual_mailbox_maps = static:Maildir/
virtual_transport = virtual
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
recipient_delimiter =
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 3s
default_destination_concurrency_failed_cohort_limit = 0
"""


def test_a_real_catch_all_brings_posts_and_bounces_by_imap(school, box, tmp_path):
    """D-37, T-30: Kairan → provider's Postfix → 550 → report into the mailbox → IMAP → the person is excluded."""
    list_, dead = school.lists["1-1"], "aoyama.k@example.com"
    AllowedSender.create(list=list_, address="hanako@example.jp", address_key="hanako@example.jp", name="花子")
    owner = os.stat(box.home / "Maildir")
    main = CATCH_ALL.format(domain=DOMAIN, home=box.home, uid=owner.st_uid, gid=owner.st_gid)
    port = free_port()
    with (
        smarthost.running(**{dead: f"550 5.1.1 <{dead}>: User unknown"}) as (_, sink),
        run_postfix(tmp_path / "pf", port, sink, main, "virtual unix - n n - - virtual\n"),
    ):
        smarthost.send_by(port)
        notice = smarthost.begun(school.users["花子"], [list_])
        assert smarthost.drained()
        post = signed(mail("hanako@example.jp", LIST, "練習中止", "雨です。\n"), "example.jp")
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as outside:
            outside.sendmail("hanako@example.jp", [LIST], post)
        log = lambda: (tmp_path / "pf" / "mail.log").read_text("utf-8", "replace")  # noqa: E731
        assert until(lambda: box.lying() == 2, 30), log()
        assert read() == 2
    letter = smarthost.letter_to(notice, dead)
    assert (letter.state, letter.reason) == ("bounced", "unknown_user")
    assert Person.get_by_id(letter.person_id).address_state == "bounced"
    rows = {row.kind: row for row in InboundMessage.select()}
    assert rows["bounce"].envelope_sender == "" and rows["bounce"].recipient.startswith("b-")
    assert (rows["post"].envelope_sender, rows["post"].outcome, rows["post"].reason) == (
        "hanako@example.jp",
        "done",
        "dkim",
    )
