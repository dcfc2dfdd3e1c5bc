"""A roster in and out: read a file, show what it would do, do it, take it back, write the list as a file.

A file waits as `data/imports/<number of the job>` until it is confirmed, a day at most; nothing is written before.
"""

from datetime import datetime, timedelta
from pathlib import Path

import config as ground
from core import audit
from core.errors import DomainError
from core.imports import apply
from core.imports.columns import ATTRIBUTE, FIELDS, Sheet, find_header, guess_mapping
from core.imports.plan import plan_sheet
from core.imports.plan_model import ImportPlan
from core.imports.read import ENCODINGS
from core.imports.read import read_cells as read_cells
from core.imports.read import read_pasted as read_paste
from database import db
from i18n import N_
from models import Job, MailingList, User

CONFIRM_WITHIN = timedelta(hours=24)
STALLED_AFTER = timedelta(minutes=10)  # an import takes seconds: after that its process has died
UNDO_WITHIN = timedelta(days=30)


def read_sheet(content: bytes, filename: str = "", encoding: str = "") -> Sheet:
    """Read a file (CSV of any encoding, .xlsx, .xls). Raises Unreadable with a sentence."""
    return find_header(read_cells(content, filename, encoding))


def import_now(
    mailing_list: MailingList, sheet: Sheet, mapping: tuple[str, ...], by: User | None, now: datetime
) -> ImportPlan:
    """Plan and apply at once (the terminal); return the plan with its outcomes."""
    made = plan_sheet(mailing_list, sheet, mapping, now)
    apply.apply_plan(made)
    audit.log_action(by, "roster.imported", mailing_list.id, detail=made.counts)
    return made


# ── an import in steps ───────────────────────────────────────────────────────────────────────────────────────────


def create_import(
    mailing_list: MailingList, by: User, *, content: bytes = b"", text: str = "", filename: str = "", now: datetime
) -> Job:
    """Keep an uploaded file or pasted text for the preview. Raises Unreadable; nothing is kept then."""
    purge_old_imports(now)
    sheet = find_header(read_paste(text)) if text.strip() else read_sheet(content, filename)
    detail = {
        "filename": filename[:120],
        "pasted": bool(text.strip()),
        "encoding": sheet.encoding,
        "mapping": list(guess_mapping(sheet)),
    }
    job = Job.create(kind="import", user=by, list=mailing_list, made_at=now, total=len(sheet.rows), detail=detail)
    path = upload_path(job)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(text.encode() if text.strip() else content)
    return job


def upload_path(job: Job) -> Path:
    """Return where the file of an import waits."""
    return ground.current_config().data / "imports" / str(job.id)


def awaits_confirmation(job: Job, now: datetime) -> bool:
    """Say whether an import waits to be confirmed; so does one whose page died on the way."""
    return job.state == "ready" or (
        job.state == "working" and not is_worker_job(job) and now - job.made_at > STALLED_AFTER
    )


def is_worker_job(job: Job) -> bool:
    """Say whether an import was given to the worker, which carries it to its end whatever dies."""
    return "by" in job.detail


def reread_upload(job: Job) -> Sheet:
    """Read the waiting file of an import again. Raises DomainError if it is gone, Unreadable for a wrong encoding."""
    path = upload_path(job)
    if job.state not in ("ready", "asked", "working") or not path.exists():
        raise DomainError(N_("This import is not waiting any more. Please choose the file once more."))
    if job.detail["pasted"]:
        return find_header(read_paste(path.read_text("utf-8")))
    return read_sheet(path.read_bytes(), job.detail["filename"], job.detail["encoding"])


def set_encoding_or_mapping(job: Job, *, encoding: str | None = None, mapping: tuple[str, ...] | None = None) -> None:
    """Read the waiting file by another encoding (the columns are then guessed anew) or with other columns."""
    detail = dict(job.detail)
    if encoding in ENCODINGS and encoding != detail["encoding"] and detail["encoding"]:
        detail["encoding"] = encoding
        job.detail = detail
        detail["mapping"] = list(guess_mapping(reread_upload(job)))
    elif mapping is not None:
        allowed, columns = {*FIELDS, ATTRIBUTE, ""}, len(detail["mapping"])
        wanted = [name if name in allowed else "" for name in mapping[:columns]]
        detail["mapping"] = wanted + [""] * (columns - len(wanted))
    job.detail = detail
    Job.update(detail=detail).where(Job.id == job.id, Job.state == "ready").execute()


def preview_import(job: Job, now: datetime) -> tuple[Sheet, ImportPlan]:
    """Return the sheet of a waiting import and what it would do."""
    sheet = reread_upload(job)
    return sheet, plan_sheet(job.list, sheet, tuple(job.detail["mapping"]), now)


def undo_import(job: Job, by: User, now: datetime) -> tuple[int, int]:
    """Take an import back; return (rows taken back, rows left because something happened to them since).

    Raises DomainError if it is taken back already, or too old.
    """
    if job.state == "undone":
        raise DomainError(N_("This import has already been taken back."))
    if now - job.made_at > UNDO_WITHIN or "written" not in job.detail:
        raise DomainError(N_("This import is too old to be taken back."))
    with db.atomic():
        detail = {key: value for key, value in job.detail.items() if key != "written"}
        if not Job.update(state="undone", detail=detail).where(Job.id == job.id, Job.state == "done").execute():
            raise DomainError(N_("This import has already been taken back."))
        back, kept = apply.undo_changes(job.detail["written"])
        audit.log_action(by, "roster.import_undone", job.list_id, detail={"back": back, "kept": kept})
    return back, kept


def purge_old_imports(now: datetime) -> None:
    """Delete files that nobody confirmed within a day, and what is kept for undo after 30 days."""
    for job in Job.select().where(Job.kind == "import", Job.state == "ready", Job.made_at < now - CONFIRM_WITHIN):
        upload_path(job).unlink(missing_ok=True)
        job.delete_instance()
    for job in Job.select().where(Job.kind == "import", Job.state == "done", Job.made_at < now - UNDO_WITHIN):
        Job.update(detail={"counts": job.detail.get("counts", {})}).where(Job.id == job.id).execute()
