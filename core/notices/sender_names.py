"""The sender name of a notice: its sender, another user, an allowed sender, or the class teachers (D-07 to D-23).

Only the display name changes: the From address of another domain would fail DMARC (decision 4). Managers of all lists
of the notice may choose a name. An empty `Notice.sender_name` means the user who sends the notice.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import clock
from core.errors import DomainError
from core.notices.drafts import reload_notice, update_draft
from core.permissions import Permissions, active_roles, permissions_of, person_scope, target_lists
from i18n import N_
from models import AllowedSender, Delivery, Membership, MembershipState, Notice, Role, User


class SenderNameForbidden(DomainError):
    """The user is not a manager of all lists (D-21)."""

    message = N_("Only managers of the lists may send in another name.")


class SenderNameUnavailable(DomainError):
    """The chosen name is not offered (any more)."""

    message = N_("“%(name)s” cannot be chosen any more. Please choose the name of the sender again.")


@dataclass(frozen=True, slots=True)
class SenderNameChoices:
    """users: other users. names: of allowed senders."""

    users: tuple[User, ...]
    names: tuple[str, ...]


def may_choose_sender_name(rights: Permissions, notice: Notice) -> bool:
    """Say whether the user may send the notice in another name (D-08, D-21)."""
    return rights.may_in_all_lists("manage", notice)


def sender_name_choices(rights: Permissions) -> SenderNameChoices:
    """Return the names offered to a user: users with a role in the user's lists or in the organization, allowed senders."""
    lists = [mailing_list.id for mailing_list in rights.lists("manage") if not mailing_list.practice_of_id]
    roles = active_roles(clock.today())
    if not rights.is_admin:
        roles = roles.where(Role.list_id.in_([0, *lists]))
    users = User.select().where(User.id.in_(roles.select(Role.user)), User.id != rights.user_id)
    names = (
        AllowedSender.select(AllowedSender.name)
        .where(AllowedSender.list.in_(lists), AllowedSender.name != "")
        .distinct()
    )
    offered = tuple(users.order_by(User.name))
    known = {user.name for user in (*offered, User.get_by_id(rights.user_id))}
    return SenderNameChoices(offered, tuple(sorted({row.name for row in names} - known)))


def set_sender_name(
    notice: Notice,
    rights: Permissions,
    now: datetime,
    *,
    user: int | None = None,
    name: str = "",
    from_class_teacher: bool = False,
) -> None:
    """Set the sender name of a draft; neither `user` nor `name`: the user who sends it.

    from_class_teacher: members with a class teacher get the letter in that name. Raises SenderNameForbidden,
    SenderNameUnavailable, NotADraft.
    """
    fields: dict[str, object] = {"sender_user": None, "sender_name": ""}
    if (user or name or from_class_teacher) and not may_choose_sender_name(rights, notice):
        raise SenderNameForbidden()
    if user or name:
        fields = _fields_for_choice(sender_name_choices(rights), user, name)
    update_draft(notice, **fields, from_class_teacher=from_class_teacher, updated_at=now)
    reload_notice(notice)


def _fields_for_choice(offer: SenderNameChoices, user: int | None, name: str) -> dict[str, object]:
    if user:
        for offered in offer.users:
            if offered.id == user:
                return {"sender_user": offered, "sender_name": offered.name}
        raise SenderNameUnavailable(name=name)
    if name not in offer.names:
        raise SenderNameUnavailable(name=name)
    return {"sender_user": None, "sender_name": name}


def verify_sender_name(notice: Notice, by: User | None) -> None:
    """Check the sender name again on confirmation. The terminal (`by` None) may use any name.

    Raises SenderNameForbidden, SenderNameUnavailable.
    """
    if by is None or not uses_other_name(notice, by):
        return
    rights = permissions_of(by)
    if not may_choose_sender_name(rights, notice):
        raise SenderNameForbidden()
    if not notice.sender_name:
        return
    offer = sender_name_choices(rights)
    known = notice.sender_user_id in {by.id, *(user.id for user in offer.users)} if notice.sender_user_id else False
    if not known and notice.sender_name not in offer.names:
        raise SenderNameUnavailable(name=notice.sender_name)


def uses_other_name(notice: Notice, by: User | None) -> bool:
    """Say whether the notice goes out in another name than that of its sender."""
    return notice.from_class_teacher or (bool(notice.sender_name) and (by is None or notice.sender_user_id != by.id))


def response_recipient(delivery: Delivery) -> User | None:
    """Return the user who gets the replies and digests of a letter.

    This is the class teacher (D-18), the user whose name was chosen (D-20), or else the user who sent the notice:
    allowed senders have no account.
    """
    notice = delivery.notice
    for user in (delivery.class_teacher, notice.sender_user, notice.by):
        if user is not None and user.is_active and user.email:
            return user
    return None


# ── class teachers ───────────────────────────────────────────────────────────────────────────────────────────────

TeachersByReader = dict[tuple[int, int], list[tuple[int, int, str]]]
"""{(person id, child id or 0): [(list id, user id, name)]}"""


def teachers_by_reader(notice: Notice) -> TeachersByReader:
    """Return the class teachers of all readers, if the notice is sent in their names; else {}."""
    if not notice.from_class_teacher:
        return {}
    lists = _signing_lists(notice)
    in_lists = Membership.list.in_(lists) if lists is not None else Membership.id.is_null(False)
    rows = (
        Membership.select(Membership.person, Membership.child, Membership.list, User.id, User.name)
        .join(User, on=(Membership.class_teacher == User.id))
        .where(in_lists, Membership.state == MembershipState.ACTIVE, User.disabled_at.is_null())
        .order_by(Membership.list)
        .tuples()
    )
    teachers: TeachersByReader = defaultdict(list)
    for person, child, list_id, user, name in rows:
        teachers[person, child or 0].append((list_id, user, name))
    return dict(teachers)


def _signing_lists(notice: Notice) -> list[int] | None:
    """Return the ids of the lists whose class teachers may sign the letters; None: all."""
    targets, within = target_lists(notice), person_scope(notice)
    if within is None or any(mailing_list.whole for mailing_list in targets):
        return None
    return [*within, *(mailing_list.id for mailing_list in targets)]


def teacher_for_reader(
    teachers: TeachersByReader, person: int, children: Iterable[int | None], order: dict[int, int]
) -> tuple[int | None, str]:
    """Return id and name of the class teacher of a reader with some children; the first list of the notice decides."""
    candidates = [teacher for child in children for teacher in teachers.get((person, child or 0), ())]
    if not candidates:
        return None, ""
    _, user, name = min(candidates, key=lambda teacher: (order.get(teacher[0], len(order)), teacher[0]))
    return user, name
