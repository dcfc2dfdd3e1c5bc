"""Pages of a mailing list: members, settings, export, class teachers, moving and copying."""

from flask import Response, abort, make_response, render_template, request, url_for
from flask_login import current_user
from wtforms import BooleanField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

import clock
from blueprints.lists import bp
from core import audit, display_names
from core.accounts import class_teacher
from core.errors import DomainError
from core.imports import export as roster_export
from core.imports import jobs
from core.members import lists, member_list, members, move_copy
from core.members.groups import groups_in_lists
from core.signup import approvals
from i18n import N_
from models import MailingList, User
from web import (
    Form,
    _,
    ensure_confirmed,
    errors_in,
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

REQUIRED = InputRequired(N_("Please fill in this field."))


class ListForm(Form):
    """whole: the list covers the whole organization."""

    name = StringField(N_("Name of the list"), [REQUIRED, Length(max=60)])
    address = StringField(N_("Representative address (before the @)"), [REQUIRED, Length(max=40)])
    purpose = TextAreaField(N_("What the addresses are used for"), [Length(max=1000)])
    whole = BooleanField(N_("This list is the whole school or club"))
    answer_on_open = BooleanField(N_("Take an opened choice as the answer"))


class AddListForm(ListForm):
    """manager: id of the user who manages the list from the beginning (T-38); default: the user who adds it."""

    manager = SelectField(N_("Manager of the list"), coerce=parse_row_id, default=lambda: current_user.id)

    def __init__(self) -> None:
        super().__init__()
        users = User.select().where(User.disabled_at.is_null()).order_by(User.name_key)
        self.manager.choices = [SelectChoice(user.id, user.name) for user in users]


# ── views ──────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


@bp.get("")
def index() -> Answer:
    """Show the lists that the user may see; the own practice list is last."""
    visible = list(permissions().lists("view"))
    return render_page("lists/index.html", lists=visible, counts=lists.count_members_by_list(row.id for row in visible))


@bp.route("/new", methods=["GET", "POST"])
@requires("admin")
def add_list() -> Answer:
    form = AddListForm()
    if form.validate_on_submit():
        with errors_in(form):
            mailing_list = lists.add_list(
                current_user,
                form.name.data,
                form.address.data,
                manager=User.get_by_id(form.manager.data),
                whole=form.whole.data,
                purpose=form.purpose.data or "",
                now=clock.now(),
            )
            flash_message(N_("The list is there. Now its members can come in."))
            return redirect_to("lists.show", number=mailing_list.id)
    return render_page("lists/new.html", status=422 if form.errors else 200, form=form)


@bp.get("/<int:number>")
def show(number: int) -> Answer:
    """Show the members: search, filter, sorting, fifty per page (T-32)."""
    mailing_list = get_list_or_404(number)
    query = member_list.MemberQuery(
        text=request.args.get("q", "")[:100],
        row=request.args.get("row", ""),
        state=request.args.get("state", ""),
        sort=request.args.get("sort", "kana"),
        addresses=permissions().may_list("send", mailing_list),
    )
    page = paginate(member_list.query_members(mailing_list, query))
    return render_page(
        "lists/show.html",
        "lists/_members.html",
        list=mailing_list,
        going_on=jobs.running_import(mailing_list),
        query=query,
        page=page,
        rows=member_list.member_rows(mailing_list, page.rows),
        counts=member_list.count_by_state(mailing_list),
        directory=member_list,
        may_manage=permissions().may_list("manage", mailing_list),
        with_=_url_with,
        room=lambda child: member_list.class_label(language(), child),
    )


def _url_with(**changes: object) -> str:
    """Return this page's URL with changed parameters. A changed filter resets the page to 1."""
    query = {key: request.args[key] for key in ("q", "row", "state", "sort", "page", "all") if request.args.get(key)}
    if "page" not in changes:
        query.pop("page", None)
    if "all" not in changes:
        query.pop("all", None)
    values = {key: value for key, value in {**query, **changes}.items() if value}
    return url_for("lists.show", number=request.view_args["number"] if request.view_args else 0, **values)


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
    """Resume the mail. If readers unsubscribed themselves, ask for `wished` first (T-24)."""
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
    """Ask for `sure`, then remove the ticked members."""
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
    """Return the list and the ticked members; if none is ticked, redirect with a message."""
    mailing_list = get_list_or_404(number, "manage")
    chosen = request.form.getlist("m", type=parse_row_id)
    if not chosen:
        flash_message(N_("Please choose somebody first."), "wrong")
        abort(redirect_to("lists.show", number=number))
    return mailing_list, chosen


def _choose_group_page(mailing_list: MailingList, chosen: list[int]) -> Answer:
    people = member_list.chosen_members(mailing_list, chosen)
    by_hand = [group for group in groups_in_lists([mailing_list.id]) if not group.condition]
    return render_page("lists/choose_group.html", list=mailing_list, people=people, groups=by_hand)


def _confirm_page(action: str, mailing_list: MailingList, chosen: list[int], own: int = 0) -> Answer:
    """Ask for confirmation and name the affected members."""
    people = member_list.chosen_members(mailing_list, chosen)
    return render_page("lists/confirm_bulk_action.html", list=mailing_list, action=action, people=people, own=own)


@bp.route("/<int:number>/settings", methods=["GET", "POST"])
def edit_list(number: int) -> Answer:
    """Managers change name and purpose; admins also address and `whole`."""
    mailing_list = get_list_or_404(number, "manage")
    form = ListForm(obj=mailing_list)
    if not permissions().is_admin:
        form.address.data, form.whole.data = mailing_list.address, mailing_list.whole
    if form.validate_on_submit():
        with errors_in(form):
            lists.change_list(
                mailing_list,
                current_user,
                name=form.name.data,
                address=form.address.data,
                purpose=form.purpose.data or "",
                whole=form.whole.data,
                answer_on_open=form.answer_on_open.data,
            )
            flash_message(N_("Saved."))
            return redirect_to("lists.show", number=number)
    return render_page("lists/settings.html", status=422 if form.errors else 200, form=form, list=mailing_list)


@bp.route("/<int:number>/close", methods=["GET", "POST"])
@requires("admin")
def close_list(number: int) -> Answer:
    """Ask for confirmation, then close a list."""
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
    """Return the roster as CSV and record the export in the audit log (field.md 3.2)."""
    mailing_list = get_list_or_404(number, "manage")
    ensure_confirmed("lists.confirm_export", number=number)
    content = roster_export.export_csv(mailing_list, language())
    audit.log_view(current_user, "roster.exported", mailing_list.id)
    name = f"{mailing_list.address}-{clock.today():%Y%m%d}.csv"
    return Response(
        content,
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


@bp.get("/<int:number>/export")
def confirm_export(number: int) -> str:
    """Explain the effects of an export before it, after the user has shown password or second factor."""
    mailing_list = get_list_or_404(number, "manage")
    ensure_confirmed("lists.confirm_export", number=number)
    return render_template("lists/confirm_export.html", list=mailing_list, title=_("Write the roster as a file"))


# ── class teachers ─────────────────────────────────────────────────────────────────────────────────────────────────


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
        room=lambda room: display_names.class_label(language(), room.grade, room.class_name),
    )


@bp.post("/<int:number>/in-charge", endpoint="save_class_teachers")
def save_class_teachers(number: int) -> Response:
    """Assign the selected users. Classes without a selection stay unchanged."""
    mailing_list = get_list_or_404(number, "manage")
    teachers = {}
    for place, room in enumerate(class_teacher.teachers_of_classes(mailing_list)):
        same_class = request.form.get(f"class-{place}") == f"{room.grade}\t{room.class_name}"
        chosen = request.form.get(f"user-{place}", UNCHANGED)
        if same_class and chosen != UNCHANGED:
            teachers[room.grade, room.class_name] = _user_id(chosen)
    changed = class_teacher.assign_classes(mailing_list, teachers, current_user)
    flash_message(N_("Saved. The class teacher changed in %(number)s places."), number=changed)
    return redirect_to("lists.show", number=number)


def _user_id(text: str) -> int:
    try:
        return parse_row_id(text)
    except ValueError:
        return -1  # no such user: unchanged


# ── move and copy ──────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/<int:number>/transfer")
@requires("admin")
def show_move_copy(number: int) -> Answer:
    return _move_copy_page(get_list_or_404(number, "manage"), [])


@bp.post("/<int:number>/transfer/choose")
@requires("admin")
def choose_move_copy(number: int) -> Answer:
    """Show the form for the ticked members."""
    return _move_copy_page(get_list_or_404(number, "manage"), request.form.getlist("m", type=parse_row_id))


@bp.post("/<int:number>/transfer")
@requires("admin")
def confirm_move_copy(number: int) -> Answer:
    """Show the effects and ask for confirmation."""
    source, target, kind, chosen = _posted_move_copy(number)
    return _confirm_move_copy(source, target, kind, chosen)


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
    flash_message(sentence, new=done.new, there=done.already_members, list=target.name)
    return redirect_to("lists.show", number=target.id)


def _posted_move_copy(number: int) -> tuple[MailingList, MailingList, str, list[int]]:
    """Return source, target, kind and members; if one is missing, abort with the page and an error."""
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
    return next((row for row in _other_lists(source) if row.id == number), None)


def _other_lists(source: MailingList) -> list[MailingList]:
    return [row for row in permissions().lists("manage") if row.id != source.id and not row.practice_of_id]


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


def _confirm_move_copy(source: MailingList, target: MailingList, kind: str, chosen: list[int]) -> Answer:
    return render_page(
        "lists/confirm_move_copy.html",
        list=source,
        target=target,
        kind=kind,
        people=member_list.chosen_members(source, chosen),
        look=move_copy.preview_move_copy(source, target, chosen),
    )
