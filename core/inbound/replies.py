"""Mails to the Reply-To of a letter (T-18): shown at the letter, told to whom it was answered, never distributed.

A reply is no answer to a question and no confirmation; it marks the cell 「返信あり」 on the board.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import i18n
from core import audit, rate_limits, visibility
from core.inbound import spool
from core.inbound.message import InboundMail, InboundResult
from core.notices import file_types, merge_fields
from core.notices.sender_names import response_recipient
from core.notifications.notify import notify
from core.permissions import Permissions
from core.settings import load_settings
from i18n import N_
from mail import address as addresses
from mail.message import parse_message
from models import AllowedSender, Delivery, InboundMessage, Letter, Notice, Person

UnfitFile = file_types.UnfitFile
MAX_NOTIFICATIONS_PER_DAY = 50
MAX_FILES = 20
_FILES_LINE = N_("With files: %(n)s. They can be saved from that page for 30 days.")
MAX_QUOTED_CHARS = 4000


@dataclass(frozen=True, slots=True)
class ReplyView:
    """A reply as the letter's page shows it. `other`: it came from another address than the letter went to.

    `files`: name and octets of what came with it; `kept`: they can still be saved.
    """

    name: str
    at: datetime
    subject: str
    text: str
    delivery: int
    other: bool
    number: int
    files: tuple[tuple[str, int], ...]
    kept: bool


def record_reply(letter: Letter, mail: InboundMail, now: datetime) -> InboundResult:
    """Mark the reader's cell and tell who sent the notice. Call inside the transaction that records the mail.

    Files stay in the raw mail for 30 days: a slip that was photographed is often the whole reply.
    """
    delivery = letter.delivery if letter.delivery_id else None
    if delivery is None:
        return InboundResult(
            "house", "held", "reply to a letter of Kairan", letter=letter, show=True, keep=bool(mail.attachments)
        )
    Delivery.update(replied_at=now).where(Delivery.id == delivery.id, Delivery.replied_at.is_null()).execute()
    Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
    audit.log_action(None, "delivery.replied", delivery.id, detail={"notice": delivery.notice_id})
    files = tuple((file_types.safe_filename(one.name), one.size) for one in mail.arrival.attachments[:MAX_FILES])
    _notify_organizer(delivery, mail, now)
    return InboundResult(
        "reply",
        "done",
        "",
        delivery.list,
        letter.person_id,
        letter,
        delivery.notice_id,
        show=True,
        keep=bool(files),
        files=files,
    )


def _notify_organizer(delivery: Delivery, mail: InboundMail, now: datetime) -> None:
    """Write to the one in whose name the letter went (D-20); a flood of replies stays on the page alone."""
    notice = delivery.notice
    told = response_recipient(delivery)
    address, language = (told.email or "", told.language) if told else _registered_sender_of(notice)
    if not address or rate_limits.record_hit(f"replies:{notice.id}", now, 86400) > MAX_NOTIFICATIONS_PER_DAY:
        return
    values = {
        "name": delivery.name,
        "subject": mail.subject or merge_fields.display_subject(notice),
        "notice": merge_fields.display_subject(notice),
        "text": mail.text[:MAX_QUOTED_CHARS],
        "files": f"{i18n.say(language, _FILES_LINE, n=mail.attachments)}\n" if mail.attachments else "",
        "url": f"{load_settings().base_url}/notices/{notice.id}/board",
    }
    notify("reply", address, now, language=language, **values)


def _registered_sender_of(notice: Notice) -> tuple[str, str]:
    """Return address and language of the sender who posted the notice by mail; ("", "") if there is none."""
    row = InboundMessage.select().where(InboundMessage.notice == notice, InboundMessage.kind == "post").first()
    known = (
        AllowedSender.select().where(AllowedSender.address_key == addresses.comparison_key(row.address)).first()
        if row
        else None
    )
    return (known.address, load_settings().language) if known else ("", "")


def list_replies(
    notice: Notice, delivery: Delivery | None = None, lists: Collection[int] | None = None
) -> list[ReplyView]:
    """Return the replies to a notice, or to one of its letters, the newest first. Their text is to be escaped.

    `lists`: as for `core.visibility`.
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
    """Return what somebody answered by mail to letters of notices that an organizer may see, the newest first."""
    rows = (
        InboundMessage.select(InboundMessage, Letter, Delivery, Notice)
        .join(Letter)
        .join(Delivery)
        .join(Notice)
        .where(InboundMessage.kind == "reply", Delivery.person == person)
        .order_by(InboundMessage.id.desc())
        .limit(limit)
    )
    found = ((row.letter.delivery.notice, _reply_view(row)) for row in rows)
    return [(notice, reply) for notice, reply in found if rights.may_notice("view", notice)]


def _reply_view(row: InboundMessage) -> ReplyView:
    letter = row.letter
    other = bool(row.address) and addresses.comparison_key(row.address) != addresses.comparison_key(letter.address)
    files = tuple((str(name), int(size)) for name, size in row.files)
    kept = bool(files) and spool.has_raw(row.file)
    return ReplyView(
        letter.delivery.name, row.at, row.subject, row.text, letter.delivery_id, other, row.id, files, kept
    )


def get_reply_file(number: int, place: int, rights: Permissions) -> file_types.CheckedFile | None:
    """Return a file of a reply that an organizer may see, as it may be saved; None if it is gone or not theirs.

    Raises UnfitFile for what could act by itself: that is for the administrators, out of the raw mail.
    """
    row = InboundMessage.get_or_none(InboundMessage.id == number, InboundMessage.kind == "reply")
    notice = row.letter.delivery.notice if row and row.letter_id and row.letter.delivery_id else None
    if notice is None or not rights.may_notice("view", notice):
        return None
    if number not in {one.number for one in list_replies(notice, lists=rights.seen(notice))}:
        return None
    raw = spool.read_raw(row.file)
    came = parse_message(raw).attachments[:MAX_FILES] if raw is not None else ()
    if not 0 <= place < min(len(came), len(row.files)):
        return None
    return file_types.check_file(row.files[place][0], came[place].content())
