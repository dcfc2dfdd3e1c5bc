"""Moving and copying members between lists: a page of its own, for administrators alone (T-35)."""

from flask import Response, abort, make_response, request
from flask_login import current_user

import clock
from blueprints.lists import bp
from core.members import member_list, move_copy
from i18n import N_
from models import MailingList, Person
from web import flash_message, get_list_or_404, parse_row_id, permissions, redirect_to, render_page, requires

Answer = Response | tuple[str, int]


@bp.get("/<int:number>/transfer")
@requires("admin")
def show_move_copy(number: int) -> Answer:
    return _move_copy_page(get_list_or_404(number, "manage"), [])


@bp.post("/<int:number>/transfer/choose")
@requires("admin")
def choose_move_copy(number: int) -> Answer:
    """Show the page with the members ticked in the roster."""
    return _move_copy_page(get_list_or_404(number, "manage"), request.form.getlist("m", type=parse_row_id))


@bp.post("/<int:number>/transfer")
@requires("admin")
def confirm_move_copy(number: int) -> Answer:
    """Say what will happen, and ask."""
    source, target, kind, chosen = _posted_move_copy(number)
    return _confirm_page(source, target, kind, chosen)


@bp.post("/<int:number>/transfer/run")
@requires("admin")
def run_move_copy(number: int) -> Answer:
    source, target, kind, chosen = _posted_move_copy(number)
    done = move_copy.move_or_copy(kind, source, target, chosen, current_user, clock.now())
    sentence = (
        N_("%(new)s people were moved into “%(list)s”, %(there)s were there already.")
        if kind == "move"
        else N_("%(new)s people were copied into “%(list)s”, %(there)s were there already.")
    )
    flash_message(sentence, new=done.new, there=done.there, list=target.name)
    return redirect_to("lists.show", number=target.id)


def _posted_move_copy(number: int) -> tuple[MailingList, MailingList, str, list[int]]:
    """Return source, target, kind and people; if one of them is missing, answer with the page and the sentence."""
    source = get_list_or_404(number, "manage")
    chosen = request.form.getlist("m", type=parse_row_id)
    target, kind = _target_list(source), request.form.get("kind", "move")
    if not chosen:
        abort(make_response(_move_copy_page(source, chosen, N_("Please choose somebody first."))))
    if target is None or kind not in move_copy.KINDS:
        wrong = N_("Choose the list into which they are to go.")
        abort(make_response(_move_copy_page(source, chosen, wrong)))
    return source, target, kind, chosen


def _target_list(source: MailingList) -> MailingList | None:
    number = request.form.get("into", 0, type=parse_row_id)
    return next((one for one in _other_lists(source) if one.id == number), None)


def _other_lists(source: MailingList) -> list[MailingList]:
    return [one for one in permissions().lists("manage") if one.id != source.id and not one.practice_of_id]


def _move_copy_page(source: MailingList, chosen: list[int], wrong: str = "") -> Answer:
    people = list(member_list.query_members(source, member_list.MemberQuery()))
    return render_page(
        "lists/move_copy.html",
        list=source,
        people=member_list.member_rows(source, people),
        chosen=set(chosen),
        others=_other_lists(source),
        into=request.form.get("into", 0, type=parse_row_id),
        kind=request.form.get("kind", "move"),
        wrong=wrong,
        status=422 if wrong else 200,
    )


def _confirm_page(source: MailingList, target: MailingList, kind: str, chosen: list[int]) -> Answer:
    fits = member_list.query_members(source, member_list.MemberQuery())
    return render_page(
        "lists/confirm_move_copy.html",
        list=source,
        target=target,
        kind=kind,
        people=list(fits.where(Person.id.in_(chosen))),
        look=move_copy.preview_move_copy(source, target, chosen),
    )
