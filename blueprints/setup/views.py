"""Initial set-up: one page behind a one-time link."""

from flask import Response, redirect, request, session, url_for
from flask_login import login_user
from wtforms import PasswordField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

import clock
from blueprints.setup import bp
from core import settings
from core.accounts import sessions
from core.errors import DomainError
from core.system import setup
from i18n import LANGUAGES, N_
from web import Form, _, add_field_error, language, message_page, public_view, render_page

REQUIRED = InputRequired(N_("Please fill in this field."))


class SetupForm(Form):
    """The organization and its first administrator."""

    language = RadioField(N_("Language of the pages"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    organization = StringField(N_("2  Name of the school or organization"), [REQUIRED, Length(max=100)])
    postal = StringField(N_("3  Postal address"), [Length(max=200)])
    contact = StringField(N_("How families reach you (telephone, for one)"), [Length(max=200)])
    mail_domain = StringField(N_("4  Mail domain"), [Length(max=200)])
    name = StringField(N_("User name"), [REQUIRED, Length(max=60)])
    email = StringField(N_("E-mail address"), [Length(max=254)])
    password = PasswordField(N_("Password"), [REQUIRED])


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


@bp.get("/setup")
@public_view
def setup_welcome() -> Answer:
    """Say where the set-up link is printed; after the set-up, redirect to the login page."""
    if settings.is_set_up():
        return redirect(url_for("account.login"))  # type: ignore[return-value]
    return render_page("setup/welcome.html")


@bp.route("/setup/<token>", methods=["GET", "POST"])
@public_view
def run_setup(token: str) -> Answer:
    """Set up the installation and log in the first administrator. A used link gives 404."""
    if not setup.is_setup_open(token):
        return _expired_link_page(ready=settings.is_set_up())
    form = SetupForm()
    if request.method == "GET":
        form.language.data = language()
        return render_page("setup/form.html", form=form)
    shaped, details = form.validate(), _posted_details(form)
    wrong = [error for error in setup.find_errors(details) if not form[error.field].errors]
    if wrong or not shaped:
        return _invalid_page(form, wrong)
    try:
        user = setup.run_setup(token, details, clock.now())
    except DomainError as refused:
        return _invalid_page(form, [refused])
    except setup.SetupAlreadyDone:
        return _expired_link_page(ready=True)
    session.clear()
    login_user(sessions.start_session(user, now=clock.now(), agent=request.user_agent.string))
    return redirect(url_for("home.index"), code=303)  # type: ignore[return-value]


def _expired_link_page(ready: bool) -> Answer:
    if not ready:
        sentence = _(
            "The set-up link is not complete. Please copy it once more from the terminal where Kairan was started."
        )
        return message_page(_("This link is over"), sentence, status=404)
    return message_page(
        _("This link is over"),
        _("Kairan is set up already, so the set-up link does not work any more. Please log in."),
        link=(url_for("account.login"), _("To the login page")),
        status=404,
    )


def _invalid_page(form: SetupForm, wrong: list[DomainError]) -> Answer:
    for refused in wrong:
        add_field_error(form, refused.field, refused.message, **refused.values)
    return render_page("setup/form.html", status=422, form=form)


def _posted_details(form: SetupForm) -> setup.SetupDetails:
    typed = {name: value or "" for name, value in form.data.items() if name != "csrf_token"}
    return setup.SetupDetails(**typed, base_url=setup.public_base_url(request.url_root))
