"""Forms about who may post to a list by mail, and how posts are treated."""

from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from i18n import N_
from web import Form

REQUIRED = InputRequired(N_("Please fill in this field."))


class SenderForm(Form):
    """An address that may post, and the name that readers see."""

    address = StringField(N_("E-mail address"), [REQUIRED, Length(max=254)])
    name = StringField(N_("Name that readers see as the sender"), [Length(max=60)])


class PostingRulesForm(Form):
    """How the list takes mails."""

    post_ask = BooleanField(N_("Always ask the sender before a mail is distributed"))
    post_confirm = BooleanField(N_("Ask readers of posted mails for “I have read this”"))
