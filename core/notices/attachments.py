"""Files that go with a notice: taken in, looked at before sending, opened by readers, withdrawn (decision 12).

X-01, X-03, X-05: each file is opened once more before it goes, stands behind the reader's own link, and can be
withdrawn after sending. The bytes lie under `data/attachments`, 0600, by random names that nobody can guess.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import lru_cache
from pathlib import Path

from peewee import IntegrityError, ModelSelect, fn

import clock
import config as ground
from core import audit
from core.errors import DomainError, NotADraft
from core.notices import file_types
from core.notices.file_types import UnfitFile
from database import db, prepared_query
from i18n import N_
from mail import mime_encoding
from models import Attachment, AttachmentView, Delivery, Notice, User

MEBIBYTE = 2**20
MAX_FILE_BYTES = 10 * MEBIBYTE
MAX_NOTICE_BYTES = 20 * MEBIBYTE
MAX_FILES = 10
MAX_ENCLOSED_BYTES = 3 * MEBIBYTE
"""Octets of files that may go inside the letters themselves (decision 12)."""
MIN_AVAILABLE = timedelta(days=30)
DELETE_AFTER_CLOSE = timedelta(days=30)
UPLOAD_GRACE_S = 3600


class AlreadyWithdrawn(DomainError):
    """The file was withdrawn before, or its notice was."""

    message = N_("This file has already been withdrawn.")


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def add_file(notice: Notice, name: str, content: bytes, by: User | None, now: datetime) -> Attachment:
    """Keep a file with a draft. The same content again is the same file. Raises UnfitFile, NotNow."""
    if len(content) > MAX_FILE_BYTES:
        values = {"name": file_types.safe_filename(name), "most": format_bytes(MAX_FILE_BYTES)}
        raise UnfitFile(N_("“%(name)s” is larger than %(most)s. Please make it smaller, a PDF for one."), **values)
    fit = file_types.check_file(name, content)
    digest = hashlib.sha256(fit.content).hexdigest()
    file = _store_content(fit.content)
    try:
        with db.atomic():
            _touch_draft(notice, now)
            if found := files_of_notice(notice).where(Attachment.digest == digest).first():
                _path(file).unlink()
                return found
            _check_limits(notice, fit)
            return Attachment.create(
                notice=notice,
                name=_unique_name(notice, fit.name),
                kind=fit.kind,
                size=len(fit.content),
                digest=digest,
                file=file,
                cleaned=fit.cleaned,
                added_at=now,
                added_by=by,
            )
    except (UnfitFile, NotADraft):
        _path(file).unlink(missing_ok=True)
        raise


def _touch_draft(notice: Notice, now: datetime) -> None:
    """Note that the draft is another one now: an open check page is then out of date."""
    if not Notice.update(updated_at=now).where(Notice.id == notice.id, Notice.state == "draft").execute():
        raise NotADraft()
    notice.updated_at = now


def _check_limits(notice: Notice, fit: file_types.CheckedFile) -> None:
    count, total = (
        files_of_notice(notice).select(fn.COUNT(Attachment.id), fn.COALESCE(fn.SUM(Attachment.size), 0)).tuples().get()
    )
    if count >= MAX_FILES:
        raise UnfitFile(N_("A notice can have %(n)s files at most."), n=MAX_FILES)
    if total + len(fit.content) > MAX_NOTICE_BYTES:
        values = {"name": fit.name, "most": format_bytes(MAX_NOTICE_BYTES)}
        raise UnfitFile(N_("With “%(name)s” the files would be larger than %(most)s together."), **values)


def _unique_name(notice: Notice, name: str) -> str:
    """Return a name that no other file of the notice has: two photos of one phone are often called the same."""
    taken = {one.name for one in files_of_notice(notice)}
    stem, _, ending = name.rpartition(".")
    tries = (name, *(f"{stem} ({number}).{ending}" for number in range(2, MAX_FILES + 2)))
    return next(one for one in tries if one not in taken)


def remove_file(attachment: Attachment, now: datetime) -> None:
    """Take a file off a draft and delete it. Raises NotNow."""
    with db.atomic():
        _touch_draft(attachment.notice, now)
        attachment.delete_instance()
    _path(attachment.file).unlink(missing_ok=True)


def files_of_notice(notice: Notice | int) -> ModelSelect:
    """Return the files of a notice in the order they were added."""
    return Attachment.select().where(Attachment.notice == notice).order_by(Attachment.id)


def get_file(notice: Notice | int, number: int) -> Attachment | None:
    """Return a file by its number, if it belongs to this notice."""
    return files_of_notice(notice).where(Attachment.id == number).first()


def total_bytes(files: Iterable[Attachment]) -> int:
    """Return how many octets files have together."""
    return sum(one.size for one in files)


def format_bytes(octets: int) -> str:
    """Return a size as people read it: 「120 KB」, 「2.4 MB」."""
    if octets < MEBIBYTE:
        return f"{max(1, round(octets / 1024))} KB"
    return f"{octets / MEBIBYTE:.1f}".removesuffix(".0") + " MB"


# ── looking before it goes ───────────────────────────────────────────────────────────────────────────────────────


def mark_previewed(attachment: Attachment, user: User, now: datetime) -> None:
    """Note that an organizer opened a file to see what goes out (X-01). Repeating is harmless."""
    _insert_view(attachment, now, user=user)


def unpreviewed_files(notice: Notice, user: User) -> list[Attachment]:
    """Return the files that this organizer has not opened yet."""
    seen = AttachmentView.select(AttachmentView.attachment).where(AttachmentView.user == user)
    return list(files_of_notice(notice).where(Attachment.id.not_in(seen)))


def _insert_view(attachment: Attachment, now: datetime, **who: User | Delivery) -> bool:
    try:
        with db.atomic():
            AttachmentView.create(attachment=attachment, at=now, **who)
    except IntegrityError:  # opened before: the first time stays
        return False
    return True


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def files_for_readers(notice: Notice, now: datetime) -> list[Attachment]:
    """Return the files that stand on the readers' pages now: not withdrawn, and until the school year's end."""
    if now >= closes_at(notice):
        return []
    return _select_open_files(notice.id)


@prepared_query
def _select_open_files(notice: int) -> ModelSelect:
    return files_of_notice(notice).where(Attachment.withdrawn_at.is_null(), Attachment.file_deleted_at.is_null())


def enclosed_files(notice: Notice, now: datetime) -> list[Attachment]:
    """Return the files that go inside the letters themselves: chosen for this notice, and together small enough."""
    if not notice.files_inside:
        return []
    return _enclosable_files(notice, now)


@lru_cache(maxsize=2)
def _encoded(files: tuple[tuple[str, str, Path], ...]) -> bytes:
    return mime_encoding.attachment_parts((name, kind, path.read_bytes()) for name, kind, path in files)


def encoded_files(notice: Notice, now: datetime) -> bytes:
    """Return the files inside the letters, encoded once for all letters of the notice; nothing if there are none."""
    files = tuple((one.name, one.kind, _path(one.file)) for one in enclosed_files(notice, now))
    return _encoded(files) if files else b""


def encoded_files_for_copy(number: int, now: datetime) -> bytes:
    """Return the files as the organizer's own copy and the test letter enclose them, wherever families find them."""
    notice = Notice.get_or_none(Notice.id == number)
    mine = _enclosable_files(notice, now) if notice else []
    return _encoded(tuple((one.name, one.kind, _path(one.file)) for one in mine)) if mine else b""


def _enclosable_files(notice: Notice, now: datetime) -> list[Attachment]:
    mine = files_for_readers(notice, now)
    return mine if total_bytes(mine) <= MAX_ENCLOSED_BYTES and all(existing_path(one) for one in mine) else []


def copy_files_note(notice: Notice, now: datetime) -> str:
    """Return what a copy says of its files, where families do not get them as this copy does; nothing else."""
    if notice.files_inside or not files_for_readers(notice, now):
        return ""
    return _ENCLOSED if _enclosable_files(notice, now) else _TOO_LARGE


_ENCLOSED = N_("The files are attached so that you can look at them; families open them on the page behind their link.")
_TOO_LARGE = N_("The files are too large to be attached here. They open from the page of the notice: %(url)s")


def record_view(delivery: Delivery, attachment: Attachment, now: datetime) -> bool:
    """Count that a reader opened a file by its button; return whether it was the first time."""
    return _insert_view(attachment, now, delivery=delivery)


def closes_at(notice: Notice) -> datetime:
    """Return when the files of a notice close: at the school year's end, thirty days after it was sent at least."""
    begun = notice.started_at or clock.now()
    april = date(clock.school_year(clock.to_local(begun).date()) + 1, 4, 1)
    return max(clock.from_local(datetime.combine(april, time_of_day())), begun + MIN_AVAILABLE)


def view_counts(notice: Notice | int) -> dict[int, int]:
    """Return how many readers have opened each file of a notice."""
    rows = (
        AttachmentView.select(AttachmentView.attachment, fn.COUNT(AttachmentView.id))
        .join(Attachment)
        .where(Attachment.notice == notice, AttachmentView.delivery.is_null(False))
        .group_by(AttachmentView.attachment)
        .tuples()
    )
    return dict(rows)


def views_by_delivery(deliveries: Iterable[int]) -> dict[int, list[AttachmentView]]:
    """Return what each reader has opened, with the file."""
    found: dict[int, list[AttachmentView]] = {}
    rows = (
        AttachmentView.select(AttachmentView, Attachment)
        .join(Attachment)
        .where(AttachmentView.delivery.in_(list(deliveries)))
    )
    for row in rows.order_by(AttachmentView.at):
        found.setdefault(row.delivery_id, []).append(row)
    return found


def withdraw_file(attachment: Attachment, by: User | None, now: datetime) -> None:
    """Close one file for all readers; the notice stays (X-03). Raises Withdrawn if it was before."""
    open_still = Attachment.withdrawn_at.is_null()
    with db.atomic():
        if not Attachment.update(withdrawn_at=now).where(Attachment.id == attachment.id, open_still).execute():
            raise AlreadyWithdrawn()
        Notice.update(serial=Notice.serial + 1).where(Notice.id == attachment.notice_id).execute()
        audit.log_action(by, "notice.file_withdrawn", attachment.notice_id, detail={"file": attachment.id})


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def attachments_dir() -> Path:
    """Return where the files lie; nobody but Kairan's own user may look in."""
    found = ground.current_config().data / "attachments"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


def _path(file: str) -> Path:
    return attachments_dir() / file


def existing_path(attachment: Attachment) -> Path | None:
    """Return the file on the disk, None if it was deleted after its time."""
    found = _path(attachment.file)
    return found if found.is_file() else None


def _store_content(content: bytes) -> str:
    """Write a file whole and flushed under a random name; return the name."""
    name = secrets.token_hex(16)
    descriptor = os.open(_path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    return name


def delete_expired_files(now: datetime) -> int:
    """Delete what no notice has any more, and what closed a month ago; return how many files."""
    _mark_expired(now)
    known = {one.file for one in Attachment.select(Attachment.file).where(Attachment.file_deleted_at.is_null())}
    return sum(_delete(path) for path in _files_past_grace() if path.name not in known)


def _mark_expired(now: datetime) -> None:
    """Mark the files whose notices closed long ago."""
    here = Attachment.file_deleted_at.is_null() & (Notice.started_at < now - MIN_AVAILABLE - DELETE_AFTER_CLOSE)
    old = list(Attachment.select(Attachment, Notice).join(Notice).where(here))
    over = [one.id for one in old if closes_at(one.notice) + DELETE_AFTER_CLOSE < now]
    Attachment.update(file_deleted_at=now).where(Attachment.id.in_(over)).execute()


def _files_past_grace() -> Iterator[Path]:
    """Give the files that are no upload of this moment. Their age is the disk's, not the moved clock's."""
    for path in attachments_dir().iterdir():
        if time.time() - path.stat().st_mtime > UPLOAD_GRACE_S:
            yield path


def _delete(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True
