"""Merge fields: which names may stand in double braces, and what they are for one letter (N-13, D-22 to D-25).

A list of known names, Japanese and English, and the free items of the roster (当番日 …). Width, capitals, spaces and
underscores of a name do not matter. What the text is filled with: `mail.merge`; user text is never a template.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cache

import clock
import i18n
from core import permissions
from core.display_names import class_label, given_name
from core.members.lists import item_names
from core.settings import Settings, load_settings
from mail import merge
from models import Child, Group, Membership, Notice, Person, Target, User, Wording


@dataclass(frozen=True, slots=True)
class FieldContext:
    """What the values of one letter are taken from; `rows` are its places in lists, in the order of the check page."""

    person: Person
    child: Child | None
    rows: tuple[Membership, ...]
    list_name: str
    signed: str  # the person in charge, if the letter goes in that person's name
    notice: Notice
    force: Settings
    at: datetime

    @property
    def language(self) -> str:
        return self.person.language


@dataclass(frozen=True, slots=True)
class MergeField:
    """A field by its names. `of`: child, person, place (in a list), house, sender, day."""

    ja: str
    en: str
    of: str
    get: Callable[[FieldContext], str]
    other: tuple[str, ...] = ()

    def name(self, language: str) -> str:
        """Return the name that is offered on a page."""
        return self.ja if language == "ja" else self.en


def _class_label(one: FieldContext) -> str:
    return class_label(one.language, one.child.grade, one.child.class_name) if one.child else ""


def _child_attribute(name: str) -> Callable[[FieldContext], str]:
    return lambda one: getattr(one.child, name) if one.child else ""


def _class_teacher_name(one: FieldContext) -> str:
    return next((row.in_charge.name for row in one.rows if row.in_charge_id), "")


def _short_date(one: FieldContext) -> str:
    at = clock.to_local(one.at)
    return (
        f"{at.month}/{at.day}({i18n.format_day('ja', at)[-2]})" if one.language == "ja" else i18n.format_day("en", at)
    )


MERGE_FIELDS: tuple[MergeField, ...] = (
    MergeField(
        "保護者氏名", "guardian name", "person", lambda one: one.person.name, ("氏名", "名前", "お名前", "name")
    ),
    MergeField("保護者カナ", "guardian kana", "person", lambda one: one.person.kana, ("氏名カナ", "フリガナ", "kana")),
    MergeField(
        "児童氏名",
        "child name",
        "child",
        _child_attribute("name"),
        ("児童名", "お子さんの氏名", "お子さんの名前", "子の氏名", "生徒氏名", "園児氏名", "部員氏名"),
    ),
    MergeField(
        "児童の名",
        "child given name",
        "child",
        lambda one: given_name(one.child.name) if one.child else "",
        ("お子さんの名", "given name"),
    ),
    MergeField("児童カナ", "child kana", "child", _child_attribute("kana"), ("児童フリガナ", "お子さんのフリガナ")),
    MergeField("学年", "grade", "child", _child_attribute("grade"), ("年生",)),
    MergeField("組", "class", "child", _child_attribute("class_name"), ("クラス", "class name")),
    MergeField("学年組", "grade and class", "child", _class_label, ("学年・組", "年組", "room")),
    MergeField("続柄", "relation", "place", lambda one: next((row.relation for row in one.rows if row.relation), "")),
    MergeField("リスト名", "list name", "person", lambda one: one.list_name, ("list",)),
    MergeField("担当者", "person in charge", "place", _class_teacher_name, ("担任", "担当")),
    MergeField(
        "今日の日付", "today", "day", lambda one: i18n.format_day(one.language, one.at), ("本日の日付", "日付", "date")
    ),
    MergeField("今日の日付（短）", "today in short", "day", _short_date, ("短い日付",)),
    MergeField(
        "差出人の名前", "sender name", "sender", lambda one: one.signed or one.notice.signed, ("送信者名", "差出人")
    ),
    MergeField(
        "送信者の署名",
        "signature",
        "sender",
        lambda one: one.notice.by.signature if one.notice.by_id else "",
        ("署名", "sender signature"),
    ),
    MergeField("学校名", "organization", "house", lambda one: one.force.name, ("組織名", "団体名", "school")),
    MergeField("学校の連絡先", "contact", "house", lambda one: one.force.contact, ("連絡先", "問い合わせ先")),
    MergeField("学校の住所", "postal address", "house", lambda one: one.force.postal, ()),
)
"""The known fields, in the order in which pages offer them. `差出人の名前` is who writes, as From shows it."""

SIGNATURE_FIELD = "送信者の署名"
_CHILD_SCOPES = ("child", "place")
MAX_SUGGESTIONS = 1


def normalize_name(name: str) -> str:
    """Return a name in the form in which names are compared."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(folded.replace("_", " ").split())


@cache
def _fields_by_name() -> dict[str, MergeField]:
    names = {}
    for field in MERGE_FIELDS:
        for name in (field.ja, field.en, *field.other):
            names.setdefault(normalize_name(name), field)
    return names


def field_by_name(name: str) -> MergeField | None:
    """Return the known field that a name means."""
    return _fields_by_name().get(normalize_name(name))


# ── in a notice ──────────────────────────────────────────────────────────────────────────────────────────────────


def names_in_notice(notice: Notice) -> list[str]:
    """Return the names in the subject and text of a notice, in every language, each once, as they are written."""
    texts = Wording.select(Wording.subject, Wording.text).where(Wording.notice == notice).order_by(Wording.id).tuples()
    return merge.field_names("\n".join(text for row in texts for text in row))


def has_merge_fields(*texts: str | None) -> bool:
    """Say whether some text holds a merge field."""
    return any(merge.field_names(text) for text in texts if text)


def custom_field_names(lists: Iterable[int]) -> list[str]:
    """Return the names of the free items that members of some lists, or their children, have."""
    return [name for name in item_names(lists) if field_by_name(name) is None]


def varies_by_child(name: str, free: Iterable[str] = ()) -> bool:
    """Say whether a field may differ between a reader's children: then each child has a letter of its own."""
    field = field_by_name(name)
    if field:
        return field.of in _CHILD_SCOPES
    return normalize_name(name) in {normalize_name(one) for one in free}


def unknown_names(names: Iterable[str], free: Iterable[str]) -> list[tuple[str, str]]:
    """Return (name, likeliest known name or "") of each name that is no field."""
    mine = {normalize_name(name): name for name in free}
    mine |= {normalize_name(name): name for field in MERGE_FIELDS for name in (field.en, field.ja)}
    wrong = [name for name in names if field_by_name(name) is None and normalize_name(name) not in mine]
    return [(name, _closest_name(normalize_name(name), mine)) for name in wrong]


def _closest_name(name: str, known: Mapping[str, str]) -> str:
    inside = [full for full in known if name in full or full in name] if len(name) > 1 else []
    found = get_close_matches(name, known, MAX_SUGGESTIONS, 0.5) or inside
    return known[found[0]] if found else ""


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FieldReader:
    """How the names written in a notice are read; made once, used for every letter."""

    known: tuple[tuple[str, MergeField], ...]
    free: tuple[tuple[str, frozenset[str]], ...]  # the written name, and the items that it means

    @classmethod
    def for_members(cls, names: Iterable[str], rows: Iterable[Membership]) -> "FieldReader":
        """Read the names of a text for the members given; a name that nobody's items have stays as it is written."""
        items: dict[str, set[str]] = {}
        for row in rows:
            for name in (*row.attributes, *(row.child.attributes if row.child_id else ())):
                items.setdefault(normalize_name(name), set()).add(name)
        known = [(name, field_by_name(name)) for name in names]
        return cls(
            tuple((name, field) for name, field in known if field),
            tuple(
                (name, frozenset(items[normalize_name(name)]))
                for name, field in known
                if not field and normalize_name(name) in items
            ),
        )

    def values(self, one: FieldContext) -> dict[str, str]:
        """Return the value of each written name for one letter, "" where there is none. Nothing is expanded again."""
        found = {name: field.get(one).strip() for name, field in self.known}
        return found | {name: _custom_value(one, meant) for name, meant in self.free}

    def missing(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Return the written names of reader's fields that are empty (D-24); what the house lacks is not theirs."""
        own = [name for name, field in self.known if field.of in ("child", "place", "person")]
        return tuple(name for name in (*own, *(name for name, _ in self.free)) if not values[name])


def _custom_value(one: FieldContext, names: frozenset[str]) -> str:
    """Return a free item: the child's, else that of the first place that has it."""
    held = [one.child.attributes] if one.child else []
    for items in (*held, *(row.attributes for row in one.rows)):
        for name in names:
            if text := str(items.get(name, "")).strip():
                return text
    return ""


def placeholders(names: Iterable[str]) -> dict[str, str]:
    """Return values for a copy that is nobody's: 〔児童氏名〕 stands where each reader's own value will."""
    return {name: f"〔{name}〕" for name in names}


SHARED_SCOPES = ("house", "sender", "day")
"""What merge fields are of whose value stands the same in every letter."""


def shared_values(names: Iterable[str], notice: Notice, force: Settings, at: datetime) -> dict[str, str]:
    """Return the values that are the same for every letter; those of readers as placeholders."""
    nobody = FieldContext(Person(language=force.language), None, (), "", "", notice, force, at)
    found = [(name, field_by_name(name)) for name in names]
    same = {name: field.get(nobody) for name, field in found if field and field.of in SHARED_SCOPES}
    return placeholders(names) | same


def fill_shared(notice: Notice, force: Settings, at: datetime) -> tuple[str, str]:
    """Return subject and text for a page: what is the same for all filled in, the rest as placeholders."""
    wording = notice.wording
    values = shared_values(names_in_notice(notice), notice, force, at)
    return merge.fill_fields(wording.subject, values), merge.fill_fields(wording.text, values)


def display_subject(notice: Notice, subject: str | None = None) -> str:
    """Return a notice's subject as pages and letters name it: day and school filled in; a draft's as it is written."""
    subject = notice.wording.subject if subject is None else subject
    at = notice.started_at or notice.send_at
    if "{{" not in subject or at is None:
        return subject
    return fill_shared(notice, load_settings(), at)[0]


def is_personalized(notice: Notice) -> bool:
    """Say whether the words hold a field whose value differs from reader to reader."""
    return any(field is None or field.of not in SHARED_SCOPES for field in map(field_by_name, names_in_notice(notice)))


def missing_organization_value(names: Iterable[str], force: Settings) -> str:
    """Return the first name whose value the house lacks: its contact, address or name; "" if none."""
    nobody = FieldContext(Person(), None, (), "", "", Notice(), force, clock.now())
    asked = [(name, field) for name in names if (field := field_by_name(name)) and field.of == "house"]
    return next((name for name, field in asked if not field.get(nobody)), "")


def uses_signature(names: Iterable[str]) -> bool:
    """Say whether a text wants the writer's signature (D-22)."""
    signature = field_by_name(SIGNATURE_FIELD)
    return any(field_by_name(name) is signature for name in names)


def lacks_signature(user: User, *texts: str | None) -> bool:
    """Say whether texts want the signature of a user who has none yet (D-22)."""
    return not user.signature.strip() and any(uses_signature(merge.field_names(text)) for text in texts if text)


def offered_names(list_ids: Iterable[int], language: str) -> dict[str, list[str]]:
    """Return the names that a page offers to tap in, by what they belong to."""
    groups: dict[str, list[str]] = {"reader": [], "free": custom_field_names(list_ids), "house": []}
    for field in MERGE_FIELDS:
        kind = "house" if field.of in ("house", "sender", "day") else "reader"
        groups[kind].append(field.name(language))
    return groups


def lists_of_notice(notice: Notice) -> list[int]:
    """Return the lists whose free items a notice may name: those chosen, and those of the groups and persons chosen."""
    chosen = Target.select(Target.number).where(Target.notice == notice, Target.include == True)
    persons = chosen.where(Target.kind == "person")
    theirs = Membership.select(Membership.list).where(Membership.person.in_(persons), Membership.is_member)
    if (within := permissions.person_scope(notice)) is not None:
        theirs = theirs.where(Membership.list.in_(within))
    of_groups = Group.select(Group.list).where(Group.id.in_(chosen.where(Target.kind == "group")))
    lists = chosen.where(Target.kind == "list")
    return [number for (number,) in (lists | of_groups | theirs).tuples()]
