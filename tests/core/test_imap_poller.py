"""One mail that cannot be fetched, read or moved never decides for the others (T-26)."""

import time
from types import SimpleNamespace

import pytest
from imap_tools.errors import MailboxCopyError

import clock
from core.inbound import imap_poller, spool
from mail import imap
from models import ImapStatus
from tests.cast_mail import DOMAIN, mail


class Mailbox:
    """The part of a mailbox of imap-tools that a session uses. broken: UIDs that are not handed over."""

    def __init__(self, count: int, broken: int = 0, full: bool = False) -> None:
        self.mails = {str(number): self._raw(number) for number in range(1, count + 1)}
        self.broken = {str(number) for number in range(1, broken + 1)}
        self.full, self.asked = full, 0
        self.client = SimpleNamespace(untagged_responses={}, uid=self._fetch)
        self.folder = SimpleNamespace(
            list=lambda: [SimpleNamespace(name=name, delim="/") for name in ("Kairan", "Kairan-other")]
        )

    def _raw(self, number: int) -> bytes:
        to = f"1nen1kumi@{DOMAIN}"
        return f"Delivered-To: {to}\nReceived: x\n".encode() + mail(f"a{number}@x.example", to, f"s{number}", "x")

    def uids(self, *_: object, **__: object) -> list[str]:
        return list(self.mails)

    def _fetch(self, _: str, uid: str, what: str) -> tuple[str, list]:
        self.asked += uid in self.broken
        if uid in self.broken:
            return "NO", [b"[SERVERBUG] message is corrupted"]
        raw = self.mails[uid]
        return ("OK", [b"1 (RFC822.SIZE %d)" % len(raw)]) if "SIZE" in what else ("OK", [(b"1 (BODY[]", raw), b")"])

    def move(self, uid: str, folder: str) -> None:
        if self.full:
            raise MailboxCopyError(("NO", [b"[OVERQUOTA] Mailbox is full"]), "OK")
        del self.mails[uid]


@pytest.fixture
def open_session(school, monkeypatch):
    def session(box: Mailbox) -> imap.ImapSession:
        monkeypatch.setattr(imap, "_open_mailbox", lambda *_: box)
        return imap.ImapSession(None)

    return session


def written(monkeypatch) -> list[bytes]:
    raws: list[bytes] = []
    monkeypatch.setattr(spool, "write_message", lambda sender, recipients, raw, now: raws.append(raw))
    return raws


def test_mails_that_cannot_be_moved_are_all_read_once_and_that_is_told(open_session, monkeypatch):
    raws, box = written(monkeypatch), Mailbox(4, full=True)
    session = open_session(box)
    assert [imap_poller.fetch_batch(session, clock.now()) for _ in range(2)] == [4, 0]
    assert len(raws) == len(set(raws)) == 4
    assert ImapStatus.load_row().reason == "folder" and "OVERQUOTA" in ImapStatus.load_row().detail


@pytest.mark.parametrize("broken", [1, 100, 250])
def test_mails_that_are_not_handed_over_are_put_aside_told_and_tried_again(open_session, monkeypatch, broken):
    raws, box = written(monkeypatch), Mailbox(broken + 3, broken)
    session = open_session(box)
    assert [imap_poller.fetch_batch(session, clock.now()) for _ in range(3)] == [3, 0, 0]
    assert (len(raws), len(box.mails), box.asked) == (3, broken, broken)
    assert ImapStatus.load_row().reason == "message" and "corrupted" in ImapStatus.load_row().detail
    later = time.monotonic() + imap.RETRY_MESSAGE_S
    monkeypatch.setattr(imap.time, "monotonic", lambda: later + 1)
    box.broken.clear()
    assert sum(imap_poller.fetch_batch(session, clock.now()) for _ in range(4)) == broken
    assert imap_poller.fetch_batch(session, clock.now()) == 0
    assert (len(raws), box.mails, ImapStatus.load_row().reason) == (broken + 3, {}, "")


def test_a_mail_that_breaks_the_reader_is_put_aside(open_session, monkeypatch):
    raws, box = written(monkeypatch), Mailbox(3)
    found = imap.find_recipients
    monkeypatch.setattr(imap, "find_recipients", lambda raw, named: 1 / 0 if b"s2" in raw else found(raw, named))
    assert imap_poller.fetch_batch(open_session(box), clock.now()) == 2
    assert (len(raws), list(box.mails), ImapStatus.load_row().detail) == (2, ["2"], "ZeroDivisionError")


def test_a_full_disk_stops_the_poll(open_session, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "write_message", full)
    box = Mailbox(3)
    with pytest.raises(OSError):
        imap_poller.fetch_batch(open_session(box), clock.now())
    assert len(box.mails) == 3
