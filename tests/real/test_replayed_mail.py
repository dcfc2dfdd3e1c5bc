"""Genuine signed mail of others, sent on to a running mail door: LMTP, real keys, a name server with the record."""

import socket
import threading
from contextlib import contextmanager

import dkim
import pytest

import clock
from core.settings import load_settings
from database import db
from mail.address import message_id, reply_address, return_path
from mail.dkim_signer import dns_record
from models import AllowedSender, InboundMessage, Letter, MailingList, Membership, Notice, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, key, mail
from tests.core.test_dispatch import dsn
from tests.real import attack
from tests.real.private_dns import serve_txt_record

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(180)]

VICTIM, ATTACKER, TEACHER = "victim.example", "attacker@evil.example", "teacher@victim.example"
LIST, JOIN, LEAVE = (f"{local}@{DOMAIN}" for local in ("1nen1kumi", "pta-join", "2nen1kumi-leave"))
AS_PRESENT = (b"to", b"subject", b"message-id", b"date", b"from", b"mime-version", b"content-type")
TEXT = "来週の面談の件です。\n"


@contextmanager
def name_server():
    """Answer for the key of the victim's domain; yield host:port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    record = (f"s1._domainkey.{VICTIM}", dns_record(key(VICTIM)))
    threading.Thread(target=serve_txt_record, args=(listener, *record), daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"  # the thread ends with the process


@pytest.fixture
def victims(school):
    """A teacher who may post, and is a member of another list; a list to join; a letter that went out."""
    AllowedSender.create(list=school.lists["1-1"], address=TEACHER, address_key=TEACHER, name="先生")
    MailingList.create(name="PTA", address="pta")
    person = Person.create(name="先生", address=TEACHER, address_key=TEACHER, created_at=clock.now())
    Membership.create(person=person, list=school.lists["2-1"], state="active", joined_at=clock.now())
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")
    return Letter.get(Letter.delivery == sent.deliveries["青山 健太"])


def signed(raw: bytes, names: tuple[bytes, ...] = (*AS_PRESENT, b"content-transfer-encoding")) -> bytes:
    raw = raw.replace(b"\n", b"\r\n")
    return dkim.sign(raw, b"s1", VICTIM.encode(), key(VICTIM), include_headers=list(names)) + raw


def private(subject: str, text: str = TEXT) -> bytes:
    """A mail of the teacher to one parent, as its provider signs it: every field that is there, once."""
    return signed(mail(TEACHER, "one.parent@elsewhere.example", subject, text))


def test_what_an_attacker_gets_who_sends_genuine_mail_on(victims, config):
    letter, secret, before = victims, load_settings().secret, Notice.select().count()
    reply, real = reply_address(letter.id, secret, DOMAIN), return_path(letter.id, secret, DOMAIN)
    with name_server() as dns, attack.run_smtpd(config.data, dns=dns) as (target, made):

        def come(raw: bytes, to: str, envelope: str = ATTACKER) -> InboundMessage:
            last = InboundMessage.select().count()
            assert attack.send_message(target, envelope, to, raw) == 250, made.said()
            assert target.settled() and InboundMessage.select().count() == last + 1, made.said()
            return InboundMessage.select().order_by(InboundMessage.id.desc()).get()

        # the door believes what is signed for it
        row = come(signed(mail(TEACHER, LIST, "control", TEXT)), LIST, TEACHER)
        assert (row.outcome, row.reason, row.notice.hold_reason) == ("done", "dkim", "window"), made.said()

        # a private mail, passed on with a Cc
        row = come(f"Cc: {LIST}\r\n".encode() + private("one"), LIST)
        assert (row.outcome, row.reason, row.notice.hold_reason) == ("held", "bcc", "proof")

        # To and Subject are not signed, and replaced
        loose = signed(mail(TEACHER, LIST, "FORGED SUBJECT", TEXT), (b"from", b"date", b"message-id"))
        row = come(loose, LIST)
        assert (row.outcome, row.reason, row.notice.hold_reason) == ("held", "uncovered", "proof")

        # the genuine mail to the list once more
        row = come(b"Received: from evil\r\n" + signed(mail(TEACHER, LIST, "control", TEXT)), LIST)
        assert (row.outcome, row.reason, row.notice.hold_reason) == ("held", "seen", "proof")

        # joining and leaving in the teacher's name
        row = come(f"Cc: {JOIN}\r\n".encode() + private("", ""), JOIN)
        assert (row.kind, row.outcome, row.reason) == ("join", "silent", "unproven")
        row = come(f"Cc: {JOIN}\r\n".encode() + private("a", ""), JOIN, TEACHER)
        assert (row.kind, row.outcome, row.reason) == ("join", "held", "asked to confirm")
        row = come(private("two"), LEAVE)
        assert (row.kind, row.outcome, row.reason) == ("leave", "held", "asked to confirm")
        assert [one.state for one in Membership.select().join(Person).where(Person.address == TEACHER)] == ["active"]

        # a report by what the copy of a reply shows
        tags = (reply[2:26], message_id(letter.id, secret, DOMAIN)[1:25])
        assert [attack.send_message(target, "", f"b-{tag}@{DOMAIN}", dsn(letter)) for tag in tags] == [550, 550]
        shown = dsn(letter).replace(real[2:26].encode(), b"a" * 24)
        row = come(shown, reply, "")
        assert (row.outcome, row.reason) == ("dropped", "no return tag")
        assert Person.get_by_id(letter.person_id).address_state == "fine"
        assert come(shown, real, "").reason == "unknown_user", "the return path itself is believed"
        assert "Traceback" not in made.said()
    assert Notice.select().where(Notice.hold_reason == "window").count() == 1
    assert Notice.select().count() == before + 4
    db.close()
