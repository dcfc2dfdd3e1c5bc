"""Roster import: upload, preview, run, result, undo."""

from dataclasses import replace

from flask import Response, request
from flask_login import current_user

import clock
import tasks
from blueprints.lists import bp
from core import display_names
from core.errors import DomainError
from core.imports import class_source, columns, jobs, plan_model, preview, row_parts
from core.imports import read as roster_read
from i18n import N_
from models import Job, JobState, MailingList
from web import _, flash_message, get_list_or_404, get_or_404, language, redirect_to, render_page

Answer = Response | tuple[str, int]
MAX_LINES_SHOWN = 200  # shown per kind; a class has 40, a school 800
SAMPLE_ROWS = 3
HAPPENS = {
    "added": N_("Will be registered."),
    "changed": N_("Will be changed."),
    "already": N_("Stays as it is."),
    "wrong": N_("Will not be registered."),
}
ADDRESS_WORDS = {
    plan_model.REPLACE: N_("The new address replaces the registered one."),
    plan_model.SECOND: N_("Both addresses get the mail."),
    plan_model.KEEP: N_("The registered address stays."),
}
ADDRESS_CHOICES = {
    plan_model.REPLACE: N_("Replace the address"),
    plan_model.SECOND: N_("Add as a second address"),
    plan_model.KEEP: N_("Keep the registered one"),
}


@bp.route("/<int:number>/import", methods=["GET", "POST"])
def upload_roster(number: int) -> Answer:
    """Take a file or pasted lines. Nothing is registered yet."""
    mailing_list = get_list_or_404(number, "manage")
    wrong, text = "", request.form.get("text", "")
    if request.method == "POST":
        held = request.files.get("file")
        content = held.read() if held else b""
        if not content and not text.strip():
            wrong = _("Please choose a file or paste some lines.")
        else:
            try:
                job = jobs.create_import(
                    mailing_list,
                    current_user,
                    content=content,
                    text="" if content else text,
                    filename=(held.filename or "") if held and content else "",
                    now=clock.now(),
                )
                return redirect_to("lists.show_import", number=number, job_id=job.id)
            except roster_read.UnreadableFile as refused:
                wrong = _(refused.message, **refused.values)
    return render_page(
        "lists/import_upload.html", status=422 if wrong else 200, list=mailing_list, wrong=wrong, text=text
    )


def _job_or_404(mailing_list: MailingList, job_id: int) -> Job:
    """Return an import of this list; 404 for an import of another list."""
    return get_or_404(Job, id=job_id, list=mailing_list, kind="import")


@bp.get("/<int:number>/import/<int:job_id>")
def show_import(number: int, job_id: int) -> Answer:
    """Show the preview, the progress or the result of an import."""
    mailing_list = get_list_or_404(number, "manage")
    job = _job_or_404(mailing_list, job_id)
    if jobs.awaits_confirmation(job, clock.now()):
        return _preview_page(mailing_list, job)
    if job.state in (JobState.ASKED, JobState.WORKING):
        left = jobs.estimate_remaining(job, clock.now())
        return render_page(
            "lists/import_running.html", "lists/_import_progress.html", list=mailing_list, job=job, left=left
        )
    return render_page("lists/import_done.html", list=mailing_list, job=job, told_lines=_rejected_lines(job))


def _preview_page(mailing_list: MailingList, job: Job) -> Answer:
    wrong = ""
    try:
        sheet, plan = jobs.preview_import(job, clock.now(), current_user)
    except DomainError as gone:
        flash_message(gone.message, "wrong", **gone.values)
        return redirect_to("lists.upload_roster", number=mailing_list.id)
    except roster_read.UnreadableFile as unreadable:
        wrong = _(unreadable.message, **unreadable.values)
        return render_page("lists/import_upload.html", status=422, list=mailing_list, wrong=wrong, text="")
    mapping = tuple(job.detail["mapping"])
    return render_page(
        "lists/import_preview.html",
        list=mailing_list,
        job=job,
        sheet=sheet,
        plan=plan,
        shown=preview.build_preview(sheet, plan, mapping),
        given=class_source.find_class(mailing_list, sheet),
        gives=jobs.line_choices(job).give_class,
        mapping=mapping,
        meaning=_column_meaning,
        sample=sheet.rows[:SAMPLE_ROWS],
        remarks=[plan_model.LineNote(message, values) for message, values in sheet.remarks],
        back=jobs.failure_note(job),
        most=MAX_LINES_SHOWN,
        fields=columns.FIELDS,
        encodings=roster_read.ENCODINGS,
        separators=roster_read.SEPARATORS,
        heading_lines=_heading_lines(sheet),
        happens=HAPPENS,
        address_words=ADDRESS_WORDS,
        address_choices=ADDRESS_CHOICES,
        row_numbers=preview.row_numbers,
        room=lambda line: display_names.class_label(language(), line.grade, line.class_name),
        tell=lambda note: plan_model.format_note(language(), note),
    )


def _column_meaning(name: str) -> str:
    """Return the words for the field of a column; a repeated one with its place."""
    if not name:
        return ""
    base, place = row_parts.base_field(name)
    label = _("Item") if base == columns.ATTRIBUTE else _(columns.FIELDS[base])
    return label if place == 1 else f"{label} {place}"


def _heading_lines(sheet: columns.Sheet) -> list[tuple[int, str]]:
    """Return the first lines, among which the user may choose the heading."""
    rows = sheet.source.rows[: columns.HEADING_LINES] if sheet.source and not sheet.source.lone else ()
    return [(number, _(", ").join(filter(None, cells))[:60]) for number, cells in rows]


def _rejected_lines(job: Job) -> list[tuple[int, str, str]]:
    """Return (line, name, reasons) of the rejected lines."""
    rejected = []
    for line in job.detail.get("wrong", ()):
        notes = [plan_model.LineNote(message, values) for message, values in line["notes"]]
        rejected.append(
            (line["number"], line["name"], " ".join(plan_model.format_note(language(), note) for note in notes))
        )
    return rejected


@bp.post("/<int:number>/import/<int:job_id>/read")
def remap_import(number: int, job_id: int) -> Answer:
    """Parse the waiting file again: another sheet, separator, encoding, heading, or other columns."""
    job = _job_or_404(get_list_or_404(number, "manage"), job_id)
    mapping = tuple(request.form.getlist("column"))
    if ticked := request.form.getlist("take", type=int):
        held = enumerate(job.detail.get("mapping", ()))
        mapping = tuple(columns.ATTRIBUTE if place in ticked and not name else name for place, name in held)
    try:
        if jobs.awaits_confirmation(job, clock.now()):
            options = _posted_options(job)
            if options is not None:
                jobs.set_options(job, options)
            elif mapping:
                jobs.set_mapping(job, mapping)
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("lists.show_import", number=number, job_id=job_id)


def _posted_options(job: Job) -> roster_read.ReadOptions | None:
    """Return how the file is to be read if the form differs from how it is read; None for the same.

    With another sheet, separator or encoding the heading is looked for again.
    """
    if not {"encoding", "separator", "sheet", "heading"} & set(request.form):
        return None
    sheet = jobs.reread_upload(job)
    source = sheet.source
    stored = roster_read.ReadOptions(**job.detail.get("options", {}))
    wanted = {name: request.form.get(name, "") for name in ("encoding", "separator", "sheet")}
    now = {"encoding": sheet.encoding, "separator": source.separator, "sheet": source.sheet} if source else {}
    other = {name: value for name, value in wanted.items() if value and value != now.get(name)}
    heading = request.form.get("heading", type=int)
    heading = stored.heading if heading is None or heading == sheet.heading else heading
    hidden = bool(request.form.get("hidden_rows")) if "sheet" in request.form else stored.hidden_rows
    options = replace(stored, **other, hidden_rows=hidden, heading=None if other else heading)
    return options if options != stored else None


@bp.post("/<int:number>/import/<int:job_id>/choose")
def choose_import_rows(number: int, job_id: int) -> Answer:
    """Store what was chosen for single rows of the preview: a suggested address, a new address, a row left out."""
    job = _job_or_404(get_list_or_404(number, "manage"), job_id)
    held = jobs.line_choices(job)
    form = request.form
    known = dict(held.known)
    for pair in form.getlist("known"):
        place, _sign, choice = pair.partition(":")
        if place.isdecimal():
            known[int(place)] = choice
    choices = plan_model.LineChoices(
        meant=(held.meant | {*form.getlist("meant", type=int)}) - {*form.getlist("as_typed", type=int)},
        known=known,
        left_out=(held.left_out | {*form.getlist("leave_out", type=int)}) - {*form.getlist("take_in", type=int)},
        give_class=bool(form.get("give_class")) if "class_asked" in form else held.give_class,
    )
    if jobs.awaits_confirmation(job, clock.now()):
        jobs.set_choices(job, choices)
    return redirect_to("lists.show_import", number=number, job_id=job_id, _anchor="look")


@bp.post("/<int:number>/import/<int:job_id>/run")
def run_import(number: int, job_id: int) -> Answer:
    """Run a waiting import. A large one continues in the worker."""
    job = _job_or_404(get_list_or_404(number, "manage"), job_id)
    try:
        if not jobs.start_import(job, current_user, fingerprint=request.form.get("fingerprint", ""), now=clock.now()):
            tasks.wake_worker()
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("lists.show_import", number=number, job_id=job_id)


@bp.post("/<int:number>/import/<int:job_id>/undo")
def undo_import(number: int, job_id: int) -> Answer:
    job = _job_or_404(get_list_or_404(number, "manage"), job_id)
    try:
        back, kept = jobs.undo_import(job, current_user, clock.now())
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    else:
        if kept:
            flash_message(
                N_("Taken back. %(number)s entries stay as they are, because something happened to them since."),
                number=kept,
            )
        else:
            flash_message(N_("The import is taken back. The list is as it was before."))
    return redirect_to("lists.show_import", number=number, job_id=job_id)
