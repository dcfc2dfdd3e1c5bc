"""The form behind the link of a welcome letter."""

from wtforms import StringField
from wtforms.validators import InputRequired, Length

from web import Form
from words import N_

NEEDED = InputRequired(N_("Please fill in this field."))


class NameForm(Form):
    """Names of guardian and child. No token: the mark in the address is the authority."""

    class Meta(Form.Meta):
        csrf = False

    name = StringField(N_("Your name"), [NEEDED, Length(max=60)])
    kana = StringField(N_("Reading in kana"), [Length(max=60)])
    child_name = StringField(N_("Name of the child"), [Length(max=60)])
    child_kana = StringField(N_("Reading of the child's name"), [Length(max=60)])
    grade = StringField(N_("School year"), [Length(max=20)])
    class_name = StringField(N_("Class"), [Length(max=20)])

    def said(self) -> dict[str, str]:
        """Return what was typed, by field."""
        return {one.name: one.data or "" for one in self}
