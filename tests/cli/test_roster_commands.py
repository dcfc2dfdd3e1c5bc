"""`flask list`, `flask member`, `flask sender` (design 4)."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.lists import list_group, member_group, sender_group
from core.accounts.accounts import name_key
from database import db
from models import AllowedSender, AuditLog, Letter, MailingList, Membership, Person, Role, User

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def run(config, monkeypatch):
    """Run one command on the installation of this test."""
    monkeypatch.setenv("KAIRAN_DATA", str(config.data))
    monkeypatch.setenv("KAIRAN_MAIL_DOMAIN", config.mail_domain)

    def command(what, *words):
        return CliRunner().invoke(what, words)

    yield command
    db.close()


@pytest.fixture
def zenko(run):
    assert run(list_group, "add", "全校", "--address", "zenko", "--whole").exit_code == 0


def test_a_list_is_added_and_shown_with_all_keys(run):
    assert run(list_group, "add", "3年2組", "--address", "3nen2kumi").stdout == "1\n"
    shown = {"number": 1, "name": "3年2組", "address": "3nen2kumi"}
    counts = {"members": 0, "active": 0, "stopped": 0, "bounced": 0, "pending": 0}
    for wanted in ("3nen2kumi", "1", "3年2組"):
        assert json.loads(run(list_group, "show", wanted, "--json").stdout) == {**shown, **counts}


def test_a_list_gets_the_manager_that_is_named(run):
    """T-38"""
    User.create(name="花子", name_key=name_key("花子"))
    assert run(list_group, "add", "3年2組", "--address", "3nen2kumi", "--manager", "花子").stdout == "1\n"
    assert [(role.user.name, role.kind, role.list_id) for role in Role.select()] == [("花子", "manager", 1)]
    failed = run(list_group, "add", "3年3組", "--address", "3nen3kumi", "--manager", "太郎")
    assert failed.exit_code == 1 and "太郎" in failed.stderr
    assert [row.address for row in MailingList.select()] == ["3nen2kumi"]


@pytest.mark.parametrize("address", ["postmaster", "3年2組", "zenko"])
def test_a_bad_address_fails_with_one_line(run, zenko, address):
    failed = run(list_group, "add", "別", "--address", address)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert len(failed.stderr.strip().splitlines()) == 1


def test_wrong_usage_is_2(run):
    assert run(list_group, "add", "別").exit_code == 2
    assert run(member_group, "import", "zenko", "/no/such/file").exit_code == 2


def test_both_demo_files_give_the_same_people(run, zenko):
    for name in ("demo_members.csv", "demo_members_sjis.csv"):
        assert run(member_group, "import", "zenko", str(DEMO / name)).exit_code == 0
    counted = json.loads(run(list_group, "show", "zenko", "--json").stdout)
    assert {key: counted[key] for key in ("members", "active", "stopped", "bounced", "pending")} == {
        "members": 39,
        "active": 36,
        "stopped": 1,
        "bounced": 1,
        "pending": 1,
    }


def test_a_dry_run_writes_nothing(run, zenko):
    done = run(member_group, "import", "zenko", str(DEMO / "demo_members.csv"), "--dry-run")
    assert done.exit_code == 0
    assert "40 added" in done.stderr
    assert Person.select().count() == 0


def test_wrong_lines_are_named_and_the_good_ones_written(run, zenko, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("氏名,メール\n山田,bad\n林,h@example.jp\n", "utf-8")
    done = run(member_group, "import", "zenko", str(file))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "line 2:" in done.stderr
    assert "山田" not in done.stderr
    assert Membership.select().count() == 1


@pytest.mark.parametrize("content", ["", "氏名,メール\n山田,bad\n"])
def test_no_line_read_is_a_failure(run, zenko, tmp_path, content):
    file = tmp_path / "x.csv"
    file.write_text(content, "utf-8")
    assert run(member_group, "import", "zenko", str(file)).exit_code == 1


def test_the_export_is_the_result_alone_and_comes_back(run, zenko, tmp_path):
    run(member_group, "import", "zenko", str(DEMO / "demo_members.csv"))
    out = run(member_group, "export", "zenko")
    assert out.stdout_bytes.startswith(b"\xef\xbb\xbf")
    file = tmp_path / "out.csv"
    file.write_bytes(out.stdout_bytes)
    assert "0 added, 0 changed, 40 already" in run(member_group, "import", "zenko", str(file)).stderr
    assert AuditLog.select().where(AuditLog.action == "roster.exported").exists()


def test_a_sender_is_added_with_an_old_carrier_address(run, zenko, config):
    done = run(sender_group, "add", "zenko", "a..b@docomo.ne.jp", "--name", "小川")
    assert (done.exit_code, done.stdout) == (0, "1\n")
    assert AllowedSender.get().address == "a..b@docomo.ne.jp"
    assert [(one.kind, one.address) for one in Letter.select()] == [("sender", "a..b@docomo.ne.jp")]
    again = run(sender_group, "add", "zenko", "A..B@docomo.ne.jp", "--name", "小川 守")
    assert (again.exit_code, AllowedSender.get().name, Letter.select().count()) == (0, "小川 守", 1)
    assert run(sender_group, "add", "zenko", "nobody").exit_code == 1
    assert run(sender_group, "add", "zenko", f"zenko@{config.mail_domain}").exit_code == 1
    assert run(sender_group, "add", "nowhere", "a@example.jp").exit_code == 1


def test_an_unknown_column_is_named_and_taken_only_by_an_option(run, tmp_path):
    run(list_group, "add", "一覧", "--address", "ichiran")
    file = tmp_path / "r.csv"
    file.write_text("氏名,メール,備考,当番日\n林 冬,hayashi@example.jp,卵アレルギー,3日\n", "utf-8")
    done = run(member_group, "import", "ichiran", str(file), "--take", "当番日")
    assert done.exit_code == 0, done.output
    assert "column not taken: 備考" in done.stderr
    assert "column not taken: 当番日" not in done.stderr
    out = run(member_group, "export", "ichiran").stdout
    assert "3日" in out
    assert "卵アレルギー" not in out
    wrong = run(member_group, "import", "ichiran", str(file), "--take", "係")
    assert wrong.exit_code == 1
    assert "There is no column '係'" in wrong.stderr


def test_several_recipients_on_one_line_meet_no_database_error(run, tmp_path):
    run(list_group, "add", "一覧", "--address", "ichiran")
    file = tmp_path / "r.txt"
    file.write_text("山川 太郎 <a@example.jp>; 谷 花 <b@example.jp>; 林 冬 <c@example.jp>\n", "utf-8")
    done = run(member_group, "import", "ichiran", str(file))
    assert done.exit_code == 0, done.output
    assert "3 added" in done.stderr
