"""Households: people and children that share a key, so that one guardian's "read" counts for the family.

A key is a short random text. Guardians of one child, and children of one guardian, share it; a column 「世帯」 of a
roster wins over that; organizers may change it.
"""

import secrets

from models import Child, Person

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
