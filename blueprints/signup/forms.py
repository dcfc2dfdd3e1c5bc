"""The form of how a list is joined."""

from wtforms import RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

from i18n import N_
from web import Form, _

JOIN_MODES = {
    "open": N_("Everybody with the address, at once"),
    "code": N_("With a code at once; without one a manager approves"),
    "confirm": N_("Everybody presses a link in a letter first"),
    "approve": N_("A manager approves each one"),
    "closed": N_("Nobody: only managers add members"),
}


class SignupSettingsForm(Form):
    """Who joins by himself, the words that greet, and what the addresses are used for."""

    join_mode = RadioField(N_("Who may join without an organizer"))
    greeting = TextAreaField(N_("Your own words in the welcome letter"), [Length(max=2000)])
    purpose = TextAreaField(N_("What the addresses are used for"), [Length(max=1000)])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.join_mode.choices = [SelectChoice(mode, _(JOIN_MODES[mode])) for mode in JOIN_MODES]
