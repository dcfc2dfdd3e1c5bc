"""Forms of one member. Free attributes are lines 「項目＝値」."""

import re

from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from i18n import LANGUAGES, N_
from web import Form

_LINE = re.compile(r"\s*([^=＝:：\n]{1,60})\s*[=＝:：]\s*(.*)")


def parse_attributes(text: str) -> dict[str, str]:
    """Return {attribute: value} of lines 「項目＝値」; ignore lines without a separator."""
    matches = (_LINE.fullmatch(line) for line in text.splitlines())
    return {match[1].strip(): match[2].strip() for match in matches if match}


def format_attributes(items: dict[str, str]) -> str:
    """Return attributes as lines for `parse_attributes`."""
    return "\n".join(f"{key}＝{' '.join(str(text).split())}" for key, text in items.items())


class PersonForm(Form):
    """Values of the person, shared by all lists."""

    name = StringField(N_("Name"), [Length(max=200)])
    kana = StringField(N_("Reading of the name"), [Length(max=200)])
    phone = StringField(N_("Telephone"), [Length(max=40)])
    language = RadioField(
        N_("Language of the letters"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()], default="ja"
    )


class MembershipForm(Form):
    """Values of one membership: child, relation, free attributes."""

    child_name = StringField(N_("Name of the child"), [Length(max=200)])
    child_kana = StringField(N_("Reading of the child’s name"), [Length(max=200)])
    grade = StringField(N_("Grade"), [Length(max=40)])
    class_name = StringField(N_("Class"), [Length(max=40)])
    relation = StringField(N_("Relation"), [Length(max=40)])
    in_charge = SelectField(N_("Class teacher"), coerce=int, choices=[], validate_choice=False, default=0)
    items = TextAreaField(N_("Items"), [Length(max=5000)])


class NewMemberForm(PersonForm, MembershipForm):
    address = StringField(N_("E-mail address"), [Length(max=300)])


class AddressForm(Form):
    address = StringField(N_("New e-mail address"), [Length(max=300)])


class DirectMessageForm(Form):
    """Letter to one person; `key` makes a double tap idempotent."""

    key = HiddenField()
    out_of = SelectField(N_("In the name of"), coerce=int, choices=[], validate_choice=False)
    subject = StringField(
        N_("Subject"),
        [
            InputRequired(N_("Write a subject.")),
            Length(max=200, message=N_("The subject is longer than 200 characters.")),
        ],
    )
    text = TextAreaField(
        N_("Body"),
        [
            InputRequired(N_("Write the text.")),
            Length(max=50_000, message=N_("The text is longer than 50,000 characters.")),
        ],
    )
    read_confirmation = BooleanField(N_("Ask the readers to confirm that they have read it"))
