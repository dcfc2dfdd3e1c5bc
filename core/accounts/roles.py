"""Granting and revoking roles. Each list keeps a manager, and the organization an administrator (T-38)."""

from collections.abc import Iterable
from datetime import date, datetime

import clock
from core import audit
from core.accounts import sessions
from core.errors import DomainError
from core.permissions import active_roles
from database import db
from i18n import N_
from models import MailingList, Role, User

ROLE_LABELS = {
    "admin": N_("Administrator"),
    "manager": N_("Manager"),
    "sender": N_("Sender"),
    "viewer": N_("View only"),
}


class LastAdministrator(DomainError):
    """The organization would have no administrator."""

    message = N_("This is the last administrator. Please make another user an administrator first.")


class LastManager(DomainError):
    """Some lists would have no manager."""

    message = N_("%(lists)s would be left without a manager. Please name another one first.")

    def __init__(self, lists: list[MailingList]) -> None:
        super().__init__(lists=", ".join(mailing_list.name for mailing_list in lists))
        self.lists = lists


def roles_with_list_names(users: Iterable[User]) -> dict[int, list[tuple[Role, str]]]:
    """Return {user id: roles with the names of their lists}; for the whole organization the name is empty."""
    held: dict[int, list[tuple[Role, str]]] = {user.id: [] for user in users}
    roles = list(Role.select().where(Role.user.in_(list(held))).order_by(Role.list_id))
    lists = MailingList.select(MailingList.id, MailingList.name)
    names = dict(lists.where(MailingList.id.in_({role.list_id for role in roles})).tuples())
    for role in roles:
        held[role.user_id].append((role, names.get(role.list_id, "")))
    return held


def grant_role(user: User, kind: str, list_id: int, *, until: date | None = None, by: User | None) -> Role:
    """Give a role in a list (0: the whole organization), replacing the one held there. Raises DomainError."""
    _validate_role(kind, list_id)
    with db.atomic():
        if role := Role.get_or_none(Role.user == user, Role.list_id == list_id):
            _require_remaining_holder(role, kind, until)
        Role.insert(user=user, list_id=list_id, kind=kind, until=until).on_conflict(
            conflict_target=(Role.user, Role.list_id), update={Role.kind: kind, Role.until: until}
        ).execute()
        audit.log_action(by, "role.given", user.id, kind="user", detail={"list": list_id, "role": kind})
        granted: Role = Role.get(Role.user == user, Role.list_id == list_id)
    return granted


def _validate_role(kind: str, list_id: int) -> None:
    if kind not in Role.KINDS:
        raise DomainError(N_("Please choose a role."), "place")
    if kind == "admin" and list_id:
        raise DomainError(N_("An administrator is one for the whole organization. Please choose that."), "place")
    if (
        list_id
        and not MailingList.select().where(MailingList.id == list_id, MailingList.practice_of.is_null()).exists()
    ):
        raise DomainError(N_("Please choose a list."), "place")


def revoke_role(role: Role, *, by: User | None) -> None:
    """Remove a role. Raises LastAdministrator, LastManager."""
    with db.atomic():
        _require_remaining_holder(role, "", None)
        if Role.delete().where(Role.id == role.id).execute():
            audit.log_action(
                by, "role.taken", role.user_id, kind="user", detail={"list": role.list_id, "role": role.kind}
            )


def _require_remaining_holder(role: Role, kind: str, until: date | None) -> None:
    """Raise if the change would leave the organization without an administrator, or the list without a manager."""
    if kind == role.kind and until is None:
        return
    if role.kind == "admin" and not _has_permanent_other(role, "admin", 0):
        raise LastAdministrator
    if role.kind == "manager" and role.list_id and not _has_permanent_other(role, "manager", role.list_id):
        raise LastManager(list(MailingList.select().where(MailingList.id == role.list_id)))


def _has_permanent_other(role: Role, kind: str, list_id: int) -> bool:
    lasting = active_roles(clock.today()).where(Role.user != role.user_id, Role.until.is_null())
    return lasting.where(Role.kind == kind, Role.list_id == list_id).exists()


def is_last_administrator(user: User) -> bool:
    """Say whether the organization would have no permanent administrator without this user."""
    admins = list(active_roles(clock.today()).where(Role.kind == "admin", Role.list_id == 0))
    permanent = {role.user_id for role in admins if role.until is None}
    return user.id in {role.user_id for role in admins} and not permanent - {user.id}


def lists_managed_only_by(user: User) -> list[MailingList]:
    """Return the open lists that only this user manages."""
    managers: dict[int, set[int]] = {}
    for role in active_roles(clock.today()).where(Role.kind == "manager", Role.list_id != 0):
        managers.setdefault(role.list_id, set()).add(role.user_id)
    alone = [list_id for list_id, users in managers.items() if users == {user.id}]
    return list(MailingList.open_lists().where(MailingList.id.in_(alone)))


def disable_account(user: User, *, by: User | None, now: datetime, anyway: bool = False) -> None:
    """Disable an account; its sessions and links end at once. Raises LastAdministrator; LastManager unless `anyway`."""
    with db.atomic():
        if is_last_administrator(user):
            raise LastAdministrator
        if not anyway and (lists := lists_managed_only_by(user)):
            raise LastManager(lists)
        changed = (
            User.update(disabled_at=now, link_serial=User.link_serial + 1)
            .where(User.id == user.id, User.disabled_at.is_null())
            .execute()
        )
        if changed:
            sessions.revoke_all_sessions(user, now)
            audit.log_action(by, "user.disabled", user.id)


def enable_account(user: User, *, by: User | None) -> None:
    """Enable a disabled account. Its old sessions stay ended."""
    if User.update(disabled_at=None).where(User.id == user.id, User.disabled_at.is_null(False)).execute():
        audit.log_action(by, "user.enabled", user.id)
