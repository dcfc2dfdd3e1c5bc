"""The second step of a rollover: the new roster, child and class, looked at line by line and then carried out.

Guardians follow their children into the new classes; who had stopped the mail of the old class stays stopped in the
new one. Lines that nobody fits are registered as new families: with the guardian and address of the line, else as a
family reached by telephone, whose slip with the child's code then brings the address.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core import history
from core.accounts import class_teacher
from core.house import safekeeping
from core.organization import settings
from core.refusals import Refused
from core.roster import apply, columns
from core.roster import jobs as roster
from core.roster.columns import Row, Sheet, read_rows
from core.roster.plan import plan_rows
from core.roster.read import paste
from core.roster.rollover import Changed, NotNow, TooLate, candidates, chunks, may_undo, said_by_name
from core.roster.rollover_match import NEW, SKIP, Line, match
from database import db, insert_rows, millis
from models import Child, MailingList, Membership, Rollover, User
from words import N_, say


class NoChildren(Refused):
    """The file says nothing of children and classes."""

    message = N_("No column with the names of the children and their class was found in this roster.")


class Undecided(Refused):
    """Doubtful lines wait for a decision."""

    message = N_("%(number)s lines are not decided yet.")


@dataclass(frozen=True, slots=True)
class Look:
    """What the new roster will do. `missing`: children who stay and are in no line; `leaving`: those ticked to go."""

    lines: tuple[Line, ...]
    missing: tuple[Child, ...]
    leaving: frozenset[int]
    rooms: dict[tuple[str, str], MailingList]
    without_list: tuple[tuple[str, str], ...]  # classes of the roster that no list is for
    waiting: tuple[MailingList, ...]  # lists that the roster brings nobody for

    def of(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line.kind == kind]

    @property
    def open(self) -> int:
        return sum(line.is_open for line in self.lines)

    @property
    def base(self) -> str:
        """Return a mark of what the page showed before anything on it was decided."""
        shown = ";".join(f"{one.number}{one.kind}{[child.id for child in one.candidates]}" for one in self.lines)
        return hashlib.sha256(f"{shown}|{sorted(self.rooms)}".encode()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Return a mark of what will be done."""
        shown = ";".join(f"{one.number}{one.child.id if one.child else one.is_new}" for one in self.lines)
        shown += f"|{sorted(self.leaving)}|{sorted(one.id for one in self.missing)}|{sorted(self.rooms)}"
        return hashlib.sha256(shown.encode()).hexdigest()[:16]


# ── bringing it in ───────────────────────────────────────────────────────────────────────────────────────────────


def bring(rollover: Rollover, *, content: bytes = b"", text: str = "", filename: str = "") -> int:
    """Keep the lines of a roster until they are carried out; return how many. Raises Unreadable, NoChildren, NotNow."""
    sheet = columns.arrange(paste(text)) if text.strip() else roster.read(content, filename)
    rows = [row for row in read_rows(sheet, _mapping(sheet)) if row.child_name]
    if not rows or not any(row.grade or row.class_name for row in rows):
        raise NoChildren()
    _keep(rollover, {"filename": filename[:120], "rows": [asdict(row) for row in rows], "decided": {}, "leaving": []})
    return len(rows)


def _mapping(sheet: Sheet) -> tuple[str, ...]:
    """Read the columns; in a roster of children a plain 「氏名」 is the child's."""
    found = columns.guess_mapping(sheet)
    if "child_name" in found:
        return found
    return tuple({"name": "child_name", "kana": "child_kana"}.get(one, one) for one in found)


def _keep(rollover: Rollover, held: dict[str, Any]) -> None:
    mine = (Rollover.id == rollover.id) & (Rollover.state == "ended")
    if not Rollover.update(roster=held).where(mine).execute():
        raise NotNow()
    rollover.roster = held


def forget(rollover: Rollover) -> None:
    """Drop the lines that were brought in, to bring in others. Raises NotNow."""
    _keep(rollover, {})


def decide(rollover: Rollover, decided: dict[str, str], leaving: Iterable[int]) -> None:
    """Keep what was decided by hand of doubtful lines, and who of the missing children goes. Raises NotNow."""
    lines = {str(line.number): line for line in look(rollover).lines if line.kind == "doubtful"}
    fits = {
        number: choice
        for number, choice in decided.items()
        if number in lines and choice in {NEW, SKIP, *(str(one.id) for one in lines[number].candidates)}
    }
    rollover.roster = {**rollover.roster, "decided": fits}
    missing = {one.id for one in look(rollover).missing}
    _keep(rollover, {**rollover.roster, "leaving": sorted(set(leaving) & missing)})


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


def look(rollover: Rollover) -> Look:
    """Work out what the roster will do, as things stand now."""
    held = rollover.roster
    staying = _staying(rollover)
    lines = match([Row(**row) for row in held["rows"]], staying, held["decided"])
    rooms = _rooms(rollover)
    said = dict.fromkeys((line.row.grade, line.row.class_name) for line in lines)
    return Look(
        lines=tuple(lines),
        missing=tuple(_missing(lines, staying)),
        leaving=frozenset(held["leaving"]),
        rooms=rooms,
        without_list=tuple(room for room in said if room not in rooms),
        waiting=tuple(one for room, one in rooms.items() if room not in said),
    )


def _staying(rollover: Rollover) -> list[Child]:
    """Return the children who did not graduate and had a place when the year ended, or have got one since."""
    ended = [int(number) for number in rollover.undo["end"]["places"]]
    numbers = {row.child_id for chunk in chunks(ended) for row in _children(Membership.id.in_(chunk))}
    numbers |= {row.child_id for row in _children(Membership.belongs)}
    numbers -= {None, *rollover.plan["graduates"]}
    rows = (row for chunk in chunks(numbers) for row in Child.select().where(Child.id.in_(chunk)))
    return sorted(rows, key=lambda one: (one.grade.zfill(3), one.class_name.zfill(3), one.kana or one.name, one.id))


def _children(which: Any) -> Any:
    return Membership.select(Membership.child).where(which).distinct()


def _missing(lines: Iterable[Line], staying: Iterable[Child]) -> Iterable[Child]:
    """Give the children whom no line means or may mean."""
    meant = {line.child.id for line in lines if line.child}
    meant |= {one.id for line in lines if line.is_open for one in line.candidates}
    return (one for one in staying if one.id not in meant)


def _rooms(rollover: Rollover) -> dict[tuple[str, str], MailingList]:
    """Return the open list of each class, by (grade, class); lists added since the year's end by their names."""
    said = {int(number): tuple(room) for number, room in rollover.plan["rooms"].items()}
    lists = candidates()
    rooms = {said[one.id]: one for one in lists if one.id in said}
    for one in lists:
        if one.id not in said and all(room := said_by_name(one)):
            rooms.setdefault(room, one)
    return rooms


# ── carrying it out ──────────────────────────────────────────────────────────────────────────────────────────────


def carry_out(rollover: Rollover, by: User | None, now: datetime, *, fingerprint: str) -> Look:
    """Bring the new roster in, after a backup. Raises NotNow, Changed, Undecided."""
    safekeeping.copy_before("roster", now)
    with db.atomic():
        shown = look(rollover)
        if shown.open:
            raise Undecided(number=shown.open)
        if shown.fingerprint != fingerprint:
            raise Changed()
        mine = (Rollover.id == rollover.id) & (Rollover.state == "ended")
        if not Rollover.update(state="done", done_at=now).where(mine).execute():
            raise NotNow()
        undo = _write(rollover, shown, now)
        Rollover.update(undo={**rollover.undo, "roster": undo}, roster={}).where(Rollover.id == rollover.id).execute()
        history.log(by, "rollover.roster_in", rollover.id, detail={"lines": len(shown.lines)})
    return shown


def _write(rollover: Rollover, shown: Look, now: datetime) -> dict[str, Any]:
    """Write children, places and new families; open the lists that have a roster now. Return how to take it back."""
    settled = [(line, line.child) for line in shown.lines if line.child]
    undo: dict[str, Any] = {"children": _move_children(settled), "lists": [], "made": [], "opened": [], "written": []}
    opened, made = _Places(rollover, shown, now).fill(settled)
    undo["opened"], undo["made"] = opened, made
    undo["gone"] = _take_out(shown.leaving, now)
    undo["written"] = _new_families([line for line in shown.lines if line.is_new], shown, now)
    filled = [one.id for room, one in shown.rooms.items() if one not in shown.waiting]
    undo["lists"] = filled
    MailingList.update(waits_since=None).where(MailingList.id.in_(filled)).execute()
    return undo


def _move_children(settled: list[tuple[Line, Child]]) -> dict[int, list[str]]:
    """Give the children grade and class of their lines, and the name where somebody decided; return the old ones."""
    old = {}
    for line, child in settled:
        old[child.id] = [child.name, child.kana, child.grade, child.class_name]
        child.grade, child.class_name = line.row.grade, line.row.class_name
        if line.decided:
            child.name = line.row.child_name
        child.kana = line.row.child_kana or child.kana
    fields = [Child.name, Child.kana, Child.grade, Child.class_name]
    if settled:
        Child.bulk_update([child for _, child in settled], fields, batch_size=500)
    return old


class _Places:
    """The places of guardians in the new classes: taken up again where they left, else made."""

    def __init__(self, rollover: Rollover, shown: Look, now: datetime) -> None:
        self.rooms, self.now = shown.rooms, now
        self.before = {int(number): said[0] for number, said in rollover.undo["end"]["places"].items()}
        self.teachers: dict[int, dict[str, User]] = {}

    def fill(self, settled: list[tuple[Line, Child]]) -> tuple[dict[int, list[Any]], list[int]]:
        """Return the places taken up again with what they were, and the numbers of those made."""
        held = self._held([child.id for _, child in settled])
        again: dict[int, list[Any]] = {}
        fresh: list[dict[str, Any]] = []
        for line, child in settled:
            wanted = self.rooms.get((line.row.grade, line.row.class_name))
            for person, places in held[child.id].items() if wanted else ():
                self._one(line, child, person, places, wanted, again, fresh)
        highest = Membership.select(Membership.id).order_by(Membership.id.desc()).limit(1).scalar() or 0
        insert_rows(Membership, fresh)
        made = [row.id for row in Membership.select(Membership.id).where(Membership.id > highest)]
        return again, made

    def _held(self, children: list[int]) -> dict[int, dict[int, list[Membership]]]:
        """Return the guardians of children with their places: those that go on, and those that ended with the year."""
        found: dict[int, dict[int, list[Membership]]] = defaultdict(lambda: defaultdict(list))
        for chunk in chunks(children):
            for row in Membership.select().where(Membership.child.in_(chunk)).order_by(Membership.id):
                found[row.child_id][row.person_id].append(row)
        for guardians in found.values():
            for person, places in list(guardians.items()):
                if not any(row.belongs or row.id in self.before for row in places):
                    del guardians[person]
        return found

    def _one(
        self, line: Line, child: Child, person: int, places: list[Membership], wanted: MailingList,
        again: dict[int, list[Any]], fresh: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        state, stopped_by = self._state(places)
        fields = {
            "state": state, "stopped_by": stopped_by, "stopped_at": self.now if state == "stopped" else None,
            "in_charge": self._teacher(line, wanted),
        }  # fmt: skip
        here = next((row for row in places if row.list_id == wanted.id), None)
        if here is None:
            relation = next((row.relation for row in places if row.relation), "")
            own = {"person": person, "list": wanted.id, "child": child.id, "relation": relation}
            fresh.append({**own, **fields, "joined_at": self.now, "joined_route": "move"})
        elif not here.belongs:
            again[here.id] = [here.state, here.stopped_by, here.left_at and millis(here.left_at)]
            Membership.update(**fields, left_at=None, joined_at=self.now).where(Membership.id == here.id).execute()

    def _state(self, places: list[Membership]) -> tuple[str, str]:
        """Return the state that the place in the old class had: who had stopped it stays stopped (field.md 3.1)."""
        old = [row for row in places if row.id in self.before]
        states = {self.before[row.id] for row in old}
        if "stopped" in states and "active" not in states:
            return "stopped", next((row.stopped_by for row in old if self.before[row.id] == "stopped"), "reader")
        return (next(iter(states)), "") if len(states) == 1 and states <= {"pending", "unconfirmed"} else ("active", "")

    def _teacher(self, line: Line, wanted: MailingList) -> int | None:
        if not line.row.in_charge:
            return None
        if wanted.id not in self.teachers:
            self.teachers[wanted.id] = class_teacher.candidates_by_name(wanted)
        found = self.teachers[wanted.id].get(class_teacher.teacher_name_key(line.row.in_charge))
        return found.id if found else None


def _take_out(children: frozenset[int], now: datetime) -> dict[int, str]:
    """End all places of children who have moved away; return their states."""
    rows = Membership.select(Membership.id, Membership.state).where(Membership.child.in_(children), Membership.belongs)
    old = dict(rows.tuples())
    Membership.update(state="left", left_at=now).where(Membership.id.in_(list(old))).execute()
    return old


def _new_families(lines: list[Line], shown: Look, now: datetime) -> list[dict[str, Any]]:
    """Register the families of new children in class and whole school by the rules of every roster."""
    by_list: dict[MailingList, list[Row]] = defaultdict(list)
    whole = list(MailingList.open_ones().where(MailingList.whole == True))  # noqa: E712
    for line in lines:
        row = line.row
        row.name = row.name or say(settings().language, N_("Guardian of %(child)s"), child=row.child_name)
        wanted = shown.rooms.get((row.grade, row.class_name))
        for mailing_list in (*whole, *([wanted] if wanted else ())):
            by_list[mailing_list].append(row)
    return [
        apply.apply(plan_rows(one, [Row(**asdict(row)) for row in rows], now)).as_json()
        for one, rows in by_list.items()
    ]


# ── taking it back ───────────────────────────────────────────────────────────────────────────────────────────────


def undo(rollover: Rollover, by: User | None) -> None:
    """Take the new roster back: the classes are empty and wait again. Raises NotNow, TooLate."""
    with db.atomic():
        if not may_undo(rollover):
            raise TooLate()
        kept = rollover.undo.get("roster")
        mine = (Rollover.id == rollover.id) & (Rollover.state == "done")
        back = {key: value for key, value in rollover.undo.items() if key != "roster"}
        if not kept or not Rollover.update(state="ended", done_at=None, undo=back).where(mine).execute():
            raise NotNow()
        for written in reversed(kept["written"]):
            apply.undo(written)
        _places_back(kept)
        _children_back(kept["children"])
        MailingList.update(waits_since=rollover.ended_at).where(MailingList.id.in_(kept["lists"])).execute()
        history.log(by, "rollover.roster_undone", rollover.id)


def _places_back(kept: dict[str, Any]) -> None:
    for chunk in chunks(kept["made"]):
        Membership.delete().where(Membership.id.in_(chunk)).execute()
    for number, (state, stopped_by, left_at) in kept["opened"].items():
        Membership.update(state=state, stopped_by=stopped_by, left_at=left_at, in_charge=None).where(
            Membership.id == int(number)
        ).execute()
    for number, state in kept["gone"].items():
        Membership.update(state=state, left_at=None).where(Membership.id == int(number)).execute()


def _children_back(old: dict[str, list[str]]) -> None:
    rows = [
        Child(id=int(number), name=name, kana=kana, grade=grade, class_name=class_name)
        for number, (name, kana, grade, class_name) in old.items()
    ]
    if rows:
        Child.bulk_update(rows, [Child.name, Child.kana, Child.grade, Child.class_name], batch_size=500)
