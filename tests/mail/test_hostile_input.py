"""Bytes made to hurt: nothing raises, nothing takes long, whatever stands in a mail (defences 2, "Poison message")."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail import classify, message
from mail.bounce import report

SAMPLES = sorted(path.read_bytes() for path in (Path(__file__).parent / "inbound").glob("*.eml"))
HOUSE = classify.OwnIdentity("mail.kaedehara.example")
SECONDS = 5
"""Processor time that one mail may take: far below anything quadratic, far above a busy machine's noise."""


def everything(raw: bytes) -> report.Explanation:
    """Do all that Kairan does with a mail before it acts."""
    mail = message.parse_message(raw)
    classify.classify_message(mail, "a@x.example", HOUSE)
    found = report.explain_message(mail, "a@x.example")
    assert (found.permanent is None) == (found.kind not in ("bounce", "delayed"))
    for text in (mail.subject, mail.text, mail.from_name, found.text, *found.failed, *mail.from_addresses):
        text.encode("utf-8")
    return found


NAMES = st.sampled_from(
    [
        *(b"From", b"To", b"Subject", b"Content-Type", b"Content-Transfer-Encoding", b"Content-Disposition", b"Date"),
        *(b"Message-ID", b"References", b"Auto-Submitted", b"List-Id", b"Return-Path", b"X-Failed-Recipients"),
        *(b"Final-Recipient", b"Action", b"Status", b"Diagnostic-Code", b"Feedback-Type"),
    ]
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(b"text/plain; charset=iso-2022-jp", b"text/plain; charset=x-unknown", b"multipart/mixed; boundary=b"),
            *(
                b"multipart/report; report-type=delivery-status; boundary=b",
                b"message/delivery-status",
                b"message/rfc822",
            ),
            *(b"base64", b"quoted-printable", b"x-uue", b"attachment; filename*=iso-2022-jp''%1B$B", b'"', b"<@", b"("),
            *(b"=?iso-2022-jp?B?GyRCIQ==?= <a@b.example>", b"=?utf-8?q?=?=", b"MAILER-DAEMON@x.example", b"a@[::1]"),
            *(
                b"message/feedback-report",
                b"text/html",
                b"failed",
                b"5.1.1",
                b"smtp; 550 user unknown",
                b"rfc822;a@b.example",
            ),
        ]
    ),
)
LINES = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"--b", b"--b--", b"", b"550 5.1.1 user unknown", b"<p>", b"> x"])
)


@st.composite
def mails(draw: st.DrawFn) -> bytes:
    head = [name + b": " + value for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=8))]
    blocks = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    body = [*draw(st.lists(LINES, max_size=8)), *(name + b": " + value for name, value in blocks)]
    return draw(st.sampled_from([b"\n", b"\r\n", b"\r"])).join([*head, b"", *body])


@settings(max_examples=600)
@given(mails())
def test_no_mail_makes_it_raise(raw):
    everything(raw)


def test_no_sample_torn_to_pieces_makes_it_raise():
    """A bounded fuzz run: real shapes with pieces cut out, doubled, swapped and overwritten, the same at every run."""
    chance = random.Random(20261122)
    for raw in (chance.choice(SAMPLES) for _ in range(1500)):
        torn = bytearray(raw)
        for _ in range(chance.randint(1, 6)):
            start, length = chance.randrange(len(torn) + 1), chance.choice((1, 3, 20, 300))
            piece = chance.choice(
                (b"", torn[start : start + length] * 2, chance.randbytes(4), b"\n", b"\n\n", b"--", b'"', b"\x1b$B")
            )
            torn[start : start + length] = piece
        everything(bytes(torn))


HEAD = b"From: MAILER-DAEMON@x.example\nSubject: Undelivered Mail\nReturn-Path: <>\n"
REPORT = HEAD + b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
BLOCK = b"Final-Recipient: rfc822;a@b.example\nAction: failed\nDiagnostic-Code: smtp; %b\n\n"
PART = b"Content-Type: multipart/mixed; boundary=b\n\n"
NASTY = {
    "quotes": b"From: " + b'"' * 60_000,
    "angles": b"From: " + b"<" * 60_000,
    "comments": b"From: " + b"(" * 60_000,
    "commas": b"To: x\nFrom: " + b"a@b.example," * 5_000,
    "dots": b"From: " + b"." * 60_000 + b"@x.example",
    "words": b"Subject: " + b"=?a?q?" * 10_000,
    "marks": b"Subject: " + b"=?" * 30_000,
    "subject": b"Subject: " + b"mail delivery " * 4_000,
    "folds": b"Subject: x" + b"\n " * 30_000,
    "blanks": b"Subject:" + b" " * 60_000 + b"x",
    "parameters": b"Content-Type: a/b" + b"; a*1=x" * 9_000,
    "semicolons": b"Content-Type: a/b" + b";  " * 20_000 + b"=",
    "no fields": b"x y\n" * 500_000 + b"Subject: x",
    "envelopes": b"From \n" * 300_000,
    "fields": b"a:b\n" * 500_000,
    "parts": PART + b"--b\n" * 500_000,
    "levels": (PART + b"--b\n") * 5_000,
    "mails": b"Content-Type: message/rfc822\n\n" * 50_000,
    "spaces": b'Content-Type: multipart/mixed; boundary="  ' + b" " * 50_000 + b'b"\n\n--' + b" " * 900_000,
    "uu": b"Content-Transfer-Encoding: uu\n\nbegin \n" + b"x\n" * 900_000,
    "escapes": b"Content-Type: text/plain; charset=iso-2022-jp\n\n" + b"\x1b$B" * 300_000,
    "lost escapes": b"Content-Type: text/plain; charset=iso-2022-jp\n\n" + b"$B" * 400_000,
    "high": b"Content-Type: text/plain\n\n" + b"\xff" * 900_000,
    "tags": b"Content-Type: text/html\n\n" + b"<" * 900_000,
    "attributes": b"Content-Type: text/html\n\n<p " + b"'\"" * 400_000,
    "remarks": b"Content-Type: text/html\n\n" + b"<!--" * 200_000,
    "scripts": b"Content-Type: text/html\n\n" + b"<script>" * 100_000,
    "links": b"Content-Type: text/html\n\n" + b"<a href=http://x>x" * 40_000,
    "borders": HEAD + b"\n" + b"-- original message " * 40_000,
    "replies": HEAD + b"\n" + b"550 user is not \n\n" * 40_000,
    "run": HEAD + b"\n" + b"user" * 200_000,
    "gaps": HEAD + b"\n" + b"mailbox user message exceed " * 20_000,
    "people": HEAD + b"\n" + b"a@b.example\n" * 60_000,
    "recipients": REPORT + BLOCK % (b"user " * 700) * 200,
    "codes": HEAD + b"\n" + b"550 x\n554 y\n" * 80_000,
    "generic": HEAD + b"\n554 5.0.0 <" + b"a" * 900_000,
    "failures": HEAD + b"\n" + b"a@b.example x 550 no user here\n" * 30_000,
    "json levels": HEAD + b'\n{"notificationType":' + b'{"a":' * 180_000,
    "json recipients": HEAD
    + b'\n{"notificationType":"Bounce","bounce":{"bouncedRecipients":['
    + b'{"emailAddress":"a@b.example","diagnosticCode":"550 mailbox user message"},' * 800
    + b"{}]}}",
    "one recipient": REPORT + BLOCK % (b"mailbox " * 90_000),
}


@pytest.mark.parametrize("name", NASTY)
def test_no_mail_takes_long(name):
    began = time.process_time()
    everything(NASTY[name])
    assert time.process_time() - began < SECONDS
