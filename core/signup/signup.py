"""Sign up for a list by a blank mail or by a link (T-26, T-27, T-36; decision 5, defences 2).

A proven address joins at once. So does a valid code from an address that Kairan does not know yet. Every other request
that a person may have made gets one letter of fixed words with a link. Above the quotas, requests with a proof or a
code wait in their order (`core.signup.quotas`).
"""

from datetime import datetime
from typing import Any, NamedTuple

from core import audit
from core.accounts import class_teacher
from core.members import change_requests, consent, join_codes
from core.members.households import put_into_household
from core.members.members import deliverable_fields, person_by_address
from core.members.normalise import address_fields
from core.members.preference_page import load_page
from core.notifications import link_requests
from core.settings import load_settings
from core.signup import emails, quotas
from core.signup.quotas import SignupRequest
from database import db, millis
from models import (
    AddressState,
    Child,
    LinkRequest,
    MailingList,
    Membership,
    MembershipState,
    Person,
    QueuedSignup,
    User,
)

MAX_GUARDIANS = 6
"""Guardians that one child's code lets in; more wait for a manager's approval."""


def accepts_code(mailing_list: MailingList, code: str) -> bool:
    """Return whether the list has a joining address with this code."""
    if mailing_list.join_mode == "closed":
        return False
    return not code or join_codes.resolve_code(mailing_list, code) is not None


def find_open_list(address: str) -> MailingList | None:
    """Return the list with this local part, if it is open for sign-up."""
    mailing_list = MailingList.get_or_none(MailingList.address == address.lower(), MailingList.closed_at.is_null())
    return (
        mailing_list
        if mailing_list and not mailing_list.practice_of_id and mailing_list.join_mode != "closed"
        else None
    )


def set_signup_options(mailing_list: MailingList, by: User | None, *, mode: str, greeting: str, purpose: str) -> None:
    """Set who can join, the greeting, and the purpose of the addresses (N-16)."""
    fields = {"join_mode": mode, "greeting": greeting.strip(), "purpose": purpose.strip()}
    with db.atomic():
        MailingList.update(**fields).where(MailingList.id == mailing_list.id).execute()
        audit.log_action(by, "list.joining_changed", mailing_list.id)


# ── within the quotas ────────────────────────────────────────────────────────────────────────────────────────────


class SignupResult(NamedTuple):
    """Outcome (done, held, silent) and reason as `InboundMessage` stores them, and who joined."""

    outcome: str
    reason: str
    person: Person | None = None


def join_within_quota(request: SignupRequest, person: Person | None, now: datetime) -> SignupResult:
    """Join, send the confirmation link, queue the request or drop it, as the quotas allow."""
    sure = _needs_no_confirmation(request, person)
    why = quotas.check_quota(request, now)
    if why == "waits":
        if quotas.enqueue_signup(request, sure, now) and request.proof:
            emails.send_queued(request, load_settings().language, now)
        return SignupResult("held", "waits", person)
    if why:
        return SignupResult("silent", why)
    return _join_or_confirm(request, sure, now)


def _needs_no_confirmation(request: SignupRequest, person: Person | None) -> bool:
    """Return whether a request joins at once: proven, or with a code from an address without memberships.

    From can be forged, so a code alone must not change a known person.
    """
    if request.proof:
        return True
    known = person is not None and Membership.select().where(Membership.person == person).exists()
    return bool(request.code) and not known


def _join_or_confirm(request: SignupRequest, sure: bool, now: datetime) -> SignupResult:
    if not sure or request.list.join_mode == "confirm":
        emails.send_confirmation_link(request, load_settings().language, now)
        return SignupResult("held", "asked to confirm")
    person, state = join_list(request, now)
    return SignupResult("done", (request.proof or "code") if state == MembershipState.ACTIVE else "pending", person)


def process_queued_signups(now: datetime) -> int:
    """Let queued requests in, the oldest first, as far as the quotas allow; return how many."""
    done = 0
    for (number,) in list(QueuedSignup.select(QueuedSignup.list).distinct().tuples()):
        mailing_list = MailingList.get_by_id(number)
        while (row := _oldest_queued(mailing_list)) and not quotas.is_quota_exhausted(
            quotas.request_from_row(row), now
        ):
            done += _process_queued(row, now)
    return done


def _oldest_queued(mailing_list: MailingList) -> QueuedSignup | None:
    return QueuedSignup.select().where(QueuedSignup.list == mailing_list).order_by(QueuedSignup.id).first()


def _process_queued(row: QueuedSignup, now: datetime) -> bool:
    request = quotas.request_from_row(row)
    with db.atomic():
        if not QueuedSignup.delete().where(QueuedSignup.id == row.id).execute():
            return False
        gone = request.list.closed_at is not None or request.list.join_mode == "closed"
        if gone or emails.has_membership(request, person := person_by_address(request.address)):
            return False
        quotas.count_signup(request, now)
        _join_or_confirm(request, row.address_proven and _needs_no_confirmation(request, person), now)
    return True


# ── by link ──────────────────────────────────────────────────────────────────────────────────────────────────────


def request_signup(request: SignupRequest, language: str, now: datetime) -> str:
    """Queue the confirmation link for an address typed on the page, whether the address is known or not.

    Return "" (a letter is on its way), "waits" (queued above the quota) or "too many joins" (dropped).
    """
    why = quotas.check_quota(request, now)
    if why == "too many joins":
        return why
    details = {
        "list": request.list.id,
        "child": request.child.id if request.child else 0,
        "language": language,
        "why": why,
        "route": request.route,
        "code": request.code,
        "evidence": request.evidence,
    }
    link_requests.enqueue_request("signup", request.address, now, details)
    return why if why == "waits" else ""


def send_requested_links(now: datetime) -> int:
    """Answer the queued sign-ups of the page. The scheduler calls this."""
    return link_requests.process_requests(("signup",), _send_requested, now, emails.CONFIRM_LINK_LIFETIME)


def _send_requested(row: LinkRequest, now: datetime) -> None:
    details = dict(row.details)
    mailing_list = MailingList.get_or_none(MailingList.id == details["list"], MailingList.closed_at.is_null())
    child = Child.get_or_none(Child.id == details["child"])
    if mailing_list is None or (details["child"] and child is None):
        return
    request = SignupRequest(
        mailing_list, row.typed, details["route"], details["code"], child, evidence=details["evidence"]
    )
    person = person_by_address(request.address)
    if person and emails.has_membership(request, person):
        emails.send_already_member(request.list, person, now)
    elif details["why"] == "waits":
        quotas.enqueue_signup(request, False, now)
    elif not details["why"]:
        emails.send_confirmation_link(request, details["language"], now)


def confirm_signup(request: SignupRequest, now: datetime) -> tuple[Person, str]:
    """Join after the confirmation link was pressed. Idempotent."""
    person = person_by_address(request.address)
    for state in (MembershipState.ACTIVE, MembershipState.PENDING):
        if person and emails.has_membership(request, person, state):
            return person, state
    request.evidence["confirmed"] = millis(now)
    return join_list(request, now)


def join_another_list(person: Person, list_id: int, now: datetime) -> str:
    """Join another list in which a child of the reader is registered: return active or pending, "" if none fits."""
    states = [
        join_list(SignupRequest(row, person.address or "", "link", "child", child, "letter"), now)[1]
        for row, child in load_page(person).joinable
        if row.id == list_id
    ]
    return min(states, default="")


# ── becoming a member ────────────────────────────────────────────────────────────────────────────────────────────


def join_list(request: SignupRequest, now: datetime) -> tuple[Person, str]:
    """Make the owner of an address a member and send the welcome letter; return the person, and active or pending.

    A child's code sets child, class and household. A person whom a manager stopped or refused waits for approval.
    A suppressed address becomes deliverable, because its owner wrote.
    """
    with db.atomic():
        person, named = _find_or_create_person(request, now)
        suppressed = (Person.id == person.id) & (Person.address_state != AddressState.FINE)
        Person.update(**deliverable_fields(now)).where(suppressed).execute()
        if request.proof:
            change_requests.merge_in_list(person, request.list, now)
        state = _open_memberships(request, person, now)
        if request.child and state == MembershipState.ACTIVE:
            put_into_household(Person.get_by_id(person.id), request.child)
            person = change_requests.merge_with_guardian(person, now)
        class_teacher.assign_new_members(request.list, [person.id])
        if named:
            active = (
                (Membership.person == person)
                & (Membership.list == request.list)
                & (Membership.state == MembershipState.ACTIVE)
            )
            Membership.update(joined_via=request.route, consent=_consent_record(request, now)).where(active).execute()
        audit.log_action(None, "member.joined", person.id, detail={"list": request.list.id, "route": request.route})
        current = Person.get_by_id(person.id)
        emails.send_welcome(request.list, current, state, now)
    return current, state


def _find_or_create_person(request: SignupRequest, now: datetime) -> tuple[Person, bool]:
    """Return the person with this address, and whether the roster's guardian just got it."""
    person = person_by_address(request.address)
    if person:
        return person, False
    fields = address_fields(request.address)
    decided = not _needs_approval(request, [])  # else a manager decides before the roster's guardian gets an address
    guardian = guardian_without_address(request.list, request.child) if request.child and decided else None
    apart = guardian is not None and is_in_other_lists(guardian, request.list)
    if guardian and not apart:
        free = (Person.id == guardian.id) & Person.address.is_null()
        if Person.update(**fields).where(free).execute():
            return Person.get_by_id(guardian.id), True
    person = Person.create(**fields, language=request.language or load_settings().language, created_at=now)
    if guardian and apart:
        change_requests.request_merge(guardian, person, request.list.id, None, now)
    return person, False


def guardian_without_address(mailing_list: MailingList, child: Child) -> Person | None:
    """Return the guardian of the roster without an address; None if there is none, or more than one."""
    rows = Membership.select(Membership.person).where(
        Membership.child == child, Membership.list == mailing_list, Membership.is_member
    )
    people = list(Person.select().where(Person.id.in_(rows), Person.address.is_null()).limit(2))
    return people[0] if len(people) == 1 else None


def is_in_other_lists(person: Person, mailing_list: MailingList) -> bool:
    """Say whether managers of another list decide about the person's address too; the whole school's list is none.

    A code opens the list that handed it out. The address of the person receives the letters of all lists.
    """
    others = Membership.select().join(MailingList).where(Membership.person == person, Membership.is_member)
    others = others.where(MailingList.id != mailing_list.id, ~MailingList.whole, MailingList.closed_at.is_null())
    return not mailing_list.whole and others.exists()


def _open_memberships(request: SignupRequest, person: Person, now: datetime) -> str:
    """Reopen the person's memberships in a list, and create the missing one; return the state."""
    memberships = list(Membership.select().where(Membership.list == request.list, Membership.person == person))
    reopened = [row for row in memberships if row.state != MembershipState.ACTIVE and _may_reopen(row, request)]
    state = MembershipState.PENDING if _needs_approval(request, memberships) else MembershipState.ACTIVE
    # A pending membership keeps the refusal, or leaving and signing up again would lift it.
    by = "manager" if state == MembershipState.PENDING and _is_barred(memberships) else ""
    fields: dict[str, Any] = {
        "state": state,
        "stopped_by": by,
        "stopped_at": None,
        "left_at": None,
        "joined_at": now,
        "joined_via": request.route,
        "consent": _consent_record(request, now),
    }
    numbers = [row.id for row in reopened]
    Membership.update(**fields).where(Membership.id.in_(numbers), Membership.state != MembershipState.ACTIVE).execute()
    current = [row for row in memberships if row.state == MembershipState.ACTIVE or row in reopened]
    matching = [row for row in current if request.child is None or row.child_id == request.child.id]
    if matching:
        return MembershipState.ACTIVE if any(row.state == MembershipState.ACTIVE for row in matching) else state
    childless = next((row for row in current if row.child_id is None), None)
    if childless:
        Membership.update(child=request.child).where(
            Membership.id == childless.id, Membership.child.is_null()
        ).execute()
        return MembershipState.ACTIVE if childless.state == MembershipState.ACTIVE else state
    Membership.create(person=person, list=request.list, child=request.child, **fields)
    return state


def _may_reopen(row: Membership, request: SignupRequest) -> bool:
    """Return whether an ended membership may be reopened; one that ended for another child stays ended."""
    wanted = request.child.id if request.child else None
    return row.is_member or row.stopped_by == "reader" or row.child_id == wanted


def _needs_approval(request: SignupRequest, memberships: list[Membership]) -> bool:
    if _is_barred(memberships):
        return True
    if request.list.join_mode == "approve" or (request.list.join_mode == "code" and not request.code):
        return True
    return request.child is not None and _count_guardians(request.child) >= MAX_GUARDIANS


def _is_barred(memberships: list[Membership]) -> bool:
    """Return whether a manager stopped or refused this person, and has not undone it."""
    return any(row.stopped_by == "manager" or row.state == MembershipState.REFUSED for row in memberships)


def _count_guardians(child: Child) -> int:
    rows = Membership.select(Membership.person).where(Membership.child == child, Membership.is_member)
    return rows.distinct().count()


def _consent_record(request: SignupRequest, now: datetime) -> dict[str, object]:
    proof = request.proof or ("code" if request.code else "")
    record = {**request.evidence, "proof": proof, "code": request.code}
    return consent.new_consent_record(request.list, {key: value for key, value in record.items() if value}, now)
