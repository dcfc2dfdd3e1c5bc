"""The table of what a mail server may do to a letter, and what must come of it: one line a row.

A row is `Case(place, answer, then, …)`. To try something new, add a line; `make faults` and the tests take it from here.
"""

from dataclasses import dataclass
from typing import Literal

from tests.faults.receiver import Fault

Then = Literal["good", "outage", "busy", "limit", "reader", "message", "unknown", "aside"]
"""good: all arrive at once. outage: nothing is counted, the page says `says`; all arrive when the server is well.
busy: each letter is tried again later. limit: like outage, until a time. reader: refused, nothing else stops.
message: the notice is held once and asks. unknown: what may have arrived is said. aside: one letter is refused, the others
arrive."""


@dataclass(frozen=True)
class Case:
    """One row. says: reason of the pause. quick: it also runs in every test run. setup: what differs in the server."""

    place: str
    answer: str
    then: Then
    says: str = ""
    times: int = 0
    after: int = 0
    to: str = ""
    urgent: bool = False
    quick: bool = False
    setup: str = ""

    @property
    def name(self) -> str:
        more = [f"{self.times} times" if self.times else "", f"after {self.after}" if self.after else ""]
        more += ["one address" if self.to else "", self.setup, "urgent" if self.urgent else ""]
        return " · ".join(part for part in (self.place, self.answer, *more) if part)

    @property
    def fault(self) -> Fault:
        return Fault(self.place, self.answer, self.times, self.after, self.to)


def rows(places: str, answers: str, then: Then, says: str = "", quick: str = "", **more: object) -> list[Case]:
    """Return a row for each place and each answer (separated by |). quick: the answers that run in every test run."""
    fast = {one.strip() for one in quick.split("|")}
    return [
        Case(place, answer, then, says, quick=answer in fast, **more)  # type: ignore[arg-type]
        for place in places.split()
        for answer in (one.strip() for one in answers.split("|"))
    ]


BROKEN = "hang | close | reset | garbage | endless | endless slow | overlong"
ODD = "drip | 8-bit | many lines | no text | LF only | slow"
ONE = "p00003"

CASES: tuple[Case, ...] = (
    # ── before a letter: nothing is counted, the page says why
    *rows("greeting EHLO", f"421 4.3.2 closing | 554 5.7.1 no service | 450 4.7.1 later | {BROKEN}", "outage", "greeting|connect", "554 5.7.1 no service | endless"),
    *rows("greeting", ODD, "good", quick="8-bit"),
    *rows("EHLO", "drip | many lines | slow", "good"),
    Case("EHLO", "502 5.5.1 not implemented", "good"),
    *rows("STARTTLS", "454 4.7.0 not now | 501 5.5.4 no | hang | close | garbage | endless", "outage", "tls", "454 4.7.0 not now", setup="starttls"),
    Case("", "", "outage", "tls", setup="starttls not offered", quick=True),
    Case("", "", "good", setup="starttls"),
    *rows("AUTH", "535 5.7.8 wrong | 534 5.7.9 app password | 454 4.7.0 later | 538 5.7.11 encrypt | 530 5.7.0 no | hang | close | garbage | endless", "outage", "login", "535 5.7.8 wrong", setup="login"),
    Case("", "", "outage", "login", setup="login not offered"),
    Case("", "", "good", setup="login"),
    # ── MAIL: a refusal is about us
    *rows("MAIL", "530 5.7.0 Authentication required | 530 認証してください", "outage", "login", "530 5.7.0 Authentication required"),
    *rows("MAIL", "550 5.7.1 sender denied | 553 5.7.1 sender address rejected: not owned by user | 550 no | 553 差出人アドレスは使えません | 550 5.1.8 bad sender | 550 5.1.1 user unknown", "outage", "sender", "553 5.7.1 sender address rejected: not owned by user | 550 no"),
    *rows("MAIL", "554 5.7.1 relay access denied | 554 中継を許可していません", "outage", "relay", "554 5.7.1 relay access denied"),
    *rows("MAIL", "552 5.2.3 too big | 554 5.0.0 transaction failed | 501 5.1.7 bad address syntax", "outage", "refused|sender"),
    *rows("MAIL", "550 5.7.26 unauthenticated | 554 5.7.1 listed by zen.spamhaus.org", "outage", "trust"),
    *rows("MAIL", "550 5.4.5 daily user sending limit exceeded | 450 4.2.1 hourly sending limit exceeded, try again in 600 seconds | 554 送信数の上限を超えました", "limit", "limit", "550 5.4.5 daily user sending limit exceeded"),
    Case("MAIL", "550 5.4.5 daily limit", "limit", "limit", after=5, urgent=True),
    *rows("MAIL RCPT", "421 4.3.2 closing | 450 4.2.0 greylisted | 451 4.3.0 local error | 452 4.3.1 no room", "busy", quick="450 4.2.0 greylisted"),
    *rows("DATA end", "421 4.3.2 closing | 451 4.3.0 local error | 452 4.3.1 no room | 450 4.7.1 later", "busy", quick="452 4.3.1 no room"),
    *rows("MAIL RCPT DATA", BROKEN, "outage", "broken", "endless | reset"),
    *rows("MAIL RCPT DATA end", ODD, "good", quick="drip"),
    *rows("MAIL RCPT DATA", "close | reset | hang | 421 4.4.2 idle", "good", times=1, quick="close"),
    *rows("MAIL RCPT DATA", "close", "outage", "broken", after=5),
    # ── RCPT: about one reader, or about us
    *rows("RCPT", "550 5.1.1 user unknown | 550 5.2.1 mailbox disabled | 553 5.1.3 bad mailbox syntax | 550 no such user here | 550 5.7.1 rejected by recipient filter | 550 宛先が存在しません | 501 5.1.3 bad address | 555 5.5.4 parameters", "aside", to=ONE, quick="550 5.1.1 user unknown"),
    *rows("RCPT", "552 5.2.2 mailbox full | 452 4.2.2 mailbox full", "busy", to=ONE),
    *rows("RCPT", "554 5.7.1 relay access denied | 550 relaying not permitted | 550 中継できません", "outage", "relay", "554 5.7.1 relay access denied"),
    *rows("RCPT", "550 5.7.1 client host blocked using zen.spamhaus.org | 554 5.7.25 reverse DNS", "outage", "trust"),
    *rows("RCPT", "530 5.7.0 authentication required | 535 5.7.8 log in", "outage", "login"),
    *rows("RCPT", "550 5.4.5 daily limit | 452 4.5.3 too many recipients per hour | 451 4.7.28 rate limit", "limit", "limit"),
    *rows("RCPT", "550 5.7.1 no mail for any of them | 554 no", "outage", "refused", "554 no"),
    Case("RCPT", "550 5.1.1 user unknown", "outage", "refused", quick=True),
    *rows("RCPT DATA", "close", "aside", to=ONE),
    # ── the content
    *rows("content", "close | reset | hang", "unknown", quick="reset"),
    *rows("content", "close | hang", "unknown", to=ONE),
    *rows("end", "552 5.3.4 too big | 554 5.6.0 bad content | 554 5.7.1 spam | 550 5.6.9 charset", "message", quick="554 5.6.0 bad content"),
    *rows("end", "550 5.7.26 unauthenticated | 550 5.7.1 dmarc", "outage", "trust"),
    *rows("end", "550 5.4.5 daily limit | 554 5.7.28 too many", "limit", "limit"),
    *rows("end", "554 5.7.1 spam | 550 5.1.1 user unknown", "aside", to=ONE, quick="554 5.7.1 spam"),
    # ── after the content: what may have arrived is said
    *rows("end", "hang | close | reset | garbage | endless | endless slow | 354 go on | 300 what | 999 what", "unknown", quick="354 go on"),
    *rows("end", "stored close | stored hang | stored reset | stored garbage | stored 354 go on | overlong", "unknown", quick="stored close"),
    *rows("end", "stored close | stored hang | stored 354 go on", "unknown", times=1, quick="stored close"),
    *rows("end", "stored close | stored 354 go on | close", "unknown", urgent=True, quick="stored close"),
    *rows("end", "stored close | stored hang", "unknown", times=1, urgent=True, quick="stored close"),
    *rows("end", "299 odd | 250 ok | 251 forwarded | 252 perhaps", "good"),
    # ── parting, and capabilities
    *rows("QUIT RSET", f"{BROKEN} | 500 what", "good", quick="endless"),
    Case("RSET", "close", "good", setup="one reader refused"),
    Case("", "", "good", setup="PIPELINING that loses input"),
    Case("", "", "good", setup="no extension"),
    Case("RCPT", "421 4.3.2 closing", "busy", after=5, times=1, setup="no extension"),
)  # fmt: skip
