"""`flask init`, `flask org`, `flask user` (design 4)."""

import pytest
from click.testing import CliRunner

from cli.org import init, org
from cli.user import user_group
from core import install
from core.accounts import passwords
from database import db
from models import AuditLog, Letter, Organization, Passkey, Role, User
from tests.cast import PASSWORD


@pytest.fixture
def run(config, monkeypatch):
    """Run one command on the installation of this test."""
    monkeypatch.setenv("KAIRAN_DATA", str(config.data))
    monkeypatch.setenv("KAIRAN_BASE_URL", "http://kairan.test")

    def command(what, *words, typed=None):
        return CliRunner().invoke(what, words, input=typed)

    yield command
    db.close()


def test_init_is_repeatable_and_prints_the_link(run, config):
    first, again = run(init), run(init)
    assert first.exit_code == again.exit_code == 0
    assert first.stdout == again.stdout == f"http://kairan.test/setup/{install.get_setup_token(config)}\n"


def test_a_data_folder_that_cannot_be_made_is_one_clear_line(run, monkeypatch, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "keys").write_text("no folder")
    monkeypatch.setenv("KAIRAN_DATA", str(tmp_path / "disk"))
    ended = run(init)
    assert ended.exit_code == 1 and "KAIRAN_DATA" in ended.output and "Traceback" not in ended.output


def test_org_set_changes_only_what_is_given(run):
    assert run(org, "set", "--name", "もみじ小学校", "--language", "en").exit_code == 0
    assert run(org, "set", "--postal", "〒000-0000 例示市").exit_code == 0
    house = Organization.load_row()
    assert (house.name, house.language, house.postal) == ("もみじ小学校", "en", "〒000-0000 例示市")


@pytest.mark.parametrize("option", [["--mail-domain", "no domain"], ["--base-url", "kairan"]])
def test_org_set_refuses_what_cannot_be(run, option):
    answer = run(org, "set", *option)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1


def test_org_set_without_options_is_wrong_usage(run):
    assert run(org, "set").exit_code == 2


def test_environment_wins_and_the_command_says_so(run):
    answer = run(org, "set", "--base-url", "https://other.example")
    assert answer.exit_code == 0
    assert "KAIRAN_BASE_URL" in answer.stderr


def test_first_administrator_closes_the_set_up(run, config):
    answer = run(
        user_group,
        "add",
        "守",
        "--role",
        "admin",
        "--email",
        "m@school.example",
        "--password-stdin",
        typed=PASSWORD + "\n",
    )
    made = User.get()
    assert (answer.exit_code, answer.stdout) == (0, f"{made.id}\n")
    assert passwords.verify_password(made.password, PASSWORD)
    assert install.get_setup_token(config) is None


def test_role_in_one_list(run, school):
    answer = run(user_group, "add", "新しい人", "--role", "sender", "--list", "1nen1kumi")
    role = Role.get(Role.user == int(answer.stdout))
    assert (role.kind, role.list_id) == ("sender", school.lists["1-1"].id)
    assert "http://kairan.test/invitation/" in answer.stderr


@pytest.mark.parametrize(
    ("words", "typed", "code"),
    [
        (["add", "花子", "--role", "viewer"], None, 1),
        (["add", "新しい人", "--role", "viewer", "--password-stdin"], "short\n", 1),
        (["add", "新しい人", "--role", "admin", "--list", "1nen1kumi"], None, 1),
        (["add", "新しい人", "--role", "viewer", "--list", "no-such"], None, 1),
        (["add", "新しい人", "--role", "king"], None, 2),
        (["add", "新しい人"], None, 2),
        (["reset", "いない人"], None, 1),
    ],
)
def test_wrong_wishes_change_nothing(run, school, words, typed, code):
    before = User.select().count()
    answer = run(user_group, *words, typed=typed)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert answer.stderr
    assert User.select().count() == before


def test_reset_prints_a_link_that_works_once(run, school, client):
    link = run(user_group, "reset", "花子").stdout.strip().removeprefix("http://kairan.test")
    new = {"password": "umi-no-mieru-oka-no-ue"}
    assert client.post(link, data=new).status_code == 303
    assert client.post(link, data=new).status_code == 404


def test_reset_leaves_the_second_factor_unless_it_is_asked_for(run, school, client):
    """Law 7: who has lost phone and recovery codes gets in by the terminal."""
    user = school.users["花子"]
    Passkey.create(user=user, credential_id="YQ", public_key=b"", rp_id="kairan.school.example")
    kept = run(user_group, "reset", "花子")
    assert kept.exit_code == 0 and "--second-factor" in kept.stderr and Passkey.select().count() == 1
    gone = run(user_group, "reset", "花子", "--second-factor")
    assert gone.exit_code == 0 and "turned off" in gone.stderr and not Passkey.select().exists()
    row = AuditLog.get(AuditLog.action == "second_factor.reset")
    assert (row.user_id, row.number) == (None, user.id)
    assert Letter.get(Letter.kind == "second-factor").address == user.email
    link = gone.stdout.strip().removeprefix("http://kairan.test")
    assert client.post(link, data={"password": "umi-no-mieru-oka-no-ue"}).location == "/"
