"""Edit people and children, or ask for it: only who manages all lists of a person changes the person (decision 87).

Each verb returns True if it was done, and False if it became a change request. Users with rights over all lists of the
person see the request, and accept or refuse it. A manager of some of the lists learns nothing by asking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import i18n
from core import audit, rate_limits
from core.errors import DomainError
from core.members import households, members, merge
from core.members.normalise import (
    normalise_class,
    normalise_grade,
    normalise_kana,
    normalise_phone,
    normalise_text,
    parse_member_address,
)
from core.notifications.notify import notify
from core.permissions import Permissions, memberships_of, permissions_of
from core.settings import load_settings
from database import db
from i18n import N_
from mail import address as addresses
from models import ChangeRequest, Child, MailingList, Membership, MembershipState, Person, User

MAX_SHOWN = 100
MAX_REFUSALS_MAILED_PER_DAY = 20
FIELD_LABELS = {
    "name": N_("Name"),
    "kana": N_("Reading of the name"),
    "phone": N_("Telephone"),
    "language": N_("Language of the letters"),
    "address": N_("E-mail address"),
    "household": N_("Household"),
    "grade": N_("Grade"),
    "class_name": N_("Class"),
    "attributes": N_("Items"),
}


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────


def request_change(
    person_id: int, child_id: int | None, changes: Mapping[str, Any], list_id: int, by: User | None, now: datetime
) -> None:
    """Request other values of a person, or of the child. A later request of the list replaces the earlier values."""
    of_row = (ChangeRequest.person == person_id) & ChangeRequest.duplicate.is_null() & (ChangeRequest.list == list_id)
    of_row &= ChangeRequest.child.is_null() if child_id is None else ChangeRequest.child == child_id
    with db.atomic():
        earlier = ChangeRequest.get_or_none(of_row)
        if earlier is None:
            ChangeRequest.create(person=person_id, child=child_id, list=list_id, by=by, changes=dict(changes), at=now)
        else:
            merged = {**earlier.changes, **changes}
            ChangeRequest.update(changes=merged, by=by, at=now).where(ChangeRequest.id == earlier.id).execute()
        audit.log_action(by, "member.change_requested", person_id, detail={"list": list_id})


def request_merge(person: Person, duplicate: Person, list_id: int, by: User | None, now: datetime) -> None:
    """Ask whether two rows are one person. The holder of the address, or a manager of the person's lists, decides."""
    ChangeRequest.insert(person=person, duplicate=duplicate, list=list_id, by=by, at=now).on_conflict_ignore().execute()


# ── editing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def edit_person(
    rights: Permissions, person: Person, by: User, now: datetime, *, name: str, kana: str, phone: str, language: str
) -> bool:
    """Change the fields of a person, or ask for it. Raises DomainError."""
    if rights.may_edit_person(person):
        members.edit_person(person, by, name=name, kana=kana, phone=phone, language=language)
        return True
    typed = {
        "name": normalise_text(name),
        "kana": normalise_kana(kana),
        "phone": normalise_phone(phone),
        "language": language,
    }
    return _request_differences(rights, person, None, person, typed, by, now)


def change_address(rights: Permissions, person: Person, typed: str, by: User, now: datetime) -> bool:
    """Correct an address, or ask for it. Raises DomainError; AddressTaken names only people whom the user may see.

    If a person unknown to the user has the address, this row gets it without the key, as if nobody had it.
    """
    clean = parse_member_address(typed)
    if not rights.may_edit_person(person):
        return _request_differences(rights, person, None, person, {"address": clean}, by, now)
    with db.atomic():
        try:
            members.change_address(person, clean, by, now)
            _forget_merge(person)
        except members.AddressTaken as taken:
            if rights.is_admin or _is_visible(rights, taken.person):
                raise
            members.change_address(person, clean, by, now, holds_key=False)
            _forget_merge(person)
            request_merge(taken.person, person, _list_of(rights, person), by, now)
    return True


def _forget_merge(duplicate: Person) -> None:
    """Drop the merge that the earlier address suggested."""
    ChangeRequest.delete().where(ChangeRequest.duplicate == duplicate).execute()


def _is_visible(rights: Permissions, person: Person) -> bool:
    lists = {list_id for _, list_id in memberships_of(Membership.person, [person.id])}
    return any(rights.may("view", list_id) for list_id in lists)


def edit_membership(
    rights: Permissions,
    membership: Membership,
    by: User,
    now: datetime,
    *,
    relation: str,
    items: Mapping[str, str],
    child: Mapping[str, str],
) -> bool:
    """Change relation and items of a membership, and the child; other lists' managers are asked about the child."""
    if not membership.child or rights.may_edit_child(membership.child):
        members.edit_membership(membership, by, relation=relation, items=items, child=child)
        return True
    stored = membership.child
    if not normalise_text(child.get("name", "")):
        raise DomainError(members.CHILD_NAME_REQUIRED, "child_name")
    own, of_child = members.split_items(items, has_child=True)
    typed = {
        "name": normalise_text(child.get("name", "")),
        "kana": normalise_kana(child.get("kana", "")),
        "grade": normalise_grade(child.get("grade", "")),
        "class_name": normalise_class(child.get("class_name", "")),
        "attributes": of_child,
    }
    with db.atomic():
        members.save_membership(membership, relation, own, stored.id, by)
        return _request_differences(rights, membership.person, stored.id, stored, typed, by, now)


def join_household(rights: Permissions, person: Person, other: Person, by: User, now: datetime) -> bool:
    """Merge the households of two people, or ask for it."""
    if rights.may_edit_person(person) and rights.may_edit_person(other):
        households.join_household(person, other, by)
        return True
    asked = person if not rights.may_edit_person(person) else other
    joined = other if asked is person else person
    request_change(asked.id, None, {"household": joined.id}, _list_of(rights, asked), by, now)
    return False


def split_household(rights: Permissions, person: Person, by: User, now: datetime) -> bool:
    """Give a person a household of their own, or ask for it."""
    if rights.may_edit_person(person):
        households.split_household(person, by)
        return True
    request_change(person.id, None, {"household": ""}, _list_of(rights, person), by, now)
    return False


def _request_differences(
    rights: Permissions,
    person: Person,
    child_id: int | None,
    row: Person | Child,
    typed: Mapping[str, Any],
    by: User,
    now: datetime,
) -> bool:
    """Ask for the typed values that differ; return True if none does."""
    changes = {name: value for name, value in typed.items() if value != getattr(row, name)}
    if changes:
        request_change(person.id, child_id, changes, _list_of(rights, person), by, now)
    return not changes


def _list_of(rights: Permissions, person: Person) -> int:
    """Return a list of the person that the user manages."""
    lists = [list_id for _, list_id in memberships_of(Membership.person, [person.id])]
    return next(number for number in lists if rights.may("manage", number))


def requested_columns(person: Person, lists: Iterable[int]) -> list[str]:
    """Return what managers of these lists asked to change of a person and the children, and wait for."""
    rows = ChangeRequest.select().where(
        ChangeRequest.person == person, ChangeRequest.duplicate.is_null(), ChangeRequest.list.in_(list(lists))
    )
    return list(dict.fromkeys(name for row in rows for name in row.changes))


# ── deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request for a page. `rows`: (column, value now, value wanted) of an edit; `typed`: children of the second row."""

    request: ChangeRequest
    rows: list[tuple[str, str, str]]
    children: tuple[str, ...]
    typed: tuple[str, ...]


def pending_requests(rights: Permissions) -> list[RequestView]:
    """Return the requests that this user decides, the oldest first."""
    return [_view(row) for row in decidable_requests(rights)][:MAX_SHOWN]


def decidable_requests(rights: Permissions) -> list[ChangeRequest]:
    """Return the requests about people of whom the user manages all lists; for a merge one other list is enough."""
    query = ChangeRequest.select(ChangeRequest, Person, MailingList).join(Person, on=ChangeRequest.person)
    query = query.switch(ChangeRequest).join(MailingList).order_by(ChangeRequest.id)
    if not rights.is_admin:
        managed = [row.id for row in rights.lists("manage")]
        people = Membership.select(Membership.person).where(Membership.is_member, Membership.list.in_(managed))
        query = query.where(ChangeRequest.person.in_(people))
    rows = [row for row in query if not row.duplicate_id or rights.is_admin or _decides_merge(rights, row)]
    edits = [row for row in rows if row.duplicate_id is None]
    people_ids = rights.editable(Membership.person, {row.person_id for row in edits})
    children = rights.editable(Membership.child, {row.child_id for row in edits if row.child_id})
    return [
        row
        for row in rows
        if row.duplicate_id or (row.child_id in children if row.child_id else row.person_id in people_ids)
    ]


def _decides_merge(rights: Permissions, request: ChangeRequest) -> bool:
    """Say whether the user manages a list of the person other than the one from which the second row came."""
    lists = {list_id for _, list_id in memberships_of(Membership.person, [request.person_id])}
    return any(rights.may("manage", number) for number in lists - {request.list_id})


def get_request(rights: Permissions, number: int) -> ChangeRequest | None:
    """Return a request that this user decides; None for any other."""
    return next((row for row in decidable_requests(rights) if row.id == number), None)


def _view(request: ChangeRequest) -> RequestView:
    row: Any = request.child or request.person
    rows = [(name, _text(row, name), _wanted(name, value)) for name, value in request.changes.items()]
    typed = _children_of(request.duplicate) if request.duplicate_id and request.duplicate else ()
    return RequestView(request, rows, _children_of(request.person), typed)


def _text(row: Any, name: str) -> str:
    if name == "household":
        same = Person.select(Person.name).where(Person.household == row.household, Person.id != row.id)
        return "、".join(other.name for other in same if row.household)
    return _wanted(name, getattr(row, name))


def _wanted(name: str, value: Any) -> str:
    if name == "household" and value:
        other = Person.get_or_none(Person.id == value)
        return other.name if other else ""
    return "、".join(f"{key}＝{text}" for key, text in value.items()) if isinstance(value, dict) else str(value or "")


def _children_of(person: Person) -> tuple[str, ...]:
    rows = Child.select().where(
        Child.id.in_(Membership.select(Membership.child).where(Membership.person == person, Membership.is_member))
    )
    return tuple(f"{child.room} {child.name}".strip() for child in rows.order_by(Child.id))


def accept_request(request: ChangeRequest, by: User | None, now: datetime) -> None:
    """Carry a request out. Raises DomainError, for example if the address belongs to another person now."""
    with db.atomic():
        if not ChangeRequest.delete().where(ChangeRequest.id == request.id).execute():
            return
        if request.duplicate:
            merge.merge_person(request.duplicate, request.person, by, now)
        elif request.child_id:
            Child.update(**request.changes).where(Child.id == request.child_id).execute()
        else:
            _apply_to_person(request.person, request.changes, by, now)
        audit.log_action(by, "member.change_accepted", request.person_id)


def _apply_to_person(person: Person, changes: dict[str, Any], by: User | None, now: datetime) -> None:
    plain = {name: changes[name] for name in ("name", "kana", "phone", "language") if name in changes}
    if plain:
        Person.update(**plain).where(Person.id == person.id).execute()
    if changes.get("address"):
        members.change_address(Person.get_by_id(person.id), changes["address"], by, now)
    if "household" in changes:
        other = Person.get_or_none(Person.id == changes["household"]) if changes["household"] else None
        if other:
            households.join_household(Person.get_by_id(person.id), other, by)
        elif not changes["household"]:
            households.split_household(person, by)


def refuse_request(request: ChangeRequest, by: User | None, now: datetime) -> None:
    """Drop a request, and tell the requester. A second row stays a person of its own.

    Who made a second row learns nothing: the answer would say that the family is known.
    """
    with db.atomic():
        if not ChangeRequest.delete().where(ChangeRequest.id == request.id).execute():
            return
        audit.log_action(by, "member.change_refused", request.person_id)
        if not request.duplicate_id:
            _notify_requester(request, now)


def _notify_requester(request: ChangeRequest, now: datetime) -> None:
    user, person = request.by, request.person
    if user is None or not user.email or not permissions_of(user).may("manage", request.list_id):
        return
    if rate_limits.record_hit(f"change refused:{user.id}", now, 86400) <= MAX_REFUSALS_MAILED_PER_DAY:
        notify(
            "change-refused",
            user,
            now,
            person=person.name or addresses.mask_address(person.address or ""),
            list=request.list.name,
            fields=lambda language: i18n.say(language, ", ").join(
                i18n.say(language, FIELD_LABELS[name]) for name in request.changes
            ),
            url=f"{load_settings().base_url}/members/{person.id}",
        )


# ── by the holder of the address ─────────────────────────────────────────────────────────────────────────────────


def requests_at_address(person: Person) -> list[ChangeRequest]:
    """Return the open merges of a person with rows of the same address: their reader decides them."""
    if not person.address:
        return []
    rows = ChangeRequest.select(ChangeRequest, MailingList).join(MailingList).where(ChangeRequest.person == person)
    return [row for row in rows if row.duplicate and _has_address(row.duplicate, person.address_key)]


def _has_address(person: Person, key: str | None) -> bool:
    return bool(person.address) and addresses.comparison_key(person.address or "") == key


def accept_own_merge(person: Person, number: int, now: datetime) -> bool:
    """Merge on the wish of the reader, who reads the mail of this address; False if there is nothing to merge."""
    found = next((row for row in requests_at_address(person) if row.id == number), None)
    if found:
        accept_request(found, None, now)
    return found is not None


def merge_with_guardian(person: Person, now: datetime) -> Person:
    """Merge a person with the guardian without address, once codes of all the guardian's lists were used.

    The whole school's list counts as agreed. Return the row that stays.
    """
    for row in ChangeRequest.select().where(ChangeRequest.duplicate == person):
        guardian: Person = row.person
        has_code = _children_in_lists(person, Membership.state == MembershipState.ACTIVE)
        if not guardian.address and _children_in_lists(guardian, Membership.is_member) <= has_code:
            accept_request(row, None, now)
            return Person.get_by_id(guardian.id)
    return person


def _children_in_lists(person: Person, kept: Any) -> set[tuple[int, int | None]]:
    """Return (list id, child id) of the person's memberships outside the whole school's list."""
    rows = Membership.select(Membership.list, Membership.child).join(MailingList)
    rows = rows.where(Membership.person == person, kept)
    return set(rows.where(~MailingList.whole, MailingList.closed_at.is_null()).tuples())


def merge_in_list(person: Person, mailing_list: MailingList, now: datetime) -> None:
    """Merge the second row that a manager made in a list, when the holder of the address joins the list."""
    for row in requests_at_address(person):
        here = (Membership.person == row.duplicate_id) & (Membership.list == mailing_list) & Membership.is_member
        if Membership.select().where(here).exists():
            accept_request(row, None, now)
