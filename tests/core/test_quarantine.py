"""A restored copy: nothing leaves it and no mail is taken, until an administrator takes over."""

import asyncio
import json
import os
import socket
import tarfile
from dataclasses import replace

import pytest
from aiosmtpd.smtp import Envelope, Session
from click.testing import CliRunner

import clock
import config as ground
import smtpd
import tasks
from cli.deliver import deliver
from cli.work import work
from core import backup, install, quarantine
from core.delivery.worker import SmtpWorker
from core.inbound import imap_poller
from core.notifications.notify import notify
from core.quarantine import Quarantine
from core.settings import load_settings, update_organization
from core.system import diagnostics, mail_settings, nightly_backup, restore
from database import db
from mail.imap import MailboxUnavailable
from models import AuditLog, Letter, NoticeState
from tests import smarthost
from tests.smarthost import begun, book, drained, fresh, sender, states, written


@pytest.fixture
def host(school):
    with smarthost.running() as (found, port):
        smarthost.send_by(port)
        update_organization(None, smtp=f"smtp://127.0.0.1:{port}")  # as a page stores it: it is in the backup
        yield found


def restored(tmp_path, name: str = "copy") -> ground.Config:
    """Back the installation in force up and restore it into a folder beside it."""
    here = ground.current_config()
    made = backup.create_backup(here, tmp_path / "all.tar.gz", clock.now())
    copy = replace(here, data=tmp_path / name, smtp="")
    db.close()
    ground.set_current_config(copy)
    restore.restore_backup(copy, made.path, clock.now())
    return copy


def test_a_rehearsed_restore_sends_nothing(school, host, hanako, tmp_path, monkeypatch):
    """An empty KAIRAN_SMTP did not override the mail server of the page: the copy sent real letters."""
    notice = begun(hanako, [school.lists["1-1"]])
    booked = book(written(hanako, [school.lists["2-1"]], subject="予約"), hanako, hours=1)
    copy = restored(tmp_path)
    assert load_settings().quarantined and load_settings().route is not None
    notify("test", hanako, clock.now(), to_name="")
    smarthost.later(hours=2)
    monkeypatch.setenv("KAIRAN_DATA", str(copy.data))
    monkeypatch.setenv("KAIRAN_SMTP", "")
    answer = CliRunner().invoke(work, ["--drain"])
    assert answer.exit_code == 1 and "restored copy" in answer.stderr and "take-over" in answer.stderr
    ground.set_current_config(copy)
    heart = sender()
    assert heart.run_once(lambda: False) == 0
    heart._recover_and_finish(clock.now())
    heart.close()
    tasks._run_due_jobs()
    assert host.mails == [] and not list((copy.data / "outbox").iterdir())
    assert fresh(booked).state == NoticeState.SCHEDULED and states(notice) == {"waiting": 4}
    assert Letter.select().where(Letter.kind == "test", Letter.state == "waiting").count() == 1


def test_after_the_take_over_letters_leave_and_late_notices_ask(school, host, hanako, tmp_path):
    booked = book(written(hanako, [school.lists["1-1"]]), hanako, hours=1)
    copy = restored(tmp_path)
    rehearsed = notify("test", hanako, clock.now(), to_name="")
    smarthost.later(hours=2)
    restore.take_over(school.users["守"], clock.now())
    assert not load_settings().quarantined and not (copy.data / "quarantine").exists()
    assert AuditLog.select().where(AuditLog.action == "house.taken_over").count() == 1
    tasks._run_due_jobs()
    assert (fresh(booked).state, fresh(booked).hold_reason) == ("held", "late")
    assert Letter.get_by_id(rehearsed.id).state == "cancelled"
    assert drained() and host.mails == []
    real = begun(hanako, [school.lists["2-1"]], subject="本番")
    assert drained() and set(states(real)) == {"accepted"} and len(host.mails) == sum(states(real).values())
    assert restore.take_over(None, clock.now()) is None  # again: nothing to do


def test_a_restored_copy_takes_no_mail(school, host, tmp_path, monkeypatch):
    update_organization(None, mail_mode="mailbox", imap="imaps://s:p@imap.example.org", mailbox="school@example.org")
    copy = restored(tmp_path)
    monkeypatch.setattr(imap_poller, "ImapSession", lambda *_: pytest.fail("the mailbox was opened"))
    account = load_settings().imap_account
    assert account is not None
    assert imap_poller.ImapPoller().run_once() is False
    with pytest.raises(MailboxUnavailable, match="restored copy"):
        imap_poller.poll_once(account, clock.now())
    assert imap_poller.test_account(account, clock.now()).reason == "quarantine"
    said = asyncio.run(
        smtpd.InboundHandler().handle_RCPT(None, Session(None), Envelope(), "1nen1kumi@mail.school.example", [])
    )
    assert said.startswith("451")
    (copy.data / "inbox").mkdir(exist_ok=True)
    assert smtpd.SpoolWorker().run_once() == 0
    monkeypatch.setenv("KAIRAN_DATA", str(copy.data))
    answer = CliRunner().invoke(deliver, ["--recipient", "1nen1kumi@mail.school.example"], input=b"Subject: x\n\nx")
    assert answer.exit_code == os.EX_TEMPFAIL


def test_a_restored_copy_leaves_the_second_place_of_backups_alone(school, host, tmp_path, monkeypatch):
    copy = restored(tmp_path)
    ground.set_current_config(replace(copy, backup_copy=str(tmp_path)))
    monkeypatch.setattr(nightly_backup, "_may_run", lambda now: pytest.fail("an hourly job ran"))
    tasks._housekeeping()
    restore.take_over(None, clock.now())
    reached = []
    monkeypatch.setattr(nightly_backup, "_may_run", lambda now: reached.append(now))
    monkeypatch.setattr(tasks, "HOURLY_JOBS", (nightly_backup.run_nightly_backup,))
    tasks._housekeeping()
    assert len(reached) == 1


def test_the_test_letter_and_the_doctor_say_it(school, host, tmp_path):
    restored(tmp_path)
    result = mail_settings.send_test_letter(school.users["守"], clock.now())
    assert result.ok is False and "restored copy" in result.advice and host.mails == []
    (found,) = (
        one
        for one in diagnostics.check_system(ground.current_config(), load_settings(), clock.now())
        if one.kind == "smtp"
    )
    assert found.ok is False and "take-over" in found.advice


def test_every_organizers_page_says_it_and_an_administrator_takes_over(school, as_, as_confirmed, config):
    quarantine.begin(config.data, Quarantine(state_of="2026-10-14T03:17:00+09:00"))
    banner = "これは控えから復元したものです"
    for name in ("花子", "見る子", "守"):
        for page in ("/", "/lists", "/account"):
            answer = as_(name).get(page)
            assert answer.status_code == 200 and banner in answer.text, (name, page)
    assert as_("花子").get("/admin/copy").status_code == 403
    assert as_("花子").post("/admin/copy/take-over").status_code == 403
    unconfirmed = as_("守").post("/admin/copy/take-over")
    assert unconfirmed.status_code == 303 and "/account/confirm" in unconfirmed.location and quarantine.is_active()
    browser = as_confirmed("守")
    assert "2026-10-14T03:17:00+09:00" in browser.get("/admin/copy").text
    assert browser.post("/admin/copy/take-over").status_code == 303 and not quarantine.is_active()
    after = browser.get("/")
    assert after.status_code == 200 and banner not in after.text


def test_the_earlier_installation_on_this_machine_is_told(school, host, hanako, config, tmp_path):
    """It may still run: from now on it sends nothing, and its pages say where the real one is."""
    copy = restored(tmp_path)
    assert json.loads((copy.data / "quarantine").read_text())["data"] == str(config.data)
    assert restore.take_over(None, clock.now()) == config.data
    mark = json.loads((config.data / "quarantine").read_text())
    assert (mark["reason"], mark["data"], mark["host"]) == ("replaced", str(copy.data), socket.gethostname())
    assert (config.data / "quarantine").stat().st_mode & 0o777 == 0o600
    ground.set_current_config(config)
    assert quarantine.load().reason == "replaced" and not drained()


@pytest.mark.parametrize("other", ["secret", "host"])
def test_no_other_installation_is_touched(school, host, config, tmp_path, other):
    copy = restored(tmp_path)
    if other == "secret":
        (config.data / "keys").unlink()
        (config.data / "keys").mkdir()
        (config.data / "keys" / "secret").write_bytes(b"another school")
    else:
        quarantine.begin(copy.data, replace(quarantine.load(), host="elsewhere"))
    assert restore.take_over(None, clock.now()) is None and not (config.data / "quarantine").exists()


def test_a_restore_that_is_cut_off_never_sends(school, host, tmp_path, monkeypatch):
    """The mark is written before the restored data is in place."""
    here = ground.current_config()
    made = backup.create_backup(here, tmp_path / "all.tar.gz", clock.now())
    copy = ground.set_current_config(replace(here, data=tmp_path / "copy"))
    db.close()
    swap = restore._swap_data

    def swap_and_die(*words):
        swap(*words)
        raise KeyboardInterrupt

    monkeypatch.setattr(restore, "_swap_data", swap_and_die)
    with pytest.raises(KeyboardInterrupt):
        restore.restore_backup(copy, made.path, clock.now())
    install.prepare_data_folder(copy)
    assert load_settings().quarantined and not drained()


def test_a_mark_that_cannot_be_read_counts(config):
    (config.data / "quarantine").write_text("{")
    assert quarantine.is_active() and quarantine.load() == Quarantine()


def test_a_backup_of_a_copy_does_not_hold_the_mark(school, config, tmp_path):
    quarantine.begin(config.data, Quarantine())
    assert backup.create_backup(config, tmp_path / "all.tar.gz", clock.now()).files
    with tarfile.open(tmp_path / "all.tar.gz") as tar:
        assert "quarantine" not in tar.getnames() and "kairan.db" in tar.getnames()


def test_a_running_worker_stops_at_the_mark(school, host, hanako, config):
    notice = begun(hanako, [school.lists["1-1"]])
    heart: SmtpWorker = sender()
    quarantine.begin(config.data, Quarantine())
    assert heart.run_once(lambda: False) == 0 and states(notice) == {"waiting": 4}
    quarantine.end()
    assert heart.run_once(lambda: False) == 4 and states(notice) == {"accepted": 4}
    heart.close()
    assert len(host.mails) == 4
