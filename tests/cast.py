"""The small school of the tests: who organizes, who reads, and noise that no query may catch.

花子 manages 1年1組; 太郎 manages 2年1組 and must be refused at hers; 守 administers; 見る子 may only look at 1年1組.
"""

from dataclasses import dataclass, field

import clock
from core import settings
from core.accounts import accounts
from mail import address
from models import Child, MailingList, Membership, Person, Role, User

PASSWORD = "kumo-no-ue-no-hasi-7"


@dataclass
class School:
    """The rows of the cast by name."""

    users: dict[str, User] = field(default_factory=dict)
    lists: dict[str, MailingList] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)


FAMILIES = (
    # guardian, kana, relation, child, grade, class, address, household, lists
    ("青山 健太", "アオヤマ ケンタ", "父", "青山 陽菜", "1", "1", "aoyama.k@example.com", "aoyama", ("whole", "1-1")),
    (
        "青山 美咲",
        "アオヤマ ミサキ",
        "母",
        "青山 陽菜",
        "1",
        "1",
        "misaki@mobile.example.jp",
        "aoyama",
        ("whole", "1-1"),
    ),
    ("石川 直樹", "イシカワ ナオキ", "父", "石川 蓮", "1", "1", "naoki@example.jp", "ishikawa", ("whole", "1-1")),
    ("和田 幸子", "ワダ サチコ", "母", "和田 慎", "1", "1", None, "wada", ("whole", "1-1")),
    ("加藤 誠", "カトウ マコト", "父", "加藤 悠斗", "2", "1", "kato@example.org", "kato", ("whole", "2-1")),
    ("木村 恵", "キムラ メグミ", "母", "木村 凛", "2", "1", "megumi.@mobile.example.jp", "kimura", ("whole", "2-1")),
    ("鈴木 大輔", "スズキ ダイスケ", "父", "鈴木 海斗", "2", "1", "suzuki@example.com", "suzuki", ("whole", "2-1")),
    ("鈴木 大輔", "スズキ ダイスケ", "父", "鈴木 美月", "1", "1", "suzuki@example.com", "suzuki", ("whole", "1-1")),
)


def build() -> School:
    """Write the school into the open tables and return it."""
    settings.update_organization(
        None, name="かえで原小学校", postal="〒000-0000 例示県例示市かえで原1-2-3", contact="電話 000-0000-0000"
    )
    settings.mark_set_up(clock.now())
    school = School()
    for name, local, whole in (("全校", "zenko", True), ("1年1組", "1nen1kumi", False), ("2年1組", "2nen1kumi", False)):
        key = "whole" if whole else name[0] + "-1"
        school.lists[key] = MailingList.create(name=name, address=local, whole=whole, purpose="学校からのお知らせ")
    _families(school)
    _users(school)
    _noise(school)
    return school


def _families(school: School) -> None:
    for guardian, kana, relation, child, grade, room, mail, household, lists in FAMILIES:
        person = school.people.get(guardian) or Person.create(
            name=guardian,
            kana=kana,
            address=mail,
            address_key=address.comparison_key(mail) if mail else None,
            violates_rfc=bool(mail) and address.violates_rfc(mail),
            household=household,
            phone="" if mail else "000-0000-0001",
        )
        school.people[guardian] = person
        if child not in school.children:
            school.children[child] = Child.create(name=child, grade=grade, class_name=room, household=household)
        for key in lists:
            Membership.create(person=person, list=school.lists[key], child=school.children[child], relation=relation)


def _users(school: School) -> None:
    roles = {
        "守": (("admin", 0),),
        "花子": (("manager", school.lists["1-1"].id),),
        "太郎": (("manager", school.lists["2-1"].id),),
        "送る子": (("sender", school.lists["1-1"].id),),
        "見る子": (("viewer", school.lists["1-1"].id),),
    }
    for number, (name, held) in enumerate(roles.items()):
        user = accounts.add_user(name, email=f"user{number}@school.example", password=PASSWORD)
        for kind, list_id in held:
            Role.create(user=user, list_id=list_id, kind=kind)
        school.users[name] = user


def _noise(school: School) -> None:
    """Rows that must never show up: one who stopped, left, was refused; a bounced address; a closed list."""
    gone = MailingList.create(name="去年の6年", address="kyonen", closed_at=clock.now())
    for name, mail, state, extra in (
        ("雑音 一", "noise1@example.net", "stopped", {}),
        ("雑音 二", "noise2@example.net", "left", {}),
        ("雑音 三", "noise3@example.net", "active", {"address_state": "bounced"}),
        ("雑音 四", "noise4@example.net", "refused", {}),
    ):
        person = Person.create(name=name, kana=name, address=mail, address_key=mail, household=name, **extra)
        school.people[name] = person
        Membership.create(person=person, list=school.lists["1-1"], state=state)
        Membership.create(person=person, list=gone)
