"""The members of a list for a page: one row a person, found by name, kana, address or child."""

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peewee import JOIN, Case, Expression, fn

from core.members.address_states import LABELS
from core.members.lists import member_state_sql
from core.members.normalise import normalise_kana, normalise_text
from core.permissions import Permissions
from i18n import N_
from mail import address as addresses
from models import AddressState, Child, MailingList, Membership, MembershipState, Person

if TYPE_CHECKING:
    from models import Rows

KANA_ROWS: dict[str, str] = {
    "あ": "アイウエオァィゥェォヴ",
    "か": "カキクケコガギグゲゴ",
    "さ": "サシスセソザジズゼゾ",
    "た": "タチツテトダヂヅデドッ",
    "な": "ナニヌネノ",
    "は": "ハヒフヘホバビブベボパピプペポ",
    "ま": "マミムメモ",
    "や": "ヤユヨャュョ",
    "ら": "ラリルレロ",
    "わ": "ワヰヱヲン",
}
STATES: dict[str, str] = {
    "pending": N_("Waiting for approval"),
    "undelivered": N_("Not arriving"),
    "stopped": LABELS["stopped"],
    "telephone": N_("Families without e-mail"),
}
SORTS: dict[str, str] = {"kana": N_("By reading"), "class": N_("By class"), "joined": N_("Newest first")}


@dataclass(frozen=True, slots=True)
class MemberQuery:
    """The filter of a page of members. `addresses`: whether the user may see (and search) e-mail addresses."""

    text: str = ""
    row: str = ""
    state: str = ""
    sort: str = "kana"
    addresses: bool = False


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One person in a list, with the state there (active, stopped, bounced, pending) and the memberships."""

    person: Person
    member_state: str
    memberships: list[Membership] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """Return the reason why no letter arrives, else 'active'; a key of TAGS."""
        if self.member_state in (MembershipState.STOPPED, MembershipState.PENDING):
            return "complained" if self.person.address_state == AddressState.COMPLAINED else self.member_state
        if self.person.address is None:
            return "telephone"
        return self.person.address_state if self.person.address_state != AddressState.FINE else "active"


TAGS: dict[str, tuple[str, str]] = {  # label and CSS class of the tag
    "active": (N_("Getting mail"), "hide-s"),
    "stopped": (LABELS["stopped"], ""),
    "pending": (N_("Waiting for approval"), "now"),
    "bounced": (LABELS["bounced"], "bad"),
    "refusing": (LABELS["refusing"], "bad"),
    "complained": (LABELS["complained"], "bad"),
    "telephone": (N_("Families without e-mail"), ""),
}


def query_members(mailing_list: MailingList, filters: MemberQuery) -> "Rows[Person]":
    """Return the people of a list who match a filter, sorted; each row has `.member_state` too."""
    states = _states_query(mailing_list)
    query = Person.select(Person, states.c.member_state).join(states, on=(states.c.person_id == Person.id))
    for condition in _filters(mailing_list, filters, states.c.member_state):
        query = query.where(condition)
    by_kana = (Case(None, [(Person.kana == "", 1)], 0), Person.kana, Person.name, Person.id)
    orders = {"class": (states.c.room == "", states.c.room, *by_kana), "joined": (states.c.joined.desc(), *by_kana)}
    return query.order_by(*orders.get(filters.sort, by_kana)).objects()


def chosen_members(mailing_list: MailingList, people: Collection[int]) -> list[Person]:
    """Return the members of a list with these ids, by reading of the name."""
    return list(query_members(mailing_list, MemberQuery()).where(Person.id.in_(people)))


def _states_query(mailing_list: MailingList) -> "Rows[Membership]":
    room = fn.MIN(Child.grade.concat("-").concat(Child.class_name))
    return (
        Membership.select(
            Membership.person.alias("person_id"),
            member_state_sql().alias("member_state"),
            fn.COALESCE(room, "").alias("room"),
            fn.MAX(Membership.joined_at).alias("joined"),
        )
        .join(Person)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list == mailing_list, Membership.is_member)
        .group_by(Membership.person_id, Person.address_state)
    )


def _filters(mailing_list: MailingList, filters: MemberQuery, state: Expression) -> Iterable[Expression]:
    if filters.row in KANA_ROWS:
        yield fn.SUBSTR(Person.kana, 1, 1).in_(list(KANA_ROWS[filters.row]))
    if filters.state in (MembershipState.PENDING, MembershipState.STOPPED):
        yield state == filters.state
    elif filters.state == "undelivered":
        yield state.in_((MembershipState.ACTIVE, "bounced")) & Person.address_state.in_(
            (AddressState.BOUNCED, AddressState.REFUSING)
        )
    elif filters.state == "telephone":
        yield (state == MembershipState.ACTIVE) & Person.address.is_null()
    if filters.text.strip():
        yield _matches_text(mailing_list, filters)


def _matches_text(mailing_list: MailingList, filters: MemberQuery) -> Expression:
    """Match a name (spaces ignored), a reading in any script, an address, or a child's name in this list."""
    name, reading = normalise_text(filters.text).replace(" ", ""), normalise_kana(filters.text).replace(" ", "")
    children = (
        Membership.select(Membership.person)
        .join(Child)
        .where(
            Membership.list == mailing_list,
            fn.REPLACE(Child.name, " ", "").contains(name) | fn.REPLACE(Child.kana, " ", "").contains(reading),
        )
    )
    condition = (
        fn.REPLACE(Person.name, " ", "").contains(name)
        | fn.REPLACE(Person.kana, " ", "").contains(reading)
        | Person.id.in_(children)
    )
    typed = unicodedata.normalize("NFKC", filters.text).strip().lower()
    return condition | fn.LOWER(Person.address).contains(typed) if filters.addresses else condition


def member_rows(mailing_list: MailingList, people: list[Any]) -> list[MemberRow]:
    """Return the rows of a page with all memberships in the list; one query."""
    rows = {person.id: MemberRow(person, person.member_state) for person in people}
    memberships = (
        Membership.select(Membership, Child)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list == mailing_list, Membership.person.in_(list(rows)), Membership.is_member)
        .order_by(Membership.id)
    )
    for membership in memberships:
        rows[membership.person_id].memberships.append(membership)
    return list(rows.values())


def count_by_state(mailing_list: MailingList) -> dict[str, int]:
    """Return how many people each state filter will show, and `all`; one query."""
    states = _states_query(mailing_list)
    counted = (
        Person.select(states.c.member_state, Person.address_state, Person.address.is_null(), fn.COUNT(Person.id))
        .join(states, on=(states.c.person_id == Person.id))
        .group_by(states.c.member_state, Person.address_state, Person.address.is_null())
        .tuples()
    )
    counts = dict.fromkeys(("all", *STATES), 0)
    for state, address_state, nowhere, people in counted:
        counts["all"] += people
        if state in (MembershipState.PENDING, MembershipState.STOPPED):
            counts[state] += people
        elif address_state in (AddressState.BOUNCED, AddressState.REFUSING):
            counts["undelivered"] += people
        if state == MembershipState.ACTIVE and nowhere:
            counts["telephone"] += people
    return counts


def class_label(language: str, child: Child) -> str:
    """Return grade and class for display: 「3年2組」, "3-2"; a grade that is no number stays as it is."""
    if language != "ja":
        return child.room
    year = f"{child.grade}年" if child.grade.isdigit() else child.grade
    group = f"{child.class_name}組" if child.class_name else ""
    return f"{year} {group}".strip() if year and not year.endswith("年") else f"{year}{group}"


# ── one person ───────────────────────────────────────────────────────────────────────────────────────────────────


def visible_memberships(person: Person, rights: Permissions, need: str = "view") -> list[Membership]:
    """Return a person's memberships in the lists on which a user has the permission `need`, whole-school list first."""
    return list(
        Membership.select(Membership, MailingList, Child)
        .join(MailingList)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.person == person, Membership.is_member, Membership.list.in_(_visible_list_ids(rights, need)))
        .order_by(MailingList.whole.desc(), MailingList.name, Membership.id)
    )


def _visible_list_ids(rights: Permissions, need: str = "view") -> list[int]:
    """Return the lists whose members a user may see; a practice list never counts, its owner can enter any address."""
    return [row.id for row in rights.lists(need) if not row.practice_of_id]


def display_address(person: Person, whole: bool) -> str:
    """Return a person's address for a page: in full, or masked (`a***@example.com`)."""
    if not person.address:
        return ""
    return person.address if whole else addresses.mask_address(person.address)


def visible_household(person: Person, rights: Permissions) -> list[Person]:
    """Return the other people of a person's household whom a user may see."""
    if not person.household:
        return []
    visible = Membership.select(Membership.person).where(
        Membership.is_member, Membership.list.in_(_visible_list_ids(rights))
    )
    return list(
        Person.select()
        .where(Person.household == person.household, Person.id != person.id, Person.id.in_(visible))
        .order_by(Person.kana, Person.id)
    )
