"""Second screen: subject, plain or decorated text (X-15), options. The page saves while the user types."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Response, abort, flash, render_template, request, url_for
from flask_login import current_user
from markupsafe import Markup
from werkzeug.datastructures import FileStorage
from wtforms import SelectChoice

import clock
import web
from blueprints.notices import attachment_pages, bp, content_form
from blueprints.notices.content_form import ContentForm
from blueprints.notices.draft_access import (
    audience_of,
    flash_already_sent,
    get_draft_or_redirect,
    is_stale,
    reply_to_user_id,
    version_of,
)
from core.accounts import kept_forms
from core.errors import EditedMeanwhile, NotADraft
from core.notices import audience as audiences
from core.notices import drafts, html_body, merge_fields, reminders
from core.notices.content_checks import find_missing
from core.notices.file_types import UnfitFile
from core.settings import load_settings
from i18n import N_, format_time
from models import Notice, NoticeState

TOO_LONG = N_("At most %(most)s characters fit here; these are %(n)s.")
OVERWRITTEN = N_("The other version is kept for three days.")
EXPIRY_HOURS = (6, 12, 24, 48, 72, 168)


def is_rich_text_posted(form: ContentForm) -> bool:
    """Return whether the posted form contains the decorated text editor."""
    return "html" in request.form if request.method == "POST" else False


def posted_body(form: ContentForm) -> dict[str, str]:
    """Return the posted body as keywords for `drafts.save_draft`."""
    if is_rich_text_posted(form):
        return {"html": form.html.data or ""}
    return {"text": (form.text.data or "").replace("\r\n", "\n")}


def body_field(part: str) -> str:
    """Return the name of the form field that holds a part of the text."""
    return "html" if part == "text" and "html" in request.form else part


def add_length_error(notice: Notice, form: ContentForm) -> bool:
    """Add a field error if decorated text exceeds the limit; return whether it does."""
    if not is_rich_text_posted(form) or not html_body.is_too_long(form.html.data or "", notice.wording.language):
        return False
    form.html.errors = [*form.html.errors, html_body.TEXT_TOO_LONG]
    return True


def body_differs(notice: Notice, form: ContentForm) -> bool:
    """Return whether the posted body differs from the saved one."""
    wording, posted = notice.wording, posted_body(form)
    if wording.decorated != is_rich_text_posted(form):
        return True
    if not is_rich_text_posted(form):
        return wording.text != posted["text"]
    return wording.html != html_body.clean_html(posted["html"], wording.language)["html"]


def body_values(notice: Notice, form: ContentForm) -> dict[str, Any]:
    """Return the template values of the body: the editor's kind and its field name for errors."""
    on = is_rich_text_posted(form) if request.method == "POST" else notice.wording.decorated
    return {"decorated": on, "body": "html" if on else "text", "most_picture": html_body.MAX_IMAGE_BYTES}


def decorate(notice: Notice) -> None:
    """Switch decoration on. Idempotent."""
    wording = notice.wording
    if not wording.decorated:
        drafts.save_draft(notice, now=clock.now(), html=html_body.initial_html(wording, wording.language))


def remove_decoration(notice: Notice) -> None:
    """Switch decoration off. Idempotent."""
    if notice.wording.decorated:
        drafts.save_draft(notice, now=clock.now(), text=notice.wording.text)
        web.flash_message(
            N_("Decoration and pictures are gone, the words are kept. Switched on again now, they come back.")
        )


def append_posted_image(notice: Notice) -> None:
    """Append the posted image to the text; flash the reason if it cannot be stored."""
    mark, wrong = _store_image(request.files.get("picture"))
    if wrong:
        web.flash_message(wrong, "wrong")
    elif mark:
        alt = request.form.get("alt", "").strip()
        if len(alt) > html_body.MAX_ALT_CHARS:
            most = html_body.MAX_ALT_CHARS
            web.flash_message(TOO_LONG, "wrong", most=most, n=len(alt))
            return
        drafts.save_draft(notice, now=clock.now(), html=html_body.append_image(notice.wording, mark, alt))


def _store_image(chosen: FileStorage | None) -> tuple[str, str]:
    """Store an image; return its mark, or an error message."""
    if chosen is None or not chosen.filename:
        return "", web._(N_("Choose a picture first."))
    try:
        return html_body.add_image(chosen.filename, chosen.stream.read(html_body.MAX_UPLOAD_BYTES)), ""
    except UnfitFile as unfit:
        return "", web._(unfit.message, **unfit.values)


@bp.post("/<int:number>/pictures")
@web.requires("send")
def upload_image(number: int) -> Any:
    """Store an image of a draft; the editor inserts it at the cursor."""
    get_draft_or_redirect(number)
    mark, wrong = _store_image(request.files.get("picture"))
    if wrong:
        return {"wrong": wrong}, 422
    return {"mark": mark, "url": f"/notices/{number}/pictures/{mark}"}


@bp.get("/<int:number>/pictures/<mark>")
def show_image(number: int, mark: str) -> Response:
    """Return an image to a user who may see the notice. Unless it is a draft, the notice must contain the image."""
    notice = web.get_notice_or_404(number)
    if notice.state != NoticeState.DRAFT and mark not in html_body.image_ids_of_notice(notice):
        abort(404)
    path = html_body.image_path(mark)
    return web.send_stored_file(path, mark, html_body.media_type_of(path) if path else "", inline=True)


# ── the screen ─────────────────────────────────────────────────────────────────────────────────────────────────────


OPTIONS = ("urgent", "read_confirmation", "footer", "files_inside", "skip_missing", "useful_s")


@bp.get("/<int:number>/words")
@web.requires("send")
def edit_content(number: int) -> Any:
    notice = get_draft_or_redirect(number)
    return _content_page(notice, _form_of_draft(notice))


@bp.post("/<int:number>/words")
@web.requires("send")
def save_content(number: int) -> Any:
    """Save the posted content: autosave and the save button."""
    return _save_content(number, _show_saved)


@bp.post("/<int:number>/words/overwrite")
@web.requires("send")
def overwrite_content(number: int) -> Any:
    """Save even if another window saved a newer version, which is kept for the user."""
    other = _keep_other_version(get_draft_or_redirect(number))
    return _save_content(number, lambda notice, form: _show_saved(notice, form, other), overwrite=True)


def _keep_other_version(notice: Notice) -> str:
    """Keep the saved words of a draft that is about to be overwritten; return the address that shows them."""
    wording = notice.wording
    body = ("html", wording.html) if wording.decorated else ("text", wording.text)
    row = kept_forms.keep_form(
        current_user,
        page=url_for("notices.edit_content", number=notice.id),
        action=url_for("notices.save_content", number=notice.id),
        fields=[("subject", wording.subject), body, (kept_forms.OTHER_VERSION, "1")],
        has_files=False,
        now=clock.now(),
        shown=True,
    )
    return url_for("account.show_kept_form", number=row.id) if row else ""


@bp.post("/<int:number>/words/next")
@web.requires("send")
def save_and_check(number: int) -> Any:
    """Save, then go to the check page if nothing is missing."""
    return _save_content(number, _next_screen)


@bp.post("/<int:number>/words/sender-name")
@web.requires("send")
def save_and_edit_sender_name(number: int) -> Any:
    return _save_content(number, lambda notice, form: web.redirect_to("notices.edit_sender_name", number=number))


@bp.post("/<int:number>/words/tracking")
@web.requires("send")
def save_and_edit_tracking(number: int) -> Any:
    return _save_content(number, lambda notice, form: web.redirect_to("notices.edit_tracking", number=number))


@bp.post("/<int:number>/words/files")
@web.requires("send")
def save_and_add_files(number: int) -> Any:
    """Save and store the chosen files. For browsers without script."""
    return _save_content(number, lambda notice, form: _redirect_to_part(number, "files"))


@bp.post("/<int:number>/words/files/<int:file>/remove")
@web.requires("send")
def save_and_remove_file(number: int, file: int) -> Any:
    """Save and remove a file. For browsers without script."""

    def without_file(notice: Notice, form: ContentForm) -> Any:
        attachment_pages.remove_upload(notice, file)
        return _redirect_to_part(number, "files")

    return _save_content(number, without_file)


@bp.post("/<int:number>/words/rich-text")
@web.requires("send")
def switch_to_rich_text(number: int) -> Any:
    def decorated(notice: Notice, form: ContentForm) -> Any:
        decorate(notice)
        return _redirect_to_part(number, "body")

    return _save_content(number, decorated)


@bp.post("/<int:number>/words/plain-text")
@web.requires("send")
def switch_to_plain_text(number: int) -> Any:
    def plain(notice: Notice, form: ContentForm) -> Any:
        remove_decoration(notice)
        return _redirect_to_part(number, "body")

    return _save_content(number, plain)


@bp.post("/<int:number>/words/images")
@web.requires("send")
def save_and_append_image(number: int) -> Any:
    """Save and append an image. For browsers without script."""

    def with_image(notice: Notice, form: ContentForm) -> Any:
        append_posted_image(notice)
        return _redirect_to_part(number, "body")

    return _save_content(number, with_image)


@bp.post("/<int:number>/words/questions/add/<kind>")
@web.requires("send")
def add_question(number: int, kind: str) -> Any:
    return _save_questions(number, content_form.AddQuestion(kind), added_question=True)


@bp.post("/<int:number>/words/questions/deadline/<day>")
@web.requires("send")
def set_deadline(number: int, day: str) -> Any:
    """Take a day that the text names as the deadline."""
    return _save_questions(number, content_form.SetDeadline(day))


@bp.post("/<int:number>/words/questions/<int:place>/remove")
@web.requires("send")
def remove_question(number: int, place: int) -> Any:
    return _save_questions(number, content_form.RemoveQuestion(place))


@bp.post("/<int:number>/words/questions/<int:place>/choices/add")
@web.requires("send")
def add_choice(number: int, place: int) -> Any:
    """Save the questions and render one more empty choice."""
    return _save_questions(number, None, added_choice=place)


@bp.post("/<int:number>/words/questions/<int:place>/choices/<int:choice>/remove")
@web.requires("send")
def remove_choice(number: int, place: int, choice: int) -> Any:
    return _save_questions(number, content_form.RemoveChoice(place, choice))


def _save_questions(number: int, edit: content_form.Edit | None, **focus: Any) -> Any:
    """Save the content after an edit of its questions, then render their section."""
    return _save_content(
        number, lambda notice, form: content_form.question_section(notice, form, version_of(notice), **focus), edit=edit
    )


def _redirect_to_part(number: int, part: str) -> Response:
    return web.redirect_to("notices.edit_content", number=number, _anchor=part)


def _save_content(
    number: int,
    then: Callable[[Notice, ContentForm], Any],
    *,
    edit: content_form.Edit | None = None,
    overwrite: bool = False,
) -> Any:
    """Save the posted draft and return `then(...)`. Without `overwrite`, a newer version is kept and shown.

    A browser without script posts files along with the text, so every button stores them.
    """
    notice, form = get_draft_or_redirect(number), _set_choices(ContentForm())
    form.sheets = content_form.read_posted(form, edit)
    if any([not form.validate(), add_length_error(notice, form), content_form.add_question_errors(form)]):
        return _content_not_saved(notice, form)
    if not overwrite and is_stale(notice, form.seen.data) and _differs_from_saved(notice, form):
        return _content_not_saved(notice, form, elsewhere=True)
    try:
        values = _values_to_save(notice, form)
        drafts.save_draft(notice, now=clock.now(), if_unchanged=True, wizard_step=2, **values)
        saved = Notice.get_by_id(number)
        if not web.is_htmx() and (wrong := attachment_pages.store_uploads(saved, request.files.getlist("file"))):
            return _content_page(Notice.get_by_id(number), form, status=422, wrong=wrong)
        return then(saved, form)
    except EditedMeanwhile:
        return _content_not_saved(Notice.get_by_id(number), form, elsewhere=True)
    except NotADraft:
        flash_already_sent(notice)
        return web.redirect_to("notices.show", number=number)


def _set_choices(form: ContentForm) -> ContentForm:
    usual = web._("as usual: %(n)s hours", n=drafts.DEFAULT_LIFETIME_S // 3600)
    urgent = web._("if urgent: %(n)s hours", n=drafts.URGENT_LIFETIME_S // 3600)
    form.useful_s.choices = [SelectChoice(0, f"{usual} ({urgent})")]
    for hours in EXPIRY_HOURS:
        shown = web._("%(n)s hours", n=hours) if hours < 72 else web._("%(n)s days", n=hours // 24)
        form.useful_s.choices.append(SelectChoice(hours * 3600, shown))
    form.remind.choices = _reminder_choices()
    return content_form.set_unit_choices(form)


def _reminder_choices() -> list[SelectChoice]:
    """Return no reminder, or one to three at 15, 30 or 60 minutes (field 2.3)."""
    choices = [SelectChoice("0x1", web._("no"))]
    for minutes in reminders.INTERVAL_CHOICES_MIN[1:]:
        for times in reminders.REPEAT_CHOICES:
            label = (
                web._("once, after %(n)s minutes", n=minutes)
                if times == 1
                else web._("%(times)s times, every %(n)s minutes", n=minutes, times=times)
            )
            choices.append(SelectChoice(f"{minutes * 60}x{times}", label))
    return choices


def _default_expiry_s(urgent: bool) -> int:
    return drafts.URGENT_LIFETIME_S if urgent else drafts.DEFAULT_LIFETIME_S


def _form_of_draft(notice: Notice) -> ContentForm:
    wording = notice.wording
    values = {"subject": wording.subject, "text": wording.text, "html": wording.html}
    for name in OPTIONS:
        values[name] = getattr(notice, name)
    values["reply_to_own"] = notice.reply_to_user_id == current_user.id
    rule = notice.reminder_rule
    values["remind"] = f"{rule.every_s}x{rule.times if rule.every_s else 1}"
    values["remind_before_deadline"] = rule.before_deadline
    values |= content_form.shared_fields_of_draft(notice)
    values["useful_s"] = 0 if notice.useful_s == _default_expiry_s(notice.urgent) else notice.useful_s
    return _set_choices(ContentForm(formdata=None, data=values))


def _values_to_save(notice: Notice, form: ContentForm) -> dict[str, Any]:
    """Return the columns to save. Line breaks become \n, as the database and the letters store them."""
    every_s, times = (form.remind.data or "0x1").split("x")
    return {
        "reminder_rule": {
            "every_s": int(every_s),
            "times": int(times),
            "before_deadline": bool(form.remind_before_deadline.data),
        },
        "subject": (form.subject.data or "").strip(),
        **posted_body(form),
        "urgent": form.urgent.data,
        "read_confirmation": form.read_confirmation.data,
        "footer": form.footer.data,
        "files_inside": form.files_inside.data,
        "skip_missing": form.skip_missing.data,
        "reply_to_user_id": reply_to_user_id(notice, form.reply_to_own.data),
        "useful_s": form.useful_s.data or _default_expiry_s(form.urgent.data),
        **content_form.values_to_save(form),
    }


def _differs_from_saved(notice: Notice, form: ContentForm) -> bool:
    values = _values_to_save(notice, form)
    if notice.wording.subject != values["subject"] or body_differs(notice, form) or content_form.differs(notice, form):
        return True
    rule = notice.reminder_rule
    if any(getattr(rule, name) != value for name, value in values["reminder_rule"].items()):
        return True
    named = [name for name in (*OPTIONS, "reply_to_user_id") if name in values]
    return any(getattr(notice, name) != values[name] for name in named)


def _next_screen(notice: Notice, form: ContentForm) -> Any:
    missing = find_missing(audiences.as_sent_by(notice, current_user), audience_of(notice), current_user)
    for name in ("subject", "text"):
        if name in missing:
            field = form[body_field(name)]
            field.errors = [*field.errors, missing[name]]
    form.asks_wrong = missing.get("questions", "")
    if missing.keys() & {"subject", "text", "questions"}:
        return _content_page(notice, form, status=422)
    screen = "notices.edit_recipients" if "targets" in missing else "notices.check_page"
    return web.redirect_to(screen, number=notice.id)


def _show_saved(notice: Notice, form: ContentForm, other: str = "") -> Any:
    """Say that the draft is saved. other: address of the version that was overwritten."""
    if web.is_htmx():
        mark = version_of(notice)
        return render_template(
            "notices/_save_status.html", notice=notice, mark=mark, elsewhere=False, overwritten=other
        )
    if other:
        link = Markup('<a href="{}">{}</a>').format(other, web._("See the other version"))
        flash(Markup("{} {}").format(web._(OVERWRITTEN), link), "note")
    web.flash_message(N_("Draft saved at %(time)s."), time=format_time(notice.updated_at))
    return web.redirect_to("notices.edit_content", number=notice.id)


def _content_not_saved(notice: Notice, form: ContentForm, elsewhere: bool = False) -> Any:
    """Return an error answer that keeps all posted values."""
    if web.is_htmx() and elsewhere:
        mark = form.seen.data
        return render_template("notices/_save_status.html", notice=notice, mark=mark, elsewhere=True), 422
    return _content_page(notice, form, elsewhere=elsewhere, status=422)


def _own_list_ids() -> list[int]:
    """Return the lists whose attributes are offered while no list is chosen."""
    return [mailing_list.id for mailing_list in web.permissions().lists("send")]


def _content_page(
    notice: Notice, form: ContentForm, elsewhere: bool = False, status: int = 200, wrong: Sequence[str] = ()
) -> Any:
    page = web.render_page(
        "notices/content.html",
        "notices/_content_form.html",
        notice=notice,
        form=form,
        elsewhere=elsewhere,
        other=notice.wording if elsewhere else None,
        **body_values(notice, form),
        mark=form.seen.data if elsewhere else version_of(notice),
        audience=audience_of(notice),
        offered=merge_fields.offered_names(
            merge_fields.lists_of_notice(audiences.as_sent_by(notice, current_user)) or _own_list_ids(), web.language()
        ),
        lacks_signature=merge_fields.lacks_signature(current_user, form.subject.data, form.text.data),
        uses_fields=merge_fields.has_merge_fields(form.subject.data, form.text.data),
        settings=load_settings(),
        **content_form.template_values(notice, form),
        wrong=wrong,
        status=status,
    )
    if not web.is_htmx():
        return page
    return Response(page[0], status=status, headers={"HX-Retarget": "#words", "HX-Reswap": "outerHTML"})
