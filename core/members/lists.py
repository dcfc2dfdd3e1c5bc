"""Mailing lists: add, change, close, and count their members (T-26, T-34)."""

from collections.abc import Iterable
from datetime import datetime

from peewee import Case, IntegrityError, Value, fn

from core import audit
from core.accounts import roles
from core.errors import DomainError
from core.members.normalise import normalise_text
from core.permissions import notice_ids_for_lists
from database import db
from i18n import N_
from mail import address as addresses
from models import AddressState, Child, MailingList, Membership, MembershipState, Notice, Person, User

COUNT_KEYS = ("members", "active", "stopped", "bounced", "pending")
MAX_NAME_LENGTH = 60


def add_list(
    by: User | None,
    name: str,
    address: str,
    *,
    manager: User | None = None,
    whole: bool = False,
    purpose: str = "",
    now: datetime,
) -> MailingList:
    """Add a list with its own address (a local part). Raises DomainError.

    manager: gets the role in this list (T-38); without one, the administrators manage it.
    """
    local = validate_local_part(address)
    with db.atomic():
        clean_name = _validate_name(name)
        _require_single_whole(whole)
        try:
            mailing_list = MailingList.create(
                name=clean_name, address=local, whole=whole, purpose=purpose.strip(), created_at=now
            )
        except IntegrityError as taken:
            raise _address_taken_error() from taken
        audit.log_action(by, "list.added", mailing_list.id)
        if manager:
            roles.grant_role(manager, "manager", mailing_list.id, by=by)
    return mailing_list


def validate_local_part(typed: str, but: int = 0) -> str:
    """Return a usable local part: valid, not reserved, not another list's (except list number `but`). Raises DomainError."""
    local = typed.strip().lower()
    if not addresses.is_valid_list_local_part(local):
        raise DomainError(
            N_("Use 1 to 40 small letters, digits, dots, hyphens or underscores, with a letter or digit at both ends."),
            "address",
        )
    if addresses.is_reserved_local_part(local):
        raise DomainError(_reserved_message(local), "address", name=local)
    if MailingList.select().where(MailingList.address == local, MailingList.id != but).exists():
        raise _address_taken_error()
    return local


def _reserved_message(local: str) -> str:
    if local.startswith(("b-", "r-")):
        return N_("“%(name)s” cannot be used: addresses beginning with b- or r- take bounces and replies.")
    if local.endswith(("-leave", "-request")) or "-join" in local:
        return N_("“%(name)s” cannot be used: addresses of this form are made by Kairan for signup and leaving.")
    return N_("“%(name)s” cannot be used: this address belongs to the administrators of the domain.")


def _address_taken_error() -> DomainError:
    return DomainError(N_("Another list already has this address."), "address")


def _validate_name(typed: str, but: int = 0) -> str:
    name = normalise_text(typed)
    if not name or len(name) > MAX_NAME_LENGTH:
        raise DomainError(N_("Please enter a name of at most %(number)s characters."), "name", number=MAX_NAME_LENGTH)
    if MailingList.open_lists().where(MailingList.name == name, MailingList.id != but).exists():
        raise DomainError(N_("Another list already has this name."), "name")
    return name


def _require_single_whole(whole: bool, but: int = 0) -> None:
    other = MailingList.open_lists().where(MailingList.whole == True, MailingList.id != but).first()
    if whole and other:
        raise DomainError(N_("“%(name)s” is already marked as the whole organization."), "whole", name=other.name)


def change_list(
    mailing_list: MailingList,
    by: User | None,
    *,
    name: str,
    address: str,
    purpose: str,
    whole: bool,
    answer_on_open: bool | None = None,
) -> None:
    """Change name, address, purpose and the whole-school mark. Raises DomainError.

    answer_on_open: whether opening a choice answers (T-50); None: unchanged.
    """
    local = validate_local_part(address, mailing_list.id)
    with db.atomic():
        clean_name = _validate_name(name, mailing_list.id)
        _require_single_whole(whole, mailing_list.id)
        opening = {} if answer_on_open is None else {"answer_on_open": answer_on_open}
        MailingList.update(name=clean_name, address=local, purpose=purpose.strip(), whole=whole, **opening).where(
            MailingList.id == mailing_list.id
        ).execute()
        audit.log_action(by, "list.changed", mailing_list.id)


def close_list(mailing_list: MailingList, by: User | None, now: datetime) -> None:
    """Close a list and keep its history. Raises DomainError while a notice to it is scheduled or being sent."""
    with db.atomic():
        if _has_active_notice(mailing_list):
            raise DomainError(N_("A notice to this list is booked or being sent. Cancel it or wait until it is sent."))
        closed = (
            MailingList.update(closed_at=now)
            .where(MailingList.id == mailing_list.id, MailingList.closed_at.is_null())
            .execute()
        )
        if closed:
            audit.log_action(by, "list.closed", mailing_list.id)


def _has_active_notice(mailing_list: MailingList) -> bool:
    active_states = ("held", "scheduled", "sending", "paused")
    return (
        Notice.select()
        .where(Notice.id.in_(notice_ids_for_lists([mailing_list.id])), Notice.state.in_(active_states))
        .exists()
    )


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def count_members(mailing_list: MailingList) -> dict[str, int]:
    """Return {members, active, stopped, bounced, pending} of a list, in PEOPLE, each counted once per list.

    A parent with two children in the list is one member. `members` is the sum of the other four. Each person is counted
    once, in the first that fits: `bounced` (active, address dead), `stopped` (active, complained), `active` (gets
    notices by mail or telephone), `stopped`, `pending` (waits for approval or confirmation).
    """
    return count_members_by_list([mailing_list.id])[mailing_list.id]


def count_members_by_list(numbers: Iterable[int]) -> dict[int, dict[str, int]]:
    """Return the counts of several lists by id, zeros included; one query."""
    wanted = list(numbers)
    counts = {number: dict.fromkeys(COUNT_KEYS, 0) for number in wanted}
    per_person = (
        Membership.select(Membership.list.alias("list_id"), member_state_sql().alias("member_state"))
        .join(Person)
        .where(Membership.list.in_(wanted), Membership.is_member)
        .group_by(Membership.list_id, Membership.person_id, Person.address_state)
    )
    rows = (
        Membership.select(per_person.c.list_id, per_person.c.member_state, fn.COUNT(Value(1)))
        .from_(per_person)
        .group_by(per_person.c.list_id, per_person.c.member_state)
        .tuples()
    )
    for number, state, people in rows:
        counts[number][state] = people
        counts[number]["members"] += people
    return counts


def member_state_sql() -> Case:
    """Return the SQL for one person's state in one list, over the group of this person's memberships there."""
    active = fn.MAX(Case(None, [(Membership.state == MembershipState.ACTIVE, 1)], 0)) == 1
    stopped = fn.MAX(Case(None, [(Membership.state == MembershipState.STOPPED, 1)], 0)) == 1
    return Case(
        None,
        [
            (active & (Person.address_state == AddressState.BOUNCED), "bounced"),
            (active & (Person.address_state == AddressState.COMPLAINED), "stopped"),
            (active, "active"),
            (stopped, "stopped"),
        ],
        "pending",
    )


def item_names(list_ids: Iterable[int]) -> list[str]:
    """Return the names of the custom items of the members of some lists, and of their children."""
    numbers = list(list_ids)
    own = Membership.select(Membership.attributes).where(Membership.list.in_(numbers)).distinct()
    of_children = Child.select(Child.attributes).join(Membership).where(Membership.list.in_(numbers)).distinct()
    return list({name: None for query in (of_children, own) for (items,) in query.tuples() for name in items or ()})
