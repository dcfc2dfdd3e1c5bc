"""Forms of the reader's own page. No token: the mark in the address is the authority."""

from collections.abc import Mapping

from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

from i18n import LANGUAGES, N_
from web import Form


class TokenForm(Form):
    """A form of a page that is opened by a mark."""

    class Meta(Form.Meta):
        csrf = False


class PreferencesForm(TokenForm):
    """What belongs to the reader."""

    name = StringField(N_("Your name"), [Length(max=60)])
    kana = StringField(N_("Reading in kana"), [Length(max=60)])
    phone = StringField(N_("Telephone"), [Length(max=40)])
    language = RadioField(
        N_("Language of the letters"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()], default="ja"
    )


class ChildForm(TokenForm):
    """A child: names, and class while it is not known."""

    name = StringField(N_("Name of the child"), [Length(max=60)])
    kana = StringField(N_("Reading of the child's name"), [Length(max=60)])
    grade = StringField(N_("School year"), [Length(max=20)])
    class_name = StringField(N_("Class"), [Length(max=20)])


class AddressForm(TokenForm):
    """A new address."""

    address = StringField(N_("New e-mail address"), [Length(max=300)])


def posted_attributes(form: Mapping[str, str], items: Mapping[int, Mapping[str, str]]) -> dict[int, dict[str, str]]:
    """Return the items of places as they were typed; fields are called after place and position."""
    return {
        number: {key: form[name] for place, key in enumerate(shown) if (name := f"item{number}-{place}") in form}
        for number, shown in items.items()
    }
