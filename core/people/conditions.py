"""Conditions on members: which places in a list they fit, as an SQL expression over a fixed set of operators (E-15).

A condition is blocks of rules: a place fits if all rules of some block hold (「または」 between, 「かつ」 inside).
Nothing that somebody types becomes SQL: fields are looked up, names of items and values are parameters.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from peewee import Expression, Function, fn

import words
from core.roster.columns import class_name, grade, one_line
from models import Child, Membership, Person
from words import N_, Sentence

MOST_RULES = 12
LONGEST_VALUE = 200
ITEM = "item:"
"""Begins the name of a field that is an item of the roster: `item:地区`."""

FIELDS: dict[str, str] = {
    "grade": N_("Grade"),
    "class_name": N_("Class"),
    "relation": N_("Relation to the child"),
    "language": N_("Language of the letters"),
}
OPERATORS: dict[str, str] = {
    "is": N_("is"),
    "is_not": N_("is not"),
    "one_of": N_("is one of"),
    "contains": N_("contains"),
    "empty": N_("is empty"),
    "not_empty": N_("is not empty"),
}
WITHOUT_VALUE = ("empty", "not_empty")
_PHRASES: dict[str, str] = {
    "is": N_("%(field)s is “%(value)s”"),
    "is_not": N_("%(field)s is not “%(value)s”"),
    "one_of": N_("%(field)s is one of “%(value)s”"),
    "contains": N_("%(field)s contains “%(value)s”"),
    "empty": N_("%(field)s is empty"),
    "not_empty": N_("%(field)s is not empty"),
}


class BadCondition(Exception):
    """A condition cannot be used; `message` says why for `say`, `place` is the number of the rule (from 0)."""

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.message, self.place = message, place


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. field: a key of FIELDS, or `item:` and a name. value: as typed; for `one_of` several with commas."""

    field: str
    op: str
    value: str = ""

    @property
    def values(self) -> list[str]:
        """Return the values as they are compared."""
        parts = self.value.replace("、", ",").replace("，", ",").replace("\n", ",").split(",")
        typed = parts if self.op == "one_of" else [self.value]
        tidy = {"grade": grade, "class_name": class_name, "language": _language}.get(self.field, one_line)
        return [found for one in typed if (found := tidy(one))]


Blocks = tuple[tuple[Rule, ...], ...]


def _language(text: str) -> str:
    plain = one_line(text).casefold()
    return {"日本語": "ja", "japanese": "ja", "英語": "en", "english": "en"}.get(plain, plain)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def blocks(rules: Iterable[tuple[str, Rule]]) -> Blocks:
    """Put rules with the word before each (`and`, `or`) into blocks. Raises BadCondition, naming the rule."""
    found: list[list[Rule]] = []
    for place, (word, rule) in enumerate(rules):
        if place >= MOST_RULES:
            raise BadCondition(Sentence(N_("At most %(n)s rules, please."), n=MOST_RULES), place)
        _check(rule, place)
        if word == "or" or not found:
            found.append([])
        found[-1].append(rule)
    if not found:
        raise BadCondition(N_("Choose at least one rule."))
    return tuple(tuple(block) for block in found)


def _check(rule: Rule, place: int) -> None:
    if rule.field not in FIELDS and not (rule.field.startswith(ITEM) and one_line(rule.field[len(ITEM) :])):
        raise BadCondition(N_("Choose what it is about."), place)
    if rule.op not in OPERATORS:
        raise BadCondition(N_("Choose how it is compared."), place)
    if rule.op not in WITHOUT_VALUE and not rule.values:
        raise BadCondition(N_("Write what it is compared with."), place)
    if len(rule.value) > LONGEST_VALUE or len(rule.field) > LONGEST_VALUE:
        raise BadCondition(Sentence(N_("Longer than %(n)s characters."), n=LONGEST_VALUE), place)


def as_rows(condition: Blocks) -> list[list[dict[str, Any]]]:
    """Return blocks as a row of the database keeps them."""
    return [[asdict(rule) for rule in block] for block in condition]


def of_rows(rows: list[list[dict[str, Any]]]) -> Blocks:
    """Return the blocks that a row keeps."""
    return tuple(tuple(Rule(**rule) for rule in block) for block in rows)


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def fits(condition: Blocks) -> Expression:
    """Return the condition over Membership, Person and Child (left outer joined)."""
    return reduce(or_, (reduce(and_, (_rule(rule) for rule in block)) for block in condition))


def _rule(rule: Rule) -> Expression:
    return _COMPARE[rule.op](_held(rule.field), rule.values)


_COMPARE: dict[str, Callable[[Any, list[str]], Expression]] = {
    "is": lambda held, values: held == values[0],
    "is_not": lambda held, values: held != values[0],
    "one_of": lambda held, values: held.in_(values),
    "contains": lambda held, values: held.contains(values[0]),
    "empty": lambda held, values: held == "",
    "not_empty": lambda held, values: held != "",
}
_COLUMNS = {
    "grade": Child.grade,
    "class_name": Child.class_name,
    "relation": Membership.relation,
    "language": Person.language,
}


def _held(field: str) -> Function:
    """Return what a place holds in a field, never NULL: an item of the child, else the place's own."""
    if field in _COLUMNS:
        return fn.COALESCE(_COLUMNS[field], "")
    name = field.removeprefix(ITEM)
    own, of_child = Membership.attributes[name].as_text(), Child.attributes[name].as_text()
    return fn.COALESCE(fn.NULLIF(of_child, ""), own, "")


# ── saying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def name_of(language: str, field: str) -> str:
    """Return the name of a field as a page shows it."""
    return words.say(language, FIELDS[field]) if field in FIELDS else field.removeprefix(ITEM)


def in_words(language: str, condition: Blocks) -> str:
    """Return a condition as a sentence: 「学年が「3」、かつ地区が「本町」」."""
    said = [words.say(language, " and ").join(_phrase(language, rule) for rule in block) for block in condition]
    if len(said) == 1:
        return said[0]
    return words.say(language, ", or ").join(words.say(language, "(%(rules)s)", rules=one) for one in said)


def _phrase(language: str, rule: Rule) -> str:
    values = words.say(language, ", ").join(rule.values)
    return words.say(language, _PHRASES[rule.op], field=name_of(language, rule.field), value=values)
