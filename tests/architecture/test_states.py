"""Code compares and writes the states of rows by their StrEnum; templates name only states that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import models
from core.imports.columns import STATE_LABELS

HERE = Path(__file__).parents[2]
COLUMNS = {"state", "address_state", "reported_address_state"}
STATES = {
    str(state)
    for name, enum in vars(models).items()
    if name.endswith("State") and issubclass(enum, str)
    for state in enum
}
OTHER_STATES = {"core/reports/board.py"}
"""Cells of the board: what a page shows, from several columns."""


def constants(node: ast.AST) -> Iterator[ast.Constant]:
    """Return the string literals of an expression, those in tuples and in `a if b else c` included."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for part in ast.iter_child_nodes(node) if isinstance(node, ast.Tuple | ast.List | ast.Set) else ():
        yield from constants(part)
    if isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def is_state(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in COLUMNS


def bare_states(source: str) -> list[tuple[int, str]]:
    """Return (line, literal) of each state that is compared with a column or written into it as text."""
    found: list[ast.Constant] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(map(is_state, (node.left, *node.comparators))):
            found += [one for side in (node.left, *node.comparators) for one in constants(side)]
        elif isinstance(node, ast.Call):
            if (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in ("in_", "not_in")
                and is_state(node.func.value)
            ):
                found += [one for argument in node.args for one in constants(argument)]
            found += [one for keyword in node.keywords if keyword.arg in COLUMNS for one in constants(keyword.value)]
        elif isinstance(node, ast.Assign) and any(map(is_state, node.targets)):
            found += constants(node.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in COLUMNS:
                    found += constants(value)
    return sorted((one.lineno, one.value) for one in found if one.value in STATES)


def test_no_state_is_written_as_text():
    sources = [
        *HERE.glob("*.py"),
        *(path for part in ("core", "blueprints", "cli") for path in (HERE / part).rglob("*.py")),
    ]
    names = {path.relative_to(HERE).as_posix(): bare_states(path.read_text("utf-8")) for path in sources}
    assert len(names) > 200
    assert {name: found for name, found in names.items() if found and name not in OTHER_STATES} == {}


def test_a_state_as_text_is_seen():
    for text in (
        'Membership.state == "active"',
        'row.state not in ("left", "refused")',
        'Person.address_state.in_(("fine",))',
        'Reminder.update(state="begun")',
        '{"state": "left"}',
        'job.state = "done"',
        'Job.update(state="ready" if free else other)',
    ):
        assert bare_states(text), text
    assert bare_states('row.state == MembershipState.ACTIVE; reason == "left"; {"state": state}') == []


def test_templates_name_states_that_exist():
    shown = {"read", "told", "trouble", "sent", "going", "over", "none", "undelivered", *STATE_LABELS}
    compared = re.compile(r"\b(?:address_)?state (?:==|!=|in|not in) (\"\w+\"|\([^)]*\))")
    found = {
        (path.name, state)
        for path in (HERE / "templates").rglob("*.html")
        for hit in compared.finditer(path.read_text("utf-8").replace("'", '"'))
        for state in re.findall(r'"(\w+)"', hit[1])
    }
    assert len(found) > 60
    assert {hit for hit in found if hit[1] not in STATES | shown} == set()
