"""What an organizer chooses recipients from: lists with their sizes, people by name (D-01, D-10 to D-13, X-04)."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime

from peewee import JOIN, Expression, Field, Function, ModelSelect, fn

from core.permissions import Permissions
from models import Child, Group, MailingList, Membership, Notice, Person, Target

_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}


def count_reachable(lists: Iterable[MailingList]) -> dict[int, int]:
    """Return how many people each list reaches by mail today, in one query. Lists without anybody are absent."""
    rows = (
        Membership.select(Membership.list, fn.COUNT(fn.DISTINCT(Membership.person)))
        .join(Person)
        .where(
            Membership.list.in_([one.id for one in lists]),
            Membership.state == "active",
            Person.address.is_null(False),
            Person.address_state.in_(("fine", "refusing")),
        )
        .group_by(Membership.list)
        .tuples()
    )
    return dict(rows)


def search_people(
    rights: Permissions, text: str = "", *, numbers: Iterable[int] | None = None, limit: int = 12
) -> list[Person]:
    """Return people of the lists that may be sent to: by number, or by a piece of a name, reading or child's name.

    Each has `.children_text` for display: 「青山 陽菜 1-1、…」. Who has left every such list is not found.
    """
    query = _selectable_people(rights)
    if numbers is not None:
        query = query.where(Person.id.in_(list(numbers)))
    else:
        query = query.where(_name_matches(text, rights)).limit(limit)
    found = list(query.order_by(Person.kana, Person.id))
    children = _children_by_person(found, rights)
    for person in found:
        person.children_text = "、".join(children.get(person.id, ()))
    return found


def may_send_to_all(
    rights: Permissions, lists: Iterable[int], persons: Iterable[int], groups: Iterable[int] = ()
) -> bool:
    """Say whether every list, person and group chosen is the user's to send to: a forged form must not pass (T-33)."""
    wanted, named = set(persons), set(groups)
    mine = {one.id for one in rights.lists("send")}
    if not set(lists) <= mine:
        return False
    theirs = Group.select().where(Group.id.in_(named), Group.list.in_(mine))
    if named and theirs.count() < len(named):
        return False
    known = {one.id for one in _selectable_people(rights).where(Person.id.in_(wanted))} if wanted else set()
    return wanted <= known


def may_still_send(rights: Permissions, notice: Notice) -> bool:
    """Say whether the targets of a draft are still the user's to send to: roles end, drafts stay."""
    rows = list(Target.select().where(Target.notice == notice, Target.include == True))
    return may_send_to_all(
        rights,
        [row.number for row in rows if row.kind == "list"],
        [row.number for row in rows if row.kind == "person"],
        [row.number for row in rows if row.kind == "group"],
    )


def target_ids(notice: Notice) -> dict[tuple[str, bool], set[int]]:
    """Return the numbers of a notice's targets by (kind, include)."""
    numbers: dict[tuple[str, bool], set[int]] = {}
    for row in Target.select().where(Target.notice == notice):
        numbers.setdefault((row.kind, row.include), set()).add(row.number)
    return numbers


def people_changed_since(notice: Notice, moment: datetime) -> list[Person]:
    """Return whose coming, leaving, stopping or new address changed the audience since a moment, by kana."""
    numbers = target_ids(notice)
    lists, alone = numbers.get(("list", True), set()), numbers.get(("person", True), set())
    of_groups = Group.select(Group.list).where(Group.id.in_(numbers.get(("group", True), set())))
    lists |= {one.list_id for one in of_groups}
    moved = Membership.select(Membership.person).where(
        Membership.list.in_(lists) | Membership.person.in_(alone),
        (Membership.joined_at >= moment) | (Membership.stopped_at >= moment) | (Membership.left_at >= moment),
    )
    bounced = Membership.select(Membership.person).where(
        Membership.list.in_(lists) | Membership.person.in_(alone), Membership.state == "active"
    )
    return list(
        Person.select()
        .where(Person.id.in_(moved) | ((Person.address_state_at >= moment) & Person.id.in_(bounced)))
        .order_by(Person.kana, Person.id)
    )


def _selectable_people(rights: Permissions) -> ModelSelect:
    member = Membership.select(Membership.person).where(
        Membership.list.in_(_sendable_lists(rights)), Membership.is_member
    )
    return Person.select().where(Person.id.in_(member))


def _sendable_lists(rights: Permissions) -> ModelSelect:
    return rights.lists("send").select(MailingList.id).order_by()


def _name_matches(text: str, rights: Permissions) -> Expression:
    """Match a piece of a name or reading, the child's too; hiragana finds katakana, spaces do not matter.

    Children of other lists find nobody: that two children are brother and sister is not for everybody to learn.
    """
    wanted = unicodedata.normalize("NFKC", text).replace(" ", "")
    reading = wanted.translate(_KATAKANA)
    child = (
        Membership.select(Membership.person)
        .join(Child, JOIN.INNER)
        .where(Membership.list.in_(_sendable_lists(rights)), Membership.is_member)
        .where(_without_spaces(Child.name).contains(wanted) | _without_spaces(Child.kana).contains(reading))
    )
    return (
        _without_spaces(Person.name).contains(wanted)
        | _without_spaces(Person.kana).contains(reading)
        | Person.id.in_(child)
        if wanted
        else Person.id.is_null()
    )


def _without_spaces(column: Field) -> Function:
    return fn.REPLACE(fn.REPLACE(column, " ", ""), "\u3000", "")


def _children_by_person(found: list[Person], rights: Permissions) -> dict[int, list[str]]:
    """Return each one's children in the lists that may be sent to: of other lists' children nobody learns here."""
    rows = (
        Membership.select(Membership.person, Child)
        .join(Child)
        .where(Membership.person.in_([one.id for one in found]))
        .where(Membership.list.in_(_sendable_lists(rights)), Membership.is_member)
        .order_by(Child.id)
    )
    names: dict[int, dict[int, str]] = {}
    for row in rows:
        shown = f"{row.child.name} {row.child.room}".strip()
        names.setdefault(row.person_id, {})[row.child.id] = shown
    return {person: list(by_child.values()) for person, by_child in names.items()}
