"""Forms of the notice pages. They check only the format; core checks the rules."""

from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Length, Optional

from i18n import N_
from web import Form

EXPIRY_HOURS = (6, 12, 24, 48, 72, 168)


class NewNoticeForm(Form):
    """New notice; `key` makes a double tap idempotent."""

    form_key = HiddenField()
    urgent = BooleanField(false_values=("", "0", "false"))
    practice = BooleanField(false_values=("", "0", "false"))


class RecipientsForm(Form):
    """Included and excluded lists; each person is posted as `person-<number>` = in, out or empty."""

    seen = HiddenField()
    lists = SelectMultipleField(coerce=int, validate_choice=False)
    without = SelectMultipleField(coerce=int, validate_choice=False)


class ContentForm(Form):
    seen = HiddenField()
    subject = StringField(N_("Subject"), [Length(max=200, message=N_("The subject is longer than 200 characters."))])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=N_("The text is longer than 50,000 characters."))])
    html = TextAreaField(N_("Body"))
    urgent = BooleanField(N_("This is urgent"))
    read_confirmation = BooleanField(N_("Ask the readers to confirm that they have read it"))
    files_inside = BooleanField(N_("Also put the files inside the letters (up to 3 MB together)"))
    footer = BooleanField(N_("Put the way to stop the mail and the address of the school under the text"))
    reply_to_own = BooleanField(N_("Send replies to my own address"))
    remind = SelectField(N_("Send it again by itself to those who have not confirmed"), default="0x1", choices=[])
    skip_missing = BooleanField(N_("Send nothing to those for whom a merge field is empty"))
    remind_before_deadline = BooleanField(N_("A day before the deadline, send it again to those who have not answered"))
    useful_s = SelectField(N_("Do not send it any more after"), coerce=int, choices=[])
    deadline_day = StringField(N_("Answers until"), [Length(max=20)])
    deadline_time = StringField(N_("Time (else the whole day)"), [Length(max=10)])
    unit = SelectField(N_("Who answers"), default="household", choices=[], validate_choice=False)
    comment = BooleanField(N_("Offer a line for remarks"))

    sheets: list | None = None  # from question_form.read_posted; None: no question section
    asks_wrong = ""


class CheckForm(Form):
    """Send form: state of the shown page, time, and the number typed to confirm a whole list."""

    seen = HiddenField()
    shown = HiddenField()
    fingerprint = HiddenField()
    at = HiddenField()
    typed = StringField(N_("Number of letters"), [Length(max=20)])
    colleague = IntegerField(N_("Who looks at it"), [Optional()])


class ReviewForm(Form):
    """Review form: mark of the shown notice, and a comment when it is returned."""

    mark = HiddenField()
    word = TextAreaField(N_("A word to the writer"), [Length(max=1000)])


class TimeForm(Form):
    """A time in the organization's time zone."""

    at = StringField(N_("Date and time"))
