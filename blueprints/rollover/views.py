"""The rollover, one page for each step; it can be left and taken up again (field.md 5.1)."""

from collections.abc import Callable
from typing import Any

from flask import Response, abort, request
from flask_login import current_user

import clock
from blueprints.rollover import bp, new_roster
from core import display_names
from core.errors import DomainError
from core.rollover import year_end
from i18n import N_
from models import MailingList, Rollover
from web import flash_message, language, parse_row_id, redirect_to, render_page, requires

Answer = Response | tuple[str, int]


def rollover_in_state(*states: str) -> Rollover:
    """Return the open rollover if it is in one of these steps; else the page shows how things stand."""
    found = year_end.current_rollover()
    if found is None or found.state not in states:
        flash_message(year_end.StepAlreadyDone.message, "wrong")
        abort(redirect_to("rollover.index"))
    return found


def run_and_flash(act: Callable[[], Any], sentence: str, **values: object) -> Response:
    """Do something and say so, or say why it was refused; back to the page of the step."""
    try:
        act()
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    else:
        flash_message(sentence, **values)
    return redirect_to("rollover.index")


@bp.get("")
@requires("admin")
def index() -> Answer:
    """Show the step that is due."""
    found = year_end.current_rollover()
    if found is None or found.state not in year_end.OPEN_STATES:
        may_undo = bool(found and found.state == "done" and year_end.can_undo(found))
        return render_page("rollover/index.html", last=found, may_undo=may_undo, waiting=_waiting_lists())
    if found.state == "planned":
        return _plan_page(found)
    return new_roster.new_roster_page(found)


def _waiting_lists() -> list[tuple[MailingList, int]]:
    return [(one, year_end.count_people(one)) for one in year_end.lists_awaiting_roster()]


def _plan_page(found: Rollover) -> Answer:
    return render_page(
        "rollover/plan.html",
        rollover=found,
        shown=year_end.preview_year_end(found),
        grades=year_end.current_grades(),
        lists=year_end.class_list_candidates(),
        room=class_label,
    )


def class_label(grade: str, class_name: str) -> str:
    """Return a class in the words of this page."""
    return display_names.class_label(language(), grade, class_name)


@bp.post("/begin")
@requires("admin")
def start_planning() -> Response:
    """Begin to plan; nothing changes yet."""
    year_end.begin_rollover(current_user, clock.now())
    return redirect_to("rollover.index")


@bp.post("/plan")
@requires("admin")
def save_plan() -> Response:
    """Set which grades leave and which lists are classes."""
    found = rollover_in_state("planned")
    lists = request.form.getlist("lists", type=parse_row_id)
    return run_and_flash(
        lambda: year_end.set_plan(found, request.form.getlist("grades"), lists),
        N_("This page now shows what will happen so."),
    )


@bp.post("/drop")
@requires("admin")
def discard_plan() -> Response:
    """Give the plan up; nothing has been done."""
    found = rollover_in_state("planned")
    return run_and_flash(lambda: year_end.discard_plan(found, current_user), N_("Nothing has been changed."))


@bp.post("/end")
@requires("admin")
def end_year() -> Response:
    """Carry the year's end out as the page showed it."""
    found = rollover_in_state("planned")
    mark = request.form.get("fingerprint", "")
    return run_and_flash(
        lambda: year_end.end_year(found, current_user, clock.now(), fingerprint=mark),
        N_("The year has ended. The classes are empty and wait for their new roster."),
    )


@bp.post("/undo")
@requires("admin")
def undo_step() -> Response:
    """Take the last step back: the new roster, or the year's end."""
    found = rollover_in_state("ended", "done")
    if found.state == "done":
        return run_and_flash(
            lambda: new_roster.undo_roster(found), N_("The new roster is taken back. The classes wait again.")
        )
    return run_and_flash(
        lambda: year_end.undo_year_end(found, current_user), N_("Taken back. Everybody is where they were before.")
    )


@bp.post("/lists/<int:number>/open")
@requires("admin")
def reopen_list(number: int) -> Response:
    """Let a list take notices without waiting for a roster."""
    found = MailingList.get_or_none(MailingList.id == number) or abort(404)
    if year_end.reopen_list(found, current_user):
        flash_message(N_("“%(name)s” takes notices again."), name=found.name)
    return redirect_to("rollover.index")
