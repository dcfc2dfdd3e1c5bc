"""Keep the translations: read the marked sentences out of the source, fill them in, compile, and check them.

    python tools/catalogue.py extract      bring translations/ja up to date with the source
    python tools/catalogue.py add FILE     the same, and fill in {"English": "日本語", ...} ("-": stdin)
    python tools/catalogue.py check        name the untranslated, fuzzy, unused, and differing placeholders
    python tools/catalogue.py prune        drop what the source does not use any more

Marked are `_("...")`, `N_("...")` and `say(language, "...")` in python, `_("...")` and `{% trans %}` blocks
in templates; of a condition inside the brackets both ends count.
Nothing is ever matched by likeness.
"""

import argparse
import ast
import contextlib
import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, TemplateSyntaxError, nodes

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = "ja"
MARKS = {"_": 0, "N_": 0, "gettext": 0, "say": 1}
EXCLUDED_DIRS = {"tests", "tools", "benchmarks", "migrations", "data", "docs", "static", "deploy", "translations"}
PLACEHOLDER = re.compile(r"%\((\w+)\)")

Sentences = dict[str, set[str]]


class StableCatalog(Catalog):
    """A catalogue without dates and versions in its header, so that the same messages give the same file."""

    header_comment = "# Japanese words of Kairan, kept by tools/catalogue.py"

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """Return only the headers that gettext needs."""
        return [
            ("Language", LANGUAGE),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", "nplurals=1; plural=0;"),
        ]


def folder(root: Path) -> Path:
    return root / "translations" / LANGUAGE / "LC_MESSAGES"


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Lock the catalogue against other processes; waits for the lock."""
    folder(root).mkdir(parents=True, exist_ok=True)
    with (root / "translations" / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sources(root: Path) -> Iterator[Path]:
    """Yield the Python files and templates that contain messages."""
    for folder_name, folders, files in os.walk(root):
        here = Path(folder_name)
        top = here == root
        folders[:] = sorted(f for f in folders if f[0] not in "._" and not (top and f in EXCLUDED_DIRS))
        inside = here.relative_to(root).parts
        for name in sorted(files):
            if name.endswith(".py") or (inside[:1] == ("templates",) and name.endswith((".html", ".txt"))):
                yield here / name


def literals(node: ast.expr) -> Iterator[str]:
    """Return the strings of an argument: one string, or both branches of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def from_python(text: str) -> Iterator[str]:
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        place = MARKS.get(name, len(call.args))
        if place < len(call.args):
            yield from literals(call.args[place])


def from_template(text: str) -> Iterator[str]:
    """Yield the messages of a template; `{% trans %}` blocks lose their line breaks."""
    environment = Environment(
        extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    for call in environment.parse(text).find_all(nodes.Call):
        place = MARKS.get(getattr(call.node, "name", ""), len(call.args))
        for argument in call.args[place : place + 1]:
            chosen = [argument.expr1, argument.expr2] if isinstance(argument, nodes.CondExpr) else [argument]
            yield from (c.value for c in chosen if isinstance(c, nodes.Const) and isinstance(c.value, str))


def extract_messages(root: Path) -> tuple[Sentences, list[str]]:
    """Return {message: {file names}}, and one error line for each unreadable file."""
    found: Sentences = {}
    faults: list[str] = []
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        read = from_python if path.suffix == ".py" else from_template
        try:
            for sentence in read(path.read_text(encoding="utf-8")):
                found.setdefault(sentence, set()).add(name)
        except (SyntaxError, TemplateSyntaxError) as fault:
            faults.append(f"{name}:{fault.lineno}: {fault}")
    found.pop("", None)
    return found, faults


def load(root: Path) -> Catalog:
    path = folder(root) / "messages.po"
    if not path.exists():
        return StableCatalog(locale=LANGUAGE, fuzzy=False)
    with path.open("rb") as handle:
        return read_po(handle, locale=LANGUAGE)


def merge(old: Catalog, found: Sentences, given: dict[str, str]) -> StableCatalog:
    """Build the new catalogue: source messages, existing translations, and given translations on top.

    Messages that the source no longer contains stay if they have a translation.
    """
    new = StableCatalog(locale=LANGUAGE, fuzzy=False)
    former = {m.id: m for m in [*old, *old.obsolete.values()] if m.id}
    for sentence in sorted({*found, *former, *given}):
        before = former.get(sentence) or Message(sentence)
        words = given.get(sentence, before.string)
        if sentence in found or words:
            flags = set(before.flags) - ({"fuzzy"} if sentence in given else set())
            new.add(sentence, words, flags=flags)
    return new


def save(root: Path, catalogue: StableCatalog) -> None:
    """Write .po and .mo atomically, and only if the content changed."""
    po, mo = BytesIO(), BytesIO()
    write_po(po, catalogue, width=0, sort_output=True)
    write_mo(mo, catalogue)
    for name, data in (("messages.po", po.getvalue()), ("messages.mo", mo.getvalue())):
        path = folder(root) / name
        if path.exists() and path.read_bytes() == data:
            continue
        scratch = path.with_suffix(path.suffix + ".new")
        scratch.write_bytes(data)
        scratch.replace(path)


def check_translation(sentence: str, words: str) -> str:
    """Return the difference in placeholders between message and translation; "" if there is none."""
    ours, theirs = set(PLACEHOLDER.findall(sentence)), set(PLACEHOLDER.findall(words))
    if ours != theirs:
        return f"placeholders {sorted(ours)} became {sorted(theirs)}"
    if ours:
        for text in (sentence, words):
            try:
                text % dict.fromkeys(ours, 1)
            except (TypeError, ValueError) as fault:
                return f"cannot be filled in ({fault}): {text}"
    return ""


def find_problems(root: Path) -> list[str]:
    """Return one line for each problem of the catalogue."""
    found, faults = extract_messages(root)
    known = {m.id: m for m in load(root) if m.id}
    for sentence in sorted(found):
        message = known.get(sentence)
        if message is None or not message.string:
            faults.append(f"untranslated: {sentence}   ({', '.join(sorted(found[sentence]))})")
        elif message.fuzzy:
            faults.append(f"fuzzy: {sentence}")
        elif trouble := check_translation(sentence, message.string):
            faults.append(f"{trouble}: {sentence}")
    faults += [f"not in the source: {sentence}" for sentence in sorted(known) if sentence not in found]
    return faults + find_unused(root)


def find_unused(root: Path) -> list[str]:
    """Say if the compiled file differs from the .po file."""
    mo, fresh = folder(root) / "messages.mo", BytesIO()
    write_mo(fresh, merge(load(root), {}, {}))
    same = mo.exists() and mo.read_bytes() == fresh.getvalue()
    return [] if same else ["messages.mo is not compiled from messages.po: run `tools/catalogue.py extract`"]


def read_translations(name: str) -> dict[str, str]:
    """Read {"English": "日本語"}; exit if the format or a placeholder is wrong."""
    text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    given = json.loads(text)
    if not isinstance(given, dict) or not all(isinstance(v, str) and v and k for k, v in given.items()):
        sys.exit(f'{name}: not {{"English": "日本語", ...}}')
    bad = [f"{trouble}: {k}" for k, v in given.items() if (trouble := check_translation(k, v))]
    if bad:
        sys.exit("\n".join([f"{name}: nothing was added", *bad]))
    return given


def update_catalog(root: Path, given: dict[str, str], prune: bool = False) -> tuple[Sentences, list[str]]:
    """Rewrite the catalogue under the lock; return the source messages and the unreadable files."""
    with locked(root):
        found, faults = extract_messages(root)
        if prune and faults:
            return found, faults
        catalogue = merge(load(root), found, given)
        if prune:
            for sentence in [m.id for m in catalogue if m.id and m.id not in found]:
                catalogue.delete(sentence)
        save(root, catalogue)
    return found, faults


def print_report(root: Path, found: Sentences, faults: list[str]) -> None:
    for line in faults:
        print(f"skipped, {line}", file=sys.stderr)
    words = {m.id for m in load(root) if m.id and m.string}
    missing, unused = found.keys() - words, words - found.keys()
    print(f"{len(found)} sentences, {len(missing)} without Japanese, {len(unused)} unused")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run one command. Return 1 if `check` finds problems or `prune` an unreadable file, else 0."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("extract", "check", "prune"):
        commands.add_parser(name)
    commands.add_parser("add").add_argument("file")
    options = parser.parse_args(arguments)
    if options.command == "check":
        faults = find_problems(root)
        print("\n".join(faults) if faults else "every sentence has its Japanese words")
        return 1 if faults else 0
    given = read_translations(options.file) if options.command == "add" else {}
    found, faults = update_catalog(root, given, prune=options.command == "prune")
    print_report(root, found, faults)
    return 1 if faults and options.command == "prune" else 0


if __name__ == "__main__":
    sys.exit(main())
