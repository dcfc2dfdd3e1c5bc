"""The first two screens: who receives it, and what it says. Everything is saved as it is typed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user
from wtforms import SelectChoice

import clock
import web
from blueprints.notices import attachment_pages, bp, question_form, rich_text
from blueprints.notices.draft_access import (
    audience_of,
    flash_already_sent,
    get_draft_or_redirect,
    is_stale,
    reply_to_user_id,
    version_of,
)
from blueprints.notices.forms import EXPIRY_HOURS, ContentForm, RecipientsForm
from blueprints.notices.person_search import posted_choices
from core.errors import NotADraft, TooManyGroups
from core.members import groups as groups_of
from core.notices import audience as audiences
from core.notices import drafts, merge_fields, recipients, reminders
from core.notices.content_checks import find_missing
from core.settings import load_settings
from i18n import N_, format_time
from models import MailingList, Notice

FIRST_NAMES_SHOWN, LAST_NAMES_SHOWN, EXCLUDED_NAMES_SHOWN = 5, 2, 30
OPTIONS = ("urgent", "read_confirmation", "footer", "files_inside", "skip_missing", "useful_s")


# ── ① recipients ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PostedRecipients:
    """What a recipients form says: numbers of lists and persons, in and out."""

    lists: list[int]
    without: list[int]
    persons: list[int]
    without_persons: list[int]
    groups: list[int]
    without_groups: list[int]


@bp.get("/<int:number>/recipients")
@web.requires("send")
def edit_recipients(number: int) -> str:
    """Show the lists of the user and the persons chosen so far."""
    return _recipients_page(get_draft_or_redirect(number))


@bp.post("/<int:number>/recipients")
@web.requires("send")
def save_recipients(number: int) -> Any:
    """Save the choice and go on to the words, if it reaches a recipient."""

    def next_screen(notice: Notice) -> Any:
        missing = find_missing(notice, audience_of(notice)).get("targets")
        if missing is None:
            return web.redirect_to("notices.edit_content", number=notice.id)
        return _recipients_not_saved(notice, missing)

    return _save_recipients(number, next_screen)


@bp.post("/<int:number>/recipients/count")
@web.requires("send")
def count_recipients(number: int) -> Any:
    """Save the choice and show its count."""

    def counted(notice: Notice) -> Any:
        if web.is_htmx():
            return render_template("notices/_recipients_counted.html", notice=notice, **_audience_values(notice))
        return redirect(url_for("notices.edit_recipients", number=notice.id, _anchor="recipients-now"), 303)

    return _save_recipients(number, counted)


@bp.post("/<int:number>/recipients/search")
@web.requires("send")
def save_and_search(number: int) -> Any:
    """Save the choice and search for people, where no script does it."""
    text = request.form.get("find", "")
    return _save_recipients(
        number,
        lambda notice: redirect(url_for("notices.edit_recipients", number=number, find=text, _anchor="find"), 303),
    )


@bp.post("/<int:number>/recipients/groups")
@web.requires("send")
def save_and_open_groups(number: int) -> Any:
    """Save the choice and go to the groups of a list."""
    list_id = request.form.get("of", 0, type=web.parse_row_id)
    return _save_recipients(number, lambda notice: web.redirect_to("lists.groups", number=list_id, notice=number))


def _save_recipients(number: int, then: Callable[[Notice], Any]) -> Any:
    """Save the posted choice and answer with `then`. A list that the user may not send to is 404 (T-33)."""
    notice, form = get_draft_or_redirect(number), RecipientsForm()
    if not form.validate():
        return _recipients_not_saved(notice, N_("This choice could not be read. Please choose again."))
    choice = _read_recipients(form)
    chosen = [*choice.lists, *choice.without], [*choice.persons, *choice.without_persons]
    if not recipients.may_send_to_all(web.permissions(), *chosen, [*choice.groups, *choice.without_groups]):
        abort(404)
    if is_stale(notice, form.seen.data):
        if web.is_htmx():
            web.flash_message(_CHANGED_ELSEWHERE, "wrong")
            return web.redirect_to("notices.edit_recipients", number=number)
        return _recipients_not_saved(notice, _CHANGED_ELSEWHERE)
    try:
        drafts.set_recipients(
            notice,
            lists=choice.lists,
            without=choice.without,
            persons=choice.persons,
            without_persons=choice.without_persons,
            groups=choice.groups,
            without_groups=choice.without_groups,
            now=clock.now(),
        )
    except TooManyGroups as refused:
        return _recipients_not_saved(notice, web._(refused.message, **refused.values), choice)
    except NotADraft:
        flash_already_sent(notice)
        return web.redirect_to("notices.show", number=number)
    return then(Notice.get_by_id(number))


_CHANGED_ELSEWHERE = N_(
    "The recipients were changed in another window. This page now shows what is set there; please look once more."
)


def _read_recipients(form: RecipientsForm) -> PostedRecipients:
    persons, groups = posted_choices("person-"), posted_choices("group-")
    return PostedRecipients(
        lists=form.lists.data or [],
        without=[one for one in form.without.data or [] if one not in (form.lists.data or [])],
        persons=[one for one, value in persons.items() if value == "in"],
        without_persons=[one for one, value in persons.items() if value == "out"],
        groups=[one for one, value in groups.items() if value == "in"],
        without_groups=[one for one, value in groups.items() if value == "out"],
    )


def _recipients_not_saved(notice: Notice, wrong: str, typed: PostedRecipients | None = None) -> tuple[str, int]:
    """Answer a choice that cannot be taken: the sentence stands above the button."""
    if web.is_htmx():
        return render_template(
            "notices/_recipients_counted.html", notice=notice, wrong=wrong, **_audience_values(notice)
        ), 422
    return _recipients_page(notice, wrong, 422, typed)


def _targets_of_choice(choice: PostedRecipients) -> dict[tuple[str, bool], set[int]]:
    """Return a choice that was not saved as the page shows it, so that nothing ticked is lost."""
    return {
        ("list", True): set(choice.lists),
        ("list", False): set(choice.without),
        ("group", True): set(choice.groups),
        ("group", False): set(choice.without_groups),
        ("person", True): set(choice.persons),
        ("person", False): set(choice.without_persons),
    }


def _recipients_page(
    notice: Notice, wrong: str = "", status: int = 200, typed: PostedRecipients | None = None
) -> tuple[str, int]:
    lists = list(web.permissions().lists("send"))
    chosen = _targets_of_choice(typed) if typed else recipients.target_ids(notice)
    groups = groups_of.groups_in_lists(one.id for one in lists)
    outs = chosen.get(("person", False), set())
    singles = chosen.get(("person", True), set()) | outs
    searched = request.args.get("find", "").strip()
    found = recipients.search_people(web.permissions(), searched) if searched else []
    return web.render_page(
        "notices/recipients.html",
        notice=notice,
        status=status,
        wrong=wrong,
        groups=_lists_by_section(lists),
        audience_groups=groups,
        group_sizes={one.id: groups_of.count_reachable(one) for one in groups},
        group_lists=[one for one in lists if not one.practice_of_id],
        sizes=recipients.count_reachable(lists),
        chosen=chosen,
        persons=recipients.search_people(web.permissions(), numbers=singles) if singles else [],
        said={one: "out" if one in outs else "in" for one in singles},
        searched=searched,
        found=[one for one in found if one.id not in singles],
        **_audience_values(notice),
    )


def _lists_by_section(lists: list[MailingList]) -> dict[str, list[MailingList]]:
    return {
        "classes": [one for one in lists if not one.whole and not one.practice_of_id],
        "practice": [one for one in lists if one.practice_of_id],
        "whole": [one for one in lists if one.whole],
    }


def _audience_values(notice: Notice) -> dict[str, Any]:
    """Return what the count and the names under it need."""
    audience = audience_of(notice)
    left_out = reported_exclusions(audience)
    return {
        "audience": audience,
        "first": audience.receiving[:FIRST_NAMES_SHOWN],
        "last": audience.receiving[FIRST_NAMES_SHOWN:][-LAST_NAMES_SHOWN:],
        "left_out": left_out[:EXCLUDED_NAMES_SHOWN],
        "left_out_count": len(left_out),
        "reasons": audiences.EXCLUSION_REASONS,
        "mark": version_of(notice),
    }


def reported_exclusions(audience: audiences.Audience) -> list[audiences.Recipient]:
    """Return who gets no letter, but for those who left the list long ago: nobody expects them."""
    return [one for one in audience.left_out if one.reason != "left"]


@bp.get("/<int:number>/recipients/all")
def list_all_recipients(number: int) -> str | Response:
    """List everybody who receives the notice, and everybody who does not with the reason (D-12)."""
    notice = web.get_notice_or_404(number)
    if notice.state != "draft" and web.permissions().seen(notice) is not None:
        abort(404)  # names of other lists stand in it
    if notice.state == "draft":
        notice = audiences.as_sent_by(notice, current_user)
    audience = audience_of(notice)
    return render_template(
        "notices/all_recipients.html",
        notice=notice,
        subject=merge_fields.display_subject(notice),
        audience=audience,
        left_out=reported_exclusions(audience),
        reasons=audiences.EXCLUSION_REASONS,
    )


# ── ② words ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/<int:number>/words")
@web.requires("send")
def edit_content(number: int) -> Any:
    """Show subject, text and the folded options."""
    notice = get_draft_or_redirect(number)
    return _content_page(notice, _form_of_draft(notice))


@bp.post("/<int:number>/words")
@web.requires("send")
def save_content(number: int) -> Any:
    """Save what was typed: the autosave of the page, and its button."""
    return _save_content(number, _show_saved)


@bp.post("/<int:number>/words/overwrite")
@web.requires("send")
def overwrite_content(number: int) -> Any:
    """Save over a newer version of another window."""
    return _save_content(number, _show_saved, overwrite=True)


@bp.post("/<int:number>/words/next")
@web.requires("send")
def save_and_check(number: int) -> Any:
    """Save and go on to the check, if nothing is missing."""
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
    """Save and keep the chosen files, where no script does it."""
    return _save_content(number, lambda notice, form: _redirect_to_part(number, "files"))


@bp.post("/<int:number>/words/files/<int:file>/remove")
@web.requires("send")
def save_and_remove_file(number: int, file: int) -> Any:
    """Save and take a file off, where no script does it."""

    def without_file(notice: Notice, form: ContentForm) -> Any:
        attachment_pages.remove_upload(notice, file)
        return _redirect_to_part(number, "files")

    return _save_content(number, without_file)


@bp.post("/<int:number>/words/rich-text")
@web.requires("send")
def switch_to_rich_text(number: int) -> Any:
    def decorated(notice: Notice, form: ContentForm) -> Any:
        rich_text.decorate(notice)
        return _redirect_to_part(number, "body")

    return _save_content(number, decorated)


@bp.post("/<int:number>/words/plain-text")
@web.requires("send")
def switch_to_plain_text(number: int) -> Any:
    def plain(notice: Notice, form: ContentForm) -> Any:
        rich_text.remove_decoration(notice)
        return _redirect_to_part(number, "body")

    return _save_content(number, plain)


@bp.post("/<int:number>/words/images")
@web.requires("send")
def save_and_append_image(number: int) -> Any:
    """Save and put a picture behind the words, where no script puts it in its place."""

    def with_image(notice: Notice, form: ContentForm) -> Any:
        rich_text.append_posted_image(notice)
        return _redirect_to_part(number, "body")

    return _save_content(number, with_image)


@bp.post("/<int:number>/words/questions/add/<kind>")
@web.requires("send")
def add_question(number: int, kind: str) -> Any:
    return _save_questions(number, question_form.AddQuestion(kind), added_question=True)


@bp.post("/<int:number>/words/questions/<int:place>/remove")
@web.requires("send")
def remove_question(number: int, place: int) -> Any:
    return _save_questions(number, question_form.RemoveQuestion(place))


@bp.post("/<int:number>/words/questions/<int:place>/choices/add")
@web.requires("send")
def add_choice(number: int, place: int) -> Any:
    """Save the questions and show one more empty choice, as the section always does."""
    return _save_questions(number, None, added_choice=place)


@bp.post("/<int:number>/words/questions/<int:place>/choices/<int:choice>/remove")
@web.requires("send")
def remove_choice(number: int, place: int, choice: int) -> Any:
    return _save_questions(number, question_form.RemoveChoice(place, choice))


def _save_questions(number: int, edit: question_form.Edit | None, **focus: Any) -> Any:
    """Save the content with an edit of its questions, and show their section."""
    return _save_content(
        number,
        lambda notice, form: question_form.question_section(notice, form, version_of(notice), **focus),
        edit=edit,
    )


def _redirect_to_part(number: int, part: str) -> Response:
    return web.redirect_to("notices.edit_content", number=number, _anchor=part)


def _save_content(
    number: int,
    then: Callable[[Notice, ContentForm], Any],
    *,
    edit: question_form.Edit | None = None,
    overwrite: bool = False,
) -> Any:
    """Save the posted draft and answer with `then`. Without `overwrite`, a newer version of another window stays.

    A browser without script posts files along with the words: they are stored by every button.
    """
    notice, form = get_draft_or_redirect(number), _set_choices(ContentForm())
    form.sheets = question_form.read_posted(form, edit)
    if not form.validate() or rich_text.add_length_error(notice, form) or question_form.add_deadline_errors(form):
        return _content_not_saved(notice, form)
    if not overwrite and is_stale(notice, form.seen.data) and _differs_from_saved(notice, form):
        return _content_not_saved(notice, form, elsewhere=True)
    try:
        drafts.save_draft(notice, now=clock.now(), step=2, **_values_to_save(notice, form))
        saved = Notice.get_by_id(number)
        if not web.is_htmx() and (wrong := attachment_pages.store_uploads(saved, request.files.getlist("file"))):
            return _content_page(Notice.get_by_id(number), form, status=422, wrong=wrong)
        return then(saved, form)
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
    return question_form.set_unit_choices(form)


def _reminder_choices() -> list[SelectChoice]:
    """Return none, and 15, 30, 60 minutes by one to three times (field 2.3)."""
    found = [SelectChoice("0x1", web._("no"))]
    for minutes in reminders.INTERVAL_CHOICES_MIN[1:]:
        for times in reminders.REPEAT_CHOICES:
            shown = (
                web._("once, after %(n)s minutes", n=minutes)
                if times == 1
                else web._("%(times)s times, every %(n)s minutes", n=minutes, times=times)
            )
            found.append(SelectChoice(f"{minutes * 60}x{times}", shown))
    return found


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
    values |= question_form.shared_terms_of_draft(notice)
    values["useful_s"] = 0 if notice.useful_s == _default_expiry_s(notice.urgent) else notice.useful_s
    return _set_choices(ContentForm(formdata=None, data=values))


def _values_to_save(notice: Notice, form: ContentForm) -> dict[str, Any]:
    """Return what is to be saved. Line breaks become \\n, as the database and the letters keep them."""
    every_s, times = (form.remind.data or "0x1").split("x")
    return {
        "reminder_rule": {
            "every_s": int(every_s),
            "times": int(times),
            "before_deadline": bool(form.remind_before_deadline.data),
        },
        "subject": (form.subject.data or "").strip(),
        **rich_text.posted_body(form),
        "urgent": form.urgent.data,
        "read_confirmation": form.read_confirmation.data,
        "footer": form.footer.data,
        "files_inside": form.files_inside.data,
        "skip_missing": form.skip_missing.data,
        "reply_to_user_id": reply_to_user_id(notice, form.reply_to_own.data),
        "useful_s": form.useful_s.data or _default_expiry_s(form.urgent.data),
        **question_form.values_to_save(form),
    }


def _differs_from_saved(notice: Notice, form: ContentForm) -> bool:
    values = _values_to_save(notice, form)
    if (
        notice.wording.subject != values["subject"]
        or rich_text.body_differs(notice, form)
        or question_form.differs(notice, form)
    ):
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
            field = form[rich_text.body_field(name)]
            field.errors = [*field.errors, missing[name]]
    form.asks_wrong = missing.get("questions", "")
    if missing.keys() & {"subject", "text", "questions"}:
        return _content_page(notice, form, status=422)
    screen = "notices.edit_recipients" if "targets" in missing else "notices.check_page"
    return web.redirect_to(screen, number=notice.id)


def _show_saved(notice: Notice, form: ContentForm) -> Any:
    if web.is_htmx():
        return render_template("notices/_save_status.html", notice=notice, mark=version_of(notice), elsewhere=False)
    web.flash_message(N_("Draft saved at %(time)s."), time=format_time(notice.updated_at))
    return web.redirect_to("notices.edit_content", number=notice.id)


def _content_not_saved(notice: Notice, form: ContentForm, elsewhere: bool = False) -> Any:
    """Answer what could not be saved with everything that was typed."""
    if web.is_htmx() and elsewhere:
        mark = form.seen.data
        return render_template("notices/_save_status.html", notice=notice, mark=mark, elsewhere=True), 422
    return _content_page(notice, form, elsewhere=elsewhere, status=422)


def _own_list_ids() -> list[int]:
    """Return the lists whose items are offered while none is chosen."""
    return [one.id for one in web.permissions().lists("send")]


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
        **rich_text.template_values(notice, form),
        mark=form.seen.data if elsewhere else version_of(notice),
        audience=audience_of(notice),
        offered=merge_fields.offered_names(
            merge_fields.lists_of_notice(audiences.as_sent_by(notice, current_user)) or _own_list_ids(), web.language()
        ),
        lacks_signature=merge_fields.lacks_signature(current_user, form.subject.data, form.text.data),
        uses_fields=merge_fields.has_merge_fields(form.subject.data, form.text.data),
        force=load_settings(),
        **question_form.template_values(notice, form),
        wrong=wrong,
        status=status,
    )
    if not web.is_htmx():
        return page
    return Response(page[0], status=status, headers={"HX-Retarget": "#words", "HX-Reswap": "outerHTML"})
