"""The rollover, one page for each step. It can be interrupted and continued (field.md 5.1)."""

import re
from collections.abc import Callable
from typing import Any

from flask import Response, abort, request
from flask_login import current_user

import clock
from blueprints.rollover import bp
from core import display_names
from core.accounts.roles import ROLE_LABELS
from core.errors import DomainError
from core.imports import plan_model
from core.members import households, lists
from core.rollover import new_roster, year_end
from core.rollover.child_matching import DOUBT_REASONS
from core.system import handover_sheet
from i18n import N_
from models import MailingList, Rollover, RolloverState
from web import _, flash_message, get_or_404, language, parse_row_id, redirect_to, render_page, requires

Answer = Response | tuple[str, int]


def rollover_in_state(*states: str) -> Rollover:
    """Return the open rollover if it is in one of these states; else show the current step."""
    rollover = year_end.current_rollover()
    if rollover is None or rollover.state not in states:
        flash_message(year_end.StepAlreadyDone.message, "wrong")
        abort(redirect_to("rollover.index"))
    return rollover


def run_and_flash(act: Callable[[], Any], sentence: str, **values: object) -> Response:
    """Run an action and flash its message or its error; redirect to the page of the step."""
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
    """Show the current step."""
    rollover = year_end.current_rollover()
    if rollover is None or rollover.state not in year_end.OPEN_STATES:
        may_undo = bool(rollover and rollover.state == RolloverState.DONE and year_end.can_undo(rollover))
        return render_page("rollover/index.html", last=rollover, may_undo=may_undo, waiting=_waiting_lists())
    if rollover.state == RolloverState.PLANNED:
        return _plan_page(rollover)
    return new_roster_page(rollover)


def _waiting_lists() -> list[tuple[MailingList, int]]:
    waiting = year_end.lists_awaiting_roster()
    counts = lists.count_members_by_list(row.id for row in waiting)
    return [(row, counts[row.id]["members"]) for row in waiting]


def _plan_page(rollover: Rollover) -> Answer:
    return render_page(
        "rollover/plan.html",
        rollover=rollover,
        shown=year_end.preview_year_end(rollover),
        grades=year_end.current_grades(),
        lists=year_end.class_list_candidates(),
        room=class_label,
    )


def class_label(grade: str, class_name: str) -> str:
    return display_names.class_label(language(), grade, class_name)


@bp.post("/begin")
@requires("admin")
def start_planning() -> Response:
    """Create a plan; nothing else changes."""
    year_end.begin_rollover(current_user, clock.now())
    return redirect_to("rollover.index")


@bp.post("/plan")
@requires("admin")
def save_plan() -> Response:
    """Save which grades leave and which lists are classes."""
    rollover = rollover_in_state("planned")
    chosen = request.form.getlist("lists", type=parse_row_id)
    return run_and_flash(
        lambda: year_end.set_plan(rollover, request.form.getlist("grades"), chosen),
        N_("This page now shows what will happen so."),
    )


@bp.post("/drop")
@requires("admin")
def discard_plan() -> Response:
    """Discard the plan. No data was changed."""
    rollover = rollover_in_state("planned")
    return run_and_flash(lambda: year_end.discard_plan(rollover, current_user), N_("Nothing has been changed."))


@bp.post("/end")
@requires("admin")
def end_year() -> Response:
    """Carry out the year end as shown on the page."""
    rollover = rollover_in_state("planned")
    mark = request.form.get("fingerprint", "")
    return run_and_flash(
        lambda: year_end.end_year(rollover, current_user, clock.now(), fingerprint=mark),
        N_("The year has ended. The classes are empty and wait for their new roster."),
    )


@bp.post("/undo")
@requires("admin")
def undo_step() -> Response:
    """Undo the step that the page named, so that a second tap does not undo the step before it too."""
    if request.form.get("step") == "done":
        rollover, sentence = rollover_in_state("done"), N_("The new roster is taken back. The classes wait again.")
    else:
        rollover, sentence = rollover_in_state("ended"), N_("Taken back. Everybody is where they were before.")
    return run_and_flash(lambda: year_end.undo_step(rollover, current_user), sentence)


@bp.post("/lists/<int:number>/open")
@requires("admin")
def reopen_list(number: int) -> Response:
    """Open a list for notices without waiting for its roster."""
    mailing_list = get_or_404(MailingList, id=number)
    if year_end.reopen_list(mailing_list, current_user):
        flash_message(N_("“%(name)s” takes notices again."), name=mailing_list.name)
    return redirect_to("rollover.index")


# ── the new roster ──────────────────────────────────────────────────────────────────────────────────────────────────


MAX_LINES_SHOWN = 200


def new_roster_page(rollover: Rollover, wrong: str = "", text: str = "", status: int = 200) -> Answer:
    """Show the upload form, or the plan of the uploaded roster."""
    if wrong or not rollover.roster:
        may_undo = year_end.can_undo(rollover)
        return render_page(
            "rollover/upload_roster.html",
            rollover=rollover,
            wrong=wrong,
            text=text,
            may_undo=may_undo,
            waiting=_waiting_lists(),
            status=status,
        )
    shown = new_roster.preview_roster(rollover)
    doubtful = shown.lines_of_kind("doubtful")

    def room(grade: str, class_name: str) -> str:
        return display_names.class_label(language(), grade, class_name)

    return render_page(
        "rollover/review_roster.html",
        rollover=rollover,
        shown=shown,
        guardians=households.guardian_names([child for line in doubtful for child in line.candidates]),
        most=MAX_LINES_SHOWN,
        why=DOUBT_REASONS,
        room=room,
        remarks=[
            (line, plan_model.format_note(language(), plan_model.LineNote(message, values)))
            for line, message, values in rollover.roster.get("remarks", ())
        ],
        classes_without_list=_(", ").join(room(*parts) for parts in shown.classes_without_list),
        status=status,
    )


def _ended_rollover() -> Rollover | None:
    rollover = year_end.current_rollover()
    if rollover is not None and rollover.state == RolloverState.ENDED:
        return rollover
    flash_message(year_end.StepAlreadyDone.message, "wrong")
    return None


@bp.post("/roster")
@requires("admin")
def upload_roster() -> Answer:
    """Read the file or the pasted lines; no member is changed."""
    rollover = _ended_rollover()
    if rollover is None:
        return redirect_to("rollover.index")
    held, text = request.files.get("file"), request.form.get("text", "")
    content = held.read() if held else b""
    if not content and not text.strip():
        return new_roster_page(rollover, _("Please choose a file or paste some lines."), text, 422)
    try:
        filename = (held.filename or "") if held and content else ""
        take = [name for name in re.split(r"\s*[,、，\n]\s*", request.form.get("take", "").strip()) if name]
        new_roster.upload_roster(rollover, content=content, text="" if content else text, filename=filename, take=take)
    except DomainError as refused:
        return new_roster_page(rollover, _(refused.message, **refused.values), text, 422)
    return redirect_to("rollover.index")


@bp.post("/roster/forget")
@requires("admin")
def discard_roster() -> Response:
    """Discard the uploaded roster, so that another one can be uploaded."""
    if (rollover := _ended_rollover()) is not None:
        new_roster.discard_roster(rollover)
    return redirect_to("rollover.index")


@bp.post("/roster/decide")
@requires("admin")
def save_decisions() -> Answer:
    if _save_posted_decisions() is not None:
        flash_message(N_("Kept. You can leave this page and go on later."))
    return redirect_to("rollover.index")


@bp.post("/roster/run")
@requires("admin")
def apply_roster() -> Answer:
    """Save the decisions and apply the roster as the page then shows it."""
    rollover = _save_posted_decisions()
    return redirect_to("rollover.index") if rollover is None else _apply_roster(rollover)


def _save_posted_decisions() -> Rollover | None:
    """Save the decisions on the uploaded roster; None if there is none."""
    rollover = _ended_rollover()
    if rollover is None or not rollover.roster:
        return None
    decided = {name[5:]: value for name, value in request.form.items() if name.startswith("line-")}
    new_roster.save_decisions(rollover, decided, request.form.getlist("leaving", type=parse_row_id))
    return rollover


def _apply_roster(rollover: Rollover) -> Response:
    """Apply the roster with the saved decisions."""
    now_ = new_roster.preview_roster(rollover)
    try:
        if request.form.get("seen") != now_.base_digest:
            raise year_end.PreviewOutdated()
        shown = new_roster.apply_roster(rollover, current_user, clock.now(), fingerprint=now_.fingerprint)
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
        return redirect_to("rollover.index")
    flash_message(N_("The new roster is in: %(number)s children are in their classes."), number=len(shown.lines))
    return redirect_to("rollover.index")


# ── hand-over sheet ─────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/hand-over")
@requires("admin")
def show_handover_sheet() -> tuple[str, int]:
    """Show the hand-over sheet for printing on A4."""
    return render_page("rollover/handover_sheet.html", sheet=handover_sheet.build_sheet(clock.now()), kinds=ROLE_LABELS)


@bp.post("/hand-over", endpoint="save_handover_note")
@requires("admin")
def save_handover_note() -> Response:
    handover_sheet.save_note(request.form.get("note", ""), current_user)
    flash_message(N_("Saved."))
    return redirect_to("rollover.show_handover_sheet")
