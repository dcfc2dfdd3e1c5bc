"""The second step: bring the new roster in, decide what is doubtful, carry it out."""

from flask import Response, request
from flask_login import current_user

import clock
from blueprints.rollover import bp
from core import display_names
from core.errors import DomainError
from core.rollover import new_roster, year_end
from core.rollover.child_matching import DOUBT_REASONS
from i18n import N_
from models import Child, Membership, Person, Rollover
from web import _, flash_message, language, parse_row_id, redirect_to, render_page, requires

Answer = Response | tuple[str, int]
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
    doubtful = shown.of("doubtful")

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
        classes_without_list=_(", ").join(room(*one) for one in shown.without_list),
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
        if request.form.get("seen") != now_.base:
            raise year_end.PreviewOutdated()
        shown = new_roster.apply_roster(found, current_user, clock.now(), fingerprint=now_.fingerprint)
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
        return redirect_to("rollover.index")
    flash_message(N_("The new roster is in: %(number)s children are in their classes."), number=len(shown.lines))
    return redirect_to("rollover.index")


def undo_roster(found: Rollover) -> None:
    """Take the new roster back."""
    new_roster.undo_roster(found, current_user)
