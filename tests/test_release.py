"""A release: its number and changes are shown, its archive is complete and reproducible, its database is kept."""

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.version import version as version_command
from config import PROJECT_DIR
from core import schema
from core.system import version
from tools import release


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    """A small checkout with everything that a release needs."""
    folder = tmp_path / "kairan"
    (folder / "tests" / "releases").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nversion = "0.7.3"\n')
    (folder / "CHANGELOG.md").write_text(
        "# Changes\n\n## 0.7.3 (2027-04-01)\n\n**Bold.** A [link](x) and `code`.\n\n- one\n- two\n\n## 0.7.2\n\nold\n"
    )
    (folder / "tests" / "releases" / "0.7.json").write_text("{}")
    (folder / "kairan").write_text("#!/bin/sh\n")
    (folder / "kairan").chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    git(folder, "tag", "v0.7.3")
    version.current_version.cache_clear()
    yield folder
    version.current_version.cache_clear()


def test_the_version_that_runs_is_printed():
    number = re.search(r'^version = "(.+)"$', (PROJECT_DIR / "pyproject.toml").read_text(), re.MULTILINE)[1]
    found = json.loads(CliRunner().invoke(version_command, ["--json"]).stdout)
    assert found["number"] == number and found["schema"] == max(p.stem for p in schema.MIGRATIONS_DIR.glob("0*.py"))
    assert CliRunner().invoke(version_command, []).stdout.startswith(f"Kairan {number} ")


def test_the_changes_of_the_newest_version_are_plain_text(checkout):
    assert version.latest_changes(checkout) == version.Changes(
        "0.7.3 (2027-04-01)", ("Bold. A link and code.", "one", "two")
    )
    (checkout / "CHANGELOG.md").unlink()
    assert version.latest_changes(checkout) is None


def test_an_administrator_sees_the_version_and_what_changed(as_):
    page = as_("守").get("/admin/health")
    assert page.status_code == 200 and version.current_version().number in page.text and "変わったこと" in page.text
    assert as_("花子").get("/admin/health").status_code == 403


def test_the_archive_is_complete_checked_and_the_same_each_time(checkout, tmp_path):
    assert list(release.missing(checkout)) == []
    archive = release.write_archive(tmp_path / "a", checkout)
    with tarfile.open(archive) as tar:
        names = {entry.name: entry.mode & 0o777 for entry in tar}
        tar.extractall(tmp_path / "unpacked", filter="data")
    wanted = ("", "/pyproject.toml", "/CHANGELOG.md", "/kairan", "/COMMIT", "/tests", "/tests/releases")
    assert set(names) == {f"kairan-0.7.3{name}" for name in (*wanted, "/tests/releases/0.7.json")}
    assert names["kairan-0.7.3/kairan"] & 0o111
    subprocess.run(["sha256sum", "-c", "kairan-0.7.3.tar.gz.sha256"], cwd=archive.parent, check=True)
    unpacked = version.current_version(tmp_path / "unpacked" / "kairan-0.7.3")
    assert (unpacked.number, unpacked.commit) == ("0.7.3", git(checkout, "rev-parse", "HEAD")[:10])
    assert release.write_archive(tmp_path / "b", checkout).read_bytes() == archive.read_bytes()


def test_what_a_release_lacks_is_named(checkout):
    git(checkout, "tag", "-d", "v0.7.3")
    (checkout / "tests" / "releases" / "0.7.json").unlink()
    (checkout / "CHANGELOG.md").write_text("## 0.7.3 (not released yet)\n")
    lacks = "\n".join(release.missing(checkout))
    for words in ("no heading '## 0.7.3 (YYYY-MM-DD)'", "no tag v0.7.3", "0.7.json is missing", "not committed"):
        assert words in lacks


def test_each_released_version_has_its_database_and_each_tag_is_one():
    """`tests/test_migrations.py` upgrades these databases and compares their rows."""
    kept = {path.name.removesuffix(".json") for path in (PROJECT_DIR / "tests" / "releases").glob("*.json")}
    tags = git(PROJECT_DIR, "tag", "--list", "v*").split() if (PROJECT_DIR / ".git").exists() else []
    headings = re.findall(
        r"^## (\d+\.\d+)\S* \(\d{4}-\d\d-\d\d\)$", (PROJECT_DIR / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    released = {".".join(tag.removeprefix("v").split(".")[:2]) for tag in tags} | set(headings)
    assert released <= kept and kept
