"""Mails that people post to a list's own address (T-15, T-23, T-28 to T-31, T-40, N-07; design decision 6).

Only a registered sender of this list posts, and From can be forged: a proven mail waits the usual window, anything
else is held until its sender releases it by a link that goes to the registered address alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

import i18n
from core import audit, rate_limits
from core.errors import MissingFields, SendingStarted, WrongLetterCount
from core.inbound.message import InboundResult
from core.notices.audience import Audience, resolve_audience
from core.notices.author_copy import notice_cancel_token
from core.notifications.notify import notify
from core.settings import Settings, load_settings
from database import db, millis
from i18n import N_
from mail import clean_post
from mail.auth_results import AuthResult
from models import AllowedSender, InboundMessage, MailingList, Notice, Target, User, Wording

MAX_HELD_PER_DAY = 10
RELEASE_LINK_VALID_FOR = timedelta(hours=24)
FORGERY_WARNING_INTERVAL_S = 3600
DUPLICATE_WINDOW = timedelta(days=1)

HOLD_REASONS: dict[str, str] = {
    "unproven": N_("It is not proven that this mail really came from you: anybody can write any sender into a mail."),
    "reply": N_("This looks like an answer to a letter, not like a new notice."),
    "whole": N_("This goes to everybody."),
    "ask": N_("This list always asks before it distributes."),
    "again": N_("The same words were posted here within a day."),
    "bcc": N_("The address of the list does not stand in the mail itself."),
    "many": N_("More than ten mails were posted from this address within a day."),
}
"""Why a posted mail waits for its sender, in sentences for the letter and the page."""


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A mail as its sender wrote it: `address` is the single From; `refers`: it answers a letter of ours.

    `named`: the list's address stands in To or Cc, so a signature speaks for this list and not for another reader.
    """

    address: str
    subject: str
    text: str
    refers: bool = False
    named: bool = True
    attachments: int = 0


def accept_post(
    mailing_list: MailingList, sender: AllowedSender, post: PostedMessage, proof: AuthResult, now: datetime
) -> InboundResult:
    """Make a notice of a registered sender's mail, or refuse it. Call inside the transaction that records the mail."""
    force = load_settings()
    subject, text = clean_post.clean_subject_and_text(post.subject, post.text, force.base_url)
    if proof.forged:
        _warn_about_forgery(mailing_list, sender, now)
        return InboundResult("post", "dropped", "forged", mailing_list, show=True, keep=True)
    if not text:
        return InboundResult("post", "dropped", "empty", mailing_list)
    why = _find_hold_reason(mailing_list, sender, post, proof, (subject, text), now)
    if why and rate_limits.record_hit(f"held post:{sender.id}", now, 86400) > MAX_HELD_PER_DAY:
        return InboundResult("post", "silent", "too many", mailing_list, show=True)
    notice, audience = _create_notice(mailing_list, sender, subject, text, why, force, now)
    if mailing_list.awaiting_roster_since or not audience.receiving:
        Notice.update(state="dropped", finished_at=now).where(Notice.id == notice.id).execute()
        kind = "waits" if mailing_list.awaiting_roster_since else "nobody"
        _notify_sender(kind, notice, mailing_list, sender, audience, post, now, "", "")
        return InboundResult("post", "dropped", "new roster" if kind == "waits" else kind, mailing_list, notice=notice)
    if why:
        url = f"{force.base_url}/mail/release/{make_release_token(notice, force)}"
        _notify_sender("release", notice, mailing_list, sender, audience, post, now, url, why)
        return InboundResult("post", "held", why, mailing_list, notice=notice)
    url = f"{force.base_url}/notices/cancel/{notice_cancel_token(notice, force)}"
    _notify_sender("posted", notice, mailing_list, sender, audience, post, now, url, "")
    return InboundResult("post", "done", proof.how, mailing_list, notice=notice)


def _find_hold_reason(
    mailing_list: MailingList,
    sender: AllowedSender,
    post: PostedMessage,
    proof: AuthResult,
    words_: tuple[str, str],
    now: datetime,
) -> str:
    """Say why a mail waits for its sender's release; "" if it goes out by itself."""
    if not proof:
        return "unproven"
    if clean_post.looks_like_reply(post.subject, post.refers):
        return "reply"
    if mailing_list.whole:
        return "whole"
    if mailing_list.post_ask:
        return "ask"
    if not post.named:
        return "bcc"
    if _is_duplicate_post(mailing_list, words_, now):
        return "again"
    return "many" if rate_limits.record_hit(f"post:{sender.id}", now, 86400) > MAX_HELD_PER_DAY else ""


def _is_duplicate_post(mailing_list: MailingList, words_: tuple[str, str], now: datetime) -> bool:
    """Say whether the same words were posted to this list within a day: mails come by two roads, or are replayed."""
    return (
        Notice.select()
        .join(Wording)
        .switch(Notice)
        .join(Target)
        .where(
            Notice.route == "mail",
            Notice.created_at > now - DUPLICATE_WINDOW,
            Wording.subject == words_[0],
            Wording.text == words_[1],
            Target.kind == "list",
            Target.number == mailing_list.id,
        )
        .exists()
    )


def _create_notice(
    mailing_list: MailingList, sender: AllowedSender, subject: str, text: str, why: str, force: Settings, now: datetime
) -> tuple[Notice, Audience]:
    """Write the notice in the state in which it waits: the usual window, or for its sender."""
    user = User.get_or_none(User.email_key == sender.address_key, User.disabled_at.is_null())
    name = sender.name or (user.name if user else "")
    notice = Notice.create(
        state="held",
        hold_reason="proof" if why else "window",
        route="mail",
        by=user,
        by_name=name,
        read_confirmation=mailing_list.post_confirm,
        practice=force.practice,
        step=3,
        created_at=now,
        updated_at=now,
        confirmed_at=now,
        send_at=now if why else now + timedelta(seconds=force.hold_s),
    )
    Wording.create(notice=notice, language=force.language, subject=subject, text=text)
    Target.create(notice=notice, kind="list", number=mailing_list.id)
    audience = resolve_audience(notice)
    notice.expected, notice.fingerprint = audience.expected, audience.fingerprint
    notice.save(only=[Notice.expected, Notice.fingerprint])
    detail = {"letters": audience.letters, "list": mailing_list.id, "sender": sender.id}
    audit.log_action(user, f"notice.{'held_proof' if why else 'posted'}", notice.id, detail=detail)
    return notice, audience


# ── letters to the registered address ────────────────────────────────────────────────────────────────────────────


def _notify_sender(
    kind: str,
    notice: Notice,
    mailing_list: MailingList,
    sender: AllowedSender,
    audience: Audience,
    post: PostedMessage,
    now: datetime,
    url: str,
    why: str,
) -> None:
    notify_sender(
        kind,
        sender,
        now,
        list=mailing_list.name,
        subject=notice.wording.subject,
        text=notice.wording.text,
        letters=audience.letters,
        at=i18n.format_time(notice.send_at),
        url=url,
        why=lambda language: i18n.say(language, HOLD_REASONS[why]) if why else "",
        attachments=lambda language: i18n.say(language, _ATTACHMENTS_DROPPED) + "\n" if post.attachments else "",
    )


_ATTACHMENTS_DROPPED = N_("Attachments are not distributed by mail.")


def _warn_about_forgery(mailing_list: MailingList, sender: AllowedSender, now: datetime) -> None:
    """Tell the registered address that somebody wrote in its name, at most once an hour."""
    if rate_limits.record_hit(f"forged post:{sender.id}", now, FORGERY_WARNING_INTERVAL_S) == 1:
        notify_sender("forged", sender, now, list=mailing_list.name)


def notify_sender(kind: str, sender: AllowedSender, now: datetime, /, **values: object) -> None:
    """Send a service letter to a registered sender."""
    notify(kind, sender.address, now, language=language_of_sender(sender), to_name=sender.name, **values)


def language_of_sender(sender: AllowedSender) -> str:
    """Return the language of a sender: the user's with this address, else the organization's."""
    user = User.get_or_none(User.email_key == sender.address_key)
    return user.language if user else load_settings().language


# ── the release link ─────────────────────────────────────────────────────────────────────────────────────────────


def make_release_token(notice: Notice, force: Settings) -> str:
    """Return the signed mark that releases this posted mail and no other."""
    return _token_serializer(force).dumps([notice.id, millis(notice.confirmed_at)])


def notice_by_release_token(text: str, now: datetime) -> Notice | None:
    """Return the notice that a mark names, also after its release; None if it is wrong or older than 24 hours."""
    try:
        number, confirmed = _token_serializer(load_settings()).loads(text)
    except (BadSignature, ValueError, TypeError):
        return None
    found = Notice.get_or_none(Notice.id == number, Notice.confirmed_at == confirmed, Notice.route == "mail")
    return found if found and now - found.confirmed_at < RELEASE_LINK_VALID_FOR else None


def _token_serializer(force: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(force.secret, salt="release a posted mail")


def is_waiting_for_release(notice: Notice) -> bool:
    """Say whether a posted mail still waits for its sender."""
    return notice.state == "held" and notice.hold_reason == "proof"


def hold_reason(notice: Notice) -> str:
    """Return why a posted mail was held, a key of WHY; "" if it was not."""
    row = InboundMessage.select().where(InboundMessage.notice == notice, InboundMessage.kind == "post").first()
    return row.reason if row and row.reason in HOLD_REASONS else ""


def release_post(notice: Notice, now: datetime, typed: str = "") -> int:
    """Let a held mail go out now; return how many letters. Works once.

    Raises WrongNumber (everybody: the number of letters must be typed, decision 7), Incomplete, TooLate.
    """
    audience = resolve_audience(notice)
    if any(one.awaiting_roster_since for one in audience.lists):
        raise MissingFields({"targets": N_("The list waits for its new roster, so nothing is sent to it now.")})
    if not audience.receiving:
        raise MissingFields({"targets": N_("Nobody of the chosen recipients can receive mail.")})
    if audience.whole and typed.strip() != str(audience.letters):
        raise WrongLetterCount(number=audience.letters)
    with db.atomic():
        changed = (
            Notice.update(
                hold_reason="window",
                send_at=now,
                updated_at=now,
                serial=Notice.serial + 1,
                expected=audience.expected,
                fingerprint=audience.fingerprint,
            )
            .where(Notice.id == notice.id, Notice.state == "held", Notice.hold_reason == "proof")
            .execute()
        )
        if not changed:
            raise SendingStarted()
        audit.log_action(notice.by, "notice.released", notice.id, detail={"letters": audience.letters, "by": "mail"})
    return audience.letters


def posted_from_address(notice: Notice) -> str:
    """Return the address from which a notice was posted (T-39); "" if it was written elsewhere."""
    row = InboundMessage.select().where(InboundMessage.notice == notice, InboundMessage.kind == "post").first()
    return row.address if row else ""
