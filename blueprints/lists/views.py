"""The lists, the members of one list, what is done to several of them, and the list's settings."""

from flask import Response, abort, render_template, request, url_for
from flask_login import current_user

import clock
from blueprints.lists import bp
from blueprints.lists.forms import ListForm
from core import audit
from core.errors import DomainError
from core.imports import export as roster_export
from core.imports import jobs
from core.members import lists, member_list, members
from core.members.groups import groups_in_lists
from core.signup import approvals
from i18n import N_
from models import MailingList, Person
from web import (
    _,
    add_field_error,
    flash_message,
    get_list_or_404,
    language,
    paginate,
    parse_row_id,
    permissions,
    redirect_to,
    render_page,
    requires,
)

Answer = Response | tuple[str, int]


@bp.get("")
def index() -> Answer:
    """Show the lists that the user may see, the own practice list last."""
    found = list(permissions().lists("view"))
    return render_page("lists/index.html", lists=found, counts=lists.count_members_by_list(one.id for one in found))


@bp.route("/new", methods=["GET", "POST"])
@requires("admin")
def add_list() -> Answer:
    """Add a list."""
    form = ListForm()
    if form.validate_on_submit():
        try:
            made = lists.add_list(
                current_user,
                form.name.data,
                form.address.data,
                whole=form.whole.data,
                purpose=form.purpose.data or "",
                now=clock.now(),
            )
        except DomainError as refused:
            add_field_error(form, refused.field, refused.message, **refused.values)
        else:
            flash_message(N_("The list is there. Now its members can come in."))
            return redirect_to("lists.show", number=made.id)
    return render_page("lists/new.html", status=422 if form.errors else 200, form=form)


@bp.get("/<int:number>")
def show(number: int) -> Answer:
    """Show the members of a list: searched, filtered, sorted, fifty a page (T-32)."""
    mailing_list = get_list_or_404(number)
    wish = member_list.MemberQuery(
        text=request.args.get("q", "")[:100],
        row=request.args.get("row", ""),
        state=request.args.get("state", ""),
        sort=request.args.get("sort", "kana"),
        addresses=permissions().may_list("send", mailing_list),
    )
    page = paginate(member_list.query_members(mailing_list, wish))
    return render_page(
        "lists/show.html",
        "lists/_members.html",
        list=mailing_list,
        going_on=jobs.running_import(mailing_list),
        wish=wish,
        found=page,
        rows=member_list.member_rows(mailing_list, page.rows),
        counts=member_list.count_by_state(mailing_list),
        directory=member_list,
        may_manage=permissions().may_list("manage", mailing_list),
        with_=_url_with,
        room=lambda child: member_list.class_label(language(), child),
    )


def _url_with(**changes: object) -> str:
    """Return this page's address with some of its questions changed; a change of the filter begins on page 1."""
    asked = {key: request.args[key] for key in ("q", "row", "state", "sort", "page", "all") if request.args.get(key)}
    if "page" not in changes:
        asked.pop("page", None)
    if "all" not in changes:
        asked.pop("all", None)
    wanted = {key: value for key, value in {**asked, **changes}.items() if value}
    return url_for("lists.show", number=request.view_args["number"] if request.view_args else 0, **wanted)


@bp.post("/<int:number>/members/stop")
def stop_members(number: int) -> Answer:
    mailing_list, chosen = _chosen_members(number)
    stopped = members.stop_mail(mailing_list, chosen, current_user, clock.now())
    flash_message(N_("The mail is stopped for %(number)s people."), number=stopped)
    return redirect_to("lists.show", number=number)


@bp.post("/<int:number>/members/approve")
def approve_members(number: int) -> Answer:
    mailing_list, chosen = _chosen_members(number)
    approved = approvals.approve_requests(mailing_list, chosen, current_user, clock.now())
    flash_message(N_("%(number)s people are members now."), number=approved)
    return redirect_to("lists.show", number=number)


@bp.post("/<int:number>/members/resume")
def resume_members(number: int) -> Answer:
    """Resume the mail; if readers stopped it themselves, ask for `wished` first (T-24)."""
    mailing_list, chosen = _chosen_members(number)
    wished = bool(request.form.get("wished"))
    try:
        resumed = members.resume_mail(mailing_list, chosen, current_user, clock.now(), wished=wished)
    except members.StoppedByReader as refused:
        return _confirm_page("resume", mailing_list, chosen, refused.people)
    flash_message(N_("The mail is on again for %(number)s people."), number=resumed)
    return redirect_to("lists.show", number=number)


@bp.post("/<int:number>/members/remove")
def remove_members(number: int) -> Answer:
    """Ask for `sure`, then remove the chosen members."""
    mailing_list, chosen = _chosen_members(number)
    if not request.form.get("sure"):
        return _confirm_page("remove", mailing_list, chosen)
    removed = members.remove_members(mailing_list, chosen, current_user, clock.now())
    flash_message(N_("%(number)s people are removed."), number=removed)
    return redirect_to("lists.show", number=number)


@bp.post("/<int:number>/members/group")
def choose_group(number: int) -> Answer:
    return _choose_group_page(*_chosen_members(number))


def _chosen_members(number: int) -> tuple[MailingList, list[int]]:
    """Return the list and the ticked members; if none is ticked, redirect to the list with a message."""
    mailing_list = get_list_or_404(number, "manage")
    chosen = request.form.getlist("m", type=parse_row_id)
    if not chosen:
        flash_message(N_("Please choose somebody first."), "wrong")
        abort(redirect_to("lists.show", number=number))
    return mailing_list, chosen


def _choose_group_page(mailing_list: MailingList, chosen: list[int]) -> Answer:
    """Ask into which group the chosen people are to be put."""
    people = list(member_list.query_members(mailing_list, member_list.MemberQuery()).where(Person.id.in_(chosen)))
    by_hand = [one for one in groups_in_lists([mailing_list.id]) if not one.condition]
    return render_page("lists/choose_group.html", list=mailing_list, people=people, groups=by_hand)


def _confirm_page(action: str, mailing_list: MailingList, chosen: list[int], own: int = 0) -> Answer:
    """Ask before something that is not simply undone, naming who is meant."""
    fits = member_list.query_members(mailing_list, member_list.MemberQuery())
    people = list(fits.where(Person.id.in_(chosen)))
    return render_page("lists/confirm_bulk_action.html", list=mailing_list, action=action, people=people, own=own)


@bp.route("/<int:number>/settings", methods=["GET", "POST"])
def edit_list(number: int) -> Answer:
    """Change name and purpose (managers), address and the mark for the whole (administrators)."""
    mailing_list = get_list_or_404(number, "manage")
    form = ListForm(obj=mailing_list)
    if not permissions().is_admin:
        form.address.data, form.whole.data = mailing_list.address, mailing_list.whole
    if form.validate_on_submit():
        try:
            lists.change_list(
                mailing_list,
                current_user,
                name=form.name.data,
                address=form.address.data,
                purpose=form.purpose.data or "",
                whole=form.whole.data,
                answer_on_open=form.answer_on_open.data,
            )
        except DomainError as refused:
            add_field_error(form, refused.field, refused.message, **refused.values)
        else:
            flash_message(N_("Saved."))
            return redirect_to("lists.show", number=number)
    return render_page("lists/settings.html", status=422 if form.errors else 200, form=form, list=mailing_list)


@bp.route("/<int:number>/close", methods=["GET", "POST"])
@requires("admin")
def close_list(number: int) -> Answer:
    """Ask, then close a list."""
    mailing_list = get_list_or_404(number, "manage")
    if request.method == "GET":
        return render_page("lists/confirm_close.html", list=mailing_list, counts=lists.count_members(mailing_list))
    try:
        lists.close_list(mailing_list, current_user, clock.now())
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
        return redirect_to("lists.edit_list", number=number)
    flash_message(N_("“%(name)s” is closed. Its history stays."), name=mailing_list.name)
    return redirect_to("lists.index")


@bp.post("/<int:number>/export")
def export_csv(number: int) -> Response:
    """Hand out the roster as a file; that is written down (field.md 3.2)."""
    mailing_list = get_list_or_404(number, "manage")
    content = roster_export.export_csv(mailing_list, language())
    audit.log_action(current_user, "roster.exported", mailing_list.id)
    name = f"{mailing_list.address}-{clock.today():%Y%m%d}.csv"
    return Response(
        content,
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


@bp.get("/<int:number>/export")
def confirm_export(number: int) -> str:
    """Say what an export means before it is made."""
    return render_template(
        "lists/confirm_export.html", list=get_list_or_404(number, "manage"), title=_("Write the roster as a file")
    )
