"""Whatever comes to whichever address: no exception, no harm, and the second time nothing (N-07, N-08, T-30, law 6).

The mails of this table are genuinely signed by a registered sender's provider: the gate alone keeps them out.
"""

import time
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clock
import config as ground
from core.inbound import dispatch
from core.settings import load_settings as in_force
from database import db
from mail import clean_post
from mail.address import reply_address
from mail.auth_results import authenticate_message
from models import AllowedSender, InboundMessage, Letter, Membership, Notice, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, dns, mail, signed

ME = "hanako@example.jp"
LIST = f"1nen1kumi@{DOMAIN}"


@pytest.fixture
def sent(school, monkeypatch):
    """A list with a registered sender whose provider signs, and a letter that went out."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp"))
    AllowedSender.create(list=school.lists["1-1"], address=ME, address_key=ME, name="花子")
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")


def recipients(sent) -> dict[str, str]:
    """Return an address of every kind that we have."""
    letter, current = Letter.get(Letter.delivery == sent.deliveries["青山 健太"]), in_force()
    return {
        "post": LIST,
        "join": f"1nen1kumi-join@{DOMAIN}",
        "code": f"1nen1kumi-join-{letter.delivery.list.join_code}@{DOMAIN}",
        "leave": f"1nen1kumi-leave@{DOMAIN}",
        "house": f"postmaster@{DOMAIN}",
        "return": current.own_addresses.return_path(letter.id, current.secret),
        "reply": reply_address(letter.id, current.secret, DOMAIN),
    }


AUTOMATIC: dict[str, tuple[str, dict[str, str]]] = {
    "null sender": ("", {}),
    "daemon": ("MAILER-DAEMON@example.jp", {}),
    "auto-replied": (ME, {"Auto_Submitted": "auto-replied"}),
    "auto-generated": (ME, {"Auto_Submitted": "auto-generated (x)"}),
    "autoreply": (ME, {"X_Autoreply": "yes"}),
    "loop mark": (ME, {"X_Kairan_Loop": "1nen1kumi"}),
    "own list": (ME, {"List_Id": f"<1nen1kumi.{DOMAIN}>"}),
    "own id": (ME, {"Message_ID": f"<x@{DOMAIN}>"}),
    "own sender": (LIST, {}),
    "report": (ME, {"Content_Type": 'multipart/report; report-type=disposition-notification; boundary="b"'}),
}


def state() -> tuple:
    """Return everything that a mail must not change by being automatic."""
    people = sorted((one.id, one.address_state) for one in Person.select())
    places = sorted((one.id, one.state) for one in Membership.select())
    return Notice.select().count(), Letter.select().count(), people, places


@pytest.mark.parametrize("kind", AUTOMATIC)
def test_automatic_mail_does_nothing_at_any_address(sent, kind):
    envelope, headers = AUTOMATIC[kind]
    before = state()
    for road, to in recipients(sent).items():
        raw = signed(mail(ME, to, "練習", f"{road}\n", **headers), "example.jp")
        row = dispatch.handle_message(raw, envelope, to, clock.now())
        assert row is not None and row.outcome in ("done", "dropped"), (road, row.outcome)
        assert row.kind in ("machine", "automatic", "loop", "bounce"), (road, row.kind)
        assert state() == before, (kind, road)


def test_a_mail_that_goes_round_is_dropped_at_every_address(sent):
    before = state()
    for to in recipients(sent).values():
        raw = b"Received: from a by b; x\r\n" * 30 + signed(mail(ME, to, "練習", "x"), "example.jp")
        assert dispatch.handle_message(raw, ME, to, clock.now()).outcome in ("dropped", "done")
        assert state() == before


FORGED: dict[str, bytes] = {
    "unsigned": mail(ME, LIST, "偽", "振込先が変わりました\n"),
    "signed by another": signed(mail(ME, LIST, "偽", "x\n"), "evil.example"),
    "two From": signed(mail(ME, LIST, "偽", "x\n"), "example.jp").replace(
        b"From: ", b"From: evil@evil.example\r\nFrom: ", 1
    ),
    "two in one From": mail(f"{ME}, evil@evil.example", LIST, "偽", "x\n"),
    "Sender and Reply-To": mail("evil@evil.example", LIST, "偽", "x\n", Sender=ME, Reply_To=ME),
    "name only": mail(f'"{ME}" <evil@evil.example>', LIST, "偽", "x\n"),
    "changed after signing": signed(mail(ME, LIST, "偽", "x\n"), "example.jp").replace(b"x\r\n", b"y\r\n"),
    "spoofed result": b"Received: from evil by mx\r\nAuthentication-Results: mx.school.example; dmarc=pass "
    b"header.from=example.jp\r\n" + mail(ME, LIST, "偽", "x\n"),
    "spoofed result of another name": b"Authentication-Results: mx.evil.example; dmarc=pass header.from=example.jp\r\n"
    + mail(ME, LIST, "偽", "x\n"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_mail_is_never_distributed_and_answers_go_to_the_registered_address(sent, kind):
    """T-30: held at most, and then only its registered sender hears of it."""
    ground.set_current_config(replace(ground.current_config(), authserv_id="mx.school.example"))
    already = Letter.select().count()
    dispatch.handle_message(FORGED[kind], "evil@evil.example", LIST, clock.now())
    made = Notice.select().where(Notice.route == "mail")
    assert all((one.state, one.hold_reason) == ("held", "proof") for one in made)
    known = {ME, *(one.email for one in sent.notice.by.select() if one.email)}
    assert {one.address for one in Letter.select().order_by(Letter.id).offset(already)} <= known
    assert not [one for one in Letter.select() if "evil" in one.address]


def test_a_replayed_mail_posts_once_and_asks_the_second_time(sent):
    """The same signed words by another road: other bytes, same letter to the school."""
    raw = signed(mail(ME, LIST, "練習", "雨です。\n"), "example.jp")
    first = dispatch.handle_message(raw, ME, LIST, clock.now())
    assert dispatch.handle_message(raw, ME, LIST, clock.now()).id == first.id
    again = dispatch.handle_message(b"Received: by evil\r\n" + raw, "evil@evil.example", LIST, clock.now())
    assert (first.outcome, again.outcome, again.reason) == ("done", "held", "seen")


# ── any bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

HEADERS = st.sampled_from(
    [
        *(b"From: hanako@example.jp", b"From: <", b'From: "', b"Subject: =?x?b?a?=", b"Message-ID: <", b"List-Id: <"),
        *(b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: text/html; charset=iso-2022-jp"),
        *(b"Content-Transfer-Encoding: base64", b"Precedence: \xff", b"In-Reply-To: <x@y>"),
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.jp; s=s1; h=from; b=x; bh=y",
        b"Authentication-Results: mx.school.example; dmarc=pass header.from=example.jp",
    ]
)
MAILS = st.builds(
    lambda heads, body: b"\r\n".join(heads) + b"\r\n\r\n" + body,
    st.lists(HEADERS | st.binary(max_size=60), max_size=8),
    st.binary(max_size=300) | st.just(b"--b\r\n\r\nx\r\n--b--\r\n") | st.just("会議の資料です。".encode("iso-2022-jp")),
)


ROADS = ["post", "join", "code", "leave", "house", "return", "reply"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    raw=MAILS, road=st.sampled_from(["post", "join", "code", "leave", "house", "return", "reply"]), empty=st.booleans()
)
def test_any_bytes_at_any_address_end_in_a_row(sent, raw, road, empty):
    with db.atomic() as undone:
        to = recipients(sent)[road]
        row = dispatch.handle_message(raw, "" if empty else "x@example.jp", to, clock.now())
        assert row is not None and row.outcome not in ("failed", "quarantined"), (row.reason, raw)
        assert not Notice.select().where(Notice.route == "mail", Notice.state.not_in(("held", "dropped"))).exists()
        assert dispatch.handle_message(raw, "" if empty else "x@example.jp", to, clock.now()).id == row.id
        undone.rollback()


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.text(max_size=800), st.booleans())
def test_any_words_that_are_posted_can_be_read(subject, text, refers):
    said = clean_post.clean_post(subject, text, "https://kairan.example", refers_to_ours=refers)
    assert all(one.encode("utf-8", "surrogatepass") is not None for one in (said.subject, said.text))
    clean_post.looks_like_reply(subject, refers)


@cache
def _signers():
    return dns("example.jp")


@settings(max_examples=150, deadline=None)
@given(MAILS | st.binary(max_size=300))
def test_no_bytes_prove_anything(raw):
    assert not authenticate_message(raw, "example.jp", _signers(), now=clock.now())


@pytest.mark.parametrize(
    "raw",
    [
        b"X: y\r\n" * 10_000 + b"From: hanako@example.jp\r\n\r\nx",
        b"From: hanako@example.jp\r\nSubject: " + b"a " * 500_000 + b"\r\n\r\nx",
        b"From: " + b"<a@b.jp>, " * 50_000 + b"\r\n\r\nx",
        b"From: hanako@example.jp\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20_000,
        b"From: hanako@example.jp\r\n\r\n" + b"> " * 400_000,
        b"From: hanako@example.jp\r\n\r\n" + b"http://kairan.test/r/" * 40_000,
        b"From: hanako@example.jp\r\n" + b"DKIM-Signature: v=1; d=example.jp; s=s1\r\n" * 2000 + b"\r\nx",
        b"From: hanako@example.jp\r\nContent-Type: text/html\r\n\r\n" + b"<div>" * 200_000,
        b"From: hanako@example.jp\r\n\r\n" + b"A" * (24 * 2**20),
    ],
    ids=["headers", "subject", "senders", "parts", "quotes", "links", "signatures", "nested", "24 MB"],
)
def test_mail_made_to_hurt_takes_no_time(sent, raw):
    began = time.process_time()
    row = dispatch.handle_message(raw, ME, LIST, clock.now())
    assert row.outcome not in ("failed", "quarantined")
    assert time.process_time() - began < 8
    kept = InboundMessage.get_by_id(row.id)
    assert len(kept.text) <= dispatch.MAX_TEXT_CHARS and len(kept.subject) <= 500
