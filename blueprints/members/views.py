"""Page of one member, and the actions on it."""

import re
from typing import Any

from flask import Response, abort, request
from flask_login import current_user
from wtforms import RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

import clock
import tasks
from blueprints.members import bp
from core import settings
from core.accounts import class_teacher
from core.delivery import lifecycle
from core.errors import DomainError
from core.imports import register
from core.inbound import replies
from core.members import address_states, change_requests, consent, member_list, members, normalise
from core.notices import audience, author_copy, recipients
from core.reports import notice_list, undeliverable
from core.signup import approvals, carrier_help
from i18n import LANGUAGES, N_
from models import MailingList, Membership, Person
from web import (
    Form,
    _,
    add_field_error,
    errors_in,
    flash_message,
    forbid,
    get_list_or_404,
    get_or_404,
    language,
    paginate,
    parse_row_id,
    permissions,
    redirect_to,
    render_page,
    requires,
)

_LINE = re.compile(r"\s*([^=＝:：\n]{1,60})\s*[=＝:：]\s*(.*)")
Answer = Response | tuple[str, int]
PER_PAGE = 20
REQUESTED = N_("Sent to those who manage all lists of this family. It changes when they agree.")


def parse_attributes(text: str) -> dict[str, str]:
    """Return {attribute: value} of lines 「項目＝値」; ignore lines without a separator."""
    matches = (_LINE.fullmatch(line) for line in text.splitlines())
    return {match[1].strip(): match[2].strip() for match in matches if match}


def format_attributes(items: dict[str, str]) -> str:
    """Return attributes as lines for `parse_attributes`."""
    return "\n".join(f"{key}＝{' '.join(str(text).split())}" for key, text in items.items())


class PersonForm(Form):
    """Values of the person, shared by all lists."""

    name = StringField(N_("Name"), [Length(max=200)])
    kana = StringField(N_("Reading of the name"), [Length(max=200)])
    phone = StringField(N_("Telephone"), [Length(max=40)])
    language = RadioField(
        N_("Language of the letters"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()], default="ja"
    )


class MembershipForm(Form):
    """Values of one membership: child, relation, free attributes."""

    child_name = StringField(N_("Name of the child"), [Length(max=200)])
    child_kana = StringField(N_("Reading of the child’s name"), [Length(max=200)])
    grade = StringField(N_("Grade"), [Length(max=40)])
    class_name = StringField(N_("Class"), [Length(max=40)])
    relation = StringField(N_("Relation"), [Length(max=40)])
    class_teacher = SelectField(N_("Class teacher"), coerce=int, choices=[], validate_choice=False, default=0)
    items = TextAreaField(N_("Items"), [Length(max=5000)])


class NewMemberForm(PersonForm, MembershipForm):
    address = StringField(N_("E-mail address"), [Length(max=300)])


class AddressForm(Form):
    address = StringField(N_("New e-mail address"), [Length(max=300)])


def accept_meant_address(field: StringField) -> str:
    """Take the suggested address if its button was pressed; else return the suggestion that the page must show."""
    if meant := request.form.get("meant", "")[:300]:
        field.data = meant
    typed = (field.data or "").strip() if request.method == "POST" else ""
    return "" if typed in (meant, request.form.get("as_typed")) else normalise.meant_address(typed)


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def get_person_or_404(number: int, need: str = "view") -> Person:
    """Return a member of a list that the user may view (or `manage`), else 404 (T-33)."""
    person = get_or_404(Person, id=number)
    if not member_list.visible_memberships(person, permissions(), "view"):
        abort(404)
    if need != "view" and not member_list.visible_memberships(person, permissions(), need):
        forbid(need, [member_list.visible_memberships(person, permissions(), "view")[-1].list_id])
    return person


def _membership_or_404(person: Person, number: int) -> Membership:
    rows = [row for row in member_list.visible_memberships(person, permissions(), "manage") if row.id == number]
    return rows[0] if rows else abort(404)


@bp.get("/members/<int:number>")
def show(number: int) -> Answer:
    """Show lists, children, household, address state and the delivery of every letter."""
    person = get_person_or_404(number)
    places = member_list.visible_memberships(person, permissions())
    managed = {row.list_id for row in member_list.visible_memberships(person, permissions(), "manage")}
    addresses = bool(member_list.visible_memberships(person, permissions(), "send"))
    page = paginate(notice_list.deliveries_to(person, permissions()), PER_PAGE)
    known = consent.consent_texts_by_id(places)
    return render_page(
        "members/show.html",
        person=person,
        places=places,
        managed=managed,
        address=member_list.display_address(person, addresses),
        may_write=addresses,
        household=member_list.visible_household(person, permissions()),
        requested=[
            _(change_requests.FIELD_LABELS[name]) for name in change_requests.requested_columns(person, managed)
        ],
        page=page,
        fates=notice_list.delivery_views(page.rows),
        services=notice_list.service_letters(person) if managed else [],
        replies=replies.list_replies_of_person(person, permissions()),
        records=[(place, consent.consent_view(place, known)) for place in places if place.list_id in managed],
        state=person.address_state if person.address else "none",
        address_states=address_states.SENTENCES,
        state_labels=lifecycle.STATE_LABELS,
        reason_labels=lifecycle.REASON_LABELS,
        reasons=audience.EXCLUSION_REASONS,
        as_tag=member_list.TAGS,
        room=lambda child: member_list.class_label(language(), child),
    )


@bp.get("/members/<int:number>/guidance")
def show_carrier_help(number: int) -> Answer:
    """Show the instructions for a parent, to read out or print (field.md 4.4 no. 18)."""
    person = get_person_or_404(number)
    guidance = carrier_help.guidance_for_address(person.address or "", language())
    return render_page(
        "members/carrier_help.html",
        person=person,
        guidance=guidance,
        domain=settings.load_settings().own_addresses.allow_list_entry,
        school=settings.load_settings(),
    )


@bp.route("/lists/<int:number>/members/new", methods=["GET", "POST"])
def add_member(number: int) -> Answer:
    """Register one member by hand (T-36)."""
    mailing_list = get_list_or_404(number, "manage")
    form = _with_teachers(NewMemberForm(language=settings.load_settings().language), mailing_list)
    existing: Person | None = None
    meant = accept_meant_address(form.address)
    if not meant and form.validate_on_submit():
        try:
            membership = _add(mailing_list, form)
        except register.AlreadyMember as refused:
            existing = refused.person
            add_field_error(form, "address", refused.message)
        except DomainError as refused:
            add_field_error(form, refused.field, refused.message, **refused.values)
        else:
            flash_message(N_("Registered."))
            if request.form.get("next"):
                return redirect_to("members.add_member", number=number)
            return redirect_to("members.show", number=membership.person_id)
    return render_page(
        "members/new.html",
        status=422 if meant or form.errors else 200,
        form=form,
        list=mailing_list,
        there=existing,
        meant=meant,
    )


def _add(mailing_list: MailingList, form: NewMemberForm) -> Membership:
    values = {name: form[name].data or "" for name in form.data if name not in ("items", "csrf_token", "class_teacher")}
    items = parse_attributes(form.items.data or "")
    membership = register.add_member(mailing_list, by=current_user, now=clock.now(), attributes=items, **values)
    class_teacher.assign_membership(membership, form.class_teacher.data or 0, current_user)
    return membership


def _with_teachers(form: MembershipForm, mailing_list: MailingList) -> MembershipForm:
    """Offer the users who may be class teachers in this list."""
    teachers = [SelectChoice(user.id, user.name) for user in class_teacher.teacher_candidates(mailing_list)]
    form.class_teacher.choices = [SelectChoice(0, _("nobody")), *teachers]
    return form


@bp.route("/members/<int:number>/edit", methods=["GET", "POST"])
def edit_person(number: int) -> Answer:
    """Change the values shared by all lists."""
    person = get_person_or_404(number, "manage")
    form = PersonForm(obj=person)
    if form.validate_on_submit():
        with errors_in(form):
            done = change_requests.edit_person(
                permissions(),
                person,
                current_user,
                clock.now(),
                name=form.name.data or "",
                kana=form.kana.data or "",
                phone=form.phone.data or "",
                language=form.language.data,
            )
            flash_message(N_("Saved.") if done else REQUESTED)
            return redirect_to("members.show", number=number)
    return render_page(
        "members/edit.html",
        status=422 if form.errors else 200,
        form=form,
        person=person,
        asks=not permissions().may_edit_person(person),
    )


@bp.route("/members/<int:number>/places/<int:place_id>", methods=["GET", "POST"])
def edit_membership(number: int, place_id: int) -> Answer:
    """Change child, relation and free attributes of one membership."""
    person = get_person_or_404(number, "manage")
    membership = _membership_or_404(person, place_id)
    form = _with_teachers(MembershipForm(data=_membership_values(membership)), membership.list)
    if form.validate_on_submit():
        names = ("name", "kana", "grade", "class_name")
        fields = (form.child_name, form.child_kana, form.grade, form.class_name)
        child = {name: field.data or "" for name, field in zip(names, fields, strict=True)}
        items = parse_attributes(form.items.data or "")
        with errors_in(form):
            done = change_requests.edit_membership(
                permissions(),
                membership,
                current_user,
                clock.now(),
                relation=form.relation.data or "",
                items=items,
                child=child,
            )
            class_teacher.assign_membership(membership, form.class_teacher.data or 0, current_user)
            flash_message(N_("Saved.") if done else REQUESTED)
            return redirect_to("members.show", number=number)
    return render_page(
        "members/edit_membership.html",
        status=422 if form.errors else 200,
        form=form,
        person=person,
        place=membership,
        asks=membership.child is not None and not permissions().may_edit_child(membership.child),
    )


def _membership_values(membership: Membership) -> dict[str, Any]:
    child = membership.child
    items = {**(child.attributes if child else {}), **membership.attributes}
    values = {
        "relation": membership.relation,
        "items": format_attributes(items),
        "class_teacher": membership.class_teacher_id or 0,
    }
    if child:
        values |= {"child_name": child.name, "child_kana": child.kana, "grade": child.grade}
        values["class_name"] = child.class_name
    return values


@bp.route("/members/<int:number>/address", methods=["GET", "POST"])
def edit_address(number: int) -> Answer:
    """Correct the address. Memberships, household and history stay."""
    person = get_person_or_404(number, "manage")
    form = AddressForm(address=person.address or "")
    other: Person | None = None
    meant = accept_meant_address(form.address)
    if not meant and form.validate_on_submit():
        try:
            done = change_requests.change_address(
                permissions(), person, form.address.data or "", current_user, clock.now()
            )
        except members.AddressTaken as taken:
            other = taken.person if member_list.visible_memberships(taken.person, permissions()) else None
            add_field_error(form, "address", taken.message)
        except DomainError as refused:
            add_field_error(form, refused.field, refused.message, **refused.values)
        else:
            flash_message(N_("The new address is saved. Open letters go there.") if done else REQUESTED)
            return redirect_to("members.show", number=number)
    return render_page(
        "members/edit_address.html",
        status=422 if meant or form.errors else 200,
        form=form,
        meant=meant,
        person=person,
        other=other,
        asks=not permissions().may_edit_person(person),
    )


@bp.post("/members/<int:number>/release")
def release_address(number: int) -> Answer:
    """Remove a bounced or refusing address from suppression (E-09)."""
    if members.clear_suppression(get_person_or_404(number, "manage"), current_user, clock.now()):
        flash_message(N_("Letters go to this address again."))
    return redirect_to("members.show", number=number)


@bp.post("/members/<int:number>/test")
def send_test_email(number: int) -> Answer:
    person = get_person_or_404(number, "send")
    if not person.is_deliverable:
        flash_message(N_("No letter can be sent to this person now."), "wrong")
    elif author_copy.send_test_to_person(person, current_user, clock.now()):
        tasks.wake_worker()
        flash_message(N_("A test letter is on its way. Its fate shows below in a moment."))
    return redirect_to("members.show", number=number)


@bp.post("/members/<int:number>/lists/<int:list_id>/stop")
def stop_membership(number: int, list_id: int) -> Answer:
    person, mailing_list = get_person_or_404(number, "manage"), get_list_or_404(list_id, "manage")
    members.stop_mail(mailing_list, [person.id], current_user, clock.now())
    flash_message(N_("The mail of “%(name)s” is stopped for this person."), name=mailing_list.name)
    return redirect_to("members.show", number=number)


@bp.post("/members/<int:number>/lists/<int:list_id>/approve")
def approve_membership(number: int, list_id: int) -> Answer:
    person, mailing_list = get_person_or_404(number, "manage"), get_list_or_404(list_id, "manage")
    approvals.approve_requests(mailing_list, [person.id], current_user, clock.now())
    tasks.wake_worker()
    flash_message(N_("Approved. The next notice goes to this person as well."))
    return redirect_to("members.show", number=number)


@bp.post("/members/<int:number>/lists/<int:list_id>/resume")
def resume_membership(number: int, list_id: int) -> Answer:
    """Resume the mail. If the reader unsubscribed, ask for `wished` first (T-24)."""
    person, mailing_list = get_person_or_404(number, "manage"), get_list_or_404(list_id, "manage")
    wished = bool(request.form.get("wished"))
    try:
        members.resume_mail(mailing_list, [person.id], current_user, clock.now(), wished=wished)
    except members.StoppedByReader:
        return render_page("members/confirm_resume.html", person=person, list=mailing_list)
    flash_message(N_("The mail of “%(name)s” is on again for this person."), name=mailing_list.name)
    return redirect_to("members.show", number=number)


@bp.route("/members/<int:number>/lists/<int:list_id>/remove", methods=["GET", "POST"])
def remove_from_list(number: int, list_id: int) -> Answer:
    """Show the effects and ask for confirmation, then remove the person from one list."""
    person, mailing_list = get_person_or_404(number, "manage"), get_list_or_404(list_id, "manage")
    if request.method == "GET":
        others = [row for row in member_list.visible_memberships(person, permissions()) if row.list_id != list_id]
        return render_page("members/confirm_remove.html", person=person, list=mailing_list, others=others)
    members.remove_members(mailing_list, [person.id], current_user, clock.now())
    flash_message(
        N_("%(name)s is removed from “%(list)s”."), name=person.name or _("This person"), list=mailing_list.name
    )
    return redirect_to("lists.show", number=list_id)


# ── household ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/members/<int:number>/household", methods=["GET", "POST"])
def edit_household(number: int) -> Answer:
    """Find a person of the same household and merge both households."""
    person = get_person_or_404(number, "manage")
    if request.method == "POST":
        other = get_person_or_404(request.form.get("other", 0, type=int), "manage")
        if change_requests.join_household(permissions(), person, other, current_user, clock.now()):
            flash_message(N_("%(name)s and %(other)s are one household now."), name=person.name, other=other.name)
        else:
            flash_message(REQUESTED)
        return redirect_to("members.show", number=number)
    wanted = request.args.get("q", "").strip()[:100]
    return render_page(
        "members/household.html",
        "members/_household_candidates.html",
        person=person,
        wanted=wanted,
        household=member_list.visible_household(person, permissions()),
        candidates=_candidates(person, wanted),
    )


def _candidates(person: Person, wanted: str) -> list[Person]:
    """Return matching people of lists that the user manages, outside this household."""
    people = recipients.search_people(permissions(), wanted) if wanted else []
    return [
        other
        for other in people
        if other.id != person.id
        and not (other.household and other.household == person.household)
        and member_list.visible_memberships(other, permissions(), "manage")
    ]


@bp.post("/members/<int:number>/household/split")
def split_household(number: int) -> Answer:
    """Move this person into a new household."""
    person = get_person_or_404(number, "manage")
    done = change_requests.split_household(permissions(), person, current_user, clock.now())
    flash_message(N_("This person is a household of their own now.") if done else REQUESTED)
    return redirect_to("members.show", number=number)


# ── change requests ────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/requests")
@requires("manage")
def show_requests() -> Answer:
    """Show the changes of people that this user accepts or refuses."""
    return render_page(
        "members/change_requests.html",
        requests=change_requests.pending_requests(permissions()),
        labels=change_requests.FIELD_LABELS,
        languages=LANGUAGES,
    )


@bp.post("/requests/<int:number>/accept")
@requires("manage")
def accept_request(number: int) -> Answer:
    found = change_requests.get_request(permissions(), number) or abort(404)
    try:
        change_requests.accept_request(found, current_user, clock.now())
        flash_message(N_("Changed."))
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("members.show_requests")


@bp.post("/requests/<int:number>/refuse")
@requires("manage")
def refuse_request(number: int) -> Answer:
    found = change_requests.get_request(permissions(), number) or abort(404)
    change_requests.refuse_request(found, current_user, clock.now())
    flash_message(N_("Refused. Nothing has changed."))
    return redirect_to("members.show_requests")


# ── slips for the bag ──────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/lists/<int:number>/bag-slips")
def print_bag_slips(number: int) -> Answer:
    """Show one slip per unreachable family of a list; `?person=` limits it to one person."""
    mailing_list = get_list_or_404(number, "manage")
    person = (
        get_person_or_404(request.args.get("person", type=parse_row_id), "manage") if "person" in request.args else None
    )
    slips = undeliverable.address_slips(mailing_list, language(), person)
    if person and not slips:
        abort(404)
    return render_page(
        "members/bag_slips.html",
        list=mailing_list,
        person=person,
        slips=slips,
        domain=settings.load_settings().own_addresses.allow_list_entry,
        school=settings.load_settings(),
        room=lambda child: member_list.class_label(language(), child),
    )
