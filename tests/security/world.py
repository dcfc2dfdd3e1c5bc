"""The school of the matrix: two classes that know nothing of each other, a family in both, and 全校.

Every text, address, item and file name is a canary, `zq<owner><level>x<number>`: the owner is the list (or lists) that it
belongs to, the level what a user needs there to see it: n any role (names of lists stand beside a shared notice), v view,
s send, m manage. A canary in an answer to another user is a leak, on whatever page.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from itertools import count
from typing import Any

import clock
from core import settings
from core.accounts import accounts
from core.delivery import dev_outbox
from core.imports import jobs
from core.inbound import spool
from core.notices import attachments, drip, html_body, questions, templates
from core.rollover import year_end
from core.signup import carrier_help
from database import db
from mail import address as addresses
from models import (
    TABLES,
    AllowedSender,
    ChangeRequest,
    Child,
    Delivery,
    DeliveryMembership,
    Device,
    DigestSubscription,
    Group,
    GroupMember,
    ImapStatus,
    InboundMessage,
    KeptForm,
    Letter,
    MailingList,
    Membership,
    Notice,
    NoticeReview,
    Passkey,
    Person,
    QueuedSignup,
    Reminder,
    Role,
    Session,
    Target,
    TrackedLink,
    User,
    Wording,
)
from tests import cast, cast_notices, files
from tests.security.access import NOBODY, PRACTISING, ROLES, RoleCase

CANARY = re.compile(r"zq(kou|otsu|next|both|pair|whole|house|own)([nvsm])x\d{3}", re.IGNORECASE)
WORDS = {
    "a": "kou",
    "b": "otsu",
    "next": "next",
    "both": "both",
    "pair": "pair",
    "whole": "whole",
    "house": "house",
    "practice": "own",
}
"""practice: the practice list of one user, closed to all others; next: another family of list a; both: a right in a or in b shows it; pair: it takes the right in both."""
OWNERS = {word: owner for owner, word in WORDS.items()}
LEVELS = {"n": 0, "v": 1, "s": 2, "m": 3}

_numbers = count(1)


def canary(owner: str, level: str = "v") -> str:
    return f"zq{WORDS[owner]}{level}x{next(_numbers) % 1000:03}"


def may_see(role: RoleCase, owner: str, level: str) -> bool:
    """Say whether a canary of this owner and level may stand in an answer to a role."""
    enough = LEVELS[level]
    if owner == "house":
        return role.is_admin
    if owner == "practice":
        return role.name == PRACTISING
    if level == "n" or (owner == "whole" and level == "v"):
        return role.best >= 1
    if owner in ("both", "pair"):
        held = [role.level("a"), role.level("b")]
        return (max if owner == "both" else min)(held) >= enough
    return role.level("a" if owner == "next" else owner) >= enough


@dataclass
class World:
    """Numbers of the objects by owner and kind, the owner of each row, the lists of each person and child."""

    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    owner_of: dict[tuple[str, int], str] = field(default_factory=dict)
    lists_of: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    house: dict[str, Any] = field(default_factory=dict)


def rows_by_table() -> dict[str, dict[int, tuple]]:
    """Return all rows of all tables: {table: {id: row}}."""
    found = {}
    for table in TABLES:
        name = table._meta.table_name
        columns = ", ".join(f'"{one.column_name}"' for one in table._meta.sorted_fields)
        found[name] = {row[0]: row for row in db.execute_sql(f'SELECT {columns} FROM "{name}"').fetchall()}
    return found


def build() -> World:
    """Write the school into the open tables."""
    now = clock.now()
    world = World()
    with db.atomic():
        settings.update_organization(None, name="かえで原小学校", postal="〒000-0000 例示県", contact="000-0000-0000")
        settings.mark_set_up(now)
        chief = accounts.add_user("長", email="chief@school.example", password=cast.PASSWORD)
        Role.create(user=chief, list_id=0, kind="admin")
        world.users["chief"] = chief
        for owner, part in (("house", _house), ("a", _class), ("b", _class), ("both", _shared), ("whole", _whole)):
            _owned(world, owner, part, now)
        _users(world, now)
        _owned(world, "practice", _practice, now)
        _owned(world, "chief", _things_of_a_user, now)
    _give_deliveries_to_families(world)
    keys = {world.numbers[owner]["list"]: owner for owner in ("a", "b", "whole")}
    for one in Membership.select().where(Membership.list.in_(list(keys))):
        world.lists_of.setdefault(("person", one.person_id), set()).add(keys[one.list_id])
        world.lists_of.setdefault(("child", one.child_id or 0), set()).add(keys[one.list_id])
    return world


def _give_deliveries_to_families(world: World) -> None:
    """Make the rows of a family in a notice to several lists its own."""
    for one in Delivery.select():
        world.owner_of["delivery", one.id] = world.owner_of["person", one.person_id]
    for one in DeliveryMembership.select().join(Delivery):
        world.owner_of["delivery_membership", one.id] = world.owner_of["delivery", one.delivery_id]
    for one in Letter.select():
        world.owner_of["letter", one.id] = world.owner_of["delivery", one.delivery_id]


def _owned(world: World, owner: str, part: Callable[[World, str, datetime], None], now: datetime) -> None:
    """Build one part; all rows that it adds belong to the owner."""
    before = rows_by_table()
    world.numbers[owner] = {}
    part(world, owner, now)
    for table, rows in rows_by_table().items():
        for number in rows.keys() - before[table].keys():
            world.owner_of.setdefault((table, number), owner)


# ── one class ───────────────────────────────────────────────────────────────────────────────────────────────────


def _class(world: World, owner: str, now: datetime) -> None:
    made = world.numbers[owner]
    made["list"] = MailingList.create(
        name=canary(owner, "n"),
        address=canary(owner, "n"),
        purpose=canary(owner),
        greeting=canary(owner, "m"),
        join_mode="approve",
        join_code=canary(owner, "m"),
    ).id
    first = _family(world, owner, [made["list"]])
    made.update(person=first.person_id, child=first.child_id, membership=first.id)
    if owner == "a":
        _owned(world, "next", _neighbour, now)
    for state in ("pending", "stopped"):
        _member_in_state("next" if owner == "a" else owner, made, state, now)
    _groups_and_doors(world, owner, now)
    _notices(world, owner, now, [made["list"]])
    step = drip.add_step(
        MailingList.get_by_id(made["list"]),
        world.users["chief"],
        drip.StepContent(3, 720, canary(owner, "m"), canary(owner, "m"), True),
        now,
    )
    made["step"] = step.id
    made["paused_step"] = step.id
    words = canary(owner, "s")
    sample = templates.TemplateContent(words, words, words, html=_picture(made), urgent=True)
    row = templates.add_template(world.users["chief"], sample, MailingList.get_by_id(made["list"]))
    made["template"] = f"own-{row.id}"
    _imports(world, owner, now)


def _neighbour(world: World, owner: str, now: datetime) -> None:
    """Add a second family to list a: its users see it, the readers of the first family do not."""
    made = world.numbers[owner]
    first = _family(world, owner, [world.numbers["a"]["list"]])
    made.update(person=first.person_id, child=first.child_id, membership=first.id, list=world.numbers["a"]["list"])


def _family(world: World, owner: str, held: list[int], household: str = "") -> Membership:
    """Add a guardian with a child in some lists; return the first membership."""
    household = household or canary(owner)
    mail = f"{canary(owner, 's')}@example.org"
    child = Child.create(
        name=f"{canary(owner)} {canary(owner)}",
        kana=canary(owner),
        grade="3",
        class_name=canary(owner),
        household=household,
        join_code=canary(owner, "m"),
    )
    person = Person.create(
        name=f"{canary(owner)} {canary(owner)}",
        kana=canary(owner),
        address=mail,
        address_key=addresses.comparison_key(mail),
        phone=canary(owner),
        household=household,
    )
    rows = [
        Membership.create(
            person=person, list=number, child=child, relation=canary(owner), attributes={"係": canary(owner)}
        )
        for number in held
    ]
    return rows[0]


def _member_in_state(owner: str, made: dict[str, Any], state: str, now: datetime) -> None:
    mail = f"{canary(owner, 's')}@example.org"
    person = Person.create(name=canary(owner), kana=canary(owner), address=mail, address_key=mail)
    Membership.create(person=person, list=made["list"], state=state, stopped_by="reader", stopped_at=now)
    made[f"{state}_person"] = person.id


def _groups_and_doors(world: World, owner: str, now: datetime) -> None:
    made = world.numbers[owner]
    made["group"] = Group.create(list=made["list"], name=canary(owner, "s"), condition=[]).id
    GroupMember.create(group=made["group"], membership=made["membership"])
    mail = f"{canary(owner, 'm')}@example.net"
    QueuedSignup.create(list=made["list"], address=mail, address_key=mail)
    for _ in range(2):  # the last one of a list stays
        sender = f"{canary(owner, 'm')}@example.net"
        row = AllowedSender.create(list=made["list"], address=sender, address_key=sender, name=canary(owner, "m"))
        made["sender"] = row.id


def _pdf(text: str) -> bytes:
    return files.PDF + f"%{text}\n".encode()


def _picture(made: dict[str, Any]) -> str:
    """Store a picture of its own size, so that no two notices share one; return the HTML around it."""
    wide = next(_numbers)
    head = files.chunk(b"IHDR", struct.pack(">IIBBBBB", wide, 1, 8, 0, 0, 0, 0))
    dots = files.chunk(b"IDAT", zlib.compress(bytes(wide + 1)))
    made["mark"] = html_body.add_image("x.png", b"\x89PNG\r\n\x1a\n" + head + dots + files.chunk(b"IEND", b""))
    return f'<p>a</p><img src="cid:{made["mark"]}@mail.school.example" alt="a">'


def _imports(world: World, owner: str, now: datetime) -> None:
    made = world.numbers[owner]
    text = f"保護者氏名,メールアドレス\n{canary(owner, 'm')} {canary(owner, 'm')},{canary(owner, 'm')}@example.net\n"
    held = MailingList.get_by_id(made["list"])
    made["job"] = jobs.create_import(held, world.users["chief"], text=text, filename=canary(owner, "m"), now=now).id


# ── notices ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _notices(world: World, owner: str, now: datetime, targets: list[int]) -> None:
    """Add one notice in every state, each with a file, a question and a picture."""
    made = world.numbers[owner]
    for state in ("draft", "asked", "held", "late", "scheduled"):
        notice = _notice(world, owner, state, targets, now)
        made[state] = notice.id
    NoticeReview.create(notice=made["asked"], requested_at=now, note=canary(owner, "s"))
    made["direct"] = _direct(world, owner, now)
    sent = cast_notices.send(
        [MailingList.get_by_id(number) for number in targets],
        by=world.users["chief"],
        subject=canary(owner),
        text=f"{canary(owner)} https://school.example/",
        tracking={"opens": True, "clicks": True},
    )
    made["sent"] = sent.notice.id
    _parts(world, owner, sent.notice, "v", now)
    first = min(sent.deliveries.values(), key=lambda one: one.id)
    made.update(delivery=first.id, token=first.token)
    made["reply"] = _reply(owner, first.id, now)
    made["reminder"] = Reminder.create(notice=sent.notice, kind="timed", send_at=now + timedelta(hours=1)).id
    TrackedLink.create(notice=sent.notice, number=1, url=f"https://school.example/{canary(owner)}")
    DigestSubscription.create(
        notice=sent.notice, user=world.users["chief"], kind="read", timing="daily", told_until=now
    )
    paused = cast_notices.send(
        [MailingList.get_by_id(number) for number in targets],
        by=world.users["chief"],
        subject=canary(owner),
        text=canary(owner),
        state="paused",
        pause_reason="connection",
        paused_at=now,
    )
    made["paused"] = paused.notice.id
    Letter.update(state="waiting").where(Letter.notice == paused.notice).execute()


def _whose(owner: str, level: str) -> str:
    """A draft to two lists is shown to those who may send to both."""
    return "pair" if owner == "both" and level == "s" else owner


def _notice(world: World, owner: str, state: str, targets: list[int], now: datetime) -> Notice:
    soon = now + timedelta(hours=3)
    more: dict[str, dict[str, Any]] = {
        "held": {"send_at": soon, "hold_reason": "window"},
        "late": {"state": "held", "send_at": now, "hold_reason": "late"},
        "scheduled": {"send_at": soon, "booked": True},
    }
    fields = {"state": state, **more.get(state, {})}
    level = "s" if state in ("draft", "asked") else "v"
    chief, whose = world.users["chief"], _whose(owner, level)
    notice = Notice.create(by=chief, by_name=chief.name, created_at=now, confirmed_at=now, **fields)
    Wording.create(
        notice=notice, language="ja", subject=canary(whose, level), text=canary(whose, level), html="", decorated=False
    )
    for number in targets:
        Target.create(notice=notice, kind="list", number=number)
    _parts(world, owner, notice, level, now, key=state)
    return notice


def _parts(world: World, owner: str, notice: Notice, level: str, now: datetime, key: str = "sent") -> None:
    """Give a notice a question with two choices, a file and a picture."""
    made, whose = world.numbers[owner], _whose(owner, level)
    asked = questions.QuestionDraft(canary(whose, level), (canary(whose, level), canary(whose, level)), comment=True)
    questions.save_questions(notice, [asked])
    state = notice.state
    Notice.update(state="draft").where(Notice.id == notice.id).execute()
    notice.state = "draft"
    file = attachments.add_file(
        notice, f"{canary(whose, level)}.pdf", _pdf(canary(whose, level)), world.users["chief"], now
    )
    Notice.update(state=state).where(Notice.id == notice.id).execute()
    notice.state = state
    made[f"file of {key}"] = file.id
    html = f"<p>{canary(whose, level)}</p>{_picture(made)}"
    made[f"mark of {key}"] = made.pop("mark")
    Wording.update(html=html, decorated=True).where(Wording.notice == notice).execute()


def _direct(world: World, owner: str, now: datetime) -> int:
    """Add a direct message, still a draft, to the person of the owner."""
    made = world.numbers[owner]
    chief = world.users["chief"]
    notice = Notice.create(kind="individual", by=chief, by_name=chief.name, out_of=made.get("list"))
    Wording.create(notice=notice, language="ja", subject=canary("house"), text=canary("house"))
    Target.create(notice=notice, kind="person", number=made["person"])
    return notice.id


def _reply(owner: str, delivery: int, now: datetime) -> int:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "x@example.org", "r-x@example.org", canary(owner)
    mail.set_content(canary(owner))
    mail.add_attachment(_pdf(canary(owner)), maintype="application", subtype="pdf", filename=f"{canary(owner)}.pdf")
    raw = mail.as_bytes()
    letter = Letter.get(Letter.delivery == delivery)
    return InboundMessage.create(
        digest=spool.message_digest(raw),
        recipient="r-x",
        at=now,
        address="x@example.org",
        kind="reply",
        outcome="done",
        person=letter.person_id,
        letter=letter,
        notice=letter.notice_id,
        subject=canary(owner),
        text=canary(owner),
        file=spool.save_raw(raw),
        files=[(f"{canary(owner)}.pdf", 1000)],
    ).id


# ── what belongs to both, to all, to the house ───────────────────────────────────────────────────────────────────


def _shared(world: World, owner: str, now: datetime) -> None:
    held = [world.numbers["a"]["list"], world.numbers["b"]["list"]]
    first = _family(world, owner, held)
    made = world.numbers[owner]
    made.update(person=first.person_id, child=first.child_id, membership=first.id)
    _notices(world, owner, now, held)
    asked = {"phone": canary(owner, "m")}
    made["request"] = ChangeRequest.create(person=made["person"], list=world.numbers["a"]["list"], changes=asked).id


def _whole(world: World, owner: str, now: datetime) -> None:
    """全校 with the families of both classes: its notice is everyone's, its results are each list's own."""
    made = world.numbers[owner]
    whole = MailingList.create(name="全校", address="zenko", whole=True)
    made["list"] = whole.id
    for one in ("a", "b"):
        Membership.create(
            person=world.numbers[one]["person"], list=whole, child=world.numbers[one]["child"], relation=canary(one)
        )
    made.update({key: world.numbers["a"][key] for key in ("person", "child", "membership")})
    _notices(world, owner, now, [whole.id])


def _house(world: World, owner: str, now: datetime) -> None:
    """What only administrators see: letters in the outbox, mails that arrived."""
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "a@example.org", "b@example.org", canary("house")
    letter.set_content(canary("house"))
    letter.add_alternative(f"<p>{canary('house')}</p>", subtype="html")
    raw = letter.as_bytes()
    world.house["name"] = dev_outbox.save_letter(dev_outbox.outbox_dir(), "a@example.org", ["b@example.org"], raw, now)
    world.house["incoming"] = InboundMessage.create(
        digest=spool.message_digest(raw),
        recipient="stray",
        at=now,
        kind="stray",
        outcome="quarantined",
        subject=canary("house"),
        text=canary("house"),
        file=spool.save_raw(raw),
    ).id
    colleague = accounts.add_user("同僚", email=f"{canary('house')}@school.example", password=cast.PASSWORD)
    world.house["user"] = colleague.id
    world.house["role"] = Role.create(user=colleague, list_id=0, kind="viewer").id
    world.house["rollover"] = year_end.begin_rollover(world.users["chief"], now).id
    world.house["key"] = carrier_help.settings_entries()[0].key
    ImapStatus.load_row()


def _users(world: World, now: datetime) -> None:
    """The users of the matrix. They hold no canary: a page may name a colleague."""
    keys = {"a": world.numbers["a"]["list"], "b": world.numbers["b"]["list"], "*": 0}
    kinds = {1: "viewer", 2: "sender", 3: "manager", 4: "admin"}
    for place, role in enumerate(ROLES):
        if role.name == NOBODY:
            continue
        user = accounts.add_user(f"役{place}", email=f"role{place}@school.example", password=cast.PASSWORD)
        until = clock.today() - timedelta(days=1) if role.ended else None
        for key, level in role.levels.items():
            Role.create(user=user, list_id=keys[key], kind=kinds[level], until=until)
        world.users[role.name] = user


def _practice(world: World, owner: str, now: datetime) -> None:
    """Add the practice list of one user, with a draft to it."""
    user, made = world.users[PRACTISING], world.numbers[owner]
    accounts.ensure_practice_list(user, now)
    made["list"] = MailingList.get(MailingList.practice_of == user).id
    MailingList.update(name=canary(owner), purpose=canary(owner)).where(MailingList.id == made["list"]).execute()
    world.owner_of["mailing_list", made["list"]] = owner
    notice = Notice.create(by=user, by_name=user.name, practice=True)
    Wording.create(
        notice=notice, language="ja", subject=canary(owner), text="x", html=f"<p>{canary(owner)}</p>", decorated=True
    )
    Target.create(notice=notice, kind="list", number=made["list"])
    made["draft"] = notice.id


def _things_of_a_user(world: World, owner: str, now: datetime) -> None:
    """Add what the account page of one user lists: nobody else ends, renames or removes it, an administrator neither."""
    chief = world.users["chief"]
    device = Device.create(user=chief, digest="d", name=canary("house"))
    session = Session.create(user=chief, digest="s", expires_at=now + timedelta(days=1), device=device)
    passkey = Passkey.create(user=chief, credential_id="p", public_key=b"p", rp_id="kairan.test", name=canary("house"))
    kept = KeptForm.create(user=chief, page="/account", action="/account", fields=[["signature", canary("house")]])
    world.numbers[owner] = {"sessions": session.id, "devices": device.id, "passkeys": passkey.id, "kept": kept.id}


def canaries_in(text: str) -> Iterator[tuple[str, str, str]]:
    """Give (canary, owner, level) of every canary in an answer."""
    for found in CANARY.finditer(text):
        yield found[0], OWNERS[found[1].lower()], found[2].lower()
