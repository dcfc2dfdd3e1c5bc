"""Forms of the organization's settings."""

from urllib.parse import quote

from wtforms import IntegerField, PasswordField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from mail.deliver import Route
from web import Form, _
from words import LANGUAGES, N_

NEEDED = InputRequired(N_("Please fill in this field."))
SECURITY = {
    "starttls": N_("STARTTLS (usual, port 587)"),
    "tls": N_("TLS from the start (port 465)"),
    "none": N_("Not encrypted (only inside your own network)"),
}
_SCHEMES = {"starttls": "smtp+starttls", "tls": "smtps", "none": "smtp"}
_OUT_OF_RANGE = N_("Please enter a number within the bounds that are named.")


class House(Form):
    """What families see of the organization."""

    name = StringField(N_("Name of the school or organization"), [NEEDED, Length(max=100)])
    postal = StringField(N_("Postal address"), [Length(max=200)])
    contact = StringField(N_("How families reach you (telephone, for one)"), [Length(max=200)])
    language = RadioField(N_("Language by default"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    base_url = StringField(N_("Address of these pages"), [Length(max=200)])
    mail_domain = StringField(N_("Mail domain"), [Length(max=200)])


class Server(Form):
    """The mail server, in fields instead of one address."""

    host = StringField(N_("Server"), [Length(max=200)])
    port = IntegerField(N_("Port"), [Optional(), NumberRange(1, 65535, _OUT_OF_RANGE)])
    security = SelectField(N_("Encryption"), default="starttls")
    user = StringField(N_("User name at the mail server"), [Length(max=200)])
    password = PasswordField(N_("Password at the mail server"), [Length(max=200)])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.security.choices = [SelectChoice(name, _(words)) for name, words in SECURITY.items()]

    def url(self, kept: Route | None) -> str:
        """Return the route as one address, empty for the outbox; an empty password field keeps the password."""
        host, user = (self.host.data or "").strip(), (self.user.data or "").strip()
        if not host:
            return ""
        password = self.password.data or (kept.password if kept and kept.user == user and kept.host == host else "")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
        name = f"[{host}]" if ":" in host else host
        port = f":{self.port.data}" if self.port.data else ""
        return f"{_SCHEMES[self.security.data]}://{login}{name}{port}"


class Pace(Form):
    """How fast letters go, and how long a notice can be cancelled."""

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
