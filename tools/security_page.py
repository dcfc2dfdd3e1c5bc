"""Write the generated parts of `docs/security.md`: `.venv/bin/python -m tools.security_page [COUNTS.json]`.

Who may use each address comes from `tests/security/access.py`, which the matrix of requests proves. With a file of counts
(`make security` writes it), the table of what was tried is renewed too.
"""

import json
import re
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from app import AREAS, create_app
from config import Config
from tests.security import access

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"
WORDS = {"view": "viewer", "send": "sender", "manage": "manager"}
"""The role that each need asks for; higher roles include it."""
STATES = {
    "draft": "the draft",
    "asked": "the notice that waits for approval",
    "held": "the notice in its hold window",
    "late": "the notice that waits for a decision",
    "scheduled": "the scheduled notice",
    "paused": "the paused notice",
    "sent": "the notice",
}


def web_app() -> Flask:
    """Return the application on an empty installation, for its routes."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Config(data=Path(folder)))


def who(value: str) -> str:
    """Say in words who may use a route with this value of ACCESS."""
    kind, _, need = value.partition(" ")
    role = WORDS.get(need, "")
    if kind in STATES:
        lists = "one of its lists" if need == "view" else "all of its lists"
        return f"{role} of {lists} ({STATES[kind]})"
    return {
        "open": "everybody; the mark or token in the address decides",
        "user": "every logged-in user; the page shows what the roles allow",
        "own": "the user, for the own account",
        "any": f"{role} of any list",
        "admin": "administrator",
        "list": f"{role} of the list",
        "direct": "the writer of the letter, or an administrator",
        "person": f"{role} of one of the person's lists",
        "place": f"{role} of the list of the membership",
        "request": f"{role} of all lists of the person",
        "template": f"{role} of the template's list",
        "results": f"{role} of one of the notice's lists, for the families of the own lists",
        "family": f"{role} of the family's list",
    }[kind]


def shown(rule: Rule) -> str:
    return re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", r"‹\1›", rule.rule)


def access_table(app: Flask) -> str:
    """Return the tables of all addresses, one for each area."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for rule, method in access.rules(app):
        value = access.classify(rule, method)
        if rule.endpoint != "static" and value:
            rows.setdefault((rule.endpoint.partition(".")[0], shown(rule), who(value)), []).append(method)
    order = {area: place for place, area in enumerate(AREAS)}
    lines = []
    for area, group in groupby(sorted(rows, key=lambda row: (order[row[0]], row[1:])), key=lambda row: row[0]):
        lines += [f"### {area}", "", "| address | methods | who |", "|---|---|---|"]
        lines += [f"| `{url}` | {' '.join(rows[area, url, people])} | {people} |" for _area, url, people in group]
        lines.append("")
    return "\n".join(lines).rstrip()


def tried_table(counts: dict[str, Any]) -> str:
    """Return the table of what was tried: requests by part of the tests, and the tools."""
    lines = ["| what | how many | result |", "|---|---|---|"]
    lines += [f"| {row['what']} | {row['count']} | {row['result']} |" for row in counts["rows"]]
    return "\n".join([*lines, "", f"Run on {counts['day']} at commit `{counts['commit']}`."])


def filled(page: str, name: str, text: str) -> str:
    """Return the page with the part between `<!-- NAME -->` and `<!-- end of NAME -->` replaced."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(end)
    assert found, f"{PAGE.name} has no part {name}"
    return f"{before}{start}\n{text}\n{end}{after}"


def written_page(counts: dict[str, Any] | None = None) -> str:
    page = filled(PAGE.read_text("utf-8"), "access", access_table(web_app()))
    return filled(page, "tried", tried_table(counts)) if counts else page


if __name__ == "__main__":
    PAGE.write_text(written_page(json.loads(Path(sys.argv[1]).read_text("utf-8")) if sys.argv[1:] else None), "utf-8")
