"""Forms of the organization's settings."""

from wtforms import BooleanField, IntegerField, PasswordField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from core.system import mail_settings
from core.system.mail_settings import MAIL_MODES, SMTP_SECURITY_LABELS
from i18n import LANGUAGES, N_
from web import Form, _

REQUIRED = InputRequired(N_("Please fill in this field."))
_OUT_OF_RANGE = N_("Please enter a number within the bounds that are named.")


class OrganizationForm(Form):
    name = StringField(N_("Name of the school or organization"), [REQUIRED, Length(max=100)])
    postal = StringField(N_("Postal address"), [Length(max=200)])
    contact = StringField(N_("How families reach you (telephone, for one)"), [Length(max=200)])
    language = RadioField(N_("Language by default"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    base_url = StringField(N_("Address of these pages"), [Length(max=200)])
    mail_domain = StringField(N_("Mail domain"), [Length(max=200)])


class SmtpServerForm(Form):
    host = StringField(N_("Server"), [Length(max=200)])
    port = IntegerField(N_("Port"), [Optional(), NumberRange(1, 65535, _OUT_OF_RANGE)])
    security = SelectField(N_("Encryption"), default="starttls")
    user = StringField(N_("User name at the mail server"), [Length(max=200)])
    password = PasswordField(N_("Password at the mail server"), [Length(max=200)])
    hour_rate = IntegerField(
        N_("Letters an hour that it allows"), [Optional(), NumberRange(0, 1_000_000, _OUT_OF_RANGE)]
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.security.choices = [SelectChoice(name, _(words)) for name, words in SMTP_SECURITY_LABELS.items()]


class MailModeForm(Form):
    """The mail mode of this installation."""

    road = RadioField(N_("Which one is yours?"), choices=[SelectChoice(name, name) for name in MAIL_MODES])


class MailboxForm(Form):
    mailbox = StringField(N_("Address of the mailbox"), [REQUIRED, Length(max=200)])
    host = StringField(N_("Server for reading (IMAP)"), [REQUIRED, Length(max=200)])
    port = IntegerField(N_("Port"), [Optional(), NumberRange(1, 65535, _OUT_OF_RANGE)], id="box-port")
    security = SelectField(N_("Encryption"), default="tls", id="box-security")
    user = StringField(N_("User name at the mailbox"), [REQUIRED, Length(max=200)], id="box-user")
    password = PasswordField(N_("Password at the mailbox"), [Length(max=200)], id="box-password")
    plus = BooleanField(N_("Mail to this address with a plus in it arrives, too"))
    header = StringField(N_("Header that names the recipient"), [Length(max=60)])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.security.choices = [
            SelectChoice(name, _(words)) for name, words in mail_settings.IMAP_SECURITY_LABELS.items()
        ]


class SendingRatesForm(Form):
    """Sending rates and hold windows."""

    rate = IntegerField(N_("Letters a minute in all"), [InputRequired(), NumberRange(0, 100_000, _OUT_OF_RANGE)])
    domain_rate = IntegerField(
        N_("Letters a minute to one carrier"), [InputRequired(), NumberRange(0, 100_000, _OUT_OF_RANGE)]
    )
    hold_s = IntegerField(
        N_("Seconds to cancel an ordinary notice"), [InputRequired(), NumberRange(20, 3600, _OUT_OF_RANGE)]
    )
    hold_urgent_s = IntegerField(
        N_("Seconds to cancel an urgent notice"), [InputRequired(), NumberRange(10, 300, _OUT_OF_RANGE)]
    )


class CarrierForm(Form):
    """Carrier help; name and domains only for carriers that the school added."""

    name = StringField(N_("Name of the carrier or mail service"), [Length(max=100)])
    domains = StringField(N_("Its addresses end with"), [Length(max=1000)])
    ja = TextAreaField(N_("Steps in Japanese"), [Length(max=4000)])
    en = TextAreaField(N_("Steps in English"), [Length(max=4000)])
