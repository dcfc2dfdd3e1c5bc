"""The outbox: letters of practice, kept as files for administrators."""

import stat
from datetime import UTC, datetime, timedelta

import pytest

import clock
from core.delivery import dev_outbox
from mail.smtp import SmtpConnection

NOW = datetime(2026, 11, 7, 21, 12, 3, 456789, tzinfo=UTC)
LETTER = b"From: a@school.example\r\nSubject: x\r\n\r\n.hello\r\n"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    server = dev_outbox.make_server(tmp_path / "outbox")
    yield server
    server.stop()


def test_a_letter_is_kept_as_it_came(server, tmp_path):
    line = SmtpConnection(server.start(), "mail.school.example", 5)
    assert line.send("b-mark@school.example", "taro@parents.example", LETTER).accepted
    assert line.send("", "hanako@parents.example", LETTER).accepted
    line.close()
    folder = tmp_path / "outbox"
    kept = dev_outbox.list_letters(folder)
    texts = sorted(dev_outbox.read_letter(folder, letter.name) for letter in kept)
    assert texts == [
        b"X-Kairan-Envelope-From: <>\r\nX-Kairan-Envelope-To: hanako@parents.example\r\n" + LETTER,
        b"X-Kairan-Envelope-From: <b-mark@school.example>\r\nX-Kairan-Envelope-To: taro@parents.example\r\n" + LETTER,
    ]
    assert {letter.at for letter in kept} == {NOW}
    assert {stat.S_IMODE((folder / letter.name).stat().st_mode) for letter in kept} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_full_disk_defers(server, tmp_path, monkeypatch):
    def no_room(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dev_outbox, "save_letter", no_room)
    line = SmtpConnection(server.start(), "mail.school.example", 5)
    assert line.send("", "hanako@parents.example", LETTER).deferred
    line.close()


def test_it_stops_with_connections_open_and_starts_again(server):
    first = SmtpConnection(server.start(), "mail.school.example", 5)
    first.open()
    server.stop()
    server.stop()
    second = SmtpConnection(server.start(), "mail.school.example", 5)
    assert second.send("", "hanako@parents.example", LETTER).accepted
    second.close()
    first.close()


def test_the_newest_letter_comes_first(tmp_path):
    names = [
        dev_outbox.save_letter(tmp_path, "", ["a@b.example"], LETTER, NOW + timedelta(minutes=n)) for n in (1, 3, 2)
    ]
    (tmp_path / "other.txt").write_text("x")
    (tmp_path / f"{names[0]}.part").write_text("x")
    assert [letter.name for letter in dev_outbox.list_letters(tmp_path)] == [names[1], names[2], names[0]]
    assert dev_outbox.list_letters(tmp_path / "nowhere") == []


def test_old_letters_are_swept(tmp_path):
    old = dev_outbox.save_letter(tmp_path, "", ["a@b.example"], LETTER, NOW - timedelta(days=14, seconds=1))
    young = dev_outbox.save_letter(
        tmp_path, "", ["a@b.example"], LETTER, NOW - timedelta(days=14) + timedelta(seconds=1)
    )
    assert dev_outbox.delete_old_letters(tmp_path, NOW) == 1
    assert dev_outbox.delete_old_letters(tmp_path, NOW) == 0
    assert [letter.name for letter in dev_outbox.list_letters(tmp_path)] == [young] and old != young


@pytest.mark.parametrize("name", ["../secret.key", "/etc/passwd", "x.eml", "", "20261107T211203456789Z-0.eml\n"])
def test_only_letters_can_be_read(tmp_path, name):
    (tmp_path.parent / "secret.key").write_text("x")
    with pytest.raises(dev_outbox.NoSuchLetter):
        dev_outbox.read_letter(tmp_path, name)


def test_a_letter_that_is_gone_is_told(tmp_path):
    with pytest.raises(dev_outbox.NoSuchLetter):
        dev_outbox.read_letter(tmp_path, "20261107T211203456789Z-0123456789abcdef.eml")
