"""Check ./kairan with a made-up Python, so that nothing is installed and no network is needed."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ["sh", "awk", "cat", "cmp", "df", "dirname", "grep", "head", "id", "mkdir", "readlink", "rm", "sleep"]

# Stands in for python3 and, once "venv" has run, for .venv/bin/python. Every call of pip is written down.
PYTHON = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
  *"version_info < (3, 11)"*) [ {minor} -ge 11 ] ;;
  *'print("%d.%d"'*) echo 3.{minor} ;;
  *"import ensurepip"*) exit {ensurepip} ;;
  -V) echo Python 3.{minor}.0 ;;
  "-m venv "*) mkdir -p "$3/bin"; cat "$0" > "$3/bin/python"; chmod +x "$3/bin/python"; : > "$3/bin/made" ;;
  "-m pip "*) echo "$*" >> "$TRACES/pip"; [ ! -e "$TRACES/offline" ] ;;
  "-P "*) shift 2; echo "flask in $PWD, umask $(umask), $FLASK_APP"; for one; do echo "<$one>"; done ;;
  "-m pytest "*) shift 2; echo "pytest in $PWD: $*" ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@dataclass
class Place:
    """A folder with the launcher in it, and a PATH that holds nothing but a few tools."""

    home: Path
    path: Path
    traces: Path

    def tool(self, name: str, text: str) -> None:
        """Put a program of our own in the PATH, instead of the real one."""
        (self.path / name).unlink(missing_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")
        (self.path / name).chmod(0o755)

    def python(self, minor: int = 11, ensurepip: int = 0, name: str = "python3") -> None:
        self.tool(name, PYTHON.format(minor=minor, ensurepip=ensurepip))

    def run(self, *arguments: str, cwd: Path | None = None, file: Path | str = "", **environ: str):
        return subprocess.run(
            [file or self.home / "kairan", *arguments],
            cwd=cwd or self.home,
            env={"PATH": str(self.path), "TRACES": str(self.traces), "LANG": "C.UTF-8", **environ},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=30,
        )

    def installs(self) -> int:
        """Count the calls of pip so far."""
        log = self.traces / "pip"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "my school's folder", tmp_path / "path", tmp_path / "traces")
    for folder in (place.home, place.path, place.traces):
        folder.mkdir()
    shutil.copy(ROOT / "kairan", place.home)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (place.home / name).write_text(f"{name[:-4]}==1.0\n")
    for name in (*TOOLS, "chmod"):
        (place.path / name).symlink_to(shutil.which(name))
    place.python()
    return place


def one_line(result: subprocess.CompletedProcess) -> str:
    """Expect a failure that says one line on stderr and nothing on stdout; give the line."""
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Kairan: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_is_plain_shell(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", ROOT / "kairan"], check=True)


# E-03
@pytest.mark.proves("E-03")
def test_first_start_installs_then_runs_flask_with_the_same_words(place):
    result = place.run("notice", "send", "--subject", "運動会 の お知らせ", "")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:] == ["<notice>", "<send>", "<--subject>", "<運動会 の お知らせ>", "<>"]
    assert place.installs() == 1
    assert "--require-hashes -r requirements.txt" in (place.traces / "pip").read_text()
    assert (place.home / ".venv/bin/made").exists()


def test_stdout_is_left_to_the_command(place):
    assert place.run("up").stdout.startswith("flask in ")


def test_works_from_elsewhere_through_symlinks_and_keeps_the_callers_folder(place, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (tmp_path / "first").symlink_to("my school's folder/kairan")
    (elsewhere / "second").symlink_to("../first")
    result = place.run("up", "--demo", cwd=elsewhere, file="./second")
    assert result.stdout.splitlines() == [f"flask in {elsewhere}, umask 0077, {place.home}/app.py", "<up>", "<--demo>"]


def test_second_start_installs_nothing_and_says_nothing(place):
    place.run("up")
    result = place.run("up")
    assert (result.returncode, result.stderr, place.installs()) == (0, "", 1)


def test_changed_requirements_are_installed_into_the_same_venv(place):
    place.run("up")
    (place.home / ".venv/bin/made").unlink()
    (place.home / "requirements.txt").write_text("flask==2.0\n")
    assert place.run("up").returncode == 0
    assert place.installs() == 2
    assert not (place.home / ".venv/bin/made").exists()
    assert place.run("up").stderr == ""


def test_interrupted_installation_is_done_again_from_the_start(place):
    place.run("up")
    (place.home / ".venv/bin/made").unlink()
    (place.home / ".venv/kairan-unfinished").write_text("999999999\n")
    assert place.run("up").returncode == 0
    assert (place.home / ".venv/bin/made").exists()
    assert place.installs() == 2


def test_failed_installation_says_so_and_is_tried_again(place):
    (place.traces / "offline").touch()
    result = place.run("up")
    assert (result.returncode, result.stdout) == (1, "")
    assert "the installation stopped" in result.stderr.splitlines()[-1]
    (place.traces / "offline").unlink()
    assert place.run("up").returncode == 0
    assert place.run("up").stderr == ""


def test_waits_for_another_installation(place):
    place.run("up")
    marker = place.home / ".venv/kairan-unfinished"
    marker.write_text(f"{os.getpid()}\n")
    place.tool("sleep", f'#!/bin/sh\nrm -f "{marker}"\n')
    result = place.run("up")
    assert f"(process {os.getpid()}) is installing; waiting" in result.stderr
    assert (result.returncode, place.installs()) == (0, 1)


def test_moved_folder_gets_a_new_venv(place, tmp_path):
    place.run("up")
    (place.home / ".venv/bin/made").unlink()
    place.home = place.home.rename(tmp_path / "new place")
    assert place.run("up").returncode == 0
    assert (place.home / ".venv/bin/made").exists()


def test_venv_whose_python_is_gone_is_made_again(place):
    place.run("up")
    (place.home / ".venv/bin/python").unlink()
    assert place.run("up").returncode == 0
    assert place.installs() == 2


def test_takes_a_newer_python_beside_an_old_one(place):
    place.python(minor=9)
    place.python(minor=13, name="python3.13")
    assert place.run("up").returncode == 0


def test_python_too_old(place):
    place.python(minor=9)
    line = one_line(place.run("up"))
    assert "found 3.9" in line
    assert "apt install python3.11 python3.11-venv" in line


def test_no_python_at_all(place):
    (place.path / "python3").unlink()
    assert "apt install python3 python3-venv" in one_line(place.run("up"))


def test_no_venv_module(place):
    place.python(ensurepip=1)
    assert re.search(r"apt install python3(\.11)?-venv\b", one_line(place.run("up")))
    assert not (place.home / ".venv").exists()


def test_words_are_japanese_where_the_system_is(place):
    place.python(minor=9)
    assert "Python 3.11 以上が必要です" in one_line(place.run("up", LANG="ja_JP.UTF-8"))


def test_folder_that_cannot_be_written(place):
    # Root may write anywhere; a folder in the way of the probe stops root too.
    (place.home / ".kairan-probe").mkdir()
    assert f"cannot write in {place.home}" in one_line(place.run("up"))


def test_full_disk(place):
    place.tool("df", "#!/bin/sh\necho header\necho /dev/x 9000000 8990000 10240 99% /\n")
    assert "needs 250 MB of free disk space, 10 MB are left" in one_line(place.run("up"))


def test_no_command_shows_the_usage(place):
    result = place.run()
    assert result.returncode == 2
    assert "./kairan up [--demo]" in result.stderr


INSTALLED = "#!/bin/sh\necho install ok installed\n"
MISSING = '#!/bin/sh\ncase "$*" in *chromium*) exit 1 ;; *) echo install ok installed ;; esac\n'


def test_tests_run_in_the_folder_with_both_requirements(place, tmp_path):
    place.tool("dpkg-query", INSTALLED)
    result = place.run("test", "-k", "two words", cwd=tmp_path)
    assert (
        result.stdout
        == f"pytest in {place.home}: -n 3 --dist loadgroup --no-loadscope-reorder --max-worker-restart 0 -k two words\n"
    )
    assert "-r requirements.txt -r requirements-dev.txt" in (place.traces / "pip").read_text()


def test_missing_browser_is_named_and_the_tests_go_on(place):
    place.tool("dpkg-query", MISSING)
    place.tool("id", "#!/bin/sh\necho 1000\n")
    result = place.run("test")
    assert result.stdout.startswith("pytest in ")
    assert result.stderr.splitlines()[-1].endswith("Type: sudo apt install chromium ")


def test_missing_browser_fails_a_build_machine(place):
    place.tool("dpkg-query", MISSING)
    place.tool("id", "#!/bin/sh\necho 1000\n")
    result = place.run("test", CI="true")
    assert result.returncode == 1
    assert result.stdout == ""
