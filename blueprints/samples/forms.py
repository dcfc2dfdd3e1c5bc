"""The form of a sample."""

from wtforms import BooleanField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from core.writing.questions import Ask
from core.writing.samples import Words
from web import Form
from words import N_


class SampleForm(Form):
    """What a sample says, what it is about, and for which list it is; its questions are read by `asking`."""

    name = StringField(N_("Name of the sample"), [InputRequired(N_("Enter a name.")), Length(max=100)])
    kind = SelectField(N_("About"), choices=[])
    list = SelectField(N_("For"), coerce=int)
    subject = StringField(N_("Subject"), [InputRequired(N_("Enter a subject.")), Length(max=200)])
    text = TextAreaField(
        N_("Body"),
        [
            InputRequired(N_("Enter the text.")),
            Length(max=50_000, message=N_("The text is longer than 50,000 characters.")),
        ],
    )
    urgent = BooleanField(N_("Urgent"))
    read_confirmation = BooleanField(N_("Ask for “I have read this”"), default=True)

    def words(self, asks: tuple[Ask, ...]) -> Words:
        """Return what was typed as the verbs want it."""
        return Words(
            (self.name.data or "").strip(),
            (self.subject.data or "").strip(),
            (self.text.data or "").replace("\r\n", "\n"),
            bool(self.urgent.data),
            bool(self.read_confirmation.data),
            self.kind.data,
            asks,
        )
