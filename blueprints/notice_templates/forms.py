"""The form of a sample."""

from collections.abc import Mapping, Sequence

from wtforms import BooleanField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from core.notices import html_body
from core.notices.questions import QuestionDraft
from core.notices.templates import TemplateContent
from core.settings import load_settings
from i18n import N_
from web import Form


class TemplateForm(Form):
    """What a sample says, what it is about, and for which list it is; its questions are read by `asking`."""

    name = StringField(N_("Name of the sample"), [InputRequired(N_("Enter a name.")), Length(max=100)])
    kind = SelectField(N_("About"), choices=[])
    list = SelectField(N_("For"), coerce=int)
    subject = StringField(N_("Subject"), [InputRequired(N_("Enter a subject.")), Length(max=200)])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=html_body.TEXT_TOO_LONG)])
    html = TextAreaField(N_("Body"))
    urgent = BooleanField(N_("Urgent"))
    read_confirmation = BooleanField(N_("Ask for “I have read this”"), default=True)

    decorated = False

    def validate(self, extra_validators: Mapping[str, Sequence] | None = None) -> bool:
        """Ask for a body, too, in the field that the page shows."""
        fits = super().validate(extra_validators)
        body, language = self.html if self.decorated else self.text, load_settings().language
        said = self.words(())
        if not (html_body.clean_html(said.html, language)["text"] if said.html else said.text).strip():
            body.errors = [*body.errors, N_("Enter the text.")]
        elif said.html and html_body.is_too_long(said.html, language):
            body.errors = [*body.errors, html_body.TEXT_TOO_LONG]
        return fits and not body.errors

    def words(self, asks: tuple[QuestionDraft, ...]) -> TemplateContent:
        """Return what was typed as the verbs want it."""
        return TemplateContent(
            (self.name.data or "").strip(),
            (self.subject.data or "").strip(),
            (self.text.data or "").replace("\r\n", "\n"),
            bool(self.urgent.data),
            bool(self.read_confirmation.data),
            self.kind.data,
            asks,
            (self.html.data or "") if self.decorated else "",
        )
