"""What every door believes: the author, the signed fields, the address, the age (docs/security.md)."""

from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import dkim
import pytest

import clock
import config as ground
from core import rate_limits
from core.inbound import dispatch
from core.settings import load_settings
from mail.address import reply_address
from models import AllowedSender, InboundMessage, Letter, MailingList, Membership, Notice, Person
from tests.cast_mail import DOMAIN, dns, key, mail

AUTHOR, PRIVATE = "taro@example.jp", "private@elsewhere.example"
LOCAL = {"post": "1nen1kumi", "join": "pta-join", "leave": "2nen1kumi-leave"}
MTA = "mx.school.example"
FULL = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
)
GMAIL = ("to", "subject", "message-id", "date", "from", "mime-version", "content-type", "content-transfer-encoding")
"""Fields that are signed only if they are there, each once: a Cc can be added."""


@pytest.fixture
def doors(school, monkeypatch) -> dict[str, str]:
    """Our address of each door for 太郎, who posts to 1年1組, is a member of 2年1組, and was asked to answer."""
    from core.inbound import allowed_senders

    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp", "evil.example"))
    monkeypatch.setattr(rate_limits, "record_hit", lambda *_: 1)
    MailingList.create(name="PTA", address="pta")
    person = Person.create(name="太郎", address=AUTHOR, address_key=AUTHOR, created_at=clock.now())
    Membership.create(person=person, list=school.lists["2-1"], state="active", joined_at=clock.now())
    allowed_senders.add_sender(school.lists["1-1"], None, AUTHOR, "太郎", clock.now())
    letter = Letter.get(Letter.kind == "sender")
    reply = reply_address(letter.id, load_settings().secret, DOMAIN)
    return {name: f"{local}@{DOMAIN}" for name, local in LOCAL.items()} | {"reply": reply}


def sign(raw: bytes, fields: tuple[str, ...] = FULL, domain: str = "example.jp", **tags: object) -> bytes:
    """Sign the fields that are present, each once, as most providers do."""
    raw = raw.replace(b"\n", b"\r\n")
    head = raw.partition(b"\r\n\r\n")[0].lower()
    names = [name.encode() for name in fields if b"\n" + name.encode() + b":" in b"\n" + head]
    return dkim.sign(raw, b"s1", domain.encode(), key(domain), include_headers=names, **tags) + raw


def write(to: str, hours: float = 0, **headers: str) -> bytes:
    date = format_datetime(clock.now() - timedelta(hours=hours))
    return mail(AUTHOR, to, "練習", "本文です。\n" * 20, **{"Date": date, **headers})


def prepend(raw: bytes, line: str) -> bytes:
    return line.encode() + b"\r\n" + raw


def swap(raw: bytes, name: str, value: str) -> bytes:
    """Replace an unsigned header field."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [
        f"{name}: {value}".encode() if one.startswith(f"{name}: ".encode()) else one for one in head.split(b"\r\n")
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def append(raw: bytes, lines: str) -> bytes:
    """Add unsigned lines at the end of the header."""
    head, gap, body = raw.partition(b"\r\n\r\n")
    return head + b"\r\n" + lines.encode() + gap + body


def signed_twice(raw: bytes) -> bytes:
    """The author's signature below one of another domain, as a forwarder adds it."""
    own = sign(raw)
    return sign(own.replace(b"\r\n", b"\n"), domain="evil.example")


def without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in FULL if name not in names)


def spf(raw: bytes, results: str = "spf=pass smtp.mailfrom=example.jp") -> bytes:
    return prepend(raw.replace(b"\n", b"\r\n"), f"Authentication-Results: {MTA}; {results}")


CASES = {
    # what somebody writes or passes on: (message for an address, envelope sender, weakness or "" if it acts)
    "signed, To": (lambda to: sign(write(to)), AUTHOR, ""),
    "signed, Cc": (lambda to: sign(write(PRIVATE, Cc=to)), AUTHOR, ""),
    "signed, passed on unchanged": (lambda to: sign(write(to)), "other@evil.example", ""),
    "unsigned": (write, AUTHOR, "unproven"),
    "signed by another": (lambda to: sign(write(to), domain="evil.example"), AUTHOR, "unproven"),
    "to somebody else": (lambda to: sign(write(PRIVATE)), AUTHOR, "bcc"),
    "Cc added": (lambda to: prepend(sign(write(PRIVATE), GMAIL), f"Cc: {to}"), AUTHOR, "bcc"),
    "Cc added, folded": (lambda to: prepend(sign(write(PRIVATE), GMAIL), f"CC:\r\n {to}"), AUTHOR, "bcc"),
    "second To added": (lambda to: prepend(sign(write(PRIVATE), GMAIL), f"To: {to}"), AUTHOR, "unproven"),
    "To unsigned": (lambda to: swap(sign(write(PRIVATE), without("to")), "To", to), AUTHOR, "bcc"),
    "Subject unsigned": (lambda to: swap(sign(write(to), without("subject")), "Subject", "偽"), AUTHOR, "uncovered"),
    "Date unsigned": (lambda to: sign(write(to), without("date")), AUTHOR, "uncovered"),
    "type unsigned": (lambda to: sign(write(to), without("content-type")), AUTHOR, "uncovered"),
    "encoding unsigned": (
        lambda to: swap(sign(write(to), without("content-transfer-encoding")), "Content-Transfer-Encoding", "base64"),
        AUTHOR,
        "uncovered",
    ),
    "type added": (
        lambda to: prepend(
            sign(write(to).replace(b"Content-Type: text/plain; charset=utf-8\n", b""), GMAIL), "Content-Type: text/html"
        ),
        AUTHOR,
        "uncovered",
    ),
    "oversigned": (lambda to: sign(write(to), (*FULL, "subject", "to", "from")), AUTHOR, ""),
    "a day old": (lambda to: sign(write(to, hours=25)), AUTHOR, "date"),
    "hours old": (lambda to: sign(write(to, hours=20)), AUTHOR, ""),
    "from tomorrow": (lambda to: sign(write(to, hours=-25)), AUTHOR, "date"),
    "a clock ahead": (lambda to: sign(write(to, hours=-0.5)), AUTHOR, ""),
    "without Date": (lambda to: sign(write(to).replace(b"\nDate: ", b"\nX-Date: ")), AUTHOR, "date"),
    "length limit": (lambda to: sign(write(to), length=True), AUTHOR, "unproven"),
    "words above the body": (lambda to: append(sign(write(to)), "X-A: b\r\nFrom now on: 偽の本文"), AUTHOR, "unproven"),
    "words above the body, mbox": (lambda to: append(sign(write(to)), "From here 偽の本文"), AUTHOR, "unproven"),
    "words in a field name": (lambda to: append(sign(write(to)), "A" * 201 + ": 偽\r\n の本文"), AUTHOR, "unproven"),
    "words above, spf": (lambda to: append(spf(write(to)), "From here 偽の本文"), AUTHOR, "unproven"),
    "an mbox line in front": (lambda to: b"From taro Mon Dec  1 00:00:00 2025\r\n" + sign(write(to)), AUTHOR, ""),
    "Resent-To added": (lambda to: prepend(sign(write(PRIVATE), GMAIL), f"Resent-To: {to}"), AUTHOR, "bcc"),
    "Delivered-To added": (lambda to: prepend(sign(write(PRIVATE)), f"Delivered-To: {to}"), AUTHOR, "bcc"),
    "second type added": (lambda to: append(sign(write(to)), "Content-Type: text/html"), AUTHOR, "unproven"),
    "second encoding added": (
        lambda to: prepend(sign(write(to)), "Content-Transfer-Encoding: base64"),
        AUTHOR,
        "uncovered",
    ),
    "in a group": (lambda to: sign(write(f"class: {PRIVATE}, {to};")), AUTHOR, ""),
    "in a comment": (lambda to: sign(write(f"{PRIVATE} ({to})")), AUTHOR, "bcc"),
    "in a display name": (lambda to: sign(write(f'"{to}" <{PRIVATE}>')), AUTHOR, "bcc"),
    "in an encoded word": (
        lambda to: sign(write(f"=?utf-8?q?x=3C{to.replace('@', '=40')}=3E=2C?= <{PRIVATE}>")),
        AUTHOR,
        "bcc",
    ),
    "simple canonicalization": (lambda to: sign(write(to), canonicalize=(b"simple", b"simple")), AUTHOR, ""),
    "simple, folded anew": (
        lambda to: sign(write(to), canonicalize=(b"simple", b"simple")).replace(b"To: ", b"To:\r\n ", 1),
        AUTHOR,
        "unproven",
    ),
    "relaxed, folded anew": (
        lambda to: sign(write(to), canonicalize=(b"relaxed", b"relaxed")).replace(b"\r\nTo: ", b"\r\nTo:\r\n ", 1),
        AUTHOR,
        "",
    ),
    "signed for a subdomain": (lambda to: sign(write(to), identity=b"@mail.example.jp"), AUTHOR, ""),
    "signed twice": (lambda to: signed_twice(write(to)), AUTHOR, ""),
    "sealed by another (ARC)": (
        lambda to: prepend(write(to).replace(b"\n", b"\r\n"), f"ARC-Authentication-Results: i=1; {MTA}; spf=pass"),
        AUTHOR,
        "unproven",
    ),
    "spf of the author": (lambda to: spf(write(to)), AUTHOR, ""),
    "spf, to somebody else": (lambda to: spf(write(PRIVATE)), AUTHOR, "bcc"),
    "spf of another envelope": (lambda to: spf(write(to)), "other@example.jp", "uncovered"),
    "dkim reported, unsigned here": (
        lambda to: spf(write(to), "dkim=pass header.d=example.jp; dmarc=pass header.from=example.jp"),
        AUTHOR,
        "uncovered",
    ),
    "dkim reported, Cc added": (
        lambda to: prepend(
            prepend(sign(write(PRIVATE), GMAIL), f"Cc: {to}"),
            f"Authentication-Results: {MTA}; dkim=pass header.d=example.jp",
        ),
        AUTHOR,
        "bcc",
    ),
}


def acted(door: str, row: InboundMessage) -> bool:
    """Tell whether the message did something by itself."""
    if door == "post":
        return row.notice is not None and row.notice.hold_reason == "window"
    if door == "join":
        return (
            Membership.select().join(Person).where(Person.address_key == AUTHOR, Membership.list == row.list).exists()
        )
    if door == "leave":
        return Membership.get(Membership.list == row.list, Membership.person == row.person).state == "stopped"
    return AllowedSender.get(AllowedSender.address_key == AUTHOR).last_auth_method != "" and row.reason in (
        "dkim",
        "spf",
    )


@pytest.mark.proves("T-30", "T-31")
@pytest.mark.parametrize("door", ["post", "join", "leave", "reply"])
def test_each_door_believes_the_same(doors, door):
    """Door × proof × addressed × covered × age: a message acts by itself or is held, with the same reason."""
    ground.set_current_config(replace(ground.current_config(), authserv_id=MTA))
    to = doors[door]
    seen = {}
    for name, (make, envelope, weakness) in CASES.items():
        with dispatch.db.atomic() as undo:
            row = dispatch.handle_message(make(to), envelope, to, clock.now())
            assert row is not None and row.outcome != "failed", name
            seen[name] = acted(door, row)
            if door in ("post", "reply") and weakness:
                assert row.reason == weakness, (name, row.reason)
            undo.rollback()
    assert seen == {name: not weakness for name, (_, _, weakness) in CASES.items()}


@pytest.mark.parametrize("door", ["post", "leave"])
def test_a_message_acts_once_at_each_address(doors, door, school):
    """The signed Message-ID is remembered for each address; a forged message cannot use it up."""
    to = doors[door]
    genuine = sign(write(to))
    forged = write(to, Subject="other words")
    assert forged.split(b"Message-ID: ")[1].split(b"\n")[0] == genuine.split(b"Message-ID: ")[1].split(b"\r\n")[0]
    assert not acted(door, dispatch.handle_message(forged, AUTHOR, to, clock.now()))
    assert acted(door, dispatch.handle_message(genuine, AUTHOR, to, clock.now()))
    Membership.update(state="active").where(Membership.state == "stopped").execute()
    row = dispatch.handle_message(prepend(genuine, "Received: from evil"), AUTHOR, to, clock.now())
    assert not acted(door, row)
    assert row.message_key and (door != "post" or row.reason == "seen")


@pytest.mark.parametrize("door", ["post", "leave"])
def test_a_copy_acts_once_although_its_message_id_is_not_signed(doors, door):
    to = doors[door]
    genuine = sign(write(to), without("message-id"))
    assert acted(door, dispatch.handle_message(genuine, AUTHOR, to, clock.now()))
    Membership.update(state="active").where(Membership.state == "stopped").execute()
    copy = dispatch.handle_message(swap(genuine, "Message-ID", "<another@evil.example>"), AUTHOR, to, clock.now())
    assert not acted(door, copy) and copy.message_key
    again = dispatch.handle_message(sign(write(to), (*without("message-id"), "subject")), AUTHOR, to, clock.now())
    assert again.message_key != copy.message_key


def test_one_message_to_two_lists_posts_to_both(doors, school):
    AllowedSender.create(list=school.lists["2-1"], address=AUTHOR, address_key=AUTHOR, name="太郎")
    both = [f"1nen1kumi@{DOMAIN}", f"2nen1kumi@{DOMAIN}"]
    raw = sign(write(", ".join(both)))
    rows = [dispatch.handle_message(raw, AUTHOR, to, clock.now()) for to in both]
    assert [(row.outcome, row.reason) for row in rows] == [("done", "dkim")] * 2
    assert Notice.select().where(Notice.hold_reason == "window").count() == 2
