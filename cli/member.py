"""`flask member`: read a roster into a list, write a list as CSV."""

from pathlib import Path

import click
from flask.cli import AppGroup

import clock
from cli.common import exit_with_error, get_list_or_exit, print_note, with_installation
from core import audit
from core.imports import columns, jobs, plan_model
from core.imports import export as roster_export
from core.imports import plan as roster_plan
from core.imports import read as roster_read
from i18n import say

member_group = AppGroup("member", help="Members of a list, in and out.")
COMMANDS = (member_group,)


@member_group.command("import")
@click.argument("wanted", metavar="LIST")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="say what would happen, write nothing")
@with_installation
def import_(wanted: str, file: Path, dry_run: bool) -> None:
    """Read FILE (CSV in any Japanese encoding, tab-separated text, .xlsx, .xls) into LIST.

    Good lines are written, the others are named on stderr. Columns that Kairan does not know become items.
    """
    chosen = get_list_or_exit(wanted)
    try:
        sheet = jobs.read_sheet(file.read_bytes(), file.name)
    except roster_read.UnreadableFile as wrong:
        exit_with_error(say("en", wrong.message, **wrong.values))
    mapping = columns.guess_mapping(sheet)
    if dry_run:
        made = roster_plan.plan_sheet(chosen, sheet, mapping, clock.now())
    else:
        made = jobs.import_now(chosen, sheet, mapping, None, clock.now())
    for line in made.lines:
        if line.outcome == "wrong":
            print_note(f"line {line.number}: {' '.join(plan_model.format_note('en', one) for one in line.notes)}")
    counts = made.counts
    print_note(
        ("Nothing written. " if dry_run else "") + ", ".join(f"{number} {name}" for name, number in counts.items())
    )
    if counts["wrong"] == len(made.lines):
        exit_with_error("No line could be read.")


@member_group.command("export")
@click.argument("wanted", metavar="LIST")
@click.option("--language", type=click.Choice(["ja", "en"]), default="ja", help="language of the header")
@with_installation
def export(wanted: str, language: str) -> None:
    """Write the members of LIST to stdout as CSV (UTF-8 with BOM); `member import` reads it back unchanged."""
    chosen = get_list_or_exit(wanted)
    click.echo(roster_export.export_csv(chosen, language), nl=False)
    audit.log_action(None, "roster.exported", chosen.id)
