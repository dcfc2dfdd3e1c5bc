"""The organization's settings: what families see, the mail server, the pace. The environment wins, and is named."""

from flask import Response, abort
from flask_login import current_user
from flask_wtf import FlaskForm

import clock
from blueprints.admin.forms import House, Pace, Server
from blueprints.admin.routes import Answer, bp
from core import accounts, delivery, first_run, history, mail_server, organization, service
from models import Letter, Organization
from web import answer, blame, go, needs, told
from words import N_


@bp.get("/admin/organization")
@needs("admin")
def organization_page() -> Answer:
    """Show the settings in three forms."""
    return _page()


def _page(status: int = 200, **filled: FlaskForm) -> Answer:
    force = organization.settings()
    forms = {
        "families": _open(House(None, obj=Organization.the())),
        "server": _server(),
        "pace": _open(Pace(None, obj=force)),
    }
    return answer(
        "admin/organization.html",
        status=status,
        force=force,
        test=_last_test(),
        letter_states=delivery.STATES,
        **{**forms, **filled},
    )


def _open(form: House | Pace) -> House | Pace:
    """Take the fields out that only a restart can change."""
    for name in organization.settings().fixed & {field.name for field in form}:
        del form[name]
    return form


def _server() -> Server:
    route = organization.settings().route
    if route is None:
        return Server(None)
    return Server(None, host=route.host, port=route.port, security=route.security, user=route.user)


def _last_test() -> Letter | None:
    tests = Letter.select().where(Letter.kind == "test", Letter.notice.is_null(), Letter.person.is_null())
    return tests.order_by(Letter.id.desc()).first()


@bp.post("/admin/organization")
@needs("admin")
def change_house() -> Answer:
    """Change what families see."""
    form = _open(House())
    if not form.validate():
        return _page(422, families=form)
    typed = {name: value or "" for name, value in form.data.items() if name != "csrf_token"}
    try:
        organization.change(current_user, **first_run.cleaned(typed))
    except accounts.Refused as refused:
        blame(form, refused.field, refused.message, **refused.values)
        return _page(422, families=form)
    return _saved()


@bp.post("/admin/organization/server")
@needs("admin")
def change_server() -> Answer:
    """Change the mail server; without one, letters stay in the outbox."""
    form = Server()
    if "smtp" in organization.settings().fixed:
        abort(403)
    if not form.validate():
        return _page(422, server=form)
    try:
        mail_server.change(
            current_user,
            host=form.host.data or "",
            port=form.port.data,
            security=form.security.data,
            user=form.user.data or "",
            password=form.password.data or "",
        )
    except mail_server.Refused as refused:
        blame(form, refused.field, refused.message)
        return _page(422, server=form)
    return _saved()


@bp.post("/admin/organization/pace")
@needs("admin")
def change_pace() -> Answer:
    """Change rates and hold window (N-06: it can be made short, not be switched off)."""
    form = _open(Pace())
    if not form.validate():
        return _page(422, pace=form)
    typed = {name: value for name, value in form.data.items() if name != "csrf_token"}
    organization.change(current_user, **typed)
    return _saved()


def _saved() -> Response:
    told(N_("Saved."))
    return go("admin.organization_page")


@bp.post("/admin/organization/test")
@needs("admin")
def send_test() -> Answer:
    """Send a test letter to the administrator who asks for it."""
    if not current_user.email:
        told(N_("Please enter your own e-mail address first: the test letter goes there."), "wrong")
        return go("account.index")
    name = organization.settings().name
    service.send(
        "test",
        address=current_user.email,
        language=current_user.language,
        values={"organization": name},
        now=clock.now(),
    )
    history.log(current_user, "organization.tested")
    told(N_("The test letter is on its way to you. Reload this page to see how it went."))
    return go("admin.organization_page")
