"""Allowed senders of a list, and posts from anybody else (T-30, T-31, T-37 to T-39).

A new address gets a verification letter. The reply shows whether its posts are authenticated and sent at once, or
need a release each. A post from an unknown sender is never distributed and never answered; the managers are notified.
"""

from datetime import datetime

from peewee import IntegrityError

from core import audit, rate_limits
from core.accounts import who_can
from core.errors import DomainError
from core.inbound.message import InboundResult
from core.inbound.post_by_mail import notify_sender
from core.inbound.proof import Proof
from core.notifications.letter_limits import Caused, count_letter
from core.notifications.notify import notify, notify_users
from core.settings import load_settings
from database import db
from i18n import N_
from mail import address as addresses
from models import AllowedSender, Letter, MailingList, Person, User

MAX_NOTIFICATIONS_PER_DAY = 10


class LastSenderError(DomainError):
    """The last allowed sender of a list cannot be removed (T-38)."""

    message = N_("A list needs at least one sender. Please add another one first.")


# ── managing senders ─────────────────────────────────────────────────────────────────────────────────────────────


def list_senders(mailing_list: MailingList) -> list[AllowedSender]:
    return list(
        AllowedSender.select()
        .where(AllowedSender.list == mailing_list)
        .order_by(AllowedSender.name, AllowedSender.address_key)
    )


def get_sender(mailing_list: MailingList, address: str) -> AllowedSender | None:
    return AllowedSender.get_or_none(
        AllowedSender.list == mailing_list, AllowedSender.address_key == addresses.comparison_key(address)
    )


def is_known_address(address: str) -> bool:
    """Tell whether the address belongs to an allowed sender of any list or to a person."""
    key = addresses.comparison_key(address)
    return (
        AllowedSender.select().where(AllowedSender.address_key == key).exists()
        or Person.select().where(Person.address_key == key).exists()
    )


def add_sender(mailing_list: MailingList, by: User | None, address: str, name: str, now: datetime) -> AllowedSender:
    """Add an allowed sender and send the verification letter. Raises DomainError with the field."""
    clean = _check_address(mailing_list, address)
    fields = {"address": clean, "address_key": addresses.comparison_key(clean), "name": " ".join(name.split())}
    try:
        with db.atomic():
            sender = AllowedSender.create(list=mailing_list, created_at=now, **fields)
            audit.log_action(by, "sender.added", sender.id, detail={"list": mailing_list.id})
            send_verification(sender, by, now)
    except IntegrityError as error:
        raise _duplicate_error() from error
    return sender


def _check_address(mailing_list: MailingList, entered: str, except_id: int = 0) -> str:
    try:
        clean = addresses.parse_address(entered)
    except addresses.BadAddress as error:
        raise DomainError(error.message, "address") from error
    if load_settings().own_addresses.owns(clean):
        raise DomainError(N_("This is an address of Kairan itself, so it cannot post."), "address")
    same = (
        (AllowedSender.list == mailing_list)
        & (AllowedSender.address_key == addresses.comparison_key(clean))
        & (AllowedSender.id != except_id)
    )
    if AllowedSender.select().where(same).exists():
        raise _duplicate_error()
    return clean


def _duplicate_error() -> DomainError:
    return DomainError(N_("This address may post already."), "address")


def update_sender(sender: AllowedSender, by: User | None, address: str, name: str, now: datetime) -> AllowedSender:
    """Change address or name; a new address gets a verification letter. Raises DomainError."""
    clean = _check_address(sender.list, address, except_id=sender.id)
    key = addresses.comparison_key(clean)
    is_new_address = key != sender.address_key
    fields: dict[str, object] = {"address": clean, "address_key": key, "name": " ".join(name.split())}
    if is_new_address:
        fields |= {"last_post_at": None, "last_auth_method": ""}
    try:
        with db.atomic():
            AllowedSender.update(**fields).where(AllowedSender.id == sender.id).execute()
            audit.log_action(by, "sender.changed", sender.id, detail={"list": sender.list_id})
            updated = AllowedSender.get_by_id(sender.id)
            if is_new_address:
                send_verification(updated, by, now)
    except IntegrityError as error:
        raise _duplicate_error() from error
    return updated


def remove_sender(sender: AllowedSender, by: User | None) -> None:
    """Remove an allowed sender. Raises LastSenderError (T-38)."""
    with db.atomic():
        others = AllowedSender.select().where(AllowedSender.list == sender.list_id, AllowedSender.id != sender.id)
        if not others.exists():
            raise LastSenderError
        if AllowedSender.delete().where(AllowedSender.id == sender.id).execute():
            audit.log_action(by, "sender.removed", sender.id, detail={"list": sender.list_id})


def set_posting_rules(mailing_list: MailingList, by: User | None, *, post_ask: bool, post_confirm: bool) -> None:
    """Set whether posts need a release, and whether they ask for a read confirmation (T-46)."""
    with db.atomic():
        MailingList.update(post_ask=post_ask, post_confirm=post_confirm).where(
            MailingList.id == mailing_list.id
        ).execute()
        audit.log_action(by, "list.mail_changed", mailing_list.id)


# ── verification ─────────────────────────────────────────────────────────────────────────────────────────────


def send_verification(sender: AllowedSender, by: User | None, now: datetime) -> None:
    """Send the letter that asks for a reply. Raises TooManyLetters."""
    count_letter(Caused.SENDER_TRIAL, by, sender.address, now)
    _send_to_sender(sender, "sender", now)


def _send_to_sender(sender: AllowedSender, kind: str, now: datetime) -> None:
    mailing_list = sender.list
    address = load_settings().own_addresses.address(mailing_list.address)
    notify_sender(kind, sender, now, list=mailing_list.name, address=address, sender=sender.id)


def sender_being_verified(letter: Letter) -> AllowedSender | None:
    """Return the sender of a verification letter; None for another letter or a removed sender."""
    number = letter.payload.get("sender", "") if letter.kind == "sender" else ""
    return AllowedSender.get_or_none(AllowedSender.id == int(number)) if number else None


def record_verification_reply(
    sender: AllowedSender, address: str, proof: Proof, letter: Letter, now: datetime
) -> InboundResult:
    """Record the authentication of the reply and notify the sender. Call inside the transaction that records the mail."""
    if addresses.comparison_key(address) != sender.address_key:
        return InboundResult("reply", "silent", "other address", sender.list, letter=letter)
    record_authentication(sender, proof, now)
    if rate_limits.record_hit(f"trial:{sender.id}", now, 86400) <= 3:
        _send_to_sender(sender, "sender-passes" if proof else "sender-asks", now)
    return InboundResult("reply", "done", proof.method if proof else proof.weakness, sender.list, letter=letter)


def record_authentication(sender: AllowedSender, proof: Proof, now: datetime) -> None:
    """Store the authentication of the latest message from the address, for the senders page."""
    method = "" if proof.weakness in ("unproven", "uncovered") else proof.method
    AllowedSender.update(last_post_at=now, last_auth_method=method).where(AllowedSender.id == sender.id).execute()


# ── unknown senders and role addresses ────────────────────────────────────────────────────────────────────────────────────────────────────


def hold_post_of_unknown_sender(
    mailing_list: MailingList, address: str, subject: str, proof: Proof, now: datetime
) -> InboundResult:
    """Hold the post and notify the managers; also notify a member whose message is authenticated (T-31)."""
    person = Person.get_or_none(Person.address_key == addresses.comparison_key(address)) if "@" in address else None
    if rate_limits.record_hit(f"strangers:{mailing_list.id}", now, 86400) <= MAX_NOTIFICATIONS_PER_DAY:
        _notify_managers(mailing_list, address, subject, now)
    if (
        person
        and proof
        and person.is_deliverable
        and rate_limits.record_hit(f"not a sender:{person.id}", now, 86400) == 1
    ):
        notify("not-a-sender", person, now, list=mailing_list.name)
    return InboundResult("stray", "held", "stranger", mailing_list, person, keep_text=True, keep_raw=True)


def _notify_managers(mailing_list: MailingList, address: str, subject: str, now: datetime) -> None:
    url = f"{load_settings().base_url}/lists/{mailing_list.id}/senders"
    values = {"list": mailing_list.name, "from": address, "subject": subject, "url": url}
    notify_users("stranger", who_can.managers_of(mailing_list) or who_can.administrators(), now, **values)


def notify_role_mail(local: str, address: str, subject: str, now: datetime) -> None:
    """Notify the administrators of mail to postmaster@ or abuse@ (RFC 2142), at most 10 times a day."""
    if rate_limits.record_hit("house", now, 86400) > MAX_NOTIFICATIONS_PER_DAY:
        return
    values = {"to": local, "from": address, "subject": subject, "url": f"{load_settings().base_url}/incoming"}
    notify_users("house", who_can.administrators(), now, **values)
