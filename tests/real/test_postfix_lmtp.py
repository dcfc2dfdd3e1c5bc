"""A real Postfix in front of the mail door, with the settings of deploy/postfix (T-23, T-27, T-30, D-37).

Outside client → Postfix → LMTP → Kairan; and Kairan → Postfix → parents' server, whose refusals Postfix reports back to
the return path of the letter.
"""

import re
import smtplib
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

import config as ground
from cli.deliver import deliver
from core.inbound import dispatch
from models import AllowedSender, InboundMessage, Letter, Membership, Notice, Person
from smtpd import InboundServer, SpoolWorker
from tests import smarthost
from tests.cast_mail import DOMAIN, dns, mail, signed
from tests.mail.smtp_servers import free_port
from tests.processes import until
from tests.real.external_programs import find_program, run_postfix
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
default_destination_concurrency_failed_cohort_limit = 0
"""
"""Quick ends, so that a test sees what takes a day."""
QUICKER = {"maximal_queue_lifetime", "bounce_queue_lifetime", "delay_warning_time"}
"""Documented settings that the test of reports cannot run as they are: it would take a day."""
OUTSIDE = """127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=kairantest/mx
  -o mynetworks=127.255.255.255/32
lmtp unix - - n - - lmtp
proxywrite unix - - n - 1 proxymap
"""


def settings(door: int) -> str:
    """Return what deploy/postfix/main.cf says, for a door on another port."""
    text = (ground.PROJECT_DIR / "deploy" / "postfix" / "main.cf").read_text("utf-8")
    assert DOMAIN in text and "127.0.0.1:8024" in text
    return text.replace("127.0.0.1:8024", f"127.0.0.1:{door}")


def documented(text: str) -> dict[str, str]:
    """Return the settings of a main.cf, each as postconf writes it."""
    pairs = (line.partition("=") for line in text.splitlines() if re.match(r"\w+ = ", line))
    return {name.strip(): value.strip() for name, _, value in pairs}


def in_force(tmp_path) -> dict[str, str]:
    """Return what the running Postfix says of its settings."""
    command = [find_program("postconf", "postfix"), "-c", str(tmp_path / "pf" / "etc")]
    return documented(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout)


@contextmanager
def house(tmp_path, more: str = "", master: str = "", **rules: str):
    """Run door, reader, Postfix and the parents' server; give (port from outside, the parents' server).

    more, master: settings beyond the documented ones.
    """
    door = InboundServer("lmtp", "127.0.0.1", 0)
    outside, inside = free_port(), free_port()
    stop = threading.Event()
    reading = threading.Thread(target=SpoolWorker().run, args=(stop.is_set,))
    with smarthost.running(**rules) as (host, sink):
        opened = door.open()
        reading.start()
        try:
            written = settings(opened)
            with run_postfix(tmp_path / "pf", inside, sink, written + more, OUTSIDE.format(port=outside) + master):
                wanted, found = documented(written), in_force(tmp_path)
                other = {name for name, value in wanted.items() if found[name] != value}
                assert other == documented(more).keys() & wanted.keys(), "what is documented is what runs"
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
        [
            find_program("swaks", "swaks"),
            "--server",
            f"127.0.0.1:{port}",
            "--from",
            sender,
            "--to",
            recipient,
            "--helo",
            "client.example",
            "--data",
            f"@{file}",
            "--timeout",
            "30",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def log(tmp_path) -> str:
    return (tmp_path / "pf" / "mail.log").read_text("utf-8", "replace")


@pytest.mark.proves("T-23")
def test_mail_from_outside_comes_in_and_what_is_unknown_is_refused_at_the_door(school, tmp_path, monkeypatch):
    """T-23, T-27, T-30: a post of a registered sender, a blank mail, a stranger; no backscatter, no open relay."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp"))
    AllowedSender.create(
        list=school.lists["1-1"], address="hanako@example.jp", address_key="hanako@example.jp", name="花子"
    )
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

        done = InboundMessage.select().where(InboundMessage.outcome.in_(("done", "held")))
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
        _says_the_limit_of_size(port)


def _says_the_limit_of_size(port: int) -> None:
    """24 MB come in whole; more is refused with a reason while the sender's server is still there (defences 2)."""
    to = f"postmaster@{DOMAIN}"
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo("client.example")
        assert client.esmtp_features["size"] == "26214400"
        code, why = client.mail("x@example.jp", ["SIZE=27000000"])
        assert (code, why[:5]) == (552, b"5.3.4"), why
        big = mail("x@example.jp", to, "big", "") + b"".join([b"y" * 76 + b"\n"] * (24 * 2**20 // 77))
        assert client.sendmail("x@example.jp", [to], big.replace(b"\n", b"\r\n")) == {}
    assert until(
        lambda: (
            InboundMessage.select().where(InboundMessage.kind == "house", InboundMessage.outcome == "held").exists()
        ),
        30,
    )


def test_real_reports_come_back_and_exclude_only_who_is_gone(school, tmp_path):
    """D-37, decision 3: unknown → excluded; full → tried, reported late, kept; refused content → our fault, kept."""
    list_ = school.lists["1-1"]
    full, unknown, spam = "naoki@example.jp", "aoyama.k@example.com", "misaki@mobile.example.jp"
    rules = {
        unknown: f"550 5.1.1 <{unknown}>: Recipient address rejected: User unknown",
        full: "452 4.2.2 Mailbox full",
        spam: "data 554 5.7.1 Message rejected as spam",
    }
    assert documented(QUICK).keys() & documented(settings(1)).keys() == QUICKER
    with house(tmp_path, QUICK, **rules) as (_, host):
        notice = begun(school.users["花子"], [list_])
        assert drained()
        assert letter_to(notice, unknown).state == "accepted", "Postfix took them all"
        settled = lambda address: letter_to(notice, address).state == "bounced"  # noqa: E731
        assert until(lambda: all(map(settled, (unknown, full, spam))), 60), log(tmp_path)
    reasons = {one: letter_to(notice, one).reason for one in (unknown, full, spam)}
    assert reasons == {unknown: "unknown_user", full: "full", spam: "policy"}
    states = {one: Person.get(Person.address == one).address_state for one in (unknown, full, spam)}
    assert states == {unknown: "bounced", full: "fine", spam: "fine"}
    rows = list(InboundMessage.select())
    assert {row.kind for row in rows} == {"bounce"}
    assert sorted(row.reason for row in rows) == ["delayed", "full", "policy", "unknown_user"]
    assert all(re.fullmatch(r"b-[a-z2-7]{24}", row.recipient) for row in rows)
    assert letter_to(notice, "suzuki@example.com").state == "accepted"
    assert host.to().count("suzuki@example.com") == 1


PIPE = """kairan unix - n n - 4 pipe
  {flags} user=nobody argv={program} {options}
"""


def test_the_documented_pipe_hands_over_each_mail_with_its_envelope(school, tmp_path):
    """deploy/postfix, "Without LMTP": one recipient at a time, and the empty sender."""
    said = (ground.PROJECT_DIR / "deploy" / "postfix" / "README.md").read_text("utf-8")
    flags, options = re.search(r"\n +(flags=\S+) user=kairan argv=\S+/flask deliver (.+)\n", said).groups()
    out = tmp_path / "taken"
    out.mkdir(mode=0o777)
    for folder in [out, *out.parents][:4]:
        folder.chmod(folder.stat().st_mode | 0o011)
    out.chmod(0o777)
    stand_in = out / "deliver"
    stand_in.write_text(f'#!/bin/sh\nn=$$\ncat > {out}/$n.eml\nprintf "%s\\n" "$@" > {out}/$n.args\n')
    stand_in.chmod(0o755)
    more = "virtual_transport = kairan\nkairan_destination_recipient_limit = 1\nsmtpd_recipient_restrictions = permit\n"
    assert all(f"`{line}`" in said for line in more.splitlines()[:2])
    with house(tmp_path, more, PIPE.format(flags=flags, program=stand_in, options=options)) as (port, _):
        for sender, to in (("x@example.jp", [LIST, f"1nen1kumi-join@{DOMAIN}"]), ("", [f"postmaster@{DOMAIN}"])):
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
                client.sendmail(sender, to, mail("x@example.jp", LIST, "a", "b").replace(b"\n", b"\r\n"))
        assert until(lambda: len(list(out.glob("*.args"))) == 3, 30), log(tmp_path)
        time.sleep(0.2)
    environ = {"KAIRAN_DATA": str(ground.current_config().data), "KAIRAN_MAIL_DOMAIN": DOMAIN}
    for number, file in enumerate(sorted(out.glob("*.args"))):
        given = file.read_text().splitlines()
        sender = "" if given[0].partition("=")[2] == "MAILER-DAEMON" else "x@example.jp"
        raw = file.with_suffix(".eml").read_bytes() + b"%d" % number
        done = CliRunner().invoke(deliver, given, input=raw, env=environ)
        assert done.exit_code == 0, done.output
        assert (
            InboundMessage.get(InboundMessage.recipient == given[1].partition("=")[2].partition("@")[0]).envelope_sender
            == sender
        )
