"""The letters of a sign-up, and the link that confirms it (N-16, decision 5).

They consist of fixed words. A letter may reach a person who did not request it, so it must not contain a sender's text.
"""

from datetime import datetime, timedelta
from typing import Any

from core import rate_limits
from core.members import consent, join_codes, signed_links
from core.notifications.letter_limits import Caused, allows_letter
from core.notifications.notify import notify, render_message
from core.settings import load_settings
from core.signup.quotas import SignupRequest
from database import db
from models import Child, Letter, MailingList, Membership, MembershipState, Person

CONFIRM_LINK_LIFETIME = timedelta(days=3)
MAX_QUEUED_EMAILS_PER_HOUR = 300
"""Letters an hour that only say that a sign-up is queued."""


def send_welcome(mailing_list: MailingList, person: Person, state: str, now: datetime) -> None:
    """Send the welcome letter, or the one that says that a manager approves first."""
    values = {
        **_common_values(mailing_list, person),
        "url": signed_links.page_url(person, now, signed_links.WELCOME_LINK_LIFETIME),
        "greeting": f"{mailing_list.greeting.strip()}\n\n" if mailing_list.greeting.strip() else "",
        "terms": consent.render_consent_text(mailing_list, person.language),
    }
    known = "registered" if person.name else "welcome"  # without a name the letter asks for it first
    notify(known if state == MembershipState.ACTIVE else "approval", person, now, **values)


def preview_welcome(mailing_list: MailingList) -> tuple[str, str]:
    """Return subject and text of the welcome letter, with dummy links."""
    settings = load_settings()
    values = {
        "list": mailing_list.name,
        "from": settings.own_addresses.sender(mailing_list.address),
        "greeting": f"{mailing_list.greeting.strip()}\n\n" if mailing_list.greeting.strip() else "",
        "terms": consent.render_consent_text(mailing_list, settings.language),
        "url": f"{settings.base_url}/p/…",
        "leave": f"{settings.base_url}/mail/leave/…",
    }
    return render_message(Letter(kind="welcome", language=settings.language, payload=values), settings.name)


def send_approved(mailing_list: MailingList, person: Person, now: datetime) -> None:
    if person.is_deliverable and allows_letter(Caused.APPROVAL, None, person.address, now):
        send_welcome(mailing_list, person, MembershipState.ACTIVE, now)


def send_rejected(mailing_list: MailingList, person: Person, now: datetime) -> None:
    if person.is_deliverable and allows_letter(Caused.APPROVAL, None, person.address, now):
        notify("refused", person, now, **_common_values(mailing_list, person))


def send_queued(request: SignupRequest, language: str, now: datetime) -> None:
    """Say that a sign-up is queued, to proven addresses only.

    Limited per hour, so that these letters do not delay others.
    """
    if rate_limits.record_hit("join waits", now, 3600) > MAX_QUEUED_EMAILS_PER_HOUR:
        return
    values: dict[str, Any] = {
        "list": request.list.name,
        "from": load_settings().own_addresses.sender(request.list.address),
    }
    notify("waits-join", request.address, now, language=language, **values)


def send_already_member(mailing_list: MailingList, person: Person, now: datetime) -> None:
    """Say that the reader is a member already, at most once a day."""
    if rate_limits.record_hit(f"already:{mailing_list.id}:{person.id}", now, 86400) == 1:
        notify("already", person, now, **_common_values(mailing_list, person))


def _common_values(mailing_list: MailingList, person: Person) -> dict[str, Any]:
    settings = load_settings()
    return {
        "list": mailing_list.name,
        "from": settings.own_addresses.sender(mailing_list.address),
        "leave": signed_links.leave_url(person, mailing_list, settings),
    }


# ── the link that confirms ───────────────────────────────────────────────────────────────────────────────────────


def send_confirmation_link(request: SignupRequest, language: str, now: datetime) -> None:
    """Send the confirmation link. It names the letter, so it holds no address.

    In one transaction: the worker must not take the letter before it has its link.
    """
    settings = load_settings()
    values: dict[str, Any] = {"list": request.list.name, "from": settings.own_addresses.sender(request.list.address)}
    details = {
        "route": request.route,
        "code": request.code,
        "child": request.child.id if request.child else 0,
        **request.evidence,
    }
    with db.atomic():
        letter = notify("join", request.address, now, language=language, **values)
        token = signed_links.link_signer(settings, "join").dumps([letter.id, request.list.id])
        payload = {**letter.payload, "url": f"{settings.base_url}/mail/join/{token}", "asked": details}
        Letter.update(payload=payload).where(Letter.id == letter.id).execute()


def request_from_link(text: str, now: datetime) -> SignupRequest | None:
    """Return the request of a confirmation link; None if it is wrong or expired."""
    token = signed_links.read_token(text, "join")
    if token is None:
        return None
    letter = Letter.get_or_none(
        Letter.id == token[0], Letter.kind == "join", Letter.made_at > now - CONFIRM_LINK_LIFETIME
    )
    mailing_list = MailingList.get_or_none(MailingList.id == token[1], MailingList.closed_at.is_null())
    if letter is None or mailing_list is None or mailing_list.join_mode == "closed":
        return None
    details = dict(letter.payload.get("asked") or {})
    child = Child.get_or_none(Child.id == details.pop("child", 0))
    if child and not join_codes.is_child_in_list(child.id, mailing_list):
        child = None
    route, code = str(details.pop("route", "blank mail")), str(details.pop("code", ""))
    return SignupRequest(
        mailing_list,
        letter.address,
        route,
        code if child or code == "list" else "",
        child,
        "letter",
        details,
        letter.language,
    )


def has_membership(request: SignupRequest, person: Person | None, state: str = MembershipState.ACTIVE) -> bool:
    """Return whether a person has a membership in this state for the list, and for the child of the request."""
    if person is None or not person.is_deliverable:
        return False
    matching = (Membership.list == request.list) & (Membership.person == person) & (Membership.state == state)
    if request.child:
        matching &= Membership.child == request.child
    return Membership.select().where(matching).exists()
