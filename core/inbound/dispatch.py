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

from config import current_config
from core import audit, disk_space, rate_limits
from core.delivery.letter_tags import decode_letter_tag
from core.inbound import allowed_senders, bounces, join_leave, post_by_mail, replies, spool
from core.inbound.message import InboundMail, InboundResult, RetryLater, read_inbound_mail
from core.inbound.post_by_mail import PostedMessage
from core.inbound.proof import Proof, judge_message
from core.settings import Settings, imap_address, load_settings
from core.signup import signup
from database import db, is_write_refused, optional_write
from mail import address as addresses
from mail import auth_results, merge
from mail.auth_results import DnsError, TxtLookup, authenticate_message
from mail.message import missing_words
from models import InboundMessage, Letter, LetterState, MailingList

# ── DNS budget ───────────────────────────────────────────────────────────────────────────────────────────────────────

PER_MESSAGE_S = 10.0
UNKNOWN_SENDERS_S, WINDOW_S = 20.0, 60.0
"""Seconds per minute that messages from unknown addresses may wait for name servers, all together."""


class DnsBudget:
    """Limits the time that incoming mail waits for name servers (defences 2).

    Messages are handled one after the other, so slow name servers of strangers could delay a school's mail for hours.
    A lookup over the budget raises DnsError: a post is then held, and a registration confirmed by a link.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: deque[tuple[float, float]] = deque()

    def limit_lookup(self, lookup: TxtLookup, known: bool) -> TxtLookup:
        """Return the lookup for one message. known: from an allowed sender or a member; strangers never delay these."""
        left = PER_MESSAGE_S

        def limited(name: str) -> list[str]:
            nonlocal left
            if left <= 0 or (not known and self._is_exhausted()):
                raise DnsError("out of budget")
            began = self._clock()
            try:
                return lookup(name)
            finally:
                took = self._clock() - began
                left -= took
                self._spent.append((began, took))

        return limited

    def _is_exhausted(self) -> bool:
        since = self._clock() - WINDOW_S
        while self._spent and self._spent[0][0] < since:
            self._spent.popleft()
        return sum(took for _, took in self._spent) >= UNKNOWN_SENDERS_S


log = logging.getLogger("kairan.inbox")

MAX_ATTEMPTS = 3
CONTENT_RETENTION = timedelta(days=30)
LOOP_ALARM_PER_HOUR = 5
MAX_TEXT_CHARS = 20_000
"""Characters of a message's text that are stored in its row."""

txt_lookup: auth_results.TxtLookup | None = None
"""Lookup of TXT records; None: the resolver of the settings. Tests replace it."""


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class InboundAddress:
    """One of our addresses: its kind, local part, list or letter, and the `code` of a join address.

    guessed: taken from To or Cc, because the mailbox does not tell the recipient.
    """

    kind: str
    local: str
    list: MailingList | None = None
    letter: int | None = None
    code: str = ""
    guessed: bool = False

    @property
    def has_verp_tag(self) -> bool:
        """Tell whether only the recipient of a letter can know this address."""
        return self.letter is not None


def resolve_recipient(recipient: str) -> InboundAddress | None:
    """Return which of our addresses this is; None if it does not exist (the SMTP server then refuses it)."""
    settings = load_settings()
    if recipient.strip("<> ").lower() == "postmaster":  # RFC 5321 4.5.1: without a domain, too
        return InboundAddress("house", "postmaster")
    local = settings.own_addresses.local_part_of(recipient)
    if local is None:
        return None
    if not local or addresses.comparison_key(recipient.strip("<> ")) == imap_address(settings):
        return InboundAddress("mailbox", local)
    for kind, pattern in _ADDRESS_PATTERNS:
        if (match := pattern.fullmatch(local)) and (target := _RESOLVERS[kind](kind, local, match, settings)):
            return target
    return None


_ADDRESS_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("return", re.compile(r"b-(\w{24})")),
    ("reply", re.compile(r"r-(\w{24})")),
    ("house", re.compile(r"postmaster|abuse")),
    ("join", re.compile(r"(.+?)-join(?:-(.+))?")),
    ("leave", re.compile(r"(.+)-leave")),
    ("post", re.compile(r"(.+)")),
)


def _resolve_letter_address(kind: str, local: str, match: re.Match[str], settings: Settings) -> InboundAddress | None:
    number = decode_letter_tag(match[1], "return" if kind == "return" else "reply", settings)
    return InboundAddress(kind, local, letter=number) if number is not None else None


def _resolve_list_address(kind: str, local: str, match: re.Match[str], settings: Settings) -> InboundAddress | None:
    mailing_list = MailingList.get_or_none(MailingList.address == match[1], MailingList.closed_at.is_null())
    code = match[2] or "" if kind == "join" else ""
    if (
        mailing_list is None
        or mailing_list.practice_of_id
        or (kind == "join" and not signup.accepts_code(mailing_list, code))
    ):
        return None
    return InboundAddress(kind, local, list=mailing_list, code=code)


_RESOLVERS: dict[str, Callable[[str, str, re.Match[str], Settings], InboundAddress | None]] = {
    "return": _resolve_letter_address,
    "reply": _resolve_letter_address,
    "house": lambda kind, local, match, settings: InboundAddress(kind, local),
    "join": _resolve_list_address,
    "leave": _resolve_list_address,
    "post": _resolve_list_address,
}


def _resolve_mailbox_recipient(target: InboundAddress, mail: InboundMail) -> InboundAddress:
    """Return the target of a message to the mailbox itself: the letter that it answers, or the only address named.

    The mailbox does not tell the recipient. To and Cc are only a guess, so such a post is held.
    """
    if target.kind != "mailbox":
        return target
    if mail.letter_number is not None and mail.sender_kind == "person":
        return InboundAddress("reply", target.local, letter=mail.letter_number)
    candidates = [
        address
        for recipient in sorted(mail.recipients)
        if (address := resolve_recipient(recipient)) and address.kind != "mailbox"
    ]
    return replace(candidates[0], guessed=True) if len(candidates) == 1 else target


# ── one message ─────────────────────────────────────────────────────────────────────────────────────────────────────


def handle_message(raw: bytes, envelope: str, recipient: str, now: datetime) -> InboundMessage | None:
    """Handle one message for one recipient; return its row, None if there is no such address.

    envelope: the envelope sender, "" for the null sender. Raises RetryLater (the message stays in the spool) and any
    error of a handler. The caller tries again; the third failure quarantines the message.
    """
    target = resolve_recipient(recipient)
    if target is None:
        return None
    row = _count_attempt(spool.message_digest(raw), target.local, envelope, now)
    if row.outcome != "failed":
        return row
    if row.attempts > MAX_ATTEMPTS:
        return _quarantine(row, raw, row.reason or "ended in the middle")
    try:
        return _process_message(row, target, envelope, raw, now)
    except RetryLater:
        InboundMessage.update(attempts=InboundMessage.attempts - 1).where(InboundMessage.id == row.id).execute()
        raise
    except Exception as fault:  # one bad message must not stop the others
        if disk_space.note_if_full(fault) or is_write_refused(fault):  # the message is not to blame
            with optional_write():
                InboundMessage.update(attempts=InboundMessage.attempts - 1).where(InboundMessage.id == row.id).execute()
            raise RetryLater from fault
        log.error("incoming mail %s failed (%s)", row.id, type(fault).__name__)
        if row.attempts >= MAX_ATTEMPTS:
            return _quarantine(row, raw, type(fault).__name__)
        InboundMessage.update(reason=type(fault).__name__).where(InboundMessage.id == row.id).execute()
        raise


def _count_attempt(digest: str, local: str, envelope: str, now: datetime) -> InboundMessage:
    """Increment attempts before parsing, so a message that crashes the process is quarantined after three tries."""
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
    row: InboundMessage, target: InboundAddress, envelope: str, raw: bytes, now: datetime
) -> InboundMessage:
    """Parse and authenticate; then handle and record in one transaction."""
    mail = read_inbound_mail(raw, envelope, load_settings())
    target = _resolve_mailbox_recipient(target, mail)
    handler = _choose_handler(target, mail)
    proof = _authenticate(target, mail, handler, row.recipient, now)
    with rate_limits.rollback_on_error(), db.atomic():
        claimed = (
            InboundMessage.update(outcome="done")
            .where(InboundMessage.id == row.id, InboundMessage.outcome == "failed")
            .execute()
        )
        if claimed:
            _save_result(row, handler(target, mail, proof, now), mail, raw, proof.message_key)
    return InboundMessage.get_by_id(row.id)


def _save_result(row: InboundMessage, result: InboundResult, mail: InboundMail, raw: bytes, message_key: str) -> None:
    shown = {"text": merge.shorten(mail.text, MAX_TEXT_CHARS)} if result.keep_text else {}
    if result.keep_text or result.kind == "post":
        shown["subject"] = merge.shorten(mail.subject, 500)
    InboundMessage.update(
        kind=result.kind,
        outcome=result.outcome,
        reason=result.reason,
        list=result.list,
        person=result.person,
        letter=result.letter,
        notice=result.notice,
        address=mail.address[:320],
        file=spool.save_raw(raw) if result.keep_raw else "",
        files=[list(file) for file in result.files],
        message_key=message_key,
        **shown,
    ).where(InboundMessage.id == row.id).execute()


def _authenticate(
    target: InboundAddress, mail: InboundMail, handler: "MessageHandler", recipient: str, now: datetime
) -> Proof:
    """Authenticate only messages whose handler needs it; others cause no DNS lookup."""
    if handler not in _HANDLERS_NEEDING_AUTH or not mail.address:
        return Proof()
    config = current_config()
    lookup = _dns_budget.limit_lookup(
        txt_lookup or auth_results.txt_resolver(config.dns), known=allowed_senders.is_known_address(mail.address)
    )
    auth = authenticate_message(mail.raw, mail.address, lookup, config.authserv_id, envelope=mail.envelope, now=now)
    return judge_message(mail, _full_address(target.local), recipient, auth, now)


_dns_budget = DnsBudget()


# ── handlers ─────────────────────────────────────────────────────────────────────────────────────────────────────

MessageHandler = Callable[[InboundAddress, InboundMail, Proof, datetime], InboundResult]


def _choose_handler(target: InboundAddress, mail: InboundMail) -> MessageHandler:
    """Choose the handler: return paths, then automated senders, then people."""
    if target.kind == "return":
        return _handle_report
    if mail.sender_kind == "automatic" and _acts_for_person(target, mail):
        return _HUMAN_HANDLERS[target.kind]
    return _AUTOMATED_HANDLERS.get(mail.sender_kind) or _HUMAN_HANDLERS[target.kind]


def _acts_for_person(target: InboundAddress, mail: InboundMail) -> bool:
    """Tell whether an automatic message does what a person wants: an unsubscribe button, or a sender's odd subject."""
    if target.kind == "leave":
        return mail.is_unsubscribe_request
    if target.kind != "post" or mail.evidence not in mail.doubtful_signs or target.list is None:
        return False
    return allowed_senders.get_sender(target.list, mail.address) is not None


def _get_letter(number: int | None) -> Letter | None:
    return Letter.get_or_none(Letter.id == number) if number is not None else None


def _handle_report(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    """Handle a report about a letter, known by the return path, else by its tag in the returned message.

    A reply address or a Message-ID does not count: whoever gets a copy of a reply knows both.
    """
    letter = _get_letter(target.letter if target.kind == "return" else mail.returned_letter)
    if letter is None and (known := _get_letter(mail.letter_number) or _get_letter(target.letter)):
        return InboundResult("bounce", "dropped", "no return tag", letter=known)
    if letter and letter.state == LetterState.SENDING:
        raise RetryLater  # the bounce came before the worker carried the reply into the tables
    return bounces.record_report(letter, mail.explain_report(letter.address if letter else ""), now)


def _handle_loop(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    name = target.list.id if target.list else 0
    if rate_limits.record_hit(f"loop:{name}", now, 3600) == LOOP_ALARM_PER_HOUR:
        audit.log_action(None, "mail.loop_alarm", name or None, kind="list")
    return InboundResult("loop", "dropped", mail.evidence, target.list)


def _handle_auto_reply(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    """Record an automatic reply at its letter. It never posts or joins, and gets no answer."""
    letter = _get_letter(target.letter) or _get_letter(mail.letter_number)
    if letter:
        return bounces.record_auto_reply(letter, now)
    return InboundResult("automatic", "dropped", mail.evidence, target.list)


def _handle_reply(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    letter = _get_letter(target.letter)
    if letter is None:
        return InboundResult("reply", "held", "old letter", keep_text=True)
    if sender := allowed_senders.sender_being_verified(letter):
        return allowed_senders.record_verification_reply(sender, mail.address, proof, letter, now)
    return replies.record_reply(letter, mail, proof, now)


def _handle_role_mail(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    allowed_senders.notify_role_mail(
        load_settings().own_addresses.address(target.local), mail.address, mail.subject, now
    )
    return InboundResult("house", "held", "", keep_text=True, keep_raw=True)


def _handle_join(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    assert target.list  # noqa: S101
    if not mail.address:
        return InboundResult("join", "dropped", "two senders", target.list, keep_raw=True)
    chars = len(mail.subject.strip()) + len(join_leave.without_signature(mail.text))
    return join_leave.handle_join_mail(
        target.list, mail.address, mail.envelope, chars, proof, now, code=target.code, message_id=mail.parsed.message_id
    )


def _handle_leave(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    assert target.list  # noqa: S101
    return join_leave.handle_leave_mail(target.list, mail.address, _get_letter(mail.letter_number), proof, now)


def _handle_post(target: InboundAddress, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    """A message to all members, from an allowed sender of this list or a stranger (T-30)."""
    assert target.list  # noqa: S101
    if not mail.address:
        return InboundResult("post", "dropped", "two senders", target.list, keep_text=True, keep_raw=True)
    sender = allowed_senders.get_sender(target.list, mail.address)
    letter = _get_letter(mail.letter_number)
    if sender is None and letter and letter.delivery_id and not proof.dmarc_failed:
        return replies.record_reply(letter, mail, proof, now)
    if sender is None:
        return allowed_senders.hold_post_of_unknown_sender(target.list, mail.address, mail.subject, proof, now)
    if not proof.dns_failed:
        allowed_senders.record_authentication(sender, proof, now)
    if proof and target.guessed:
        proof = replace(proof, weakness="bcc")
    if proof and mail.sender_kind == "automatic":
        proof = replace(proof, weakness="automatic")
    post = PostedMessage(
        mail.address,
        mail.subject,
        mail.text,
        mail.letter_number is not None,
        mail.attachments,
        missing_words(mail.parsed),
    )
    return post_by_mail.accept_post(target.list, sender, post, proof, now)


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


# ── quarantine and retention ───────────────────────────────────────────────────────────────────────────────────────────────────


def retry_quarantined(row: InboundMessage, now: datetime) -> bool:
    """Handle a quarantined message once more; return whether it succeeded. Otherwise it stays in quarantine."""
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
    own = load_settings().own_addresses
    return own.address(local) if local else own.mailbox


def erase_old_messages(now: datetime) -> int:
    """Erase text and addresses of messages older than 30 days, except replies and posts; return how many rows."""
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
    erased: int = InboundMessage.update(**blank).where(old & held).execute()
    return erased
