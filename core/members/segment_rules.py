"""Segment rules: which memberships of a list match, as an SQL expression over a fixed set of operators (E-15).

Rules form blocks: a membership matches if all rules of some block match (「または」 between, 「かつ」 inside). User input
never becomes SQL: fields are looked up; item names and values are parameters.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from peewee import SQL, Expression, Function, NodeList, Value, fn

import i18n
from core.members.normalise import language_code, normalise_class, normalise_grade, normalise_text
from i18n import N_, LazyMessage
from models import Child, Membership, Person

MAX_RULES = 12
MAX_VALUE_LENGTH = 200
ITEM_PREFIX = "item:"
"""Prefix of a field that is a custom item of the roster: `item:地区`."""

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
OPERATORS_WITHOUT_VALUE = ("empty", "not_empty")
_PHRASES: dict[str, str] = {
    "is": N_("%(field)s is “%(value)s”"),
    "is_not": N_("%(field)s is not “%(value)s”"),
    "one_of": N_("%(field)s is one of “%(value)s”"),
    "contains": N_("%(field)s contains “%(value)s”"),
    "empty": N_("%(field)s is empty"),
    "not_empty": N_("%(field)s is not empty"),
}


class InvalidRule(Exception):
    """A rule cannot be used. `message`: source string for `say`; `place`: index of the rule."""

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.message, self.place = message, place


@dataclass(frozen=True, slots=True)
class SegmentRule:
    """One rule. field: a key of FIELDS, or `item:` and a name. value: as typed; several for `one_of`, with commas."""

    field: str
    op: str
    value: str = ""

    @property
    def values(self) -> list[str]:
        """Return the normalised values."""
        parts = self.value.replace("、", ",").replace("，", ",").replace("\n", ",").split(",")
        typed = parts if self.op == "one_of" else [self.value]
        normalise = {"grade": normalise_grade, "class_name": normalise_class, "language": _language_code}.get(
            self.field, normalise_text
        )
        return [value for text in typed if (value := normalise(text))]


RuleBlocks = tuple[tuple[SegmentRule, ...], ...]


def _language_code(text: str) -> str:
    return language_code(text) or normalise_text(text).casefold()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_blocks(rules: Iterable[tuple[str, SegmentRule]]) -> RuleBlocks:
    """Build blocks from rules with the word before each (`and`, `or`). Raises InvalidRule."""
    blocks: list[list[SegmentRule]] = []
    for index, (word, rule) in enumerate(rules):
        if index >= MAX_RULES:
            raise InvalidRule(LazyMessage(N_("At most %(n)s rules, please."), n=MAX_RULES), index)
        _validate_rule(rule, index)
        if word == "or" or not blocks:
            blocks.append([])
        blocks[-1].append(rule)
    if not blocks:
        raise InvalidRule(N_("Choose at least one rule."))
    return tuple(tuple(block) for block in blocks)


def _validate_rule(rule: SegmentRule, index: int) -> None:
    if rule.field not in FIELDS and not (
        rule.field.startswith(ITEM_PREFIX) and normalise_text(rule.field[len(ITEM_PREFIX) :])
    ):
        raise InvalidRule(N_("Choose what it is about."), index)
    if rule.op not in OPERATORS:
        raise InvalidRule(N_("Choose how it is compared."), index)
    if rule.op not in OPERATORS_WITHOUT_VALUE and not rule.values:
        raise InvalidRule(N_("Write what it is compared with."), index)
    if len(rule.value) > MAX_VALUE_LENGTH or len(rule.field) > MAX_VALUE_LENGTH:
        raise InvalidRule(LazyMessage(N_("Longer than %(n)s characters."), n=MAX_VALUE_LENGTH), index)


def blocks_to_json(condition: RuleBlocks) -> list[list[dict[str, Any]]]:
    return [[asdict(rule) for rule in block] for block in condition]


def blocks_from_json(rows: list[list[dict[str, Any]]]) -> RuleBlocks:
    return tuple(tuple(SegmentRule(**rule) for rule in block) for block in rows)


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def blocks_to_sql(condition: RuleBlocks) -> Expression:
    """Return the condition over Membership, Person and Child (left outer joined)."""
    return reduce(or_, (reduce(and_, (_rule_to_sql(rule) for rule in block)) for block in condition))


def _rule_to_sql(rule: SegmentRule) -> Expression:
    return _COMPARE[rule.op](_field_value(rule.field), rule.values)


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


def _field_value(field: str) -> Function:
    """Return the value of a field, never NULL: an item of the child, else of the membership."""
    if field in _COLUMNS:
        return fn.COALESCE(_COLUMNS[field], "")
    name = field.removeprefix(ITEM_PREFIX)
    return fn.COALESCE(fn.NULLIF(_item(Child.attributes, name), ""), _item(Membership.attributes, name), "")


def _item(items: Any, name: str) -> NodeList:
    """Return the value of an item. `json_each` compares the name itself; a JSON path cannot hold every quote."""
    return NodeList((SQL("(SELECT value FROM json_each("), items, SQL(") WHERE key ="), Value(name), SQL(")")))


# ── saying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def field_label(language: str, field: str) -> str:
    return i18n.say(language, FIELDS[field]) if field in FIELDS else field.removeprefix(ITEM_PREFIX)


def describe_blocks(language: str, condition: RuleBlocks) -> str:
    """Return rules as a sentence: 「学年が「3」、かつ地区が「本町」」."""
    texts = [i18n.say(language, " and ").join(_describe_rule(language, rule) for rule in block) for block in condition]
    if len(texts) == 1:
        return texts[0]
    return i18n.say(language, ", or ").join(i18n.say(language, "(%(rules)s)", rules=text) for text in texts)


def _describe_rule(language: str, rule: SegmentRule) -> str:
    values = i18n.say(language, ", ").join(rule.values)
    return i18n.say(language, _PHRASES[rule.op], field=field_label(language, rule.field), value=values)
