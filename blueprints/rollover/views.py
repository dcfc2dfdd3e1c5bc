"""The rollover, one page for each step; it can be left and taken up again (field.md 5.1)."""

from collections.abc import Callable
from typing import Any

from flask import Response, abort, request
from flask_login import current_user

import clock
from blueprints.rollover import bp
from core import display_names
from core.accounts.roles import ROLE_LABELS
from core.errors import DomainError
from core.rollover import new_roster, year_end
from core.rollover.child_matching import DOUBT_REASONS
from core.system import handover_sheet
from i18n import N_
from models import Child, MailingList, Membership, Person, Rollover
from web import _, flash_message, language, parse_row_id, redirect_to, render_page, requires

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
    return new_roster_page(found)


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
            lambda: new_roster.undo_roster(found, current_user),
            N_("The new roster is taken back. The classes wait again."),
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


# ── the new roster ──────────────────────────────────────────────────────────────────────────────────────────────────


MAX_LINES_SHOWN = 200


def new_roster_page(found: Rollover, wrong: str = "", text: str = "", status: int = 200) -> Answer:
    """Show the form for the new roster, or what the roster that was brought in will do."""
    if wrong or not found.roster:
        may_undo = year_end.can_undo(found)
        lists = [(one, year_end.count_people(one)) for one in year_end.lists_awaiting_roster()]
        return render_page(
            "rollover/upload_roster.html",
            rollover=found,
            wrong=wrong,
            text=text,
            may_undo=may_undo,
            waiting=lists,
            status=status,
        )
    shown = new_roster.preview_roster(found)
    doubtful = shown.lines_of_kind("doubtful")

    def room(grade: str, class_name: str) -> str:
        return display_names.class_label(language(), grade, class_name)

    return render_page(
        "rollover/review_roster.html",
        rollover=found,
        shown=shown,
        guardians=_guardian_names([one for line in doubtful for one in line.candidates]),
        most=MAX_LINES_SHOWN,
        why=DOUBT_REASONS,
        room=room,
        classes_without_list=_(", ").join(room(*one) for one in shown.classes_without_list),
        status=status,
    )


def _guardian_names(children: list[Child]) -> dict[int, str]:
    """Return the names of each child's guardians, to tell two of one name apart."""
    rows = (
        Membership.select(Membership.child, Person.name)
        .join(Person)
        .where(Membership.child.in_([one.id for one in children]))
        .distinct()
        .tuples()
    )
    names: dict[int, list[str]] = {}
    for child, name in rows:
        names.setdefault(child, []).append(name)
    return {child: "、".join(found) for child, found in names.items()}


def _ended_rollover() -> Rollover | None:
    found = year_end.current_rollover()
    if found is not None and found.state == "ended":
        return found
    flash_message(year_end.StepAlreadyDone.message, "wrong")
    return None


@bp.post("/roster")
@requires("admin")
def upload_roster() -> Answer:
    """Take the file or the pasted lines; nothing is changed yet."""
    found = _ended_rollover()
    if found is None:
        return redirect_to("rollover.index")
    held, text = request.files.get("file"), request.form.get("text", "")
    content = held.read() if held else b""
    if not content and not text.strip():
        return new_roster_page(found, _("Please choose a file or paste some lines."), text, 422)
    try:
        filename = (held.filename or "") if held and content else ""
        new_roster.upload_roster(found, content=content, text="" if content else text, filename=filename)
    except DomainError as refused:
        return new_roster_page(found, _(refused.message, **refused.values), text, 422)
    return redirect_to("rollover.index")


@bp.post("/roster/forget")
@requires("admin")
def discard_roster() -> Response:
    """Drop the lines, to bring in another roster."""
    if (found := _ended_rollover()) is not None:
        new_roster.discard_roster(found)
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
    """Save the decisions on the uploaded roster; None if no roster waits for them."""
    rollover = _ended_rollover()
    if rollover is None or not rollover.roster:
        return None
    decided = {name[5:]: value for name, value in request.form.items() if name.startswith("line-")}
    new_roster.save_decisions(rollover, decided, request.form.getlist("leaving", type=parse_row_id))
    return rollover


def _apply_roster(found: Rollover) -> Response:
    """Carry out what the page showed, with what was decided on it."""
    now_ = new_roster.preview_roster(found)
    try:
        if request.form.get("seen") != now_.base_digest:
            raise year_end.PreviewOutdated()
        shown = new_roster.apply_roster(found, current_user, clock.now(), fingerprint=now_.fingerprint)
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
        return redirect_to("rollover.index")
    flash_message(N_("The new roster is in: %(number)s children are in their classes."), number=len(shown.lines))
    return redirect_to("rollover.index")


# ── hand-over sheet ─────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/hand-over")
@requires("admin")
def show_handover_sheet() -> tuple[str, int]:
    """Show the sheet, ready to be printed on A4."""
    return render_page("rollover/handover_sheet.html", sheet=handover_sheet.build_sheet(clock.now()), kinds=ROLE_LABELS)


@bp.post("/hand-over", endpoint="save_handover_note")
@requires("admin")
def save_handover_note() -> Response:
    """Keep the words that stand on the sheet."""
    handover_sheet.save_note(request.form.get("note", ""), current_user)
    flash_message(N_("Saved."))
    return redirect_to("rollover.show_handover_sheet")
