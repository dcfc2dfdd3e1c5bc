"""Who receives a notice and who does not, each with the reason (D-01, D-06, D-11 to D-13).

Resolved anew from the targets whenever it is asked; the fingerprint says whether it changed since the check page.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime

from peewee import JOIN, ModelSelect, fn

import clock
from core.display_names import class_label
from core.notices import merge_fields, recipients, sender_names
from core.notices.recipients import TargetSet
from core.settings import load_settings
from i18n import N_, LazyMessage
from models import DELIVERABLE_STATES, Child, Group, MailingList, Membership, Notice, Person, Question, User

EXCLUSION_REASONS: dict[str, str] = {
    "no_address": N_("No address: to be told by telephone"),
    "stopped": N_("Has stopped the mail"),
    "pending": N_("Waits for approval"),
    "unconfirmed": N_("Has not confirmed the registration yet"),
    "left": N_("Has left the list"),
    "bounced": N_("The address does not exist any more"),
    "complained": N_("Reported our mail as spam"),
    "excluded": N_("Left out for this notice"),
    "missing": N_("A merge field is empty"),
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One reader: a person, because of one or several memberships. `reason` empty: receives a letter.

    child_id, child_room: set where the letter differs by child and is about this one alone. siblings: the same
    person gets a letter about another child too. in_charge_id, signed: the person in charge, if the letter goes in
    that person's name. values: of the merge fields, by the names in the text; missing: the names of those that are
    empty, if that is why there is no letter.
    """

    person_id: int
    child_id: int | None
    list_id: int | None
    name: str
    kana: str
    address: str | None
    language: str
    reason: str
    covers: tuple[int, ...]
    rooms: str = ""
    child_name: str = ""
    household: str = ""
    phone: str = ""
    child_room: str = ""
    siblings: bool = False
    in_charge_id: int | None = None
    signed: str = ""
    values: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Say why there is no letter, a merge field by its name (D-24)."""
        if self.missing:
            return LazyMessage(N_("“%(fields)s” is empty"), fields="」「".join(self.missing))
        return EXCLUSION_REASONS[self.reason]

    @property
    def key(self) -> tuple[int, int]:
        """Return what is unique in an audience: person, and child or 0."""
        return self.person_id, self.child_id or 0


@dataclass(frozen=True, slots=True)
class Audience:
    """Everybody a notice is about, by kana. `most`: more than half of all whom mail reaches, whatever was chosen."""

    receiving: tuple[Recipient, ...]
    left_out: tuple[Recipient, ...]
    lists: tuple[MailingList, ...]
    whole: bool
    fingerprint: str = field(default="")
    groups: tuple[Group, ...] = ()
    most: bool = False

    @property
    def needs_typed_count(self) -> bool:
        """Say whether the number of letters is typed before it goes: to everybody, or to most of all (X-06)."""
        return self.whole or self.most

    @property
    def titles(self) -> list[str]:
        """Return the names of the lists and groups chosen, for a heading; none for single persons alone."""
        return [one.name for one in (*self.lists, *self.groups)]

    @property
    def waiting(self) -> list[str]:
        """Return the names of the lists, chosen or by a group, that wait for the roster of the new year."""
        lists = (*self.lists, *(one.list for one in self.groups))
        return list(dict.fromkeys(one.name for one in lists if one.awaiting_roster_since))

    @property
    def letters(self) -> int:
        """Return how many letters will leave (通)."""
        return len(self.receiving)

    @property
    def expected(self) -> list[list[int]]:
        """Return person and child (or 0) of each letter, as a notice keeps them when it is confirmed."""
        return [list(one.key) for one in self.receiving]

    @property
    def missing(self) -> dict[str, int]:
        """Return how many letters are not sent because of each empty merge field (D-24)."""
        return dict(Counter(name for one in self.left_out for name in one.missing))

    @property
    def households(self) -> int:
        """Return how many households receive a letter (世帯)."""
        return len({one.household or f"p{one.person_id}" for one in self.receiving})


@dataclass(slots=True)
class _Candidate:
    """A person while the memberships are being gathered."""

    person: Person
    memberships: list[Membership] = field(default_factory=list)
    alone: bool = False  # chosen as a single person
    child: Child | None = None  # the letter is about this child alone


def resolve_audience(notice: Notice, at: datetime | None = None) -> Audience:
    """Work out the audience of a notice from its targets; merge fields as they are at a moment (None: now).

    A handful of queries, whatever the number of people.
    """
    chosen = recipients.load_targets(notice)
    names = merge_fields.names_in_notice(notice)
    people = _collect_candidates(chosen, bool(names))
    gathered: Iterable[_Candidate] = people.values()
    if differs_by_child(notice):
        gathered = (part for one in people.values() for part in _split_by_child(one, chosen))
    charges = sender_names.teachers_by_reader(notice)
    read = _make_field_reader(notice, names, people.values(), at or clock.now()) if names else None
    found = [_build_recipient(one, chosen, charges, read, notice.kind == "individual") for one in gathered]
    found.sort(key=lambda one: (one.kana or one.name, *one.key))
    receiving = _mark_siblings([one for one in found if not one.reason])
    return Audience(
        receiving=receiving,
        left_out=tuple(one for one in found if one.reason),
        lists=chosen.lists,
        groups=chosen.groups,
        whole=any(one.whole for one in chosen.lists),
        most=is_majority({one.person_id for one in receiving}),
        fingerprint=recipients_fingerprint(receiving),
    )


def resolve_audience_for(notice: Notice, by: User | None, at: datetime | None = None) -> Audience:
    """Resolve the audience of a draft as if this user sends it: within the user's lists, in the user's name."""
    return resolve_audience(as_sent_by(notice, by), at)


def as_sent_by(notice: Notice, by: User | None) -> Notice:
    """Return an unsaved copy of a draft with `by` as its sender; the draft itself for the terminal (None)."""
    if by is None:
        return notice
    preview = copy(notice)
    preview.__data__, preview.__rel__ = dict(notice.__data__), dict(notice.__rel__)
    preview.by, preview.by_name = by, by.name
    return preview


MIN_FOR_MAJORITY = 10
"""So few people are never taken for most of the school."""


def is_majority(people: set[int]) -> bool:
    """Say whether so many are more than half of all whom mail reaches, in a house with more than one list (X-06).

    Classes and groups put together, or a group with a wide condition, are the whole school under another name.
    """
    if len(people) < MIN_FOR_MAJORITY:
        return False
    reached = Membership.select(fn.COUNT(fn.DISTINCT(Membership.person)), fn.COUNT(fn.DISTINCT(Membership.list)))
    everybody, lists = (
        reached.join(Person)
        .where(
            Membership.list.in_(MailingList.open_lists().select(MailingList.id).order_by()),
            Membership.state == "active",
            Person.address.is_null(False),
            Person.address_state.in_(DELIVERABLE_STATES),
        )
        .tuples()
        .get()
    )
    return lists > 1 and 2 * len(people) > everybody


def recipients_fingerprint(receiving: Iterable[Recipient]) -> str:
    """Return a short mark of who receives at which address in whose name; equal marks mean the same letters."""
    mark = hashlib.sha256()
    for one in sorted((*one.key, one.address or "", one.signed) for one in receiving):
        mark.update("{}:{}:{}:{}\n".format(*one).encode())
    return mark.hexdigest()[:24]


_BASE_COLUMNS = (
    Membership.id,
    Membership.person,
    Membership.list,
    Membership.child,
    Membership.state,
    Person.id,
    Person.name,
    Person.kana,
    Person.address,
    Person.address_state,
    Person.language,
    Person.household,
    Person.phone,
    Child.id,
    Child.name,
    Child.grade,
    Child.class_name,
)
_MERGE_FIELD_COLUMNS = (
    Membership.attributes,
    Membership.relation,
    Membership.in_charge,
    Child.kana,
    Child.attributes,
    User.id,
    User.name,
)


def _collect_candidates(chosen: TargetSet, with_fields: bool) -> dict[int, _Candidate]:
    """Collect everybody named by a list, by a group or alone, with the memberships that count for this notice."""
    people: dict[int, _Candidate] = {}
    closed = MailingList.select(MailingList.id).where(MailingList.closed_at.is_null(False))
    rows = _select_memberships(with_fields).where(chosen.wanted, Membership.list.not_in(closed), Membership.is_member)
    for row in rows.order_by(Membership.id):
        people.setdefault(row.person_id, _Candidate(row.person)).memberships.append(row)
    for person in Person.select().where(Person.id.in_(chosen.alone)):
        people.setdefault(person.id, _Candidate(person)).alone = True
    return people


def _select_memberships(with_fields: bool) -> ModelSelect:
    """Return places in lists with person and child; with all that merge fields may ask for, if they do."""
    more = _MERGE_FIELD_COLUMNS if with_fields else ()
    rows = Membership.select(*_BASE_COLUMNS, *more).join(Person).switch(Membership).join(Child, JOIN.LEFT_OUTER)
    if with_fields:
        rows = rows.switch(Membership).join(User, JOIN.LEFT_OUTER, on=Membership.in_charge)
    return rows


def _split_by_child(one: _Candidate, chosen: TargetSet) -> Iterator[_Candidate]:
    """Cut a person into one for each child of the lists chosen; places without a child go with the first child."""
    named = [row for row in one.memberships if chosen.names(row)]
    counts = named if _active_memberships(named) or not one.alone else one.memberships
    children = {row.child_id: row.child for row in counts if row.child_id}
    if not children:
        yield one
        return
    first = next((row.child_id for row in _active_memberships(counts) if row.child_id), next(iter(children)))
    for number, child in children.items():
        rows = [row for row in counts if (row.child_id or first) == number]
        yield _Candidate(one.person, rows, one.alone, child)


def _mark_siblings(receiving: list[Recipient]) -> tuple[Recipient, ...]:
    """Mark the letters of those who get several."""
    letters = Counter(one.person_id for one in receiving)
    return tuple(replace(one, siblings=True) if letters[one.person_id] > 1 else one for one in receiving)


_ReadFields = Callable[[_Candidate, tuple[Membership, ...], str], tuple[dict[str, str], tuple[str, ...]]]
"""Gives the values of the merge fields for somebody's places in lists, and the names of those that are missing."""


def _make_field_reader(notice: Notice, names: list[str], people: Collection[_Candidate], at: datetime) -> _ReadFields:
    """Return what reads the merge fields of a notice."""
    reading = merge_fields.FieldReader.for_members(names, (row for one in people for row in one.memberships))
    force, list_names = load_settings(), _list_names(people)

    def read(one: _Candidate, rows: tuple[Membership, ...], signed: str) -> tuple[dict[str, str], tuple[str, ...]]:
        list_name = list_names.get(rows[0].list_id, "") if rows else ""
        values = reading.values(
            merge_fields.FieldContext(one.person, one.child, rows, list_name, signed, notice, force, at)
        )
        return values, reading.missing(values) if notice.skip_missing else ()

    return read


def _list_names(people: Collection[_Candidate]) -> dict[int, str]:
    numbers = {row.list_id for one in people for row in one.memberships}
    return dict(MailingList.select(MailingList.id, MailingList.name).where(MailingList.id.in_(numbers)).tuples())


def _build_recipient(
    one: _Candidate,
    chosen: TargetSet,
    charges: sender_names.TeachersByReader,
    read: _ReadFields | None,
    individual: bool,
) -> Recipient:
    person = one.person
    order, named = chosen.order, [row for row in one.memberships if chosen.names(row)]
    active = _active_memberships(named) or (_active_memberships(one.memberships) if one.alone else [])
    active.sort(key=lambda row: (order.get(row.list_id, len(order)), row.id))
    covers = active or named or sorted(one.memberships, key=lambda row: (order.get(row.list_id, len(order)), row.id))
    children = {row.child_id: row.child for row in covers if row.child_id}
    user, signed = sender_names.teacher_for_reader(charges, person.id, children or (None,), order)
    values, missing = read(one, tuple(covers), signed) if read else ({}, ())
    reason = _exclusion_reason(one, active, chosen.excluded, individual)
    return Recipient(
        person_id=person.id,
        child_id=one.child.id if one.child else None,
        list_id=covers[0].list_id if covers else None,
        name=person.name,
        kana=person.kana,
        address=person.address,
        language=person.language,
        reason=reason or ("missing" if missing else ""),
        covers=tuple(row.id for row in covers),
        rooms=", ".join(dict.fromkeys(child.room for child in children.values() if child.room)),
        child_name=", ".join(child.name for child in children.values()),
        household=person.household,
        phone=person.phone,
        child_room=class_label(person.language, one.child.grade, one.child.class_name) if one.child else "",
        in_charge_id=user,
        signed=signed,
        values=values,
        missing=() if reason else missing,
    )


def _active_memberships(memberships: list[Membership]) -> list[Membership]:
    return [row for row in memberships if row.state == "active"]


def _exclusion_reason(one: _Candidate, active: list[Membership], excluded: frozenset[int], individual: bool) -> str:
    """Say why somebody gets no letter; the first that is true, what the organizer decided before all.

    individual: the letter is to this person alone, who may have stopped the mail of all lists (D-30).
    """
    person = one.person
    if person.id in excluded:
        return "excluded"
    if not active and not (individual and any(row.state == "stopped" for row in one.memberships)):
        states = {row.state for row in one.memberships}
        for state in ("stopped", "pending", "unconfirmed"):
            if state in states:
                return state
        return "left"
    if not person.address:
        return "no_address"
    return "" if person.is_deliverable else person.address_state


def differs_by_child(notice: Notice) -> bool:
    """Say whether a reader with two children gets two letters of this notice."""
    return any(asks(notice) for asks in _CONDITIONS)


def _is_signed_by_class_teacher(notice: Notice) -> bool:
    """Brothers and sisters have different class teachers, in whose names the letters go (D-15)."""
    return notice.in_charge


def _has_question_per_child(notice: Notice) -> bool:
    return Question.select().where(Question.notice == notice, Question.unit == "child").exists()


def _has_child_merge_field(notice: Notice) -> bool:
    """Say whether subject or text hold a field of the child, or of a place in a list, which a child has."""
    names = merge_fields.names_in_notice(notice)
    free = (
        merge_fields.custom_field_names(merge_fields.lists_of_notice(notice))
        if any(merge_fields.field_by_name(name) is None for name in names)
        else ()
    )
    return any(merge_fields.varies_by_child(name, free) for name in names)


_CONDITIONS: tuple[Callable[[Notice], bool], ...] = (
    _is_signed_by_class_teacher,
    _has_question_per_child,
    _has_child_merge_field,
)
