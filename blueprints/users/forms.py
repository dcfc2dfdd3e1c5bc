"""Forms about organizers and their roles."""

from wtforms import BooleanField, DateField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional

from core.accounts import roles
from i18n import LANGUAGES, N_
from models import MailingList
from web import Form, _

REQUIRED = InputRequired(N_("Please fill in this field."))


class RoleForm(Form):
    """A role, where it counts, and until when."""

    kind = SelectField(N_("Role"), default="sender")
    place = SelectField(
        N_("Where it counts"), [InputRequired(N_("Please choose where it counts."))], coerce=lambda text: _list_id(text)
    )
    until = DateField(N_("Last day"), [Optional()])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.kind.choices = [SelectChoice(kind, _(roles.ROLE_LABELS[kind])) for kind in reversed(roles.ROLE_LABELS)]
        lists = [SelectChoice(one.id, one.name) for one in MailingList.open_lists()]
        nothing = [SelectChoice("", _("Please choose"))] if lists else []  # never the whole school by a careless press
        self.place.choices = [*nothing, *lists, SelectChoice(0, _("The whole organization"))]


def _list_id(text: object) -> int | None:
    return int(str(text)) if str(text).isdecimal() else None


class InviteForm(RoleForm):
    """A colleague with the first role."""

    name = StringField(N_("User name"), [REQUIRED, Length(max=60)])
    email = StringField(N_("E-mail address"), [REQUIRED, Length(max=254)])
    language = RadioField(N_("Language of the pages"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])


class DisableForm(Form):
    """Disable although a list loses its only manager."""

    anyway = BooleanField()
