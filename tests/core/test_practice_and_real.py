"""Practice and real are a state of the installation and of each notice, not of the environment of one process."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

import clock
import config as ground
from cli.work import work
from core import settings
from core.delivery import outage
from core.errors import DomainError
from core.notifications.notify import notify
from models import AuditLog, Letter, Notice, NoticeState, Organization
from tests import smarthost
from tests.smarthost import begun, drained, fresh, later, sender, states


def forget_the_server() -> None:
    """Leave the process without the mail server, as a terminal is whose environment lacks it."""
    ground.set_current_config(replace(ground.current_config(), smtp=""))


def outbox() -> list:
    return list((ground.current_config().data / "outbox").glob("*.eml"))


def test_a_terminal_without_the_mail_server_takes_no_letter_of_a_real_notice(school, hanako, monkeypatch):
    """`work --drain` once took 113 of 150 letters of a real notice into the outbox, counted as accepted."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        notice = begun(hanako, [school.lists["1-1"]])
        heart = sender()
        heart.run_once(lambda: bool(host.mails))  # the service has sent the first letter
        heart.close()
        taken = len(host.mails)
        assert 0 < taken < 4
        before = states(notice)
        monkeypatch.setenv("KAIRAN_DATA", str(ground.current_config().data))
        answer = CliRunner().invoke(work, ["--drain"])
        assert answer.exit_code == 1 and "knows no mail server" in answer.stderr and "config set smtp" in answer.stderr
        assert outbox() == [] and states(notice) == before and fresh(notice).state == NoticeState.SENDING
        smarthost.send_by(port)
        assert drained() and states(notice) == {"accepted": 4}
        assert len(host.mails) == 4 and outbox() == []


def test_a_service_that_lost_its_mail_server_pauses_and_says_so(school, hanako, as_):
    """As when systemd drops the line of the unit that names the server."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        assert drained()  # nothing is due; from now on this installation is real
        notice = begun(hanako, [school.lists["1-1"]])
        forget_the_server()
        heart = sender()
        assert heart.run_once(lambda: False) == 0
        heart.close()
        assert outbox() == [] and states(notice) == {"waiting": 4}
        paused = fresh(notice)
        assert (paused.state, paused.pause_reason, paused.practice) == (NoticeState.PAUSED, "no_route", False)
        assert outage.current_outage(paused).headline == "No mail server is set any more, so nothing is being sent."
        page = as_("花子").get("/").get_data(as_text=True)
        assert "メールサーバーの設定がなくなりました" in page and "練習中" not in page
        smarthost.send_by(port)
        later(minutes=2)
        assert drained() and len(host.mails) == 4
        assert fresh(notice).state == "sent" and outbox() == []


def test_a_notice_that_starts_in_a_process_without_the_server_stays_real(school, hanako):
    with smarthost.running() as (_host, port):
        smarthost.send_by(port)
        assert drained()
    forget_the_server()
    notice = begun(hanako, [school.lists["1-1"]])
    assert not fresh(notice).practice and not settings.load_settings().practice


def test_login_letters_wait_too(school):
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        assert drained()
        forget_the_server()
        letter = notify("test", school.users["守"], clock.now(), to_name="")
        assert not drained() and outbox() == []
        assert Letter.get_by_id(letter.id).state == "waiting"
        smarthost.send_by(port)
        assert drained() and len(host.mails) == 1


def test_letters_of_a_practice_never_leave(school, hanako):
    """The notice began before a mail server was set: its letters go to the outbox, whatever is set now."""
    practice = begun(hanako, [school.lists["1-1"]])
    assert fresh(practice).practice
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        real = begun(hanako, [school.lists["2-1"]], subject="本番")
        assert drained()
        assert states(practice) == {"accepted": 4} and len(outbox()) == 4
        assert len(host.mails) == sum(states(real).values()) > 0


def test_whoever_practises_again_keeps_the_real_letters_waiting(school, hanako, as_confirmed):
    with smarthost.running() as (_host, port):
        smarthost.send_by(port)
        assert drained()
        real = begun(hanako, [school.lists["1-1"]])
    forget_the_server()
    browser = as_confirmed("守")
    assert "もう一度練習する" in browser.get("/admin/mail").get_data(as_text=True)
    assert browser.post("/admin/mail/practice").status_code == 303
    assert Organization.load_row().live_since is None and settings.load_settings().practice
    assert AuditLog.select().where(AuditLog.action == "organization.practice").count() == 1
    practice = begun(hanako, [school.lists["2-1"]], subject="練習")
    assert drained()
    assert states(real) == {"waiting": 4} and not fresh(real).practice
    assert set(states(practice)) == {"accepted"} and len(outbox()) == sum(states(practice).values())
    assert Notice.get_by_id(practice.id).practice


def test_practising_needs_the_password_and_no_server(school, as_, as_confirmed):
    with smarthost.running() as (_host, port):
        smarthost.send_by(port)
        assert drained()
        assert as_("守").post("/admin/mail/practice").status_code == 303
        with pytest.raises(DomainError, match="A mail server is set"):
            settings.return_to_practice(school.users["守"])
        assert Organization.load_row().live_since is not None
