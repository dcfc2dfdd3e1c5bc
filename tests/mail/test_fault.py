"""Whose fault an answer is: the table of stages, codes and words (law 9)."""

from datetime import timedelta

import pytest

from mail.bounce.fault import Fault, same_words, wait_named, whose_fault
from tests.mail.test_bounce_verdict import said

READER = "hanako@parents.example"
ANY_WORDS = ("", "no", "はい、だめです", "Nein, danke", "user unknown")


@pytest.mark.parametrize("words", ANY_WORDS)
@pytest.mark.parametrize(
    ("phase", "codes", "of"),
    [
        ("mail", "530 5.7.0", "us"),
        ("mail", "535 5.7.8", "us"),
        ("mail", "538 5.7.11", "us"),
        ("mail", "550", "us"),
        ("mail", "550 5.1.1", "us"),
        ("mail", "550 5.7.1", "us"),
        ("mail", "552", "us"),
        ("mail", "552 5.2.3", "us"),
        ("mail", "553 5.7.1", "us"),
        ("mail", "554 5.7.1", "us"),
        ("mail", "501 5.5.4", "us"),
        ("rcpt", "530 5.7.0", "us"),
        ("rcpt", "535 5.7.8", "us"),
        ("rcpt", "550 5.7.26", "us"),
        ("end", "550 5.7.23", "us"),
        ("end", "550 5.7.25", "us"),
        ("end", "550 5.1.8", "us"),
        ("mail", "550 5.4.5", "limit"),
        ("rcpt", "452 4.5.3", "limit"),
        ("end", "550 5.4.5", "limit"),
        ("end", "421 4.7.28", "limit"),
        ("end", "552 5.3.4", "message"),
        ("end", "554 5.6.0", "message"),
        ("end", "550 5.2.3", "message"),
        ("rcpt", "550 5.1.1", "reader"),
        ("rcpt", "550 5.2.1", "reader"),
        ("rcpt", "552 5.2.2", "reader"),
        ("rcpt", "550", "reader"),
        ("end", "550 5.1.1", "reader"),
        ("mail", "421 4.3.2", "server"),
        ("mail", "451 4.3.0", "server"),
        ("rcpt", "450 4.2.0", "server"),
        ("rcpt", "452 4.2.2", "server"),
        ("data", "451 4.3.0", "server"),
        ("end", "451 4.7.1", "server"),
    ],
)
def test_stage_and_codes_decide_whatever_the_words(phase, codes, of, words):
    assert whose_fault(said(f"{codes} {words}".strip(), phase), READER).of == of


@pytest.mark.parametrize(
    ("line", "phase", "fault"),
    [
        ("554 5.7.1 <hanako@parents.example>: Relay access denied", "rcpt", Fault("us", "relay")),
        ("550 relay not permitted", "rcpt", Fault("us", "relay")),
        ("550 5.7.54 unable to relay recipient in non-accepted domain", "rcpt", Fault("us", "relay")),
        ("554 5.7.1 中継は許可されていません", "rcpt", Fault("us", "relay")),
        ("550 中継できません", "rcpt", Fault("us", "relay")),
        ("550 client host blocked, see spamhaus", "rcpt", Fault("us", "trust")),
        ("553 5.7.1 <a@school.example>: Sender address rejected: not owned by user x", "rcpt", Fault("us", "sender")),
        ("550 5.7.60 client not authorized to send as this sender", "end", Fault("us", "sender")),
        ("554 5.7.1 Service unavailable; client blocked using zen.spamhaus.org", "rcpt", Fault("us", "trust")),
        ("550 5.7.1 rejected by DMARC policy", "end", Fault("us", "trust")),
        ("550 5.7.1 cannot find your reverse hostname", "rcpt", Fault("us", "trust")),
        ("550 5.7.1 authentication required", "rcpt", Fault("us", "login")),
        ("535 no", "mail", Fault("us", "login")),
        ("553 no", "mail", Fault("us", "sender")),
        ("554 no", "mail", Fault("us", "refused")),
        ("550 5.7.1 Message rejected as spam", "end", Fault("message")),
        ("554 5.7.1 virus found", "end", Fault("message")),
        ("550 5.1.1 <hanako@parents.example> user unknown", "mail", Fault("reader")),
        ("550 5.7.1 <hanako@parents.example>: recipient rejected: access denied", "rcpt", Fault("reader")),
        ("554 transaction failed", "end", Fault("reader")),
        ("450 4.2.1 receives mail too quickly, try again later", "rcpt", Fault("server")),
        ("552 5.2.2 mailbox over quota", "end", Fault("reader")),
        ("552 5.2.2 mail quota exceeded", "rcpt", Fault("reader")),
        ("550 message limit reached in the mailbox of this recipient", "rcpt", Fault("reader")),
        ("452 4.2.2 mail quota exceeded", "rcpt", Fault("server")),
        ("550 daily sending limit exceeded", "mail", Fault("limit", "limit", timedelta(hours=1))),
        (
            "451 4.7.1 hourly limit reached, try again in 600 seconds",
            "end",
            Fault("limit", "limit", timedelta(minutes=10)),
        ),
        ("550 1日の送信通数の上限を超えました", "rcpt", Fault("limit", "limit", timedelta(hours=1))),
        ("554 too many messages, retry after 2 hours", "rcpt", Fault("limit", "limit", timedelta(hours=2))),
    ],
)
def test_words_tell_what_is_wrong_with_us(line, phase, fault):
    assert whose_fault(said(line, phase), READER) == fault


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        ("try again in 3600 seconds", timedelta(hours=1)),
        ("please wait 5 minutes", timedelta(minutes=5)),
        ("retry in 90000000", None),
        ("try again in 999999 hours", timedelta(days=1)),
        ("retry in 1 s", timedelta(minutes=1)),
        ("no time named", None),
    ],
)
def test_the_time_that_a_server_names_is_read(words, wait):
    assert wait_named(words) == wait


def test_the_same_answer_about_two_addresses_is_recognized():
    first = same_words(554, "5.7.1 <a@b.example>: Relay access denied (id 4A3F)")
    assert first == same_words(554, "5.7.1 <c@d.example>: Relay access denied (id 9B21)")
    assert first not in (same_words(550, "5.1.1 no such user"), same_words(550, "5.7.1 Relay access denied (id 1)"))
