"""Joining a list by a blank mail or by a link (T-26, T-27, T-36; design decision 5, defences 2).

A proven mail, or one that carries a valid code and whose address Kairan does not know yet, joins at once. Everything
else that looks like a person gets a single letter of fixed words with a link; what does not gets silence and is shown
to the managers. Subject and text are never used. Above the caps the strong wait in their order
(`core.signup.quotas`).
"""

from datetime import datetime
from typing import Any

from core import audit
from core.accounts import class_teacher
from core.inbound.result import InboundResult
from core.members import consent, households, join_codes
from core.members.normalise import address_fields
from core.settings import load_settings
from core.signup import emails, quotas
from core.signup.quotas import SignupRequest
from database import db, millis
from mail import address as addresses
from mail.auth_results import AuthResult
from models import Child, MailingList, Membership, Person, QueuedSignup, User

MAX_BLANK_MAIL_CHARS = 100
"""Signs that a "blank" mail may hold: phones add a signature of their own."""
MAX_GUARDIANS = 6
"""People that one child's code lets in by itself; more wait for a manager."""


def accepts_code(mailing_list: MailingList, code: str) -> bool:
    """Say whether a joining address with this code is one of the list's."""
    if mailing_list.join_mode == "closed":
        return False
    return not code or join_codes.resolve_code(mailing_list, code) is not None


def set_signup_options(mailing_list: MailingList, by: User | None, *, mode: str, greeting: str, purpose: str) -> None:
    """Set who joins by himself, the greeting, and what the addresses are used for (N-16)."""
    fields = {"join_mode": mode, "greeting": greeting.strip(), "purpose": purpose.strip()}
    with db.atomic():
        MailingList.update(**fields).where(MailingList.id == mailing_list.id).execute()
        audit.log_action(by, "list.joining_changed", mailing_list.id)


# ── by mail ──────────────────────────────────────────────────────────────────────────────────────────────────────


def handle_join_mail(
    mailing_list: MailingList,
    address: str,
    envelope: str,
    signs: int,
    proof: AuthResult,
    now: datetime,
    *,
    code: str = "",
    message_id: str = "",
) -> InboundResult:
    """Do what a mail to a joining address asks for. Call inside the transaction that records the mail.

    envelope: the envelope sender. signs: how many the mail holds in subject and text. code: of the address.
    """
    try:
        clean = addresses.parse_address(address)
    except addresses.BadAddress:
        return InboundResult("join", "dropped", "address", mailing_list)
    if load_settings().own.has(clean):
        return InboundResult("join", "dropped", "our own address", mailing_list)
    if proof.forged:
        return InboundResult("join", "silent", "forged", mailing_list, show=True)
    wish = _request_from_mail(mailing_list, clean, code, proof, message_id)
    person = _person_by_address(clean)
    if person and emails.has_membership(wish, person):
        emails.send_already_member(mailing_list, person, now)
        return InboundResult("join", "done", "already", mailing_list, person)
    if not wish.strong and (addresses.comparison_key(envelope or "@") != wish.key or signs > MAX_BLANK_MAIL_CHARS):
        return InboundResult("join", "silent", "unproven", mailing_list, show=True)
    return _join_within_quota(wish, person, now)


def _request_from_mail(
    mailing_list: MailingList, clean: str, code: str, proof: AuthResult, message_id: str
) -> SignupRequest:
    key = join_codes.resolve_code(mailing_list, code) if code else None
    evidence: dict[str, object] = {"message": message_id[:300]} if message_id else {}
    return SignupRequest(
        mailing_list, clean, "blank mail", key.kind if key else "", key and key.child, proof.how, evidence
    )


def _person_by_address(address: str) -> Person | None:
    return Person.get_or_none(Person.address_key == addresses.comparison_key(address))


def _join_within_quota(wish: SignupRequest, person: Person | None, now: datetime) -> InboundResult:
    sure = _needs_no_confirmation(wish, person)
    why = quotas.check_quota(wish, now)
    if why == "waits":
        if quotas.enqueue_signup(wish, sure, now) and wish.proof:
            emails.send_queued(wish, load_settings().language, now)
        return InboundResult("join", "held", "waits", wish.list, person)
    if why:
        return InboundResult("join", "silent", why, wish.list)
    return _join_or_confirm(wish, sure, now)


def _needs_no_confirmation(wish: SignupRequest, person: Person | None) -> bool:
    """Say whether a wish joins without a question: proven, or a code and an address that means nobody here yet.

    From can be forged, so that a code alone must not change anything for somebody whom Kairan knows.
    """
    if wish.proof:
        return True
    known = person is not None and Membership.select().where(Membership.person == person).exists()
    return bool(wish.code) and not known


def _join_or_confirm(wish: SignupRequest, sure: bool, now: datetime) -> InboundResult:
    if not sure or wish.list.join_mode == "confirm":
        emails.send_confirmation_link(wish, load_settings().language, now)
        return InboundResult("join", "held", "asked to confirm", wish.list)
    person, state = join_list(wish, now)
    return InboundResult("join", "done", (wish.proof or "code") if state == "active" else "pending", wish.list, person)


def process_queued_signups(now: datetime) -> int:
    """Let those in who wait above the caps, the oldest first, as far as there is room now; return how many."""
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
    wish = quotas.request_from_row(row)
    with db.atomic():
        if not QueuedSignup.delete().where(QueuedSignup.id == row.id).execute():
            return False
        gone = wish.list.closed_at is not None or wish.list.join_mode == "closed"
        if gone or emails.has_membership(wish, person := _person_by_address(wish.address)):
            return False
        quotas.count_signup(wish, now)
        _join_or_confirm(wish, row.address_proven and _needs_no_confirmation(wish, person), now)
    return True


# ── by link ──────────────────────────────────────────────────────────────────────────────────────────────────────


def request_signup(wish: SignupRequest, language: str, now: datetime) -> str:
    """Take an address that was typed on the page: it gets a letter, and nobody learns whether it is known.

    Return "" (a letter is on its way), "waits" (it comes when there is room) or "too many joins"; none of them depends
    on the address. Raises BadAddress.
    """
    why = quotas.check_quota(wish, now)
    if why == "too many joins":
        return why
    person = _person_by_address(wish.address)
    if person and emails.has_membership(wish, person):
        emails.send_already_member(wish.list, person, now)
    elif why == "waits":
        quotas.enqueue_signup(wish, False, now)
    elif not why:
        emails.send_confirmation_link(wish, language, now)
    return why if why == "waits" else ""


def confirm_signup(wish: SignupRequest, now: datetime) -> tuple[Person, str]:
    """Join after the link was pressed: the address has shown that it can be read. Pressing twice changes nothing."""
    person = _person_by_address(wish.address)
    for state in ("active", "pending"):
        if person and emails.has_membership(wish, person, state):
            return person, state
    wish.evidence["confirmed"] = millis(now)
    return join_list(wish, now)


# ── becoming a member ────────────────────────────────────────────────────────────────────────────────────────────


def join_list(wish: SignupRequest, now: datetime) -> tuple[Person, str]:
    """Make the owner of an address a member and greet; return who, and active or pending.

    A child's code settles child, class and household. Whom a manager stopped or refused waits for a manager. An
    address that bounced or complained is fine again: its owner wrote.
    """
    with db.atomic():
        person, named = _find_or_create_person(wish, now)
        _clear_suppression(person, now)
        if wish.child:
            _merge_household(person, wish.child)
        state = _open_memberships(wish, person, now)
        class_teacher.assign_new_members(wish.list, [person.id])
        if named:
            mine = (Membership.person == person) & (Membership.list == wish.list) & (Membership.state == "active")
            Membership.update(joined_via=wish.route, consent=_consent_record(wish, now)).where(mine).execute()
        audit.log_action(None, "member.joined", person.id, detail={"list": wish.list.id, "route": wish.route})
        fresh = Person.get_by_id(person.id)
        emails.send_welcome(wish.list, fresh, state, now)
    return fresh, state


def _find_or_create_person(wish: SignupRequest, now: datetime) -> tuple[Person, bool]:
    """Return whose address this is, and whether the roster's guardian has just got it."""
    found = _person_by_address(wish.address)
    if found:
        return found, False
    fields = address_fields(wish.address)
    if wish.child and (guardian := _guardian_without_address(wish.list, wish.child)):
        free = (Person.id == guardian.id) & Person.address.is_null()
        if Person.update(**fields).where(free).execute():
            return Person.get_by_id(guardian.id), True
    return Person.create(**fields, language=wish.language or load_settings().language, created_at=now), False


def _guardian_without_address(mailing_list: MailingList, child: Child) -> Person | None:
    """Return the one guardian whom the roster names and who had no address; None if there is none, or a choice."""
    rows = Membership.select(Membership.person).where(
        Membership.child == child, Membership.list == mailing_list, Membership.is_member
    )
    found = list(Person.select().where(Person.id.in_(rows), Person.address.is_null()).limit(2))
    return found[0] if len(found) == 1 else None


def _clear_suppression(person: Person, now: datetime) -> None:
    Person.update(address_state="fine", address_reason="", address_state_at=now, address_state_notice_id=None).where(
        Person.id == person.id, Person.address_state != "fine"
    ).execute()


def _merge_household(person: Person, child: Child) -> None:
    """Put guardian and child into one household, as a roster does."""
    key = child.household or person.household or households.new_household_key()
    if person.household and person.household != key:
        households.merge_households({person.household: key})
    Person.update(household=key).where(Person.id == person.id, Person.household != key).execute()
    Child.update(household=key).where(Child.id == child.id, Child.household != key).execute()


def _open_memberships(wish: SignupRequest, person: Person, now: datetime) -> str:
    """Open the person's places in a list again, and make the one that is missing; return the state."""
    held = list(Membership.select().where(Membership.list == wish.list, Membership.person == person))
    again = [row for row in held if row.state != "active" and _may_reopen(row, wish)]
    state = "pending" if _needs_approval(wish, held) else "active"
    # Who asks again after a refusal stays marked while waiting: else going and coming once more would lift it.
    by = "manager" if state == "pending" and _is_barred(held) else ""
    fields: dict[str, Any] = {
        "state": state,
        "stopped_by": by,
        "stopped_at": None,
        "left_at": None,
        "joined_at": now,
        "joined_via": wish.route,
        "consent": _consent_record(wish, now),
    }
    numbers = [row.id for row in again]
    Membership.update(**fields).where(Membership.id.in_(numbers), Membership.state != "active").execute()
    here = [row for row in held if row.state == "active" or row in again]
    mine = [row for row in here if wish.child is None or row.child_id == wish.child.id]
    if mine:
        return "active" if any(row.state == "active" for row in mine) else state
    childless = next((row for row in here if row.child_id is None), None)
    if childless:
        Membership.update(child=wish.child).where(Membership.id == childless.id, Membership.child.is_null()).execute()
        return "active" if childless.state == "active" else state
    Membership.create(person=person, list=wish.list, child=wish.child, **fields)
    return state


def _may_reopen(row: Membership, wish: SignupRequest) -> bool:
    """Say whether a shut place is meant: one that was left because of another child (a school ago) stays shut."""
    wanted = wish.child.id if wish.child else None
    return row.is_member or row.stopped_by == "reader" or row.child_id == wanted


def _needs_approval(wish: SignupRequest, held: list[Membership]) -> bool:
    if _is_barred(held):
        return True
    if wish.list.join_mode == "approve" or (wish.list.join_mode == "code" and not wish.code):
        return True
    return wish.child is not None and _count_guardians(wish.child) >= MAX_GUARDIANS


def _is_barred(held: list[Membership]) -> bool:
    """Say whether a manager has stopped or refused somebody here, and has not thought again since."""
    return any(row.stopped_by == "manager" or row.state == "refused" for row in held)


def _count_guardians(child: Child) -> int:
    rows = Membership.select(Membership.person).where(Membership.child == child, Membership.is_member)
    return rows.distinct().count()


def _consent_record(wish: SignupRequest, now: datetime) -> dict[str, object]:
    proof = wish.proof or ("code" if wish.code else "")
    said = {**wish.evidence, "proof": proof, "code": wish.code}
    return consent.new_consent_record(wish.list, {key: value for key, value in said.items() if value}, now)
