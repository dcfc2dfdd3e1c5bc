"""Roster import: upload, preview, run, result, undo."""

from flask import Response, request
from flask_login import current_user

import clock
import tasks
from blueprints.lists import bp
from core.errors import DomainError
from core.imports import columns, jobs, plan_model
from core.imports import read as roster_read
from core.imports.plan_model import ImportPlan, PlanLine
from i18n import N_
from models import Job, JobState, MailingList
from web import _, flash_message, get_list_or_404, get_or_404, language, redirect_to, render_page

Answer = Response | tuple[str, int]
MAX_LINES_SHOWN = 200  # shown per kind; a class has 40, a school 800
SAMPLE_ROWS = 3


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
    return render_page(
        "lists/import_preview.html",
        list=mailing_list,
        job=job,
        sheet=sheet,
        plan=plan,
        columns=list(zip(sheet.columns, job.detail["mapping"], strict=True)),
        sample=sheet.rows[:SAMPLE_ROWS],
        noted=[line for line in plan.lines if line.outcome == "wrong"] + _lines_with_notes(plan),
        plain=[line for line in plan.lines if line.outcome == "added" and not line.notes],
        already=[line for line in plan.lines if _is_unchanged(line)],
        untaken=columns.untaken_columns(sheet, tuple(job.detail["mapping"])),
        remarks=[plan_model.LineNote(message, values) for message, values in sheet.remarks],
        back=jobs.failure_note(job),
        shown=MAX_LINES_SHOWN,
        fields=columns.FIELDS,
        encodings=roster_read.ENCODINGS,
        outcome_words=plan_model.OUTCOME_LABELS,
        tell=lambda note: plan_model.format_note(language(), note),
    )


def _lines_with_notes(plan: ImportPlan) -> list[PlanLine]:
    return [line for line in plan.lines if line.outcome != "wrong" and line.notes and not _is_unchanged(line)]


def _is_unchanged(line: PlanLine) -> bool:
    """Return whether a line changes nothing and has no other note."""
    known = line.membership is not None and line.membership.row is not None
    return known and line.outcome == "already" and len(line.notes) < 2


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
    """Parse the waiting file again with another encoding or other columns."""
    job = _job_or_404(get_list_or_404(number, "manage"), job_id)
    mapping = tuple(request.form.getlist("column"))
    if ticked := request.form.getlist("take", type=int):
        held = enumerate(job.detail.get("mapping", ()))
        mapping = tuple(columns.ATTRIBUTE if place in ticked and not name else name for place, name in held)
    try:
        jobs.set_encoding_or_mapping(job, encoding=request.form.get("encoding"), mapping=mapping or None)
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("lists.show_import", number=number, job_id=job_id)


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
