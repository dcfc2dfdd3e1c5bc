"""The documents keep up with the program: every command, setting, requirement, link and picture."""

import re
from dataclasses import fields
from pathlib import Path

import click

import cli
import models
from config import Config
from tools import commands_page, requirements_table, security_page

HERE = Path(__file__).parents[2]
DOCS = HERE / "docs"
PAGES = sorted([*HERE.glob("*.md"), *DOCS.rglob("*.md"), *(HERE / "demo").glob("*.md")])
SOURCES = {"T": 53, "D": 46, "N": 18, "X": 16, "E": 20}
"""How many lines each of the five source documents has."""


def read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


# ── commands and settings ────────────────────────────────────────────────────────────────────────────────────────


def undescribed(name: str, command: click.Command, page: str) -> list[str]:
    """Return what the page of commands lacks of one command."""
    start = re.search(rf"^### `\./kairan {re.escape(name)}[ `]", page, re.MULTILINE)
    if not start:
        return ["the command"]
    section = page[start.start() :].split("\n### ")[0].split("\n## ")[0]
    options = [one.opts[-1] for one in command.params if isinstance(one, click.Option) and not one.hidden]
    return [one for one in options if f"`{one}" not in section] + ([] if command.help else ["a help text in the code"])


def test_every_command_and_option_is_described():
    page, commands = read("docs/commands.md"), list(commands_page.leaves(cli.all_commands()))
    lacks = {name: lack for name, command in commands if (lack := undescribed(name, command, page))}
    assert lacks == {}, "run: python -m tools.commands_page"
    assert len(commands) > 20


def test_no_command_is_described_that_does_not_exist():
    described = re.findall(r"^### `\./kairan (.+?)`$", read("docs/commands.md"), re.MULTILINE)
    real = [name for name, _ in commands_page.leaves(cli.all_commands())]
    assert [line for line in described if not any(line == one or line.startswith(f"{one} ") for one in real)] == []
    assert len(described) > 10


def test_every_setting_is_described():
    page = read("docs/commands.md")
    missing = [name for one in fields(Config) if f"| `{(name := f'KAIRAN_{one.name.upper()}')}` |" not in page]
    assert missing == [], "run: python -m tools.commands_page"


def test_every_setting_that_the_documents_name_exists():
    real = {f"KAIRAN_{one.name.upper()}" for one in fields(Config)}
    named = {name for page in PAGES for name in re.findall(r"\bKAIRAN_[A-Z_]+\b", page.read_text("utf-8"))}
    assert named - real - {"KAIRAN_IMAGES"} == set()


def test_every_command_that_the_documents_name_exists():
    real = {name for name, _ in commands_page.leaves(cli.all_commands())} | {"test"}
    first_words = {one.split()[0] for one in real}
    for page in PAGES:
        for line in re.findall(r"\./kairan ([a-z-]+(?: [a-z-]+)?)", page.read_text("utf-8")):
            word = line.split()[0]
            assert word in first_words, (page.name, line)
            assert word in real or line in real or " " not in line, (page.name, line)


# ── requirements ─────────────────────────────────────────────────────────────────────────────────────────────────


def rows() -> dict[str, re.Match[str]]:
    """Return {id: row} of the page of requirements."""
    found = [requirements_table.ROW.match(line) for line in read("docs/requirements.md").splitlines()]
    return {row["id"]: row for row in found if row}


def test_every_line_of_the_sources_is_listed_once():
    wanted = [f"{letter}-{number:02d}" for letter, count in SOURCES.items() for number in range(1, count + 1)]
    page = read("docs/requirements.md")
    assert re.findall(r"^\| ([TDNXE]-\d\d) \|", page, re.MULTILINE) == wanted == list(rows())


def test_the_page_of_requirements_follows_the_markers():
    """Every requirement has a test or a remark that says why not; the number of tests is that of today, about."""
    page, written = read("docs/requirements.md"), requirements_table.written_page()
    said, counted = (requirements_table.COUNT.search(text)[0] for text in (page, written))
    assert page.replace(said, counted) == written, "run: python -m tools.requirements_table"
    assert requirements_table.unproven(page) == []
    assert abs(number_in(said) - number_in(counted)) <= 200, "run: python -m tools.requirements_table"


def number_in(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def test_every_marker_names_a_requirement():
    proved = requirements_table.tests_by_id(HERE / "tests")
    assert set(proved) - set(rows()) == set()
    assert len(proved) > 140


def test_a_requirement_without_test_and_remark_is_named():
    row = "| T-01 | Sent. | {} | {} |"
    assert requirements_table.unproven(row.format("-", "-")) == ["T-01"]
    assert requirements_table.unproven(row.format("-", "in part: no test")) == ["T-01"]
    assert requirements_table.unproven(row.format("`tests/x.py::test_y`", "perhaps")) == ["T-01"]
    assert requirements_table.unproven(row.format("-", "by hand: print it")) == []


def test_every_id_that_the_code_quotes_exists():
    folders = ("core", "mail", "blueprints", "cli", "tests")
    files = [path for folder in folders for path in (HERE / folder).rglob("*.py") if path.name != Path(__file__).name]
    quoted = {one: path.name for path in files for one in requirements_table.ID.findall(path.read_text("utf-8"))}
    assert {one: where for one, where in quoted.items() if one not in rows()} == {}
    assert len(quoted) > 140


def test_the_page_of_security_says_who_may_use_each_address():
    assert read("docs/security.md") == security_page.written_page(), "run: python -m tools.security_page"


# ── links and pictures ───────────────────────────────────────────────────────────────────────────────────────────


def test_every_link_between_documents_leads_somewhere():
    broken = [
        (page.relative_to(HERE).as_posix(), target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_picture_is_used_and_small():
    used = {name for page in PAGES for name in re.findall(r"images/([\w-]+\.png)", page.read_text("utf-8"))}
    kept = {path.name: path.stat().st_size for path in (DOCS / "images").glob("*.png")}
    assert set(kept) == used
    assert {name: size for name, size in kept.items() if size > 250_000} == {}


def test_the_readme_begins_with_the_two_commands():
    page = read("README.md")
    assert page.index("./kairan up") < page.index("./kairan test") < page.index("## First steps")
    assert "MIT" in page and "not there yet" in page


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def glossary_rows() -> list[list[str]]:
    """Return the cells of every row of the glossary: English, Japanese, meaning, place in the code."""
    lines = [line for line in read("docs/glossary.md").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0] != "English"]


def test_the_glossary_uses_each_word_once():
    rows = glossary_rows()
    for column in (0, 1):
        words = [row[column] for row in rows]
        assert len(words) > 60 and sorted(words) == sorted(set(words))


def test_the_glossary_names_every_table_and_what_it_names_exists():
    named = re.findall(r"`([^`]+)`", "\n".join(row[3] for row in glossary_rows()))
    tables = {one.__name__: one for one in models.TABLES}
    assert set(tables) <= {name.partition(".")[0] for name in named}
    for name in named:
        if "/" in name or name.endswith(".py"):
            assert (HERE / name).exists(), name
        elif name.partition(".")[0] in tables:
            table, _, field = name.partition(".")
            assert not field or field in tables[table]._meta.fields, name


def test_both_manuals_have_the_same_parts_and_pictures():
    ja, en = read("docs/manual.ja.md"), read("docs/manual.en.md")
    assert re.findall(r"images/[\w-]+\.png", ja) == re.findall(r"images/[\w-]+\.png", en)
    assert len(re.findall(r"^##+ ", ja, re.MULTILINE)) == len(re.findall(r"^##+ ", en, re.MULTILINE))


def test_each_decision_has_a_number_of_its_own():
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert len(set(numbers)) == len(numbers) >= 10
    for path in (DOCS / "decisions").glob("[0-9]*.md"):
        text = path.read_text("utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert all(f"**{part}.**" in text for part in ("Context", "Choice", "Price")), path.name
