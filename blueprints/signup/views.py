"""Signup settings of a list, registration day and approvals."""

from flask import Response, request
from flask_login import current_user
from wtforms import RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

import clock
import tasks
from blueprints.signup import bp
from core import settings
from core.members import join_codes
from core.signup import approvals, emails, quotas, signup
from i18n import N_
from models import MailingList
from web import Form, _, flash_message, get_list_or_404, parse_row_id, permissions, redirect_to, render_page, requires

JOIN_MODES = {
    "open": N_("Everybody with the address, at once"),
    "code": N_("With a code at once; without one a manager approves"),
    "confirm": N_("Everybody presses a link in a letter first"),
    "approve": N_("A manager approves each one"),
    "closed": N_("Nobody: only managers add members"),
}


class SignupSettingsForm(Form):
    """Join mode, greeting, and the purpose of the addresses."""

    join_mode = RadioField(N_("Who may join without an organizer"))
    greeting = TextAreaField(N_("Your own words in the welcome letter"), [Length(max=2000)])
    purpose = TextAreaField(N_("What the addresses are used for"), [Length(max=1000)])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.join_mode.choices = [SelectChoice(mode, _(JOIN_MODES[mode])) for mode in JOIN_MODES]


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


@bp.get("/lists/<int:number>/joining")
def index(number: int) -> Answer:
    """Show the signup settings, the list's addresses and the queue."""
    mailing_list = get_list_or_404(number, "manage")
    return _settings_page(mailing_list, SignupSettingsForm(None, obj=mailing_list))


def _settings_page(mailing_list: MailingList, form: SignupSettingsForm, status: int = 200) -> Answer:
    config, code = settings.load_settings(), mailing_list.join_code
    return render_page(
        "signup/index.html",
        status=status,
        list=mailing_list,
        form=form,
        address=join_codes.join_address(mailing_list),
        coded=join_codes.join_address(mailing_list, code),
        link=join_codes.join_url(mailing_list, "", config.base_url),
        code=join_codes.format_code(code),
        day=quotas.is_registration_day(mailing_list, clock.now()),
        waiting=quotas.count_queued(mailing_list),
        last=quotas.newest_queued_id(mailing_list),
        per_hour=quotas.PER_LIST_PER_HOUR,
        children=len(join_codes.children_in_list(mailing_list)),
        preview=emails.preview_welcome(mailing_list),
    )


@bp.post("/lists/<int:number>/joining")
def save(number: int) -> Answer:
    mailing_list, form = get_list_or_404(number, "manage"), SignupSettingsForm()
    if not form.validate():
        return _settings_page(mailing_list, form, 422)
    signup.set_signup_options(
        mailing_list,
        current_user,
        mode=form.join_mode.data,
        greeting=form.greeting.data or "",
        purpose=form.purpose.data or "",
    )
    flash_message(N_("Saved."))
    return redirect_to("signup.index", number=number)


@bp.post("/lists/<int:number>/joining/code")
def rotate_list_code(number: int) -> Answer:
    join_codes.rotate_list_code(get_list_or_404(number, "manage"), current_user)
    flash_message(N_("The list has a new code. Hand-outs with the old one do not work any more."))
    return redirect_to("signup.index", number=number)


@bp.post("/lists/<int:number>/joining/child-codes")
def rotate_child_codes(number: int) -> Answer:
    changed = join_codes.rotate_child_codes(get_list_or_404(number, "manage"), current_user)
    flash_message(N_("%(number)s children have new codes. Please print their slips again."), number=changed)
    return redirect_to("signup.index", number=number)


@bp.post("/lists/<int:number>/joining/day/open")
def open_registration_day(number: int) -> Answer:
    """Open a registration day and process the queued signups at once."""
    quotas.open_registration_day(get_list_or_404(number, "manage"), current_user, clock.now())
    signup.process_queued_signups(clock.now())
    tasks.wake_worker()
    flash_message(N_("Registration day: for 24 hours everybody with a code comes in at once."))
    return redirect_to("signup.index", number=number)


@bp.post("/lists/<int:number>/joining/day/close")
def close_registration_day(number: int) -> Answer:
    quotas.close_registration_day(get_list_or_404(number, "manage"), current_user)
    flash_message(N_("The registration day is over. The usual limits hold again."))
    return redirect_to("signup.index", number=number)


@bp.post("/lists/<int:number>/joining/drop")
def discard_queue(number: int) -> Answer:
    """Delete the queued signups that the page showed."""
    mailing_list = get_list_or_404(number, "manage")
    gone = quotas.discard_queued(mailing_list, current_user, request.form.get("until", 0, type=parse_row_id))
    flash_message(N_("%(number)s waiting registrations are dropped."), number=gone)
    return redirect_to("signup.index", number=number)


# ── approval ─────────────────────────────────────────────────────────────────────────────────────────────────────
@bp.get("/waiting")
@requires("manage")
def pending_approvals() -> Answer:
    """Show pending approvals and queued signups of all lists that the user manages."""
    return render_page(
        "signup/pending_approvals.html",
        "signup/_pending_approvals.html",
        asked=approvals.pending_requests(permissions()),
        queues=approvals.queued_signups_by_list(permissions()),
        refused=approvals.recently_rejected(permissions(), clock.now()),
    )


@bp.post("/lists/<int:number>/joining/approve")
def approve_member(number: int) -> Answer:
    mailing_list = get_list_or_404(number, "manage")
    done = approvals.approve_requests(mailing_list, [_posted_person_id()], current_user, clock.now())
    flash_message(N_("Approved, and greeted by a letter.") if done else N_("Nobody waited there any more."))
    tasks.wake_worker()
    return redirect_to("signup.pending_approvals")


@bp.post("/lists/<int:number>/joining/refuse")
def reject_member(number: int) -> Answer:
    mailing_list = get_list_or_404(number, "manage")
    done = approvals.reject_requests(mailing_list, [_posted_person_id()], current_user, clock.now())
    flash_message(N_("Refused. The person gets a short letter.") if done else N_("Nobody waited there any more."))
    tasks.wake_worker()
    return redirect_to("signup.pending_approvals")


def _posted_person_id() -> int:
    return request.form.get("person", 0, type=parse_row_id)
