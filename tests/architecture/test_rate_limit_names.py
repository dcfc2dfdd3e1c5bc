"""Every counter of `core.rate_limits` has a name of its own, used by one module: none uses up the limit of another."""

import ast
from collections import defaultdict

from tests.architecture.test_dependencies import MODULES

CALLS = {"record_hit", "hit_count", "record_failure", "retry_after", "reset_count"}
BUILT_APART = {
    "core.accounts.logins": ("_limit_keys",),
    "core.accounts.second_factor": ("_throttled",),
    "core.signup.quotas": ("_counters_for",),
}
"""Functions that build names for a variable."""


def beginning(node: ast.expr) -> str | None:
    """Return what a name begins with, up to its first value; None for another expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        return str(first.value) if isinstance(first, ast.Constant) else ""
    return None


def names_in(module: str, source: str) -> dict[str, set[str]]:
    """Return {beginning: functions} of the counters of a module."""
    found = defaultdict(set)
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
                if (name := beginning(node.args[0])) is not None:
                    found[name].add(function.name)
            elif function.name in BUILT_APART.get(module, ()) and isinstance(node, ast.JoinedStr):
                found[beginning(node) or ""].add(function.name)
    return found


def test_no_name_is_used_by_two_modules_or_begins_another():
    used: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        source = path.read_text("utf-8")
        if "rate_limits" in source and module != "core.rate_limits":
            for name in names_in(module, source):
                used[name].add(module)
    assert len(used) > 30 and "passwords of network:" in used and {"link request:", "wrong code:"} <= used.keys()
    assert {name: modules for name, modules in used.items() if len(modules) > 1} == {}
    assert [(a, b) for a in used for b in used if a != b and b.startswith(a)] == []


def test_a_name_used_twice_would_be_found():
    first = names_in("one", "def f(): rate_limits.record_hit(f'login:{x}', now)")
    second = names_in("two", "def g(): rate_limits.hit_count(f'login:{y}', now)")
    assert set(first) == set(second) == {"login:"}
