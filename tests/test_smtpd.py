"""The mail door: what is taken, what is refused, and that nothing taken is lost (design 2c, defences 2)."""

import errno
import os
import smtplib
import socket
import threading
import time
from contextlib import contextmanager

import pytest

import clock
import database
import smtpd
from core import disk_space
from core.inbound import dispatch, spool
from core.inbound.message import RetryLater, read_inbound_mail
from core.settings import load_settings
from database import db
from models import InboundMessage
from smtpd import InboundServer, SpoolWorker
from tests.cast_mail import mail
from tests.processes import until

LIST = "1nen1kumi@mail.school.example"
OTHER = "2nen1kumi@mail.school.example"


@contextmanager
def door(protocol: str):
    opened = InboundServer(protocol, "127.0.0.1", 0)
    port = opened.open()
    try:
        with (smtplib.LMTP if protocol == "lmtp" else smtplib.SMTP)("127.0.0.1", port, timeout=10) as client:
            yield client
    finally:
        opened.close()


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_what_is_taken_lies_on_the_disk_before_the_answer(school, protocol):
    raw = mail("hanako@example.jp", LIST, "練習", "本文\n").replace(b"\n", b"\r\n")
    with door(protocol) as client:
        assert client.sendmail("hanako@example.jp", [LIST], raw) == {}
        assert len(spool.list_messages()) == 1
    held = spool.read_message(spool.list_messages()[0])
    assert (held.sender, held.recipients) == ("hanako@example.jp", (LIST,))
    assert held.raw == raw, "byte for byte: a signature stands on it"


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_postmaster_needs_no_domain(school, protocol):
    """RFC 5321 4.5.1."""
    with door(protocol) as client:
        client.ehlo("client.example")
        client.mail("x@example.jp")
        assert client.docmd("RCPT", "TO:<Postmaster>")[0] == 250


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_unknown_addresses_are_refused_before_the_content(school, protocol):
    """Never bounce after accepting (defences 2)."""
    with door(protocol) as client:
        client.ehlo("client.example")
        client.mail("x@example.jp")
        for wrong in (
            "nobody@mail.school.example",
            "1nen1kumi@other.example",
            "b-aaaa@mail.school.example",
            f"b-{'a' * 24}@mail.school.example",
            "kyonen@mail.school.example",
            "1nen1kumi",
        ):
            code, text = client.rcpt(wrong)
            assert (code, text[:5]) == (550, b"5.1.1"), wrong
        assert client.rcpt(LIST)[0] == 250
        assert client.rcpt("1NEN1KUMI@MAIL.School.Example")[0] == 250, "without regard to case"
    assert spool.list_messages() == []


def test_lmtp_answers_once_for_each_recipient(school):
    """RFC 2033 4.2; aiosmtpd alone would answer once."""
    with door("lmtp") as client:
        client.ehlo("mx.example")
        client.mail("x@example.jp")
        client.rcpt(LIST), client.rcpt(OTHER)
        assert client.docmd("DATA")[0] == 354
        client.send(mail("x@example.jp", LIST, "a", "b").replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]
        assert client.noop()[0] == 250, "and the conversation goes on in step"
    assert spool.read_message(spool.list_messages()[0]).recipients == (LIST, OTHER)


def test_lmtp_says_once_for_each_that_a_mail_is_too_large(school, monkeypatch):
    monkeypatch.setattr(smtpd, "MAX_MESSAGE_SIZE", 2000)
    with door("lmtp") as client:
        client.ehlo("mx.example")
        assert client.esmtp_features["size"] == "2000"
        client.mail("x@example.jp")
        client.rcpt(LIST), client.rcpt(OTHER)
        client.docmd("DATA")
        client.send(b"Subject: x\r\n\r\n" + b"y" * 70 * 1 + b"\r\n" + (b"z" * 70 + b"\r\n") * 60 + b".\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [552, 552]
        assert client.noop()[0] == 250
    assert spool.list_messages() == []


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
@pytest.mark.parametrize(
    "chunks",
    [
        [b"Subject: x\r\n\r\n", b"a line\r\n" * 60_000, b"the end\r\n.\r\n"],
        [b"a line without end" * 30_000, b"\r", b"\n", b".", b"\r", b"\n"],
        [b"a line\r\n" * 60_000 + b".x", b"y\r\n.\r\n"],
        [b"a line\r\n" * 60_000, b".\r\n"],
    ],
)
def test_over_long_content_without_size_gets_552_and_the_session_goes_on(school, monkeypatch, protocol, chunks):
    """The sender must learn that the mail is too large; a cut connection makes it try again for days."""
    monkeypatch.setattr(smtpd, "MAX_MESSAGE_SIZE", 100_000)
    monkeypatch.setattr(smtpd, "MAX_UNANSWERED_OCTETS", 200_000)
    with door(protocol) as client:
        client.ehlo("mx.example")
        client.mail("x@example.jp")
        assert client.rcpt(LIST)[0] == 250
        assert client.docmd("DATA")[0] == 354
        for chunk in chunks:
            client.send(chunk)
            time.sleep(0.02)  # so that the pieces arrive one by one
        assert client.getreply()[0] in (500, 552)
        assert spool.list_messages() == []
        assert client.sendmail("x@example.jp", [LIST], mail("x@example.jp", LIST, "a", "b")) == {}
    assert len(spool.list_messages()) == 1


def test_command_without_end_closes_the_session(school, monkeypatch):
    monkeypatch.setattr(smtpd, "MAX_UNANSWERED_OCTETS", 200_000)
    with door("smtp") as client, pytest.raises((smtplib.SMTPException, OSError)):
        client.docmd("NOOP " + "x" * 1_000_000)
        client.docmd("NOOP")


def test_long_lines_pass(school):
    """T-15: HTML of one line of many kilobytes is usual; cut, its signature would break."""
    raw = b"From: x@example.jp\r\nSubject: s\r\n\r\n" + b"a" * 200_000 + b"\r\n"
    with door("smtp") as client:
        assert client.sendmail("x@example.jp", [LIST], raw) == {}
    assert spool.read_message(spool.list_messages()[0]).raw == raw


def test_the_sender_of_machines_is_the_empty_one(school):
    with door("smtp") as client:
        client.sendmail("<>", [LIST], b"Subject: x\r\n\r\ny\r\n")
    assert spool.read_message(spool.list_messages()[0]).sender == ""


def test_a_full_disk_puts_the_mail_off(school, monkeypatch):
    def full(*args):
        raise OSError("no room")

    monkeypatch.setattr(spool, "write_message", full)
    with door("smtp") as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("x@example.jp", [LIST], b"Subject: x\r\n\r\ny\r\n")
    assert refused.value.smtp_code == 452


def test_a_flood_is_put_off_but_not_bounces(school, monkeypatch):
    """Defences 2: more than so many a minute are put off; who answers a letter of ours is not counted."""
    from mail.address import return_path

    monkeypatch.setattr(smtpd, "MAX_RECIPIENTS_PER_MINUTE", 2)
    ours = return_path(7, load_settings().secret, "mail.school.example")
    with door("smtp") as client:
        client.ehlo("client.example")
        client.mail("x@example.jp")
        assert [client.rcpt(LIST)[0] for _ in range(3)] == [250, 250, 452]
        assert client.rcpt(ours)[0] == 250


def test_the_door_greets_with_the_mail_domain(school):
    opened = InboundServer("smtp", "127.0.0.1", 0)
    port = opened.open()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            assert b"220 mail.school.example" in raw.recv(200)
    finally:
        opened.close()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def put(raw: bytes = b"From: x@example.jp\n\nhello", *recipients: str) -> str:
    return spool.write_message("x@example.jp", recipients or (LIST,), raw, clock.now())


def test_the_reader_handles_each_recipient_and_forgets_the_file(school):
    put(mail("x@example.jp", LIST, "a", "b"), LIST, OTHER)
    assert SpoolWorker().run_once() == 1
    assert spool.list_messages() == []
    assert {row.recipient for row in InboundMessage.select()} == {"1nen1kumi", "2nen1kumi"}


def test_a_poison_mail_is_quarantined_after_three_tries_and_others_go_ahead(school, monkeypatch):
    """Law 6."""
    tries = []

    def explode(raw, *rest):
        if b"poison" in raw:
            tries.append(1)
            raise RecursionError
        return sane(raw, *rest)

    sane = read_inbound_mail
    monkeypatch.setattr(dispatch, "read_inbound_mail", explode)
    monkeypatch.setattr(smtpd, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    put(b"From: x@example.jp\n\npoison")
    put(mail("y@example.jp", LIST, "fine", "b"))
    reader = SpoolWorker()
    for _ in range(4):
        reader.run_once()
    assert len(tries) == 3
    assert spool.list_messages() == []
    outcomes = {row.outcome: row for row in InboundMessage.select()}
    assert set(outcomes) == {"quarantined", "held"}
    assert outcomes["quarantined"].reason == "RecursionError"
    assert spool.read_raw(outcomes["quarantined"].file) == b"From: x@example.jp\n\npoison"


def test_full_disk_quarantines_no_mail_and_leaves_no_unfinished_file(school, monkeypatch):
    """Not the mail is to blame: it waits in the spool however often the disk is full, and is handled with room."""

    def fail(*args):
        raise database.OperationalError("database or disk is full")

    monkeypatch.setattr(smtpd, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    put(mail("y@example.jp", LIST, "fine", "b"))
    reader = SpoolWorker()
    with monkeypatch.context() as full:
        full.setattr(dispatch, "_save_result", fail)
        for _ in range(5):
            reader.run_once()
        full.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError, match="full"):
            spool.write_message("", [LIST], b"x", clock.now())
    assert {path.name for path in spool.spool_folder().iterdir()} == {"kept", *spool.list_messages()}
    assert [row.outcome for row in InboundMessage.select()] == ["failed"] and disk_space.is_full()
    reader.run_once()
    assert [row.outcome for row in InboundMessage.select()] == ["held"] and spool.list_messages() == []


def test_a_mail_that_kills_the_process_is_quarantined_too(school, monkeypatch):
    def die(*args):
        raise SystemExit  # as a kill would: nothing of ours runs any more

    monkeypatch.setattr(dispatch, "read_inbound_mail", die)
    raw = b"From: x@example.jp\n\nboom"
    for _ in range(3):
        with pytest.raises(SystemExit):
            dispatch.handle_message(raw, "x@example.jp", LIST, clock.now())
    assert dispatch.handle_message(raw, "x@example.jp", LIST, clock.now()).outcome == "quarantined"


def test_a_mail_that_must_wait_stays_in_its_order(school, monkeypatch):
    def later(*args):
        raise RetryLater

    monkeypatch.setattr(dispatch, "handle_message", later)
    name = put()
    reader = SpoolWorker()
    assert reader.run_once() == 1
    assert reader.run_once() == 0, "not tried again at once"
    assert spool.list_messages() == [name]


def test_the_door_and_the_reader_work_together(school, config):
    """A mail from the wire to its row, while the door goes on."""
    stop = threading.Event()
    worker = threading.Thread(target=SpoolWorker().run, args=(stop.is_set,))
    with door("lmtp") as client:
        worker.start()
        client.sendmail("x@example.jp", [LIST], mail("x@example.jp", LIST, "a", "b").replace(b"\n", b"\r\n"))
        for _ in range(200):
            if InboundMessage.select().where(InboundMessage.outcome == "held").exists():
                break
            stop.wait(0.05)
        stop.set()
        worker.join(10)
    assert InboundMessage.get().kind == "stray"
    db.close()


def test_kept_mails_go_after_thirty_days(school):
    from datetime import timedelta

    name = spool.save_raw(b"raw")
    assert spool.delete_old_raw(clock.now() + timedelta(days=29)) == 0
    assert spool.delete_old_raw(clock.now() + timedelta(days=31)) == 1
    assert spool.read_raw(name) is None
    assert spool.read_raw("../../keys/secret") is None


# ── joining through the door ─────────────────────────────────────────────────────────────────────────────────────


def test_a_blank_mail_with_a_childs_code_joins_through_the_door(school):
    """T-26, T-27: from the phone's mail program to a greeting, child, class and household settled."""
    from core.members import join_codes
    from models import Letter, Membership

    the_list, child = school.lists["1-1"], school.children["石川 蓮"]
    to = join_codes.join_address(the_list, join_codes.child_code(the_list, child))
    with door("smtp") as client:
        client.sendmail("haha@example.net", [to.upper()], mail("haha@example.net", to))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("haha@example.net", [join_codes.join_address(the_list, "acdefghjkm")], b"x")
    SpoolWorker().run_once()
    place = Membership.select().where(Membership.joined_via == "blank mail").get()
    assert (place.child_id, place.person.address, place.person.household) == (child.id, "haha@example.net", "ishikawa")
    assert place.consent["code"] == "child" and place.consent["message"]
    assert [(one.kind, one.address) for one in Letter.select()] == [("welcome", "haha@example.net")]
    join_codes.rotate_child_codes(the_list, school.users["花子"], [child.id])
    with door("smtp") as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("haha@example.net", [to], mail("haha@example.net", to))


def test_codes_cannot_be_guessed_at_the_door(school, monkeypatch):
    """Forged joins: after many wrong codes a right one is put off too, so the answers tell nothing."""
    from core.members import join_codes

    monkeypatch.setattr(smtpd, "MAX_WRONG_CODES_PER_MINUTE", 3)
    right = join_codes.join_address(school.lists["1-1"], school.lists["1-1"].join_code)
    with door("smtp") as client:
        client.ehlo("client.example")
        client.mail("x@example.jp")
        wrong = [client.rcpt(f"1nen1kumi-join-acdefghjk{sign}@mail.school.example")[0] for sign in "acdef"]
        assert wrong == [550, 550, 550, 452, 452] and client.rcpt(right)[0] == 452
        assert client.rcpt(LIST)[0] == 250 and client.rcpt("1nen1kumi-join@mail.school.example")[0] == 250


# ── sessions that stay ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_ends_whatever_commands_it_sends(school, monkeypatch):
    """NOOP now and then keeps no place: only a stored message begins the time anew."""
    monkeypatch.setattr(smtpd, "MAX_SESSION_S", 0.5)
    with door("smtp") as client:
        client.ehlo("client.example")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            for _ in range(1000):
                code, text = client.noop()
                if code == 421:
                    assert b"takes too long" in text
                    client.noop()
                time.sleep(0.02)


def test_stored_messages_extend_the_session_and_commands_do_not(school):
    raw = mail("hanako@example.jp", LIST, "練習", "本文\n")
    opened = InboundServer("smtp", "127.0.0.1", 0)
    port = opened.open()
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.ehlo("client.example")
            (session,) = opened._handler.sessions
            end = session._end.when()
            client.noop()
            client.mail("hanako@example.jp")
            client.rcpt(LIST)
            assert session._end.when() == end
            client.data(raw)
            assert session._end.when() > end
    finally:
        opened.close()


def test_one_network_of_the_internet_has_few_sessions_and_the_own_machine_all(school, monkeypatch):
    monkeypatch.setattr(smtpd, "MAX_CONNECTIONS_PER_NETWORK", 2)
    opened = InboundServer("smtp", "127.0.0.1", 0)
    port = opened.open()
    clients = []

    def greeting() -> bytes:
        clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return clients[-1].recv(200)

    try:
        assert all(greeting().startswith(b"220") for _ in range(4)), "a mail server on this machine"
        monkeypatch.setattr(smtpd, "limited_network", lambda peer: "198.41.0.0/24")
        assert [greeting()[:3] for _ in range(3)] == [b"220", b"220", b"421"]
        clients[4].close()
        assert until(lambda: greeting().startswith(b"220"), 5), "a place that was left is free again"
    finally:
        for client in clients:
            client.close()
        opened.close()


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        (("127.0.0.1", 1), ""),
        (("172.17.0.1", 1), ""),
        (("::1", 1, 0, 0), ""),
        (("198.41.0.4", 1), "198.41.0.0/24"),
        (("2001:503:ba3e::2:30", 1, 0, 0), "2001:503:ba3e::/48"),
        ("", ""),
        (None, ""),
    ],
)
def test_sessions_are_counted_by_networks_of_the_internet(peer, network):
    assert smtpd.limited_network(peer) == network
