"""Households: people and children that share a key, so that one guardian's "read" counts for the family.

A key is a short random text. Guardians of one child, and children of one guardian, share it; a column 「世帯」 of a
roster wins over that; organizers may change it.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.imports.plan_model import RowDraft
from models import Child, Person

_OWN_KEY = re.compile(r"h[a-z2-7]{11}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def new_household_key() -> str:
    """Return a new household key (55 random bits, never one that a file would hold by chance)."""
    return "h" + "".join(secrets.choice(_LETTERS) for _ in range(11))


def merge_households(merges: dict[str, str]) -> list[tuple[type[Person] | type[Child], int, str]]:
    """Give households new keys {old: new}; return (table, number, old key) of every row that changed."""
    changed: list[tuple[type[Person] | type[Child], int, str]] = []
    if not merges:
        return changed
    for table in (Person, Child):
        rows = list(table.select(table.id, table.household).where(table.household.in_(list(merges))))
        changed += [(table, row.id, row.household) for row in rows]
        for row in rows:
            row.household = merges[row.household]
        table.bulk_update(rows, [table.household], batch_size=500)
    return changed


@dataclass(slots=True)
class _DraftGroups:
    """Drafts that belong together (union-find); a group may have the value of a column 「世帯」."""

    parent: dict[int, int] = field(default_factory=dict)
    value: dict[int, str] = field(default_factory=dict)
    drafts: dict[int, RowDraft] = field(default_factory=dict)

    def root(self, draft: RowDraft) -> int:
        """Return the group of a draft."""
        mark = id(draft)
        self.drafts.setdefault(mark, draft)
        while (above := self.parent.setdefault(mark, mark)) != mark:
            self.parent[mark] = mark = self.parent[above]
        return mark

    def name(self, draft: RowDraft, value: str) -> None:
        """Give a draft's group the file's own household, unless it has one."""
        self.value.setdefault(self.root(draft), value)

    def join(self, one: RowDraft, other: RowDraft) -> None:
        """Put two groups together, unless the file says that they are two households."""
        a, b = self.root(one), self.root(other)
        if a == b or (a in self.value and b in self.value and self.value[a] != self.value[b]):
            return
        self.parent[b] = a
        if b in self.value:
            self.value[a] = self.value.pop(b)

    def gathered(self) -> Iterable[tuple[str, list[RowDraft]]]:
        """Give (value or '', drafts) of each group; groups of one value are one."""
        found: dict[tuple[str, int], list[RowDraft]] = {}
        for draft in self.drafts.values():
            root = self.root(draft)
            value = self.value.get(root, "")
            found.setdefault((value, 0 if value else root), []).append(draft)
        return ((value, drafts) for (value, _), drafts in found.items())


def assign_household_keys(lines: list[tuple[RowDraft, RowDraft | None, str]]) -> dict[str, str]:
    """Give (person, child, value of the column 「世帯」) their household keys; return the keys to be joined."""
    groups = _DraftGroups()
    for person, child, value in lines:
        groups.root(person)
        for draft in (person, child):
            if value and draft is not None:
                groups.name(draft, value)
    for person, child, value in lines:
        if child is not None and not value:
            groups.join(person, child)
    merges: dict[str, str] = {}
    taken: set[str] = set()
    for value, drafts in groups.gathered():
        held = list(dict.fromkeys(filter(None, (draft.row and draft.row.household for draft in drafts))))
        key = _key_for_named_household(value, held, taken) if value else (held[0] if held else new_household_key())
        merges |= {} if value else dict.fromkeys(held[1:], key)
        for draft in drafts:
            draft.change("household", key)
    return merges


def _key_for_named_household(value: str, held: list[str], taken: set[str]) -> str:
    """Return the key for a household that the file names: its own key, one of its people's, or a new one."""
    free = [one for one in ([value] if value in held else held) if one not in taken]
    key = free[0] if free else value if _OWN_KEY.fullmatch(value) and value not in taken else new_household_key()
    taken.add(key)
    return key
