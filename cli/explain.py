"""`flask explain`: what Kairan makes of mails, one line each, changing nothing and needing no data folder."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from cli.common import exit_with_error
from mail import message
from mail.bounce import report

COLUMNS = ("kind", "permanent", "status", "reason", "failed", "from", "subject", "text")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="one JSON document a line and mail")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[FILE …]")
def explain(as_json: bool, files: tuple[Path, ...]) -> None:
    """Say what Kairan makes of mails: bounce, delay, complaint, automatic answer, or ordinary.

    FILE: a mail, a mailbox (mbox) or a folder of mails; without FILE, standard input.
    """
    for raw in _iter_messages(files):
        shown = explain_raw_message(raw)
        line = json.dumps(shown, ensure_ascii=False) if as_json else _format_text(shown)
        click.echo(line.encode("utf-8", "replace"))  # whatever the terminal's charset is


def explain_raw_message(raw: bytes) -> dict[str, object]:
    """Return what a mail is, under the keys that scripts rely on (design 4)."""
    arrival = message.parse_message(raw)
    found = report.explain_message(arrival)
    values = (
        found.kind,
        found.permanent,
        found.status,
        found.reason,
        list(found.failed),
        arrival.from_addresses[0] if arrival.from_addresses else "",
        arrival.subject,
        arrival.text,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _iter_messages(files: Iterable[Path]) -> Iterator[bytes]:
    """Go through all mails of the files named, folders sorted by name; standard input if none is named."""
    paths = list(files)
    if not paths:
        yield from split_mbox(sys.stdin.buffer.read())
    for path in paths:
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            yield from split_mbox(_read_file(file))


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        exit_with_error(f"{file} cannot be read: {fault.strerror}.")


_MBOX_BORDER = re.compile(
    rb"(?:\A|\n\r?\n)From [^\r\n]{1,200} \d\d:\d\d(?::\d\d)?[^\r\n]{0,60}\r?\n(?=[!-9;-~]{1,80}:)"
)


def split_mbox(raw: bytes) -> Iterator[bytes]:
    """Cut a mailbox (RFC 4155) into its mails; a single mail stays whole. An empty file holds one empty mail."""
    if not re.match(rb"From [^\r\n]{1,200}\r?\n", raw):
        yield raw
        return
    starts = [found.start() for found in _MBOX_BORDER.finditer(raw)] or [0]
    for start, end in zip([0, *starts[1:]], [*starts[1:], len(raw)], strict=True):
        yield re.sub(rb"(?m)^>(>*From )", rb"\1", raw[start:end].lstrip(b"\r\n"))


def _format_text(shown: dict[str, object]) -> str:
    """Return the finding for people: a line with what it is, one with who, one with why."""
    reason = str(shown["reason"])
    verdict = {True: "permanent", False: "temporary", None: ""}[shown["permanent"]]  # type: ignore[index]
    facts = [str(shown["kind"]), verdict, str(shown["status"]), report.REASON_TEXTS.get(reason, reason)]
    lines = [
        " · ".join(fact for fact in facts if fact),
        f"  from     {shown['from']}",
        f"  subject  {shown['subject']}",
    ]
    lines += [f"  failed   {address}" for address in shown["failed"]]  # type: ignore[attr-defined]
    return "\n".join(lines) + "\n"


COMMANDS = (explain,)
