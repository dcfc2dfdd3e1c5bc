"""Moving and copying members between lists: a page of its own, for administrators alone (T-35)."""

from flask import Response, request
from flask_login import current_user

import clock
from blueprints.lists import bp
from core.members import member_list, move_copy
from i18n import N_
from models import MailingList, Person
from web import flash_message, get_list_or_404, parse_row_id, permissions, redirect_to, render_page, requires

Answer = Response | tuple[str, int]


@bp.route("/<int:number>/transfer", methods=["GET", "POST"])
@requires("admin")
def move_copy_members(number: int) -> Answer:
    """Choose people and the other list; say what will happen; do it."""
    source = get_list_or_404(number, "manage")
    chosen = request.form.getlist("m", type=parse_row_id)
    target = _target_list(source)
    kind = request.form.get("kind", "move")
    if request.method == "GET" or request.form.get("act") == "choose":
        return _move_copy_page(source, chosen)
    if not chosen:
        return _move_copy_page(source, chosen, N_("Please choose somebody first."))
    if target is None or kind not in move_copy.KINDS:
        return _move_copy_page(source, chosen, N_("Choose the list into which they are to go."))
    if not request.form.get("sure"):
        return _confirm_page(source, target, kind, chosen)
    done = move_copy.move_or_copy(kind, source, target, chosen, current_user, clock.now())
    sentence = (
        N_("%(new)s people were moved into “%(list)s”, %(there)s were there already.")
        if kind == "move"
        else N_("%(new)s people were copied into “%(list)s”, %(there)s were there already.")
    )
    flash_message(sentence, new=done.new, there=done.there, list=target.name)
    return redirect_to("lists.show", number=target.id)


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
