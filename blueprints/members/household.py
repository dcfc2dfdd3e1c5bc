"""Which people are one household: what one guardian has read, the household has read."""

from flask import Response, request
from flask_login import current_user

from blueprints.members import bp
from blueprints.members.views import get_person_or_404
from core.members import member_list, members
from core.notices import recipients
from i18n import N_
from models import Person
from web import flash_message, permissions, redirect_to, render_page

Answer = Response | tuple[str, int]


@bp.route("/members/<int:number>/household", methods=["GET", "POST"])
def edit_household(number: int) -> Answer:
    """Find the person who belongs to the same household, and put the two together."""
    person = get_person_or_404(number, "manage")
    if request.method == "POST":
        other = get_person_or_404(request.form.get("other", 0, type=int), "manage")
        members.join_household(person, other, current_user)
        flash_message(N_("%(name)s and %(other)s are one household now."), name=person.name, other=other.name)
        return redirect_to("members.show", number=number)
    wanted = request.args.get("q", "").strip()[:100]
    return render_page(
        "members/household.html",
        "members/_household_candidates.html",
        person=person,
        wanted=wanted,
        household=member_list.visible_household(person, permissions()),
        found=_candidates(person, wanted),
    )


def _candidates(person: Person, wanted: str) -> list[Person]:
    """Return who may be meant: people of the lists that the user manages, not of this household."""
    found = recipients.search_people(permissions(), wanted) if wanted else []
    return [
        one
        for one in found
        if one.id != person.id
        and not (one.household and one.household == person.household)
        and member_list.visible_memberships(one, permissions(), "manage")
    ]


@bp.post("/members/<int:number>/household/split")
def split_household(number: int) -> Answer:
    """Give this person a household of their own."""
    members.split_household(get_person_or_404(number, "manage"), current_user)
    flash_message(N_("This person is a household of their own now."))
    return redirect_to("members.show", number=number)
