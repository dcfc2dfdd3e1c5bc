"""Forms about lists."""

from wtforms import BooleanField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from i18n import N_
from web import Form

REQUIRED = InputRequired(N_("Please fill in this field."))


class ListForm(Form):
    """Name, representative address, purpose of use, and whether this is the whole organization."""

    name = StringField(N_("Name of the list"), [REQUIRED, Length(max=60)])
    address = StringField(N_("Representative address (before the @)"), [REQUIRED, Length(max=40)])
    purpose = TextAreaField(N_("What the addresses are used for"), [Length(max=1000)])
    whole = BooleanField(N_("This list is the whole school or club"))
    answer_on_open = BooleanField(N_("Take an opened choice as the answer"))
