"""The words of a roster: notes about lines, states as files write them, names that are the same or were damaged."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from i18n import N_, say


@dataclass(frozen=True, slots=True)
class LineNote:
    """A sentence about a line; a value that is a tuple holds source strings of its own."""

    message: str
    values: dict[str, Any] = field(default_factory=dict)


def format_note(language: str, note: LineNote) -> str:
    """Return a note in a language."""
    between = "・" if language == "ja" else ", "
    values = {
        key: between.join(say(language, one) for one in value) if isinstance(value, tuple) else value
        for key, value in note.values.items()
    }
    return say(language, note.message, **values)


OUTCOME_LABELS = {"added": N_("Added"), "changed": N_("Changed"), "already": N_("Skipped"), "wrong": N_("Error")}

# Words that our export writes, by language, and others that rosters of the field hold (field.md 4.1).
STATE_LABELS = {
    "active": N_("active"),
    "stopped": N_("stopped"),
    "stopped by manager": N_("stopped by manager"),
    "bounced": N_("address dead"),
    "complained": N_("reported as spam"),
    "pending": N_("waiting for approval"),
    "unconfirmed": N_("not confirmed yet"),
    "no address": N_("no address"),
}
_STATE_SPELLINGS = {
    "active": ("配信中", "有効", "登録済み", "登録済", "通常", "active"),
    "stopped": ("配信停止", "停止", "停止中", "配信停止中", "配信停止(本人)", "stopped", "unsubscribed"),
    "stopped by manager": ("配信停止(管理者)", "stoppedbymanager"),
    "bounced": ("エラー停止", "宛先不明", "エラー", "bounced", "addressdead"),
    "complained": ("迷惑メール報告", "reportedasspam"),
    "pending": ("承認待ち", "pending", "waitingforapproval"),
    "unconfirmed": ("確認待ち", "notconfirmedyet"),
    "no address": ("アドレスなし", "メールなし", "電話連絡", "noaddress"),
}
_STATE_BY_SPELLING = {word: state for state, known in _STATE_SPELLINGS.items() for word in known}


def parse_state(text: str) -> str:
    """Return the state that a word in a file means, 'active' for an empty cell, '' for an unknown word."""
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).lower()
    return _STATE_BY_SPELLING.get(plain, "") if plain else "active"


def no_address_message(phone: bool) -> str:
    """Return the note for a family without an e-mail address."""
    if phone:
        return N_("No e-mail address: registered as a family that is told by telephone.")
    return N_("No e-mail address and no telephone number. Please add one of them later.")


def has_lost_character(name: str) -> bool:
    """Say whether a character of a name was lost when a file was saved (CP932 turns 𠮷 into ?)."""
    return "?" in name or "〓" in name


def is_same_name(one: str, other: str) -> bool:
    """Say whether two names are the same, spaces aside, a lost character standing for any."""
    one, other = one.replace(" ", ""), other.replace(" ", "")
    if one == other or len(one) != len(other):
        return one == other
    return all(a == b or a in "?〓" or b in "?〓" for a, b in zip(one, other, strict=True))
