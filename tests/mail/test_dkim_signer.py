"""DKIM: signatures that dkimpy itself accepts, made with OpenSSL's speed."""

import re
import types
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mail.compose import LetterQuestion, LetterRenderer
from mail.dkim_signer import (
    OVERSIGNED_HEADERS,
    SIGNED_HEADERS,
    DkimSigner,
    InvalidDkimKey,
    UnsupportedDkimpy,
    dns_record,
    generate_key,
    patch_dkimpy,
)
from mail.smtp import SmtpConnection
from tests.mail.sample_letter import HANAKO, NOTICE, SERVICE
from tests.mail.smtp_servers import run_sink

DOMAIN = "mail.kaedehara.example"


@pytest.fixture(scope="module")
def pem() -> bytes:
    return generate_key()


@pytest.fixture(scope="module")
def published(pem):
    """Answer for the TXT record as the domain's name server would."""

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        return dns_record(pem).encode() if name == f"k1._domainkey.{DOMAIN}.".encode() else b""

    return look_up


# E-13, X-08
@pytest.mark.proves("X-08", "E-13")
@pytest.mark.parametrize(
    "form",
    [
        NOTICE,
        SERVICE,
        replace(NOTICE, subject="", text="", footer=False, read_confirmation=False),
        replace(NOTICE, questions=(LetterQuestion("出席", "", ((1, "はい"), (2, "いいえ"))),)),
    ],
)
def test_a_signed_letter_is_verified_by_dkimpy(pem, published, form):
    raw = LetterRenderer(form).letter(HANAKO)
    signed = DkimSigner("k1", DOMAIN, pem).sign(raw)
    assert signed.endswith(raw) and signed.startswith(b"DKIM-Signature: ")
    assert dkim.verify(signed, dnsfunc=published)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: ", b"Subject: x"),
        (b"From: ", b"From: x"),
        (b"List-Unsubscribe: <https://", b"List-Unsubscribe: <https://evil."),
        (b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 8bit"),
        (b"From: ", b"From: evil@evil.example\r\nFrom: "),
        *(
            (b"MIME-Version: ", name + b": another\r\nMIME-Version: ")
            for name in (b"Subject", b"To", b"Cc", b"Date", b"Message-ID", b"Reply-To", b"List-Unsubscribe")
        ),
        (b"MIME-Version: ", b"Content-Type: text/html\r\nMIME-Version: "),
        (b"MIME-Version: ", b"Content-Transfer-Encoding: 8bit\r\nMIME-Version: "),
    ],
)
def test_a_changed_letter_is_not_verified(pem, published, old, new):
    """RFC 6376 8.15: no second header can be added, and no Cc either."""
    head, _, body = DkimSigner("k1", DOMAIN, pem).sign(LetterRenderer(NOTICE).letter(HANAKO)).partition(b"\r\nFrom: ")
    changed = (b"From: " + body).replace(old, new, 1)
    assert changed != b"From: " + body
    assert not dkim.verify(head + b"\r\n" + changed, dnsfunc=published)


def test_a_signed_letter_arrives_as_it_was_signed(pem, published):
    signed = DkimSigner("k1", DOMAIN, pem).sign(LetterRenderer(NOTICE).letter(HANAKO))
    with run_sink() as (taken, route):
        line = SmtpConnection(route, DOMAIN, 5)
        assert line.send("", HANAKO.address, signed).accepted
        line.close()
    assert taken.mails[0][2] == signed and dkim.verify(taken.mails[0][2], dnsfunc=published)


def test_white_space_changed_on_the_way_does_no_harm(pem, published):
    signed = DkimSigner("k1", DOMAIN, pem).sign(LetterRenderer(NOTICE).letter(HANAKO))
    assert dkim.verify(signed.replace(b"Subject: ", b"subject:   ") + b"\r\n\r\n", dnsfunc=published)


def test_it_signs_the_same_as_dkimpy_alone(pem, time_machine):
    """The same b= for the same t=, dkimpy's own parser and arithmetic against ours."""
    time_machine.move_to(1_800_000_000)
    raw = LetterRenderer(NOTICE).letter(HANAKO)
    ours = DkimSigner("k1", DOMAIN, pem).sign(raw)
    names = [name for name in re.findall(rb"(?m)^([A-Za-z-]+):", raw.lower()) if name in SIGNED_HEADERS] + list(
        OVERSIGNED_HEADERS
    )
    theirs = dkim.sign(raw, b"k1", DOMAIN.encode(), pem, canonicalize=(b"relaxed", b"relaxed"), include_headers=names)
    assert b"t=1800000000" in ours
    assert ours == theirs + raw


def test_what_is_signed(pem):
    signed = DkimSigner("k1", DOMAIN, pem).sign(LetterRenderer(NOTICE).letter(HANAKO))
    names = re.search(rb"h=([^;]+);", signed)[1].replace(b"\r\n", b"").replace(b" ", b"").split(b":")
    wanted = {b"list-unsubscribe", b"list-unsubscribe-post", b"message-id", b"reply-to", b"list-id"}
    assert wanted < set(names)  # RFC 8058 4 for the first two
    assert {names.count(name) for name in (b"from", b"to", b"subject", b"date", b"message-id", b"reply-to")} == {2}
    assert names.count(b"cc") == 1 and names.count(b"list-unsubscribe") == names.count(b"content-type") == 2
    assert b"c=relaxed/relaxed" in signed and b"d=mail.kaedehara.example" in signed


def test_a_new_key_is_strong_and_its_record_matches(pem):
    key = serialization.load_pem_private_key(pem, None)
    assert key.key_size == 2048 and generate_key() != pem
    assert re.fullmatch(r"v=DKIM1; k=rsa; p=[A-Za-z0-9+/]+=*", dns_record(pem))


@pytest.mark.parametrize("kind", ["no key", "elliptic", "short"])
def test_an_unfit_key_is_refused(kind):
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made = {
        "no key": lambda: b"-----BEGIN NOTHING-----",
        "elliptic": lambda: ec.generate_private_key(ec.SECP256R1()).private_bytes(*form),
        "short": lambda: rsa.generate_private_key(65537, 1024).private_bytes(*form),
    }
    with pytest.raises(InvalidDkimKey):
        DkimSigner("k1", DOMAIN, made[kind]())


@pytest.mark.parametrize("gone", ["parse_pem_private_key", "RSASSA_PKCS1_v1_5_sign"])
def test_a_library_built_otherwise_is_refused(gone):
    other = types.ModuleType("dkim")
    for name in {"parse_pem_private_key", "RSASSA_PKCS1_v1_5_sign"} - {gone}:
        setattr(other, name, lambda *_: None)
    with pytest.raises(UnsupportedDkimpy, match=gone):
        patch_dkimpy(other)


def test_installing_twice_replaces_once():
    patch_dkimpy()
    once = dkim.RSASSA_PKCS1_v1_5_sign
    patch_dkimpy()
    assert dkim.RSASSA_PKCS1_v1_5_sign is once
