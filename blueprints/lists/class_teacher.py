"""Who is in charge of which class of a list: set for a whole class at once (D-03)."""

from flask import Response, request
from flask_login import current_user

from blueprints.lists import bp
from core import display_names
from core.accounts import class_teacher
from i18n import N_
from web import flash_message, get_list_or_404, language, parse_row_id, redirect_to, render_page

UNCHANGED = ""


@bp.get("/<int:number>/in-charge")
def class_teachers(number: int) -> tuple[str, int]:
    """Show the classes of a list, each with a choice of users."""
    mailing_list = get_list_or_404(number, "manage")
    return render_page(
        "lists/class_teachers.html",
        list=mailing_list,
        rooms=class_teacher.teachers_of_classes(mailing_list),
        users=list(class_teacher.teacher_candidates(mailing_list)),
        room=lambda one: display_names.class_label(language(), one.grade, one.class_name),
    )


@bp.post("/<int:number>/in-charge", endpoint="save_class_teachers")
def save_class_teachers(number: int) -> Response:
    """Put the chosen users in charge; classes left alone stay as they are."""
    mailing_list = get_list_or_404(number, "manage")
    wanted = {}
    for place, room in enumerate(class_teacher.teachers_of_classes(mailing_list)):
        same_class = request.form.get(f"class-{place}") == f"{room.grade}\t{room.class_name}"
        chosen = request.form.get(f"user-{place}", UNCHANGED)
        if same_class and chosen != UNCHANGED:
            wanted[room.grade, room.class_name] = _user_id(chosen)
    changed = class_teacher.assign_classes(mailing_list, wanted, current_user)
    flash_message(N_("Saved. The person in charge changed in %(number)s places."), number=changed)
    return redirect_to("lists.show", number=number)


def _user_id(text: str) -> int:
    try:
        return parse_row_id(text)
    except ValueError:
        return -1  # nobody's: changes nothing
