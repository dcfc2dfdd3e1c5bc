"""Which version runs, and what changed in it: from `pyproject.toml`, git or the archive, and `CHANGELOG.md`."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from config import PROJECT_DIR
from core import schema

COMMIT_FILE = "COMMIT"
"""In a release archive (`tools/release.py`): the commit from which it was made."""


@dataclass(frozen=True, slots=True)
class Version:
    """number: of the release; commit: ten digits, "" if unknown; schema: the newest migration."""

    number: str
    commit: str
    schema: str


@dataclass(frozen=True, slots=True)
class Changes:
    """One section of the change log, as plain text."""

    heading: str
    paragraphs: tuple[str, ...]


@cache
def current_version(folder: Path = PROJECT_DIR) -> Version:
    """Return the version of the program in this folder."""
    number = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    newest = max(path.stem for path in schema.MIGRATIONS_DIR.glob("[0-9]*.py"))
    return Version(str(number), _read_commit(folder)[:10], newest)


def _read_commit(folder: Path) -> str:
    """Return the commit of an archive or a git checkout, "" if neither says it."""
    try:
        if (folder / COMMIT_FILE).exists():
            return (folder / COMMIT_FILE).read_text("utf-8").strip()
        head = (folder / ".git" / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref: "):
            return head
        return (folder / ".git" / head.removeprefix("ref: ")).read_text("utf-8").strip()
    except OSError:
        return ""


def latest_changes(folder: Path = PROJECT_DIR) -> Changes | None:
    """Return the newest section of the change log, without marks of Markdown; None if there is none."""
    try:
        text = (folder / "CHANGELOG.md").read_text("utf-8")
    except OSError:
        return None
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    if not sections:
        return None
    heading, _, body = sections[0].partition("\n")
    blocks = re.split(r"\n\s*\n|\n(?=- )", body)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|\*\*|`|^#+ |^- ", r"\1", " ".join(block.split())) for block in blocks)
    return Changes(heading.strip(), tuple(paragraph for paragraph in plain if paragraph))
