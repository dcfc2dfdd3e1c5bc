"""Dispatch incoming mail: resolve the recipient, classify, authenticate, call one handler, record one row.

Order: return paths, machines, loops, automatic replies; then people. Parsing and authentication run outside any
transaction. The effect and its row are one transaction, so the same bytes for the same recipient act once. A message
that fails three times is quarantined and shown to the administrators.
"""

import logging
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import config as ground
from core import audit, rate_limits, settings
from core.inbound import allowed_senders, bounces, join_leave, post_by_mail, replies, spool
from core.inbound.message import InboundMail, InboundResult, RetryLater, read_inbound_mail
from core.inbound.post_by_mail import PostedMessage
from core.settings import Settings, load_settings
from core.signup import signup
from database import db
from mail import address as addresses
from mail import auth_results
from mail.auth_results import AuthResult, DnsError, TxtLookup, authenticate_message
from models import InboundMessage, Letter, MailingList

# ── DNS budget ───────────────────────────────────────────────────────────────────────────────────────────────────────

PER_MESSAGE_S = 10.0
UNKNOWN_SENDERS_S, WINDOW_S = 20.0, 60.0
"""Seconds a minute that mails of people whom nobody knows may wait for name servers, all together."""


class DnsBudget:
    """Counts the seconds that lookups took."""

    def __init__(self, passed: Callable[[], float] = time.monotonic) -> None:
        self._passed = passed
        self._spent: deque[tuple[float, float]] = deque()

    def limit_lookup(self, lookup: TxtLookup, known: bool) -> TxtLookup:
        """Return the lookup for one mail. known: of a registered sender or a member, whom no stranger holds up."""
        left = PER_MESSAGE_S

        def patient(name: str) -> list[str]:
            nonlocal left
            if left <= 0 or (not known and self._is_exhausted()):
                raise DnsError("out of patience")
            began = self._passed()
            try:
                return lookup(name)
            finally:
                took = self._passed() - began
                left -= took
                self._spent.append((began, took))

        return patient

    def _is_exhausted(self) -> bool:
        since = self._passed() - WINDOW_S
        while self._spent and self._spent[0][0] < since:
            self._spent.popleft()
        return sum(took for _, took in self._spent) >= UNKNOWN_SENDERS_S


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────

log = logging.getLogger("kairan.inbox")

MAX_ATTEMPTS = 3
CONTENT_RETENTION = timedelta(days=30)
LOOP_ALARM_PER_HOUR = 5
MAX_TEXT_CHARS = 20_000
"""Signs of a mail's text that are kept with its row."""

txt_lookup: auth_results.TxtLookup | None = None
"""How TXT records are asked for; None: by the resolver of the settings. Tests put their own here."""


# ── the roads ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class InboundAddress:
    """One of our addresses: its road, the local part, and of which list or letter; `code` of a joining address.

    `guessed`: taken from To or Cc, since nothing says for whom the mail really came.
    """

    kind: str
    local: str
    list: MailingList | None = None
    letter: int | None = None
    code: str = ""
    guessed: bool = False

    @property
    def has_verp_tag(self) -> bool:
        """Say whether only somebody who got a letter of ours can know this address."""
        return self.letter is not None


def resolve_recipient(recipient: str) -> InboundAddress | None:
    """Return which of our addresses this is; None if there is no such address (it is refused at the door)."""
    force = load_settings()
    local = force.own.local(recipient)
    if local is None:
        return None
    if not local or addresses.comparison_key(recipient.strip("<> ")) == settings.imap_address(force):
        return InboundAddress("mailbox", local)
    for kind, road in _ADDRESS_PATTERNS:
        if (match := road.fullmatch(local)) and (place := _RESOLVERS[kind](kind, local, match, force)):
            return place
    return None


_ADDRESS_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("return", re.compile(r"b-(\w{24})")),
    ("reply", re.compile(r"r-(\w{24})")),
    ("house", re.compile(r"postmaster|abuse")),
    ("join", re.compile(r"(.+?)-join(?:-(.+))?")),
    ("leave", re.compile(r"(.+)-leave")),
    ("post", re.compile(r"(.+)")),
)


def _resolve_letter_address(kind: str, local: str, match: re.Match[str], force: Settings) -> InboundAddress | None:
    number = addresses.decode_verp_tag(match[1], force.secret)
    return InboundAddress(kind, local, letter=number) if number is not None else None


def _resolve_list_address(kind: str, local: str, match: re.Match[str], force: Settings) -> InboundAddress | None:
    found = MailingList.get_or_none(MailingList.address == match[1], MailingList.closed_at.is_null())
    code = match[2] or "" if kind == "join" else ""
    if found is None or found.practice_of_id or (kind == "join" and not signup.accepts_code(found, code)):
        return None
    return InboundAddress(kind, local, list=found, code=code)


_RESOLVERS: dict[str, Callable[[str, str, re.Match[str], Settings], InboundAddress | None]] = {
    "return": _resolve_letter_address,
    "reply": _resolve_letter_address,
    "house": lambda kind, local, match, force: InboundAddress(kind, local),
    "join": _resolve_list_address,
    "leave": _resolve_list_address,
    "post": _resolve_list_address,
}


def _resolve_mailbox_recipient(place: InboundAddress, mail: InboundMail) -> InboundAddress:
    """Return where a mail to the mailbox itself belongs: to the letter that it answers, or to the one address named.

    The mailbox's server did not say for whom it came. To and Cc are only a guess, so what is posted by it is held.
    """
    if place.kind != "mailbox":
        return place
    if mail.about is not None and mail.visitor == "person":
        return InboundAddress("reply", place.local, letter=mail.about)
    named = [found for one in sorted(mail.named) if (found := resolve_recipient(one)) and found.kind != "mailbox"]
    return replace(named[0], guessed=True) if len(named) == 1 else place


# ── one mail ─────────────────────────────────────────────────────────────────────────────────────────────────────


def handle_message(raw: bytes, envelope: str, recipient: str, now: datetime) -> InboundMessage | None:
    """Do what one mail to one recipient asks for; return its row, None if there is no such address.

    envelope: the sender of the envelope, "" for machines. Raises Later (it waits in its order), and whatever went
    wrong: then it is to be tried again; the third time it is quarantined instead.
    """
    place = resolve_recipient(recipient)
    if place is None:
        return None
    row = _count_attempt(spool.message_digest(raw), place.local, envelope, now)
    if row.outcome != "failed":
        return row
    if row.attempts > MAX_ATTEMPTS:
        return _quarantine(row, raw, row.reason or "ended in the middle")
    try:
        return _process_message(row, place, envelope, raw, now)
    except RetryLater:
        InboundMessage.update(attempts=InboundMessage.attempts - 1).where(InboundMessage.id == row.id).execute()
        raise
    except Exception as fault:  # the mail door: whatever a mail holds, it costs this mail only
        log.error("incoming mail %s failed (%s)", row.id, type(fault).__name__)
        if row.attempts >= MAX_ATTEMPTS:
            return _quarantine(row, raw, type(fault).__name__)
        InboundMessage.update(reason=type(fault).__name__).where(InboundMessage.id == row.id).execute()
        raise


def _count_attempt(digest: str, local: str, envelope: str, now: datetime) -> InboundMessage:
    """Count this try before anything is read: a mail that kills the process is quarantined too, in the end."""
    with db.atomic():
        row, _ = InboundMessage.get_or_create(
            digest=digest, recipient=local, defaults={"at": now, "envelope_sender": envelope[:320]}
        )
        if row.outcome == "failed":
            InboundMessage.update(attempts=InboundMessage.attempts + 1).where(InboundMessage.id == row.id).execute()
        return InboundMessage.get_by_id(row.id)


def _quarantine(row: InboundMessage, raw: bytes, why: str) -> InboundMessage:
    fields = {"outcome": "quarantined", "reason": why, "file": spool.save_raw(raw)}
    if InboundMessage.update(**fields).where(InboundMessage.id == row.id, InboundMessage.outcome == "failed").execute():
        audit.log_action(None, "incoming.quarantined", row.id)
    return InboundMessage.get_by_id(row.id)


def _process_message(
    row: InboundMessage, place: InboundAddress, envelope: str, raw: bytes, now: datetime
) -> InboundMessage:
    """Read, prove, then act and file in one transaction."""
    mail = read_inbound_mail(raw, envelope, load_settings())
    place = _resolve_mailbox_recipient(place, mail)
    handler = _choose_handler(place, mail)
    proof = _authenticate(place, mail, handler)
    with rate_limits.rollback_on_error(), db.atomic():
        taken = (
            InboundMessage.update(outcome="done")
            .where(InboundMessage.id == row.id, InboundMessage.outcome == "failed")
            .execute()
        )
        if taken:
            _save_result(row, handler(place, mail, proof, now), mail, raw)
    return InboundMessage.get_by_id(row.id)


def _save_result(row: InboundMessage, result: InboundResult, mail: InboundMail, raw: bytes) -> None:
    shown = {"text": mail.text[:MAX_TEXT_CHARS]} if result.show else {}
    if result.show or result.kind == "post":
        shown["subject"] = mail.subject[:500]
    InboundMessage.update(
        kind=result.kind,
        outcome=result.outcome,
        reason=result.reason,
        list=result.list,
        person=result.person,
        letter=result.letter,
        notice=result.notice,
        address=mail.address[:320],
        file=spool.save_raw(raw) if result.keep else "",
        files=[list(one) for one in result.files],
        **shown,
    ).where(InboundMessage.id == row.id).execute()


def _authenticate(place: InboundAddress, mail: InboundMail, handler: "MessageHandler") -> AuthResult:
    """Ask the DNS only for mails on which something depends: those of registered senders, and commands."""
    if handler not in _HANDLERS_NEEDING_AUTH or not mail.address:
        return AuthResult()
    config = ground.current_config()
    asked = _dns_budget.limit_lookup(
        txt_lookup or auth_results.txt_resolver(config.dns), known=allowed_senders.is_known_address(mail.address)
    )
    return authenticate_message(mail.raw, addresses.domain_of(mail.address), asked, config.authserv_id)


_dns_budget = DnsBudget()


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────────

MessageHandler = Callable[[InboundAddress, InboundMail, AuthResult, datetime], InboundResult]


def _choose_handler(place: InboundAddress, mail: InboundMail) -> MessageHandler:
    """Choose who handles a mail, by the gate in its order: machines first, people last."""
    if place.kind == "return":
        return _handle_report
    return _AUTOMATED_HANDLERS.get(mail.visitor) or _HUMAN_HANDLERS[place.kind]


def _get_letter(number: int | None) -> Letter | None:
    return Letter.get_or_none(Letter.id == number) if number is not None else None


def _handle_report(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    """A report about a letter: by the return path, else by our Message-ID in what came back."""
    letter = _get_letter(place.letter) or _get_letter(mail.about)
    if letter and letter.state == "sending" and letter.handed_over_at:
        raise RetryLater  # the bounce was faster than our own record of what it is about
    return bounces.record_report(letter, mail.explained(letter.address if letter else ""), now)


def _handle_loop(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    name = place.list.id if place.list else 0
    if rate_limits.record_hit(f"loop:{name}", now, 3600) == LOOP_ALARM_PER_HOUR:
        audit.log_action(None, "mail.loop_alarm", name or None, kind="list")
    return InboundResult("loop", "dropped", mail.sign, place.list)


def _handle_auto_reply(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    """An automatic answer is noted at its letter; it is no post, no join, and gets no answer."""
    letter = _get_letter(place.letter) or _get_letter(mail.about)
    if letter:
        return bounces.record_auto_reply(letter, now)
    return InboundResult("automatic", "dropped", mail.sign, place.list)


def _handle_reply(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    letter = _get_letter(place.letter)
    if letter is None:
        return InboundResult("reply", "held", "old letter", show=True)
    if sender := allowed_senders.sender_being_verified(letter):
        return allowed_senders.record_verification_reply(sender, mail.address, proof, letter, now)
    return replies.record_reply(letter, mail, now)


def _handle_role_mail(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    allowed_senders.notify_role_mail(load_settings().own.address(place.local), mail.address, mail.subject, now)
    return InboundResult("house", "held", "", show=True, keep=True)


def _handle_join(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    assert place.list  # noqa: S101
    if not mail.address:
        return InboundResult("join", "dropped", "two senders", place.list, keep=True)
    signs = len(mail.subject.strip()) + len(mail.text.strip())
    if not _is_addressed_to(place, mail):
        proof = AuthResult(forged=proof.forged)  # a genuine mail to somebody else, sent here by whoever got it
    return join_leave.handle_join_mail(
        place.list, mail.address, mail.envelope, signs, proof, now, code=place.code, message_id=mail.arrival.message_id
    )


def _is_addressed_to(place: InboundAddress, mail: InboundMail) -> bool:
    """Say whether a mail itself names the address to which it came, so that its signature speaks for this place."""
    return addresses.comparison_key(load_settings().own.address(place.local)) in mail.named


def _handle_leave(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    assert place.list  # noqa: S101
    return join_leave.handle_leave_mail(place.list, mail.address, _get_letter(mail.about), proof, now)


def _handle_post(place: InboundAddress, mail: InboundMail, proof: AuthResult, now: datetime) -> InboundResult:
    """A mail to all members: of a registered sender of this list, or of a stranger (T-30)."""
    assert place.list  # noqa: S101
    if not mail.address:
        return InboundResult("post", "dropped", "two senders", place.list, show=True, keep=True)
    sender = allowed_senders.get_sender(place.list, mail.address)
    if sender is None:
        return allowed_senders.hold_post_of_unknown_sender(place.list, mail.address, mail.subject, proof, now)
    if not proof.unsure:
        allowed_senders.record_authentication(sender, proof, now)
    named = _is_addressed_to(place, mail) and not place.guessed
    post = PostedMessage(mail.address, mail.subject, mail.text, mail.about is not None, named, mail.attachments)
    return post_by_mail.accept_post(place.list, sender, post, proof, now)


_AUTOMATED_HANDLERS: dict[str, MessageHandler] = {
    "machine": _handle_report,
    "loop": _handle_loop,
    "automatic": _handle_auto_reply,
}
_HUMAN_HANDLERS: dict[str, MessageHandler] = {
    "reply": _handle_reply,
    "house": _handle_role_mail,
    "mailbox": _handle_role_mail,
    "join": _handle_join,
    "leave": _handle_leave,
    "post": _handle_post,
}
_HANDLERS_NEEDING_AUTH: tuple[MessageHandler, ...] = (_handle_post, _handle_join, _handle_leave, _handle_reply)


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────


def retry_quarantined(row: InboundMessage, now: datetime) -> bool:
    """Try a quarantined mail once more; say whether it could be handled. It stays in quarantine if not."""
    raw = spool.read_raw(row.file) if row.outcome == "quarantined" else None
    if raw is None:
        return False
    change = {"outcome": "failed", "attempts": MAX_ATTEMPTS - 1}
    if (
        not InboundMessage.update(**change)
        .where(InboundMessage.id == row.id, InboundMessage.outcome == "quarantined")
        .execute()
    ):
        return False
    done = handle_message(raw, row.envelope_sender, _full_address(row.recipient), now)
    return done is not None and done.outcome != "quarantined"


def _full_address(local: str) -> str:
    own = load_settings().own
    return own.address(local) if local else own.mailbox


def erase_old_messages(now: datetime) -> int:
    """Forget words and addresses of mails of more than 30 days ago; replies stay with their notice. Return how many."""
    spool.delete_old_raw(now)
    old = (
        (InboundMessage.at < now - CONTENT_RETENTION)
        & (InboundMessage.kind != "reply")
        & (InboundMessage.kind != "post")
    )
    held = (
        (InboundMessage.text != "")
        | (InboundMessage.subject != "")
        | (InboundMessage.address != "")
        | (InboundMessage.file != "")
    )
    blank = {"text": "", "subject": "", "address": "", "envelope_sender": "", "file": ""}
    return InboundMessage.update(**blank).where(old & held).execute()
