"""Forms of login and of one's own account: checks of shape only."""

from wtforms import BooleanField, HiddenField, PasswordField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from i18n import LANGUAGES, N_
from web import Form

REQUIRED = InputRequired(N_("Please fill in this field."))


class LoginForm(Form):
    """User name or e-mail and password."""

    name = StringField(N_("User name or e-mail address"), [REQUIRED, Length(max=254)])
    password = PasswordField(N_("Password"), [REQUIRED])
    remember = BooleanField(N_("Stay logged in on this device for 90 days"))
    next = HiddenField()


class RequestLinkForm(Form):
    """Whose account a link is to be mailed for."""

    name = StringField(N_("User name or e-mail address"), [REQUIRED, Length(max=254)])


class LinkLoginForm(Form):
    """The button of a log-in link."""

    remember = BooleanField(N_("Stay logged in on this device for 90 days"))


class ConfirmEmailForm(Form):
    """The button that confirms a new address."""


class NewPasswordForm(Form):
    """A password chosen through a link."""

    password = PasswordField(N_("New password"), [REQUIRED])


class ProfileForm(Form):
    """One's own name, language and signature."""

    name = StringField(N_("User name"), [REQUIRED, Length(max=60)])
    language = RadioField(N_("Language of the pages"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    signature = TextAreaField(N_("Signature"), [Length(max=1000)])


class EmailForm(Form):
    """One's own address, with the password."""

    email = StringField(N_("E-mail address"), [Length(max=254)])
    password = PasswordField(N_("Your password"), [REQUIRED], id="email-password")


class ChangePasswordForm(Form):
    """The old and the new password."""

    old = PasswordField(N_("Your password until now"), [REQUIRED])
    password = PasswordField(N_("New password"), [REQUIRED])
