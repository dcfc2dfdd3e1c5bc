"""The users page: who organizes, with which roles; inviting, changing, disabling (T-38, D-08)."""

from flask import Blueprint, Response, abort
from flask_login import current_user

import clock
from blueprints.users.forms import Anyway, Duty, Invite
from core import settings
from core.accounts import accounts, invitations, login_links, roles, sessions
from models import MailingList, Role, User
from web import _, answer, blame, go, needs, page_of, told
from words import N_

bp = Blueprint("users", __name__, url_prefix="/users")

Answer = Response | tuple[str, int]


def _user(number: int) -> User:
    return User.get_or_none(User.id == number) or abort(404)


@bp.get("")
@needs("admin")
def index() -> Answer:
    """List the users with roles, last login and state."""
    page = page_of(User.select().order_by(User.disabled_at.is_null(False), User.name_key))
    return answer("users/index.html", found=page, held=_roles_of(page.rows), waiting=invitations.is_invitation_pending)


def _roles_of(users: list[User]) -> dict[int, list[tuple[Role, str]]]:
    """Return each user's roles, with where they count, in two queries."""
    found = list(Role.select().where(Role.user.in_(users)).order_by(Role.list_id))
    names = {0: _("The whole organization")}
    names |= {one.id: one.name for one in MailingList.select().where(MailingList.id.in_({r.list_id for r in found}))}
    held: dict[int, list[tuple[Role, str]]] = {user.id: [] for user in users}
    for role in found:
        held[role.user_id].append((role, names.get(role.list_id, "")))
    return held


@bp.route("/invite", methods=["GET", "POST"])
@needs("admin")
def invite() -> Answer:
    """Invite a colleague by mail."""
    form = Invite(language=settings.load_settings().language)
    if not form.validate_on_submit():
        return answer("users/invite.html", status=422 if form.errors else 200, form=form)
    try:
        user = invitations.invite_user(
            form.name.data,
            form.email.data,
            language=form.language.data,
            kind=form.kind.data,
            list_id=form.place.data,
            until=form.until.data,
            by=current_user,
            now=clock.now(),
        )
    except (accounts.DomainError, roles.InvalidRole) as refused:
        blame(form, getattr(refused, "field", "place"), refused.message, **refused.values)
        return answer("users/invite.html", status=422, form=form)
    told(N_("The invitation is on its way. Its link works for three days."))
    return go("users.show", number=user.id)


@bp.get("/<int:number>")
@needs("admin")
def show(number: int) -> Answer:
    """Show one user with everything that can be changed."""
    return _page(_user(number), Duty(None))


def _page(user: User, form: Duty, status: int = 200, alone: list[MailingList] | None = None) -> Answer:
    now = clock.now()
    waiting = invitations.is_invitation_pending(user)
    practice = settings.load_settings().practice
    return answer(
        "users/show.html",
        status=status,
        user=user,
        form=form,
        held=_roles_of([user])[user.id],
        words=roles.ROLE_LABELS,
        waiting=waiting,
        link=login_links.link_url(user, "invitation", now) if waiting and practice else "",
        sessions=sessions.active_sessions(user, now).count(),
        alone=alone or [],
        today=clock.today(),
    )


@bp.post("/<int:number>/roles")
@needs("admin")
def give(number: int) -> Answer:
    """Give a role, or change the one that is held there."""
    user, form = _user(number), Duty()
    if not form.validate():
        return _page(user, form, 422)
    try:
        roles.grant_role(user, form.kind.data, form.place.data, until=form.until.data, by=current_user)
    except (roles.InvalidRole, roles.LastAdministrator, roles.LastManager) as refused:
        blame(form, "place", refused.message, **refused.values)
        return _page(user, form, 422)
    told(N_("Saved."))
    return go("users.show", number=number)


@bp.post("/<int:number>/roles/<int:role>/remove")
@needs("admin")
def take(number: int, role: int) -> Answer:
    """Take a role away; the last manager of a list and the last administrator stay (T-38)."""
    held = Role.get_or_none(Role.id == role, Role.user == _user(number)) or abort(404)
    try:
        roles.revoke_role(held, by=current_user)
        told(N_("The role is removed."))
    except (roles.LastAdministrator, roles.LastManager) as refused:
        told(refused.message, "wrong", **refused.values)
    return go("users.show", number=number)


@bp.post("/<int:number>/disable")
@needs("admin")
def disable(number: int) -> Answer:
    """Close an account at once; a list that loses its only manager is named first."""
    user, form = _user(number), Anyway()
    try:
        roles.disable_account(user, by=current_user, now=clock.now(), anyway=form.anyway.data)
    except roles.LastManager as refused:
        return _page(user, Duty(None), 422, alone=refused.lists)
    except roles.LastAdministrator as refused:
        told(refused.message, "wrong", **refused.values)
        return go("users.show", number=number)
    told(N_("%(name)s is disabled and logged out everywhere."), name=user.name)
    return go("users.show", number=number)


@bp.post("/<int:number>/enable")
@needs("admin")
def enable(number: int) -> Answer:
    """Open a disabled account again."""
    roles.enable_account(_user(number), by=current_user)
    told(N_("The account is open again."))
    return go("users.show", number=number)


@bp.post("/<int:number>/invite-again")
@needs("admin")
def invite_again(number: int) -> Answer:
    """Send the invitation once more."""
    if invitations.resend_invitation(_user(number), by=current_user, now=clock.now()):
        told(N_("The invitation is on its way. Its link works for three days."))
    else:
        told(N_("This invitation was taken up already."), "wrong")
    return go("users.show", number=number)


@bp.post("/<int:number>/log-out")
@needs("admin")
def log_out(number: int) -> Answer:
    """End every session of a user (a lost phone)."""
    user = _user(number)
    ended = sessions.revoke_all_sessions(user, clock.now(), but=current_user.session)
    told(N_("%(name)s is logged out on %(n)s devices."), name=user.name, n=ended)
    return go("users.show", number=number)
