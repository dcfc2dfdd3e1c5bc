"""Check that the files of others are the ones that were looked at, and that the tool notices a change."""

import re
import shutil
from pathlib import Path

import pytest

from tools import vendor


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the table and its files, to be spoiled."""
    for name in [str(vendor.TABLE), *(entry["file"] for entry in vendor.table(vendor.ROOT))]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(vendor.ROOT / name, tmp_path / name)
    return tmp_path


def test_carried_files_have_the_written_hashes():
    assert vendor.find_problems(vendor.ROOT) == []


def test_every_carried_file_is_written_down():
    written = {entry["file"] for entry in vendor.table(vendor.ROOT)} | {str(vendor.TABLE)}
    for folder in ("static/vendor", "tests/vendor"):
        there = {p.relative_to(vendor.ROOT).as_posix() for p in (vendor.ROOT / folder).iterdir()}
        assert there <= written


def test_every_carried_file_names_version_and_licence():
    for entry in vendor.table(vendor.ROOT):
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"]) and entry["licence"]


def test_a_changed_byte_and_a_missing_file_are_named(copy, capsys):
    (copy / "static/vendor/htmx.min.js").write_bytes(b"evil()")
    (copy / "static/icons.svg").unlink()
    assert vendor.main(["--offline"], root=copy) == 1
    out = capsys.readouterr().out
    assert "static/vendor/htmx.min.js: not the file of htmx.org" in out
    assert "static/icons.svg: missing" in out


def test_write_changes_only_its_own_hash(copy):
    entry = next(e for e in vendor.table(copy) if e["file"] == "static/vendor/htmx.min.js")
    vendor.write(entry, b"newer()", copy)
    assert vendor.find_problems(copy) == []
    changed = [
        new["file"] for old, new in zip(vendor.table(vendor.ROOT), vendor.table(copy), strict=True) if old != new
    ]
    assert changed == ["static/vendor/htmx.min.js"]


def test_a_drawing_loses_title_comment_and_line_breaks():
    assert vendor.drawing("<!-- a --><svg\n x='1'>\n <title>T</title>\n <path d='M0'/>\n</svg>") == "<path d='M0'/>"


def test_every_icon_that_a_template_names_is_in_the_sprite():
    sprite = (vendor.ROOT / "static/icons.svg").read_text(encoding="utf-8")
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', sprite))
    named = set()
    for template in (vendor.ROOT / "templates").rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        named |= set(re.findall(r"""\bicon\(["']([\w-]+)["']""", text))
        named |= set(re.findall(r"icons\.svg[^#\n]{0,9}#([\w-]+)", text))
    assert named
    assert named <= drawn
