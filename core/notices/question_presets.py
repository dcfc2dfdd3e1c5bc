"""Ready-made questions for the compose page: attendance, majority, days, proxy vote, safety check (T-48)."""

from dataclasses import dataclass

from core.notices.questions import QuestionDraft
from i18n import N_, say


@dataclass(frozen=True, slots=True)
class Preset:
    """What a kind of question begins with. `fixed`: its choices are not changed, so that everybody knows them."""

    name: str
    text: str = ""
    choices: tuple[str, ...] = ()
    unit: str = "household"
    comment: bool = False
    fixed: bool = False


PRESETS: dict[str, Preset] = {
    "attendance": Preset(
        N_("Attendance"),
        N_("Will you attend?"),
        (N_("We attend"), N_("We do not attend"), N_("Not known yet")),
        comment=True,
    ),
    "majority": Preset(N_("Majority vote"), N_("Which do you prefer?"), (N_("In favour"), N_("Against"))),
    "days": Preset(
        N_("Finding a day"), N_("Which days suit you?"), (N_("○ Yes"), N_("△ Perhaps"), N_("× No")), fixed=True
    ),
    "proxy": Preset(
        N_("Assembly and proxy"),
        N_("How will you take part in the assembly?"),
        (N_("We attend"), N_("Absent, the chair votes for us"), N_("Absent, we vote in writing")),
        comment=True,
    ),
    "safety": Preset(
        N_("Safety check"),
        N_("How is your child?"),
        (N_("Safe"), N_("Hurt, or needs help"), N_("Not known yet, still searching")),
        unit="child",
        fixed=True,
    ),
    "own": Preset(N_("A question of your own")),
}


def new_question(kind: str, language: str) -> QuestionDraft:
    """Return a fresh question of a kind, in the organization's language."""
    made = PRESETS[kind]
    text, choices = say(language, made.text), tuple(say(language, one) for one in made.choices)
    if kind == "days":
        return QuestionDraft("", choices, kind, heading=text, unit=made.unit)
    return QuestionDraft(text, choices, kind, unit=made.unit, comment=made.comment)
