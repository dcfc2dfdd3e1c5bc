"""The form of a letter that follows joining."""

from datetime import time

from wtforms import BooleanField, IntegerField, StringField, TextAreaField, TimeField
from wtforms.validators import InputRequired, Length, NumberRange

from core.notices import drip
from i18n import N_
from web import Form

DEFAULT_TIME = time(18, 0)
DAYS_MESSAGE = N_("Write a number of days from 0 to 366.")


class DripMessageForm(Form):
    """When the letter goes out, and what it says."""

    days = IntegerField(
        N_("Days after joining"), [InputRequired(DAYS_MESSAGE), NumberRange(0, drip.MAX_DAYS, DAYS_MESSAGE)], default=0
    )
    at = TimeField(N_("Time of day"), [InputRequired(N_("Write a time, for example 18:00."))], default=DEFAULT_TIME)
    subject = StringField(N_("Subject"), [Length(max=200)])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=N_("The text is longer than 50,000 characters."))])
    read_confirmation = BooleanField(N_("Ask for “I have read this”"))

    def words(self) -> drip.StepContent:
        """Return what was typed as the verbs want it."""
        at = self.at.data or DEFAULT_TIME
        return drip.StepContent(
            days=self.days.data or 0,
            minute=at.hour * 60 + at.minute,
            subject=(self.subject.data or "").strip(),
            text=(self.text.data or "").replace("\r\n", "\n"),
            read_confirmation=bool(self.read_confirmation.data),
        )


def form_of_content(said: drip.StepContent) -> DripMessageForm:
    """Return the form with the present words of a step."""
    return DripMessageForm(
        data={
            "days": said.days,
            "at": time(said.minute // 60, said.minute % 60),
            "subject": said.subject,
            "text": said.text,
            "read_confirmation": said.read_confirmation,
        }
    )
