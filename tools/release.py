"""Write a release: an archive of the commit and its SHA-256 sum, in `dist/`. `make release`, or

python -m tools.release [--check]

Refused while something is missing: a heading with a date in the change log, a tag, a database of the version in
`tests/releases/`, a clean checkout. `--check` only says what is missing.
"""

import gzip
import hashlib
import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from core.system.version import COMMIT_FILE, current_version

ROOT = Path(__file__).parent.parent


def git(*words: str, root: Path = ROOT) -> bytes:
    return subprocess.run(["git", "-C", root, *words], check=True, capture_output=True).stdout  # noqa: S603, S607


def missing(root: Path = ROOT) -> Iterator[str]:
    """Yield what keeps this checkout from being a release."""
    number = current_version(root).number
    if not re.search(
        rf"^## {re.escape(number)} \(\d{{4}}-\d\d-\d\d\)$", (root / "CHANGELOG.md").read_text("utf-8"), re.M
    ):
        yield f"CHANGELOG.md has no heading '## {number} (YYYY-MM-DD)'"
    if f"v{number}" not in git("tag", "--points-at", "HEAD", root=root).decode().split():
        yield f"no tag v{number} at this commit"
    fixture = ".".join(number.split(".")[:2])
    if not (root / "tests" / "releases" / f"{fixture}.json").exists():
        yield f"tests/releases/{fixture}.json is missing: python -m tools.release_fixture {fixture}"
    if git("status", "--porcelain", "-uno", root=root):
        yield "the checkout has changes that are not committed"


def write_archive(into: Path, root: Path = ROOT) -> Path:
    """Write `kairan-VERSION.tar.gz` and `….sha256`; the same commit gives the same bytes. Return the archive."""
    number = current_version(root).number
    commit = git("rev-parse", "HEAD", root=root).decode().strip()
    at = int(git("show", "-s", "--format=%ct", "HEAD", root=root))
    archive = into / f"kairan-{number}.tar.gz"
    into.mkdir(parents=True, exist_ok=True)
    tar_of_git = io.BytesIO(git("archive", "--format=tar", f"--prefix=kairan-{number}/", "HEAD", root=root))
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=at) as packed,
        tarfile.open(fileobj=tar_of_git) as source,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as target,
    ):
        for entry in source:
            target.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
        written = tarfile.TarInfo(f"kairan-{number}/{COMMIT_FILE}")
        written.size, written.mtime, written.mode = len(commit) + 1, at, 0o644
        target.addfile(written, io.BytesIO(f"{commit}\n".encode()))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")
    return archive


def main(words: list[str]) -> None:
    lacks = list(missing())
    if lacks:
        sys.exit("This is no release yet:\n" + "\n".join(f"- {lack}" for lack in lacks))
    if words != ["--check"]:
        print(write_archive(ROOT / "dist"))


if __name__ == "__main__":
    main(sys.argv[1:])
