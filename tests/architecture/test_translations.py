"""Check the translations of this repository, and the tool that keeps them on a small made-up source."""

import gettext
import json
from pathlib import Path

import pytest

from tools import catalogue

PYTHON = 'a = say(user.language, "Hello %(name)s", name=1)\nb = _("Yes" if a else "No")\nc = N_("long "\n "one")\n'
TEMPLATE = '<p>{{ _("Sign in") }}</p>{% trans n=3 %}\n{{ n }} letters\n wait{% endtrans %}'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a folder with one python file, one template, and files whose words nobody sees."""
    for name, text in (
        ("core/a.py", PYTHON),
        ("templates/a.html", TEMPLATE),
        ("tests/b.py", '_("only in a test")'),
        (".venv/c.py", '_("somebody else\'s")'),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def run(root: Path, *arguments: str) -> int:
    return catalogue.main(list(arguments), root=root)


def add(root: Path, words: dict[str, str]) -> int:
    path = root / "new.json"
    path.write_text(json.dumps(words), encoding="utf-8")
    return run(root, "add", str(path))


def spoken(root: Path, sentence: str) -> str:
    with (catalogue.folder(root) / "messages.mo").open("rb") as handle:
        return gettext.GNUTranslations(handle).gettext(sentence)


ALL = {
    "Hello %(name)s": "こんにちは、%(name)sさん",
    "Yes": "はい",
    "No": "いいえ",
    "long one": "長い文",
    "Sign in": "ログイン",
    "%(n)s letters wait": "%(n)s通が待っています",
}


def test_every_sentence_of_kairan_has_japanese_words():
    assert catalogue.find_problems(catalogue.ROOT) == []


def test_reads_python_and_templates_and_nothing_else(source):
    found, faults = catalogue.extract_messages(source)
    assert faults == []
    assert set(found) == set(ALL)
    assert found["Sign in"] == {"templates/a.html"}


def test_whole_catalogue_passes_and_speaks(source):
    assert add(source, ALL) == 0
    assert run(source, "check") == 0
    assert spoken(source, "Yes") == "はい"


def test_check_names_what_is_missing(source, capsys):
    add(source, {"Yes": "はい"})
    assert run(source, "check") == 1
    assert "untranslated: Sign in   (templates/a.html)" in capsys.readouterr().out


def test_words_for_a_sentence_not_yet_written_wait_for_it(source, capsys):
    add(source, {**ALL, "Later": "あとで"})
    assert run(source, "check") == 1
    assert "not in the source: Later" in capsys.readouterr().out
    (source / "core/later.py").write_text('_("Later")', encoding="utf-8")
    run(source, "extract")
    assert run(source, "check") == 0


def test_prune_drops_what_the_source_does_not_use(source):
    add(source, {**ALL, "Later": "あとで"})
    assert run(source, "prune") == 0
    assert run(source, "check") == 0
    assert spoken(source, "Later") == "Later"


def test_prune_drops_nothing_while_a_file_cannot_be_read(source):
    add(source, ALL)
    (source / "core/a.py").write_text("def broken(", encoding="utf-8")
    assert run(source, "prune") == 1
    assert spoken(source, "Yes") == "はい"


@pytest.mark.parametrize("words", ["さようなら", "%(who)sさん", "%(name)s %(x)s"])
def test_words_with_other_placeholders_are_refused(source, words):
    with pytest.raises(SystemExit, match="nothing was added"):
        add(source, {"Hello %(name)s": words})


def test_broken_placeholder_is_refused(source):
    with pytest.raises(SystemExit, match="cannot be filled in"):
        add(source, {"Hello %(name)s": "%(name)さん"})


def test_check_finds_placeholders_changed_by_hand(source, capsys):
    add(source, ALL)
    path = catalogue.folder(source) / "messages.po"
    path.write_text(path.read_text(encoding="utf-8").replace("こんにちは、%(name)s", "こんにちは、%(nam)s"), "utf-8")
    assert run(source, "check") == 1
    out = capsys.readouterr().out
    assert "placeholders ['name'] became ['nam']" in out
    assert "messages.mo is not compiled" in out


def test_a_fuzzy_entry_is_named_and_cleared_by_new_words(source, capsys):
    add(source, ALL)
    path = catalogue.folder(source) / "messages.po"
    path.write_text(path.read_text(encoding="utf-8").replace('msgid "Yes"', '#, fuzzy\nmsgid "Yes"'), "utf-8")
    assert run(source, "check") == 1
    assert "fuzzy: Yes" in capsys.readouterr().out
    add(source, {"Yes": "うん"})
    assert run(source, "check") == 0
    assert spoken(source, "Yes") == "うん"


def test_same_words_give_the_same_bytes_and_no_line_numbers(source):
    add(source, ALL)
    before = [p.read_bytes() for p in sorted(catalogue.folder(source).iterdir())]
    (source / "core/a.py").write_text("\n\n" + PYTHON, encoding="utf-8")
    run(source, "extract")
    assert [p.read_bytes() for p in sorted(catalogue.folder(source).iterdir())] == before
    assert b"core/a.py:" not in before[1] and b"Creation" not in before[1]
