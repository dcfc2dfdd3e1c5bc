"""`flask group`: make groups of a list by a condition, and count whom they find (E-15)."""

import re
from collections.abc import Iterator

import click
from flask.cli import AppGroup

import clock
from cli.common import exit_with_error, get_list_or_exit, print_json, print_note, with_installation
from core.errors import DomainError
from core.members import groups, segment_rules
from core.members.segment_rules import InvalidRule, SegmentRule
from i18n import say
from models import Group, MailingList

group = AppGroup("group", help="Groups: some of the members of a list, to send to or to leave out.")
COMMANDS = (group,)

_WHERE = re.compile(r"(?:(and|or)\s+)?(\S+)\s+(is|is_not|one_of|contains|empty|not_empty)(?:\s+(.*))?", re.DOTALL)
_FIELDS = {"学年": "grade", "組": "class_name", "class": "class_name", "続柄": "relation"}


@group.command("add")
@click.argument("wanted", metavar="LIST")
@click.argument("name")
@click.option(
    "--where",
    "rules",
    multiple=True,
    required=True,
    metavar="RULE",
    help='"学年 is 3", "地区 one_of 本町,川端", "or 委員 not_empty"; may be repeated, "and" unless it begins with "or"',
)
@with_installation
def add(wanted: str, name: str, rules: tuple[str, ...]) -> None:
    """Make a group of the members of LIST that fit a condition; print its number."""
    mailing_list = get_list_or_exit(wanted)
    try:
        made = groups.add_group(mailing_list, name, None, clock.now(), segment_rules.parse_blocks(_parse_rules(rules)))
    except InvalidRule as wrong:
        exit_with_error(f"rule {(wrong.place or 0) + 1}: {say('en', wrong.message)}")
    except DomainError as refused:
        exit_with_error(say("en", refused.message))
    found = groups.preview_group(groups.membership_ids(made), 0)
    print_note(f"{made.name}: {found.people} people, {found.by_mail} by mail")
    click.echo(made.id)


def _parse_rules(rules: tuple[str, ...]) -> Iterator[tuple[str, SegmentRule]]:
    for text in rules:
        found = _WHERE.fullmatch(text.strip())
        if found is None:
            exit_with_error(f"{text!r} is no rule; write it like “学年 is 3”.")
        word, field, op, value = found.groups()
        known = _FIELDS.get(field, field if field in segment_rules.FIELDS else segment_rules.ITEM_PREFIX + field)
        yield word or "and", SegmentRule(known, op, value or "")


@group.command("show")
@click.argument("wanted", metavar="LIST", required=False)
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
@with_installation
def show(wanted: str | None, as_json: bool) -> None:
    """Show the groups of LIST, or of all lists: condition, people, how many of them mail reaches."""
    chosen = [get_list_or_exit(wanted)] if wanted else list(MailingList.open_lists())
    shown = [_as_document(one) for one in groups.groups_in_lists(one.id for one in chosen)]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        said = one["condition"] or "fixed"
        click.echo(f"{one['number']}  {one['list']}/{one['name']}  {one['people']} people  {said}")


def _as_document(one: Group) -> dict[str, object]:
    found = groups.preview_group(groups.membership_ids(one), 0)
    condition = (
        segment_rules.describe_blocks("en", segment_rules.blocks_from_json(one.condition)) if one.condition else None
    )
    return {
        "number": one.id,
        "name": one.name,
        "list": one.list.address,
        "condition": condition,
        "people": found.people,
        "by_mail": found.by_mail,
    }


def get_group_or_exit(wanted: str) -> Group:
    """Return a group by number, by name, or by list and name (`zenko/3年`); exit 1 with a sentence if there is none."""
    place, _, name = wanted.rpartition("/")
    rows = Group.select(Group, MailingList).join(MailingList)
    here = rows.where(Group.closed_at.is_null(), MailingList.closed_at.is_null())
    if wanted.isdecimal() and len(wanted) < 19:
        here = here.where((Group.id == int(wanted)) | (Group.name == wanted))
    else:
        here = here.where(Group.name == name)
    if place:
        here = here.where(Group.list == get_list_or_exit(place))
    found = list(here.limit(2))
    if not found:
        exit_with_error(f"There is no group {wanted!r}. `flask group show` names them all.")
    if len(found) > 1:
        exit_with_error(f"{wanted!r} fits more than one group; write LIST/NAME or the number.")
    return found[0]
