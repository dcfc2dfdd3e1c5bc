"""The one form of the first set-up."""

from wtforms import PasswordField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from i18n import LANGUAGES, N_
from web import Form

REQUIRED = InputRequired(N_("Please fill in this field."))


class SetupForm(Form):
    """The organization and its first administrator."""

    language = RadioField(N_("Language of the pages"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    organization = StringField(N_("2  Name of the school or organization"), [REQUIRED, Length(max=100)])
    postal = StringField(N_("3  Postal address"), [Length(max=200)])
    contact = StringField(N_("How families reach you (telephone, for one)"), [Length(max=200)])
    mail_domain = StringField(N_("4  Mail domain"), [Length(max=200)])
    name = StringField(N_("User name"), [REQUIRED, Length(max=60)])
    email = StringField(N_("E-mail address"), [Length(max=254)])
    password = PasswordField(N_("Password"), [REQUIRED])
