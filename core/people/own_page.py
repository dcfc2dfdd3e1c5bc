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

from core import history, limits, service
from core.door import senders
from core.organization import settings
from core.people import leaving, leaving_by_mail, members, naming
from core.roster.columns import class_name, grade, kana, one_line
from core.signup.quotas import SignupRequest
from database import db, millis
from mail import address as addresses
from models import Child, MailingList, Membership, Person
from words import N_

GOOD_FOR, GOOD_FOR_WELCOME = timedelta(hours=24), timedelta(days=7)
PER_ADDRESS = ((600, 1), (86400, 3))
ALL_DAY = 500
TESTS_A_DAY = 3
WISHES_A_DAY, LONGEST_WISH = 3, 500
_MARK = re.compile(r"[A-Za-z0-9_-]{32}")
NO_WEB_ADDRESS = N_("A name cannot hold a web address.")
_ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)
NOT_SHOWN = ("備考", "メモ", "注意", "所見", "note", "remark", "memo")
"""Items that an organizer wrote for organizers: columns of a roster with these words in their name."""


# ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────────


def mark(person: Person, ends: datetime) -> str:
    """Return the signed text of a link that opens this person's page until a moment, and at this address only.

    32 signs, so that the link fits on one line of a letter: number, minute, and 128 bits over both and the address.
    """
    body = struct.pack(">II", person.id, millis(ends) // 60_000)
    return urlsafe_b64encode(body + _seal(body, person)).decode()


def _seal(body: bytes, person: Person) -> bytes:
    return hmac.digest(settings().secret, b"own page" + body + (person.address_key or "").encode(), "sha256")[:16]


def tag(person: Person) -> str:
    """Return what ties a link to the address that the person has now."""
    return hmac.digest(settings().secret, f"at {person.address_key}".encode(), "sha256")[:6].hex()


def url(person: Person, now: datetime, good_for: timedelta = GOOD_FOR) -> str:
    """Return the whole web address of the page."""
    return f"{settings().base_url}/p/{mark(person, now + good_for)}"


def holder(text: str, now: datetime) -> Person | None:
    """Return whose page this link opens; None if it is wrong, too old, or the address has changed since."""
    if not _MARK.fullmatch(text):
        return None
    held = urlsafe_b64decode(text)
    number, minute = struct.unpack(">II", held[:8])
    person = Person.get_or_none(Person.id == number)
    if person is None or not person.address or not hmac.compare_digest(held[8:], _seal(held[:8], person)):
        return None
    return person if minute * 60_000 > millis(now) else None


def ask(typed: str, now: datetime) -> None:
    """Mail the link to a member's own address; nobody learns whether there is one. Raises BadAddress."""
    key = addresses.key(addresses.clean(typed))
    person = Person.get_or_none(Person.address_key == key)
    if any(limits.hit(f"own page:{window}:{key}", now, window) > most for window, most in PER_ADDRESS):
        return
    if person is None or not person.reachable or not _places(person):
        return
    if limits.hit("own pages", now, 86400) <= ALL_DAY:
        values = {"url": url(person, now), "to_name": person.name}
        _send("page", person, person.address or "", values, now)


def _send(kind: str, person: Person, address: str, values: dict[str, str], now: datetime) -> None:
    service.send(
        kind, address=address, language=person.language, values=values, now=now, person=person, urgent=False,
        useful_s=86400,
    )  # fmt: skip


# ── what it shows ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Line:
    """A list of the reader. `state`: active, stopped (the reader may resume), pending, over (only a manager may)."""

    list: MailingList
    state: str
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows: `unnamed`, a place without names; `items` and `labels` by place; `more`, lists to join.

    `of_children`: items of a child, which are the school's; only what the roster or a manager gave this guardian.
    """

    person: Person
    lines: list[Line]
    children: list[Child]
    items: dict[int, dict[str, str]]
    of_children: dict[int, dict[str, str]]
    labels: dict[int, str]
    unnamed: Membership | None
    more: list[tuple[MailingList, Child]]


def page(person: Person) -> Page:
    """Gather a reader's own page."""
    places = _places(person)
    children = {one.child_id: one.child for one in places if one.child_id and _is_taken(one)}
    lists = {one.list_id: one.list for one in places}
    return Page(
        person=person,
        lines=[_line(lists[number], [one for one in places if one.list_id == number]) for number in lists],
        children=list(children.values()),
        items={one.id: shown for one in places if _is_taken(one) and (shown := shown_items(one.attributes))},
        of_children={one.child_id: shown_items(one.child.attributes) for one in places if _is_vouched_for(one)},
        labels={one.id: " ".join((one.list.name, one.child.name if one.child_id else "")).strip() for one in places},
        unnamed=next((found for one in lists.values() if (found := naming.open_place(person, one))), None),
        more=_more(person, children, set(lists)),
    )


def _places(person: Person) -> list[Membership]:
    return list(
        Membership.select(Membership, MailingList, Child)
        .join(MailingList)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(
            Membership.person == person, Membership.belongs, MailingList.closed_at.is_null(),
            MailingList.practice_of.is_null(),
        )
        .order_by(MailingList.whole.desc(), MailingList.name, Membership.id)
    )  # fmt: skip


def _is_taken(place: Membership) -> bool:
    """Say whether the school takes the reader at his word: not while a manager must still approve, or has stopped."""
    return place.state in ("active", "unconfirmed") or (place.state == "stopped" and place.stopped_by == "reader")


def _is_vouched_for(place: Membership) -> bool:
    """Say whether the school itself named this guardian of the child: who found a slip must not read its items."""
    return bool(place.child_id) and _is_taken(place) and place.joined_route not in ("blank mail", "link")


def _line(mailing_list: MailingList, places: list[Membership]) -> Line:
    states = {one.state for one in places}
    own_stop = any(one.state == "stopped" and one.stopped_by == "reader" for one in places)
    if states & {"active", "unconfirmed"}:
        state = "active"
    else:
        state = "pending" if "pending" in states else "stopped" if own_stop else "over"
    return Line(mailing_list, state, tuple(one.child.name for one in places if one.child_id))


def shown_items(items: Mapping[str, str]) -> dict[str, str]:
    """Return the items that a reader may see and correct."""
    return {key: str(text) for key, text in items.items() if not any(word in key.lower() for word in NOT_SHOWN)}


def _more(person: Person, children: Mapping[int, Child], known: set[int]) -> list[tuple[MailingList, Child]]:
    """Return the other lists in which a child of the reader is registered, and that people may join."""
    rows = (
        Membership.select(Membership.list, Membership.child)
        .join(MailingList)
        .where(
            Membership.child.in_(list(children)), Membership.state == "active", Membership.list.not_in(list(known)),
            MailingList.closed_at.is_null(), MailingList.practice_of.is_null(), MailingList.join_mode != "closed",
        )
        .distinct()
        .tuples()
    )  # fmt: skip
    return [(MailingList.get_by_id(number), children[child]) for number, child in rows]


# ── what it does ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Said:
    """What a reader typed: own fields, and by number the names of children and the items of places."""

    name: str
    kana: str
    phone: str
    language: str
    children: Mapping[int, Mapping[str, str]]
    items: Mapping[int, Mapping[str, str]]
    new_child: Mapping[str, str]


def correct(person: Person, said: Said) -> None:
    """Write down what a reader corrected about the family. Raises members.Refused with the field.

    Class and school year are the school's once they are known; the reader fills in only what is empty. Items are
    corrected, none is added.
    """
    seen = page(person)
    _refuse_addresses(said)
    if seen.unnamed and not one_line(said.name):
        raise members.Refused("name", members.NO_NAME)
    with db.atomic():
        members.edit(person, None, name=said.name, kana_=said.kana, phone_=said.phone, language=said.language)
        for child in seen.children:
            _correct_child(child, said.children.get(child.id, {}))
        for number, shown in seen.items.items():
            _correct_items(number, shown, said.items.get(number, {}))
        if seen.unnamed and one_line(said.new_child.get("name", "")):
            place = Membership.get_by_id(seen.unnamed.id)
            members.edit_place(place, None, relation=place.relation, items=place.attributes, child=said.new_child)
        history.log(None, "member.changed_self", person.id)


def _refuse_addresses(said: Said) -> None:
    """Refuse names that hold a web address: names stand in letters to other guardians and organizers, as links."""
    own = [("name", said.name), ("kana", said.kana)]
    of_children = [
        (f"child{number}-{field}", text)
        for number, typed in [*said.children.items(), ("new", said.new_child)]
        for field, text in typed.items()
    ]
    for field, text in [*own, *of_children]:
        if _ADDRESS.search(unicodedata.normalize("NFKC", text)):
            raise members.Refused("name" if field.startswith("childnew") else field, NO_WEB_ADDRESS)


def _correct_child(child: Child, typed: Mapping[str, str]) -> None:
    name = one_line(typed.get("name", child.name))
    if not name:
        raise members.Refused(f"child{child.id}-name", members.NO_CHILD_NAME)
    fields = {"name": name, "kana": kana(typed.get("kana", child.kana))}
    if not child.grade:
        fields["grade"] = grade(typed.get("grade", ""))
    if not child.class_name:
        fields["class_name"] = class_name(typed.get("class_name", ""))
    Child.update(**fields).where(Child.id == child.id).execute()


def _correct_items(number: int, shown: Mapping[str, str], typed: Mapping[str, str]) -> None:
    place = Membership.get_by_id(number)
    changed = {key: typed[key].strip()[: members.LONGEST_ITEM] for key in shown if key in typed}
    Membership.update(attributes={**place.attributes, **changed}).where(Membership.id == number).execute()


def tell_the_school(person: Person, text: str, now: datetime) -> bool:
    """Tell the managers what a reader says is wrong (class, district …); they change it. False if too often or empty.

    Class and items of the child decide who gets which notice, so that a link alone does not change them.
    """
    said = text.strip()[:LONGEST_WISH]
    if not said or limits.hit(f"own page wish:{person.id}", now, 86400) > WISHES_A_DAY:
        return False
    lists = [line.list for line in page(person).lines if line.state == "active"]
    told = {user.id: user for one in lists for user in senders.managers_of(one)}
    values = {"name": person.name, "text": said, "url": f"{settings().base_url}/members/{person.id}"}
    with db.atomic():
        history.log(None, "member.says_wrong", person.id)
        for user in list(told.values()) or senders.administrators():
            if user.email:
                service.send(
                    "says-wrong", address=user.email, language=user.language, values={**values, "to_name": user.name},
                    now=now, urgent=False, useful_s=3 * 86400,
                )  # fmt: skip
    return True


def join_more(person: Person, list_id: int, now: datetime) -> str:
    """Join another list in which a child of the reader is registered; return active or pending, "" if none is such."""
    from core.signup import signup  # it sends the link to this page, so it stands above us

    found = [(one, child) for one, child in page(person).more if one.id == list_id]
    states = {
        signup.join_list(SignupRequest(mailing_list, person.address or "", "link", "child", child, "letter"), now)[1]
        for mailing_list, child in found
    }
    return min(states, default="")


def turn(person: Person, list_id: int, do: str, now: datetime) -> bool:
    """Stop or resume one list of the reader; repeatable. False if nothing changed."""
    mailing_list = next((line.list for line in page(person).lines if line.list.id == list_id), None)
    if mailing_list is None:
        return False
    if do == "stop":
        return leaving_by_mail.stop(person, mailing_list, now)
    return do == "resume" and leaving_by_mail.resume(person, mailing_list)


def try_out(person: Person, now: datetime) -> bool:
    """Send the short test letter to the reader (T-17); False after some in a day."""
    if not person.reachable or limits.hit(f"own test:{person.id}", now, 86400) > TESTS_A_DAY:
        return False
    _send("test", person, person.address or "", {"to_name": person.name}, now)
    return True


def forget(person: Person, now: datetime) -> set[int]:
    """Take somebody out of every list, and delete address, telephone and items, on the own wish.

    The name stays until the retention of what was sent is over, so that managers see who has gone. Where a manager
    has stopped or refused somebody, that and the address stay, or deleting would lift it. Return the children who
    have nobody.
    """
    barred = (Membership.person == person) & ((Membership.stopped_by == "manager") | (Membership.state == "refused"))
    with db.atomic():
        held = list(Membership.select().where(Membership.person == person, Membership.belongs, ~barred))
        children = {one.child_id for one in held if one.child_id}
        lists = sorted({one.list_id for one in held})
        left = {"state": "left", "stopped_by": "reader", "left_at": now, "attributes": {}}
        Membership.update(**left).where(Membership.id.in_([one.id for one in held])).execute()
        Membership.update(state="refused", left_at=now).where(barred, Membership.state == "pending").execute()
        gone: dict[str, object] = {"phone": ""}
        if not Membership.select().where(barred).exists():
            gone |= {"address": None, "address_key": None, "violates_rfc": False, "bare": False}
        Person.update(**gone).where(Person.id == person.id).execute()
        alone = leaving.children_with_nobody(children)
        if lists:
            history.log(None, "member.deleted_self", person.id, detail={"lists": lists, "alone": len(alone)})
    return alone
