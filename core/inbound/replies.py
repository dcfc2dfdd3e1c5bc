"""Replies to letters (T-18): stored at the letter, forwarded to the sender of the notice, never distributed.

A reply is neither an answer to a question nor a read confirmation; the board marks the cell 「返信あり」.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import i18n
from core import audit, rate_limits, visibility
from core.accounts import who_can
from core.inbound import spool
from core.inbound.message import InboundMail, InboundResult
from core.inbound.post_by_mail import posted_from_address
from core.inbound.proof import Proof
from core.notices import file_types, merge_fields
from core.notices.sender_names import response_recipient
from core.notifications.notify import notify
from core.permissions import Permissions, permissions_of
from core.settings import load_settings
from i18n import N_
from mail import address as addresses
from mail import merge
from mail.message import parse_message
from models import AllowedSender, Delivery, InboundMessage, Letter, Notice, Person

UnfitFile = file_types.UnfitFile
MAX_NOTIFICATIONS_PER_DAY = 50
MAX_FILES = 20
_FILES_LINE = N_("With files: %(n)s. They can be saved from that page for 30 days.")
MAX_QUOTED_CHARS = 4000
DOUBTFUL = "doubtful reply"
DOUBT_LINE = N_(
    "Nothing proves that this mail is from the address that it names. If it matters, please ask by telephone."
)


@dataclass(frozen=True, slots=True)
class ReplyView:
    """A reply for pages. files: name and octets of each attachment; files_available: they can still be saved."""

    name: str
    at: datetime
    subject: str
    text: str
    delivery: int
    from_other_address: bool
    is_doubtful: bool
    number: int
    files: tuple[tuple[str, int], ...]
    files_available: bool


def record_reply(letter: Letter, mail: InboundMail, proof: Proof, now: datetime) -> InboundResult:
    """Mark the delivery as answered and notify the sender. Call inside the transaction that records the mail.

    Attachments stay in the raw mail for 30 days: a photo of a paper form is often the whole reply. Whoever gets a copy
    of a reply knows its address, so a reply that proves no author is shown with a warning.
    """
    delivery = letter.delivery if letter.delivery_id else None
    if delivery is None:
        return InboundResult(
            "house",
            "held",
            "reply to a letter of Kairan",
            letter=letter,
            keep_text=True,
            keep_raw=bool(mail.attachments),
        )
    Delivery.update(replied_at=now).where(Delivery.id == delivery.id, Delivery.replied_at.is_null()).execute()
    Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
    audit.log_action(None, "delivery.replied", delivery.id, detail={"notice": delivery.notice_id})
    files = tuple((file_types.safe_filename(file.name), file.size) for file in mail.parsed.attachments[:MAX_FILES])
    doubtful = proof.weakness in ("unproven", "bcc")
    _notify_organizer(delivery, mail, now, doubtful=doubtful)
    return InboundResult(
        "reply",
        "done",
        DOUBTFUL if doubtful else "",
        delivery.list,
        letter.person_id,
        letter,
        delivery.notice_id,
        keep_text=True,
        keep_raw=bool(files) or not mail.text.strip() or mail.parsed.root.disposition == "attachment",
        files=files,
    )


def _notify_organizer(delivery: Delivery, mail: InboundMail, now: datetime, *, doubtful: bool = False) -> None:
    """Notify the user in whose name the letter was sent (D-20), at most 50 times a day per notice.

    If that user may not see the family any more, the managers of the list are notified instead.
    """
    notice, recipients = delivery.notice, _notified_addresses(delivery)
    if not recipients or rate_limits.record_hit(f"replies:{notice.id}", now, 86400) > MAX_NOTIFICATIONS_PER_DAY:
        return
    for address, language in recipients:
        doubt = f"{i18n.say(language, DOUBT_LINE)}\n\n" if doubtful else ""
        notify(
            "reply",
            address,
            now,
            language=language,
            name=delivery.name,
            subject=mail.subject or merge_fields.display_subject(notice),
            notice=merge_fields.display_subject(notice),
            text=doubt + merge.shorten(mail.text, MAX_QUOTED_CHARS),
            files=f"{i18n.say(language, _FILES_LINE, n=mail.attachments)}\n" if mail.attachments else "",
            url=f"{load_settings().base_url}/notices/{notice.id}/board",
        )


def _notified_addresses(delivery: Delivery) -> list[tuple[str, str]]:
    """Return (address, language) of those who get a reply by mail."""
    user = response_recipient(delivery)
    if user is None:
        return [pair for pair in [_allowed_sender_of(delivery.notice)] if pair[0]]
    users = [user]
    if not visibility.may_see_delivery(permissions_of(user), delivery):
        users = who_can.managers_of(delivery.list) if delivery.list else who_can.administrators()
    return [(row.email, row.language) for row in users if row.email]


def _allowed_sender_of(notice: Notice) -> tuple[str, str]:
    """Return address and language of the allowed sender who posted the notice by mail; ("", "") if there is none."""
    key = addresses.comparison_key(posted_from_address(notice))
    sender = AllowedSender.select().where(AllowedSender.address_key == key).first() if key != "@" else None
    return (sender.address, load_settings().language) if sender else ("", "")


def list_replies(
    notice: Notice, delivery: Delivery | None = None, lists: Collection[int] | None = None
) -> list[ReplyView]:
    """Return the replies to a notice, or to one of its letters, newest first, at most 200. Escape their text.

    lists: as in `core.visibility`.
    """
    rows = (
        InboundMessage.select(InboundMessage, Letter, Delivery)
        .join(Letter)
        .join(Delivery)
        .where(InboundMessage.kind == "reply", Delivery.notice == notice)
        .order_by(InboundMessage.id.desc())
    )
    if delivery is not None:
        rows = rows.where(Letter.delivery == delivery)
    if lists is not None:
        rows = rows.where(Delivery.id.in_(visibility.visible_deliveries(lists)))
    return [_reply_view(row) for row in rows.limit(200)]


def list_replies_of_person(person: Person, rights: Permissions, limit: int = 20) -> list[tuple[Notice, ReplyView]]:
    """Return a person's replies to notices that the organizer may see, newest first."""
    rows = (
        InboundMessage.select(InboundMessage, Letter, Delivery, Notice)
        .join(Letter)
        .join(Delivery)
        .join(Notice)
        .where(InboundMessage.kind == "reply", Delivery.person == person)
        .order_by(InboundMessage.id.desc())
        .limit(limit)
    )
    replies = ((_notice_of(row), _reply_view(row)) for row in rows)
    return [(notice, reply) for notice, reply in replies if rights.may_notice("view", notice)]


def _notice_of(row: Any) -> Notice:
    return row.letter.delivery.notice  # type: ignore[no-any-return]


def _reply_view(row: Any) -> ReplyView:
    """Build the view of a row joined with its letter and delivery."""
    letter = row.letter
    is_other = bool(row.address) and addresses.comparison_key(row.address) != addresses.comparison_key(letter.address)
    files = tuple((str(name), int(size)) for name, size in row.files)
    return ReplyView(
        letter.delivery.name,
        row.at,
        row.subject,
        row.text,
        letter.delivery_id,
        from_other_address=is_other,
        is_doubtful=row.reason == DOUBTFUL,
        number=row.id,
        files=files,
        files_available=bool(files) and spool.has_raw(row.file),
    )


def get_reply_file(number: int, position: int, rights: Permissions) -> file_types.CheckedFile | None:
    """Return an attachment of a reply for download; None if it is gone or the organizer may not see the reply.

    Raises UnfitFile for a file that could execute code: only administrators get it, from the raw mail.
    """
    row = InboundMessage.get_or_none(InboundMessage.id == number, InboundMessage.kind == "reply")
    letter = row.letter if row else None
    notice = letter.delivery.notice if letter and letter.delivery else None
    if row is None or notice is None or not rights.may_notice("view", notice):
        return None
    if number not in {reply.number for reply in list_replies(notice, lists=rights.visible_lists(notice))}:
        return None
    raw = spool.read_raw(row.file)
    attachments = parse_message(raw).attachments[:MAX_FILES] if raw is not None else ()
    if not 0 <= position < min(len(attachments), len(row.files)):
        return None
    return file_types.check_file(row.files[position][0], attachments[position].content())
