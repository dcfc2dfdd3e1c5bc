"""Attachments of a notice: upload, preview, view and withdraw (decision 12; X-01, X-03, X-05).

Content is stored in `data/attachments` under random names. Readers open an attachment through their own link.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import lru_cache
from pathlib import Path

from peewee import IntegrityError, ModelSelect, fn

import clock
from core import audit
from core.errors import DomainError, NotADraft
from core.notices import file_types
from core.notices.file_types import UnfitFile
from database import db, load_rows
from i18n import N_
from mail import mime_encoding
from models import Attachment, AttachmentView, Delivery, Notice, NoticeState, User

MEBIBYTE = 2**20
MAX_FILE_BYTES = 10 * MEBIBYTE
MAX_NOTICE_BYTES = 20 * MEBIBYTE
MAX_FILES = 10
MAX_ENCLOSED_BYTES = 3 * MEBIBYTE
"""Total bytes of attachments that may be enclosed in the letters (decision 12)."""
MIN_AVAILABLE = timedelta(days=30)
DELETE_AFTER_CLOSE = timedelta(days=30)
UPLOAD_GRACE_S = 3600


class AlreadyWithdrawn(DomainError):
    message = N_("This file has already been withdrawn.")


# ── drafts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def add_file(notice: Notice, name: str, content: bytes, by: User | None, now: datetime) -> Attachment:
    """Attach a file to a draft. Idempotent for the same content. Raises UnfitFile, NotADraft."""
    if len(content) > MAX_FILE_BYTES:
        values = {"name": file_types.safe_filename(name), "most": format_bytes(MAX_FILE_BYTES)}
        raise UnfitFile(N_("“%(name)s” is larger than %(most)s. Please make it smaller, a PDF for one."), **values)
    fit = file_types.check_file(name, content)
    digest = hashlib.sha256(fit.content).hexdigest()
    file = _store_content(fit.content)
    try:
        with db.atomic():
            _touch_draft(notice, now)
            same: Attachment | None = files_of_notice(notice).where(Attachment.digest == digest).first()
            if same:
                _path(file).unlink()
                return same
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
    """Change the version of the draft, so that open check pages become stale. Raises NotADraft."""
    if not Notice.update(updated_at=now).where(Notice.id == notice.id, Notice.state == NoticeState.DRAFT).execute():
        raise NotADraft()
    notice.updated_at = now


def _check_limits(notice: Notice, fit: file_types.CheckedFile) -> None:
    files = list(files_of_notice(notice))
    if len(files) >= MAX_FILES:
        raise UnfitFile(N_("A notice can have %(n)s files at most."), n=MAX_FILES)
    if total_bytes(files) + len(fit.content) > MAX_NOTICE_BYTES:
        values = {"name": fit.name, "most": format_bytes(MAX_NOTICE_BYTES)}
        raise UnfitFile(N_("With “%(name)s” the files would be larger than %(most)s together."), **values)


def _unique_name(notice: Notice, name: str) -> str:
    """Number a name that another file of the notice has: phones give many photos the same name."""
    taken = {file.name for file in files_of_notice(notice)}
    stem, _, ending = name.rpartition(".")
    names = (name, *(f"{stem} ({number}).{ending}" for number in range(2, MAX_FILES + 2)))
    return next(name for name in names if name not in taken)


def remove_file(attachment: Attachment, now: datetime) -> None:
    """Remove a file from a draft and delete its content. Raises NotADraft."""
    with db.atomic():
        _touch_draft(attachment.notice, now)
        attachment.delete_instance()
    _path(attachment.file).unlink(missing_ok=True)


def files_of_notice(notice: Notice | int) -> "ModelSelect[Attachment]":
    return Attachment.select().where(Attachment.notice == notice).order_by(Attachment.id)


def get_file(notice: Notice | int, number: int) -> Attachment | None:
    file: Attachment | None = files_of_notice(notice).where(Attachment.id == number).first()
    return file


def total_bytes(files: Iterable[Attachment]) -> int:
    return sum(file.size for file in files)


def format_bytes(size: int) -> str:
    """Return "120 KB" or "2.4 MB"."""
    if size < MEBIBYTE:
        return f"{max(1, round(size / 1024))} KB"
    return f"{size / MEBIBYTE:.1f}".removesuffix(".0") + " MB"


# ── preview before sending ───────────────────────────────────────────────────────────────────────────────────────


def mark_previewed(attachment: Attachment, user: User, now: datetime) -> None:
    """Record that a user opened a file before sending (X-01). Idempotent."""
    _insert_view(attachment, now, user=user)


def unpreviewed_files(notice: Notice, user: User) -> list[Attachment]:
    seen = AttachmentView.select(AttachmentView.attachment).where(AttachmentView.user == user)
    return list(files_of_notice(notice).where(Attachment.id.not_in(seen)))


def _insert_view(attachment: Attachment, now: datetime, **who: User | Delivery) -> bool:
    try:
        with db.atomic():
            AttachmentView.create(attachment=attachment, at=now, **who)
    except IntegrityError:  # opened before: the time of the first view stays
        return False
    return True


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


_OPEN_FILES = """
SELECT * FROM attachment WHERE notice_id = ? AND withdrawn_at IS NULL AND file_deleted_at IS NULL ORDER BY id"""


def files_for_readers(notice: Notice, now: datetime) -> list[Attachment]:
    """Return the files on the readers' pages: not withdrawn, until the notice closes (`closes_at`)."""
    if now >= closes_at(notice):
        return []
    return load_rows(Attachment, _OPEN_FILES, notice.id)


def enclosed_files(notice: Notice, now: datetime) -> list[Attachment]:
    """Return the files enclosed in the letters: if the notice wants it and they are small enough together."""
    return _enclosable_files(notice, now) if notice.files_inside else []


@lru_cache(maxsize=2)
def _encoded(files: tuple[tuple[str, str, Path], ...]) -> bytes:
    return mime_encoding.attachment_parts((name, kind, path.read_bytes()) for name, kind, path in files)


def encoded_files(notice: Notice, now: datetime) -> bytes:
    """Return the enclosed files as MIME parts, cached for all letters of the notice; b"" without files."""
    return _encode(enclosed_files(notice, now))


def encoded_files_for_copy(number: int, now: datetime) -> bytes:
    """Return the MIME parts for the author's copy and the test letter, also if readers only get a link."""
    notice = Notice.get_or_none(Notice.id == number)
    return _encode(_enclosable_files(notice, now) if notice else [])


def _encode(files: list[Attachment]) -> bytes:
    return _encoded(tuple((file.name, file.kind, _path(file.file)) for file in files)) if files else b""


def _enclosable_files(notice: Notice, now: datetime) -> list[Attachment]:
    files = files_for_readers(notice, now)
    return files if total_bytes(files) <= MAX_ENCLOSED_BYTES and all(map(existing_path, files)) else []


def copy_files_note(notice: Notice, now: datetime) -> str:
    """Return the note of a copy on its files, if readers do not get them the same way; else ""."""
    if notice.files_inside or not files_for_readers(notice, now):
        return ""
    return _ENCLOSED if _enclosable_files(notice, now) else _TOO_LARGE


_ENCLOSED = N_("The files are attached so that you can look at them; families open them on the page behind their link.")
_TOO_LARGE = N_("The files are too large to be attached here. They open from the page of the notice: %(url)s")


def record_view(delivery: Delivery, attachment: Attachment, now: datetime) -> bool:
    """Record that a reader opened a file; return whether it was the first time. Idempotent."""
    return _insert_view(attachment, now, delivery=delivery)


def closes_at(notice: Notice) -> datetime:
    """Return when the files close: at the end of the school year, but at least 30 days after the start of sending."""
    started = notice.started_at or clock.now()
    april = date(clock.school_year(clock.to_local(started).date()) + 1, 4, 1)
    return max(clock.from_local(datetime.combine(april, time_of_day())), started + MIN_AVAILABLE)


def view_counts(notice: Notice | int) -> dict[int, int]:
    """Return {attachment id: number of readers who opened it}."""
    rows = (
        AttachmentView.select(AttachmentView.attachment, fn.COUNT(AttachmentView.id))
        .join(Attachment)
        .where(Attachment.notice == notice, AttachmentView.delivery.is_null(False))
        .group_by(AttachmentView.attachment)
        .tuples()
    )
    return dict(rows)


def views_by_delivery(deliveries: Iterable[int]) -> dict[int, list[AttachmentView]]:
    """Return {delivery id: views, oldest first}, each with its attachment."""
    views: dict[int, list[AttachmentView]] = {}
    rows = (
        AttachmentView.select(AttachmentView, Attachment)
        .join(Attachment)
        .where(AttachmentView.delivery.in_(list(deliveries)))
    )
    for row in rows.order_by(AttachmentView.at):
        if row.delivery_id is not None:
            views.setdefault(row.delivery_id, []).append(row)
    return views


def withdraw_file(attachment: Attachment, by: User | None, now: datetime) -> None:
    """Close one file for all readers (X-03). Raises AlreadyWithdrawn."""
    open_still = Attachment.withdrawn_at.is_null()
    with db.atomic():
        if not Attachment.update(withdrawn_at=now).where(Attachment.id == attachment.id, open_still).execute():
            raise AlreadyWithdrawn()
        Notice.update(serial=Notice.serial + 1).where(Notice.id == attachment.notice_id).execute()
        audit.log_action(by, "notice.file_withdrawn", attachment.notice_id, detail={"file": attachment.id})


# ── content ────────────────────────────────────────────────────────────────────────────────────────────────────────


def attachments_dir() -> Path:
    return file_types.data_folder("attachments")


def _path(file: str) -> Path:
    return attachments_dir() / file


def existing_path(attachment: Attachment) -> Path | None:
    """Return the path of the content; None if it was deleted after the retention period."""
    path = _path(attachment.file)
    return path if path.is_file() else None


def _store_content(content: bytes) -> str:
    """Write content under a random name; return the name."""
    name = secrets.token_hex(16)
    file_types.write_file(_path(name), content)
    return name


def delete_expired_files(now: datetime) -> int:
    """Delete content without a notice, and content closed more than 30 days ago; return the number of files."""
    _mark_expired(now)
    known = {row.file for row in Attachment.select(Attachment.file).where(Attachment.file_deleted_at.is_null())}
    return file_types.delete_old_files(attachments_dir(), known, UPLOAD_GRACE_S)


def _mark_expired(now: datetime) -> None:
    candidates = Attachment.file_deleted_at.is_null() & (Notice.started_at < now - MIN_AVAILABLE - DELETE_AFTER_CLOSE)
    old = list(Attachment.select(Attachment, Notice).join(Notice).where(candidates))
    expired = [file.id for file in old if closes_at(file.notice) + DELETE_AFTER_CLOSE < now]
    Attachment.update(file_deleted_at=now).where(Attachment.id.in_(expired)).execute()
