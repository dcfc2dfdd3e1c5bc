"""Bringing a roster in: choose, look, confirm, see the result, take it back."""

from flask import Response, abort, request
from flask_login import current_user

import clock
import tasks
from blueprints.lists import bp
from core.roster import columns, work
from core.roster import jobs as roster
from core.roster import read as roster_read
from core.roster import words as line_notes
from core.roster.draft import Line, Plan
from models import Job, MailingList
from web import _, answer, go, language, own_list, told
from words import N_

Answer = Response | tuple[str, int]
SHOWN = 200  # lines of each kind that a page names; a class has 40, a school 800
SAMPLE = 3


@bp.route("/<int:number>/import", methods=["GET", "POST"])
def bring(number: int) -> Answer:
    """Take a file or pasted lines; nothing is registered yet."""
    mailing_list = own_list(number, "manage")
    wrong, text = "", request.form.get("text", "")
    if request.method == "POST":
        held = request.files.get("file")
        content = held.read() if held else b""
        if not content and not text.strip():
            wrong = _("Please choose a file or paste some lines.")
        else:
            try:
                job = roster.begin(
                    mailing_list,
                    current_user,
                    content=content,
                    text="" if content else text,
                    filename=(held.filename or "") if held and content else "",
                    now=clock.now(),
                )
                return go("lists.look", number=number, job_id=job.id)
            except roster_read.Unreadable as refused:
                wrong = _(refused.message, **refused.values)
    return answer("lists/import.html", status=422 if wrong else 200, list=mailing_list, wrong=wrong, text=text)


def _job(mailing_list: MailingList, job_id: int) -> Job:
    """Return an import of this list; another list's is 404."""
    return Job.get_or_none(Job.id == job_id, Job.list == mailing_list, Job.kind == "import") or abort(404)


@bp.get("/<int:number>/import/<int:job_id>")
def look(number: int, job_id: int) -> Answer:
    """Show what an import would do, or what it did."""
    mailing_list = own_list(number, "manage")
    job = _job(mailing_list, job_id)
    if roster.is_waiting(job, clock.now()):
        return _preview(mailing_list, job)
    if job.state in ("asked", "working"):
        left = work.left(job, clock.now())
        return answer("lists/import_working.html", "lists/_import_progress.html", list=mailing_list, job=job, left=left)
    return answer("lists/import_done.html", list=mailing_list, job=job, told_lines=_told_lines(job))


def _preview(mailing_list: MailingList, job: Job) -> Answer:
    wrong = ""
    try:
        sheet, plan = roster.preview(job, clock.now())
    except roster.Refused as gone:
        told(gone.message, "wrong", **gone.values)
        return go("lists.bring", number=mailing_list.id)
    except roster_read.Unreadable as unreadable:
        wrong = _(unreadable.message, **unreadable.values)
        return answer("lists/import.html", status=422, list=mailing_list, wrong=wrong, text="")
    return answer(
        "lists/import_look.html",
        list=mailing_list,
        job=job,
        sheet=sheet,
        plan=plan,
        columns=list(zip(sheet.columns, job.detail["mapping"], strict=True)),
        sample=sheet.rows[:SAMPLE],
        noted=[line for line in plan.lines if line.outcome == "wrong"] + _remarkable(plan),
        plain=[line for line in plan.lines if line.outcome == "added" and not line.notes],
        already=[line for line in plan.lines if _as_before(line)],
        back=work.why_back(job),
        shown=SHOWN,
        fields=columns.FIELDS,
        encodings=roster_read.ENCODINGS,
        outcome_words=line_notes.OUTCOME_WORDS,
        tell=lambda note: line_notes.tell(language(), note),
    )


def _remarkable(plan: Plan) -> list[Line]:
    return [line for line in plan.lines if line.outcome != "wrong" and line.notes and not _as_before(line)]


def _as_before(line: Line) -> bool:
    """Say whether a line is registered already just so, and there is nothing else to say of it."""
    known = line.membership is not None and line.membership.row is not None
    return known and line.outcome == "already" and len(line.notes) < 2


def _told_lines(job: Job) -> list[tuple[int, str, str]]:
    """Return (line, name, why) of the lines that were not registered."""
    found = []
    for line in job.detail.get("wrong", ()):
        notes = [line_notes.Note(message, values) for message, values in line["notes"]]
        found.append((line["number"], line["name"], " ".join(line_notes.tell(language(), one) for one in notes)))
    return found


@bp.post("/<int:number>/import/<int:job_id>/read")
def read_again(number: int, job_id: int) -> Answer:
    """Read the waiting file with another encoding or other columns."""
    job = _job(own_list(number, "manage"), job_id)
    mapping = tuple(request.form.getlist("column"))
    try:
        roster.choose(job, encoding=request.form.get("encoding"), mapping=mapping or None)
    except (roster.Refused, roster_read.Unreadable) as refused:
        told(refused.message, "wrong", **refused.values)
    return go("lists.look", number=number, job_id=job_id)


@bp.post("/<int:number>/import/<int:job_id>/run")
def run(number: int, job_id: int) -> Answer:
    """Carry out a waiting import; a large one goes on by itself."""
    job = _job(own_list(number, "manage"), job_id)
    try:
        if not work.ask(job, current_user, fingerprint=request.form.get("fingerprint", ""), now=clock.now()):
            tasks.ring()
    except (roster.Refused, roster_read.Unreadable) as refused:
        told(refused.message, "wrong", **refused.values)
    return go("lists.look", number=number, job_id=job_id)


@bp.post("/<int:number>/import/<int:job_id>/undo")
def undo(number: int, job_id: int) -> Answer:
    """Take an import back."""
    job = _job(own_list(number, "manage"), job_id)
    try:
        back, kept = roster.undo(job, current_user, clock.now())
    except roster.Refused as refused:
        told(refused.message, "wrong", **refused.values)
    else:
        if kept:
            told(
                N_("Taken back. %(number)s entries stay as they are, because something happened to them since."),
                number=kept,
            )
        else:
            told(N_("The import is taken back. The list is as it was before."))
    return go("lists.look", number=number, job_id=job_id)
