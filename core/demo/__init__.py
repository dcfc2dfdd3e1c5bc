"""The sample school かえで原小学校: its house, lists, members and users, and some weeks behind it (E-20).

Everything goes through the verbs that organizers use; the roster is imported from `demo/demo_members.csv`.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random

import clock
import config
from core import audit, install, settings
from core.accounts import accounts, class_teacher, roles
from core.demo.dates import shift_dates
from core.demo.past_notices import DemoContext, create_past_notices
from core.errors import DomainError
from core.imports import columns, jobs
from core.imports.apply import apply_plan
from core.imports.columns import RosterRow, read_rows
from core.imports.plan import plan_rows
from core.inbound.allowed_senders import add_sender
from core.members import groups, segment_rules
from core.members.lists import add_list
from core.members.segment_rules import SegmentRule
from database import db
from models import AuditLog, MailingList, Organization, User

SCHOOL_NAME = "かえで原小学校"
SCHOOL_DOMAIN = "mail.kaedehara.example.jp"
ROSTER_FILE = config.PROJECT_DIR / "demo" / "demo_members.csv"
ROSTER_HOUSEHOLDS = 36
"""Households in the roster file."""

_AUDIT_ACTION = "demo.filled"
_PURPOSE = "学校とPTAからのお知らせをお送りするためだけに使います。"
_GROUPS = {
    "PTA役員": ("pta", (1, 3, 10, 21, 28, 34, 35)),
    "かえで原FC": ("fc", (17, 19, 21, 23, 25, 28, 30, 32, 34, 35, 36, 37)),
}
"""Lists of some families: local part, and the lines of the roster file."""

_LETTERS_AND_DIGITS = "abcdefghjkmnpqrstuvwxyz23456789"


def is_filled() -> bool:
    """Say whether the sample school is here already."""
    return AuditLog.select().where(AuditLog.action == _AUDIT_ACTION).exists()


def fill_demo(now: datetime, families: int = ROSTER_HOUSEHOLDS) -> list[tuple[str, str]]:
    """Put the sample school into an empty installation; return (user name, password) of its organizers.

    All of it or nothing, in one transaction. Raises DomainError where real letters or real people could be touched.
    """
    _require_empty_installation()
    with db.atomic():
        began = now - timedelta(weeks=10)
        settings.update_organization(
            None,
            name=SCHOOL_NAME,
            postal="〒000-0000 例示県例示市かえで原1-2-3",
            contact="電話 000-0000-0000",
            mail_domain=SCHOOL_DOMAIN,
            language="ja",
        )
        lists = _create_lists(began)
        _import_members(lists, families, began, clock.to_local(now).date())
        _create_groups(lists["全校"], began)
        users, passwords = _create_users(lists, began)
        _assign_class_teacher(lists["6年1組"], users["長谷川 小百合"])
        for list_name, user in (("全校", users["小川 守"]), ("かえで原FC", users["森 雄一"])):
            add_sender(lists[list_name], None, user.email or "", user.name, now)
        create_past_notices(DemoContext(users, lists, now, Random(57)))  # noqa: S311 - the same school each time
        install.finish_setup(config.current_config(), users["小川 守"], now)
        audit.log_action(None, _AUDIT_ACTION, detail={"families": families})
    return passwords


def _require_empty_installation() -> None:
    """Refuse beside an outside mail server or real data; sample letters must never reach anybody."""
    smtp = config.current_config().smtp
    if smtp and not config.is_loopback(smtp):
        raise DomainError("A mail server is set, so the sample school is refused: its letters must not leave.")
    if Organization.load_row().set_up_at or MailingList.select().exists() or User.select().exists():
        raise DomainError("This installation is in use. For the sample school choose another folder: KAIRAN_DATA=…")


# ── lists and members ────────────────────────────────────────────────────────────────────────────────────────────


def _create_lists(now: datetime) -> dict[str, MailingList]:
    made = {"全校": add_list(None, "全校", "zenko", whole=True, purpose=_PURPOSE, now=now)}
    for grade in range(1, GRADES + 1):
        for room in range(1, CLASSES + 1):
            name = f"{grade}年{room}組"
            made[name] = add_list(None, name, f"{grade}nen{room}kumi", purpose=_PURPOSE, now=now)
    for name, (local, _) in _GROUPS.items():
        made[name] = add_list(None, name, local, purpose=_PURPOSE, now=now)
    return made


def _create_groups(whole: MailingList, now: datetime) -> None:
    """Make the groups that a school sends to: a grade, a district, and who has a duty."""
    wanted = (
        ("3年", "grade", "is", "3"),
        ("本町地区", "item:地区", "is", "本町"),
        ("旗当番のある方", "item:当番日", "not_empty", ""),
    )
    for name, rule_field, op, value in wanted:
        groups.add_group(
            whole, name, None, now, segment_rules.parse_blocks([("and", SegmentRule(rule_field, op, value))])
        )


def _import_members(lists: dict[str, MailingList], families: int, now: datetime, today: date) -> None:
    """Import the roster into the whole school, then copy each family into the lists of its classes and groups."""
    rows = roster_rows(today) + family_rows(max(0, families - ROSTER_HOUSEHOLDS))
    _import_rows(lists["全校"], rows, now, "file")
    by_list: dict[str, list[RosterRow]] = {}
    for row in rows:
        if row.grade and row.class_name:
            by_list.setdefault(f"{row.grade}年{row.class_name}組", []).append(row)
    for name, (_, numbers) in _GROUPS.items():
        by_list[name] = [row for row in rows if row.number - 1 in numbers]
    for name, members in by_list.items():
        _import_rows(lists[name], members, now, "copy")


def _import_rows(mailing_list: MailingList, rows: list[RosterRow], now: datetime, route: str) -> None:
    apply_plan(plan_rows(mailing_list, [replace(row) for row in rows], now, route))


def roster_rows(today: date) -> list[RosterRow]:
    """Return the lines of the roster file, its duty days moved to the coming weeks, without its remarks for testers.

    A family without an address gets a telephone number, as schools keep one.
    """
    sheet = jobs.read_sheet(ROSTER_FILE.read_bytes(), ROSTER_FILE.name)
    mapping = tuple(
        "" if column in ("番号", "試験の狙い") else meaning
        for column, meaning in zip(sheet.columns, columns.guess_mapping(sheet), strict=True)
    )
    rows = read_rows(sheet, mapping)
    for row, day in zip(rows, shift_dates([row.attributes.get("当番日", "") for row in rows], today), strict=True):
        if day:
            row.attributes["当番日"] = day
        if not row.address:
            row.phone = row.phone or "000-0000-0038"
    return rows


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_users(lists: dict[str, MailingList], now: datetime) -> tuple[dict[str, User], list[tuple[str, str]]]:
    """Add the organizers with their roles and practice lists; return them by name, and their passwords."""
    wanted = (
        ("小川 守", "ogawa@school.example.jp", "admin", ""),
        ("長谷川 小百合", "sayuri.hasegawa@example.jp", "manager", "6年1組"),
        ("森 雄一", "yuichi.mori@example.com", "manager", "かえで原FC"),
        ("北村 光代", None, "viewer", "全校"),
    )
    users, passwords = {}, []
    for name, email, role, list_name in wanted:
        password = _random_password()
        users[name] = accounts.add_user(name, email=email, password=password, now=now)
        roles.grant_role(users[name], role, lists[list_name].id if list_name else 0, by=None)
        accounts.ensure_practice_list(users[name], now)
        passwords.append((name, password))
    return users, passwords


def _assign_class_teacher(mailing_list: MailingList, user: User) -> None:
    """Make a user the class teacher of all members of a class."""
    class_teacher.assign_classes(
        mailing_list,
        {(room.grade, room.class_name): user.id for room in class_teacher.teachers_of_classes(mailing_list)},
        None,
    )


def _random_password() -> str:
    """Return a random password that can be read aloud: three groups of five, 74 bits."""
    return "-".join("".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(5)) for _ in range(3))


# ── invented families: the same each time, with addresses in reserved domains only ──
# Most have one registered guardian and one child. Some have two guardians, or children in two classes. A few have no
# address, stopped the mail, or read English.

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
