"""For whom a mail in a mailbox came: what its own server wrote, nothing that a sender can write (RFC 5321 4.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail import imap

BODY = b"From: a@example.jp\r\nTo: forged@mail.school.example\r\nSubject: s\r\n\r\ntext\r\n"
WRITTEN = {
    "postfix": (
        b"Return-Path: <a@example.jp>\r\nX-Original-To: 1nen1kumi@mail.school.example\r\n"
        b"Delivered-To: kairan@mail.school.example\r\nReceived: from mx (mx [192.0.2.1])\r\n\tby mx; x\r\n",
        ["1nen1kumi@mail.school.example", "kairan@mail.school.example"],
    ),
    "exim": (
        b"Return-path: <a@example.jp>\r\nEnvelope-to: zenko@mail.school.example\r\nReceived: by x\r\n",
        ["zenko@mail.school.example"],
    ),
    "dovecot lmtp": (
        b"Return-Path: <a@example.jp>\r\nDelivered-To: kairan@mail.school.example\r\nReceived: from mx\r\n\tby mda"
        b"\r\n\tfor <kairan@mail.school.example>; x\r\nReceived: by mx for <zenko@mail.school.example>; x\r\n",
        ["kairan@mail.school.example"],
    ),
    "gmail": (
        b"Delivered-To: kaede+zenko@gmail.example\r\nReceived: by x;\r\n Sun\r\nReturn-Path: <a@b.jp>\r\n",
        ["kaede+zenko@gmail.example"],
    ),
    "received alone": (
        b"Received: from x by mx with ESMTPS id A1\r\n\tfor <zenko@mail.school.example>; Sun, 22 Nov 2026\r\n",
        ["zenko@mail.school.example"],
    ),
    "nothing": (b"Received: from x by mx; Sun\r\n", []),
}


@pytest.mark.parametrize("server", WRITTEN)
def test_what_the_server_of_the_mailbox_wrote_counts(server):
    head, wanted = WRITTEN[server]
    assert imap.find_recipients(head + BODY) == wanted
    assert imap.find_recipients((head + BODY).replace(b"\r\n", b"\n")) == wanted


@pytest.mark.parametrize("field", [b"X-Original-To", b"Delivered-To", b"Envelope-To", b"Received: by x for"])
def test_what_the_sender_wrote_does_not_count(field):
    """A field below the topmost Received was there before the server took the mail."""
    forged = b"Received: from evil by mx; Sun\r\n" + field + b": <zenko@mail.school.example>\r\n" + BODY
    assert imap.find_recipients(forged) == []
    assert imap.find_recipients(field + b": <zenko@mail.school.example>\r\n" + BODY) == [], "no Received at all"


def test_a_field_that_the_school_names_counts_wherever_it_stands():
    raw = b"Received: by x; y\r\nX-Forwarded-To: zenko@mail.school.example\r\nX-Forwarded-To: b@c.example\r\n" + BODY
    assert imap.find_recipients(raw, "X-Forwarded-To") == ["zenko@mail.school.example"]
    assert imap.find_recipients(raw, "X-Missing") == []


def test_the_envelope_sender_is_what_the_server_wrote():
    assert imap.find_sender(WRITTEN["postfix"][0] + BODY) == "a@example.jp"
    assert imap.find_sender(b"Return-Path: <>\r\nReceived: x\r\n" + BODY) == "", "a machine's"
    assert imap.find_sender(b"Return-Path: <>\r\n" + BODY) == imap.UNKNOWN_SENDER
    assert imap.find_sender(b"Received: x\r\nReturn-Path: <x@y.example>\r\n" + BODY) == imap.UNKNOWN_SENDER


FIELDS = rb"(?s)((X-Original-To|Received|Return-Path): .{0,60}\r?\n){0,6}.{0,40}"


@given(st.binary(max_size=400) | st.from_regex(FIELDS))
def test_any_bytes_are_read(raw):
    assert isinstance(imap.find_recipients(raw), list) and isinstance(imap.find_sender(raw), str)
