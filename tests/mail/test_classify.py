"""The gate: machines, loops and automatic mails act on nothing (inbound rules 1, steps 2 to 4)."""

import pytest

from mail import classify, message
from mail.classify import Classification

HOUSE = classify.OwnIdentity("mail.kaedehara.example", frozenset(("3nen2kumi.mail.kaedehara.example",)))


def at_the_door(header: str, sender: str = "taro@parents.example") -> Classification:
    raw = f"From: taro@parents.example\nMessage-ID: <1@parents.example>\n{header}\n\nx"
    return classify.classify_message(message.parse_message(raw.encode()), sender, HOUSE)


@pytest.mark.parametrize(
    "header",
    [
        "Subject: =?utf-8?B?5LiN5Zyo6ICF5oqV56Wo?=",
        "Subject: Away game on Saturday",
        "Subject: Vacation plans",
        "Subject: Re: hello",
        "Auto-Submitted: no",
        "Auto-Submitted: No (a person)",
        "Precedence: first-class",
        "X-Mailer: iPhone Mail",
        "List-Help: <https://x.example>",
        "Feedback-ID: 12345678:user:proton",
        "Feedback-ID: 1.us-west-2.abcdefg=:AmazonSES",
        "X-Auto-Response-Suppress: DR, OOF, AutoReply",
        "List-Id: <other.lists.example>",
        "List-Unsubscribe: <https://x.example>",
        "Precedence: bulk\nIn-Reply-To: <1@parents.example>",
        "Precedence: list\nReferences: <1@parents.example>",
        "Subject: Absent-minded",
    ],
)
def test_people_may_come_in(header):
    assert at_the_door(header) == Classification("person")


@pytest.mark.parametrize(
    ("header", "sender", "sign"),
    [
        ("X: y", "", "null-sender"),
        ("X: y", "<>", "null-sender"),
        ("X: y", "MAILER-DAEMON@mx.example", "daemon"),
        ("From: postmaster@mx.example", "x@mx.example", "daemon"),
        ("From: AWS <no-reply@sns.amazonaws.com>", "0101@amazonses.com", "daemon"),
        ("Content-Type: multipart/report; boundary=b", "x@mx.example", "report"),
        ("Content-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b--", "x@mx.example", "report"),
        ("X-Kairan-Loop: 3nen2kumi", "", "null-sender"),
    ],
)
def test_machines(header, sender, sign):
    assert at_the_door(header, sender) == Classification("machine", sign)


@pytest.mark.parametrize(
    ("header", "sender", "sign"),
    [
        ("X-Kairan-Loop: anything", "a@x.example", "x-kairan-loop"),
        ("List-Id: 3-2 <3nen2kumi.mail.kaedehara.example>", "a@x.example", "list-id"),
        ("List-Id: <OTHER.mail.kaedehara.example>", "a@x.example", "list-id"),
        ("X: y", "3nen2kumi@mail.kaedehara.example", "own-sender"),
        ("X: y", "b-x@MAIL.kaedehara.example", "own-sender"),
        ("\n".join(["Received: x"] * 25), "a@x.example", "hops"),
    ],
)
def test_loops(header, sender, sign):
    assert at_the_door(header, sender) == Classification("loop", sign)


def test_our_own_letter_is_known_by_its_id():
    raw = b"From: a@x.example\nMessage-ID: <aaaa@mail.kaedehara.example>\n\nx"
    assert classify.classify_message(message.parse_message(raw), "a@x.example", HOUSE) == Classification(
        "loop", "message-id"
    )
    assert at_the_door("\n".join(["Received: x"] * 24)) == Classification("person")
    assert at_the_door("X: y", "a@notmail.kaedehara.example.org") == Classification("person")


@pytest.mark.parametrize(
    ("header", "sign"),
    [
        ("Auto-Submitted: auto-replied", "auto-submitted"),
        ("Auto-Submitted: auto-generated; x=y", "auto-submitted"),
        ("X-Autoreply: yes", "x-autoreply"),
        ("X-POST-MessageClass: 9; Autoresponder", "x-post-messageclass"),
        ("Precedence: Bulk", "precedence"),
        ("Precedence: auto_reply\nIn-Reply-To: <1@parents.example>", "precedence"),
        ("Subject: Automatic reply: x", "subject"),
        ("Subject: Out of office", "subject"),
        ("Subject: =?utf-8?B?6Ieq5YuV5b+c562UOiB4?=", "subject"),
        ("Subject: =?utf-8?B?5LiN5Zyo6YCa55+l?=", "subject"),
        ("Subject: =?utf-8?B?6Ieq5YuV6L+U5L+h?=", "subject"),
        ("Subject: Vacation", "subject"),
        ("Subject: Away from my mail", "subject"),
    ],
)
def test_automatic_mails(header, sign):
    assert at_the_door(header) == Classification("automatic", sign)
