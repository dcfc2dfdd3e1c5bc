"""What refusals mean, told from the sentences of real servers."""

import re

import pytest

from mail.bounce.verdict import Verdict, is_mobile_carrier, judge_smtp_reply
from mail.smtp import SmtpReply

DEAD = Verdict("unknown_user", permanent=True)


def said(line: str, phase: str = "rcpt") -> SmtpReply:
    """Read a reply as it stands in a server's log: `550 5.1.1 text`."""
    code, _, text = line.partition(" ")
    enhanced = re.match(r"[45]\.\d+\.\d+", text)
    return SmtpReply(int(code), enhanced[0] if enhanced else "", text, phase)


@pytest.mark.parametrize(
    ("line", "phase", "domain", "expected"),
    [
        ("550 5.1.1 <a@b.example>: Recipient address rejected: User unknown", "rcpt", "b.example", DEAD),
        ("550 5.1.1 The email account that you tried to reach does not exist", "rcpt", "gmail.com", DEAD),
        ("550 Requested action not taken: mailbox unavailable", "rcpt", "b.example", DEAD),
        ("550 5.0.0 no such user", "rcpt", "b.example", DEAD),
        ("553 5.1.3 bad address syntax", "rcpt", "b.example", DEAD),
        ("554 5.1.2 bad destination system", "rcpt", "b.example", DEAD),
        ("550 Unknown user a@docomo.ne.jp", "rcpt", "docomo.ne.jp", DEAD),
        ("550 <a@ezweb.ne.jp>: User unknown", "rcpt", "ezweb.ne.jp", DEAD),
        ("550 <a@ezweb.ne.jp>: User unknown", "end", "ezweb.ne.jp", DEAD),
        ("550 Invalid recipient: <a@softbank.ne.jp>", "rcpt", "softbank.ne.jp", DEAD),
    ],
)
def test_a_dead_address_is_excluded_at_once(line, phase, domain, expected):
    """D-37: the first bounce registers, where the user is unknown."""
    assert judge_smtp_reply(said(line, phase), domain) == expected


@pytest.mark.parametrize(
    ("line", "phase", "domain"),
    [
        ("550 Unknown user a@docomo.ne.jp", "end", "docomo.ne.jp"),
        ("550 5.2.0 refused", "rcpt", "docomo.ne.jp"),
        ("550 : User unknown", "end", "ezweb.ne.jp"),
        ("550 : User unknown", "rcpt", "au.com"),
        ("550 Invalid recipient", "end", "i.softbank.jp"),
        ("550 Unknown user", "end", "t.vodafone.ne.jp"),
    ],
)
def test_a_phone_filter_is_not_a_dead_address(line, phase, domain):
    assert judge_smtp_reply(said(line, phase), domain) == Verdict("filtered")


@pytest.mark.parametrize(
    "line",
    [
        "552 5.2.2 mailbox full",
        "452 4.2.2 The email account is over quota",
        "552 Too much mail data",
        "550 5.1.1 user's mailbox is full",
        "552 Requested mail action aborted",
        "450 メールボックスが一杯です",
        "554 5.2.2 quota exceeded",
    ],
)
def test_a_full_mailbox_is_not_dead(line):
    for domain in ("b.example", "docomo.ne.jp"):
        assert judge_smtp_reply(said(line), domain) == Verdict("full")


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("550 5.7.1 Message rejected as spam", "end"),
        ("554 5.7.1 Service unavailable; client blocked using zen.spamhaus.org", "rcpt"),
        ("550 5.7.26 unauthenticated sender, SPF and DKIM failed", "end"),
        ("554 Your IP has a poor reputation", "rcpt"),
        ("550 5.1.1 rejected, DMARC policy", "end"),
        ("550 5.1.8 sender domain not found", "rcpt"),
        ("553 sender address rejected: user unknown", "mail"),
        ("530 5.7.0 Must issue a STARTTLS command first", "mail"),
        ("550 5.4.5 Daily user sending quota exceeded", "end"),
        ("554 Relay access denied", "rcpt"),
    ],
)
def test_a_refusal_of_us_is_our_fault(line, phase):
    for domain in ("b.example", "docomo.ne.jp"):
        assert judge_smtp_reply(said(line, phase), domain) == Verdict("policy")


@pytest.mark.parametrize("line", ["421 4.3.2 shutting down", "450 4.1.1 user unknown", "451 greylisted", "454 4.7.0 x"])
def test_a_temporary_answer_is_temporary(line):
    assert judge_smtp_reply(said(line), "b.example") == Verdict("temporary")


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("550 5.2.1 The account is disabled", "rcpt"),
        ("550 account temporarily limited, user unknown", "rcpt"),
        ("552 5.3.4 message too large", "end"),
        ("550 5.4.4 host not found", "rcpt"),
        ("554 transaction failed", "end"),
        ("550 no", "rcpt"),
        ("503 user unknown: bad sequence of commands", "data"),
    ],
)
def test_in_doubt_nobody_is_excluded(line, phase):
    assert judge_smtp_reply(said(line, phase), "b.example") == Verdict("other")


def test_words_inside_an_address_do_not_count():
    line = "550 5.1.1 <spam.quota-exceeded@blocklist.example>: user unknown"
    assert judge_smtp_reply(said(line), "blocklist.example") == DEAD


def test_carriers_are_known_with_their_sub_domains():
    assert is_mobile_carrier("docomo.ne.jp") and is_mobile_carrier("t.vodafone.ne.jp")
    assert not is_mobile_carrier("notdocomo.ne.jp") and not is_mobile_carrier("example.com")
