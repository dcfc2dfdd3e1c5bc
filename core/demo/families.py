"""Families for a sample school of any size: invented, the same each time, with addresses in reserved domains only.

Mixed as in life: most families have one registered guardian and one child; some have two guardians, or children in
two classes; a few have no address, stopped the mail, or read English.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import config
from core.imports.columns import RosterRow

GRADES, CLASSES = 6, 2
FIRST_ROW_NUMBER = 1001

NAMES_FILE = config.PROJECT_DIR / "demo" / "demo_names.json"
_DOMAINS = ("example.com", "example.jp", "mobile.example.jp", "example.org", "example.net")
_DISTRICTS = ("本町", "川端", "丘の上", "駅前")


def family_rows(count: int) -> list[RosterRow]:
    """Return the lines of a roster with so many invented families."""
    draw = _FamilyGenerator()
    return [row for number in range(count) for row in draw.family(number)]


@dataclass(slots=True)
class _FamilyGenerator:
    """Draws families, no child's and no guardian's full name twice."""

    lots: Random = field(default_factory=lambda: Random(1873))  # noqa: S311 - a sample, and the same each time
    names: dict[str, list[str]] = field(default_factory=lambda: json.loads(NAMES_FILE.read_text("utf-8")))
    used: set[str] = field(default_factory=set)
    line: int = FIRST_ROW_NUMBER

    def family(self, number: int) -> Iterator[RosterRow]:
        surname, kana, latin = self.names["surnames"][number % len(self.names["surnames"])].split()
        rare = self.lots.random()
        children = [self._child(surname, kana, number) for _ in range(2 if 0.60 < rare < 0.72 else 1)]
        guardians = ["母", "父"] if rare < 0.14 else ["母" if self.lots.random() < 0.72 else "父"]
        for relation in guardians:
            guardian = self._guardian(surname, kana, relation)
            for child in children:
                yield self._row(number, relation, f"{latin}.{relation == '父':d}{number:03d}", guardian, child, rare)

    def _row(self, number: int, relation: str, local: str, guardian: dict, child: dict, rare: float) -> RosterRow:
        self.line += 1
        without = 0.90 < rare < 0.925
        return RosterRow(
            number=self.line,
            relation=relation,
            address="" if without else f"{local}@{_DOMAINS[number % len(_DOMAINS)]}",
            phone=f"000-0000-{number:04d}" if without else "",
            state="配信停止" if 0.93 < rare < 0.945 else "",
            language="en" if 0.95 < rare < 0.975 else "",
            **guardian,
            **child,
        )

    def _child(self, surname: str, kana: str, number: int) -> dict:
        room = number % (GRADES * CLASSES) if f"room{number}" not in self.used else (number + 5) % (GRADES * CLASSES)
        self.used.add(f"room{number}")
        name, reading = self._unused(surname, kana, "children")
        return {
            "child_name": name,
            "child_kana": reading,
            "grade": str(room // CLASSES + 1),
            "class_name": str(room % CLASSES + 1),
            "child_attributes": {"地区": self.lots.choice(_DISTRICTS)},
        }

    def _guardian(self, surname: str, kana: str, relation: str) -> dict:
        name, reading = self._unused(surname, kana, "fathers" if relation == "父" else "mothers")
        return {"name": name, "kana": reading}

    def _unused(self, surname: str, kana: str, kind: str) -> tuple[str, str]:
        """Draw a given name that nobody of this surname has yet."""
        while True:
            given, reading = self.lots.choice(self.names[kind]).split()
            full = f"{surname} {given}"
            if full not in self.used:
                self.used.add(full)
                return full, f"{kana} {reading}"
