"""`flask config`: one home of the settings, and what a terminal sees is what the service sees."""

import json
import os

import pytest
from click.testing import CliRunner

import clock
import config as ground
from cli.config import config as config_group
from cli.config import read_unit
from cli.work import work
from core import process_settings, settings
from core.settings import load_settings
from core.system import diagnostics
from database import db
from models import Letter, Organization
from tests import smarthost

SECRET = "smtps://school:p%40ss%3Aword@smtp.example.net:465"


@pytest.fixture
def run(school, config, monkeypatch):
    """Run a command with KAIRAN_DATA alone, as the manual prints it."""
    monkeypatch.setenv("KAIRAN_DATA", str(config.data))

    def command(*words, typed=None):
        return CliRunner().invoke(config_group, words, input=typed)

    yield command
    db.close()


def test_what_is_set_on_the_terminal_is_read_by_every_process(run, config):
    assert run("set", "hour_rate", "300").exit_code == 0
    assert run("get", "hour_rate").stdout == "300\n"
    ground.set_current_config(ground.load_config({"KAIRAN_DATA": str(config.data)}))
    assert load_settings().hour_rate == 300
    assert run("set", "hour_rate", "").exit_code == 0 and load_settings().hour_rate == 0


def test_a_password_is_read_from_standard_input_and_never_printed(run, config):
    answers = [
        run("set", "smtp", "--stdin", typed=f"{SECRET}\n"),
        run("get", "smtp"),
        run("list"),
        run("list", "--json"),
    ]
    assert [one.exit_code for one in answers] == [0, 0, 0, 0], answers[0].output
    assert ground.read_file(config.data)["smtp"] == SECRET
    assert (config.data / "kairan.toml").stat().st_mode & 0o777 == 0o600
    for one in answers:
        assert "p%40ss" not in one.output and "p@ss" not in one.output
    assert answers[1].stdout == "smtps://school:********@smtp.example.net:465\n"


def test_the_list_says_where_each_value_comes_from(run, monkeypatch):
    run("set", "mail_domain", "mail.school.example")
    monkeypatch.setenv("KAIRAN_RATE", "60")
    answer = run("list", "--json")
    rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(answer.stdout)}
    assert rows["mail_domain"] == ("mail.school.example", "kairan.toml")
    assert rows["rate"] == ("60", "environment") and rows["imap"] == ("", "default")
    assert "data" not in rows and "environment of this command: rate" in run("list").stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("set", "rate", "x"), 1),
        (("set", "smtp", "http://x"), 1),
        (("set", "smtp", "smtp://u:p@mail.example.net"), 1),
        (("set", "mail_domain", "a b"), 1),
        (("set", "nothing", "x"), 2),
        (("set", "rate"), 2),
        (("get", "data"), 2),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(run, config, words, code):
    answer = run(*words)
    assert answer.exit_code == code and not (config.data / "kairan.toml").exists()
    assert code == 2 or answer.stderr.count("\n") == 1


def test_a_terminal_command_sends_by_the_server_of_the_page(run, school, config):
    """The service had the server in its unit, the terminal had none: letters went to the outbox."""
    with smarthost.running() as (host, port):
        settings.update_organization(school.users["守"], smtp=f"smtp://127.0.0.1:{port}", rate=0, domain_rate=0)
        smarthost.begun(school.users["花子"], [school.lists["1-1"]])
        answer = CliRunner().invoke(work, ["--drain"])
        assert answer.exit_code == 0, answer.output
    assert len(host.mails) == 4 and not list((config.data / "outbox").iterdir())
    assert {one.state for one in Letter.select().where(Letter.notice.is_null(False))} == {"accepted"}


# ── from a unit of systemd ────────────────────────────────────────────────────────────────────────────────────────

UNIT = f"""[Service]
User=kairan
Environment=KAIRAN_DATA=/var/lib/kairan
Environment="KAIRAN_HTTP=127.0.0.1:8010" KAIRAN_BASE_URL=https://kairan.school.example
Environment=KAIRAN_SMTP={SECRET}
# Environment=KAIRAN_INLET=lmtp://127.0.0.1:8024
Environment=KAIRAN_RATE='60'
"""


def test_settings_of_a_unit_move_into_the_file(run, config, tmp_path):
    """A password with %40 made systemd drop the line: the service went on without a mail server."""
    unit = tmp_path / "kairan.service"
    unit.write_text(UNIT.replace("%40", "%%40"), "utf-8")  # as systemd wants it; the other % was never understood
    answer = run("import-env", str(unit))
    assert answer.exit_code == 0, answer.output
    assert "p%40ss" not in answer.output and "now remove" in answer.stderr.lower()
    assert ground.read_file(config.data) == {
        "http": "127.0.0.1:8010",
        "base_url": "https://kairan.school.example",
        "smtp": SECRET,
        "rate": 60,
    }


def test_lines_of_a_unit(tmp_path):
    assert read_unit(UNIT)["KAIRAN_SMTP"] == SECRET and "KAIRAN_INLET" not in read_unit(UNIT)


def test_settings_of_the_environment_move_into_the_file(run, config, monkeypatch):
    assert "No KAIRAN_… setting" in run("import-env").stderr
    monkeypatch.setenv("KAIRAN_MAIL_DOMAIN", "mail.school.example")
    assert run("import-env").stdout == "mail_domain = mail.school.example\n"
    assert ground.read_file(config.data) == {"mail_domain": "mail.school.example"}


def test_what_an_earlier_version_kept_in_its_tables_moves_into_the_file(run, config):
    row = Organization.load_row()
    Organization.update(smtp=SECRET, mail_mode="mailbox", plus=True, hour_rate=50, rate=300).execute()
    ground.write_file(config.data, {"hour_rate": 70})
    answer = run("get", "road")
    assert answer.stdout == "mailbox\n" and "hour_rate, plus, road, smtp" in answer.stderr
    assert ground.read_file(config.data) == {"hour_rate": 70, "smtp": SECRET, "road": "mailbox", "plus": "yes"}
    row = Organization.get_by_id(row.id)
    assert (row.smtp, row.mail_mode, row.plus, row.hour_rate) == ("", "", False, 0)
    assert run("get", "road").stderr == ""


# ── the service and the terminal ──────────────────────────────────────────────────────────────────────────────────


def settings_check() -> diagnostics.CheckResult:
    found = diagnostics.check_system(ground.current_config(), load_settings(), clock.now())
    return next(one for one in found if one.kind == "settings")


def test_the_doctor_names_settings_that_the_service_sees_otherwise(config, monkeypatch):
    assert settings_check().ok is True  # no service is known
    monkeypatch.setenv("KAIRAN_RATE", "60")
    ground.set_current_config(ground.load_config({**os.environ, "KAIRAN_DATA": str(config.data)}))
    process_settings.publish()  # the service, with the variable in its unit
    assert settings_check().ok is True
    text = (config.data / "run" / "service.json").read_text()
    assert (
        "60" not in json.loads(text)["seen"].values()
        and (config.data / "run" / "service.json").stat().st_mode & 0o77 == 0
    )
    monkeypatch.delenv("KAIRAN_RATE")
    ground.set_current_config(ground.load_config({"KAIRAN_DATA": str(config.data)}))
    found = settings_check()
    assert (found.ok, found.found) == (False, "rate") and "config list" in found.advice
    ground.write_file(config.data, {"rate": 60})
    assert settings_check().ok is True


def test_a_variable_of_the_terminal_alone_is_named_too(config, monkeypatch):
    ground.set_current_config(ground.load_config({"KAIRAN_DATA": str(config.data)}))
    process_settings.publish()
    monkeypatch.setenv("KAIRAN_SMTP", "smtp://127.0.0.1:9")
    ground.set_current_config(ground.load_config({**os.environ, "KAIRAN_DATA": str(config.data)}))
    assert settings_check().found == "smtp"
