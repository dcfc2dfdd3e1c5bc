"""Forms about who may post to a list by mail, and how posts and blank mails are treated."""

from wtforms import BooleanField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from web import Form, _
from words import N_

NEEDED = InputRequired(N_("Please fill in this field."))
JOINING = {
    "open": N_("A blank mail joins at once"),
    "confirm": N_("A blank mail gets a link to confirm"),
    "approve": N_("A manager approves each one"),
}


class SenderForm(Form):
    """An address that may post, and the name that readers see."""

    address = StringField(N_("E-mail address"), [NEEDED, Length(max=254)])
    name = StringField(N_("Name that readers see as the sender"), [Length(max=60)])


class DoorForm(Form):
    """How the list takes mails."""

    post_ask = BooleanField(N_("Always ask the sender before a mail is distributed"))
    post_confirm = BooleanField(N_("Ask readers of posted mails for “I have read this”"))
    join_mode = RadioField(N_("Joining by a blank mail"))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.join_mode.choices = [SelectChoice(mode, _(JOINING[mode])) for mode in JOINING]
