"""Attacks over sockets on a running mail door: `python -m tests.real.attack` attacks one and says what held.

defences 2 (bombing, loops, poison, back-scatter), design law 6. Everything is bounded in number and time and stays on
loopback. Each attack answers with one line; `Held` gathers what must be true after all of them.
"""

import contextlib
import re
import smtplib
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from database import db
from mail.address import return_path
from tests.cast_mail import DOMAIN, mail
from tests.mail.smtp_servers import free_port
from tests.processes import Parts, children, parts, until

LIST = f"1nen1kumi@{DOMAIN}"
JOIN = f"1nen1kumi-join@{DOMAIN}"
LEAVE = f"1nen1kumi-leave@{DOMAIN}"
QUIET = ("membership", "person", "notice", "delivery")
"""Tables in which nothing may change, whatever comes in here."""


@dataclass
class Target:
    """A running door: where it listens, its process, its tables, its secret."""

    port: int
    process: int
    database: Path
    secret: bytes

    def client(self, timeout: float = 20) -> smtplib.LMTP:
        return smtplib.LMTP("127.0.0.1", self.port, timeout=timeout)

    def raw(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def count(self, table: str, where: str = "1") -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20)) as tables:
            return tables.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]  # noqa: S608 (ours)

    def memory(self) -> int:
        """Return the most memory that any of its processes ever had, in MiB."""
        return max(_most_memory(one) for one in (self.process, *children(self.process)))

    def settled(self, seconds: float = 60) -> bool:
        """Wait until nothing lies in the folder of incoming mail."""
        folder = self.database.parent / "inbox"
        return until(lambda: not list(folder.glob("*.mail")), seconds, 0.1)


@contextmanager
def run_smtpd(data: Path, **settings: object) -> Iterator[tuple[Target, Parts]]:
    """Start the door of an installation as a process of its own."""
    port = free_port()
    settings = {"inlet": f"lmtp://127.0.0.1:{port}", "mail_domain": DOMAIN, "dns": "127.0.0.1:9", **settings}
    with parts(data, **settings) as made:
        process = made.start("serve", "--only", "inlet")
        assert until(lambda: _is_listening(port), 40), made.said()
        yield Target(port, process.pid, data / "kairan.db", (data / "keys" / "secret").read_bytes()), made


def _most_memory(process: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def send_message(target: Target, sender: str, recipient: str, raw: bytes) -> int:
    """Send one mail; return the code that decided."""
    try:
        with target.client() as client:
            client.sendmail(sender, [recipient], raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        return 250
    except smtplib.SMTPRecipientsRefused as refused:
        return next(iter(refused.recipients.values()))[0]
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code
    except (OSError, smtplib.SMTPException):
        return 0


# ── what wants letters out of us ─────────────────────────────────────────────────────────────────────────────────


def attack_join_bombing(target: Target, many: int) -> str:
    """Blank mails to the registration address: one from each of many senders, then as many from one."""
    answers: Counter[int] = Counter()
    with target.client() as client:
        client.ehlo("bomber.example")
        for number in range(many):
            one = f"victim{number if number < many // 2 else 0}@victims.example"
            client.mail(one)
            code, _ = client.rcpt(JOIN)
            if code == 250:
                code, _ = client.data(mail(one, JOIN, "", "", Message_ID=f"<{number}@bomber.example>"))
            else:
                client.rset()
            answers[code] += 1
    return f"{many} blank mails: {dict(answers)}"


def attack_auto_reply_storm(target: Target, many: int) -> str:
    """Automatic answers, lists, our own letters come back, reports with marks that nobody gave."""
    kinds = (
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"List_Id": f"<1nen1kumi.{DOMAIN}>"},
        {"X_Kairan_Loop": "1nen1kumi"},
        {"X_Autoreply": "yes"},
        {"Message_ID": f"<{'a' * 24}@{DOMAIN}>"},
    )
    answers: Counter[int] = Counter()
    for number in range(many):
        more = {"Message_ID": f"<s{number}@robot.example>", **kinds[number % len(kinds)]}
        to = (LIST, JOIN, LEAVE)[number % 3]
        raw = mail("robot@robot.example", to, "不在です", f"自動応答 {number}", **more)
        answers[send_message(target, ("robot@robot.example", "")[number % 2], to, raw)] += 1
    return f"{many} automatic mails: {dict(answers)}"


def attack_forged(target: Target, many: int) -> str:
    """A registered sender's name without proof, reports to guessed return paths, addresses that do not exist."""
    answers: Counter[int] = Counter()
    for number in range(many):
        raw = mail("hanako@example.jp", LIST, f"偽物 {number}", "本文")
        answers[send_message(target, "hanako@example.jp", LIST, raw)] += 1
        guess = f"b-{number:024d}@{DOMAIN}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")
        answers[
            send_message(target, "", guess, mail("mailer-daemon@x.example", guess, "Undelivered", "550 user unknown"))
        ] += 1
        answers[
            send_message(target, "x@x.example", f"nobody{number}@{DOMAIN}", mail("x@x.example", LIST, "a", "b"))
        ] += 1
    return f"{many} forged posts, reports, unknown addresses: {dict(answers)}"


def attack_replay(target: Target, many: int) -> str:
    """The same bytes again and again."""
    raw = mail("again@example.net", LIST, "同じ", "同じ本文")
    answers = Counter(send_message(target, "again@example.net", LIST, raw) for _ in range(many))
    return f"the same mail {many} times: {dict(answers)}"


# ── what wants the process down ──────────────────────────────────────────────────────────────────────────────────


def attack_poison(target: Target) -> str:
    """Bytes that break parsers, to addresses with a mark (so that no limit stands before them)."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
    mails = {
        "header of 3 MB": b"Subject: " + b"x" * 3_000_000 + b"\r\n\r\nb\r\n",
        "60,000 headers": b"".join(b"X-%d: y\r\n" % n for n in range(60_000)) + b"\r\nb\r\n",
        "3,000 levels": deep,
        "20,000 parts": b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 20_000,
        "NUL": b"From: a\0b@x.example\r\nSubject: \0\0\r\n\r\n" + b"\0" * 100_000 + b"\r\n",
        "no header": b"\r\n\r\n",
        "broken names": b'From: "\r\nTo: <\r\nMessage-ID: <\r\nContent-Type: x; charset==?\r\n\r\n\xff\xfe\r\n',
        "signs": b"From: a@x.example\r\n\r\n" + b"-=" * 300_000 + b"x\r\n",
        "escapes": b"From: a@x.example\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + b"\x1b$B" * 200_000,
        "html": b"From: a@x.example\r\nContent-Type: text/html\r\n\r\n" + b"<div>" * 200_000 + b"\r\n",
        "encoded words": b"Subject: " + b"=?utf-8?b?44GC?= \r\n " * 20_000 + b"\r\n\r\nb\r\n",
    }
    began = time.monotonic()
    codes = {
        name: send_message(target, "", _marked(target, 10_000 + n), raw) for n, (name, raw) in enumerate(mails.items())
    }
    read = target.settled(90)
    return f"poison {codes}, read {'all' if read else 'NOT all'} in {time.monotonic() - began:.1f} s"


def _marked(target: Target, number: int) -> str:
    return return_path(number, target.secret, DOMAIN)


def attack_oversize(target: Target) -> str:
    """Mails at the limit, above it, and a line that never ends."""
    line = b"z" * 76 + b"\r\n"
    at = send_message(target, "", _marked(target, 1), b"Subject: x\r\n\r\n" + line * (24 * 2**20 // len(line)))
    above = send_message(target, "", _marked(target, 1), b"Subject: x\r\n\r\n" + line * (27 * 2**20 // len(line)))
    with target.raw(30) as endless:
        cut, octets = _endless(target, endless)
    return f"24 MB: {at}, 27 MB: {above}, a line without an end: {'cut' if cut else 'TAKEN'} after {octets >> 20} MB"


def _endless(target: Target, line: socket.socket) -> tuple[bool, int]:
    block, octets = b"y" * 2**20, 0
    for word in (b"LHLO x", b"MAIL FROM:<>", f"RCPT TO:<{_marked(target, 1)}>".encode(), b"DATA"):
        line.sendall(word + b"\r\n")
        line.recv(4096)
    with contextlib.suppress(OSError):
        while octets < 160 * 2**20:  # the door discards 96 MB before it cuts the line
            line.sendall(block)
            octets += len(block)
        return False, octets
    return True, octets


def attack_connections(target: Target, many: int) -> str:
    """More connections than anybody needs, some that never speak, some half closed; then an honest mail."""
    held, refused = [], 0
    for number in range(many):
        line = target.raw()
        first = line.recv(200)
        refused += first.startswith(b"421")
        if first.startswith(b"220") and number % 3 == 0:
            line.sendall(b"LHLO slow\r\nMAIL FR")  # never ends
        if first.startswith(b"220") and number % 3 == 1:
            line.shutdown(socket.SHUT_WR)
        held.append(line)
    for line in held:
        line.close()
    honest = until(
        lambda: send_message(target, "", _marked(target, 2), mail("x@x.example", LIST, "a", "b")) == 250, 20, 0.2
    )
    return f"{many} connections: {refused} put off; afterwards an honest mail {'passes' if honest else 'DOES NOT PASS'}"


def attack_slowloris(target: Target, lines: int = 10) -> str:
    """Clients that send a sign a tenth of a second; meanwhile an honest mail must pass at once."""
    held = [target.raw() for _ in range(lines)]
    for line in held:
        line.sendall(b"LHLO slow\r\n")
    for _ in range(10):
        for line in held:
            line.sendall(b"M")
        time.sleep(0.1)
    began = time.monotonic()
    code = send_message(target, "", _marked(target, 3), mail("x@x.example", LIST, "slow", "b"))
    spent = time.monotonic() - began
    for line in held:
        line.close()
    return f"{lines} slow clients: an honest mail meanwhile {code} in {spent:.2f} s"


# ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class AttackResult:
    """What is to be judged after the attacks."""

    said: list[str]
    changed: dict[str, tuple[int, int]]
    letters: int
    letters_to_one: int
    unread: int
    memory_mib: int
    alive: bool


def run_attacks(target: Target, size: int = 1) -> AttackResult:
    """Run every attack; `size` multiplies the numbers."""
    before = {table: target.count(table) for table in QUIET}
    letters = target.count("letter")
    said = [
        attack_join_bombing(target, 150 * size),
        attack_auto_reply_storm(target, 36 * size),
        attack_forged(target, 12 * size),
        attack_replay(target, 10 * size),
        attack_poison(target),
        attack_oversize(target),
        attack_slowloris(target),
        attack_connections(target, min(120 * size, 1000)),
    ]
    target.settled(120)
    changed = {table: (was, target.count(table)) for table, was in before.items() if target.count(table) != was}
    most = "SELECT max(n) FROM (SELECT count(*) AS n FROM letter WHERE address LIKE '%victims%' GROUP BY address)"
    with closing(sqlite3.connect(f"file:{target.database}?mode=ro", uri=True)) as tables:
        to_one = tables.execute(most).fetchone()[0] or 0
    code = send_message(target, "x@x.example", f"nobody@{DOMAIN}", mail("x@x.example", LIST, "a", "b"))
    return AttackResult(
        said,
        changed,
        target.count("letter") - letters,
        to_one,
        target.count("inbound_message", "outcome = 'failed'"),
        target.memory(),
        code == 550,
    )


def main() -> None:
    """Build the cast's school in a folder that is thrown away, attack it, print what happened."""
    import tempfile

    import config as ground
    from core import install
    from tests import cast

    size = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data"
        data.mkdir(mode=0o700)
        ground.set_current_config(ground.Config(data=data, mail_domain=DOMAIN))
        install.prepare_data_folder(ground.current_config())
        cast.build()
        db.close()
        with run_smtpd(data) as (target, made):
            held = run_attacks(target, size)
        print("\n".join(held.said))
        print(f"changed: {held.changed or 'nothing'}; letters: {held.letters}, at most {held.letters_to_one} to one")
        print(f"unread: {held.unread}; memory at most {held.memory_mib} MiB; door {'open' if held.alive else 'SHUT'}")
        print(f"complaints in the log: {made.said().count('Traceback')}")


if __name__ == "__main__":
    main()
