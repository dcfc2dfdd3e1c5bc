"""Forms of login and of one's own account: checks of shape only."""

from wtforms import BooleanField, EmailField, HiddenField, PasswordField, RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from web import Form
from words import LANGUAGES, N_

NEEDED = InputRequired(N_("Please fill in this field."))


class Login(Form):
    """User name or e-mail and password."""

    name = StringField(N_("User name or e-mail address"), [NEEDED, Length(max=254)])
    password = PasswordField(N_("Password"), [NEEDED])
    remember = BooleanField(N_("Stay logged in on this device for 90 days"))
    next = HiddenField()
