"""Import jobs: keep an uploaded roster, preview it, carry it out, undo it.

A file waits as `data/imports/<number of the job>` until it is confirmed, for at most a day. Small imports run in the
request, large ones in the worker. The Job row is the truth: jobs in state `asked` or `working` belong to the worker.
Each chunk of rows is committed together with its undo log, so an interrupted import continues where it stopped.
"""

import fcntl
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from peewee import IntegrityError, OperationalError

import config
from core import audit, disk_space
from core.errors import DomainError
from core.imports import apply, row_parts
from core.imports.columns import ATTRIBUTE, FIELDS, Sheet, choose_sheet, drop_unknown_items, find_header, guess_mapping
from core.imports.foreign_files import UnreadableFile
from core.imports.plan import plan_sheet
from core.imports.plan_model import KEEP, REPLACE, SECOND, ImportPlan, LineChoices, LineNote
from core.imports.read import DEFAULT_OPTIONS, ReadOptions, read_pasted, read_sheets
from core.members.lists import item_names
from core.permissions import permissions_of
from database import db, is_write_refused, optional_write
from i18n import N_
from models import Job, JobState, MailingList, User

log = logging.getLogger("kairan.roster")
CONFIRM_WITHIN = timedelta(hours=24)
STALLED_AFTER = timedelta(minutes=10)  # an import takes seconds, so its process has died
UNDO_WITHIN = timedelta(days=30)
MAX_LINES_INLINE = 500
"""Lines that the request writes itself, in less than a second."""
MAX_ATTEMPTS = 3
_LIST_CHANGED = N_("The list has changed since this page was shown. Please look at it once more.")
_IMPORT_INTERRUPTED = N_(
    "The import broke off. Please look at it once more; what was registered stays, and nothing comes twice."
)


def read_sheet(content: bytes, filename: str = "", options: ReadOptions = DEFAULT_OPTIONS) -> Sheet:
    """Read a file (CSV of any encoding in ENCODINGS, .xlsx, .xls, .ods). Raises UnreadableFile.

    Of several sheets the first that has headers of people counts, since a cover sheet may stand before it.
    """
    tables = read_sheets(content, filename, options)
    if options.sheet and options.sheet == tables[0].sheet:
        return find_header(tables[0], options.heading)
    return choose_sheet([find_header(cells, options.heading) for cells in tables])


def suggest_mapping(mailing_list: MailingList, sheet: Sheet, take: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the mapping of a sheet; an unknown column is read only if the list has this item, or `take` names it."""
    return drop_unknown_items(sheet, guess_mapping(sheet), [*item_names([mailing_list.id]), *take])


def import_now(
    mailing_list: MailingList, sheet: Sheet, mapping: tuple[str, ...], by: User | None, now: datetime
) -> ImportPlan:
    """Plan and apply at once (CLI); return the plan with its outcomes."""
    plan = plan_sheet(mailing_list, sheet, mapping, now, by)
    try:
        apply.apply_plan(plan)
    except IntegrityError as error:
        raise DomainError(_LIST_CHANGED) from error
    audit.log_action(by, "roster.imported", mailing_list.id, detail=plan.counts)
    return plan


# ── an import in steps ───────────────────────────────────────────────────────────────────────────────────────────


def create_import(
    mailing_list: MailingList, by: User, *, content: bytes = b"", text: str = "", filename: str = "", now: datetime
) -> Job:
    """Store an upload or pasted text for the preview. Raises UnreadableFile and stores nothing."""
    purge_old_imports(now)
    sheet = find_header(read_pasted(text)) if text.strip() else read_sheet(content, filename)
    detail = {
        "filename": filename[-120:],
        "pasted": bool(text.strip()),
        "options": {},
        "mapping": list(suggest_mapping(mailing_list, sheet)),
    }
    job = Job.create(kind="import", user=by, list=mailing_list, made_at=now, total=len(sheet.rows), detail=detail)
    path = upload_path(job)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    try:
        path.write_bytes(text.encode() if text.strip() else content)
    except OSError:
        path.unlink(missing_ok=True)
        with optional_write():
            job.delete_instance()
        raise
    return job


def upload_path(job: Job) -> Path:
    return config.current_config().data / "imports" / str(job.id)


def awaits_confirmation(job: Job, now: datetime) -> bool:
    """Return whether an import waits for confirmation, also after its request died on the way."""
    return job.state == JobState.READY or (
        job.state == JobState.WORKING and not is_worker_job(job) and now - job.made_at > STALLED_AFTER
    )


def is_worker_job(job: Job) -> bool:
    """Return whether the worker runs this import; it then survives a crash."""
    return "by" in job.detail


def reread_upload(job: Job) -> Sheet:
    """Read the stored upload again. Raises DomainError if it is gone, UnreadableFile for a wrong encoding."""
    path = upload_path(job)
    if job.state not in (JobState.READY, JobState.ASKED, JobState.WORKING) or not path.exists():
        raise DomainError(N_("This import is not waiting any more. Please choose the file once more."))
    options = ReadOptions(**job.detail.get("options", {}))
    if job.detail["pasted"]:
        return find_header(read_pasted(path.read_text("utf-8"), options.separator), options.heading)
    return read_sheet(path.read_bytes(), job.detail["filename"], options)


def set_options(job: Job, options: ReadOptions) -> None:
    """Read the upload in another way, and guess the columns again. Raises UnreadableFile and changes nothing."""
    assert job.list  # noqa: S101  every import has a list
    before = job.detail
    job.detail = {**before, "options": asdict(options), "choices": {}}
    try:
        job.detail["mapping"] = list(suggest_mapping(job.list, reread_upload(job)))
    except UnreadableFile:
        job.detail = before
        raise
    _store_detail(job)


def set_mapping(job: Job, mapping: tuple[str, ...]) -> None:
    """Read other columns; unknown values are ignored, and missing columns are not read."""
    allowed, columns = {*FIELDS, ATTRIBUTE, ""}, len(job.detail["mapping"])
    wanted = [name if row_parts.is_field(name, allowed) else "" for name in mapping[:columns]]
    job.detail = {**job.detail, "mapping": wanted + [""] * (columns - len(wanted)), "choices": {}}
    _store_detail(job)


def set_choices(job: Job, choices: LineChoices) -> None:
    """Store what was chosen for single rows."""
    known = {str(place): choice for place, choice in choices.known.items() if choice in (REPLACE, SECOND, KEEP)}
    rows = {"meant": sorted(choices.meant), "known": known, "left_out": sorted(choices.left_out)}
    job.detail = {**job.detail, "choices": {**rows, "give_class": choices.give_class}}
    _store_detail(job)


def line_choices(job: Job) -> LineChoices:
    stored = job.detail.get("choices") or {}
    return LineChoices(
        meant=frozenset(stored.get("meant", ())),
        known={int(place): choice for place, choice in stored.get("known", {}).items()},
        left_out=frozenset(stored.get("left_out", ())),
        give_class=stored.get("give_class", True),
    )


def _store_detail(job: Job) -> None:
    Job.update(detail=job.detail).where(Job.id == job.id, Job.state == JobState.READY).execute()


def preview_import(job: Job, now: datetime, by: User | None) -> tuple[Sheet, ImportPlan]:
    """Return the sheet of an import and its plan, as this user may carry it out."""
    assert job.list  # noqa: S101  every import has a list
    sheet = reread_upload(job)
    return sheet, plan_sheet(job.list, sheet, tuple(job.detail["mapping"]), now, by, line_choices(job))


# ── carry out ────────────────────────────────────────────────────────────────────────────────────────────────────


def start_import(job: Job, by: User, *, fingerprint: str, now: datetime) -> bool:
    """Run a confirmed import: True if done, False if queued for the worker. A second press does nothing.

    Raises DomainError if the import is not waiting, or if the list changed since the preview.
    """
    plan = _plan_as_previewed(job, by, fingerprint, now)
    if len(plan.lines) <= MAX_LINES_INLINE:
        _run_inline(job, by, plan, now)
        return True
    detail = {**job.detail, "by": by.id, "fingerprint": fingerprint, "refused": ""}
    _claim_job(job, now, state=JobState.ASKED, detail=detail, total=len(plan.lines))
    return False


def _plan_as_previewed(job: Job, by: User, fingerprint: str, now: datetime) -> ImportPlan:
    _, plan = preview_import(job, now, by)
    if plan.fingerprint != fingerprint:
        raise DomainError(_LIST_CHANGED)
    return plan


def _run_inline(job: Job, by: User, plan: ImportPlan, now: datetime) -> None:
    _claim_job(job, now, state=JobState.WORKING, total=len(plan.lines))
    job.detail = {**job.detail, **_result_detail(plan)}
    try:
        _apply_with_progress(job, plan)
    except IntegrityError as error:
        Job.update(state=JobState.READY).where(Job.id == job.id).execute()
        raise DomainError(_LIST_CHANGED) from error
    except OperationalError:  # locked or full: the same press goes on from here
        with optional_write():
            Job.update(state=JobState.READY).where(Job.id == job.id).execute()
        raise
    _finish_job(job, by, now)


def _claim_job(job: Job, now: datetime, **change: object) -> None:
    free = (Job.state == JobState.READY) | ((Job.state == JobState.WORKING) & (Job.made_at < now - STALLED_AFTER))
    if not Job.update(made_at=now, done=0, **change).where(Job.id == job.id, free).execute():
        raise DomainError(N_("This import has already been carried out."))


def _result_detail(plan: ImportPlan) -> dict[str, Any]:
    """Return what the result page shows."""
    invalid = [line for line in plan.lines if line.outcome == "wrong"]
    return {
        "counts": plan.counts,
        "people": plan.people,
        "wrong": [
            {"number": line.number, "name": line.name, "notes": [[note.message, note.values] for note in line.notes]}
            for line in invalid
        ],
    }


def _apply_with_progress(job: Job, plan: ImportPlan) -> None:
    """Write the plan; each chunk stores progress and undo log in its own transaction."""
    undo_log = apply.UndoLog.from_json(job.detail.get("written"))

    def note(done: int) -> None:
        job.detail = {**job.detail, "written": undo_log.as_json()}
        Job.update(done=done, detail=job.detail).where(Job.id == job.id).execute()

    apply.apply_plan(plan, note, undo_log)


def _finish_job(job: Job, by: User | None, now: datetime) -> None:
    detail = {name: job.detail[name] for name in ("filename", "counts", "people", "wrong", "written")}
    with db.atomic():
        finished = {"state": JobState.DONE, "detail": detail, "done": Job.total, "made_at": now, "user": by}
        Job.update(**finished).where(Job.id == job.id).execute()
        audit.log_action(by, "roster.imported", job.list_id, detail=detail["counts"])
    upload_path(job).unlink(missing_ok=True)


# ── by the worker ────────────────────────────────────────────────────────────────────────────────────────────────


def running_import(mailing_list: MailingList) -> Job | None:
    """Return the import into this list that the worker runs or is about to run."""
    rows = Job.select().where(
        Job.kind == "import", Job.list == mailing_list, Job.state.in_((JobState.ASKED, JobState.WORKING))
    )
    return next((job for job in rows.order_by(Job.id.desc()) if is_worker_job(job)), None)


def estimate_remaining(job: Job, now: datetime) -> timedelta | None:
    """Estimate the remaining time; None before the first chunk."""
    return (now - job.made_at) / job.done * (job.total - job.done) if job.done else None


def process_import_jobs(now: datetime) -> int:
    """Run queued imports and continue interrupted ones; return how many. One process at a time."""
    with _single_process_lock() as locked:
        queued = (
            Job.select().where(Job.kind == "import", Job.state.in_((JobState.ASKED, JobState.WORKING)))
            if locked
            else ()
        )
        return sum(_process_job(job, now) for job in list(queued) if is_worker_job(job))


@contextmanager
def _single_process_lock() -> Iterator[bool]:
    with (config.current_config().data / "run" / "import").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _process_job(job: Job, now: datetime) -> bool:
    """Finish one import; a failed one returns to its preview with the reason."""
    try:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                _write_job(job, now)
                return True
            except IntegrityError:  # another process registered one of these people meanwhile: plan again
                if attempt == MAX_ATTEMPTS:
                    raise
    except DomainError as error:
        _return_to_preview(job, error.message, error.values)
    except Exception as error:  # one bad file must not stop the worker
        if disk_space.note_if_full(error) or is_write_refused(error):
            raise  # the row stays with the worker, which goes on from here in a minute
        log.exception("import %s broke off", job.id)
        _return_to_preview(job, _IMPORT_INTERRUPTED, {})
    return False


def _write_job(job: Job, now: datetime) -> None:
    by = User.get_or_none(User.id == job.detail["by"])
    if by is None:
        raise DomainError(_LIST_CHANGED)
    _, plan = preview_import(job, now, by)
    if job.state == JobState.ASKED:
        if plan.fingerprint != job.detail["fingerprint"]:
            raise DomainError(_LIST_CHANGED)
        job.state, job.detail = "working", {**job.detail, **_result_detail(plan)}
        Job.update(state=JobState.WORKING, made_at=now, detail=job.detail).where(Job.id == job.id).execute()
    _apply_with_progress(job, plan)
    _finish_job(job, by, now)


def _return_to_preview(job: Job, message: str, values: dict[str, Any]) -> None:
    detail = {name: value for name, value in job.detail.items() if name not in ("by", "fingerprint")}
    result = detail | {"refused": [message, values]}
    Job.update(state=JobState.READY, detail=result).where(Job.id == job.id).execute()


def failure_note(job: Job) -> LineNote | None:
    """Return why the worker returned an import to its preview."""
    refused = job.detail.get("refused")
    return LineNote(*refused) if refused else None


# ── undo and purge ───────────────────────────────────────────────────────────────────────────────────────────────


def undo_import(job: Job, by: User, now: datetime) -> tuple[int, int]:
    """Undo an import; return (rows undone, rows skipped). Raises DomainError if it is undone or too old."""
    if job.state == JobState.UNDONE:
        raise DomainError(N_("This import has already been taken back."))
    if now - job.made_at > UNDO_WITHIN or "written" not in job.detail:
        raise DomainError(N_("This import is too old to be taken back."))
    if job.user_id != by.id and not permissions_of(by).is_admin:
        raise DomainError(N_("Only the user who carried out this import, or an administrator, can take it back."))
    with db.atomic():
        detail = {key: value for key, value in job.detail.items() if key != "written"}
        if (
            not Job.update(state=JobState.UNDONE, detail=detail)
            .where(Job.id == job.id, Job.state == JobState.DONE)
            .execute()
        ):
            raise DomainError(N_("This import has already been taken back."))
        undone, skipped = apply.undo_changes(job.detail["written"], permissions_of(by))
        audit.log_action(by, "roster.import_undone", job.list_id, detail={"back": undone, "kept": skipped})
    return undone, skipped


def purge_old_imports(now: datetime) -> None:
    """Delete uploads without confirmation after a day, and undo logs after 30 days."""
    for job in Job.select().where(
        Job.kind == "import", Job.state == JobState.READY, Job.made_at < now - CONFIRM_WITHIN
    ):
        upload_path(job).unlink(missing_ok=True)
        job.delete_instance()
    for job in Job.select().where(Job.kind == "import", Job.state == JobState.DONE, Job.made_at < now - UNDO_WITHIN):
        Job.update(detail={"counts": job.detail.get("counts", {})}).where(Job.id == job.id).execute()
