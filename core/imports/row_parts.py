"""A line of a roster that holds several guardians or children: one row for each.

The n-th column of a kind is the field `address#n`. A cell may hold several addresses or children, too.
"""

import re

GUARDIAN_FIELDS = ("name", "kana", "relation", "address", "phone")
CHILD_FIELDS = ("child_name", "child_given", "child_kana", "child_given_kana", "grade", "class_name", "room")
MAX_PARTS = 4
_SHORTEST_WHOLE_NAME = 3
_BETWEEN = re.compile(r"\s*[\n;,、，；/／]\s*|\s+(?=[^\s@＠]+[@＠])")
_BETWEEN_CHILDREN = re.compile(r"\s*[\n、，;；]\s*")  # no comma: "Smith, John" is one child


def repeated(name: str, place: int) -> str:
    """Return the field of the n-th column of a kind; '' if this kind does not repeat."""
    return f"{name}#{place}" if place <= MAX_PARTS and name in (*GUARDIAN_FIELDS, *CHILD_FIELDS) else ""


def base_field(name: str) -> tuple[str, int]:
    """Return (field, place) of a field with or without a place."""
    base, _, place = name.partition("#")
    return base, int(place) if place.isdigit() else 1


def is_field(name: str, known: set[str]) -> bool:
    """Say whether a posted value is a field, also a repeated one."""
    base, place = base_field(name)
    return base in known and (name == base or name == repeated(base, place))


def drop_incomplete(mapping: tuple[str, ...], instead: str) -> tuple[str, ...]:
    """Keep a second guardian only with an address, and a second child only with a name."""
    kept = []
    for name in mapping:
        base, place = base_field(name)
        needed = "address" if base in GUARDIAN_FIELDS else "child_name"
        kept.append(name if place == 1 or f"{needed}#{place}" in mapping else instead)
    return tuple(kept)


def split_line(values: dict[str, str]) -> list[dict[str, str]]:
    """Return the rows of a line: each guardian with each child. A line of one guardian and child is one row."""
    rest = {name: text for name, text in values.items() if base_field(name)[0] not in (*GUARDIAN_FIELDS, *CHILD_FIELDS)}
    guardians = _guardians(values)
    children = _children(values)
    return [{**rest, **guardian, **child} for child in children for guardian in guardians]


def _part(values: dict[str, str], fields: tuple[str, ...], place: int) -> dict[str, str]:
    names = {name: name if place == 1 else f"{name}#{place}" for name in fields}
    return {name: values[key] for name, key in names.items() if key in values}


def _guardians(values: dict[str, str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for place in range(1, MAX_PARTS + 1):
        one = _part(values, GUARDIAN_FIELDS, place)
        if place > 1 and "address" not in one:
            continue
        if place > 1 and "name" not in one and "name" in values:
            one["name"] = values["name"]
        found += _split_addresses(one)
    reached = {one.get("name", "") for one in found if one.get("address")}
    return [one for one in found if one.get("address") or one.get("name", "") not in {"", *reached}] or found[:1]


def _split_addresses(one: dict[str, str]) -> list[dict[str, str]]:
    """Split a cell of several addresses; names and telephone numbers of the same count go with them."""
    addresses = [text for text in _BETWEEN.split(one.get("address", "").strip()) if text]
    if len(addresses) < 2 or not all(re.search("[@＠]", text) for text in addresses):
        return [one]
    parts = [{**one, "address": address} for address in addresses]
    for name in ("name", "kana", "phone", "relation"):
        texts = [text for text in re.split(r"\s*[\n、，,;；・]\s*", one.get(name, "")) if text]
        if len(texts) == len(parts):
            for part, text in zip(parts, texts, strict=True):
                part[name] = text
    return parts


def _children(values: dict[str, str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for place in range(1, MAX_PARTS + 1):
        one = _part(values, CHILD_FIELDS, place)
        if place == 1 or "child_name" in one:
            found += _split_children(one)
    named = [one for one in found if one.get("child_name")]
    return named or found[:1]


def _split_children(one: dict[str, str]) -> list[dict[str, str]]:
    """Split a cell of several children; another cell goes with them if it has as many parts."""
    names = [text for text in _BETWEEN_CHILDREN.split(one.get("child_name", "").strip()) if text]
    if len(names) < 2:
        return [one]
    if one.get("child_given") or ("\n" in one["child_name"] and min(map(len, names)) < _SHORTEST_WHOLE_NAME):
        return [one]  # family and given name, perhaps on two lines of the cell
    parts: list[dict[str, str]] = [{"child_name": name} for name in names]
    for field in ("child_kana", "grade", "class_name", "room"):
        texts = [text for text in re.split(r"\s*[\n、，,;；・]\s*", one.get(field, "")) if text]
        if len(texts) == len(parts):
            for part, text in zip(parts, texts, strict=True):
                part[field] = text
        elif field != "child_kana" and one.get(field):
            parts[0][field] = one[field]
    return parts
