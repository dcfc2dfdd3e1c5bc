"""Joining a list by a blank mail (T-26, T-27, T-36; design decision 5, defences 2).

A proven mail joins at once; one that proves nothing gets a single letter of fixed words with a link, if it is blank
and its envelope names the same address; all else gets silence and is shown to the managers. Subject and text are
never used. Too many at once: proven joins wait in their order, the others are dropped.
"""

from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from core import history, limits, service
from core.filing import Later, Result
from core.organization import Settings, settings
from core.roster_people import address_fields
from mail import address as addresses
from mail.proof import Proof
from models import Letter, MailingList, Membership, Person, db

GOOD_FOR = timedelta(days=3)
PER_ADDRESS = ((600, 1), (86400, 3))
PER_LIST_HOUR, ALL_DAY = 60, 200
BLANK = 100
"""Signs that a "blank" mail may hold: phones add a signature of their own."""


def knows(mailing_list: MailingList, code: str) -> bool:
    """Say whether a joining address with this code is one of the list's."""
    return not code


def take(mailing_list: MailingList, address: str, envelope: str, signs: int, proof: Proof, now: datetime) -> Result:
    """Do what a mail to a joining address asks for. Call inside the transaction that records the mail.

    envelope: the envelope sender. signs: how many the mail holds in subject and text. Raises Later.
    """
    try:
        clean = addresses.clean(address)
    except addresses.BadAddress:
        return Result("join", "dropped", "address", mailing_list)
    if addresses.domain(clean) == settings().mail_domain:
        return Result("join", "dropped", "our own address", mailing_list)
    person = Person.get_or_none(Person.address_key == addresses.key(clean))
    if person and person.reachable and _has(mailing_list, person, "active"):
        return _already(mailing_list, person, now)
    if not proof and (addresses.key(envelope or "@") != addresses.key(clean) or signs > BLANK):
        return Result("join", "silent", "unproven", mailing_list, show=True)
    if why := _too_many(mailing_list, clean, bool(proof), now):
        return Result("join", "silent", why, mailing_list)
    if not proof or mailing_list.join_mode == "confirm":
        _ask(mailing_list, clean, now)
        return Result("join", "held", "asked to confirm", mailing_list, person)
    return _joined(mailing_list, clean, now, proof.how)


def _has(mailing_list: MailingList, person: Person, state: str) -> bool:
    held = (Membership.list == mailing_list) & (Membership.person == person) & (Membership.state == state)
    return Membership.select().where(held).exists()


def _too_many(mailing_list: MailingList, address: str, proven: bool, now: datetime) -> str:
    """Count this join; say which limit it exceeds, or nothing. Raises Later for a proven one over the list's limits."""
    shared = ((f"joins:{mailing_list.id}", 3600, PER_LIST_HOUR), ("joins", 86400, ALL_DAY))
    if any(limits.count(name, now) >= most for name, _, most in shared):
        if proven:
            raise Later
        return "too many joins"
    key = addresses.key(address)
    for window, most in PER_ADDRESS:
        if limits.hit(f"join:{window}:{mailing_list.id}:{key}", now, window) > most:
            return "too often"
    for name, window, _ in shared:
        limits.hit(name, now, window)
    return ""


# ── becoming a member ────────────────────────────────────────────────────────────────────────────────────────────


def _joined(mailing_list: MailingList, clean: str, now: datetime, how: str) -> Result:
    person, state = join(mailing_list, clean, now)
    _welcome(mailing_list, person, state, now)
    return Result("join", "done", how if state == "active" else "pending", mailing_list, person)


def join(mailing_list: MailingList, clean: str, now: datetime) -> tuple[Person, str]:
    """Make the owner of a proven address a member: active, or pending if the list approves; return who and which.

    Whom a manager stopped waits for a manager. An address that bounced or complained is fine again: its owner wrote.
    """
    fields = address_fields(clean)
    with db.atomic():
        person, _ = Person.get_or_create(
            address_key=fields["address_key"], defaults={**fields, "language": settings().language, "created_at": now}
        )
        _alive(person, now)
        state = _place(mailing_list, person, now)
        history.log(None, "member.joined", person.id, detail={"list": mailing_list.id})
    return Person.get_by_id(person.id), state


def _alive(person: Person, now: datetime) -> None:
    Person.update(address_state="fine", address_reason="", address_state_at=now, address_state_by=None).where(
        Person.id == person.id, Person.address_state != "fine"
    ).execute()


def _place(mailing_list: MailingList, person: Person, now: datetime) -> str:
    """Open the person's places in a list again, or make one; return the state."""
    held = list(Membership.select().where(Membership.list == mailing_list, Membership.person == person))
    if any(row.state == "active" for row in held):
        return "active"
    barred = any(row.state == "stopped" and row.stopped_by == "manager" for row in held)
    state = "pending" if barred or mailing_list.join_mode == "approve" else "active"
    fields: dict[str, Any] = {
        "state": state, "stopped_by": "", "stopped_at": None, "left_at": None, "joined_at": now,
        "joined_route": "blank mail",
    }  # fmt: skip
    if held:
        Membership.update(**fields).where(Membership.id.in_([row.id for row in held])).execute()
    else:
        Membership.create(person=person, list=mailing_list, **fields)
    return state


# ── letters and their links ──────────────────────────────────────────────────────────────────────────────────────


def _values(mailing_list: MailingList, person: Person | None, force: Settings) -> dict[str, object]:
    leave = f"{force.base_url}/mail/leave/{place_mark(person, mailing_list, force)}" if person else ""
    return {
        "list": mailing_list.name,
        "from": f"{mailing_list.address}@{force.mail_domain}",
        "to_name": person.name if person else "",
        "leave": leave,
    }


def _welcome(mailing_list: MailingList, person: Person, state: str, now: datetime) -> None:
    force = settings()
    url = f"{force.base_url}/mail/name/{place_mark(person, mailing_list, force)}"
    kind = "welcome" if state == "active" else "approval"
    _send(kind, person.address or "", person, {**_values(mailing_list, person, force), "url": url}, now)


def _already(mailing_list: MailingList, person: Person, now: datetime) -> Result:
    if limits.hit(f"already:{mailing_list.id}:{person.id}", now, 86400) == 1:
        _send("already", person.address or "", person, _values(mailing_list, person, settings()), now)
    return Result("join", "done", "already", mailing_list, person)


def _ask(mailing_list: MailingList, clean: str, now: datetime) -> None:
    """Send the letter with the link; the link names the letter, so that no address stands in it."""
    force = settings()
    letter = _send("join", clean, None, _values(mailing_list, None, force), now)
    mark = _signer(force, "join").dumps([letter.id, mailing_list.id])
    Letter.update(payload={**letter.payload, "url": f"{force.base_url}/mail/join/{mark}"}).where(
        Letter.id == letter.id
    ).execute()


def _send(kind: str, address: str, person: Person | None, values: dict[str, object], now: datetime) -> Letter:
    language = person.language if person else settings().language
    return service.send(
        kind, address=address, language=language, values=values, now=now, person=person, urgent=False, useful_s=86400
    )


def _signer(force: Settings, purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(force.secret, salt=f"kairan by mail: {purpose}")


def asked(text: str, now: datetime) -> tuple[MailingList, str] | None:
    """Return list and address of a confirmation link; None if it is wrong or older than three days."""
    try:
        number, list_id = _signer(settings(), "join").loads(text)
    except (BadSignature, ValueError, TypeError):
        return None
    letter = Letter.get_or_none(Letter.id == number, Letter.kind == "join", Letter.made_at > now - GOOD_FOR)
    found = MailingList.get_or_none(MailingList.id == list_id, MailingList.closed_at.is_null())
    return (found, letter.address) if found and letter else None


def confirm(mailing_list: MailingList, address: str, now: datetime) -> tuple[Person, str]:
    """Join after the link was pressed: the address has shown that it can be read. Pressing twice changes nothing."""
    person = Person.get_or_none(Person.address_key == addresses.key(address))
    if person and person.reachable and _has(mailing_list, person, "active"):
        return person, "active"
    return join(mailing_list, address, now)


def place_mark(person: Person, mailing_list: MailingList, force: Settings) -> str:
    """Return the signed mark by which a member names, leaves or resumes this one list."""
    return _signer(force, "place").dumps([person.id, mailing_list.id])


def own_mark(person: Person, mailing_list: MailingList) -> str:
    """Return the same mark under the settings in force."""
    return place_mark(person, mailing_list, settings())


def place_of(text: str) -> tuple[Person, MailingList] | None:
    """Return member and list of a mark; None if it is wrong, or the member is gone."""
    try:
        person, number = _signer(settings(), "place").loads(text)
    except (BadSignature, ValueError, TypeError):
        return None
    found, mailing_list = Person.get_or_none(Person.id == person), MailingList.get_or_none(MailingList.id == number)
    return (found, mailing_list) if found and mailing_list else None
