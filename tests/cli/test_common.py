"""What is wrong with the machine or the words typed: one clear line, exit code 1, never a traceback (design 4)."""

import errno

import pytest
from click.testing import CliRunner

from cli.lists import list_group
from cli.notice import notice
from database import db


@pytest.fixture
def run(school, config, monkeypatch):
    """Run one command on the installation of this test."""
    monkeypatch.setenv("KAIRAN_DATA", str(config.data))
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")  # as on the terminal: no pages are put together
    yield lambda what, *words: CliRunner().invoke(what, words)
    db.close()


def is_one_line(ended, word):
    return ended.exit_code == 1 and len(ended.stderr.splitlines()) == 1 and word in ended.stderr


@pytest.mark.parametrize("wanted", ["9" * 20, "9" * 5000, "²", "x"])
def test_a_list_that_cannot_be_is_named(run, wanted):
    assert is_one_line(run(list_group, "show", wanted), "There is no list")


@pytest.mark.parametrize("number", ["9" * 20, "0", "x"])
def test_a_number_no_notice_can_have_is_wrong_usage(run, number):
    assert run(notice, "show", number).exit_code == 2


@pytest.mark.parametrize("route", ["ftp://x", "smtp://[", "smtp://x:99999", "x"])
def test_a_mail_server_that_cannot_be_is_one_line(run, monkeypatch, route):
    monkeypatch.setenv("KAIRAN_SMTP", route)
    words = ("send", "--list", "1nen1kumi", "--subject", "s", "--body-file", __file__, "--by", "花子")
    assert is_one_line(run(notice, *words), "KAIRAN_SMTP")


def test_a_broken_database_is_one_line(run, config):
    db.close()
    config.database.write_bytes(b"this is no database" * 500)
    assert is_one_line(run(list_group, "show"), str(config.database))


def test_a_full_disk_is_one_line_and_other_faults_stay_loud(run, monkeypatch):
    def full(value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cli.lists.print_json", full)
    assert is_one_line(run(list_group, "show", "1nen1kumi", "--json"), "disk is full")
    monkeypatch.setattr("cli.lists.print_json", lambda value: 1 / 0)
    assert isinstance(run(list_group, "show", "1nen1kumi", "--json").exception, ZeroDivisionError)


def test_files_beside_the_database_are_for_nobody_else(run, config):
    assert run(list_group, "show", "1nen1kumi").exit_code == 0
    files = list(config.data.glob("kairan.db*"))
    assert files and not [one.name for one in files if one.stat().st_mode & 0o077]
