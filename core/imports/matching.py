"""Match roster lines with people, children and households: existing rows, those of earlier lines, or new ones."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from peewee import Field, fn

from core.accounts import class_teacher
from core.errors import DomainError
from core.imports import cell_repair, columns, limits
from core.imports.columns import RosterRow
from core.imports.plan_model import KEEP, REPLACE, SECOND, LineChoices, LineNote, PlanLine, RowDraft
from core.members.households import new_household_key
from core.members.normalise import address_fields, has_lost_character, is_same_name, meant_address, parse_member_address
from core.permissions import Permissions
from core.settings import load_settings
from database import in_chunks
from i18n import N_
from mail import address as addresses
from mail.address import OwnAddresses
from models import AddressState, Child, MailingList, Membership, Person, User

_OWN_KEY = re.compile(r"h[a-z2-7]{11}")
LineRows = list[tuple[PlanLine, RosterRow]]


@dataclass(slots=True)
class ExistingRows:
    """The existing rows that a roster may mean, loaded in a few queries."""

    by_key: dict[str, Person] = field(default_factory=dict)
    by_name: dict[str, list[Person]] = field(default_factory=lambda: defaultdict(list))
    children_by_name: dict[str, list[Child]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[str, Person] = field(default_factory=dict)  # by address key: people whom the user may not see
    hidden_by_name: dict[str, list[Person]] = field(default_factory=lambda: defaultdict(list))  # the same, by name
    children_by_person: dict[int, list[Child]] = field(default_factory=lambda: defaultdict(list))
    memberships: dict[int, list[Membership]] = field(
        default_factory=lambda: defaultdict(list)
    )  # by person, in this list
    teachers: dict[str, User] = field(default_factory=dict)  # candidates for class teacher, by name
    teacher_by_class: dict[tuple[str, str], int] = field(default_factory=dict)  # class teacher by class


def load_existing_rows(
    mailing_list: MailingList, rows: list[RosterRow], keys: Iterable[str], rights: Permissions | None = None
) -> ExistingRows:
    """Load the people, children and memberships that the rows may mean: by address, name, and child's name.

    `rights`: of a user who sees the own lists only.
    """
    known, keys = ExistingRows(), set(keys)
    people = {person.id: person for person in _people_with_addresses(keys)}
    names = {row.name for row in rows if row.name}
    for person in _select_in_chunks(Person, Person.name, names):
        people.setdefault(person.id, person)
    children: dict[int, Child] = {}
    for child in _select_in_chunks(Child, Child.name, {row.child_name for row in rows if row.child_name}):
        children[child.id] = child
    guardians_children = _load_memberships(known, mailing_list, people, children)
    own_people = limits.own_rows(Membership.person, people, mailing_list, rights)
    own_children = limits.own_rows(Membership.child, guardians_children, mailing_list, rights)
    for person in people.values():
        if person.id in own_people:
            _index_person(known, person, keys, names, second_rows=rights is not None)
        else:
            _index_hidden_person(known, person, keys, names)
    for child in children.values():
        if child.id in own_children:
            known.children_by_name[child.name].append(child)
    if rights:
        for number, some in known.children_by_person.items():
            known.children_by_person[number] = [
                child for child in some if child.id in own_children or number not in own_people
            ]
    if any(row.class_teacher for row in rows):
        known.teachers = class_teacher.candidates_by_name(mailing_list)
    known.teacher_by_class = class_teacher.teacher_by_class(mailing_list)
    return known


def _people_with_addresses(keys: set[str]) -> Iterator[Person]:
    """Yield the people with these addresses; who holds the key comes first."""
    yield from _select_in_chunks(Person, Person.address_key, keys)
    for chunk in in_chunks(keys):
        second = Person.address_key.is_null() & fn.LOWER(Person.address).in_(chunk)
        yield from Person.select().where(second).order_by(Person.id)


def _index_person(known: ExistingRows, person: Person, keys: set[str], names: set[str], *, second_rows: bool) -> None:
    """Add a person to the indexes. Of two rows with one address a member of the list wins, then who holds the key.

    `second_rows`: whether a row without the key counts outside the list too.
    """
    if person.name in names:
        known.by_name[person.name].append(person)
    key = addresses.comparison_key(person.address) if person.address else ""
    if key not in keys:
        return
    in_list, current = _is_member_here(known, person), known.by_key.get(key)
    if current is None:
        if person.address_key or in_list or second_rows:
            known.by_key[key] = person
    elif in_list and not _is_member_here(known, current):
        known.by_key[key] = person


def _is_member_here(known: ExistingRows, person: Person) -> bool:
    return any(row.is_member for row in known.memberships[person.id])


def _index_hidden_person(known: ExistingRows, person: Person, keys: set[str], names: set[str]) -> None:
    if person.address_key in keys:
        known.taken[person.address_key or ""] = person
    if person.name in names:
        known.hidden_by_name[person.name].append(person)


def _load_memberships(
    known: ExistingRows, mailing_list: MailingList, people: dict[int, Person], children: dict[int, Child]
) -> dict[int, Child]:
    """Index the memberships of these people; return these children and those of the people."""
    rows = list(_select_in_chunks(Membership, Membership.person, people))
    missing = {row.child_id for row in rows if row.child_id} - set(children)
    more = children | {child.id: child for child in _select_in_chunks(Child, Child.id, missing)}
    for row in rows:
        if row.child_id and row.is_member and more[row.child_id] not in known.children_by_person[row.person_id]:
            known.children_by_person[row.person_id].append(more[row.child_id])
        if row.list_id == mailing_list.id:
            known.memberships[row.person_id].append(row)
    return more


def _select_in_chunks(table: type[Any], column: Field, values: Iterable[Any]) -> Iterator[Any]:
    for chunk in in_chunks(values):
        yield from table.select().where(column.in_(chunk)).order_by(table.id)


@dataclass(slots=True)
class LineValidator:
    """Validate lines, and keep the address key of each valid one by place."""

    own: OwnAddresses
    choices: LineChoices = field(default_factory=LineChoices)
    keys: dict[int, str] = field(default_factory=dict)

    def passes(self, line: PlanLine, row: RosterRow) -> bool:
        """Return whether a line can be imported; clean its address and add notes to it."""
        self._ask_about_domain(line, row)
        typed = row.address
        error = self._wrong(row)
        line.no_person = bool(row.no_person)
        if error is None and row.place in self.choices.left_out:
            error = LineNote(N_("Left out, as you chose."))
            line.may_leave_out = True
        if error is not None:
            line.outcome, line.meant = "wrong", "" if row.no_person else line.meant
            line.notes = [error, *(line.notes if line.meant else ())]
            return False
        line.may_leave_out = bool(row.remarks) or row.lacks_child
        line.notes += [LineNote(message, quiet=message in QUIET) for message in _line_warnings(row, typed)]
        line.notes += [LineNote(message, values, quiet=message in QUIET) for message, values in row.remarks]
        return True

    def _ask_about_domain(self, line: PlanLine, row: RosterRow) -> None:
        """Take the address that was probably meant if the user chose it, else ask."""
        meant = meant_address(row.address)
        if not meant:
            return
        if row.place in self.choices.meant:
            values = {"typed": row.address, "meant": meant}
            line.notes.append(LineNote(N_("“%(typed)s” became “%(meant)s”, as you chose."), values, quiet=True))
            row.address = line.address = meant
        else:
            line.meant = meant
            line.notes.append(LineNote(N_("Perhaps “%(meant)s” is meant."), {"meant": meant}))

    def _wrong(self, row: RosterRow) -> LineNote | None:
        if row.damaged:
            return LineNote(N_("Some characters cannot be read. Please choose another encoding."))
        if row.no_person:
            return LineNote(NO_PERSON[row.no_person])
        if row.state and not columns.parse_state(row.state):
            return LineNote(N_("The state “%(state)s” is not known."), {"state": row.state})
        if row.lacks_child and not row.address and not row.phone:
            return LineNote(N_("There is no child, no e-mail address and no telephone number on this line."))
        if not row.address:
            return None if row.name else LineNote(N_("There is neither an e-mail address nor a name."))
        try:
            row.address = parse_member_address(row.address, self.own)
        except DomainError as error:
            return LineNote(error.message)
        self.keys[row.place] = addresses.comparison_key(row.address)
        return None


NO_PERSON = {
    "sum": N_("This looks like a sum, not a person."),
    "heading": N_("The column names stand here once more."),
    "note": N_("This looks like a remark, not a person."),
    "teacher": N_("This looks like the teacher’s line. It has no address and no child."),
}
_PUT_RIGHT = N_("The address was put right (full-width letters, spaces or brackets).")
_UNUSUAL = N_("An old carrier address of unusual form. Letters can be sent to it.")
_ZERO = N_("The leading 0 of the telephone number was put back.")
_BY_PHONE = N_("No e-mail address: registered as a family that is told by telephone.")
QUIET = frozenset((_PUT_RIGHT, _UNUSUAL, _ZERO, _BY_PHONE, cell_repair.READING_SPLIT, cell_repair.ADDRESS_UNWRAPPED))
"""Notes of what Kairan did, which need nobody's look."""


def _line_warnings(row: RosterRow, typed: str) -> list[str]:
    """Return the warnings for a valid line."""
    warnings = [] if row.address else [_no_address_message(bool(row.phone))]
    if row.address.lower() != typed.lower():
        warnings.append(_PUT_RIGHT)
    if row.address and addresses.violates_rfc(row.address):
        warnings.append(_UNUSUAL)
    if row.phone_mended:
        warnings.append(_ZERO)
    if not row.name:
        warnings.append(N_("There is no name of a guardian.") if row.child_name else N_("There is no name."))
    if row.lacks_child:
        warnings.append(N_("There is no child on this line."))
    if not row.child_name and (row.grade or row.class_name):
        warnings.append(N_("There is no child on this line, so grade and class are not kept."))
    if has_lost_character(row.name + row.child_name):
        warnings.append(N_("A “?” stands in a name: a character was lost when the file was saved."))
    if row.child_name and row.grade and not row.class_name:
        warnings.append(N_("The class is empty."))
    return warnings


def _no_address_message(phone: bool) -> str:
    if phone:
        return _BY_PHONE
    return N_("No e-mail address and no telephone number. Please add one of them later.")


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)


@dataclass(slots=True)
class PersonMatcher:
    """Find or draft the person of each line."""

    known: ExistingRows
    keys: dict[int, str]
    choices: LineChoices = field(default_factory=LineChoices)
    language: str = field(default_factory=lambda: load_settings().language)
    drafts: dict[Any, RowDraft] = field(default_factory=dict)  # by address key, (name, child), or person id
    second_addresses: list[tuple[str, Person]] = field(default_factory=list)  # (address key, whose second one it is)

    def find(self, lines: LineRows) -> None:
        """Set `line.person` of every line."""
        for line, row in lines:
            draft = line.person = self._draft(line, row)
            if draft.line and row.address:
                message = N_("Same address as line %(line)s: one letter for both.")
                line.notes.append(LineNote(message, {"line": draft.line}, quiet=True))
            draft.line = draft.line or line.number
            self._fill(line, row, draft)

    def _draft(self, line: PlanLine, row: RosterRow) -> RowDraft:
        key: Any = self.keys.get(row.place) or (row.name, row.phone or row.household or row.child_name)
        if key not in self.drafts:
            person = self._existing(row) or self._with_new_address(line, row)
            self.drafts[key] = self.drafts.setdefault(person.id, RowDraft(person)) if person else RowDraft()
        return self.drafts[key]

    def relatives(self) -> list[tuple[RowDraft, RowDraft]]:
        """Return (draft of a second address, draft of its person), who are one household."""
        return [
            (self.drafts[key], self.drafts.setdefault(person.id, RowDraft(person)))
            for key, person in self.second_addresses
        ]

    def _existing(self, row: RosterRow) -> Person | None:
        """Return the person with this address, or with this name and child (or, without a child, in this list)."""
        if row.address and (person := self.known.by_key.get(self.keys[row.place])):
            return person
        for person in self.known.by_name.get(row.name, ()) if row.name else ():
            if row.address and person.address:
                continue  # the same name with another address: a change of address, or another reader
            if self._is_same_person(person, row):
                return person
        return None

    def _is_same_person(self, person: Person, row: RosterRow) -> bool:
        """Say whether a person of this name is the one of the line: same telephone number or child, or no child on both."""
        names = [child.name for child in self.known.children_by_person[person.id]]
        return (
            (bool(row.phone) and _digits(person.phone) == _digits(row.phone))
            or row.child_name in names
            or (not row.child_name and not names and bool(self.known.memberships[person.id]))
        )

    def _with_new_address(self, line: PlanLine, row: RosterRow) -> Person | None:
        """Return a known person to whom the line gives another address; None if it is to be a row of its own.

        Without a choice, the same child or telephone number means the same person, whose address stays. The same name
        alone means another one.
        """
        if not (row.name and row.address) or self.keys[row.place] in self.known.taken:
            return None
        same = [person for person in self.known.by_name.get(row.name, ()) if person.address]
        sure = [person for person in same if self._is_same_person(person, row)]
        found = sure or [person for person in same if _is_member_here(self.known, person)]
        if not found:
            return None
        person = found[0]
        has_both = bool(sure) and person.address_key in self.keys.values()  # the file has the old address too
        choice = SECOND if has_both else self.choices.unasked
        if not choice:
            choice = self.choices.known.get(row.place) or (KEEP if sure else SECOND)
            line.known, line.choice = person, choice
            values = {"name": row.name, "address": person.address}
            line.notes.append(LineNote(N_("“%(name)s” is registered with the address %(address)s."), values))
        if choice == SECOND and sure and not self.choices.unasked:
            self.second_addresses.append((self.keys[row.place], person))
        return None if choice == SECOND else person

    def _fill(self, line: PlanLine, row: RosterRow, draft: RowDraft) -> None:
        """Update the draft from the line. Another name at a known address changes nothing."""
        if draft.row is None and not draft.fields:
            draft.fields = self._new(row)
            self._find_duplicate(draft, row)
            return
        name = draft.get("name")
        if name and row.name and not is_same_name(name, row.name):
            line.notes.append(LineNote(N_("This address is registered under another name, which is kept.")))
            return
        if row.name and (not name or (has_lost_character(name) and not has_lost_character(row.name))):
            line.changed(draft.change("name", row.name), N_("name"))
        for column, label in (("kana", N_("reading")), ("phone", N_("telephone")), ("language", N_("language"))):
            if getattr(row, column):
                line.changed(draft.change(column, getattr(row, column)), label)
        if line.choice == REPLACE and draft.row is line.known:
            fields = {**address_fields(row.address), "bare": False}
            if draft.get("address_state") in (AddressState.BOUNCED, AddressState.REFUSING):
                fields |= {"address_state": AddressState.FINE, "address_reason": ""}
            for column, value in fields.items():
                line.changed(draft.change(column, value), N_("e-mail address"))
        if row.address and not draft.get("address"):
            taken = self.known.taken.get(self.keys[row.place])
            draft.duplicate_of = taken or draft.duplicate_of
            for column, value in (address_fields(row.address) | ({"address_key": None} if taken else {})).items():
                line.changed(draft.change(column, value), N_("e-mail address"))

    def _find_duplicate(self, draft: RowDraft, row: RosterRow) -> None:
        """Give a new row of perhaps a known person no address key; the user learns nothing of it."""
        if row.address:
            draft.duplicate_of = self.known.taken.get(self.keys[row.place])
        elif row.child_name:
            same = [
                person
                for person in self.known.hidden_by_name.get(row.name, ())
                if row.child_name in [child.name for child in self.known.children_by_person[person.id]]
            ]
            draft.duplicate_of = same[0] if len(same) == 1 else None
        if row.address and draft.duplicate_of:
            draft.fields["address_key"] = None
            if draft.duplicate_of.address_state == AddressState.COMPLAINED:
                draft.fields["address_state"] = AddressState.COMPLAINED

    def _new(self, row: RosterRow) -> dict[str, Any]:
        state = columns.parse_state(row.state) if row.address else ""
        return {
            "name": row.name,
            "kana": row.kana,
            **address_fields(row.address),
            "phone": row.phone,
            "language": row.language or self.language,
            "household": "",
            "address_state": state if state in ("bounced", "complained") else AddressState.FINE,
        }


@dataclass(slots=True)
class ChildMatcher:
    """Find or draft the child of each line. Call after PersonMatcher."""

    known: ExistingRows
    drafts: dict[Any, RowDraft] = field(default_factory=dict)  # by child id, or by what lines say of it

    def find(self, lines: LineRows) -> None:
        """Set `line.child` of every line that names one; children of known guardians come first."""
        named = [(line, row) for line, row in lines if row.child_name]
        for line, row in named:
            guardian = line.person.row if line.person else None
            for child in self.known.children_by_person[guardian.id] if guardian else ():
                if is_same_name(child.name, row.child_name):
                    line.child = self.drafts.setdefault(_child_key(row), self._of(child))
                    break
        for line, row in named:
            line.child = line.child or self._draft(row)
            self._fill(line, row, line.child)

    def _of(self, child: Child) -> RowDraft:
        return self.drafts.setdefault(child.id, RowDraft(child))

    def _draft(self, row: RosterRow) -> RowDraft:
        key = _child_key(row)
        if key not in self.drafts:
            same = next(
                (child for child in self.known.children_by_name.get(row.child_name, ()) if _is_same_child(child, row)),
                None,
            )
            self.drafts[key] = self._of(same) if same else RowDraft()
        return self.drafts[key]

    def _fill(self, line: PlanLine, row: RosterRow, draft: RowDraft) -> None:
        if draft.row is None and not draft.fields:
            draft.fields = {
                "name": row.child_name,
                "kana": row.child_kana,
                "grade": row.grade,
                "class_name": row.class_name,
                "household": "",
                "attributes": dict(row.child_attributes),
            }
            return
        if has_lost_character(draft.get("name")) and not has_lost_character(row.child_name):
            line.changed(draft.change("name", row.child_name), N_("child’s name"))
        parts = (
            ("kana", row.child_kana, N_("child’s reading")),
            ("grade", row.grade, N_("grade")),
            ("class_name", row.class_name, N_("class")),
        )
        has_class = draft.row is not None and bool(draft.row.grade or draft.row.class_name)
        for part, value, label in parts:
            if value and not (has_class and row.class_given and part in ("grade", "class_name")):
                line.changed(draft.change(part, value), label)
        items = {**draft.get("attributes"), **row.child_attributes}
        line.changed(draft.change("attributes", items), N_("items"))


def _child_key(row: RosterRow) -> tuple[str, ...]:
    """Return the key under which two lines mean one child; the guardian's family name is added if grade and kana lack."""
    family = "" if row.child_kana or row.grade else row.name.partition(" ")[0]
    return (row.child_name, row.child_kana, row.grade, row.class_name, family)


def _is_same_child(child: Child, row: RosterRow) -> bool:
    """Return whether a known child of the same name is the one of this line."""
    if row.household and child.household == row.household:
        return True
    same_kana = child.kana == row.child_kana or not child.kana or not row.child_kana
    is_precise = bool((child.kana and row.child_kana) or row.grade)
    return is_precise and same_kana and (child.grade, child.class_name) == (row.grade, row.class_name)


@dataclass(slots=True)
class _DraftGroups:
    """Groups of drafts in one household (union-find); a group may have a value of the column 「世帯」."""

    parent: dict[int, int] = field(default_factory=dict)
    value: dict[int, str] = field(default_factory=dict)
    drafts: dict[int, RowDraft] = field(default_factory=dict)

    def root(self, draft: RowDraft) -> int:
        """Return the group of a draft."""
        key = id(draft)
        self.drafts.setdefault(key, draft)
        while (parent := self.parent.setdefault(key, key)) != key:
            self.parent[key] = key = self.parent[parent]
        return key

    def name(self, draft: RowDraft, value: str) -> None:
        """Set the household of the file for a draft's group; the first one counts."""
        self.value.setdefault(self.root(draft), value)

    def join(self, draft: RowDraft, other: RowDraft) -> None:
        """Merge two groups, unless the file names two households."""
        root, other_root = self.root(draft), self.root(other)
        if root == other_root or (
            root in self.value and other_root in self.value and self.value[root] != self.value[other_root]
        ):
            return
        self.parent[other_root] = root
        if other_root in self.value:
            self.value[root] = self.value.pop(other_root)

    def gathered(self) -> Iterable[tuple[str, list[RowDraft]]]:
        """Yield (value or '', drafts) of each group; groups with one value are one."""
        by_group: dict[tuple[str, int], list[RowDraft]] = {}
        for draft in self.drafts.values():
            root = self.root(draft)
            value = self.value.get(root, "")
            by_group.setdefault((value, 0 if value else root), []).append(draft)
        return ((value, drafts) for (value, _), drafts in by_group.items())


def assign_household_keys(lines: list[tuple[RowDraft, RowDraft | None, str]]) -> dict[str, str]:
    """Give (person, child, value of 「世帯」) their household keys; return the keys to merge {old: new}."""
    groups = _DraftGroups()
    for person, child, value in lines:
        groups.root(person)
        for draft in (person, child):
            if value and draft is not None:
                groups.name(draft, value)
    for person, child, value in lines:
        if child is not None and not value:
            groups.join(person, child)
    merges: dict[str, str] = {}
    taken: set[str] = set()
    for value, drafts in groups.gathered():
        existing = list(dict.fromkeys(filter(None, (draft.row and draft.row.household for draft in drafts))))
        key = (
            _key_for_named_household(value, existing, taken)
            if value
            else (existing[0] if existing else new_household_key())
        )
        merges |= {} if value else dict.fromkeys(existing[1:], key)
        for draft in drafts:
            draft.change("household", key)
    return merges


def _key_for_named_household(value: str, existing: list[str], taken: set[str]) -> str:
    """Return the key for a household of the file: its own key, one of its people's, or a new one."""
    free = [key for key in ([value] if value in existing else existing) if key not in taken]
    key = free[0] if free else value if _OWN_KEY.fullmatch(value) and value not in taken else new_household_key()
    taken.add(key)
    return key
