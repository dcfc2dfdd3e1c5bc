"""Who gets which role, and that no list and no house is left without somebody in charge (T-38)."""

from datetime import date, datetime

import clock
from core import audit
from core.accounts import sessions
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


class LastAdministrator(Exception):
    """Nobody would be left who may administer the house."""

    message = N_("This is the last administrator. Please make somebody else an administrator first.")
    values: dict[str, object] = {}


class LastManager(Exception):
    """A list would be left without a manager (T-38)."""

    message = N_("%(lists)s would be left without a manager. Please name another one first.")

    def __init__(self, lists: list[MailingList]) -> None:
        super().__init__(self.message)
        self.lists = lists
        self.values = {"lists": ", ".join(one.name for one in lists)}


class InvalidRole(Exception):
    """Such a role cannot be given."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message, self.values = message, {}


def grant_role(user: User, kind: str, list_id: int, *, until: date | None = None, by: User | None) -> Role:
    """Give a role in a list (0: the whole organization), in place of the one held there.

    Raises InvalidRole, LastAdministrator, LastManager.
    """
    _validate_role(kind, list_id)
    with db.atomic():
        held = Role.get_or_none(Role.user == user, Role.list_id == list_id)
        if held:
            _require_remaining_holder(held, kind, until)
        Role.insert(user=user, list_id=list_id, kind=kind, until=until).on_conflict(
            conflict_target=(Role.user, Role.list_id), update={Role.kind: kind, Role.until: until}
        ).execute()
        audit.log_action(by, "role.given", user.id, kind="user", detail={"list": list_id, "role": kind})
        return Role.get(Role.user == user, Role.list_id == list_id)


def _validate_role(kind: str, list_id: int) -> None:
    if kind not in Role.KINDS:
        raise InvalidRole(N_("Please choose a role."))
    if kind == "admin" and list_id:
        raise InvalidRole(N_("An administrator is one for the whole organization. Please choose that."))
    if (
        list_id
        and not MailingList.select().where(MailingList.id == list_id, MailingList.practice_of.is_null()).exists()
    ):
        raise InvalidRole(N_("Please choose a list."))


def revoke_role(role: Role, *, by: User | None) -> None:
    """Take a role away. Raises LastAdministrator, LastManager."""
    with db.atomic():
        _require_remaining_holder(role, "", None)
        if Role.delete().where(Role.id == role.id).execute():
            audit.log_action(
                by, "role.taken", role.user_id, kind="user", detail={"list": role.list_id, "role": role.kind}
            )


def _require_remaining_holder(role: Role, kind: str, until: date | None) -> None:
    """Refuse a change after which nobody would administer the house, or manage this list."""
    if kind == role.kind and until is None:
        return
    if role.kind == "admin" and not _has_permanent_other(role, "admin", 0):
        raise LastAdministrator(LastAdministrator.message)
    if role.kind == "manager" and role.list_id and not _has_permanent_other(role, "manager", role.list_id):
        raise LastManager(list(MailingList.select().where(MailingList.id == role.list_id)))


def _has_permanent_other(role: Role, kind: str, list_id: int) -> bool:
    lasting = active_roles(clock.today()).where(Role.user != role.user_id, Role.until.is_null())
    return lasting.where(Role.kind == kind, Role.list_id == list_id).exists()


def is_last_administrator(user: User) -> bool:
    """Say whether the house would have no administrator without this user."""
    admins = active_roles(clock.today()).where(Role.kind == "admin", Role.list_id == 0)
    held = {row.user_id for row in admins}
    lasting = {row.user_id for row in admins if row.until is None}
    return user.id in held and not lasting - {user.id}


def lists_managed_only_by(user: User) -> list[MailingList]:
    """Return the open lists that only this user manages."""
    managers = active_roles(clock.today()).where(Role.kind == "manager", Role.list_id != 0)
    by_list: dict[int, set[int]] = {}
    for row in managers:
        by_list.setdefault(row.list_id, set()).add(row.user_id)
    alone = [number for number, users in by_list.items() if users == {user.id}]
    return list(MailingList.open_lists().where(MailingList.id.in_(alone)))


def disable_account(user: User, *, by: User | None, now: datetime, anyway: bool = False) -> None:
    """Close an account at once: its sessions and links are dead.

    Raises LastAdministrator; LastManager unless `anyway`.
    """
    with db.atomic():
        if is_last_administrator(user):
            raise LastAdministrator(LastAdministrator.message)
        if not anyway and (alone := lists_managed_only_by(user)):
            raise LastManager(alone)
        changed = (
            User.update(disabled_at=now, link_serial=User.link_serial + 1)
            .where(User.id == user.id, User.disabled_at.is_null())
            .execute()
        )
        if changed:
            sessions.revoke_all_sessions(user, now)
            audit.log_action(by, "user.disabled", user.id)


def enable_account(user: User, *, by: User | None) -> None:
    """Open a disabled account again; whoever holds it logs in anew."""
    if User.update(disabled_at=None).where(User.id == user.id, User.disabled_at.is_null(False)).execute():
        audit.log_action(by, "user.enabled", user.id)
