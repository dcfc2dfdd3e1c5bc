"""Post by mail: a message to a list's address becomes a notice (T-15, T-23, T-28 to T-31, T-40, N-07; decision 6).

Only an allowed sender of the list posts, and From can be forged. An authenticated message waits in the usual hold
window. Any other is held until its sender releases it by a link that goes only to the registered address.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

import i18n
from core import audit, rate_limits
from core.errors import MissingFields, SendingStarted, WrongLetterCount
from core.inbound.message import InboundResult
from core.inbound.proof import Proof
from core.notices import placeholders
from core.notices.audience import Audience, resolve_audience
from core.notices.author_copy import notice_cancel_token
from core.notifications.notify import notify
from core.settings import Settings, load_settings
from database import db, millis
from i18n import N_
from mail import clean_post, merge
from models import AllowedSender, InboundMessage, MailingList, Notice, NoticeState, Target, User, Wording

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
    "bcc": N_("The address of the list does not stand in the mail itself, or it may have been added on the way."),
    "uncovered": N_(
        "Its subject, date or form may have been changed on the way: your mail provider does not sign them."
    ),
    "date": N_("The date of the mail is missing, more than a day old or in the future."),
    "seen": N_("This mail arrived here before."),
    "automatic": N_("Its subject or header looks like an automatic answer."),
    "others": N_("Mail addresses of other people stood in it. They were taken out where ［…］ stands."),
    "quoted": N_("It may hold words of another mail."),
    "long": N_("It has more than 20,000 characters, or its subject more than 200. Only the beginning stands here."),
    "subject": N_("It has no text: its subject would also stand as its text."),
    "many": N_("More than ten mails were posted from this address within a day."),
}
"""Why a post is held: sentences for the letter and the page."""


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message to a list. address: the single From. refers_to_letter: it answers a letter of ours.

    missing: what stands in place of words that cannot be read, a key of MISSING_WORDS.
    """

    address: str
    subject: str
    text: str
    refers_to_letter: bool = False
    attachments: int = 0
    missing: str = ""


MISSING_WORDS: dict[str, str] = {
    "": N_("It holds no words."),
    "file": N_("It holds only files. Please write the words into the mail itself."),
    "picture": N_("It holds only pictures. Please write the words into the mail itself."),
    "mail": N_("The other mail is attached as a file. Please copy its words into the mail."),
    "calendar": N_("It holds only an entry of a calendar. Please write the words into the mail itself."),
    "encrypted": N_("It is encrypted or signed in a way that Kairan cannot read. Please send it without."),
}
"""What a post without readable words lacks: sentences for the letter to its writer."""


def accept_post(
    mailing_list: MailingList, sender: AllowedSender, post: PostedMessage, proof: Proof, now: datetime
) -> InboundResult:
    """Create a notice from an allowed sender's post, or drop it. Call inside the transaction that records the mail."""
    settings = load_settings()
    cleaned = clean_post.clean_post(
        post.subject,
        post.text,
        settings.base_url,
        _allowed_addresses(settings, post, sender),
        refers_to_ours=post.refers_to_letter,
    )
    subject, text = cleaned.subject, cleaned.text
    if proof.dmarc_failed:
        _warn_about_forgery(mailing_list, sender, now)
        return InboundResult("post", "dropped", "forged", mailing_list, keep_text=True, keep_raw=True)
    if not text and (post.missing or not subject):
        return _refuse_without_words(mailing_list, sender, post, now)
    if places := placeholders.find_placeholders(subject, text):
        return _refuse_placeholders(mailing_list, sender, subject, places, now)
    why = _find_hold_reason(mailing_list, sender, post, proof, cleaned, now)
    text = text or subject
    if why and rate_limits.record_hit(f"held post:{sender.id}", now, 86400) > MAX_HELD_PER_DAY:
        return InboundResult("post", "silent", "too many", mailing_list, keep_text=True)
    notice, audience = _create_notice(mailing_list, sender, subject, text, why, settings, now)
    if mailing_list.awaiting_roster_since or not audience.receiving:
        Notice.update(state=NoticeState.DROPPED, finished_at=now).where(Notice.id == notice.id).execute()
        kind = "waits" if mailing_list.awaiting_roster_since else "nobody"
        _notify_sender(kind, notice, mailing_list, sender, audience, post, now, "", "")
        return InboundResult("post", "dropped", "new roster" if kind == "waits" else kind, mailing_list, notice=notice)
    if why:
        url = f"{settings.base_url}/mail/release/{make_release_token(notice, settings)}"
        _notify_sender("release", notice, mailing_list, sender, audience, post, now, url, why)
        return InboundResult("post", "held", why, mailing_list, notice=notice)
    url = f"{settings.base_url}/notices/cancel/{notice_cancel_token(notice, settings)}"
    _notify_sender("posted", notice, mailing_list, sender, audience, post, now, url, "")
    return InboundResult("post", "done", proof.method, mailing_list, notice=notice)


def _find_hold_reason(
    mailing_list: MailingList,
    sender: AllowedSender,
    post: PostedMessage,
    proof: Proof,
    cleaned: clean_post.CleanedPost,
    now: datetime,
) -> str:
    """Return the key of HOLD_REASONS for which the post is held, "" if it is sent without release."""
    if proof.weakness:
        return proof.weakness
    if clean_post.looks_like_reply(post.subject, post.refers_to_letter):
        return "reply"
    if unclear := _find_unclear_words(cleaned):
        return unclear
    if mailing_list.whole:
        return "whole"
    if mailing_list.post_ask:
        return "ask"
    if _is_duplicate_post(mailing_list, (cleaned.subject, cleaned.text), now):
        return "again"
    return "many" if rate_limits.record_hit(f"post:{sender.id}", now, 86400) > MAX_HELD_PER_DAY else ""


def _find_unclear_words(cleaned: clean_post.CleanedPost) -> str:
    if cleaned.had_addresses:
        return "others"
    if cleaned.may_quote:
        return "quoted"
    if cleaned.cut:
        return "long"
    return "" if cleaned.text else "subject"


def _allowed_addresses(settings: Settings, post: PostedMessage, sender: AllowedSender) -> set[str]:
    """Return the addresses that members may read in a post: the writer's, the lists' and the school's."""
    own = settings.own_addresses
    lists = MailingList.select(MailingList.address).where(MailingList.closed_at.is_null())
    names = [name for row in lists for name in (row.address, f"{row.address}-join", f"{row.address}-leave")]
    contact = {match.lower() for match in _ADDRESS_IN_CONTACT.findall(settings.contact)}
    return {post.address, sender.address, *contact, *(own.address(name) for name in (*names, "postmaster", "abuse"))}


_ADDRESS_IN_CONTACT = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")


def _refuse_without_words(
    mailing_list: MailingList, sender: AllowedSender, post: PostedMessage, now: datetime
) -> InboundResult:
    """Drop a post without words, keep it for the administrators, and tell its registered address what is missing."""
    if rate_limits.record_hit(f"post without words:{sender.id}", now, 86400) <= MAX_HELD_PER_DAY:
        notify_sender(
            "no-words",
            sender,
            now,
            list=mailing_list.name,
            subject=merge.shorten(post.subject, clean_post.MAX_SUBJECT_CHARS),
            why=lambda language: i18n.say(language, MISSING_WORDS[post.missing]),
        )
    return InboundResult("post", "dropped", "empty", mailing_list, keep_raw=True)


def _refuse_placeholders(
    mailing_list: MailingList, sender: AllowedSender, subject: str, places: list[str], now: datetime
) -> InboundResult:
    """Drop a post with words of a template that are not filled in, and name them to its registered address."""
    if rate_limits.record_hit(f"post with placeholders:{sender.id}", now, 86400) <= MAX_HELD_PER_DAY:
        notify_sender("placeholders", sender, now, list=mailing_list.name, subject=subject, places=" ".join(places))
    return InboundResult("post", "dropped", "placeholders", mailing_list, keep_text=True, keep_raw=True)


def _is_duplicate_post(mailing_list: MailingList, subject_and_text: tuple[str, str], now: datetime) -> bool:
    """Tell whether the same text was posted to this list within a day: mail arrives twice, or is replayed."""
    return (
        Notice.select()
        .join(Wording)
        .switch(Notice)
        .join(Target)
        .where(
            Notice.route == "mail",
            Notice.created_at > now - DUPLICATE_WINDOW,
            Wording.subject == subject_and_text[0],
            Wording.text == subject_and_text[1],
            Target.kind == "list",
            Target.number == mailing_list.id,
        )
        .exists()
    )


def _create_notice(
    mailing_list: MailingList,
    sender: AllowedSender,
    subject: str,
    text: str,
    why: str,
    settings: Settings,
    now: datetime,
) -> tuple[Notice, Audience]:
    """Create the notice in state "held": for the hold window, or until its sender releases it."""
    user = User.get_or_none(User.email_key == sender.address_key, User.disabled_at.is_null())
    name = sender.name or (user.name if user else "")
    notice = Notice.create(
        state=NoticeState.HELD,
        hold_reason="proof" if why else "window",
        route="mail",
        by=user,
        by_name=name,
        read_confirmation=mailing_list.post_confirm,
        practice=settings.practice,
        step=3,
        created_at=now,
        updated_at=now,
        confirmed_at=now,
        send_at=now if why else now + timedelta(seconds=settings.hold_s),
    )
    Wording.create(notice=notice, language=settings.language, subject=subject, text=text)
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
    """Warn the registered address of a forged message in its name, at most once an hour."""
    if rate_limits.record_hit(f"forged post:{sender.id}", now, FORGERY_WARNING_INTERVAL_S) == 1:
        notify_sender("forged", sender, now, list=mailing_list.name)


def notify_sender(kind: str, sender: AllowedSender, now: datetime, /, **values: Any) -> None:
    """Send a service letter to a registered sender."""
    notify(kind, sender.address, now, language=language_of_sender(sender), to_name=sender.name, **values)


def language_of_sender(sender: AllowedSender) -> str:
    """Return the language of the user with the sender's address, else the organization's."""
    user = User.get_or_none(User.email_key == sender.address_key)
    return user.language if user else load_settings().language


# ── the release link ─────────────────────────────────────────────────────────────────────────────────────────────


def make_release_token(notice: Notice, settings: Settings) -> str:
    """Return the signed token that releases this post and no other."""
    return _token_serializer(settings).dumps([notice.id, millis(notice.confirmed_at)])


def notice_by_release_token(text: str, now: datetime) -> Notice | None:
    """Return the notice of a token, also after its release; None if the token is invalid or older than 24 hours."""
    try:
        number, confirmed = _token_serializer(load_settings()).loads(text)
    except (BadSignature, ValueError, TypeError):
        return None
    found = Notice.get_or_none(Notice.id == number, Notice.confirmed_at == confirmed, Notice.route == "mail")
    return found if found and now - found.confirmed_at < RELEASE_LINK_VALID_FOR else None


def _token_serializer(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret, salt="release a posted mail")


def is_waiting_for_release(notice: Notice) -> bool:
    """Tell whether a post waits for release by its sender."""
    return notice.state == NoticeState.HELD and notice.hold_reason == "proof"


def hold_reason(notice: Notice) -> str:
    """Return why a post was held, a key of HOLD_REASONS; "" if it was not."""
    row = _post_message(notice)
    return row.reason if row and row.reason in HOLD_REASONS else ""


def release_post(notice: Notice, now: datetime, typed: str = "") -> int:
    """Release a held post; return the number of letters. Works once.

    Raises WrongLetterCount (a post to everybody needs the typed number of letters, decision 7), MissingFields,
    SendingStarted.
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
            .where(Notice.id == notice.id, Notice.state == NoticeState.HELD, Notice.hold_reason == "proof")
            .execute()
        )
        if not changed:
            raise SendingStarted()
        audit.log_action(notice.by, "notice.released", notice.id, detail={"letters": audience.letters, "by": "mail"})
    return audience.letters


def posted_from_address(notice: Notice) -> str:
    """Return the address from which a notice was posted (T-39); "" if it was not posted by mail."""
    row = _post_message(notice)
    return row.address if row else ""


def _post_message(notice: Notice) -> InboundMessage | None:
    return InboundMessage.get_or_none(InboundMessage.notice == notice, InboundMessage.kind == "post")
