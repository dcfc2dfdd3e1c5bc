"""Carrying an import out: a small one at once, a large one by the worker, with progress that survives everything.

The row is the truth (law 1): `asked` and `working` jobs belong to the worker. What is written, and what undo needs for
it, are committed together, so an import whose process was killed goes on where it was.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from peewee import IntegrityError

import config as ground
from core import audit
from core.errors import DomainError
from core.imports import apply
from core.imports.jobs import STALLED_AFTER, is_worker_job, preview_import, upload_path
from core.imports.line_notes import LineNote
from core.imports.plan_model import ImportPlan
from core.imports.read import UnreadableFile
from database import db
from i18n import N_
from models import Job, MailingList, User

log = logging.getLogger("kairan.roster")

MAX_LINES_INLINE = 500
"""Lines that are written while somebody waits: below a second."""
MAX_ATTEMPTS = 3
_LIST_CHANGED = N_("The list has changed since this page was shown. Please look at it once more.")
_IMPORT_INTERRUPTED = N_(
    "The import broke off. Please look at it once more; what was registered stays, and nothing comes twice."
)


def start_import(job: Job, by: User, *, fingerprint: str, now: datetime) -> bool:
    """Carry out a waiting import: True at once, False if the worker does it. Only the first of two presses does it.

    Raises DomainError if the job is not waiting or if the list changed since the preview.
    """
    made = _plan_as_previewed(job, fingerprint, now)
    if len(made.lines) <= MAX_LINES_INLINE:
        _run_inline(job, by, made, now)
        return True
    detail = {**job.detail, "by": by.id, "fingerprint": fingerprint, "refused": ""}
    _claim_job(job, now, state="asked", detail=detail, total=len(made.lines))
    return False


def run_import_now(job: Job, by: User, *, fingerprint: str, now: datetime) -> dict[str, int]:
    """Carry out a waiting import of any size now; return its counts. Raises DomainError."""
    made = _plan_as_previewed(job, fingerprint, now)
    _run_inline(job, by, made, now)
    return made.counts


def _plan_as_previewed(job: Job, fingerprint: str, now: datetime) -> ImportPlan:
    _, made = preview_import(job, now)
    if made.fingerprint != fingerprint:
        raise DomainError(_LIST_CHANGED)
    return made


def _run_inline(job: Job, by: User, made: ImportPlan, now: datetime) -> None:
    _claim_job(job, now, state="working", total=len(made.lines))
    job.detail = {**job.detail, **_result_detail(made)}
    try:
        _apply_with_progress(job, made)
    except IntegrityError as raced:
        Job.update(state="ready").where(Job.id == job.id).execute()
        raise DomainError(_LIST_CHANGED) from raced
    _finish_job(job, by, now)


def _claim_job(job: Job, now: datetime, **change: object) -> None:
    free = (Job.state == "ready") | ((Job.state == "working") & (Job.made_at < now - STALLED_AFTER))
    if not Job.update(made_at=now, done=0, **change).where(Job.id == job.id, free).execute():
        raise DomainError(N_("This import has already been carried out."))


def _result_detail(made: ImportPlan) -> dict[str, Any]:
    """Return what the page of the result says."""
    wrong = [line for line in made.lines if line.outcome == "wrong"]
    return {
        "counts": made.counts,
        "people": made.people,
        "wrong": [
            {"number": line.number, "name": line.name, "notes": [[one.message, one.values] for one in line.notes]}
            for line in wrong
        ],
    }


def _apply_with_progress(job: Job, made: ImportPlan) -> None:
    """Write the plan; after each chunk, in its transaction, note how far it is and what undo needs."""
    written = apply.UndoLog.from_json(job.detail.get("written"))

    def note(done: int) -> None:
        job.detail = {**job.detail, "written": written.as_json()}
        Job.update(done=done, detail=job.detail).where(Job.id == job.id).execute()

    apply.apply_plan(made, note, written)


def _finish_job(job: Job, by: User | None, now: datetime) -> None:
    kept = {name: job.detail[name] for name in ("filename", "counts", "people", "wrong", "written")}
    with db.atomic():
        Job.update(state="done", detail=kept, done=Job.total, made_at=now).where(Job.id == job.id).execute()
        audit.log_action(by, "roster.imported", job.list_id, detail=kept["counts"])
    upload_path(job).unlink(missing_ok=True)


# ── by the worker ────────────────────────────────────────────────────────────────────────────────────────────────


def running_import(mailing_list: MailingList) -> Job | None:
    """Return the import that the worker is about to write, or writes, into this list."""
    rows = Job.select().where(Job.kind == "import", Job.list == mailing_list, Job.state.in_(("asked", "working")))
    return next((job for job in rows.order_by(Job.id.desc()) if is_worker_job(job)), None)


def estimate_remaining(job: Job, now: datetime) -> timedelta | None:
    """Estimate how long an import still takes; None before anything is written."""
    return (now - job.made_at) / job.done * (job.total - job.done) if job.done else None


def process_import_jobs(now: datetime) -> int:
    """Carry out what was asked, and go on with what a dead process left; return how many. One process at a time."""
    with _single_process_lock() as mine:
        waiting = Job.select().where(Job.kind == "import", Job.state.in_(("asked", "working"))) if mine else ()
        return sum(_process_job(job, now) for job in list(waiting) if is_worker_job(job))


@contextmanager
def _single_process_lock() -> Iterator[bool]:
    with (ground.current_config().data / "run" / "import").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _process_job(job: Job, now: datetime) -> bool:
    """Bring one import to its end; what cannot be goes back to its preview and says why."""
    try:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                _write_job(job, now)
                return True
            except IntegrityError:  # somebody registered one of these people meanwhile: look again, it is one more then
                if attempt == MAX_ATTEMPTS:
                    raise
    except (DomainError, UnreadableFile) as refused:
        _return_to_preview(job, refused.message, refused.values)
    except Exception:  # whatever a file holds, the worker goes on with other work
        log.exception("import %s broke off", job.id)
        _return_to_preview(job, _IMPORT_INTERRUPTED, {})
    return False


def _write_job(job: Job, now: datetime) -> None:
    _, made = preview_import(job, now)
    if job.state == "asked":
        if made.fingerprint != job.detail["fingerprint"]:
            raise DomainError(_LIST_CHANGED)
        job.state, job.detail = "working", {**job.detail, **_result_detail(made)}
        Job.update(state="working", made_at=now, detail=job.detail).where(Job.id == job.id).execute()
    _apply_with_progress(job, made)
    _finish_job(job, User.get_or_none(User.id == job.detail["by"]), now)


def _return_to_preview(job: Job, message: str, values: dict[str, Any]) -> None:
    kept = {name: value for name, value in job.detail.items() if name not in ("by", "fingerprint")}
    detail = kept | {"refused": [message, values]}
    Job.update(state="ready", detail=detail).where(Job.id == job.id).execute()


def failure_note(job: Job) -> LineNote | None:
    """Return why the worker gave an import back to its preview."""
    refused = job.detail.get("refused")
    return LineNote(*refused) if refused else None
