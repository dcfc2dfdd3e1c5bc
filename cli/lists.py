"""`flask list`, `member`, `group` and `sender`: lists, their members, groups (E-15) and allowed senders."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import clock
import tasks
from cli.common import (
    exit_with_domain_error,
    exit_with_error,
    get_list_or_exit,
    get_user_or_exit,
    print_json,
    print_note,
    with_installation,
)
from core import audit
from core.errors import DomainError
from core.imports import class_source, columns, jobs, plan_model
from core.imports import export as roster_export
from core.imports import plan as roster_plan
from core.imports import read as roster_read
from core.inbound import allowed_senders
from core.members import groups, lists, segment_rules
from core.members.segment_rules import InvalidRule, SegmentRule
from core.settings import load_settings
from i18n import say
from models import Group, MailingList

list_group = click.Group("list", help="Lists of people who get notices.")
member_group = click.Group("member", help="Members of a list, in and out.")
group = click.Group("group", help="Groups: some of the members of a list, to send to or to leave out.")
sender_group = click.Group("sender", help="Addresses that may post to a list by mail.")
COMMANDS = (list_group, member_group, group, sender_group)

_RULE = re.compile(r"(?:(and|or)\s+)?(\S.*?)\s+(is|is_not|one_of|contains|empty|not_empty)(?:\s+(.*))?", re.DOTALL)
_FIELDS = {"学年": "grade", "組": "class_name", "class": "class_name", "続柄": "relation"}


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


@list_group.command("add")
@click.argument("name")
@click.option("--address", required=True, metavar="LOCALPART", help="the part before the @ of the list's address")
@click.option("--manager", metavar="NAME", help="user who manages it; default: the administrators")
@click.option("--whole", is_flag=True, help="this list is the whole school or club")
@click.option("--purpose", default="", help="what the addresses are used for; shown at signup")
@with_installation
def add_list(name: str, address: str, manager: str | None, whole: bool, purpose: str) -> None:
    """Add a list; print its number."""
    user = get_user_or_exit(manager) if manager else None
    try:
        mailing_list = lists.add_list(None, name, address, manager=user, whole=whole, purpose=purpose, now=clock.now())
    except DomainError as error:
        exit_with_domain_error(error)
    print_note(f"{mailing_list.name}: {load_settings().own_addresses.address(mailing_list.address)}")
    click.echo(mailing_list.id)


@list_group.command("show")
@click.argument("wanted", metavar="LIST", required=False)
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
@with_installation
def show_lists(wanted: str | None, as_json: bool) -> None:
    """Count the members of LIST (local part, number or exact name); without LIST, of all lists."""
    chosen = _lists(wanted)
    counts = lists.count_members_by_list(row.id for row in chosen)
    rows = [{"number": row.id, "name": row.name, "address": row.address, **counts[row.id]} for row in chosen]
    if as_json:
        print_json(rows[0] if wanted else rows)
        return
    for row in rows:
        click.echo("  ".join(f"{key} {value}" for key, value in row.items()))


def _lists(wanted: str | None) -> list[MailingList]:
    return [get_list_or_exit(wanted)] if wanted else list(MailingList.open_lists())


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────


@member_group.command("import")
@click.argument("wanted", metavar="LIST")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="say what would happen, write nothing")
@click.option("--take", multiple=True, metavar="COLUMN", help="also read this unknown column, as an item; repeatable")
@with_installation
def import_members(wanted: str, file: Path, dry_run: bool, take: tuple[str, ...]) -> None:
    """Read FILE (CSV in UTF-8, UTF-16, Shift_JIS, EUC-JP or ISO-2022-JP, tab-separated text, .xlsx, .xls) into LIST.

    Valid lines are imported, the others are named on stderr. Unknown columns are named
    there too, and not taken without `--take`, unless LIST has such an item.
    """
    mailing_list = get_list_or_exit(wanted)
    try:
        sheet = jobs.read_sheet(file.read_bytes(), file.name)
    except roster_read.UnreadableFile as error:
        exit_with_error(say("en", error.message, **error.values))
    if unknown := [column for column in take if column not in sheet.columns]:
        exit_with_error(f"There is no column {unknown[0]!r}.")
    mapping = jobs.suggest_mapping(mailing_list, sheet, take)
    for _, column in columns.untaken_columns(sheet, mapping):
        print_note(f"column not taken: {column} (--take takes it)")
    if dry_run:
        plan = roster_plan.plan_sheet(mailing_list, sheet, mapping, clock.now())
    else:
        try:
            plan = jobs.import_now(mailing_list, sheet, mapping, None, clock.now())
        except DomainError as error:
            exit_with_domain_error(error)
    for message, values in sheet.remarks:
        print_note(say("en", message, **values))
    if plan.classes_given:
        given = class_source.find_class(mailing_list, sheet)
        print_note(f"{plan.classes_given} children without a class get {given.grade}-{given.class_name or '?'}")
    for line in plan.lines:
        if line.loud:
            print_note(f"line {line.number}: {' '.join(plan_model.format_note('en', note) for note in line.loud)}")
    counts = ", ".join(f"{number} {name}" for name, number in plan.counts.items())
    print_note(f"Nothing written. {counts}" if dry_run else counts)
    if plan.counts["wrong"] == len(plan.lines):
        exit_with_error("No line could be read.")


@member_group.command("export")
@click.argument("wanted", metavar="LIST")
@click.option("--language", type=click.Choice(["ja", "en"]), default="ja", help="language of the header")
@with_installation
def export_members(wanted: str, language: str) -> None:
    """Write the members of LIST to stdout as CSV (UTF-8 with BOM); `member import` reads it back unchanged."""
    mailing_list = get_list_or_exit(wanted)
    click.echo(roster_export.export_csv(mailing_list, language), nl=False)
    audit.log_action(None, "roster.exported", mailing_list.id)


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────


@group.command("add")
@click.argument("wanted", metavar="LIST")
@click.argument("name")
@click.option(
    "--where",
    "rules",
    multiple=True,
    required=True,
    metavar="RULE",
    help='"学年 is 3", "地区 one_of 本町,川端", "or 委員 not_empty"; repeatable, joined by "and" unless it begins with "or"',
)
@with_installation
def add_group(wanted: str, name: str, rules: tuple[str, ...]) -> None:
    """Add a group of the members of LIST that match the rules; print its number."""
    mailing_list = get_list_or_exit(wanted)
    try:
        added = groups.add_group(mailing_list, name, None, clock.now(), segment_rules.parse_blocks(_parse_rules(rules)))
    except InvalidRule as error:
        exit_with_error(f"rule {(error.place or 0) + 1}: {say('en', error.message)}")
    except DomainError as error:
        exit_with_domain_error(error)
    preview = groups.preview_group(groups.membership_ids(added), 0)
    print_note(f"{added.name}: {preview.people} people, {preview.by_mail} by mail")
    click.echo(added.id)


def _parse_rules(rules: tuple[str, ...]) -> Iterator[tuple[str, SegmentRule]]:
    for text in rules:
        match = _RULE.fullmatch(text.strip())
        if match is None:
            exit_with_error(f"{text!r} is no rule; write it like “学年 is 3”.")
        conjunction, name, operator, value = match.groups()
        field = _FIELDS.get(name, name if name in segment_rules.FIELDS else segment_rules.ITEM_PREFIX + name)
        yield conjunction or "and", SegmentRule(field, operator, value or "")


@group.command("show")
@click.argument("wanted", metavar="LIST", required=False)
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
@with_installation
def show_groups(wanted: str | None, as_json: bool) -> None:
    """Show the groups of LIST, or of all lists: rules, number of people, number reached by mail."""
    rows = [_group_document(row) for row in groups.groups_in_lists(row.id for row in _lists(wanted))]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        condition = row["condition"] or "fixed"
        click.echo(f"{row['number']}  {row['list']}/{row['name']}  {row['people']} people  {condition}")


def _group_document(row: Group) -> dict[str, Any]:
    preview = groups.preview_group(groups.membership_ids(row), 0)
    blocks = segment_rules.blocks_from_json(row.condition) if row.condition else None
    return {
        "number": row.id,
        "name": row.name,
        "list": row.list.address,
        "condition": segment_rules.describe_blocks("en", blocks) if blocks else None,
        "people": preview.people,
        "by_mail": preview.by_mail,
    }


# ── senders ──────────────────────────────────────────────────────────────────────────────────────────────────────


@sender_group.command("add")
@click.argument("wanted", metavar="LIST")
@click.argument("address")
@click.option("--name", default="", help="name that readers see as the sender")
@with_installation
def add_sender(wanted: str, address: str, name: str) -> None:
    """Add ADDRESS as an allowed sender of LIST, or change its name; print the sender's number.

    A new sender gets the trial letter, which asks for a reply.
    """
    mailing_list = get_list_or_exit(wanted)
    try:
        if known := allowed_senders.get_sender(mailing_list, address):
            sender = allowed_senders.update_sender(known, None, known.address, name or known.name, clock.now())
        else:
            sender = allowed_senders.add_sender(mailing_list, None, address, name, clock.now())
            tasks.wake_worker()
    except DomainError as error:
        exit_with_domain_error(error)
    print_note(f"{mailing_list.name}: {sender.address} may post.")
    click.echo(sender.id)
