"""What families set on their phones, by carrier, in the school's own words where it wrote some (T-17, N-09).

Carriers rename their menus every year: an administrator corrects the shipped words, or adds a carrier of the region, in
Japanese and English. Whatever is empty, or equal to what is shipped, stays the shipped text and changes with it.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import words
from core import organization
from core.entry import guidance
from core.entry.guidance import Guidance
from models import Organization, User
from words import LANGUAGES, N_

LONGEST_NAME, LONGEST_TEXT, MOST_LINES, MOST_DOMAINS, MOST_OWN = 40, 1000, 12, 12, 30
PLACEHOLDER = "{{domain}}"
"""Stands in a text for the domain that phones must let in."""

_ANY_PLACEHOLDER = re.compile(r"[{｛]{2}\s*(?:domain|ドメイン)\s*[}｝]{2}", re.IGNORECASE)
_DOMAIN = re.compile(r"(?=.{3,200}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_SHIPPED = {one.key: one for one in (*guidance.CARRIERS, guidance.OTHERS)}


class BadWords(Exception):
    """A text cannot be kept so; `field` names the field of the form, `values` fill the places of the message."""

    def __init__(self, field: str, message: str, **values: object) -> None:
        super().__init__(message)
        self.field, self.message, self.values = field, message, values


@dataclass(frozen=True, slots=True)
class Entry:
    """A carrier on the settings page: its texts as they stand in the fields, and whether they are the school's own."""

    key: str
    name: str
    domains: str
    texts: dict[str, str]
    shipped: bool
    changed: bool


# ── what pages show ──────────────────────────────────────────────────────────────────────────────────────────────


def shown(language: str) -> list[Guidance]:
    """Return what the page for joining and the hand-out name, the school's own carriers last."""
    rows = _rows()
    own = [_in_words(Guidance(row["name"], (), key), row, language) for key, row in rows.items() if key not in _SHIPPED]
    return [_in_words(one, rows.get(one.key), language) for one in guidance.CARRIERS] + own


def for_address(address: str, language: str) -> Guidance:
    """Return the guidance for the carrier or service of an address; what the school added is asked first."""
    rows, wanted = _rows(), guidance.domains_of(address)
    for domain in wanted:
        for key, row in rows.items():
            if domain in row.get("domains", "").split():
                return _in_words(Guidance(row["name"], (), key), row, language)
    found = guidance.for_address(address)
    return _in_words(found, rows.get(found.key), language)


def _in_words(one: Guidance, row: dict[str, Any] | None, language: str) -> Guidance:
    """Return the school's words in this language; of a carrier that it added, those of the other one if need be."""
    if row is None:
        return one
    text = row.get(language, "") or ("" if one.steps else next((row[name] for name in LANGUAGES if row.get(name)), ""))
    return replace(one, steps=tuple(_step(line) for line in text.splitlines())) if text else one


def _step(line: str) -> str:
    return _ANY_PLACEHOLDER.sub("%(domain)s", line)


def _rows() -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in Organization.the().carriers}


# ── what administrators change ───────────────────────────────────────────────────────────────────────────────────


def entries() -> list[Entry]:
    """Return all carriers for the settings page, shipped ones first."""
    rows = _rows()
    shipped = [
        Entry(key, one.carrier, "", _texts(key, rows.get(key)), True, key in rows) for key, one in _SHIPPED.items()
    ]
    added = {key: row for key, row in rows.items() if key not in _SHIPPED}
    own = [Entry(key, row["name"], row["domains"], _texts(key, row), False, True) for key, row in added.items()]
    return shipped + own


def _texts(key: str, row: dict[str, Any] | None) -> dict[str, str]:
    return {name: (row or {}).get(name) or shipped_text(key, name) for name in LANGUAGES}


def shipped_text(key: str, language: str) -> str:
    """Return the shipped steps of a carrier as one text, a step to a line; "" for one that is not shipped."""
    steps = _SHIPPED[key].steps if key in _SHIPPED else ()
    return "\n".join(words.say(language, step).replace("%(domain)s", PLACEHOLDER) for step in steps)


def change(by: User, key: str, texts: dict[str, str], name: str = "", domains: str = "") -> None:
    """Keep the words on a carrier. Raises BadWords; KeyError for a carrier that does not exist."""
    rows = _rows()
    if key not in _SHIPPED and key not in rows:
        raise KeyError(key)
    cleaned = {one: _clean(one, texts.get(one, "")) for one in LANGUAGES}
    if key in _SHIPPED:
        kept: dict[str, Any] = {one: text for one, text in cleaned.items() if text and text != shipped_text(key, one)}
    else:
        kept = {"name": _name(name), "domains": _domains(domains), **_some(cleaned)}
    others = {one: row for one, row in rows.items() if one != key}
    _save(by, {**others, key: {"key": key, **kept}} if kept else others)


def add(by: User, name: str, domains: str, texts: dict[str, str]) -> str:
    """Add a carrier of the region; return its key. Raises BadWords."""
    rows = _rows()
    if len(rows) >= MOST_OWN:
        raise BadWords("name", N_("There are too many carriers already. Please remove one first."))
    used = [int(key[4:]) for key in rows if key.startswith("own-")]
    key = f"own-{max(used, default=0) + 1}"
    cleaned = {one: _clean(one, texts.get(one, "")) for one in LANGUAGES}
    row = {"key": key, "name": _name(name), "domains": _domains(domains), **_some(cleaned)}
    _save(by, {**rows, key: row})
    return key


def put_back(by: User, key: str) -> None:
    """Take the shipped words again, or remove a carrier that was added. Safe to repeat."""
    rows = _rows()
    if rows.pop(key, None):
        _save(by, rows)


def _save(by: User, rows: dict[str, dict[str, Any]]) -> None:
    organization.change(by, carriers=list(rows.values()))


def _clean(language: str, typed: str) -> str:
    lines = [" ".join(line.split()) for line in typed.splitlines() if line.strip()]
    text = "\n".join(_ANY_PLACEHOLDER.sub(PLACEHOLDER, line) for line in lines)
    if len(text) > LONGEST_TEXT or len(lines) > MOST_LINES:
        raise BadWords(language, N_("Please keep it to %(n)s lines; nobody reads more on a phone."), n=MOST_LINES)
    return text


def _some(texts: dict[str, str]) -> dict[str, str]:
    if not any(texts.values()):
        raise BadWords("ja", N_("Please write the steps, at least in one language."))
    return texts


def _name(typed: str) -> str:
    name = " ".join(typed.split())
    if not name or len(name) > LONGEST_NAME:
        raise BadWords("name", N_("Please give the carrier a name of at most %(n)s letters."), n=LONGEST_NAME)
    return name


def _domains(typed: str) -> str:
    """Return the domains of a carrier, lower case, a blank between them; there may be none."""
    found = list(dict.fromkeys(one.lstrip("@").lower() for one in re.split(r"[\s,、，]+", typed) if one))
    if len(found) > MOST_DOMAINS or any(not _DOMAIN.fullmatch(one) for one in found):
        raise BadWords("domains", N_("Write what stands after the @, such as mail.example.jp, with blanks between."))
    return " ".join(found)
