"""The reader's own page: names, items, address, each list, and farewell (N-16, decision 2, field.md 3.2).

Behind a signed link that ends: the welcome letter carries one for a week, `/p` mails one for a day. A new address
makes every older link useless. It shows what the reader gave and gets, nobody else's data, and no history.
"""

import hmac
import re
import struct
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

from core import audit, rate_limits
from core.accounts import who_can
from core.errors import DomainError
from core.members import members, missing_names, unsubscribe, unsubscribe_by_mail
from core.members.normalise import normalise_class, normalise_grade, normalise_kana, normalise_text, parse_address
from core.notifications.notify import notify, notify_users
from core.settings import load_settings
from core.signup.quotas import SignupRequest
from database import db, millis
from i18n import N_
from mail import address as addresses
from models import Child, MailingList, Membership, Person

LINK_LIFETIME, WELCOME_LINK_LIFETIME = timedelta(hours=24), timedelta(days=7)
PER_ADDRESS = ((600, 1), (86400, 3))
MAX_LINKS_PER_DAY = 500
TEST_EMAILS_PER_DAY = 3
CORRECTIONS_PER_DAY, MAX_CORRECTION_LENGTH = 3, 500
_LINK_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
NO_WEB_ADDRESS = N_("A name cannot hold a web address.")
_WEB_ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)
INTERNAL_ITEM_WORDS = ("備考", "メモ", "注意", "所見", "note", "remark", "memo")
"""Items that an organizer wrote for organizers: columns of a roster with these words in their name."""


# ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────────


def sign_page_token(person: Person, ends: datetime) -> str:
    """Return the signed text of a link that opens this person's page until a moment, and at this address only.

    32 signs, so that the link fits on one line of a letter: number, minute, and 128 bits over both and the address.
    """
    body = struct.pack(">II", person.id, millis(ends) // 60_000)
    return urlsafe_b64encode(body + _token_hmac(body, person)).decode()


def _token_hmac(body: bytes, person: Person) -> bytes:
    return hmac.digest(load_settings().secret, b"own page" + body + (person.address_key or "").encode(), "sha256")[:16]


def address_fingerprint(person: Person) -> str:
    """Return what ties a link to the address that the person has now."""
    return hmac.digest(load_settings().secret, f"at {person.address_key}".encode(), "sha256")[:6].hex()


def page_url(person: Person, now: datetime, good_for: timedelta = LINK_LIFETIME) -> str:
    """Return the whole web address of the page."""
    return f"{load_settings().base_url}/p/{sign_page_token(person, now + good_for)}"


def person_by_token(text: str, now: datetime) -> Person | None:
    """Return whose page this link opens; None if it is wrong, too old, or the address has changed since."""
    if not _LINK_TOKEN.fullmatch(text):
        return None
    held = urlsafe_b64decode(text)
    number, minute = struct.unpack(">II", held[:8])
    person = Person.get_or_none(Person.id == number)
    if person is None or not person.address or not hmac.compare_digest(held[8:], _token_hmac(held[:8], person)):
        return None
    return person if minute * 60_000 > millis(now) else None


def email_page_link(typed: str, now: datetime) -> None:
    """Mail the link to a member's own address; nobody learns whether there is one. Raises DomainError."""
    key = addresses.comparison_key(parse_address(typed))
    person = Person.get_or_none(Person.address_key == key)
    if any(rate_limits.record_hit(f"own page:{window}:{key}", now, window) > most for window, most in PER_ADDRESS):
        return
    if person is None or not person.is_deliverable or not _memberships_of(person):
        return
    if rate_limits.record_hit("own pages", now, 86400) <= MAX_LINKS_PER_DAY:
        notify("page", person, now, url=page_url(person, now))


# ── what it shows ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ListLine:
    """A list of the reader. `state`: active, stopped (the reader may resume), pending, over (only a manager may)."""

    list: MailingList
    state: str
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreferencePage:
    """What the page shows: `unnamed`, a place without names; `items` and `labels` by place; `more`, lists to join.

    `of_children`: items of a child, which are the school's; only what the roster or a manager gave this guardian.
    """

    person: Person
    lines: list[ListLine]
    children: list[Child]
    items: dict[int, dict[str, str]]
    of_children: dict[int, dict[str, str]]
    labels: dict[int, str]
    unnamed: Membership | None
    more: list[tuple[MailingList, Child]]


def load_page(person: Person) -> PreferencePage:
    """Gather a reader's own page."""
    places = _memberships_of(person)
    children = {one.child_id: one.child for one in places if one.child_id and _is_trusted(one)}
    lists = {one.list_id: one.list for one in places}
    return PreferencePage(
        person=person,
        lines=[_list_line(lists[number], [one for one in places if one.list_id == number]) for number in lists],
        children=list(children.values()),
        items={one.id: shown for one in places if _is_trusted(one) and (shown := reader_visible_items(one.attributes))},
        of_children={
            one.child_id: reader_visible_items(one.child.attributes) for one in places if _is_guardian_by_roster(one)
        },
        labels={one.id: " ".join((one.list.name, one.child.name if one.child_id else "")).strip() for one in places},
        unnamed=next(
            (found for one in lists.values() if (found := missing_names.membership_without_names(person, one))), None
        ),
        more=_joinable_lists(person, children, set(lists)),
    )


def _memberships_of(person: Person) -> list[Membership]:
    return list(
        Membership.select(Membership, MailingList, Child)
        .join(MailingList)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(
            Membership.person == person,
            Membership.is_member,
            MailingList.closed_at.is_null(),
            MailingList.practice_of.is_null(),
        )
        .order_by(MailingList.whole.desc(), MailingList.name, Membership.id)
    )


def _is_trusted(place: Membership) -> bool:
    """Say whether the school takes the reader at his word: not while a manager must still approve, or has stopped."""
    return place.state in ("active", "unconfirmed") or (place.state == "stopped" and place.stopped_by == "reader")


def _is_guardian_by_roster(place: Membership) -> bool:
    """Say whether the school itself named this guardian of the child: who found a slip must not read its items."""
    return bool(place.child_id) and _is_trusted(place) and place.joined_via not in ("blank mail", "link")


def _list_line(mailing_list: MailingList, places: list[Membership]) -> ListLine:
    states = {one.state for one in places}
    own_stop = any(one.state == "stopped" and one.stopped_by == "reader" for one in places)
    if states & {"active", "unconfirmed"}:
        state = "active"
    else:
        state = "pending" if "pending" in states else "stopped" if own_stop else "over"
    return ListLine(mailing_list, state, tuple(one.child.name for one in places if one.child_id))


def reader_visible_items(items: Mapping[str, str]) -> dict[str, str]:
    """Return the items that a reader may see and correct."""
    return {
        key: str(text) for key, text in items.items() if not any(word in key.lower() for word in INTERNAL_ITEM_WORDS)
    }


def _joinable_lists(person: Person, children: Mapping[int, Child], known: set[int]) -> list[tuple[MailingList, Child]]:
    """Return the other lists in which a child of the reader is registered, and that people may join."""
    rows = (
        Membership.select(Membership.list, Membership.child)
        .join(MailingList)
        .where(
            Membership.child.in_(list(children)),
            Membership.state == "active",
            Membership.list.not_in(list(known)),
            MailingList.closed_at.is_null(),
            MailingList.practice_of.is_null(),
            MailingList.join_mode != "closed",
        )
        .distinct()
        .tuples()
    )
    return [(MailingList.get_by_id(number), children[child]) for number, child in rows]


# ── what it does ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PreferenceForm:
    """What a reader typed: own fields, and by number the names of children and the items of places."""

    name: str
    kana: str
    phone: str
    language: str
    children: Mapping[int, Mapping[str, str]]
    items: Mapping[int, Mapping[str, str]]
    new_child: Mapping[str, str]


def save_preferences(person: Person, said: PreferenceForm) -> None:
    """Write down what a reader corrected about the family. Raises DomainError with the field.

    Class and school year are the school's once they are known; the reader fills in only what is empty. Items are
    corrected, none is added.
    """
    seen = load_page(person)
    _reject_urls(said)
    if seen.unnamed and not normalise_text(said.name):
        raise DomainError(members.NAME_REQUIRED, "name")
    with db.atomic():
        members.edit_person(person, None, name=said.name, kana_=said.kana, phone_=said.phone, language=said.language)
        for child in seen.children:
            _save_child(child, said.children.get(child.id, {}))
        for number, shown in seen.items.items():
            _save_items(number, shown, said.items.get(number, {}))
        if seen.unnamed and normalise_text(said.new_child.get("name", "")):
            place = Membership.get_by_id(seen.unnamed.id)
            members.edit_membership(place, None, relation=place.relation, items=place.attributes, child=said.new_child)
        audit.log_action(None, "member.changed_self", person.id)


def _reject_urls(said: PreferenceForm) -> None:
    """Refuse names that hold a web address: names stand in letters to other guardians and organizers, as links."""
    own = [("name", said.name), ("kana", said.kana)]
    of_children = [
        (f"child{number}-{field}", text)
        for number, typed in [*said.children.items(), ("new", said.new_child)]
        for field, text in typed.items()
    ]
    for field, text in [*own, *of_children]:
        if _WEB_ADDRESS.search(unicodedata.normalize("NFKC", text)):
            raise DomainError(NO_WEB_ADDRESS, "name" if field.startswith("childnew") else field)


def _save_child(child: Child, typed: Mapping[str, str]) -> None:
    name = normalise_text(typed.get("name", child.name))
    if not name:
        raise DomainError(members.CHILD_NAME_REQUIRED, f"child{child.id}-name")
    fields = {"name": name, "kana": normalise_kana(typed.get("kana", child.kana))}
    if not child.grade:
        fields["grade"] = normalise_grade(typed.get("grade", ""))
    if not child.class_name:
        fields["class_name"] = normalise_class(typed.get("class_name", ""))
    Child.update(**fields).where(Child.id == child.id).execute()


def _save_items(number: int, shown: Mapping[str, str], typed: Mapping[str, str]) -> None:
    place = Membership.get_by_id(number)
    changed = {key: typed[key].strip()[: members.MAX_ITEM_LENGTH] for key in shown if key in typed}
    Membership.update(attributes={**place.attributes, **changed}).where(Membership.id == number).execute()


def send_correction(person: Person, text: str, now: datetime) -> bool:
    """Tell the managers what a reader says is wrong (class, district …); they change it. False if too often or empty.

    Class and items of the child decide who gets which notice, so that a link alone does not change them.
    """
    said = text.strip()[:MAX_CORRECTION_LENGTH]
    if not said or rate_limits.record_hit(f"own page wish:{person.id}", now, 86400) > CORRECTIONS_PER_DAY:
        return False
    lists = [line.list for line in load_page(person).lines if line.state == "active"]
    managers = list(dict.fromkeys(user for one in lists for user in who_can.managers_of(one)))
    url = f"{load_settings().base_url}/members/{person.id}"
    with db.atomic():
        audit.log_action(None, "member.says_wrong", person.id)
        notify_users("says-wrong", managers or who_can.administrators(), now, name=person.name, text=said, url=url)
    return True


def join_another_list(person: Person, list_id: int, now: datetime) -> str:
    """Join another list in which a child of the reader is registered; return active or pending, "" if none is such."""
    from core.signup import signup  # it sends the link to this page, so it stands above us

    found = [(one, child) for one, child in load_page(person).more if one.id == list_id]
    states = {
        signup.join_list(SignupRequest(mailing_list, person.address or "", "link", "child", child, "letter"), now)[1]
        for mailing_list, child in found
    }
    return min(states, default="")


def stop_or_resume_list(person: Person, list_id: int, do: str, now: datetime) -> bool:
    """Stop or resume one list of the reader; repeatable. False if nothing changed."""
    mailing_list = next((line.list for line in load_page(person).lines if line.list.id == list_id), None)
    if mailing_list is None:
        return False
    if do == "stop":
        return unsubscribe_by_mail.unsubscribe_from_list(person, mailing_list, now)
    return do == "resume" and unsubscribe_by_mail.resubscribe_to_list(person, mailing_list)


def send_test_email(person: Person, now: datetime) -> bool:
    """Send the short test letter to the reader (T-17); False after some in a day."""
    if not person.is_deliverable or rate_limits.record_hit(f"own test:{person.id}", now, 86400) > TEST_EMAILS_PER_DAY:
        return False
    notify("test", person, now, urgent=False, expires_after=timedelta(days=1))
    return True


def delete_own_data(person: Person, now: datetime) -> set[int]:
    """Take somebody out of every list, and delete address, telephone and items, on the own wish.

    The name stays until the retention of what was sent is over, so that managers see who has gone. Where a manager
    has stopped or refused somebody, that and the address stay, or deleting would lift it. Return the children who
    have nobody.
    """
    barred = (Membership.person == person) & ((Membership.stopped_by == "manager") | (Membership.state == "refused"))
    with db.atomic():
        held = list(Membership.select().where(Membership.person == person, Membership.is_member, ~barred))
        children = {one.child_id for one in held if one.child_id}
        lists = sorted({one.list_id for one in held})
        left = {"state": "left", "stopped_by": "reader", "left_at": now, "attributes": {}}
        Membership.update(**left).where(Membership.id.in_([one.id for one in held])).execute()
        Membership.update(state="refused", left_at=now).where(barred, Membership.state == "pending").execute()
        gone: dict[str, object] = {"phone": ""}
        if not Membership.select().where(barred).exists():
            gone |= {"address": None, "address_key": None, "violates_rfc": False, "bare": False}
        Person.update(**gone).where(Person.id == person.id).execute()
        alone = unsubscribe.unreachable_children(children)
        if lists:
            audit.log_action(None, "member.deleted_self", person.id, detail={"lists": lists, "alone": len(alone)})
    return alone
