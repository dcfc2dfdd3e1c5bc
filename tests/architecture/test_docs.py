"""The documents keep up with the program: every command, setting, requirement, link and picture."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

import cli
from config import Config
from tools import commands_page, requirements_table

HERE = Path(__file__).parents[2]
DOCS = HERE / "docs"
PAGES = sorted([*HERE.glob("*.md"), *DOCS.rglob("*.md"), *(HERE / "demo").glob("*.md")])
SOURCES = {"T": 53, "D": 46, "N": 18, "X": 16, "E": 20}
"""How many lines each of the five source documents has."""
NOTHING = "nothing to build"  # lines of the sources that ask for nothing


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


def rows() -> dict[str, str]:
    """Return {id: last column} of the page of requirements."""
    found = [requirements_table.ROW.match(line) for line in read("docs/requirements.md").splitlines()]
    return {row["id"]: row["where"] for row in found if row}


def not_there_yet() -> list[str]:
    """Return what the README says is planned and not built: the names in bold of its last list."""
    part = read("README.md").partition("## What is not there yet")[2].partition("\n## ")[0]
    return re.findall(r"\*\*([^*]+)\*\*", part)


def test_the_readme_names_as_missing_only_what_is():
    later = {where.removeprefix("later: ") for where in rows().values() if where.startswith("later: ")}
    assert set(not_there_yet()) == later - {NOTHING}


def test_every_line_of_the_sources_is_listed_once():
    wanted = [f"{letter}-{number:02d}" for letter, count in SOURCES.items() for number in range(1, count + 1)]
    page = read("docs/requirements.md")
    listed = [row["id"] for line in page.splitlines() if (row := requirements_table.ROW.match(line))]
    assert listed == wanted


@pytest.mark.parametrize("one", sorted(rows()))
def test_what_is_said_to_hold_a_requirement_does_name_it(one):
    where = rows()[one]
    if where.startswith("later: "):
        assert where.removeprefix("later: ") in (NOTHING, *not_there_yet()), "the README must name it"
        return
    named = re.findall(r"`(tests/[^`:]+)(?:::(\w+))?`", where)
    assert named, f"{one} has neither a test nor a later"
    for file, test in named:
        source = read(file)
        assert one in source and (not test or f"def {test}(" in source), (
            f"run: python -m tools.requirements_table ({file})"
        )


def test_a_requirement_that_a_test_names_is_not_said_to_come_later():
    tests = requirements_table.tests_by_id(HERE / "tests")
    assert [one for one, where in rows().items() if where.startswith("later: ") and one in tests] == []


def test_every_id_that_the_code_quotes_exists():
    folders = ("core", "mail", "blueprints", "cli", "tests")
    files = [path for folder in folders for path in (HERE / folder).rglob("*.py") if path.name != Path(__file__).name]
    quoted = {one: path.name for path in files for one in requirements_table.ID.findall(path.read_text("utf-8"))}
    assert {one: where for one, where in quoted.items() if one not in rows()} == {}


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


def test_the_glossary_uses_each_word_once():
    table = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", read("docs/glossary.md"), re.MULTILINE)[2:]
    english, japanese = [row[0].strip() for row in table], [row[1].strip() for row in table]
    assert len(table) > 30
    assert len(set(english)) == len(english) and len(set(japanese)) == len(japanese)


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
