"""Pages and forms of drip messages."""

from datetime import time

from flask import Response, abort, request
from flask_login import current_user
from wtforms import BooleanField, IntegerField, StringField, TextAreaField, TimeField
from wtforms.validators import InputRequired, Length, NumberRange

import clock
import tasks
from blueprints.drip import bp
from core.errors import MissingFields
from core.notices import audience, author_copy, drip, rendering
from core.settings import load_settings
from i18n import N_
from models import DripStep, MailingList
from web import Form, add_field_error, flash_message, get_list_or_404, get_or_404, redirect_to, render_page

DEFAULT_TIME = time(18, 0)
DAYS_MESSAGE = N_("Write a number of days from 0 to 366.")


class DripMessageForm(Form):
    days = IntegerField(
        N_("Days after signup"), [InputRequired(DAYS_MESSAGE), NumberRange(0, drip.MAX_DAYS, DAYS_MESSAGE)], default=0
    )
    at = TimeField(N_("Time of day"), [InputRequired(N_("Write a time, for example 18:00."))], default=DEFAULT_TIME)
    subject = StringField(N_("Subject"), [Length(max=200)])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=N_("The text is longer than 50,000 characters."))])
    read_confirmation = BooleanField(N_("Ask for “I have read this”"))

    def words(self) -> drip.StepContent:
        """Return the form's content for `core.notices.drip`."""
        at = self.at.data or DEFAULT_TIME
        return drip.StepContent(
            days=self.days.data or 0,
            minute=at.hour * 60 + at.minute,
            subject=(self.subject.data or "").strip(),
            text=(self.text.data or "").replace("\r\n", "\n"),
            read_confirmation=bool(self.read_confirmation.data),
        )


def form_of_content(content: drip.StepContent) -> DripMessageForm:
    """Return the form filled with the step's current content."""
    return DripMessageForm(
        data={
            "days": content.days,
            "at": time(content.minute // 60, content.minute % 60),
            "subject": content.subject,
            "text": content.text,
            "read_confirmation": content.read_confirmation,
        }
    )


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]
MAX_COMING_SHOWN = 20


def _message_or_404(number: int, which: int) -> tuple[MailingList, DripStep]:
    mailing_list = get_list_or_404(number, "manage")
    return mailing_list, get_or_404(DripStep, id=which, list=mailing_list, ended_at=None)


@bp.get("")
def index(number: int) -> Answer:
    """List the drip messages of a list in sending order."""
    mailing_list = get_list_or_404(number, "manage")
    steps = drip.steps_of_list(mailing_list)
    return render_page(
        "drip/index.html",
        list=mailing_list,
        steps=steps,
        words={step.id: drip.step_content(step) for step in steps},
        figures=drip.step_stats(steps),
        waiting={step.id: len(drip.people_due(step, clock.now())) for step in steps if step.paused_at},
        WHY=drip.PAUSE_REASONS,
    )


@bp.route("/new", methods=["GET", "POST"])
def add_message(number: int) -> Answer:
    mailing_list, form = get_list_or_404(number, "manage"), DripMessageForm()
    if form.validate_on_submit():
        try:
            step = drip.add_step(mailing_list, current_user, form.words(), clock.now())
        except MissingFields as missing:
            _add_field_errors(form, missing)
        else:
            flash_message(N_("Saved. Whoever joins from now on gets this letter."))
            return redirect_to("drip.show_message", number=number, which=step.id)
    return render_page("drip/edit.html", status=422 if form.errors else 200, list=mailing_list, step=None, form=form)


@bp.route("/<int:which>/edit", methods=["GET", "POST"])
def edit_message(number: int, which: int) -> Answer:
    """Change content and time. Members who received the message do not get it again."""
    mailing_list, step = _message_or_404(number, which)
    form = DripMessageForm() if request.method == "POST" else form_of_content(drip.step_content(step))
    if form.validate_on_submit():
        try:
            drip.update_step(step, current_user, form.words(), clock.now())
        except MissingFields as missing:
            _add_field_errors(form, missing)
        else:
            flash_message(N_("Saved. Who has already had this letter does not get it again."))
            return redirect_to("drip.show_message", number=number, which=which)
    return render_page("drip/edit.html", status=422 if form.errors else 200, list=mailing_list, step=step, form=form)


def _add_field_errors(form: DripMessageForm, missing: MissingFields) -> None:
    for field, sentence in missing.fields.items():
        add_field_error(form, field, sentence)


@bp.get("/<int:which>")
def show_message(number: int, which: int) -> Answer:
    """Show one message: counts, next recipients, and a preview for one real member."""
    mailing_list, step = _message_or_404(number, which)
    notice, now = drip.standing_notice(step) or abort(404), clock.now()
    readers = audience.resolve_audience(notice).receiving
    coming = drip.upcoming_sends(step, now)
    return render_page(
        "drip/show.html",
        list=mailing_list,
        step=step,
        notice=notice,
        content=drip.step_content(step),
        figures=drip.step_stats([step]).get(step.id, drip.StepStats()),
        waiting=sum(recipient.at <= now for recipient in coming),
        coming=coming[:MAX_COMING_SHOWN],
        more=max(0, len(coming) - MAX_COMING_SHOWN),
        shown_letter=rendering.preview_letter(notice, readers[0], load_settings(), now) if readers else None,
        WHY=drip.PAUSE_REASONS,
    )


@bp.post("/<int:which>/test")
def send_test_email(number: int, which: int) -> Answer:
    """Send the message to the current user only."""
    _, step = _message_or_404(number, which)
    letter = author_copy.send_test(drip.standing_notice(step) or abort(404), current_user, clock.now())
    if letter is None:
        flash_message(
            N_("Your account has no e-mail address, so no test can be sent. Enter one under your name first."), "wrong"
        )
    else:
        tasks.wake_worker()
        flash_message(N_("A test has been sent to %(address)s."), address=letter.address)
    return redirect_to("drip.show_message", number=number, which=which)


@bp.post("/<int:which>/pause")
def pause_message(number: int, which: int) -> Answer:
    _, step = _message_or_404(number, which)
    drip.pause_step(step, current_user, clock.now())
    flash_message(N_("Paused. Nobody gets this letter until you let it go on."))
    return redirect_to("drip.show_message", number=number, which=which)


@bp.post("/<int:which>/go-on", endpoint="resume_message")
@bp.post("/<int:which>/skip", endpoint="resume_skipping")
def resume_message(number: int, which: int) -> Answer:
    """Resume sending; with `skip`, without the members who waited."""
    _, step = _message_or_404(number, which)
    count = drip.resume_step(step, current_user, clock.now(), skip=request.endpoint == "drip.resume_skipping")
    if count:
        tasks.wake_worker()
        flash_message(N_("It goes on. %(n)s letters leave now."), n=count)
    else:
        flash_message(N_("It goes on with whoever becomes due from now on."))
    return redirect_to("drip.show_message", number=number, which=which)


@bp.route("/<int:which>/end", methods=["GET", "POST"])
def end_message(number: int, which: int) -> Answer:
    """End the message for good, after a confirmation page."""
    mailing_list, step = _message_or_404(number, which)
    if request.method == "POST":
        drip.end_step(step, current_user, clock.now())
        flash_message(N_("Ended. What it sent stays in the history."))
        return redirect_to("drip.index", number=number)
    return render_page("drip/confirm_end.html", list=mailing_list, step=step, content=drip.step_content(step))
