"""Run one row of `tests.faults.cases` and count: by the receiver, by the tables, and by what the organizer reads."""

import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

import clock
import config as ground
from cli.common import catch_signals
from core.delivery.lifecycle import letters_possibly_twice
from core.delivery.outage import outage_headline
from core.notices import workflow
from core.reports import progress
from core.settings import load_settings
from database import db, open_database
from i18n import say
from mail import address as addresses
from models import Letter, LetterState, Membership, Notice, NoticeState, Person, User
from tests import cast, smarthost
from tests.faults import times
from tests.faults.cases import Case
from tests.faults.receiver import OFFERS, Receiver
from tests.mail.smtp_servers import self_signed_context
from tests.processes import until
from tests.smarthost import begun, fresh, later, never

BAD_FOR = (0, 6, 11, 21, 41, 61, 61, 121, 301, 301)
"""Steps of seconds with the bad server, less than the half hour after which a notice asks."""
GOOD_FOR = (61, 301, 601, 901, 3601, 3601, 14401)
SPEED = 300.0
PAGES = ("home", "notice", "board", "record")
ENDED = (NoticeState.SENT, NoticeState.HELD, NoticeState.STOPPED)


@dataclass
class Outcome:
    """One row of the result. wrong: every sentence that is not true; empty: the row holds."""

    name: str
    letters: int = 0
    arrived_while_bad: int = 0
    arrived: int = 0
    lost: int = 0
    doubled_in_silence: int = 0
    doubled_and_said: int = 0
    unknown_and_said: int = 0
    said: str = ""
    recovery: str = ""
    wrong: list[str] = field(default_factory=list)

    def as_row(self) -> dict:
        return asdict(self)


# ── the installation, in this process or in processes of its own ───────────────────────────────────────────────────


class Stepped:
    """The worker in this process; the clock is moved by hand."""

    def __init__(self) -> None:
        self._heart = smarthost.sender()

    def pass_time(self, steps: tuple[int, ...], done: Callable[[], bool]) -> None:
        for seconds in steps:
            later(seconds=seconds)
            self._heart._recover_and_finish(clock.now())
            while self._heart.run_once(never):
                pass
            self._heart._recover_and_finish(clock.now())
            if done():
                return

    def end(self) -> None:
        self._heart.close()


class Running:
    """Two processes of their own that send; their clock runs SPEED times as fast, and this one's with it."""

    def __init__(self, config: ground.Config, receiver: Receiver) -> None:
        self._receiver = receiver
        db.close()
        self._senders = [_fork_sender(config) for _ in range(2)]

    def pass_time(self, steps: tuple[int, ...], done: Callable[[], bool]) -> None:
        assert until(lambda: self._receiver.connections, 60), "no sender connected"
        until(done, max(30.0 if steps is GOOD_FOR else 0, sum(steps) / SPEED), every=0.05)

    def end(self) -> None:
        for process in self._senders:
            os.kill(process, signal.SIGTERM)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in self._senders]
        assert codes == [0, 0], codes


def _fork_sender(config: ground.Config) -> int:
    """Start a process that sends, as `send-letters` does; return its number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        stopping = catch_signals(signal.SIGTERM)
        ground.set_current_config(config)
        open_database(config.database)
        smarthost.sender().run(lambda: bool(stopping))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


@contextmanager
def driver(receiver: Receiver, case: Case, whole: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stepped | Running]:
    """Give what sends. whole: processes of its own."""
    waits = any(word in case.answer for word in ("hang", "slow")) or case.setup
    times.shorten_waits(monkeypatch.setattr, times.REPLY_S if waits else times.PATIENT_S)
    if whole:
        times.quicken_clock(monkeypatch.setattr, SPEED)
    yield Running(ground.current_config(), receiver) if whole else Stepped()


# ── one row ────────────────────────────────────────────────────────────────────────────────────────────────────────


def receiver_for(case: Case, folder: Path) -> Receiver:
    """Return the server of a row."""
    made = Receiver(case.fault if case.place else None)
    if case.setup.startswith("starttls"):
        made.scheme, made.tls = "smtp+starttls", self_signed_context(folder)
    made.user = "school:secret@" if case.setup.startswith("login") else ""
    made.hides = case.setup.endswith("not offered")
    made.offers = () if case.setup == "no extension" else OFFERS
    made.loses_input = "loses input" in case.setup
    return made


def audience(school: cast.School, letters: int) -> None:
    """Fill class 1-1 with so many families, at a domain for each three of them."""
    Membership.delete().where(Membership.list == school.lists["1-1"]).execute()
    for number in range(letters // 3):
        smarthost.families(school.lists["1-1"], 3, f"d{number}.example", start=3 * number)
    User.update(language="en").execute()


def run_case(
    case: Case,
    school: cast.School,
    data: Path,
    browser: FlaskClient,
    whole: bool,
    letters: int,
    monkeypatch: pytest.MonkeyPatch,
) -> Outcome:
    """Run a row to its end; return what came of it."""
    audience(school, letters)
    found = Outcome(case.name, letters)
    with receiver_for(case, data) as receiver:
        ground.set_current_config(replace(ground.current_config(), smtp=receiver.url(), rate=0, domain_rate=0))
        notice = begun(school.users["花子"], [school.lists["1-1"]], urgent=case.urgent)
        with driver(receiver, case, whole, monkeypatch) as sending:
            sending.pass_time(BAD_FOR, lambda: fresh(notice).state in ENDED)
            found.arrived_while_bad = len(set(receiver.stored))
            until(lambda: not judge_bad(found, case, notice, browser), 60 if whole else 0, every=0.2)
            found.wrong += judge_bad(found, case, notice, browser)
            receiver.mend()
            sending.pass_time(GOOD_FOR, lambda: fresh(notice).state in ENDED)
            found.recovery = "by itself"
            if fresh(notice).state == NoticeState.HELD:
                found.recovery = "one button"
                workflow.release_held(fresh(notice), school.users["花子"], clock.now())
                sending.pass_time(GOOD_FOR, lambda: fresh(notice).state in ENDED)
            sending.end()
        judge_end(found, case, notice, receiver, read_pages(found, browser, notice, PAGES if whole else PAGES[1:]))
    return found


def judge_bad(found: Outcome, case: Case, notice: Notice, browser: FlaskClient) -> list[str]:
    """Return what tables and page say wrongly while the server is bad. A busy machine may need time to come so far."""
    states, row, wrong = smarthost.states(notice), fresh(notice), []
    page = read_pages(found, browser, notice, ("board",))["board"]
    found.said = row.pause_reason if row.state != NoticeState.HELD else f"asks: {row.hold_reason}"
    if case.says and row.pause_reason not in case.says.split("|"):
        wrong.append(f"pause reason {row.pause_reason!r}, not {case.says!r}")
    elif case.says and escape(say("en", outage_headline(row.pause_reason))) not in page:
        wrong.append("the page does not say why")
    if case.then in ("outage", "limit") and set(states) - {"waiting", "sending", "accepted", "unknown"}:
        wrong.append(f"letters {states} though it is about the server")
    if case.then == "outage" and Letter.select().where(Letter.attempts > 0, Letter.state == "waiting").exists():
        wrong.append("an attempt was counted")
    if case.then == "busy" and row.state not in ENDED and not states.get("deferred"):
        wrong.append(f"letters {states}, none to be tried again")
    if case.then == "message" and (row.state, row.hold_reason) != (NoticeState.HELD, "content"):
        wrong.append(f"the notice is {row.state}, not held for its content")
    return wrong


def judge_end(found: Outcome, case: Case, notice: Notice, receiver: Receiver, pages: dict[str, str]) -> None:
    """Count letters at the receiver against the tables and the pages."""
    kept = Counter(addresses.comparison_key(one) for one in receiver.stored)
    said_twice = {letter.delivery_id for letter in letters_possibly_twice(notice)}
    letters = list(Letter.select().where(Letter.notice == notice, Letter.is_current == True))
    found.arrived = len(kept)
    if len(letters) != found.letters:
        found.wrong.append(f"{len(letters)} letters in the tables")
    for letter in letters:
        count = kept[addresses.comparison_key(letter.address)]
        if letter.state == LetterState.UNKNOWN:
            found.unknown_and_said += 1
        elif (letter.state == LetterState.ACCEPTED) != bool(count):
            found.lost += letter.state == LetterState.ACCEPTED
            found.wrong.append(f"{letter.address} is {letter.state}, kept {count} times")
        if count > 1:
            found.doubled_and_said += letter.delivery_id in said_twice
            found.doubled_in_silence += letter.delivery_id not in said_twice
    judge_states(found, case, notice, letters)
    judge_words(found, notice, letters, said_twice, pages)
    if found.lost or found.doubled_in_silence:
        found.wrong.append(f"lost {found.lost}, doubled in silence {found.doubled_in_silence}")


def judge_states(found: Outcome, case: Case, notice: Notice, letters: list[Letter]) -> None:
    states = Counter(letter.state for letter in letters)
    allowed = {"accepted", *{"unknown": ["unknown"], "aside": ["refused"], "reader": ["refused"]}.get(case.then, [])}
    if set(states) - allowed:
        found.wrong.append(f"in the end {dict(states)}")
    if case.then == "aside" and states["refused"] != 1:
        found.wrong.append(f"{states['refused']} letters are refused, not one")
    if (
        case.then == "unknown"
        and case.place == "end"
        and not (states["unknown"] or found.doubled_and_said or case.urgent)
    ):
        found.wrong.append("no letter is unknown")
    if fresh(notice).state != NoticeState.SENT:
        found.wrong.append(f"the notice is {fresh(notice).state}")
    readers = [letter.person_id for letter in letters]
    excluded = Person.select().where(Person.id.in_(readers), Person.address_state.not_in(("fine", "refusing"))).count()
    if excluded > (case.then == "aside"):
        found.wrong.append(f"{excluded} readers are excluded")


def judge_words(
    found: Outcome, notice: Notice, letters: list[Letter], said_twice: set[int], pages: dict[str, str]
) -> None:
    """Compare pages and JSON with the tables."""
    document = progress.notice_document(fresh(notice), load_settings(), clock.now(), deliveries=True)
    counts = Counter(letter.state for letter in letters)
    if {state: count for state, count in document["counts"].items() if count} != dict(counts):
        found.wrong.append(f"JSON says {document['counts']}")
    if document["possibly_twice"] != len(said_twice):
        found.wrong.append(f"JSON says {document['possibly_twice']} possibly twice")
    if said_twice and not all("two copies" in pages[name] for name in ("notice", "board", "record")):
        found.wrong.append("a page does not say that letters may have arrived twice")
    unsaid = [
        one.address for one in letters if one.state == LetterState.UNKNOWN and one.person.name not in pages["notice"]
    ]
    if unsaid:
        found.wrong.append(f"{len(unsaid)} letters of unknown outcome are not named")


def read_pages(found: Outcome, browser: FlaskClient, notice: Notice, names: Iterable[str]) -> dict[str, str]:
    """Open pages that speak of the notice."""
    urls = {"home": "/", "board": f"/notices/{notice.id}/board"}
    urls["notice"] = urls["record"] = f"/notices/{notice.id}/record"
    answers = {name: browser.get(urls[name]) for name in names}
    found.wrong += [f"page {name}: {one.status_code}" for name, one in answers.items() if one.status_code != 200]
    return {name: one.text for name, one in answers.items()}
