"""What `deploy/` gives an administrator: units without secrets that systemd understands, and the command of a server."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import needs_part

DEPLOY = Path(__file__).parent.parent / "deploy"
UNITS = sorted([*DEPLOY.rglob("*.service"), *DEPLOY.rglob("*.timer")])
SPECIFIERS = set("aAbBCdEfgGhHiIjJlLmMnNopPqsStTuUvVwW%")
"""What may follow % in a unit (systemd.unit(5)); systemd drops a line with anything else and goes on without it."""


def problems_of(unit: str) -> list[str]:
    """Return what is wrong with the text of a unit: settings, secrets, and % that systemd does not understand."""
    found = []
    for line in unit.splitlines():
        text = line.strip().lstrip("#; ")
        if re.match(r"Environment\w*=", text) and text != "Environment=KAIRAN_DATA=/var/lib/kairan":
            found.append(f"a setting or its file: {text.partition('=')[0]}")
        if re.search(r"://[^/\s]*:[^/\s]*@", text):
            found.append("a password")
        if not line.strip().startswith(("#", ";")):
            found += [f"%{mark}" for mark in re.findall(r"%(.?)", line.replace("%%", "")) if mark not in SPECIFIERS]
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_holds_no_setting_no_secret_and_no_percent_sign(unit):
    assert problems_of(unit.read_text("utf-8")) == []


def test_the_fault_of_the_percent_sign_is_found():
    """A password with %40 made systemd drop the line and run the service without a mail server."""
    line = "Environment=KAIRAN_SMTP=smtp+starttls://school:p%40ss@smtp.example.net:587"
    assert problems_of(line) == ["a setting or its file: Environment", "a password", "%4"]
    assert problems_of(f"# {line}") == ["a setting or its file: Environment", "a password"]
    assert problems_of("ExecStart=/bin/echo %n 100%%") == [] and UNITS


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit, tmp_path):
    needs_part(shutil.which("systemd-analyze") is not None, "systemd")
    text = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", unit.read_text("utf-8"), flags=re.MULTILINE)
    text = text.replace("User=kairan", "User=root").replace("WorkingDirectory=/opt/kairan", "WorkingDirectory=/tmp")
    copy = tmp_path / unit.name
    copy.write_text(text, "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_the_command_of_a_server_is_the_service_users(tmp_path):
    """Like the service: the same user and the same data folder, and nothing else from the environment."""
    for name, text in (("sudo", 'printf "%s\\n" "$@"'), ("id", "echo root")):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{text}\n")
        tool.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    script = DEPLOY / "kairan.sh"
    done = subprocess.run(["sh", script, "work", "--drain"], env=environ, capture_output=True, text=True, timeout=20)
    wanted = ["-u", "kairan", "env", "KAIRAN_DATA=/var/lib/kairan", "/opt/kairan/kairan", "work", "--drain"]
    assert done.stdout.splitlines() == wanted and os.access(script, os.X_OK)
