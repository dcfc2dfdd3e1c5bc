"""Phone settings that let our mail in, by carrier; the school's own words replace the shipped ones (T-17, N-09).

Carriers rename their menus every year. An administrator corrects the shipped words, or adds a carrier of the region, in
Japanese and English. A text that is empty or equal to the shipped one follows the shipped one.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import i18n
from core.errors import DomainError
from core.settings import update_organization
from i18n import LANGUAGES, N_
from mail import address as addresses
from models import Organization, User


@dataclass(frozen=True, slots=True)
class Guidance:
    """Steps to read out or print; `carrier` is '' for an unknown one. `%(domain)s` in a step is our mail domain."""

    carrier: str
    steps: tuple[str, ...]
    key: str = ""


_ALLOW = N_("Add “%(domain)s” to the list of accepted senders.")
_LINKS = N_("If there is a setting that refuses mail with links, set it to “receive”.")
_CONTACT = N_("Add an address of “%(domain)s” to the contacts.")
_NOT_SPAM = N_("Look in the spam folder. If our mail is there, mark it as “not spam”.")
DOCOMO = Guidance(
    N_("docomo"),
    (N_("Open My docomo → mail settings → list of accepted and refused senders."), _ALLOW, _LINKS),
    "docomo",
)
AU = Guidance(N_("au / UQ mobile"), (N_("Open the spam filter settings → accept list (always receive)."), _ALLOW), "au")
SOFTBANK = Guidance(
    N_("SoftBank"),
    (N_("Open My SoftBank → mail settings → protection against spam → accept list."), _ALLOW, _LINKS),
    "softbank",
)
YMOBILE = Guidance(
    N_("Y!mobile"), (N_("Open My Y!mobile → spam filter → accepted and refused senders."), _ALLOW, _LINKS), "ymobile"
)
RAKUTEN = Guidance(N_("Rakuten Mobile"), (N_("Open Rakuten Mail → settings → spam → accept list."), _ALLOW), "rakuten")
GMAIL = Guidance(N_("Gmail"), (_NOT_SPAM, _CONTACT), "gmail")
ICLOUD = Guidance(N_("iCloud"), (_NOT_SPAM, _CONTACT), "icloud")
OTHER_PROVIDER = Guidance("", (_NOT_SPAM, N_("Open the spam settings of the mail service."), _ALLOW), "others")
CARRIERS = (DOCOMO, AU, SOFTBANK, YMOBILE, RAKUTEN, GMAIL, ICLOUD)
"""The carriers on the sign-up page and the hand-out, by number of customers."""
_BY_DOMAIN = {
    "docomo.ne.jp": DOCOMO,
    "ezweb.ne.jp": AU,
    "au.com": AU,
    "uqmobile.jp": AU,
    "softbank.ne.jp": SOFTBANK,
    "i.softbank.jp": SOFTBANK,
    "vodafone.ne.jp": SOFTBANK,
    "ymobile.ne.jp": YMOBILE,
    "ymobile1.ne.jp": YMOBILE,
    "yahoo.ne.jp": YMOBILE,
    "rakumail.jp": RAKUTEN,
    "gmail.com": GMAIL,
    "googlemail.com": GMAIL,
    "icloud.com": ICLOUD,
    "me.com": ICLOUD,
    "mac.com": ICLOUD,
}


MAX_NAME_LENGTH, MAX_TEXT_LENGTH, MAX_LINES, MAX_DOMAINS, MAX_OWN_CARRIERS = 40, 1000, 12, 12, 30
PLACEHOLDER = "{{domain}}"
"""Placeholder in a text for our mail domain."""

_ANY_PLACEHOLDER = re.compile(r"[{｛]{2}\s*(?:domain|ドメイン)\s*[}｝]{2}", re.IGNORECASE)
_DOMAIN = re.compile(r"(?=.{3,200}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_SHIPPED_BY_KEY = {one.key: one for one in (*CARRIERS, OTHER_PROVIDER)}


@dataclass(frozen=True, slots=True)
class CarrierEntry:
    """A carrier on the settings page; `changed`: the school has its own words for it."""

    key: str
    name: str
    domains: str
    texts: dict[str, str]
    shipped: bool
    changed: bool


# ── what pages show ──────────────────────────────────────────────────────────────────────────────────────────────


def list_guidance(language: str) -> list[Guidance]:
    """Return the carriers of the sign-up page and the hand-out, the school's own last."""
    rows = _stored_rows()
    own = [
        _with_own_words(Guidance(row["name"], (), key), row, language)
        for key, row in rows.items()
        if key not in _SHIPPED_BY_KEY
    ]
    return [_with_own_words(guidance, rows.get(guidance.key), language) for guidance in CARRIERS] + own


def guidance_for_address(address: str, language: str) -> Guidance:
    """Return the guidance for the carrier of an address; carriers that the school added take precedence."""
    rows, wanted = _stored_rows(), _parent_domains(address)
    for domain in wanted:
        for key, row in rows.items():
            if domain in row.get("domains", "").split():
                return _with_own_words(Guidance(row["name"], (), key), row, language)
    shipped = _shipped_guidance_for(address)
    return _with_own_words(shipped, rows.get(shipped.key), language)


def _shipped_guidance_for(address: str) -> Guidance:
    matches = (_BY_DOMAIN.get(domain) for domain in _parent_domains(address))
    return next((guidance for guidance in matches if guidance is not None), OTHER_PROVIDER)


def _parent_domains(address: str) -> list[str]:
    """Return the domain of an address and its parent domains, the longest first."""
    parts = addresses.domain_of(address).split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _with_own_words(guidance: Guidance, row: dict[str, Any] | None, language: str) -> Guidance:
    """Return the school's words in this language; for a carrier that it added, else those in another one."""
    if row is None:
        return guidance
    text = row.get(language, "") or (
        "" if guidance.steps else next((row[name] for name in LANGUAGES if row.get(name)), "")
    )
    return replace(guidance, steps=tuple(_parse_step(line) for line in text.splitlines())) if text else guidance


def _parse_step(line: str) -> str:
    return _ANY_PLACEHOLDER.sub("%(domain)s", line)


def _stored_rows() -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in Organization.load_row().carriers}


# ── what administrators change ───────────────────────────────────────────────────────────────────────────────────


def settings_entries() -> list[CarrierEntry]:
    """Return all carriers for the settings page, shipped ones first."""
    rows = _stored_rows()
    shipped = [
        CarrierEntry(key, guidance.carrier, "", _texts_by_language(key, rows.get(key)), True, key in rows)
        for key, guidance in _SHIPPED_BY_KEY.items()
    ]
    added = {key: row for key, row in rows.items() if key not in _SHIPPED_BY_KEY}
    own = [
        CarrierEntry(key, row["name"], row["domains"], _texts_by_language(key, row), False, True)
        for key, row in added.items()
    ]
    return shipped + own


def _texts_by_language(key: str, row: dict[str, Any] | None) -> dict[str, str]:
    return {language: (row or {}).get(language) or shipped_text(key, language) for language in LANGUAGES}


def shipped_text(key: str, language: str) -> str:
    """Return the shipped steps of a carrier, one a line; "" for a carrier that is not shipped."""
    steps = _SHIPPED_BY_KEY[key].steps if key in _SHIPPED_BY_KEY else ()
    return "\n".join(i18n.say(language, step).replace("%(domain)s", PLACEHOLDER) for step in steps)


def change_carrier(by: User, key: str, texts: dict[str, str], name: str = "", domains: str = "") -> None:
    """Save the words for a carrier. Raises DomainError; KeyError for an unknown carrier."""
    rows = _stored_rows()
    if key not in _SHIPPED_BY_KEY and key not in rows:
        raise KeyError(key)
    cleaned = {language: _clean_text(language, texts.get(language, "")) for language in LANGUAGES}
    if key in _SHIPPED_BY_KEY:
        own: dict[str, Any] = {
            language: text for language, text in cleaned.items() if text and text != shipped_text(key, language)
        }
    else:
        own = {"name": _clean_name(name), "domains": _clean_domains(domains), **_require_any_text(cleaned)}
    others = {carrier: row for carrier, row in rows.items() if carrier != key}
    _save_rows(by, {**others, key: {"key": key, **own}} if own else others)


def add_carrier(by: User, name: str, domains: str, texts: dict[str, str]) -> str:
    """Add a carrier of the region; return its key. Raises DomainError."""
    rows = _stored_rows()
    if len(rows) >= MAX_OWN_CARRIERS:
        raise DomainError(N_("There are too many carriers already. Please remove one first."), "name")
    used = [int(key[4:]) for key in rows if key.startswith("own-")]
    key = f"own-{max(used, default=0) + 1}"
    cleaned = {language: _clean_text(language, texts.get(language, "")) for language in LANGUAGES}
    row = {"key": key, "name": _clean_name(name), "domains": _clean_domains(domains), **_require_any_text(cleaned)}
    _save_rows(by, {**rows, key: row})
    return key


def reset_carrier(by: User, key: str) -> None:
    """Restore the shipped words, or remove an added carrier. Idempotent."""
    rows = _stored_rows()
    if rows.pop(key, None):
        _save_rows(by, rows)


def _save_rows(by: User, rows: dict[str, dict[str, Any]]) -> None:
    update_organization(by, carriers=list(rows.values()))


def _clean_text(language: str, typed: str) -> str:
    lines = [" ".join(line.split()) for line in typed.splitlines() if line.strip()]
    text = "\n".join(_ANY_PLACEHOLDER.sub(PLACEHOLDER, line) for line in lines)
    if len(text) > MAX_TEXT_LENGTH or len(lines) > MAX_LINES:
        raise DomainError(N_("Please keep it to %(n)s lines; nobody reads more on a phone."), language, n=MAX_LINES)
    return text


def _require_any_text(texts: dict[str, str]) -> dict[str, str]:
    if not any(texts.values()):
        raise DomainError(N_("Please write the steps, at least in one language."), "ja")
    return texts


def _clean_name(typed: str) -> str:
    name = " ".join(typed.split())
    if not name or len(name) > MAX_NAME_LENGTH:
        raise DomainError(N_("Please give the carrier a name of at most %(n)s letters."), "name", n=MAX_NAME_LENGTH)
    return name


def _clean_domains(typed: str) -> str:
    """Return the domains of a carrier in lower case, separated by blanks; "" if there is none."""
    domains = list(dict.fromkeys(domain.lstrip("@").lower() for domain in re.split(r"[\s,、，]+", typed) if domain))
    if len(domains) > MAX_DOMAINS or any(not _DOMAIN.fullmatch(domain) for domain in domains):
        raise DomainError(N_("Write what stands after the @, such as mail.example.jp, with blanks between."), "domains")
    return " ".join(domains)
