"""Invitations, roles, disabled accounts. For administrators."""

from flask import Response
from flask_login import current_user
from wtforms import BooleanField, DateField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional

import clock
from blueprints.users import bp
from core import settings
from core.accounts import accounts, devices, login_links, roles, second_factor, sessions
from core.errors import DomainError
from i18n import LANGUAGES, N_
from models import MailingList, Role, User
from web import (
    Form,
    _,
    ensure_confirmed,
    errors_in,
    flash_message,
    get_or_404,
    paginate,
    redirect_to,
    render_page,
    requires,
)

REQUIRED = InputRequired(N_("Please fill in this field."))


class RoleForm(Form):
    kind = SelectField(N_("Role"), default="sender")
    place = SelectField(
        N_("Where it counts"), [InputRequired(N_("Please choose where it counts."))], coerce=lambda text: _list_id(text)
    )
    until = DateField(N_("Last day"), [Optional()])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.kind.choices = [SelectChoice(kind, _(roles.ROLE_LABELS[kind])) for kind in reversed(roles.ROLE_LABELS)]
        lists = [SelectChoice(mailing_list.id, mailing_list.name) for mailing_list in MailingList.open_lists()]
        nothing = [SelectChoice("", _("Please choose"))] if lists else []  # the whole school must be chosen on purpose
        self.place.choices = [*nothing, *lists, SelectChoice(0, _("The whole organization"))]


def _list_id(text: object) -> int | None:
    return int(str(text)) if str(text).isdecimal() else None


class InviteForm(RoleForm):
    name = StringField(N_("User name"), [REQUIRED, Length(max=60)])
    email = StringField(N_("E-mail address"), [REQUIRED, Length(max=254)])
    language = RadioField(N_("Language of the pages"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])


class DisableForm(Form):
    """Confirms disabling the only manager of a list."""

    anyway = BooleanField()


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


@bp.get("")
@requires("admin")
def index() -> Answer:
    page = paginate(accounts.list_users())
    return render_page(
        "users/index.html",
        page=page,
        held=_roles_of(page.rows),
        waiting=login_links.is_invitation_pending,
        second_factor=second_factor.users_with_second_factor(),
    )


def _roles_of(users: list[User]) -> dict[int, list[tuple[Role, str]]]:
    """Return the roles of each user with their places."""
    held = roles.roles_with_list_names(users)
    return {
        user: [(role, name if role.list_id else _("The whole organization")) for role, name in rows]
        for user, rows in held.items()
    }


@bp.route("/invite", methods=["GET", "POST"])
@requires("admin")
def invite_user() -> Answer:
    form = InviteForm(language=settings.load_settings().language)
    if form.validate_on_submit():
        with errors_in(form):
            user = login_links.invite_user(
                form.name.data,
                form.email.data,
                language=form.language.data,
                kind=form.kind.data,
                list_id=form.place.data,
                until=form.until.data,
                by=current_user,
                now=clock.now(),
            )
            flash_message(N_("The invitation is on its way. Its link works for three days."))
            return redirect_to("users.show_user", number=user.id)
    return render_page("users/invite.html", status=422 if form.errors else 200, form=form)


@bp.get("/<int:number>")
@requires("admin")
def show_user(number: int) -> Answer:
    return _user_page(get_or_404(User, id=number), RoleForm(None))


def _user_page(user: User, form: RoleForm, status: int = 200, alone: list[MailingList] | None = None) -> Answer:
    now = clock.now()
    waiting = login_links.is_invitation_pending(user)
    practice = settings.load_settings().practice
    return render_page(
        "users/show.html",
        status=status,
        user=user,
        form=form,
        held=_roles_of([user])[user.id],
        words=roles.ROLE_LABELS,
        waiting=waiting,
        link=login_links.link_url(user, "invitation", now) if waiting and practice else "",
        sessions=sessions.active_sessions(user, now).count(),
        methods=second_factor.methods_of(user),
        alone=alone or [],
        today=clock.today(),
    )


@bp.post("/<int:number>/roles")
@requires("admin")
def grant_role(number: int) -> Answer:
    """Grant a role, or change the existing one for that list."""
    user, form = get_or_404(User, id=number), RoleForm()
    if form.validate():
        with errors_in(form, "place"):
            roles.grant_role(user, form.kind.data, form.place.data, until=form.until.data, by=current_user)
            flash_message(N_("Saved."))
            return redirect_to("users.show_user", number=number)
    return _user_page(user, form, 422)


@bp.post("/<int:number>/roles/<int:role>/remove")
@requires("admin")
def revoke_role(number: int, role: int) -> Answer:
    """Revoke a role. The last manager of a list and the last administrator stay (T-38)."""
    held = get_or_404(Role, id=role, user=number)
    try:
        roles.revoke_role(held, by=current_user)
        flash_message(N_("The role is removed."))
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("users.show_user", number=number)


@bp.post("/<int:number>/disable")
@requires("admin")
def disable_user(number: int) -> Answer:
    """Disable an account at once. The page first names lists that would lose their only manager."""
    user, form = get_or_404(User, id=number), DisableForm()
    try:
        roles.disable_account(user, by=current_user, now=clock.now(), anyway=form.anyway.data)
    except roles.LastManager as refused:
        return _user_page(user, RoleForm(None), 422, alone=refused.lists)
    except roles.LastAdministrator as refused:
        flash_message(refused.message, "wrong", **refused.values)
        return redirect_to("users.show_user", number=number)
    flash_message(N_("%(name)s is disabled and logged out everywhere."), name=user.name)
    return redirect_to("users.show_user", number=number)


@bp.post("/<int:number>/enable")
@requires("admin")
def enable_user(number: int) -> Answer:
    roles.enable_account(get_or_404(User, id=number), by=current_user)
    flash_message(N_("The account is open again."))
    return redirect_to("users.show_user", number=number)


@bp.post("/<int:number>/invite-again")
@requires("admin")
def resend_invitation(number: int) -> Answer:
    if login_links.resend_invitation(get_or_404(User, id=number), by=current_user, now=clock.now()):
        flash_message(N_("The invitation is on its way. Its link works for three days."))
    else:
        flash_message(N_("This invitation was taken up already."), "wrong")
    return redirect_to("users.show_user", number=number)


@bp.post("/<int:number>/log-out")
@requires("admin")
def end_sessions(number: int) -> Answer:
    """End all sessions of a user, for example after the loss of a phone. Their devices become new ones."""
    user, now, current = get_or_404(User, id=number), clock.now(), current_user.session
    ended = sessions.revoke_all_sessions(user, now, but=current)
    devices.revoke_all_devices(user, now, but=current.device_id)
    flash_message(N_("%(name)s is logged out on %(n)s devices."), name=user.name, n=ended)
    return redirect_to("users.show_user", number=number)


@bp.post("/<int:number>/second-factor/reset")
@requires("admin")
def reset_second_factor(number: int) -> Answer:
    """Remove the second factor of a user who cannot reach it."""
    user = get_or_404(User, id=number)
    ensure_confirmed("users.show_user", number=number)
    if second_factor.reset(user, clock.now(), by=current_user):
        flash_message(N_("The two-step verification of %(name)s is off."), name=user.name)
    return redirect_to("users.show_user", number=number)
