"""Addresses of the routes for the objects of one owner, and forms that fill every field which any page knows."""

import re
from typing import Any

from tests.security.access import NOTICE_STATES, PARAMETER, Route
from tests.security.world import World

UNKNOWN = "zzzz"
"""Stands for a word that this school does not have, as the name of a new parameter."""
CHILDREN = {
    "group", "job_id", "which", "place_id", "list_id", "file", "delivery", "reminder", "notice", "role", "mark", "code",
}  # fmt: skip
"""Parameters that name a second object, below the first."""


def main_kind(route: Route) -> str:
    """Return the kind of object that the first number of the address names."""
    if "<" not in route.rule:
        return ""
    if route.rule.startswith("/users"):
        return "user"
    if route.rule.startswith("/incoming"):
        return "incoming"
    if route.rule.startswith(("/lists", "/rollover/lists")):
        return "list"
    if route.rule.startswith("/replies"):
        return "reply"
    return {"results": "sent", "family": "sent", "place": "person"}.get(route.kind, route.kind)


def owners(route: Route) -> tuple[str, ...]:
    """Return the owners whose object the route is tried with."""
    kind = main_kind(route)
    if kind == "draft":
        return ("a", "b", "both", "whole", "practice")
    if kind in NOTICE_STATES or kind == "reply":
        return ("a", "b", "both", "whole") if kind != "direct" else ("a", "b", "both")
    if kind == "person":
        return ("a", "b", "both")
    if kind == "request":
        return ("both",)
    if kind == "own":
        return ("chief",)
    if kind == "list":
        return ("a", "b") if route.rule.startswith("/rollover") else ("a", "b", "practice")
    if kind == "template":
        return ("a", "b")
    return ("a",)


def value(world: World, route: Route, name: str, owner: str) -> Any:
    """Return the value of one parameter for an owner's object; None if the owner has no such object."""
    made, kind = world.numbers[owner], main_kind(route)
    if name in world.house and kind not in NOTICE_STATES:
        return world.house[name]
    if name == "number" and kind == "own":
        return made[route.rule.split("/")[2]]
    if name == "number":
        if kind == "direct":
            return made["person"]
        return world.house.get(kind) or made.get(kind) or (None if owner == "practice" else 1)
    if name == "which":
        return made.get("step" if route.endpoint.startswith("drip.") else "sender")
    if name == "place_id":
        return made.get("membership")
    if name == "list_id":
        return made.get("list") or world.numbers["a"]["list"]
    if name == "job_id":
        return made.get("job")
    if name == "file":
        return made.get(f"file of {kind}")
    if name == "mark":
        return made.get(f"mark of {kind}") or made.get("mark") or UNKNOWN
    if name == "notice":
        return made.get("direct")
    if name == "code":
        return made.get("template")
    if name in CHILDREN:
        return made.get(name)
    fixed = {"place": 1 if "questions" in route.rule else 0, "choice": 1, "kind": "own", "way": "page"}
    return fixed.get(name, made.get(name, UNKNOWN))


def address(world: World, route: Route, owner: str, child_owner: str = "") -> str | None:
    """Return the address for an owner's object; with `child_owner` the second object is another's."""

    def fill(part: re.Match[str]) -> str:
        whose = child_owner if child_owner and part[1] in CHILDREN and part.start() > first else owner
        found = value(world, route, part[1], whose)
        missing.extend([part[1]] if found is None else [])
        return str(found)

    missing: list[str] = []
    names = list(PARAMETER.finditer(route.rule))
    first = names[0].start() if names else 0
    url = PARAMETER.sub(fill, route.rule)
    return None if missing else url


def has_child(route: Route) -> bool:
    """Say whether the address names a second object."""
    return any(name in CHILDREN for name in PARAMETER.findall(route.rule)[1:])


MEMBERS_IN_STATE = ("approve", "resume", "reject")
FITTING: dict[str, dict[str, Any]] = {
    "admin.save_mailbox": {"address": "kairan@example.org", "host": "imap.example.org", "port": "993"},
    "drip.add_message": {"at": "12:00"},
    "drip.edit_message": {"at": "12:00"},
    "lists.add_list": {"address": "neu"},
    "lists.close_list": {"typed": "0"},
    "lists.edit_list": {"address": "neu"},
    "lists.confirm_move_copy": {"kind": "copy"},
    "lists.run_move_copy": {"kind": "copy"},
    "lists.save_monthly_test": {"at": "12:30"},
    "users.grant_role": {"kind": "viewer"},
    "users.invite_user": {"kind": "viewer"},
}
"""What a route wants in a field that means something else on the other pages."""


def form_of(world: World, route: Route, owner: str) -> dict[str, Any]:
    """Return the form for a route, its numbers those of an owner."""
    fields, made = form(world, owner), world.numbers[owner]
    if any(word in route.endpoint for word in MEMBERS_IN_STATE):
        waiting = made.get("stopped_person" if "resume" in route.endpoint else "pending_person", fields["person"])
        fields |= {"m": waiting, "person": waiting}
    return fields | FITTING.get(route.endpoint, {})


def form(world: World, owner: str) -> dict[str, Any]:
    """Return one form with every field that a page of Kairan reads; its numbers are an owner's objects."""
    made = world.numbers[owner]
    fallback = world.numbers["b" if owner == "practice" else "a"]
    number = {key: made.get(key, fallback[key]) for key in ("list", "group", "person", "membership", "child", "draft")}
    return {
        "m": number["person"],
        "p": number["person"],
        "person": number["person"],
        "other": world.numbers["next" if owner == "a" else owner].get("person", fallback["person"]),
        "child": number["child"],
        "list": number["list"],
        "lists": number["list"],
        "into": number["list"],
        "out_of": number["list"],
        "of": number["list"],
        "group": number["group"],
        "notice": number["draft"],
        "deliveries": made.get("delivery", fallback["delivery"]),
        "delivery": made.get("delivery", fallback["delivery"]),
        f"person-{number['person']}": "in",
        f"group-{number['group']}": "in",
        "colleague": world.users["chief"].id,
        "class_teacher": world.users["chief"].id,
        "from_class_teacher": "y",
        "user": "役", "role": "viewer", "kind": "other", "name": "題 名", "kana": "", "text": "本文", "subject": "件名",
        "address": "neu@example.com", "phone": "1", "language": "ja", "password": "kumo-no-ue-no-hasi-8",
        "child_name": "子 名", "grade": "3", "class_name": "1", "relation": "父", "items": "", "purpose": "x",
        "email": "neu@school.example", "until": "2099-03-31", "at": "2099-01-01T10:00", "typed": "1", "wished": "1",
        "sure": "1", "known_on": "2026-01-01T10:00", "place": number["list"], "manager": world.users["chief"].id, "useful_s": "172800",
        "unit": "household", "remind": "0x1", "comment": "", "join_mode": "open", "greeting": "", "word": "x", "note": "x",
        "hand": "x", "day": "1", "days": "3", "q": "zq", "find": "zq", "q1": "1", "mark": "", "fingerprint": "", "seen": "",
        "field-0": "grade", "op-0": "is", "value-0": "3", "column": "name", "encoding": "", "ja": "x", "en": "x",
        "domains": "example.jp", "host": "localhost", "port": "25", "security": "none", "road": "own", "rate": "10",
        "hour_rate": "0", "domain_rate": "10", "hold_s": "180", "hold_urgent_s": "20", "domain_until": "2099-01-01",
        "server_until": "2099-01-01", "leaving": number["child"], "grades": "6", "line-1": "new", "open": "daily",
        "reopen": "daily", "click": "daily", "read": "daily", "answer": "daily", "old": "x", "organization": "x",
    }  # fmt: skip


def query(world: World, owner: str) -> dict[str, Any]:
    """Return a query with every number that a page reads; they are an owner's objects."""
    kept = ("list", "person", "child", "notice", "of", "into")
    return {name: number for name, number in form(world, owner).items() if name in kept} | {
        "q": "zq", "find": "zq", "state": "", "view": "all", "show": "all", "by": "person", "as": "person", "year": "2026",
        f"person-{form(world, owner)['person']}": "in",
    }  # fmt: skip
