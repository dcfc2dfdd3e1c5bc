"""From a file of members to one letter a reader, by the commands alone, as an administrator types them (design 4)."""

import csv
import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import config as ground
from tests import smarthost

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(180)]

DEMO = ground.PROJECT_DIR / "demo"
BODY = "保護者の皆様\n\n11月14日(土)に授業参観を行います。\n上履きをお持ちください。\n\nかえで原小学校\n"


@pytest.fixture
def flask(tmp_path):
    """Run `flask …` in an installation of its own that sends to a smart host."""
    with smarthost.running() as (host, port):
        environ = {name: value for name, value in os.environ.items() if not name.startswith("KAIRAN_")}
        environ |= {
            "KAIRAN_DATA": str(tmp_path / "data"),
            "KAIRAN_SMTP": f"smtp://127.0.0.1:{port}",
            "KAIRAN_RATE": "0",
            "KAIRAN_MAIL_DOMAIN": "mail.school.example",
            "KAIRAN_BASE_URL": "https://mail.school.example",
        }

        def run(*words, typed=None, code=0):
            ended = subprocess.run(
                [Path(sys.executable).with_name("flask"), *words],
                cwd=ground.PROJECT_DIR,
                env=environ,
                input=typed,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert ended.returncode == code, ended.stderr
            assert "Traceback" not in ended.stderr
            return ended.stdout

        run.host = host
        yield run


def readers_in(name: str) -> set[str]:
    """Return the addresses to which a file of members wants mail to go, as the file itself tells."""
    encoding = "cp932" if "sjis" in name else "utf-8-sig"
    with (DEMO / name).open(encoding=encoding, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["状態"] == "配信中"]
    return {unicodedata.normalize("NFKC", row["メールアドレス"]).strip().lower() for row in rows}


@pytest.mark.parametrize("name", ["demo_members.csv", "demo_members_sjis.csv"])
def test_every_reader_of_an_imported_list_gets_one_letter(flask, tmp_path, name):
    (tmp_path / "body.txt").write_text(BODY, "utf-8")
    flask("init")
    flask("org", "set", "--name", "かえで原小学校", "--postal", "〒000-0000 例示市1-2-3", "--contact", "000-0000-0000")
    flask("user", "add", "花子", "--role", "admin", "--password-stdin", typed="kumo-no-ue-no-hasi-7\n")
    number = flask("list", "add", "全校", "--address", "zenko").strip()
    flask("member", "import", "zenko", str(DEMO / name))
    members = json.loads(flask("list", "show", "zenko", "--json"))
    assert members["number"] == int(number) and members["active"] > 20
    notice = flask(
        "notice",
        "send",
        "--list",
        "zenko",
        "--subject",
        "授業参観のお知らせ",
        "--body-file",
        str(tmp_path / "body.txt"),
        "--read-confirmation",
        "--by",
        "花子",
    ).strip()
    assert flask("work", "--drain") == ""
    document = json.loads(flask("notice", "show", notice, "--json", "--deliveries"))
    sent = [row["address"] for row in document["deliveries"] if row["state"] == "accepted"]
    got = Counter(one for _, recipients, _, _ in flask.host.mails for one in recipients)
    assert document["state"] == "sent" and len(sent) == document["counts"]["accepted"] == len(flask.host.mails)
    assert {len(recipients) for _, recipients, _, _ in flask.host.mails} == {1}
    assert set(got.values()) == {1}
    assert set(flask.host.to()) == {one.lower() for one in sent} == readers_in(name)
    assert len(sent) >= 30
