"""A roster in and out: read a file, show what it would do, do it, take it back, write the list as a file.

A file waits as `data/imports/<number of the job>` until it is confirmed, a day at most; nothing is written before.
"""

from datetime import datetime, timedelta
from pathlib import Path

import config as ground
from core import history
from core.roster import apply
from core.roster.columns import ATTRIBUTE, FIELDS, Sheet, arrange, guess_mapping
from core.roster.draft import Plan
from core.roster.plan import plan
from core.roster.read import ENCODINGS
from core.roster.read import paste as read_paste
from core.roster.read import read as read_cells
from database import db
from models import Job, MailingList, User
from words import N_

WAITS = timedelta(hours=24)
STALLED = timedelta(minutes=10)  # an import takes seconds: after that its process has died
UNDO_WITHIN = timedelta(days=30)


class Refused(Exception):
    """An import was not carried out; `message` says why for `say`."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message)
        self.message, self.values = message, values


def read(content: bytes, filename: str = "", encoding: str = "") -> Sheet:
    """Read a file (CSV of any encoding, .xlsx, .xls). Raises Unreadable with a sentence."""
    return arrange(read_cells(content, filename, encoding))


def write(mailing_list: MailingList, sheet: Sheet, mapping: tuple[str, ...], by: User | None, now: datetime) -> Plan:
    """Plan and apply at once (the terminal); return the plan with its outcomes."""
    made = plan(mailing_list, sheet, mapping, now)
    apply.apply(made)
    history.log(by, "roster.imported", mailing_list.id, detail=made.counts)
    return made


# ── an import in steps ───────────────────────────────────────────────────────────────────────────────────────────


def begin(
    mailing_list: MailingList, by: User, *, content: bytes = b"", text: str = "", filename: str = "", now: datetime
) -> Job:
    """Keep an uploaded file or pasted text for the preview. Raises Unreadable; nothing is kept then."""
    forget_old(now)
    sheet = arrange(read_paste(text)) if text.strip() else read(content, filename)
    detail = {
        "filename": filename[:120],
        "pasted": bool(text.strip()),
        "encoding": sheet.encoding,
        "mapping": list(guess_mapping(sheet)),
    }
    job = Job.create(kind="import", user=by, list=mailing_list, made_at=now, total=len(sheet.rows), detail=detail)
    path = file_of(job)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(text.encode() if text.strip() else content)
    return job


def file_of(job: Job) -> Path:
    """Return where the file of an import waits."""
    return ground.current().data / "imports" / str(job.id)


def is_waiting(job: Job, now: datetime) -> bool:
    """Say whether an import waits to be confirmed; so does one whose page died on the way."""
    return job.state == "ready" or (job.state == "working" and not is_workers(job) and now - job.made_at > STALLED)


def is_workers(job: Job) -> bool:
    """Say whether an import was given to the worker, which carries it to its end whatever dies."""
    return "by" in job.detail


def sheet_of(job: Job) -> Sheet:
    """Read the waiting file of an import again. Raises Refused if it is gone, Unreadable for a wrong encoding."""
    path = file_of(job)
    if job.state not in ("ready", "asked", "working") or not path.exists():
        raise Refused(N_("This import is not waiting any more. Please choose the file once more."))
    if job.detail["pasted"]:
        return arrange(read_paste(path.read_text("utf-8")))
    return read(path.read_bytes(), job.detail["filename"], job.detail["encoding"])


def choose(job: Job, *, encoding: str | None = None, mapping: tuple[str, ...] | None = None) -> None:
    """Read the waiting file by another encoding (the columns are then guessed anew) or with other columns."""
    detail = dict(job.detail)
    if encoding in ENCODINGS and encoding != detail["encoding"] and detail["encoding"]:
        detail["encoding"] = encoding
        job.detail = detail
        detail["mapping"] = list(guess_mapping(sheet_of(job)))
    elif mapping is not None:
        allowed, columns = {*FIELDS, ATTRIBUTE, ""}, len(detail["mapping"])
        wanted = [name if name in allowed else "" for name in mapping[:columns]]
        detail["mapping"] = wanted + [""] * (columns - len(wanted))
    job.detail = detail
    Job.update(detail=detail).where(Job.id == job.id, Job.state == "ready").execute()


def preview(job: Job, now: datetime) -> tuple[Sheet, Plan]:
    """Return the sheet of a waiting import and what it would do."""
    sheet = sheet_of(job)
    return sheet, plan(job.list, sheet, tuple(job.detail["mapping"]), now)


def undo(job: Job, by: User, now: datetime) -> tuple[int, int]:
    """Take an import back; return (rows taken back, rows left because something happened to them since).

    Raises Refused if it is taken back already, or too old.
    """
    if job.state == "undone":
        raise Refused(N_("This import has already been taken back."))
    if now - job.made_at > UNDO_WITHIN or "written" not in job.detail:
        raise Refused(N_("This import is too old to be taken back."))
    with db.atomic():
        detail = {key: value for key, value in job.detail.items() if key != "written"}
        if not Job.update(state="undone", detail=detail).where(Job.id == job.id, Job.state == "done").execute():
            raise Refused(N_("This import has already been taken back."))
        back, kept = apply.undo(job.detail["written"])
        history.log(by, "roster.import_undone", job.list_id, detail={"back": back, "kept": kept})
    return back, kept


def forget_old(now: datetime) -> None:
    """Delete files that nobody confirmed within a day, and what is kept for undo after 30 days."""
    for job in Job.select().where(Job.kind == "import", Job.state == "ready", Job.made_at < now - WAITS):
        file_of(job).unlink(missing_ok=True)
        job.delete_instance()
    for job in Job.select().where(Job.kind == "import", Job.state == "done", Job.made_at < now - UNDO_WITHIN):
        Job.update(detail={"counts": job.detail.get("counts", {})}).where(Job.id == job.id).execute()
