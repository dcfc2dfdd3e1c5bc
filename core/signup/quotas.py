"""Quotas of sign-ups, and the queue above them (decision 5, defences 2).

Each sign-up sends a letter, so each counts: for an address, a list and the installation. A request with a proof or a
valid code is queued above the quota; any other is dropped. On a registration day (24 h, opened by a manager) only
sign-ups by a public code alone are limited.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from peewee import fn

from core import audit, rate_limits
from database import db, optional_write
from mail import address as addresses
from models import Child, MailingList, QueuedSignup, User

PER_ADDRESS = ((600, 1), (86400, 3))
"""(seconds, sign-ups) of one address for one list and child."""
PER_ADDRESS_ALL_LISTS_DAY = 12
PER_LIST_PER_HOUR, ALL_LISTS_PER_DAY = 60, 200
UNPROVEN_PER_REGISTRATION_DAY = 2000
"""Sign-ups of a list on its registration day that prove only knowledge of a code; more are queued."""
REGISTRATION_DAY = timedelta(hours=24)
HOUR_S, DAY_S = 3600, 86400
PER_NETWORK, PER_NETWORK_WITH_CODE = 30, 300
MAX_WRONG_CODES = 300
"""Wrong codes of a network in the window. Above it no code is checked, so a guess cannot succeed."""
NETWORK_WINDOW_S = 600


@dataclass(frozen=True, slots=True)
class SignupRequest:
    """A request to join a list. `address` is clean; `proof` says what proves it, `code` which kind of code was used."""

    list: MailingList
    address: str
    route: str = "blank mail"
    code: str = ""  # list, child
    child: Child | None = None
    proof: str = ""
    evidence: dict[str, object] = field(default_factory=dict)
    language: str = ""  # of the page; "": the default language

    @property
    def key(self) -> str:
        return addresses.comparison_key(self.address)

    @property
    def has_proof_or_code(self) -> bool:
        """Return whether the request is queued above the quota instead of being dropped."""
        return bool(self.proof or self.code)


def check_quota(request: SignupRequest, now: datetime) -> str:
    """Count a sign-up; return "" to go on, else "too often", "waits" or "too many joins"."""
    if is_quota_exhausted(request, now) or (
        request.has_proof_or_code and not is_registration_day(request.list, now) and count_queued(request.list)
    ):
        return "waits" if request.has_proof_or_code else "too many joins"
    of_child = f":{request.child.id}" if request.child else ""
    for window, most in PER_ADDRESS:
        if (
            rate_limits.record_hit(f"join of address:{window}:{request.list.id}{of_child}:{request.key}", now, window)
            > most
        ):
            return "too often"
    if rate_limits.record_hit(f"joins of address:{request.key}", now, DAY_S) > PER_ADDRESS_ALL_LISTS_DAY:
        return "too often"
    count_signup(request, now)
    return ""


def is_quota_exhausted(request: SignupRequest, now: datetime) -> bool:
    """Return whether a quota in force is used up."""
    return any(rate_limits.hit_count(name, now) >= most for name, _, most in _counters_for(request, now))


def count_signup(request: SignupRequest, now: datetime) -> None:
    """Count a sign-up that was let in."""
    for name, window, _ in _counters_for(request, now):
        rate_limits.record_hit(name, now, window)


def _counters_for(request: SignupRequest, now: datetime) -> Iterator[tuple[str, float, int]]:
    if request.has_proof_or_code and is_registration_day(request.list, now):
        if not request.proof:
            yield f"joins on the day:{request.list.id}", DAY_S, UNPROVEN_PER_REGISTRATION_DAY
        return
    kind = "proven" if request.has_proof_or_code else "weak"  # counted apart: forged mail must not delay families
    yield f"joins of list:{kind}:{request.list.id}", HOUR_S, PER_LIST_PER_HOUR
    yield f"joins of all lists:{kind}", DAY_S, ALL_LISTS_PER_DAY


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────


def enqueue_signup(request: SignupRequest, sure: bool, now: datetime) -> bool:
    """Queue a sign-up, the same one only once. Return whether it is new."""
    before = count_queued(request.list)
    QueuedSignup.insert(
        list=request.list,
        child=request.child,
        address=request.address,
        address_key=request.key,
        address_proven=sure,
        route=request.route,
        consent={**request.evidence, "code": request.code, "proof": request.proof},
        at=now,
    ).on_conflict_ignore().execute()
    return count_queued(request.list) > before


def count_queued(mailing_list: MailingList) -> int:
    return QueuedSignup.select().where(QueuedSignup.list == mailing_list).count()


def newest_queued_id(mailing_list: MailingList) -> int:
    """Return the id of the newest queued sign-up, or 0."""
    return QueuedSignup.select(fn.MAX(QueuedSignup.id)).where(QueuedSignup.list == mailing_list).scalar() or 0


def request_from_row(row: QueuedSignup) -> SignupRequest:
    evidence = dict(row.consent)
    code, proof = str(evidence.pop("code", "")), str(evidence.pop("proof", ""))
    return SignupRequest(row.list, row.address, row.route, code, row.child, proof, evidence)


def discard_queued(mailing_list: MailingList, by: User | None, until: int) -> int:
    """Drop queued sign-ups up to the id that the page showed, by a manager's decision; return how many."""
    with db.atomic():
        gone = QueuedSignup.delete().where(QueuedSignup.list == mailing_list, QueuedSignup.id <= until).execute()
        if gone:
            audit.log_action(by, "list.applicants_dropped", mailing_list.id, detail={"people": gone})
    return gone


# ── registration day ─────────────────────────────────────────────────────────────────────────────────────────────


def is_registration_day(mailing_list: MailingList, now: datetime) -> bool:
    return mailing_list.signup_caps_off_until is not None and mailing_list.signup_caps_off_until > now


def open_registration_day(mailing_list: MailingList, by: User | None, now: datetime) -> None:
    """Open a registration day: 24 hours from now without quotas."""
    with db.atomic():
        MailingList.update(signup_caps_off_until=now + REGISTRATION_DAY).where(
            MailingList.id == mailing_list.id
        ).execute()
        audit.log_action(by, "list.day_opened", mailing_list.id)


def close_registration_day(mailing_list: MailingList, by: User | None) -> None:
    with db.atomic():
        open_ = (MailingList.id == mailing_list.id) & MailingList.signup_caps_off_until.is_null(False)
        if MailingList.update(signup_caps_off_until=None).where(open_).execute():
            audit.log_action(by, "list.day_closed", mailing_list.id)


# ── the public page ──────────────────────────────────────────────────────────────────────────────────────────────


def exceeds_network_quota(address: str | None, coded: bool, now: datetime) -> bool:
    """Count a sign-up of a network; return whether it is above its quota."""
    most = PER_NETWORK_WITH_CODE if coded else PER_NETWORK
    return (
        rate_limits.record_hit(f"join page:{coded}:{rate_limits.client_network(address)}", now, NETWORK_WINDOW_S) > most
    )


def count_wrong_code(address: str | None, now: datetime) -> None:
    with optional_write():
        rate_limits.record_hit(f"join code:{rate_limits.client_network(address)}", now, NETWORK_WINDOW_S)


def has_too_many_wrong_codes(address: str | None, now: datetime) -> bool:
    return rate_limits.hit_count(f"join code:{rate_limits.client_network(address)}", now) >= MAX_WRONG_CODES
