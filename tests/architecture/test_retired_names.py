"""Names that were replaced by a standard term do not come back into code, templates, tests or documents."""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parents[2]
TEXT = {".py", ".html", ".md", ".toml", ".css", ".js", ".sh"}
OUTSIDE = {"CHANGELOG.md", "tests/architecture/test_retired_names.py", "tests/test_migrations.py"}
RETIRED = {
    "a package": r"\bcore[./](?:road|door|entry|people|organizers|house|results|roster|writing|history|rights|sight|refusals|limits|due|rooms|stamps|organization)\b(?!-)",
    "an area": r"\bblueprints[./]\w+[./](?:doors|caught|keeping|asked|steer|measure|second|alone|heard|charge)\b",
    "a file": r"\b(?:standing|guards|packing|inlet|unreached|wellbeing|safekeeping|snapshot|occupied|handover_of|well_told|reception|comparing)\.py\b",
    "a class": r"\b(?:Desk|Patient|Refused|Claimed|Cover|Sums|Incoming|Terms|Applicant)\(",
    "a function": r"\b(?:written_once|insert_rows|give_way|_road_is_closed|_keep_house|own_list)\b",
    "a column": r"\b(?:strange_at|told_at|well_told|read_how|told_by|begin_at|in_charge(?:_id)?)\b",
    "a phrase": r"\byoung ones\b|\bthe house is\b|\bgive way\b",
}
"""Each a regular expression; what stands for something else today is not listed."""


def tracked() -> list[Path]:
    """Return the text files that git keeps; the first migration and the change log quote old names."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, capture_output=True, check=True).stdout.decode()
    names = [
        name for name in listed.split("\0") if name and "vendor/" not in name and not name.startswith("migrations/")
    ]
    return [
        HERE / name for name in names if Path(name).suffix in TEXT and name not in OUTSIDE and (HERE / name).is_file()
    ]


def retired_in(text: str) -> list[str]:
    """Return the retired names that a text holds."""
    return [hit[0] for pattern in RETIRED.values() for hit in re.finditer(pattern, text)]


def test_no_retired_name_comes_back():
    found = {path.relative_to(HERE).as_posix(): retired_in(path.read_text("utf-8")) for path in tracked()}
    assert len(found) > 500
    assert {name: names for name, names in found.items() if names} == {}


def test_a_retired_name_is_seen():
    for text in ("from core.road import x", "core/door/inbox.py", "Desk(settings)", "Letter.told_at"):
        assert retired_in(text), text
    assert retired_in("core.delivery.queue, settings = load_settings(), core/notices/content_checks.py") == []
