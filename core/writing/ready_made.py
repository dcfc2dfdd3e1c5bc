"""Ready-made questions for the compose page: attendance, majority, days, proxy vote, safety check (T-48)."""

from dataclasses import dataclass

from core.writing.questions import Ask
from words import N_, say


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of question begins with. `fixed`: its choices are not changed, so that everybody knows them."""

    name: str
    text: str = ""
    choices: tuple[str, ...] = ()
    unit: str = "household"
    comment: bool = False
    fixed: bool = False


KINDS: dict[str, Kind] = {
    "attendance": Kind(
        N_("Attendance"), N_("Will you attend?"), (N_("We attend"), N_("We do not attend"), N_("Not known yet")),
        comment=True,
    ),
    "majority": Kind(N_("Majority vote"), N_("Which do you prefer?"), (N_("In favour"), N_("Against"))),
    "days": Kind(
        N_("Finding a day"), N_("Which days suit you?"), (N_("○ Yes"), N_("△ Perhaps"), N_("× No")), fixed=True,
    ),
    "proxy": Kind(
        N_("Assembly and proxy"), N_("How will you take part in the assembly?"),
        (N_("We attend"), N_("Absent, the chair votes for us"), N_("Absent, we vote in writing")), comment=True,
    ),
    "safety": Kind(
        N_("Safety check"), N_("How is your child?"),
        (N_("Safe"), N_("Hurt, or needs help"), N_("Not known yet, still searching")), unit="child", fixed=True,
    ),
    "own": Kind(N_("A question of your own")),
}  # fmt: skip


def ask(kind: str, language: str) -> Ask:
    """Return a fresh question of a kind, in the organization's language."""
    made = KINDS[kind]
    text, choices = say(language, made.text), tuple(say(language, one) for one in made.choices)
    if kind == "days":
        return Ask("", choices, kind, heading=text, unit=made.unit)
    return Ask(text, choices, kind, unit=made.unit, comment=made.comment)
