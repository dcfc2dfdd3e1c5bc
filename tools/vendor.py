"""Fetch the vendored files again and compare them with this repository.

    python tools/vendor.py             fetch the files of static/vendor/vendor.toml by `npm pack`, and compare
    python tools/vendor.py --write     store the fetched files and their hashes
    python tools/vendor.py --offline   compare the files with the stored hashes only

To upgrade: change `version` in vendor.toml, run with --write, review the diff, run the tests.
"""

import argparse
import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path("static/vendor/vendor.toml")
MARK = Path("static/mark.svg")

File = dict[str, Any]


def table(root: Path) -> list[File]:
    """Read the vendored files: name, version, take, file, licence, sha384, optional icons."""
    return tomllib.loads((root / TABLE).read_text(encoding="utf-8"))["file"]


def sha384(data: bytes) -> str:
    """Return the hash in the format of Subresource Integrity."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


def find_problems(root: Path) -> list[str]:
    """Return one line for each missing or changed file."""
    found = []
    for entry in table(root):
        path = root / entry["file"]
        if not path.exists():
            found.append(f"{entry['file']}: missing")
        elif sha384(path.read_bytes()) != entry["sha384"]:
            found.append(f"{entry['file']}: not the file of {entry['name']} {entry['version']} that was checked")
    return found


@cache
def package(name: str, version: str, scratch: Path) -> Path:
    """Fetch and unpack an npm package (npm checks the registry's hash); return its folder."""
    folder = scratch / f"{name}-{version}"
    folder.mkdir()
    subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def drawing(svg: str) -> str:
    """Return the content of <svg>, without title and comments, on one line."""
    inside = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.S)
    if inside is None:
        sys.exit("not an icon: " + svg[:60])
    bare = re.sub(r"<title>.*?</title>|<!--.*?-->", "", inside[1], flags=re.S)
    return "".join(line.strip() for line in bare.splitlines())


def sprite(entry: File, icons: Path, mark: str) -> bytes:
    """Build a sprite of the named icons and our own mark, which uses the text colour."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg"><!-- Icons: Lucide ({entry["name"]} {entry["version"]}), '
        "Copyright (c) Lucide Icons and Contributors, some derived from Feather: see ICONS-LICENSE; "
        "#kairan is our own -->"
    ]
    for name in entry["icons"]:
        inside = drawing((icons / f"{name}.svg").read_text(encoding="utf-8"))
        lines.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inside}</symbol>')
    own = re.sub(r'fill="#\w+"', 'fill="currentColor" stroke="none"', drawing(mark))
    lines += [f'<symbol id="kairan" viewBox="0 0 64 64">{own}</symbol>', "</svg>", ""]
    return "\n".join(lines).encode()


def fetch(entry: File, root: Path, scratch: Path) -> bytes:
    """Return the content of one entry of the table."""
    source = package(entry["name"], entry["version"], scratch) / entry["take"]
    if "icons" in entry:
        return sprite(entry, source, (root / MARK).read_text(encoding="utf-8"))
    return source.read_bytes()


def write(entry: File, data: bytes, root: Path) -> None:
    """Write a file, and its hash into its block of the table."""
    (root / entry["file"]).parent.mkdir(parents=True, exist_ok=True)
    (root / entry["file"]).write_bytes(data)
    blocks = (root / TABLE).read_text(encoding="utf-8").split("[[file]]")
    for number, block in enumerate(blocks):
        if f'file = "{entry["file"]}"' in block:
            blocks[number] = re.sub(r'sha384 = ".*"', f'sha384 = "{sha384(data)}"', block)
    (root / TABLE).write_text("[[file]]".join(blocks), encoding="utf-8")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Compare or update the files. Return 0 if all match the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--offline", action="store_true")
    options = parser.parse_args(arguments)
    different = []
    if not options.offline:
        if shutil.which("npm") is None:
            parser.error("npm is missing: install it, or compare with --offline")
        with tempfile.TemporaryDirectory() as scratch:
            for entry in table(root):
                data = fetch(entry, root, Path(scratch))
                if options.write:
                    write(entry, data, root)
                elif sha384(data) != entry["sha384"]:
                    different.append(f"{entry['file']}: {entry['name']} {entry['version']} gives another file")
    lines = different + find_problems(root)
    print("\n".join(lines) if lines else f"{len(table(root))} files are as written in {TABLE}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
