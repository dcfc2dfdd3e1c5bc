"""Resolve the targets of a notice to recipients: who gets a letter and who does not, with the reason.

D-01, D-06, D-11 to D-13. The audience is resolved anew on each call; its fingerprint shows a change since the check page.
A recipient is a person, or a person and a child if the letters differ by child (`differs_by_child`).
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
from models import (
    DELIVERABLE_STATES,
    Child,
    Group,
    MailingList,
    Membership,
    MembershipState,
    Notice,
    Person,
    Question,
    User,
)

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
    """A person with the memberships that name the person. An empty `reason` means a letter is sent.

    covers: ids of these memberships. child_id, child_room: the child of the letter, if letters differ by child.
    siblings: the person gets a letter about another child too. class_teacher_id, signed: the class teacher, if the letter
    goes in that name. values: merge field values by name; missing: the empty ones, if they exclude the recipient.
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
    class_teacher_id: int | None = None
    signed: str = ""
    values: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Return the reason for display, with the names of empty merge fields (D-24)."""
        if self.missing:
            return LazyMessage(N_("“%(fields)s” is empty"), fields="」「".join(self.missing))
        return EXCLUSION_REASONS[self.reason]

    @property
    def key(self) -> tuple[int, int]:
        """Return (person, child or 0), which is unique in an audience."""
        return self.person_id, self.child_id or 0


@dataclass(frozen=True, slots=True)
class Audience:
    """The recipients by kana. whole: a whole-school list is chosen. most: see `is_majority`."""

    receiving: tuple[Recipient, ...]
    left_out: tuple[Recipient, ...]
    lists: tuple[MailingList, ...]
    whole: bool
    fingerprint: str = field(default="")
    groups: tuple[Group, ...] = ()
    most: bool = False

    @property
    def needs_typed_count(self) -> bool:
        """Say whether the sender must type the number of letters (X-06)."""
        return self.whole or self.most

    @property
    def titles(self) -> list[str]:
        """Return the names of the chosen lists and groups."""
        return [*(row.name for row in self.lists), *(row.name for row in self.groups)]

    @property
    def waiting(self) -> list[str]:
        """Return the names of the lists, also of the groups, that wait for the roster of the new year."""
        lists = (*self.lists, *(group.list for group in self.groups))
        return list(dict.fromkeys(row.name for row in lists if row.awaiting_roster_since))

    @property
    def letters(self) -> int:
        """Return the number of letters (通)."""
        return len(self.receiving)

    @property
    def expected(self) -> list[list[int]]:
        """Return [person, child or 0] of each letter, for `Notice.expected`."""
        return [list(recipient.key) for recipient in self.receiving]

    @property
    def missing(self) -> dict[str, int]:
        """Return {merge field: number of recipients excluded because it is empty} (D-24)."""
        return dict(Counter(name for recipient in self.left_out for name in recipient.missing))

    @property
    def households(self) -> int:
        """Return the number of households that get a letter (世帯)."""
        return len({recipient.household or f"p{recipient.person_id}" for recipient in self.receiving})


@dataclass(slots=True)
class _Candidate:
    """A person with all memberships that count. alone: chosen as a single person. child: see `differs_by_child`."""

    person: Person
    memberships: list[Membership] = field(default_factory=list)
    alone: bool = False
    child: Child | None = None


def resolve_audience(notice: Notice, at: datetime | None = None) -> Audience:
    """Resolve the audience of a notice, with merge field values at `at` (None: now). The number of queries is constant."""
    targets = recipients.load_targets(notice)
    names = merge_fields.names_in_notice(notice)
    people = _collect_candidates(targets, bool(names)).values()
    candidates: Iterable[_Candidate] = people
    if differs_by_child(notice):
        candidates = (part for person in people for part in _split_by_child(person, targets))
    teachers = sender_names.teachers_by_reader(notice)
    read = _make_field_reader(notice, names, people, at or clock.now()) if names else None
    individual = notice.kind == "individual"
    everyone = [_build_recipient(candidate, targets, teachers, read, individual) for candidate in candidates]
    everyone.sort(key=lambda recipient: (recipient.kana or recipient.name, *recipient.key))
    receiving = _mark_siblings([recipient for recipient in everyone if not recipient.reason])
    return Audience(
        receiving=receiving,
        left_out=tuple(recipient for recipient in everyone if recipient.reason),
        lists=targets.lists,
        groups=targets.groups,
        whole=any(mailing_list.whole for mailing_list in targets.lists),
        most=is_majority({recipient.person_id for recipient in receiving}),
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


def is_majority(people: set[int]) -> bool:
    """Say whether people are more than half of all reachable members, if there is more than one list (X-06).

    All classes together, or a group with a wide condition, are the whole school under another name.
    """
    if len(people) < MIN_FOR_MAJORITY:
        return False
    reached = Membership.select(fn.COUNT(fn.DISTINCT(Membership.person)), fn.COUNT(fn.DISTINCT(Membership.list)))
    everybody, lists = (
        reached.join(Person)
        .where(
            Membership.list.in_(MailingList.open_lists().select(MailingList.id).order_by()),
            Membership.state == MembershipState.ACTIVE,
            Person.address.is_null(False),
            Person.address_state.in_(DELIVERABLE_STATES),
        )
        .tuples()
        .get()
    )
    return bool(lists > 1 and 2 * len(people) > everybody)


def recipients_fingerprint(receiving: Iterable[Recipient]) -> str:
    """Return a hash of recipients, addresses and sender names."""
    digest = hashlib.sha256()
    for person, child, address, signed in sorted((*row.key, row.address or "", row.signed) for row in receiving):
        digest.update(f"{person}:{child}:{address}:{signed}\n".encode())
    return digest.hexdigest()[:24]


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
    Membership.class_teacher,
    Child.kana,
    Child.attributes,
    User.id,
    User.name,
)


def _collect_candidates(targets: TargetSet, with_fields: bool) -> dict[int, _Candidate]:
    """Return {person id: candidate} of all people that a list, a group or a single choice names."""
    people: dict[int, _Candidate] = {}
    closed = MailingList.select(MailingList.id).where(MailingList.closed_at.is_null(False))
    rows = _select_memberships(with_fields).where(targets.wanted, Membership.list.not_in(closed), Membership.is_member)
    for row in rows.order_by(Membership.id):
        people.setdefault(row.person_id, _Candidate(row.person)).memberships.append(row)
    for person in Person.select().where(Person.id.in_(targets.alone)):
        people.setdefault(person.id, _Candidate(person)).alone = True
    return people


def _select_memberships(with_fields: bool) -> "ModelSelect[Membership]":
    """Select memberships with person and child; with_fields: and with the columns that merge fields need."""
    more = _MERGE_FIELD_COLUMNS if with_fields else ()
    rows = Membership.select(*_BASE_COLUMNS, *more).join(Person).switch(Membership).join(Child, JOIN.LEFT_OUTER)
    if with_fields:
        rows = rows.switch(Membership).join(User, JOIN.LEFT_OUTER, on=Membership.class_teacher)
    return rows


def _split_by_child(candidate: _Candidate, targets: TargetSet) -> Iterator[_Candidate]:
    """Yield one candidate for each child in the chosen lists. Memberships without a child join the first child."""
    named = [row for row in candidate.memberships if targets.names(row)]
    memberships = named if _active_memberships(named) or not candidate.alone else candidate.memberships
    children = {row.child_id: row.child for row in memberships if row.child_id}
    if not children:
        yield candidate
        return
    first = next((row.child_id for row in _active_memberships(memberships) if row.child_id), next(iter(children)))
    for number, child in children.items():
        rows = [row for row in memberships if (row.child_id or first) == number]
        yield _Candidate(candidate.person, rows, candidate.alone, child)


def _mark_siblings(receiving: list[Recipient]) -> tuple[Recipient, ...]:
    letters = Counter(row.person_id for row in receiving)
    return tuple(replace(row, siblings=True) if letters[row.person_id] > 1 else row for row in receiving)


_ReadFields = Callable[[_Candidate, tuple[Membership, ...], str], tuple[dict[str, str], tuple[str, ...]]]
"""(candidate, memberships, signed) → (merge field values, names of the empty fields)."""


def _make_field_reader(notice: Notice, names: list[str], people: Collection[_Candidate], at: datetime) -> _ReadFields:
    memberships = [row for candidate in people for row in candidate.memberships]
    reader = merge_fields.FieldReader.for_members(names, memberships)
    lists = MailingList.select(MailingList.id, MailingList.name)
    list_names = dict(lists.where(MailingList.id.in_({row.list_id for row in memberships})).tuples())
    settings = load_settings()

    def read(
        candidate: _Candidate, rows: tuple[Membership, ...], signed: str
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        list_name = list_names.get(rows[0].list_id, "") if rows else ""
        values = reader.values(
            merge_fields.FieldContext(candidate.person, candidate.child, rows, list_name, signed, notice, settings, at)
        )
        return values, reader.missing(values) if notice.skip_missing else ()

    return read


def _build_recipient(
    candidate: _Candidate,
    targets: TargetSet,
    teachers: sender_names.TeachersByReader,
    read: _ReadFields | None,
    individual: bool,
) -> Recipient:
    person, only_child, order = candidate.person, candidate.child, targets.order

    def list_order(row: Membership) -> tuple[int, int]:
        return order.get(row.list_id, len(order)), row.id

    named = [row for row in candidate.memberships if targets.names(row)]
    active = _active_memberships(named) or (_active_memberships(candidate.memberships) if candidate.alone else [])
    active.sort(key=list_order)
    covers = active or named or sorted(candidate.memberships, key=list_order)
    children = {row.child_id: row.child for row in covers if row.child_id and row.child}
    user, signed = sender_names.teacher_for_reader(teachers, person.id, children or (None,), order)
    values, missing = read(candidate, tuple(covers), signed) if read else ({}, ())
    reason = _exclusion_reason(candidate, active, targets.excluded, individual)
    return Recipient(
        person_id=person.id,
        child_id=only_child.id if only_child else None,
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
        child_room=class_label(person.language, only_child.grade, only_child.class_name) if only_child else "",
        class_teacher_id=user,
        signed=signed,
        values=values,
        missing=() if reason else missing,
    )


def _active_memberships(memberships: list[Membership]) -> list[Membership]:
    return [row for row in memberships if row.state == MembershipState.ACTIVE]


def _exclusion_reason(
    candidate: _Candidate, active: list[Membership], excluded: frozenset[int], individual: bool
) -> str:
    """Return the first reason that applies, or "". An exclusion by the sender comes first.

    individual: a direct message, which also goes to a person who has stopped the mail of all lists (D-30).
    """
    person = candidate.person
    if person.id in excluded:
        return "excluded"
    if not active and not (individual and any(row.state == MembershipState.STOPPED for row in candidate.memberships)):
        states = {row.state for row in candidate.memberships}
        for state in (MembershipState.STOPPED, MembershipState.PENDING, MembershipState.UNCONFIRMED):
            if state in states:
                return state
        return "left"
    if not person.address:
        return "no_address"
    return "" if person.is_deliverable else person.address_state


# ── one letter for each child ────────────────────────────────────────────────────────────────────────────────────


def differs_by_child(notice: Notice) -> bool:
    """Say whether a reader with two children gets two letters (D-01; decision 31). It holds for the whole notice."""
    return any(condition(notice) for condition in _CONDITIONS)


def _is_signed_by_class_teacher(notice: Notice) -> bool:
    """Siblings have different class teachers (D-15)."""
    return bool(notice.from_class_teacher)


def _has_question_per_child(notice: Notice) -> bool:
    return Question.select().where(Question.notice == notice, Question.unit == "child").exists()


def _has_child_merge_field(notice: Notice) -> bool:
    """Say whether subject or text hold a field of the child or of a membership."""
    names = merge_fields.names_in_notice(notice)
    has_custom = any(merge_fields.field_by_name(name) is None for name in names)
    custom = merge_fields.custom_field_names(merge_fields.lists_of_notice(notice)) if has_custom else ()
    return any(merge_fields.varies_by_child(name, custom) for name in names)


_CONDITIONS: tuple[Callable[[Notice], bool], ...] = (
    _is_signed_by_class_teacher,
    _has_question_per_child,
    _has_child_merge_field,
)
