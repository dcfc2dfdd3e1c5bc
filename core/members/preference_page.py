"""The reader's preference page: names, items, address, each list, and deletion (N-16, decision 2, field.md 3.2).

A signed link opens it. The link in the welcome letter is valid for a week, the link that `/p` mails for a day. Changing
the address invalidates all links. The page shows the reader's own data only, and no history.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

from core import audit, rate_limits
from core.accounts import who_can
from core.errors import DomainError, require_length
from core.members import change_requests, members, signed_links, unsubscribe
from core.members.normalise import (
    normalise_class,
    normalise_grade,
    normalise_kana,
    normalise_text,
    parse_address,
    parse_member_address,
)
from core.members.signed_links import PAGE_LINK_LIFETIME, WELCOME_LINK_LIFETIME, page_url
from core.notifications import link_requests
from core.notifications.notify import notify, notify_users
from core.settings import load_settings
from database import db
from i18n import N_
from mail import address as addresses
from models import ChangeRequest, Child, Letter, LinkRequest, MailingList, Membership, MembershipState, Person

PER_ADDRESS = ((600, 1), (86400, 3))
MAX_LINKS_PER_DAY = 500
MAX_MERGE_LINKS = 200  # in one run of the scheduler
MERGE_LINK_INTERVAL_S = 7 * 86400
"""One such letter a person and week: an import that is repeated must not send it again."""
TEST_EMAILS_PER_DAY = 3
CORRECTIONS_PER_DAY, MAX_CORRECTION_LENGTH = 3, 500
NEW_ADDRESSES_PER_DAY = 3
"""New addresses one person may request, and letters one new address may get."""
NEW_ADDRESS_PURPOSE = "new address"
NEW_ADDRESS_TOO_OFTEN = N_("A letter went there already. Please look for it, or try again tomorrow.")
SAME_ADDRESS = N_("This is the address that we write to already.")
NO_WEB_ADDRESS = N_("A name cannot hold a web address.")
_WEB_ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)
INTERNAL_ITEM_WORDS = ("備考", "メモ", "注意", "所見", "note", "remark", "memo")
"""Roster columns with these words in their name are notes by organizers, hidden from readers."""


# ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────────


def request_page_link(typed: str, now: datetime) -> None:
    """Queue a page link for an address, whether it is a member's or not. Raises DomainError."""
    clean = parse_address(typed)
    key = addresses.comparison_key(clean)
    counts = [rate_limits.record_hit(f"own page:{window}:{key}", now, window) for window, _ in PER_ADDRESS]
    if all(count <= most for count, (_, most) in zip(counts, PER_ADDRESS, strict=True)):
        link_requests.enqueue_request("page", clean, now)


def send_requested_links(now: datetime) -> int:
    """Mail the queued page links to members' own addresses. The scheduler calls this."""
    return link_requests.process_requests(("page",), _send_requested, now)


def _send_requested(row: LinkRequest, now: datetime) -> None:
    person = next((found for found in members.people_at_address(row.typed) if _memberships_of(found)), None)
    if person is None or not person.is_deliverable:
        return
    if rate_limits.record_hit("own pages", now, 86400) <= MAX_LINKS_PER_DAY:
        notify("page", person, now, url=page_url(person, now))


def send_merge_links(now: datetime) -> None:
    """Mail readers the link that merges a second row of their address; once for each row. The scheduler calls this.

    It runs after the answer to the manager, so that its time says nothing about the address.
    """
    waiting = ChangeRequest.duplicate.is_null(False) & ChangeRequest.mailed_at.is_null()
    for row in ChangeRequest.select().where(waiting).limit(MAX_MERGE_LINKS):
        with db.atomic():
            told = ChangeRequest.update(mailed_at=now).where(
                ChangeRequest.id == row.id, ChangeRequest.mailed_at.is_null()
            )
            if not told.execute() or not row.person.is_deliverable:
                continue
            few = rate_limits.record_hit(f"merge link:{row.person_id}", now, MERGE_LINK_INTERVAL_S) == 1
            if few and row in change_requests.requests_at_address(row.person):
                url = page_url(row.person, now, WELCOME_LINK_LIFETIME)
                notify("same-address", row.person, now, list=row.list.name, url=url)


# ── what it shows ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ListLine:
    """A list of the reader. `state`: active, stopped (the reader may resume), pending, over (only a manager may)."""

    list: MailingList
    state: str
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreferencePage:
    """The data of the page. `unnamed`: a membership without names; `items`, `labels`: by membership; `joinable`: lists to join.

    `merges`: other rows with this address. `child_items`: items of children, for guardians whom the roster or a manager named.
    """

    person: Person
    lines: list[ListLine]
    children: list[Child]
    items: dict[int, dict[str, str]]
    child_items: dict[int, dict[str, str]]
    labels: dict[int, str]
    unnamed: Membership | None
    joinable: list[tuple[MailingList, Child]]
    merges: list[ChangeRequest]


def load_page(person: Person) -> PreferencePage:
    memberships = _memberships_of(person)
    children = {row.child_id: row.child for row in memberships if row.child_id and row.child and _is_trusted(row)}
    lists = {row.list_id: row.list for row in memberships}
    return PreferencePage(
        person=person,
        lines=[_list_line(lists[number], [row for row in memberships if row.list_id == number]) for number in lists],
        children=list(children.values()),
        items={
            row.id: visible
            for row in memberships
            if _is_trusted(row) and (visible := reader_visible_items(row.attributes))
        },
        child_items={
            row.child_id: reader_visible_items(row.child.attributes)
            for row in memberships
            if row.child_id and row.child and _is_guardian_by_roster(row)
        },
        labels={row.id: " ".join((row.list.name, row.child.name if row.child else "")).strip() for row in memberships},
        unnamed=next((unnamed for row in lists.values() if (unnamed := membership_without_names(person, row))), None),
        joinable=_joinable_lists(
            person,
            {row.child_id: row.child for row in memberships if row.child and _is_guardian_by_roster(row)},
            set(lists),
        ),
        merges=change_requests.requests_at_address(person),
    )


def membership_without_names(person: Person, mailing_list: MailingList) -> Membership | None:
    """Return the membership that lacks the reader's names, as after a blank mail; None if they are known (decision 5)."""
    if person.name:
        return None
    return Membership.get_or_none(
        Membership.person == person,
        Membership.list == mailing_list,
        Membership.child.is_null(),
        Membership.state.in_((MembershipState.ACTIVE, MembershipState.PENDING, MembershipState.UNCONFIRMED)),
    )


def _memberships_of(person: Person) -> list[Membership]:
    return list(
        Membership.select(Membership, MailingList, Child)
        .join(MailingList)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(
            Membership.person == person,
            Membership.is_member,
            MailingList.closed_at.is_null(),
            MailingList.practice_of.is_null(),
        )
        .order_by(MailingList.whole.desc(), MailingList.name, Membership.id)
    )


def _is_trusted(membership: Membership) -> bool:
    """Return whether the reader may edit here: not while pending, nor after a manager's stop."""
    return membership.state in (MembershipState.ACTIVE, MembershipState.UNCONFIRMED) or (
        membership.state == MembershipState.STOPPED and membership.stopped_by == "reader"
    )


def _is_guardian_by_roster(membership: Membership) -> bool:
    """Return whether the school named this guardian. A slip found by a stranger must not show the child's items."""
    return bool(membership.child_id) and _is_trusted(membership) and membership.joined_via not in ("blank mail", "link")


def _list_line(mailing_list: MailingList, memberships: list[Membership]) -> ListLine:
    state = unsubscribe.combined_state((row.state, row.stopped_by) for row in memberships)
    return ListLine(mailing_list, state, tuple(row.child.name for row in memberships if row.child))


def reader_visible_items(items: Mapping[str, str]) -> dict[str, str]:
    return {
        key: str(text) for key, text in items.items() if not any(word in key.lower() for word in INTERNAL_ITEM_WORDS)
    }


def _joinable_lists(person: Person, children: Mapping[int, Child], known: set[int]) -> list[tuple[MailingList, Child]]:
    """Return the other open lists of these children. Who came by a slip is offered none: it opens its own list."""
    rows = (
        Membership.select(Membership.list, Membership.child)
        .join(MailingList)
        .where(
            Membership.child.in_(list(children)),
            Membership.state == MembershipState.ACTIVE,
            Membership.list.not_in(list(known)),
            MailingList.closed_at.is_null(),
            MailingList.practice_of.is_null(),
            MailingList.join_mode != "closed",
        )
        .distinct()
        .tuples()
    )
    return [(MailingList.get_by_id(number), children[child]) for number, child in rows]


# ── what it does ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PreferenceForm:
    """The posted form: own fields, names of children by id, items by membership id."""

    name: str
    kana: str
    phone: str
    language: str
    children: Mapping[int, Mapping[str, str]]
    items: Mapping[int, Mapping[str, str]]
    new_child: Mapping[str, str]


def save_preferences(person: Person, form: PreferenceForm) -> None:
    """Save what a reader corrected. Raises DomainError with the field.

    Grade and class belong to the school once they are known; the reader can only fill them in. Items are corrected, none
    is added.
    """
    page = load_page(person)
    _reject_urls(form)
    if page.unnamed and not normalise_text(form.name):
        raise DomainError(members.NAME_REQUIRED, "name")
    with db.atomic():
        members.edit_person(person, None, name=form.name, kana=form.kana, phone=form.phone, language=form.language)
        for child in page.children:
            _save_child(child, form.children.get(child.id, {}))
        for number, visible in page.items.items():
            _save_items(number, visible, form.items.get(number, {}))
        if page.unnamed and normalise_text(form.new_child.get("name", "")):
            membership = Membership.get_by_id(page.unnamed.id)
            members.edit_membership(
                membership, None, relation=membership.relation, items=membership.attributes, child=form.new_child
            )
        audit.log_action(None, "member.changed_self", person.id)


def _reject_urls(form: PreferenceForm) -> None:
    """Refuse names with a web address: letters to other guardians and organizers show names."""
    own = [("name", form.name), ("kana", form.kana)]
    of_children = [
        (f"child{number}-{field}", text)
        for number, typed in [*form.children.items(), ("new", form.new_child)]
        for field, text in typed.items()
    ]
    for field, text in [*own, *of_children]:
        if _WEB_ADDRESS.search(unicodedata.normalize("NFKC", text)):
            raise DomainError(NO_WEB_ADDRESS, "name" if field.startswith("childnew") else field)


def _save_child(child: Child, typed: Mapping[str, str]) -> None:
    name = normalise_text(typed.get("name", child.name))
    if not name:
        raise DomainError(members.CHILD_NAME_REQUIRED, f"child{child.id}-name")
    fields = {"name": name, "kana": normalise_kana(typed.get("kana", child.kana))}
    if not child.grade:
        fields["grade"] = normalise_grade(typed.get("grade", ""))
    if not child.class_name:
        fields["class_name"] = normalise_class(typed.get("class_name", ""))
    Child.update(**fields).where(Child.id == child.id).execute()


def _save_items(number: int, visible: Mapping[str, str], typed: Mapping[str, str]) -> None:
    membership = Membership.get_by_id(number)
    changed = {key: require_length(typed[key], members.MAX_ITEM_LENGTH) for key in visible if key in typed}
    Membership.update(attributes={**membership.attributes, **changed}).where(Membership.id == number).execute()


def send_correction(person: Person, text: str, now: datetime) -> bool:
    """Send the managers a correction (class, district …) for them to make. False if too often or empty.

    Class and items of a child decide who gets which notice, so a link alone does not change them.
    """
    correction = require_length(text, MAX_CORRECTION_LENGTH, "wrong")
    if not correction or rate_limits.record_hit(f"own page wish:{person.id}", now, 86400) > CORRECTIONS_PER_DAY:
        return False
    lists = [line.list for line in load_page(person).lines if line.state == MembershipState.ACTIVE]
    managers = list(dict.fromkeys(user for row in lists for user in who_can.managers_of(row)))
    url = f"{load_settings().base_url}/members/{person.id}"
    with db.atomic():
        audit.log_action(None, "member.says_wrong", person.id)
        notify_users(
            "says-wrong", managers or who_can.administrators(), now, name=person.name, text=correction, url=url
        )
    return True


def stop_or_resume_list(person: Person, list_id: int, do: str, now: datetime) -> bool:
    """Stop or resume one list of the reader; idempotent. False if nothing changed."""
    mailing_list = next((line.list for line in load_page(person).lines if line.list.id == list_id), None)
    if mailing_list is None:
        return False
    if do == "stop":
        return unsubscribe.unsubscribe_from_list(person, mailing_list, now)
    return do == "resume" and unsubscribe.resubscribe_to_list(person, mailing_list)


def send_test_email(person: Person, now: datetime) -> bool:
    """Send the test letter to the reader (T-17); False above the daily limit."""
    if not person.is_deliverable or rate_limits.record_hit(f"own test:{person.id}", now, 86400) > TEST_EMAILS_PER_DAY:
        return False
    notify("test", person, now, urgent=False, expires_after=timedelta(days=1))
    return True


def delete_own_data(person: Person, now: datetime) -> set[int]:
    """End all memberships of a reader, and delete address, telephone and items, of each row with the address.

    Return the unreachable children.

    The name stays until the retention purge, so that managers see who left. Where a manager stopped or refused the
    person, that state and the address stay, or signing up again would lift it.
    """
    with db.atomic():
        rows = members.people_at_address(person.address) if person.address else [person]
        return {child for row in rows for child in _delete_row(row, now)}


def _delete_row(person: Person, now: datetime) -> set[int]:
    barred = (Membership.person == person) & (
        (Membership.stopped_by == "manager") | (Membership.state == MembershipState.REFUSED)
    )
    with db.atomic():
        memberships = list(Membership.select().where(Membership.person == person, Membership.is_member, ~barred))
        children = {row.child_id for row in memberships if row.child_id}
        lists = sorted({row.list_id for row in memberships})
        left = {"state": MembershipState.LEFT, "stopped_by": "reader", "left_at": now, "attributes": {}}
        Membership.update(**left).where(Membership.id.in_([row.id for row in memberships])).execute()
        Membership.update(state=MembershipState.REFUSED, left_at=now).where(
            barred, Membership.state == MembershipState.PENDING
        ).execute()
        cleared: dict[str, object] = {"phone": ""}
        if not Membership.select().where(barred).exists():
            cleared |= {"address": None, "address_key": None, "violates_rfc": False, "bare": False}
        Person.update(**cleared).where(Person.id == person.id).execute()
        alone = unsubscribe.unreachable_children(children)
        if lists:
            audit.log_action(None, "member.deleted_self", person.id, detail={"lists": lists, "alone": len(alone)})
    return alone


# ── a new address ────────────────────────────────────────────────────────────────────────────────────────────────


def request_new_address(person: Person, typed: str, now: datetime) -> None:
    """Mail the confirmation link to the new address (T-17). Raises DomainError.

    The letter is the same whether the address is known or not.
    """
    clean = _clean_new_address(person, typed)
    too_often = rate_limits.record_hit(f"new address:{person.id}", now, 86400) > NEW_ADDRESSES_PER_DAY
    if (
        too_often
        or rate_limits.record_hit(f"new address at:{addresses.comparison_key(clean)}", now, 86400)
        > NEW_ADDRESSES_PER_DAY
    ):
        raise DomainError(NEW_ADDRESS_TOO_OFTEN, "address")
    with db.atomic():  # in one transaction: the worker must not take the letter before it has its link
        letter = notify("new-address", clean, now, language=person.language)
        text = signed_links.link_signer(load_settings(), NEW_ADDRESS_PURPOSE).dumps(
            [person.id, signed_links.address_fingerprint(person), letter.id]
        )
        link = {"url": f"{load_settings().base_url}/p/new/{text}"}
        Letter.update(payload={**letter.payload, **link}).where(Letter.id == letter.id).execute()


def _clean_new_address(person: Person, typed: str) -> str:
    clean = parse_member_address(typed)
    if addresses.comparison_key(clean) == person.address_key:
        raise DomainError(SAME_ADDRESS, "address")
    return clean


def new_address_from_link(text: str, now: datetime) -> tuple[Person, str] | None:
    """Return the person and the new address; None if the link is wrong, expired, or used."""
    token = signed_links.read_token(text, NEW_ADDRESS_PURPOSE)
    if not token:
        return None
    person = Person.get_or_none(Person.id == token[0])
    letter = Letter.get_or_none(
        Letter.id == token[2], Letter.kind == "new-address", Letter.made_at > now - PAGE_LINK_LIFETIME
    )
    if person is None or letter is None or not person.address or token[1] != signed_links.address_fingerprint(person):
        return None
    return person, letter.address


def confirm_new_address(person: Person, clean: str, now: datetime) -> None:
    """Change to the new address and notify the old one. Raises members.AddressTaken."""
    with db.atomic():
        members.change_address(person, clean, None, now)
        audit.log_action(None, "member.address_changed_self", person.id)
