"""Merge fields in double braces: their names, and their values for one letter (N-13, D-22 to D-25).

There are known fields with Japanese and English names, and custom fields: the extra columns of the roster (当番日 …).
Names are compared without width, case, spaces and underscores. `mail.merge` fills them in; user text is no template.
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
    """The sources of the values of one letter. `rows`: its memberships in the order of the check page."""

    person: Person
    child: Child | None
    rows: tuple[Membership, ...]
    list_name: str
    signed: str  # the class teacher, if the letter goes in that name
    notice: Notice
    settings: Settings
    at: datetime

    @property
    def language(self) -> str:
        return self.person.language


@dataclass(frozen=True, slots=True)
class MergeField:
    """A merge field with its names. `scope`: child, person, place (a membership), house (the organization), sender, day."""

    ja: str
    en: str
    scope: str
    get: Callable[[FieldContext], str]
    other: tuple[str, ...] = ()

    def name(self, language: str) -> str:
        return self.ja if language == "ja" else self.en


def _class_label(context: FieldContext) -> str:
    return class_label(context.language, context.child.grade, context.child.class_name) if context.child else ""


def _child_attribute(name: str) -> Callable[[FieldContext], str]:
    return lambda context: getattr(context.child, name) if context.child else ""


def _class_teacher_name(context: FieldContext) -> str:
    return next((row.class_teacher.name for row in context.rows if row.class_teacher), "")


def _short_date(context: FieldContext) -> str:
    at = clock.to_local(context.at)
    return (
        f"{at.month}/{at.day}({i18n.format_day('ja', at)[-2]})"
        if context.language == "ja"
        else i18n.format_day("en", at)
    )


MERGE_FIELDS: tuple[MergeField, ...] = (
    MergeField(
        "保護者氏名", "guardian name", "person", lambda context: context.person.name, ("氏名", "名前", "お名前", "name")
    ),
    MergeField(
        "保護者カナ", "guardian kana", "person", lambda context: context.person.kana, ("氏名カナ", "フリガナ", "kana")
    ),
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
        lambda context: given_name(context.child.name) if context.child else "",
        ("お子さんの名", "given name"),
    ),
    MergeField("児童カナ", "child kana", "child", _child_attribute("kana"), ("児童フリガナ", "お子さんのフリガナ")),
    MergeField("学年", "grade", "child", _child_attribute("grade"), ("年生",)),
    MergeField("組", "class", "child", _child_attribute("class_name"), ("クラス", "class name")),
    MergeField("学年組", "grade and class", "child", _class_label, ("学年・組", "年組", "room")),
    MergeField(
        "続柄", "relation", "place", lambda context: next((row.relation for row in context.rows if row.relation), "")
    ),
    MergeField("リスト名", "list name", "person", lambda context: context.list_name, ("list",)),
    MergeField("担当者", "class teacher", "place", _class_teacher_name, ("担任", "担当", "person in charge")),
    MergeField(
        "今日の日付",
        "today",
        "day",
        lambda context: i18n.format_day(context.language, context.at),
        ("本日の日付", "日付", "date"),
    ),
    MergeField("今日の日付（短）", "today in short", "day", _short_date, ("短い日付",)),
    MergeField(
        "差出人の名前",
        "sender name",
        "sender",
        lambda context: context.signed or context.notice.signed,
        ("送信者名", "差出人"),
    ),
    MergeField(
        "送信者の署名",
        "signature",
        "sender",
        lambda context: context.notice.by.signature if context.notice.by else "",
        ("署名", "sender signature"),
    ),
    MergeField(
        "学校名", "organization", "house", lambda context: context.settings.name, ("組織名", "団体名", "school")
    ),
    MergeField(
        "学校の連絡先", "contact", "house", lambda context: context.settings.contact, ("連絡先", "問い合わせ先")
    ),
    MergeField("学校の住所", "postal address", "house", lambda context: context.settings.postal, ()),
)
"""The known fields in the order of the pages. `差出人の名前` is the sender's name of the From header."""

SIGNATURE_FIELD = "送信者の署名"
_CHILD_SCOPES = ("child", "place")
MAX_SUGGESTIONS = 1


def normalize_name(name: str) -> str:
    """Return the form in which names are compared."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(folded.replace("_", " ").split())


@cache
def _fields_by_name() -> dict[str, MergeField]:
    names: dict[str, MergeField] = {}
    for field in MERGE_FIELDS:
        for name in (field.ja, field.en, *field.other):
            names.setdefault(normalize_name(name), field)
    return names


def field_by_name(name: str) -> MergeField | None:
    return _fields_by_name().get(normalize_name(name))


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────


def names_in_notice(notice: Notice) -> list[str]:
    """Return the distinct names in subject and text, in every language, as written."""
    texts = Wording.select(Wording.subject, Wording.text).where(Wording.notice == notice).order_by(Wording.id).tuples()
    return merge.field_names("\n".join(text for row in texts for text in row))


def has_merge_fields(*texts: str | None) -> bool:
    return any(merge.field_names(text) for text in texts if text)


def custom_field_names(lists: Iterable[int]) -> list[str]:
    """Return the names of the custom fields of the members of some lists and of their children."""
    return [name for name in item_names(lists) if field_by_name(name) is None]


def varies_by_child(name: str, custom: Iterable[str] = ()) -> bool:
    """Say whether the value may differ between the children of a reader."""
    field = field_by_name(name)
    if field:
        return field.scope in _CHILD_SCOPES
    return normalize_name(name) in {normalize_name(item) for item in custom}


def unknown_names(names: Iterable[str], custom: Iterable[str]) -> list[tuple[str, str]]:
    """Return (name, most similar known name or "") of each name that is not a field."""
    known = {normalize_name(name): name for name in custom}
    known |= {normalize_name(name): name for field in MERGE_FIELDS for name in (field.en, field.ja)}
    unknown = [name for name in names if field_by_name(name) is None and normalize_name(name) not in known]
    return [(name, _closest_name(normalize_name(name), known)) for name in unknown]


def _closest_name(name: str, known: Mapping[str, str]) -> str:
    overlapping = [full for full in known if name in full or full in name] if len(name) > 1 else []
    matches = get_close_matches(name, known, MAX_SUGGESTIONS, 0.5) or overlapping
    return known[matches[0]] if matches else ""


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Reads the values of the names in a notice; one for all its letters."""

    known: tuple[tuple[str, MergeField], ...]
    custom: tuple[tuple[str, frozenset[str]], ...]  # (name as written, roster columns that it matches)

    @classmethod
    def for_members(cls, names: Iterable[str], rows: Iterable[Membership]) -> "FieldReader":
        """Match names with the custom fields of members. A name that matches none stays in the text as written."""
        items: dict[str, set[str]] = {}
        for row in rows:
            for name in (*row.attributes, *(row.child.attributes if row.child else ())):
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

    def values(self, context: FieldContext) -> dict[str, str]:
        """Return {name as written: value or ""} for one letter. Values are not expanded again."""
        values = {name: field.get(context).strip() for name, field in self.known}
        return values | {name: _custom_value(context, columns) for name, columns in self.custom}

    def missing(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Return the empty fields of the reader (D-24); fields of the organization are not included."""
        own = [name for name, field in self.known if field.scope in ("child", "place", "person")]
        return tuple(name for name in (*own, *(name for name, _ in self.custom)) if not values[name])


def _custom_value(context: FieldContext, names: frozenset[str]) -> str:
    """Return the value of the child, or of the first membership that has one."""
    child_items = [context.child.attributes] if context.child else []
    for items in (*child_items, *(row.attributes for row in context.rows)):
        for name in names:
            if text := str(items.get(name, "")).strip():
                return text
    return ""


def placeholders(names: Iterable[str]) -> dict[str, str]:
    """Return values such as 〔児童氏名〕 for a preview without a recipient."""
    return {name: f"〔{name}〕" for name in names}


SHARED_SCOPES = ("house", "sender", "day")
"""Scopes with the same value in every letter."""


def shared_values(names: Iterable[str], notice: Notice, settings: Settings, at: datetime) -> dict[str, str]:
    """Return the values that all letters share, and placeholders for the others."""
    shared = FieldContext(Person(language=settings.language), None, (), "", "", notice, settings, at)
    fields = [(name, field_by_name(name)) for name in names]
    values = {name: field.get(shared) for name, field in fields if field and field.scope in SHARED_SCOPES}
    return placeholders(names) | values


def fill_shared(notice: Notice, settings: Settings, at: datetime) -> tuple[str, str]:
    """Return subject and text with shared values and placeholders."""
    wording = notice.wording
    values = shared_values(names_in_notice(notice), notice, settings, at)
    return merge.fill_fields(wording.subject, values), merge.fill_fields(wording.text, values)


def fill_for(notice: Notice, values: Mapping[str, str]) -> tuple[str, str]:
    """Return subject and text with the values of one letter."""
    wording = notice.wording
    return merge.fill_fields(wording.subject, values), merge.fill_fields(wording.text, values)


def display_subject(notice: Notice, subject: str | None = None) -> str:
    """Return the subject with shared values filled in; that of a draft as written."""
    subject = notice.wording.subject if subject is None else subject
    at = notice.started_at or notice.send_at
    if "{{" not in subject or at is None:
        return subject
    return fill_shared(notice, load_settings(), at)[0]


def is_personalized(notice: Notice) -> bool:
    """Say whether the words hold a field that differs by reader."""
    return any(
        field is None or field.scope not in SHARED_SCOPES for field in map(field_by_name, names_in_notice(notice))
    )


def missing_organization_value(names: Iterable[str], settings: Settings) -> str:
    """Return the first name of an organization value (name, contact, address) that is not set; "" if none."""
    shared = FieldContext(Person(), None, (), "", "", Notice(), settings, clock.now())
    fields = [(name, field) for name in names if (field := field_by_name(name)) and field.scope == "house"]
    return next((name for name, field in fields if not field.get(shared)), "")


def uses_signature(names: Iterable[str]) -> bool:
    """Say whether the names include the sender's signature (D-22)."""
    signature = field_by_name(SIGNATURE_FIELD)
    return any(field_by_name(name) is signature for name in names)


def lacks_signature(user: User, *texts: str | None) -> bool:
    """Say whether texts use the signature of a user who has none (D-22)."""
    return not user.signature.strip() and any(uses_signature(merge.field_names(text)) for text in texts if text)


def offered_names(list_ids: Iterable[int], language: str) -> dict[str, list[str]]:
    """Return the names that the compose page offers, by group."""
    groups: dict[str, list[str]] = {"reader": [], "custom": custom_field_names(list_ids), "house": []}
    for field in MERGE_FIELDS:
        kind = "house" if field.scope in SHARED_SCOPES else "reader"
        groups[kind].append(field.name(language))
    return groups


def lists_of_notice(notice: Notice) -> list[int]:
    """Return the ids of the lists whose custom fields a notice may use: of its lists, groups and persons."""
    chosen = Target.select(Target.number).where(Target.notice == notice, Target.include == True)
    persons = chosen.where(Target.kind == "person")
    of_persons = Membership.select(Membership.list).where(Membership.person.in_(persons), Membership.is_member)
    if (within := permissions.person_scope(notice)) is not None:
        of_persons = of_persons.where(Membership.list.in_(within))
    of_groups = Group.select(Group.list).where(Group.id.in_(chosen.where(Target.kind == "group")))
    lists = chosen.where(Target.kind == "list")
    return [number for (number,) in (lists | of_groups | of_persons).tuples()]
