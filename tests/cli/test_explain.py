"""`flask explain`: one JSON line a mail, from files, folders, mailboxes and standard input, with no data folder."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.explain import COLUMNS, explain, split_mbox

SAMPLES = Path(__file__).parent.parent / "mail" / "inbound"
BOUNCE = SAMPLES / "postfix-user-unknown.eml"
REPLY = SAMPLES / "ordinary-reply.eml"


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Set a data folder that cannot be made: reading mails must not need one."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KAIRAN_DATA", str(tmp_path / "file" / "data"))


def run(*arguments: object, given: bytes = b"") -> list[dict]:
    done = CliRunner().invoke(explain, ["--json", *map(str, arguments)], input=given)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


def test_a_bounce_under_the_keys_that_scripts_rely_on():
    """design.md 4."""
    (found,) = run(BOUNCE)
    assert tuple(found) == COLUMNS
    assert found == {
        "kind": "bounce",
        "permanent": True,
        "status": "5.1.1",
        "reason": "unknown_user",
        "failed": ["hanako@parents.example"],
        "from": "MAILER-DAEMON@mx.parents.example",
        "subject": "Undelivered Mail Returned to Sender",
        "text": found["text"],
    }
    assert found["text"].startswith("This is the mail system")


def test_standard_input_files_and_folders(tmp_path):
    assert [found["kind"] for found in run(given=REPLY.read_bytes())] == ["ordinary"]
    folder = tmp_path / "mails"
    (folder / "deeper").mkdir(parents=True)
    (folder / "b.eml").write_bytes(BOUNCE.read_bytes())
    (folder / "deeper" / "a.eml").write_bytes(REPLY.read_bytes())
    assert [found["kind"] for found in run(folder, REPLY)] == ["bounce", "ordinary", "ordinary"]


def test_a_mailbox_is_cut_into_its_mails():
    mailbox = b"".join(
        b"From x@y.example Sun Nov  8 07:00:00 2026\n" + path.read_bytes().replace(b"\nFrom ", b"\n>From ") + b"\n\n"
        for path in (BOUNCE, REPLY, BOUNCE)
    )
    assert [found["kind"] for found in run(given=mailbox)] == ["bounce", "ordinary", "bounce"]
    assert list(split_mbox(b"Subject: x\n\nFrom here on it is cold at 12:00 o'clock\nA: b\n")) == [
        b"Subject: x\n\nFrom here on it is cold at 12:00 o'clock\nA: b\n"
    ]


@pytest.mark.parametrize("raw", [b"", b"\xff\x00\n\n\xff", b'From: "\n', b"From \n", b"\x1b$B"])
def test_no_bytes_end_it(raw):
    (found,) = run(given=raw)
    assert found["kind"] == "ordinary" and found["permanent"] is None


def test_a_form_for_people():
    shown = CliRunner().invoke(explain, [str(BOUNCE)]).output
    assert shown.splitlines()[0] == "bounce · permanent · 5.1.1 · There is no such address."
    assert "  failed   hanako@parents.example" in shown


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path):
    done = CliRunner().invoke(explain, [str(tmp_path / "none.eml")])
    assert done.exit_code == 2
