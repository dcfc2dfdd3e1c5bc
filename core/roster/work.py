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
from core import history
from core.roster import apply
from core.roster.draft import Plan
from core.roster.jobs import STALLED, Refused, file_of, is_workers, preview
from core.roster.read import Unreadable
from core.roster.words import Note
from database import db
from models import Job, MailingList, User
from words import N_

log = logging.getLogger("kairan.roster")

LARGE = 500
"""Lines that are written while somebody waits: below a second."""
TRIES = 3
_CHANGED = N_("The list has changed since this page was shown. Please look at it once more.")
_BROKEN = N_("The import broke off. Please look at it once more; what was registered stays, and nothing comes twice.")


def ask(job: Job, by: User, *, fingerprint: str, now: datetime) -> bool:
    """Carry out a waiting import: True at once, False if the worker does it. Only the first of two presses does it.

    Raises Refused if the job is not waiting or if the list changed since the preview.
    """
    made = _as_it_was_shown(job, fingerprint, now)
    if len(made.lines) <= LARGE:
        _at_once(job, by, made, now)
        return True
    detail = {**job.detail, "by": by.id, "fingerprint": fingerprint, "refused": ""}
    _take(job, now, state="asked", detail=detail, total=len(made.lines))
    return False


def run(job: Job, by: User, *, fingerprint: str, now: datetime) -> dict[str, int]:
    """Carry out a waiting import of any size now; return its counts. Raises Refused."""
    made = _as_it_was_shown(job, fingerprint, now)
    _at_once(job, by, made, now)
    return made.counts


def _as_it_was_shown(job: Job, fingerprint: str, now: datetime) -> Plan:
    _, made = preview(job, now)
    if made.fingerprint != fingerprint:
        raise Refused(_CHANGED)
    return made


def _at_once(job: Job, by: User, made: Plan, now: datetime) -> None:
    _take(job, now, state="working", total=len(made.lines))
    job.detail = {**job.detail, **_outcome(made)}
    try:
        _apply(job, made)
    except IntegrityError as raced:
        Job.update(state="ready").where(Job.id == job.id).execute()
        raise Refused(_CHANGED) from raced
    _finish(job, by, now)


def _take(job: Job, now: datetime, **change: object) -> None:
    free = (Job.state == "ready") | ((Job.state == "working") & (Job.made_at < now - STALLED))
    if not Job.update(made_at=now, done=0, **change).where(Job.id == job.id, free).execute():
        raise Refused(N_("This import has already been carried out."))


def _outcome(made: Plan) -> dict[str, Any]:
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


def _apply(job: Job, made: Plan) -> None:
    """Write the plan; after each chunk, in its transaction, note how far it is and what undo needs."""
    written = apply.Written.from_json(job.detail.get("written"))

    def note(done: int) -> None:
        job.detail = {**job.detail, "written": written.as_json()}
        Job.update(done=done, detail=job.detail).where(Job.id == job.id).execute()

    apply.apply(made, note, written)


def _finish(job: Job, by: User | None, now: datetime) -> None:
    kept = {name: job.detail[name] for name in ("filename", "counts", "people", "wrong", "written")}
    with db.atomic():
        Job.update(state="done", detail=kept, done=Job.total, made_at=now).where(Job.id == job.id).execute()
        history.log(by, "roster.imported", job.list_id, detail=kept["counts"])
    file_of(job).unlink(missing_ok=True)


# ── by the worker ────────────────────────────────────────────────────────────────────────────────────────────────


def going_on(mailing_list: MailingList) -> Job | None:
    """Return the import that the worker is about to write, or writes, into this list."""
    rows = Job.select().where(Job.kind == "import", Job.list == mailing_list, Job.state.in_(("asked", "working")))
    return next((job for job in rows.order_by(Job.id.desc()) if is_workers(job)), None)


def left(job: Job, now: datetime) -> timedelta | None:
    """Estimate how long an import still takes; None before anything is written."""
    return (now - job.made_at) / job.done * (job.total - job.done) if job.done else None


def work(now: datetime) -> int:
    """Carry out what was asked, and go on with what a dead process left; return how many. One process at a time."""
    with _alone() as mine:
        waiting = Job.select().where(Job.kind == "import", Job.state.in_(("asked", "working"))) if mine else ()
        return sum(_carry_on(job, now) for job in list(waiting) if is_workers(job))


@contextmanager
def _alone() -> Iterator[bool]:
    with (ground.current().data / "run" / "import").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _carry_on(job: Job, now: datetime) -> bool:
    """Bring one import to its end; what cannot be goes back to its preview and says why."""
    try:
        for attempt in range(1, TRIES + 1):
            try:
                _write(job, now)
                return True
            except IntegrityError:  # somebody registered one of these people meanwhile: look again, it is one more then
                if attempt == TRIES:
                    raise
    except (Refused, Unreadable) as refused:
        _back(job, refused.message, refused.values)
    except Exception:  # whatever a file holds, the worker goes on with other work
        log.exception("import %s broke off", job.id)
        _back(job, _BROKEN, {})
    return False


def _write(job: Job, now: datetime) -> None:
    _, made = preview(job, now)
    if job.state == "asked":
        if made.fingerprint != job.detail["fingerprint"]:
            raise Refused(_CHANGED)
        job.state, job.detail = "working", {**job.detail, **_outcome(made)}
        Job.update(state="working", made_at=now, detail=job.detail).where(Job.id == job.id).execute()
    _apply(job, made)
    _finish(job, User.get_or_none(User.id == job.detail["by"]), now)


def _back(job: Job, message: str, values: dict[str, Any]) -> None:
    kept = {name: value for name, value in job.detail.items() if name not in ("by", "fingerprint")}
    detail = kept | {"refused": [message, values]}
    Job.update(state="ready", detail=detail).where(Job.id == job.id).execute()


def why_back(job: Job) -> Note | None:
    """Return why the worker gave an import back to its preview."""
    refused = job.detail.get("refused")
    return Note(*refused) if refused else None
