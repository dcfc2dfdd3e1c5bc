"""`flask explain`: classify mails, one line each. Changes nothing and needs no data folder."""

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
@click.option("--json", "as_json", is_flag=True, help="one line of JSON for each mail")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[FILE …]")
def explain(as_json: bool, files: tuple[Path, ...]) -> None:
    """Classify mails as bounce, delay, complaint, auto-reply or ordinary.

    FILE: a mail, a mailbox (mbox) or a folder of mails; without FILE, standard input.
    """
    for raw in _iter_messages(files):
        result = explain_raw_message(raw)
        line = json.dumps(result, ensure_ascii=False) if as_json else _format_text(result)
        click.echo(line.encode("utf-8", "replace"))  # whatever the terminal's charset is


def explain_raw_message(raw: bytes) -> dict[str, object]:
    """Return the classification of a mail, under the keys of design 4."""
    arrival = message.parse_message(raw)
    explanation = report.explain_message(arrival)
    values = (
        explanation.kind,
        explanation.permanent,
        explanation.status,
        explanation.reason,
        list(explanation.failed),
        arrival.from_addresses[0] if arrival.from_addresses else "",
        arrival.subject,
        arrival.text,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _iter_messages(files: Iterable[Path]) -> Iterator[bytes]:
    """Yield all mails of the files, folders sorted by name; of standard input without files."""
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
    """Split a mailbox (RFC 4155) into mails; an empty file holds one empty mail."""
    if not re.match(rb"From [^\r\n]{1,200}\r?\n", raw):
        yield raw
        return
    starts = [match.start() for match in _MBOX_BORDER.finditer(raw)] or [0]
    for start, end in zip([0, *starts[1:]], [*starts[1:], len(raw)], strict=True):
        yield re.sub(rb"(?m)^>(>*From )", rb"\1", raw[start:end].lstrip(b"\r\n"))


def _format_text(result: dict[str, object]) -> str:
    reason = str(result["reason"])
    verdict = {True: "permanent", False: "temporary", None: ""}[result["permanent"]]  # type: ignore[index]
    facts = [str(result["kind"]), verdict, str(result["status"]), report.REASON_TEXTS.get(reason, reason)]
    lines = [
        " · ".join(fact for fact in facts if fact),
        f"  from     {result['from']}",
        f"  subject  {result['subject']}",
    ]
    lines += [f"  failed   {address}" for address in result["failed"]]  # type: ignore[attr-defined]
    return "\n".join(lines) + "\n"


COMMANDS = (explain,)
