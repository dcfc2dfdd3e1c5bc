"""Attachments of a notice: upload and removal, preview before sending, withdrawal afterwards (X-01).

The POST records who opened a file and redirects to a GET that only returns the bytes.
"""

from typing import Any

from flask import Response, abort, render_template, request
from flask_login import current_user
from werkzeug.datastructures import FileStorage

import clock
import web
from blueprints.notices import bp, draft_access
from blueprints.notices.draft_access import flash_already_sent, get_draft_or_redirect, is_stale, version_of
from core.errors import NotADraft
from core.notices import attachments
from core.notices.file_types import UnfitFile
from i18n import N_
from models import Attachment, Notice

TOO_LARGE = N_("That is too much at once. Each file may have %(most)s; please add them one after the other.")
SHOWN_INLINE = ("image/jpeg", "image/png", "image/webp")


@bp.post("/<int:number>/files")
@web.requires("send")
def upload_files(number: int) -> Any:
    notice = get_draft_or_redirect(number)
    current = not is_stale(notice, request.form.get("seen"))
    try:
        wrong = store_uploads(notice, request.files.getlist("file"))
    except NotADraft:
        return _redirect_if_sent(notice)
    return _files_section(notice, wrong, current)


def _redirect_if_sent(notice: Notice) -> Response:
    flash_already_sent(notice)
    return web.redirect_to("notices.show", number=notice.id)


def store_uploads(notice: Notice, uploads: list[FileStorage]) -> list[str]:
    """Store files with a draft; return one error message for each rejected file."""
    errors = []
    for upload in uploads:
        if not upload.filename:
            continue
        try:
            content = upload.stream.read(attachments.MAX_FILE_BYTES + 1)
            attachments.add_file(notice, upload.filename, content, current_user, clock.now())
        except UnfitFile as unfit:
            errors.append(web._(unfit.message, **unfit.values))
    return errors


@bp.post("/<int:number>/files/<int:file>/remove")
@web.requires("send")
def remove_file(number: int, file: int) -> Any:
    notice = get_draft_or_redirect(number)
    current = not is_stale(notice, request.form.get("seen"))
    try:
        remove_upload(notice, file)
    except NotADraft:
        return _redirect_if_sent(notice)
    return _files_section(notice, [], current)


def remove_upload(notice: Notice, file: int) -> None:
    """Remove a file from a draft. Idempotent."""
    if attachment := attachments.get_file(notice, file):
        attachments.remove_file(attachment, clock.now())


def _files_section(notice: Notice, wrong: list[str], current: bool) -> Any:
    """Render the files. Update the page's version mark unless another window saved a newer version first."""
    if not web.is_htmx():
        for sentence in wrong:
            web.flash_message(sentence, "wrong")
        return web.redirect_to("notices.edit_content", number=notice.id, _anchor="files")
    fresh = Notice.get_by_id(notice.id)
    mark = version_of(fresh) if current else request.form.get("seen", "")
    return render_template("notices/_attachments_updated.html", notice=fresh, wrong=wrong, mark=mark, elsewhere=False)


@bp.errorhandler(413)
def _on_too_large(error: Exception) -> Any:
    """Show the error beside the files, because a separate error page would lose the typed text."""
    if request.endpoint != "notices.upload_files" or not web.is_htmx():
        return error
    notice = get_draft_or_redirect((request.view_args or {})["number"])
    sentence = web._(TOO_LARGE, most=attachments.format_bytes(attachments.MAX_FILE_BYTES))
    return render_template("notices/_attachments.html", notice=notice, wrong=[sentence]), 422


# ── preview ────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/<int:number>/files/<int:file>/open")
def review_file(number: int, file: int) -> Response:
    """Record that this user opened the file, then redirect to it."""
    attachment = _attachment_or_404(web.get_notice_or_404(number), file)
    attachments.mark_previewed(attachment, current_user, clock.now())
    query = {"show": 1} if attachment.kind in SHOWN_INLINE else {}
    return web.redirect_to("notices.download_file", number=number, file=file, **query)


@bp.get("/<int:number>/files/<int:file>")
def download_file(number: int, file: int) -> Response:
    """Return a file to a user who may see the notice; with `?show=1` photos are shown inline."""
    attachment = _attachment_or_404(web.get_notice_or_404(number), file)
    inline = request.args.get("show") == "1" and attachment.kind in SHOWN_INLINE
    return web.send_stored_file(attachments.existing_path(attachment), attachment.name, attachment.kind, inline)


def _attachment_or_404(notice: Notice, number: int) -> Attachment:
    attachment = attachments.get_file(notice, number)
    if attachment is None:
        abort(404)
    return attachment


# ── withdrawal ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/<int:number>/files/<int:file>/withdraw", methods=["GET", "POST"])
@web.requires("send")
def withdraw_file(number: int, file: int) -> Any:
    """Confirm, then close the file for all readers (X-03)."""
    notice = web.get_notice_or_404(number, "send")
    attachment = _attachment_or_404(notice, file)
    if notice.started_at is None:
        abort(404)
    if request.method == "GET":
        return draft_access.render_confirmation(
            notice,
            title=N_("Withdraw this file?"),
            sentences=_withdrawal_effects(notice, attachment),
            button=web._("Withdraw the file"),
        )
    try:
        attachments.withdraw_file(attachment, current_user, clock.now())
    except attachments.AlreadyWithdrawn as refusal:
        web.flash_message(refusal.message, "wrong")
    else:
        web.flash_message(N_("“%(name)s” is withdrawn: nobody can open it any more."), name=attachment.name)
    return web.redirect_to("notices.show", number=number)


def _withdrawal_effects(notice: Notice, attachment: Attachment) -> list[str]:
    opened = attachments.view_counts(notice).get(attachment.id, 0)
    first = web._("“%(name)s” can then not be opened any more from the readers' pages.", name=attachment.name)
    if notice.files_inside:
        return [first, web._("It also went inside the letters themselves; from there it cannot be taken back.")]
    return [first, web._("%(n)s readers have opened it until now; what they have saved stays with them.", n=opened)]


# ── templates ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.app_template_global("attachments_of")
def attachments_of(notice: Notice) -> list[Attachment]:
    return list(attachments.files_of_notice(notice))


@bp.app_template_global("fit_inside_letters")
def fit_inside_letters(files: list[Attachment]) -> bool:
    return attachments.total_bytes(files) <= attachments.MAX_ENCLOSED_BYTES


@bp.app_template_global("reviewed_file_ids")
def reviewed_file_ids(notice: Notice) -> set[int]:
    """Template global: ids of the files that the user has opened."""
    unseen = {attachment.id for attachment in attachments.unpreviewed_files(notice, current_user)}
    return {attachment.id for attachment in attachments.files_of_notice(notice)} - unseen


@bp.app_template_global("open_counts")
def open_counts(notice: Notice) -> dict[int, int]:
    """Template global: number of readers who opened each file."""
    return attachments.view_counts(notice)


bp.add_app_template_filter(attachments.format_bytes, "size")
