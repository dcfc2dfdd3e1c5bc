"""Leaving a list by a mail to its -leave address, and coming back by the link that answers it (design decision 2).

A mail that is proven, or carries the mark of a letter, stops at once; anything else gets a link, sent to the member's
own address only. Strangers get silence. Everything is reversible on the same page.
"""

from datetime import datetime

from core import audit, rate_limits
from core.inbound.result import InboundResult
from core.members.signed_links import sign_membership
from core.notifications.notify import notify
from core.settings import load_settings
from database import db
from mail import address as addresses
from mail.auth_results import AuthResult
from models import Letter, MailingList, Membership, Person


def handle_leave_mail(
    mailing_list: MailingList, address: str, letter: Letter | None, proof: AuthResult, now: datetime
) -> InboundResult:
    """Do what a mail to the leave address asks for. `letter`: of ours, whose mark the mail carries."""
    person = letter.person if letter and letter.person_id else _person_by_address(address)
    if person is None or not subscription_state(person, mailing_list):
        return InboundResult("leave", "silent", "no member", mailing_list, show=True)
    force = load_settings()
    url = f"{force.base_url}/mail/leave/{sign_membership(person, mailing_list, force)}"
    if letter is not None or proof:
        unsubscribe_and_notify(person, mailing_list, url, now)
        return InboundResult("leave", "done", "letter" if letter else proof.how, mailing_list, person)
    _send_daily_limited("leave", person, mailing_list, url, now)
    return InboundResult("leave", "held", "asked to confirm", mailing_list, person)


def _person_by_address(address: str) -> Person | None:
    return Person.get_or_none(Person.address_key == addresses.comparison_key(address)) if "@" in address else None


def _send_daily_limited(kind: str, person: Person, mailing_list: MailingList, url: str, now: datetime) -> None:
    """Write to the member's own address, at most once a day for each list."""
    if not person.is_deliverable or rate_limits.record_hit(f"{kind}:{mailing_list.id}:{person.id}", now, 86400) > 1:
        return
    notify(kind, person, now, list=mailing_list.name, url=url)


def subscription_state(person: Person, mailing_list: MailingList) -> str:
    """Return how somebody stands in a list: active, stopped (by the reader), over (by a manager), or ""."""
    rows = Membership.select().where(Membership.person == person, Membership.list == mailing_list)
    standing = {(row.state, row.stopped_by) for row in rows if row.is_member}
    if any(state in ("active", "unconfirmed", "pending") for state, _ in standing):
        return "active"
    if ("stopped", "reader") in standing:
        return "stopped"
    return "over" if standing else ""


def unsubscribe_from_list(person: Person, mailing_list: MailingList, now: datetime) -> bool:
    """Stop a list for a reader who wishes it; who still waits for approval leaves. Repeatable."""
    stopped = {"state": "stopped", "stopped_by": "reader", "stopped_at": now}
    done = _change_list_memberships(
        person, mailing_list, "member.stopped", Membership.state.in_(("active", "unconfirmed")), **stopped
    )
    gone = _change_list_memberships(
        person, mailing_list, "member.left", Membership.state == "pending", state="left", left_at=now
    )
    return done or gone


def unsubscribe_and_notify(person: Person, mailing_list: MailingList, url: str, now: datetime) -> bool:
    """Stop a list and write how to undo it; say whether there was anything to stop. Repeatable."""
    if not unsubscribe_from_list(person, mailing_list, now):
        return False
    _send_daily_limited("resume", person, mailing_list, url, now)
    return True


def resubscribe_to_list(person: Person, mailing_list: MailingList) -> bool:
    """Undo what the reader stopped; a manager's stop stays. Repeatable."""
    own = (Membership.state == "stopped") & (Membership.stopped_by == "reader")
    return _change_list_memberships(
        person, mailing_list, "member.resumed", own, state="active", stopped_by="", stopped_at=None
    )


def _change_list_memberships(
    person: Person, mailing_list: MailingList, action: str, where: object, **fields: object
) -> bool:
    with db.atomic():
        done = (
            Membership.update(**fields)
            .where(Membership.person == person, Membership.list == mailing_list, where)
            .execute()
        )
        if done:
            audit.log_action(None, action, person.id, detail={"lists": [mailing_list.id], "by": "mail"})
    return bool(done)
