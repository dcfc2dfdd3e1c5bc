"""「その他」: links to settings and reports, and the settings pages."""

from flask import Response, abort, request
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import DateField, IntegerField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

import clock
import tasks
from blueprints.admin import bp
from core import audit, backup, clock_watch, settings
from core.delivery.dev_outbox import RETENTION_DAYS
from core.inbound import spool
from core.notifications.letter_limits import Caused, count_letter
from core.responses import tracking
from core.retention import purge
from core.settings import RENEWAL_NAMES, near_renewals, purge_starts_at
from core.signup import carrier_help
from core.system import health_email, nightly_backup, setup, version
from core.system.diagnostics import CheckResult
from i18n import LANGUAGES, N_
from models import MailingList, Organization
from web import (
    Form,
    _,
    ensure_confirmed,
    errors_in,
    flash_message,
    is_htmx,
    parse_row_id,
    permissions,
    redirect_to,
    render_page,
    requires,
    send_stored_file,
)

REQUIRED = InputRequired(N_("Please fill in this field."))
OUT_OF_RANGE = N_("Please enter a number within the bounds that are named.")
Answer = Response | tuple[str, int]


class OrganizationForm(Form):
    name = StringField(N_("Name of the school or organization"), [REQUIRED, Length(max=100)])
    postal = StringField(N_("Postal address"), [Length(max=200)])
    contact = StringField(N_("How families reach you (telephone, for one)"), [Length(max=200)])
    language = RadioField(N_("Language by default"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    base_url = StringField(N_("Address of these pages"), [Length(max=200)])
    mail_domain = StringField(N_("Mail domain"), [Length(max=200)])


class SendingRatesForm(Form):
    """Sending rates and hold windows."""

    rate = IntegerField(N_("Letters a minute in all"), [InputRequired(), NumberRange(0, 100_000, OUT_OF_RANGE)])
    domain_rate = IntegerField(
        N_("Letters a minute to one carrier"), [InputRequired(), NumberRange(0, 100_000, OUT_OF_RANGE)]
    )
    hold_s = IntegerField(
        N_("Seconds to cancel an ordinary notice"), [InputRequired(), NumberRange(20, 3600, OUT_OF_RANGE)]
    )
    hold_urgent_s = IntegerField(
        N_("Seconds to cancel an urgent notice"), [InputRequired(), NumberRange(10, 300, OUT_OF_RANGE)]
    )


class CarrierForm(Form):
    """Carrier help; name and domains only for carriers that the school added."""

    name = StringField(N_("Name of the carrier or mail service"), [Length(max=100)])
    domains = StringField(N_("Its addresses end with"), [Length(max=1000)])
    ja = TextAreaField(N_("Steps in Japanese"), [Length(max=4000)])
    en = TextAreaField(N_("Steps in English"), [Length(max=4000)])


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/admin")
def index() -> Answer:
    """Show the links that the user has permission for."""
    return render_page(
        "admin/index.html", safety=backup.current_status(clock.now()) if permissions().is_admin else None
    )


# ── organization ────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/admin/organization")
@requires("admin")
def organization_page() -> Answer:
    return _settings_page()


def _settings_page(status: int = 200, **filled: FlaskForm) -> Answer:
    config = settings.load_settings()
    addresses = {name: settings.configured(name) for name in ("base_url", "mail_domain")}
    organization = {**Organization.load_row().__data__, **addresses}
    forms = {
        "families": _without_fixed_fields(OrganizationForm(None, data=organization)),
        "pace": _without_fixed_fields(SendingRatesForm(None, obj=config)),
    }
    return render_page("admin/organization.html", status=status, settings=config, **{**forms, **filled})


def _without_fixed_fields(form: OrganizationForm | SendingRatesForm) -> OrganizationForm | SendingRatesForm:
    """Remove the fields that only a restart can change."""
    for name in settings.load_settings().fixed & {field.name for field in form}:
        del form[name]
    return form


@bp.post("/admin/organization")
@requires("admin")
def save_organization() -> Answer:
    form = _without_fixed_fields(OrganizationForm())
    if form.validate():
        typed = {name: value or "" for name, value in form.data.items() if name != "csrf_token"}
        with errors_in(form):
            settings.update_organization(current_user, **setup.clean_settings(typed))
            return _saved()
    return _settings_page(422, families=form)


@bp.post("/admin/organization/pace")
@requires("admin")
def save_sending_rates() -> Answer:
    """Change rates and hold windows (N-06: a hold window can be short, but not zero)."""
    form = _without_fixed_fields(SendingRatesForm())
    if not form.validate():
        return _settings_page(422, pace=form)
    typed = {name: value for name, value in form.data.items() if name != "csrf_token"}
    settings.update_organization(current_user, **typed)
    return _saved()


def _saved() -> Response:
    flash_message(N_("Saved."))
    return redirect_to("admin.organization_page")


# ── safety ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/admin/safety")
@requires("admin")
def safety_page() -> Answer:
    """Show the settings against letters to wrong recipients."""
    return render_page("admin/safety.html", lists=list(MailingList.open_lists()), settings=settings.load_settings())


@bp.post("/admin/safety")
@requires("admin")
def save_safety() -> Response:
    setup.update_safety(
        current_user,
        everywhere=bool(request.form.get("requires_approval")),
        lists=request.form.getlist("lists", type=parse_row_id),
        public_urgent=bool(request.form.get("public_urgent")),
    )
    flash_message(N_("Saved."))
    return redirect_to("admin.safety_page")


# ── retention ───────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/admin/keeping")
@requires("admin")
def retention_page() -> Answer:
    """Show retention periods, the next purge date and the last purge."""
    now = clock.now()
    done = purge.purged_notices()
    return render_page(
        "admin/retention.html",
        next_day=(next_day := purge.next_purge_date(now)),
        next_year=clock.to_local(next_day).year,
        told=purge_starts_at(now),
        running=purge.is_purging(now),
        waiting=purge.purgeable_notices(clock.school_year(clock.to_local(now).date())).count(),
        done=done.count(),
        last=done.first(),
        rows=_retention_rows(),
        safety=backup.current_status(now),
    )


def _retention_rows() -> list[tuple[str, str, str]]:
    """Return rows of: data, how long it is kept, what stays after the purge."""
    year_over = _("%(n)s days after the end of the school year", n=purge.PURGE_AFTER.days)
    nothing = _("nothing")
    return [
        (
            _("Letters with the names in them, who confirmed, answers, links in letters"),
            year_over,
            _("sums: letters by state, households by class and hour, choices; links to stop the mail work on"),
        ),
        (
            _("Subject and text of notices, the record of who did what"),
            _("as long as this installation"),
            _("everything, as it was written; so name no family in a notice to many"),
        ),
        (_("Replies and registrations by mail"), year_over, nothing),
        (_("Raw mails that came in"), _("%(n)s days", n=spool.RAW_RETENTION_DAYS), nothing),
        (
            _("Pages visited, openings, links opened"),
            _("%(n)s days", n=tracking.VISIT_RETENTION.days),
            _("sums, where they are counted"),
        ),
        (_("Logins and devices of users"), _("90 days after the end; a year after the last use"), nothing),
        (_("Attached files"), _("closed with the school year, deleted a month later"), _("name and size")),
        (_("Families who left every list"), year_over, nothing),
        (_("Families in a list, stopped ones too"), _("as long as they stand in it"), _("everything")),
        (_("Practice letters in the outbox"), _("%(n)s days", n=RETENTION_DAYS), nothing),
    ]


# ── health ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/admin/clock/confirm")
@requires("admin")
def confirm_clock() -> Response:
    """Record that the clock of the server is right."""
    clock_watch.confirm_clock(current_user)
    flash_message(N_("Noted: the clock is right. Bookings go out by themselves again."))
    return redirect_to("home.index")


class RenewalDatesForm(Form):
    """End dates of the domain and server contracts."""

    domain_until = DateField(N_("The domain is paid until"), [Optional()])
    server_until = DateField(N_("The server is paid until"), [Optional()])


@bp.get("/admin/health")
@requires("admin")
def health() -> Answer:
    """Show the page at once. The network checks load by htmx, or with `?look=1`."""
    run_checks = is_htmx() or request.args.get("look") == "1"
    findings = health_email.collect_findings(clock.now()) if run_checks else None
    return _health_page(RenewalDatesForm(None, obj=Organization.load_row()), findings)


def _health_page(form: RenewalDatesForm, findings: list[CheckResult] | None, status: int = 200) -> Answer:
    return render_page(
        "admin/health.html",
        "admin/_diagnostics.html",
        status=status,
        form=form,
        findings=findings,
        MARKS=health_email.STATUS_MARKS,
        RENEWALS=RENEWAL_NAMES,
        renewals=near_renewals(clock.today(), 60),
        safety=backup.current_status(clock.now()),
        backups=nightly_backup.list_backups(),
        second_place=nightly_backup.second_place(),
        version=version.current_version(),
        changes=version.latest_changes(),
    )


@bp.post("/admin/health/backups/<name>")
@requires("admin")
def download_backup(name: str) -> Response:
    """Send a nightly backup, after the second factor or the password: it holds all addresses and the keys."""
    ensure_confirmed("admin.health", _anchor="backup")
    path = nightly_backup.backup_path(name) or abort(404)
    audit.log_action(current_user, "house.backup_downloaded", detail={"name": name})
    return send_stored_file(path, name, "application/gzip")


@bp.post("/admin/health/renewals")
@requires("admin")
def save_renewal_dates() -> Answer:
    form = RenewalDatesForm()
    if not form.validate():
        return _health_page(form, None, 422)
    settings.update_organization(current_user, domain_until=form.domain_until.data, server_until=form.server_until.data)
    flash_message(N_("Saved. You are reminded by mail 60, 30, 14 and 7 days before, and the day before."))
    return redirect_to("admin.health")


@bp.post("/admin/health/letter")
@requires("admin")
def send_health_email() -> Answer:
    """Send the health e-mail now, to the current user only."""
    if not current_user.email:
        flash_message(N_("Please enter your own e-mail address first: the test letter goes there."), "wrong")
        return redirect_to("account.index")
    count_letter(Caused.HEALTH, current_user, None, clock.now())
    health_email.send_health_email([current_user], health_email.collect_findings(clock.now()), clock.now())
    tasks.wake_worker()
    flash_message(N_("The letter is on its way to you."))
    return redirect_to("admin.health")


# ── carriers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/admin/carriers")
@requires("admin")
def list_carriers() -> Answer:
    return render_page(
        "admin/carriers.html",
        entries=carrier_help.settings_entries(),
        domain=settings.load_settings().own_addresses.allow_list_entry,
    )


@bp.route("/admin/carriers/new", methods=["GET", "POST"])
@requires("admin")
def add_carrier() -> Answer:
    form = CarrierForm()
    if form.validate_on_submit():
        with errors_in(form):
            carrier_help.add_carrier(current_user, form.name.data or "", form.domains.data or "", _texts(form))
            return _carriers_saved()
    return _carrier_page(form, None)


@bp.route("/admin/carriers/<key>", methods=["GET", "POST"])
@requires("admin")
def edit_carrier(key: str) -> Answer:
    entry = next((carrier for carrier in carrier_help.settings_entries() if carrier.key == key), None) or abort(404)
    form = CarrierForm(name=entry.name, domains=entry.domains, **entry.texts)
    if form.validate_on_submit():
        with errors_in(form):
            carrier_help.change_carrier(current_user, key, _texts(form), form.name.data or "", form.domains.data or "")
            return _carriers_saved()
    return _carrier_page(form, entry)


@bp.post("/admin/carriers/<key>/back")
@requires("admin")
def reset_carrier(key: str) -> Response:
    """Restore the shipped text, or remove a carrier that the school added."""
    carrier_help.reset_carrier(current_user, key)
    return _carriers_saved()


def _carrier_page(form: CarrierForm, entry: carrier_help.CarrierEntry | None) -> Answer:
    return render_page(
        "admin/edit_carrier.html",
        status=422 if form.errors else 200,
        form=form,
        entry=entry,
        placeholder=carrier_help.PLACEHOLDER,
    )


def _texts(form: CarrierForm) -> dict[str, str]:
    return {name: form[name].data or "" for name in LANGUAGES}


def _carriers_saved() -> Response:
    flash_message(N_("Saved."))
    return redirect_to("admin.list_carriers")
