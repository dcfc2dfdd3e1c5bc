"""`flask notice send` and `flask notice show`. `send` prints what the check page shows, and asks nothing."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn

import click

import clock
import i18n
import tasks
from cli import common
from core.delivery import throttle
from core.errors import DomainError, TooManyGroups
from core.notices import approval, attachments, content_checks, drafts, questions
from core.notices.audience import EXCLUSION_REASONS, Audience, resolve_audience
from core.notices.file_types import UnfitFile
from core.permissions import permissions_of
from core.reports import progress
from core.settings import load_settings
from models import Group, MailingList, Notice, User


@click.group()
def notice() -> None:
    """Send notices and show their progress."""


@notice.command()
@click.option("--list", "lists", multiple=True, metavar="LIST", help="to this list; repeatable")
@click.option("--group", "named", multiple=True, metavar="GROUP", help="to this group (number, LIST/NAME); repeatable")
@click.option("--not-group", "left_out", multiple=True, metavar="GROUP", help="leave out this group; repeatable")
@click.option("--subject", required=True)
@click.option("--body-file", required=True, type=click.File("rb"), help="the text, UTF-8; - for stdin")
@click.option("--read-confirmation", is_flag=True, help="ask the readers to press 「見ました」")
@click.option("--question", metavar="Q", help="ask this; needs at least two --choice")
@click.option(
    "--choice", "choices", multiple=True, metavar="A", help="a choice of the question, in this order; repeatable"
)
@click.option("--deadline", metavar="TIME", help="readers answer until then: 2026-11-22T21:00 or 2026-11-22")
@click.option(
    "--unit", type=click.Choice(list(questions.UNIT_LABELS)), default="household", help="the unit that answers once"
)
@click.option("--questions-file", type=click.File("rb"), help="several questions as JSON (docs/administrator.md)")
@click.option("--attach", "attached", multiple=True, type=click.File("rb"), help="attach this file; repeatable")
@click.option("--urgent", is_flag=True, help="sent first; expires after six hours")
@click.option("--at", metavar="TIME", help="schedule for this local time of the school: 2026-11-22T07:00")
@click.option("--hold", is_flag=True, help="keep the hold window, in which it can be cancelled")
@click.option("--fields-may-be-empty", is_flag=True, help="send also to readers with an empty merge field")
@click.option("--by", required=True, metavar="USER", help="the organizer who sends it")
@common.with_installation
def send(
    lists: tuple[str, ...],
    named: tuple[str, ...],
    left_out: tuple[str, ...],
    subject: str,
    body_file: BinaryIO,
    read_confirmation: bool,
    question: str | None,
    choices: tuple[str, ...],
    deadline: str | None,
    unit: str,
    questions_file: BinaryIO | None,
    attached: tuple[BinaryIO, ...],
    urgent: bool,
    at: str | None,
    hold: bool,
    fields_may_be_empty: bool,
    by: str,
) -> None:
    """Send a notice to lists and groups; print its number."""
    now = clock.now()
    user = common.get_user_or_exit(by)
    chosen = [common.get_list_or_exit(wanted) for wanted in lists]
    to = [common.get_group_or_exit(wanted) for wanted in named]
    without = [common.get_group_or_exit(wanted) for wanted in left_out]
    if not chosen and not to:
        _usage_error("To whom? Give at least one --list or --group.")
    _require_send_permission(user, [*chosen, *(group.list for group in to + without)])
    moment, text = _parse_time_option("--at", at), _read_utf8(body_file)
    asks = _parse_questions(question, choices, deadline, unit, questions_file)
    draft = drafts.create_draft(user, now=now, urgent=urgent, route="terminal")
    drafts.save_draft(
        draft,
        now=now,
        subject=subject,
        text=text,
        read_confirmation=read_confirmation,
        questions=asks,
        skip_missing=not fields_may_be_empty,
    )
    _set_recipients(draft, user, now, chosen, to, without)
    _attach_files(draft, attached, user, now)
    audience = resolve_audience(draft, moment)
    _print_recipients(draft, audience, moment, now)
    try:
        approval.confirm_send(
            draft,
            by=user,
            fingerprint=audience.fingerprint,
            now=now,
            at=moment,
            typed=str(audience.letters),
            hold_s=None if hold else 0,
        )
    except DomainError as refusal:
        drafts.delete_draft(draft, user)
        _exit_refused(refusal)
    tasks.wake_worker(draft.send_at)
    click.echo(draft.id)


def _exit_refused(refusal: DomainError) -> NoReturn:
    for sentence in getattr(refusal, "fields", {}).values():
        common.print_note(i18n.say("en", sentence))
    common.exit_with_error(refusal.message % refusal.values if refusal.values else refusal.message)


def _set_recipients(
    draft: Notice, user: User, now: datetime, lists: list[MailingList], to: list[Group], without: list[Group]
) -> None:
    numbers = [[row.id for row in rows] for rows in (lists, to, without)]
    try:
        drafts.set_recipients(draft, now=now, lists=numbers[0], groups=numbers[1], without_groups=numbers[2])
    except TooManyGroups as refused:
        drafts.delete_draft(draft, user)
        common.exit_with_error(refused.message % refused.values)


def _require_send_permission(user: User, lists: list[MailingList]) -> None:
    permissions = permissions_of(user)
    for mailing_list in lists:
        if not permissions.may_list("send", mailing_list):
            common.exit_with_error(f"{user.name} may not send to {mailing_list.name}.")


def _parse_time_option(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = clock.parse_local_time(text)
    if moment is None:
        _usage_error(f"{option} {text!r} is no time; write it like 2026-11-22T07:00.")
    return moment


def _usage_error(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(2)


def _parse_deadline(text: str) -> datetime | None:
    """Read a deadline: a day alone includes that day."""
    try:
        return questions.end_of_day(date.fromisoformat(text))
    except ValueError:
        return clock.parse_local_time(text)


def _parse_questions(
    question: str | None, choices: tuple[str, ...], deadline: str | None, unit: str, file: BinaryIO | None
) -> list[questions.QuestionDraft]:
    """Return the questions of the options: one, those of a file, or none."""
    if file is not None:
        if question or choices or deadline:
            _usage_error("--questions-file cannot be combined with --question, --choice and --deadline.")
        try:
            return questions.from_json(_read_utf8(file), _parse_deadline)
        except questions.InvalidQuestionFile as fault:
            common.exit_with_error(f"{file.name}: {fault}.")
    if not question:
        if choices or deadline:
            _usage_error("--choice and --deadline need a --question.")
        return []
    moment = _parse_deadline(deadline) if deadline else None
    if deadline and moment is None:
        _usage_error(f"--deadline {deadline!r} is no time; write it like 2026-11-22T21:00 or 2026-11-22.")
    return [questions.QuestionDraft(question, choices, unit=unit, deadline=moment)]


def _read_utf8(file: BinaryIO) -> str:
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        common.exit_with_error(f"{file.name} is not written in UTF-8. Save it again with that encoding.")


def _attach_files(draft: Notice, attached: tuple[BinaryIO, ...], user: User, now: datetime) -> None:
    """Add files to the draft; if one is refused, delete the draft and exit."""
    for file in attached:
        try:
            attachments.add_file(draft, Path(file.name).name, file.read(attachments.MAX_FILE_BYTES + 1), user, now)
        except UnfitFile as unfit:
            drafts.delete_draft(draft, user)
            common.exit_with_error(i18n.say("en", unfit.message, **unfit.values))


def _print_recipients(draft: Notice, audience: Audience, at: datetime | None, now: datetime) -> None:
    """Print the counts, the people left out with reasons, and the warnings, as the check page does."""
    common.print_note(f"{audience.letters} letters to {', '.join(audience.titles)}")
    for reason, sentence in EXCLUSION_REASONS.items():
        count = sum(recipient.reason == reason for recipient in audience.left_out)
        if count:
            common.print_note(f"{count} without a letter: {sentence}")
    for name, count in audience.missing.items():
        common.print_note(f"  {count} of them because “{name}” is empty")
    for warning in content_checks.collect_warnings(draft, audience, now, at, "en"):
        common.print_note(i18n.say("en", warning.message, **warning.values))
    if audience.needs_typed_count:
        common.print_note(
            "It goes to everybody, or to more than half of all: a page would ask for the number of letters."
        )
    minutes = throttle.estimate_duration(audience.letters, load_settings()).total_seconds() / 60
    common.print_note(f"about {max(1, round(minutes))} min at the set rate")


@notice.command()
@click.argument("number", type=click.IntRange(1, 2**63 - 1))
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
@click.option("--deliveries", is_flag=True, help="with each delivery and its newest letter")
@common.with_installation
def show(number: int, as_json: bool, deliveries: bool) -> None:
    """Show the progress of a notice."""
    row = Notice.get_or_none(Notice.id == number)
    if row is None:
        common.exit_with_error(f"There is no notice {number}.")
    document = progress.notice_document(row, load_settings(), clock.now(), deliveries=deliveries)
    if as_json:
        common.print_json(document)
        return
    click.echo(f"{document['number']}  {document['state']}  read by {document['reads']}")
    for question in document["questions"]:
        click.echo(f"  {question['text']}  {question['answered']} of {question['asked']}")
        for choice in question["choices"]:
            click.echo(f"    {choice['number']}. {choice['text']}  {choice['count']}")
    for state, count in document["counts"].items():
        if count:
            click.echo(f"  {state:10} {count}")
    for row in document.get("deliveries", ()):
        click.echo(f"  {row['address'] or '-'}  {row['state']}  {row['reason'] or ''}  {row['read_at'] or ''}")


COMMANDS = (notice,)
