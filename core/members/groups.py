"""Groups: a part of the members of a list, by rules or fixed, for targeting (D-01, D-10 to D-14, E-15).

A group belongs to one list and inherits its permissions: a user who can send to the list can group its members. Rules
are evaluated at each use; a fixed group holds memberships.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from peewee import JOIN, ModelSelect, fn

from core import audit
from core.errors import DomainError
from core.members import segment_rules
from core.members.lists import item_names
from core.members.normalise import normalise_text
from core.members.segment_rules import RuleBlocks
from database import bulk_insert, db
from i18n import N_
from models import (
    DELIVERABLE_STATES,
    Child,
    Group,
    GroupMember,
    MailingList,
    Membership,
    MembershipState,
    Notice,
    NoticeState,
    Person,
    Target,
    User,
)

if TYPE_CHECKING:
    from models import Rows

MAX_NAME_LENGTH = 60
MAX_GROUPS_PER_NOTICE = 15
"""Groups in one notice, included and excluded together (D-14)."""
MAX_SUGGESTIONS = 60


# ── who is in it ─────────────────────────────────────────────────────────────────────────────────────────────────


def membership_ids(group: Group) -> "Rows[Membership]":
    """Return the ids of the memberships in a group, as a subquery."""
    if group.condition:
        return matching_membership_ids(group.list_id, segment_rules.blocks_from_json(group.condition))
    fixed = GroupMember.select(GroupMember.membership).where(GroupMember.group == group)
    return Membership.select(Membership.id).where(Membership.id.in_(fixed), Membership.is_member)


def matching_membership_ids(list_id: int, condition: RuleBlocks) -> "Rows[Membership]":
    """Return the ids of the memberships in a list that match some rules, as a subquery."""
    return (
        Membership.select(Membership.id)
        .join(Person)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list == list_id, Membership.is_member, segment_rules.blocks_to_sql(condition))
    )


@dataclass(frozen=True, slots=True)
class GroupPreview:
    """The size of a group. `people`: distinct persons; `by_mail`: those who get e-mail."""

    people: int
    by_mail: int
    rows: list[Membership]


def preview_group(numbers: "ModelSelect[Any]", limit: int = 20) -> GroupPreview:
    """Count the people behind some memberships, and return the first rows, by kana."""
    wanted = Membership.id.in_(numbers)
    mail = (
        Person.address.is_null(False)
        & Person.address_state.in_(DELIVERABLE_STATES)
        & (Membership.state == MembershipState.ACTIVE)
    )
    counted = Membership.select(fn.COUNT(fn.DISTINCT(Membership.person))).join(Person).where(wanted)
    rows = (
        Membership.select(Membership, Person, Child)
        .join(Person)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(wanted)
        .order_by(Person.kana, Person.id, Membership.id)
        .limit(limit)
    )
    return GroupPreview(counted.scalar(), counted.where(mail).scalar(), list(rows))


def count_reachable(group: Group) -> int:
    return preview_group(membership_ids(group), 0).by_mail


# ── which there are ──────────────────────────────────────────────────────────────────────────────────────────────


def groups_in_lists(lists: Iterable[int]) -> list[Group]:
    """Return the open groups of some lists, by list and name."""
    return list(
        Group.select(Group, MailingList)
        .join(MailingList)
        .where(Group.list.in_(list(lists)), Group.closed_at.is_null(), MailingList.closed_at.is_null())
        .order_by(MailingList.whole.desc(), MailingList.name, Group.name)
    )


def open_groups_by_id(numbers: Iterable[int]) -> dict[int, Group]:
    wanted = list(numbers)
    if not wanted:
        return {}
    rows = Group.select(Group, MailingList).join(MailingList)
    open_rows = rows.where(Group.id.in_(wanted), Group.closed_at.is_null(), MailingList.closed_at.is_null())
    return {group.id: group for group in open_rows}


def suggest_values(list_id: int) -> dict[str, list[str]]:
    """Return {field: values} that the members of a list have, for suggestions in the rule editor."""
    in_list = (Membership.list == list_id) & Membership.is_member
    children = Child.select(Child.grade, Child.class_name, Child.attributes).join(Membership).where(in_list).distinct()
    own = Membership.select(Membership.relation, Membership.attributes).where(in_list).distinct()
    suggestions: dict[str, dict[str, None]] = {}
    for grade, class_name, items in children.tuples():
        _collect_values(suggestions, {"grade": grade, "class_name": class_name}, items)
    for relation, items in own.tuples():
        _collect_values(suggestions, {"relation": relation}, items)
    return {
        field: sorted(values, key=lambda value: (len(value), value))[:MAX_SUGGESTIONS]
        for field, values in suggestions.items()
    }


def _collect_values(
    suggestions: dict[str, dict[str, None]], fixed: dict[str, str], items: dict[str, str] | None
) -> None:
    for field, value in (
        *fixed.items(),
        *((segment_rules.ITEM_PREFIX + name, text) for name, text in (items or {}).items()),
    ):
        if value:
            suggestions.setdefault(field, {})[str(value)] = None


def rule_fields(list_id: int) -> list[str]:
    """Return the fields that the rules of a list may use."""
    return [*segment_rules.FIELDS, *(segment_rules.ITEM_PREFIX + name for name in item_names([list_id]))]


# ── making and changing ──────────────────────────────────────────────────────────────────────────────────────────


def add_group(
    mailing_list: MailingList, name: str, by: User | None, now: datetime, condition: RuleBlocks = ()
) -> Group:
    """Add a group; without rules it is fixed and empty. Raises DomainError."""
    with db.atomic():
        clean_name = _validate_name(mailing_list, name)
        group = Group.create(
            list=mailing_list, name=clean_name, condition=segment_rules.blocks_to_json(condition), created_at=now
        )
        audit.log_action(by, "group.added", group.id, detail={"list": mailing_list.id})
    return group


def change_group(group: Group, name: str, by: User | None, condition: RuleBlocks | None = None) -> None:
    """Change name and rules (None: unchanged). Raises DomainError."""
    with db.atomic():
        clean = _validate_name(group.list, name, group.id)
        rows = group.condition if condition is None else segment_rules.blocks_to_json(condition)
        Group.update(name=clean, condition=rows).where(Group.id == group.id).execute()
        audit.log_action(by, "group.changed", group.id, detail={"list": group.list_id})


def _validate_name(mailing_list: MailingList, name: str, group: int = 0) -> str:
    clean = normalise_text(name)
    if not clean:
        raise DomainError(N_("Please enter a name."), "name")
    if len(clean) > MAX_NAME_LENGTH:
        raise DomainError(N_("The name is longer than 60 characters."), "name")
    others = Group.select().where(
        Group.list == mailing_list, Group.name == clean, Group.id != group, Group.closed_at.is_null()
    )
    if others.exists():
        raise DomainError(N_("This list has a group of that name already."), "name")
    return clean


def freeze_members(group: Group, by: User | None) -> int:
    """Turn the members who match the rules now into fixed members; return how many memberships."""
    with db.atomic():
        numbers = [row.id for row in membership_ids(group)]
        Group.update(condition=[]).where(Group.id == group.id).execute()
        GroupMember.delete().where(GroupMember.group == group).execute()
        bulk_insert(GroupMember, ({"group": group.id, "membership": number} for number in numbers))
        audit.log_action(by, "group.fixed", group.id, detail={"places": len(numbers)})
    return len(numbers)


def add_group_members(group: Group, people: Iterable[int], by: User | None) -> int:
    """Add members of the list to a fixed group; return how many people were added. Idempotent."""
    with db.atomic():
        members = GroupMember.select(GroupMember.membership).where(GroupMember.group == group)
        rows = list(
            Membership.select(Membership.id, Membership.person).where(
                Membership.list == group.list_id,
                Membership.person.in_(list(people)),
                Membership.is_member,
                Membership.id.not_in(members),
            )
        )
        bulk_insert(GroupMember, ({"group": group.id, "membership": row.id} for row in rows))
        added = len({row.person_id for row in rows})
        if added:
            audit.log_action(by, "group.members_added", group.id, detail={"people": added})
    return added


def remove_group_members(group: Group, people: Iterable[int], by: User | None) -> int:
    """Remove people from a fixed group; return how many memberships. They stay in the list."""
    theirs = Membership.select(Membership.id).where(Membership.person.in_(list(people)))
    with db.atomic():
        gone = GroupMember.delete().where(GroupMember.group == group, GroupMember.membership.in_(theirs)).execute()
        if gone:
            audit.log_action(by, "group.members_removed", group.id, detail={"places": gone})
    return gone


def close_group(group: Group, by: User | None, now: datetime) -> None:
    """Close a group; its members stay in the list. Raises DomainError while a notice to it is scheduled."""
    with db.atomic():
        if _has_scheduled_notice(group):
            raise DomainError(N_("A notice to this group is booked or about to be sent. Cancel it first."))
        if Group.update(closed_at=now).where(Group.id == group.id, Group.closed_at.is_null()).execute():
            audit.log_action(by, "group.removed", group.id, detail={"list": group.list_id})


def _has_scheduled_notice(group: Group) -> bool:
    return (
        Notice.select()
        .join(Target, on=(Target.notice == Notice.id))
        .where(
            Target.kind == "group",
            Target.number == group.id,
            Notice.state.in_((NoticeState.HELD, NoticeState.SCHEDULED)),
        )
        .exists()
    )
