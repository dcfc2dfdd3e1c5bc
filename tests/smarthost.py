"""A real mail server on loopback that answers by recipient as told, and the steps from a draft to its letters."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, syntax
from peewee import fn

import clock
import config as ground
from cli.work import open_worker
from core.delivery.worker import SmtpWorker
from core.errors import DomainError
from core.notices import approval, drafts, start
from core.notices.audience import resolve_audience
from database import bulk_insert, db
from mail import address as addresses
from models import Letter, MailingList, Membership, Notice, Person, User
from tests.mail.smtp_servers import free_port

TEXT = "保護者の皆様\n\n明日は水筒をお持ちください。\n"


@dataclass
class Smarthost:
    """Take letters and answer by rule: `rules` maps a recipient, or what it begins with, to what happens.

    "550 …" answers so at RCPT; "data 550 …" after the content; "cut" hangs up at RCPT; "vanish" takes the content and
    hangs up; a list gives one after the other, then takes the letter. `at_mail`: what MAIL is answered, empty: ok.
    `mails`: (sender, recipients, raw, connection).
    """

    rules: dict[str, object] = field(default_factory=dict)
    mails: list[tuple[str, list[str], bytes, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    at_mail: str = ""

    def to(self) -> list[str]:
        """Return who has a letter, one entry a letter, without quotes."""
        return [addresses.comparison_key(one) for _, recipients, _, _ in self.mails for one in recipients]

    def times(self) -> Counter:
        """Return how often each Message-ID arrived."""
        return Counter(message_id(raw) for _, _, raw, _ in self.mails)

    def _rule(self, address: str) -> str:
        found = next((rule for start, rule in self.rules.items() if address.startswith(start)), "")
        if isinstance(found, list):
            return found.pop(0) if found else ""
        return str(found)

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        envelope.mail_from = address
        return self.at_mail or "250 2.1.0 ok"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        address = server.path  # with its quotes, which aiosmtpd takes off
        self.asked.append(address)
        session.rule = self._rule(address)
        if session.rule == "cut":
            server.transport.abort()
        if session.rule[:1].isdigit():
            return session.rule
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if session.rule.startswith("data "):
            return session.rule.removeprefix("data ")
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content, id(session)))
        if session.rule == "vanish":
            server.transport.abort()
        return "250 2.0.0 taken"


class _Server(SMTP):
    """aiosmtpd's server, keeping the path of RCPT as it came."""

    path = ""

    @syntax("RCPT TO: <address>")
    async def smtp_RCPT(self, arg):  # noqa: N802
        self.path = arg.partition("<")[2].rpartition(">")[0]
        await super().smtp_RCPT(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Server(self.handler, **self.SMTP_kwargs)


def message_id(raw: bytes) -> str:
    """Return the Message-ID of a mail."""
    return next(line for line in raw.decode().splitlines() if line.lower().startswith("message-id:"))


@contextmanager
def running(port: int = 0, **rules: object) -> Iterator[tuple[Smarthost, int]]:
    """Run a smarthost; give it and its port."""
    host = Smarthost(dict(rules))
    controller = _Controller(host, hostname="127.0.0.1", port=port or free_port(), ident="smarthost")
    controller.start()
    try:
        yield host, controller.port
    finally:
        controller.stop()


def closed_port() -> int:
    """Return a port at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def send_by(port: int, **settings: object) -> ground.Config:
    """Let the installation in force send through a port of this machine, without limits unless told."""
    rates = {"rate": 0, "domain_rate": 0, **settings}
    return ground.set_current_config(replace(ground.current_config(), smtp=f"smtp://127.0.0.1:{port}", **rates))


# ── from a draft to letters ──────────────────────────────────────────────────────────────────────────────────────


def written(by: User, lists: Iterable[MailingList], *, subject: str = "水筒", text: str = TEXT, **options) -> Notice:
    """Write a draft to lists."""
    now = clock.now()
    notice = drafts.create_draft(by, now=now, urgent=bool(options.pop("urgent", False)))
    drafts.save_draft(notice, now=now, subject=subject, text=text, **options)
    drafts.set_recipients(notice, now=now, lists=[one.id for one in lists])
    return notice


def confirmed(notice: Notice, by: User, *, hold_s: int | None = 0, at: datetime | None = None) -> Notice:
    """Confirm a draft as its check page would."""
    audience = resolve_audience(notice)
    return approval.confirm_send(
        notice,
        by=by,
        fingerprint=audience.fingerprint,
        now=clock.now(),
        at=at,
        hold_s=hold_s,
        typed=str(audience.letters),
    )


def begun(by: User, lists: Iterable[MailingList], **options) -> Notice:
    """Write, confirm and begin a notice: its letters wait."""
    notice = confirmed(written(by, lists, **options), by)
    assert start.start_due_notices(clock.now()) == [notice.id]
    return fresh(notice)


def sender() -> SmtpWorker:
    """Return a sender process's heart, to be stepped by hand."""
    return open_worker()


def drained() -> bool:
    """Send whatever is due; say whether the server could be used."""
    heart = sender()
    try:
        return heart.drain()
    finally:
        heart.close()


def never() -> bool:
    """Nobody asks to stop."""
    return False


def later(**of: float) -> datetime:
    """Move the clock forward; return the new moment."""
    clock.set_offset((clock._offset + timedelta(**of)).total_seconds())
    return clock.now()


def fresh(row):
    """Return a row as the table has it now."""
    return type(row).get_by_id(row.id)


def letter_to(notice: Notice, address: str) -> Letter:
    """Return the letter of a notice that was made for an address."""
    person = Person.get(Person.address_key == addresses.comparison_key(address))
    return Letter.get(Letter.notice == notice, Letter.person == person)


def states(notice: Notice) -> dict[str, int]:
    """Return how many letters of a notice stand in which state."""
    return dict(Counter(one.state for one in Letter.select().where(Letter.notice == notice)))


def families(list_: MailingList, count: int, domain: str = "parents.example", start: int = 0) -> list[str]:
    """Add so many readers to a list; return their addresses."""
    made = [f"p{number:05d}@{domain}" for number in range(start, start + count)]
    first = (Person.select(fn.MAX(Person.id)).scalar() or 0) + 1
    with db.atomic():
        people = (
            {"name": f"保護者 {mail[:6]}", "address": mail, "address_key": mail, "household": mail} for mail in made
        )
        bulk_insert(Person, people)
        bulk_insert(Membership, ({"person": first + at, "list": list_.id} for at in range(count)))
    return made


def put(notice: Notice, **fields: object) -> Notice:
    """Set a notice aside in some state."""
    Notice.update(**fields).where(Notice.id == notice.id).execute()
    return fresh(notice)


def book(notice: Notice, by: User, **ahead: float) -> Notice:
    """Confirm a draft for a time so far ahead."""
    return confirmed(notice, by, hold_s=None, at=clock.now() + timedelta(**ahead))


def at_once(*verbs: Callable[[], object]) -> list:
    """Carry out verbs at the same moment; return what they returned, or the name of their refusal."""
    outcomes, ready = [], threading.Barrier(len(verbs))

    def carry_out(verb):
        ready.wait()
        try:
            outcomes.append(verb())
        except DomainError as refusal:
            outcomes.append(type(refusal).__name__)
        finally:
            db.close()

    threads = [threading.Thread(target=carry_out, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@contextmanager
def queries() -> Iterator[list[str]]:
    """Collect the statements that run inside."""
    seen: list[str] = []
    connection = db.connection()
    connection.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        connection.set_trace_callback(None)
