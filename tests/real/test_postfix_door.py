"""A real Postfix in front of the mail door, with the settings of deploy/postfix (T-23, T-27, T-30, D-37).

Outside client → Postfix → LMTP → Kairan; and Kairan → Postfix → parents' server, whose refusals Postfix reports back to
the return path of the letter.
"""

import re
import subprocess
import threading
from contextlib import contextmanager

import pytest

import config as ground
from core.door import inbox
from inlet import Inlet, Reader
from models import Incoming, Letter, Membership, Notice, Person, Sender
from tests import smarthost
from tests.cast_mail import DOMAIN, dns, mail, signed
from tests.mail.servers import free_port
from tests.parts import until
from tests.real.programs import postfix, program
from tests.smarthost import begun, drained, fresh, letter_to

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(180)]

LIST = f"1nen1kumi@{DOMAIN}"
QUICK = """
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 3s
maximal_queue_lifetime = 12s
bounce_queue_lifetime = 12s
delay_warning_time = 4s
address_verify_map = btree:$data_directory/verify
default_destination_concurrency_failed_cohort_limit = 0
"""
OUTSIDE = """127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=kairantest/mx
  -o mynetworks=127.255.255.255/32
lmtp unix - - n - - lmtp
proxywrite unix - - n - 1 proxymap
"""


def settings(door: int) -> str:
    """Return what deploy/postfix/main.cf says, for a door on another port, with quick ends for the test."""
    text = (ground.HERE / "deploy" / "postfix" / "main.cf").read_text("utf-8")
    assert DOMAIN in text and "127.0.0.1:8024" in text
    return text.replace("127.0.0.1:8024", f"127.0.0.1:{door}") + QUICK


@contextmanager
def house(tmp_path, **rules: str):
    """Run door, reader, Postfix and the parents' server; give (port from outside, the parents' server)."""
    door = Inlet("lmtp", "127.0.0.1", 0)
    outside, inside = free_port(), free_port()
    stop = threading.Event()
    reading = threading.Thread(target=Reader().run, args=(stop.is_set,))
    with smarthost.running(**rules) as (host, sink):
        opened = door.open()
        reading.start()
        try:
            with postfix(tmp_path / "pf", inside, sink, settings(opened), OUTSIDE.format(port=outside)):
                smarthost.send_by(inside)
                yield outside, host
        finally:
            stop.set()
            reading.join(10)
            door.close()


def swaks(port: int, raw: bytes, tmp_path, sender: str, recipient: str) -> subprocess.CompletedProcess:
    """Send a mail as somebody outside."""
    file = tmp_path / "mail.eml"
    file.write_bytes(raw.replace(b"\r\n", b"\n"))
    return subprocess.run(
        [program("swaks", "swaks"), "--server", f"127.0.0.1:{port}", "--from", sender, "--to", recipient,
         "--helo", "client.example", "--data", f"@{file}", "--timeout", "30"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def log(tmp_path) -> str:
    return (tmp_path / "pf" / "mail.log").read_text("utf-8", "replace")


def test_mail_from_outside_comes_in_and_what_is_unknown_is_refused_at_the_door(school, tmp_path, monkeypatch):
    """T-23, T-27, T-30: a post of a registered sender, a blank mail, a stranger; no backscatter, no open relay."""
    monkeypatch.setattr(inbox, "lookup", dns("example.jp"))
    Sender.create(list=school.lists["1-1"], address="hanako@example.jp", address_key="hanako@example.jp", name="花子")
    join = f"1nen1kumi-join@{DOMAIN}"
    with house(tmp_path) as (port, host):
        unknown = swaks(port, mail("x@example.jp", "n", "a", "b"), tmp_path, "x@example.jp", f"nobody@{DOMAIN}")
        assert "550 5.1.1" in unknown.stdout, unknown.stdout + log(tmp_path)
        relay = swaks(port, mail("x@example.jp", "n", "a", "b"), tmp_path, "x@example.jp", "victim@example.net")
        assert "554 5.7.1" in relay.stdout

        long_line = "<p>" + "長い一行です。" * 400 + "</p>"
        post = signed(mail("hanako@example.jp", LIST, "練習中止", f"雨です。\n{long_line}\n"), "example.jp")
        assert swaks(port, post, tmp_path, "hanako@example.jp", LIST).returncode == 0
        assert swaks(port, signed(mail("new@example.jp", join), "example.jp"), tmp_path, "new@example.jp", join)
        assert swaks(port, mail("evil@example.net", LIST, "宣伝", "x"), tmp_path, "evil@example.net", LIST)

        done = Incoming.select().where(Incoming.outcome.in_(("done", "held")))
        assert until(lambda: done.count() == 3, 30), log(tmp_path)
        found = {row.kind: row for row in done}
        assert set(found) == {"post", "join", "stray"}
        assert found["post"].reason == "dkim", "the signature outlives Postfix, long line and all"
        assert long_line in fresh(found["post"].notice).wording.text
        assert Notice.select().count() == 1
        assert Membership.select().join(Person).where(Person.address == "new@example.jp").get().state == "active"
        assert drained()
        assert until(lambda: len(host.mails) == 3, 20), [one.kind for one in Letter.select()]
        assert sorted(host.to()) == ["hanako@example.jp", "new@example.jp", "user1@school.example"]


def test_real_reports_come_back_and_exclude_only_who_is_gone(school, tmp_path):
    """D-37, decision 3: unknown → excluded; full → tried, reported late, kept; refused content → our fault, kept."""
    list_ = school.lists["1-1"]
    full, unknown, spam = "naoki@example.jp", "aoyama.k@example.com", "misaki@mobile.example.jp"
    rules = {
        unknown: f"550 5.1.1 <{unknown}>: Recipient address rejected: User unknown",
        full: "452 4.2.2 Mailbox full",
        spam: "data 554 5.7.1 Message rejected as spam",
    }
    with house(tmp_path, **rules) as (_, host):
        notice = begun(school.users["花子"], [list_])
        assert drained()
        assert letter_to(notice, unknown).state == "accepted", "Postfix took them all"
        settled = lambda address: letter_to(notice, address).state == "bounced"  # noqa: E731
        assert until(lambda: all(map(settled, (unknown, full, spam))), 60), log(tmp_path)
    reasons = {one: letter_to(notice, one).reason for one in (unknown, full, spam)}
    assert reasons == {unknown: "unknown_user", full: "full", spam: "policy"}
    states = {one: Person.get(Person.address == one).address_state for one in (unknown, full, spam)}
    assert states == {unknown: "bounced", full: "fine", spam: "fine"}
    rows = list(Incoming.select())
    assert {row.kind for row in rows} == {"bounce"}
    assert sorted(row.reason for row in rows) == ["delayed", "full", "policy", "unknown_user"]
    assert all(re.fullmatch(r"b-[a-z2-7]{24}", row.recipient) for row in rows)
    assert letter_to(notice, "suzuki@example.com").state == "accepted"
    assert host.to().count("suzuki@example.com") == 1
