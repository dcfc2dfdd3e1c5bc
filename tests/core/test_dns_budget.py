"""Slow name servers of strangers hold up nobody's mail (defences 2)."""

import pytest

import clock
from core.inbound.dispatch import DnsBudget
from mail import auth_results
from mail.auth_results import DnsError, authenticate_message
from tests.cast_mail import mail, signed


class Slow:
    """A name server that takes its time; the clock of the test goes with it."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.asked = seconds, 0.0, 0

    def passed(self) -> float:
        return self.now

    def __call__(self, name: str) -> list[str]:
        self.asked += 1
        self.now += self.seconds
        return []


def test_one_mail_waits_ten_seconds_at_most():
    slow = Slow(4.9)
    lookup = DnsBudget(slow.passed).limit_lookup(slow, known=True)
    with pytest.raises(DnsError):
        for _ in range(20):
            lookup("x.example")
    assert slow.asked == 3


def test_all_strangers_together_wait_twenty_seconds_a_minute_and_a_known_sender_is_not_among_them():
    slow = Slow(4.0)
    patience = DnsBudget(slow.passed)
    for _ in range(10):
        try:
            patience.limit_lookup(slow, known=False)("x.example")
        except DnsError:
            slow.now += 0.01
    assert slow.asked == 5
    assert patience.limit_lookup(slow, known=True)("school.example") == []
    slow.now += 60
    assert patience.limit_lookup(slow, known=False)("x.example") == []


def test_a_domain_of_many_labels_is_few_questions():
    asked: list[str] = []
    deep = ".".join(["a"] * 60 + ["example", "com"])
    assert auth_results.find_policy(deep, lambda name: asked.append(name) or []) == {}
    assert len(asked) <= auth_results.MAX_QUERIES
    assert asked[0] == f"_dmarc.{deep}" and "_dmarc.example.com" in asked


def test_nobody_is_asked_about_a_mail_that_nothing_could_prove():
    """A flood of forged mails without signature costs no question."""

    def never(name: str) -> list[str]:
        raise AssertionError(name)

    assert not authenticate_message(mail("a@x.example", "l@y.example"), "x.example", never, now=clock.now())
    assert not authenticate_message(
        signed(mail("a@x.example", "l@y.example"), "other.example"), "x.example", never, now=clock.now()
    )
