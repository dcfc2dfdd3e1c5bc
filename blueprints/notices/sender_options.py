"""Sender name of a draft, chosen by managers on its own page (D-08, D-19, D-21, D-23), and tracking options."""

from collections import Counter
from typing import Any

from flask import request
from flask_login import current_user
from wtforms import BooleanField, SelectField
from wtforms.fields.choices import SelectChoice

import clock
import web
from blueprints.notices import bp
from blueprints.notices.draft_access import flash_already_sent, get_draft_or_redirect
from core.accounts import class_teacher
from core.errors import NotADraft
from core.notices import drafts, rendering, sender_names, tracking_options
from core.notices.audience import Audience
from core.permissions import target_lists
from core.settings import load_settings
from i18n import N_
from models import Notice

OWN_NAME = "me"
_SENT_BY_CLASS_TEACHERS = N_(
    "It goes out in the names of the class teachers; where there is none, in that of “%(name)s”."
)


@bp.get("/<int:number>/name")
@web.requires("send")
def edit_sender_name(number: int) -> Any:
    """Show the available sender names; 403 below manager."""
    notice = get_draft_or_redirect(number)
    if not sender_names.may_choose_sender_name(web.permissions(), notice):
        web.forbid("manage", [mailing_list.id for mailing_list in target_lists(notice)])
    return _sender_name_page(notice)


@bp.post("/<int:number>/name", endpoint="save_sender_name")
@web.requires("send")
def save_sender_name(number: int) -> Any:
    """Set the sender name. Every author may reset it to the own name; any other name is 403 below manager."""
    notice = get_draft_or_redirect(number)
    kind, _, value = request.form.get("as", OWN_NAME).partition(":")
    chosen = {"user": {"user": _user_id(value), "name": value}, "name": {"name": value}}.get(kind, {})
    try:
        wanted = bool(request.form.get("from_class_teacher"))
        sender_names.set_sender_name(notice, web.permissions(), clock.now(), from_class_teacher=wanted, **chosen)
    except sender_names.SenderNameForbidden:
        web.forbid("manage", [mailing_list.id for mailing_list in target_lists(notice)])
    except sender_names.SenderNameUnavailable as refused:
        return _sender_name_page(notice, web._(refused.message, name=notice.sender_name or value), 422)
    except NotADraft:
        flash_already_sent(notice)
        return web.redirect_to("notices.show", number=number)
    message = _SENT_BY_CLASS_TEACHERS if notice.from_class_teacher else N_("The sender's name is “%(name)s” now.")
    web.flash_message(message, name=from_display_name(notice))
    return web.redirect_to(
        "notices.check_page" if request.form.get("back") == "check" else "notices.edit_content", number=number
    )


def _user_id(text: str) -> int:
    try:
        return web.parse_row_id(text)
    except ValueError:
        return web.MAX_ROW_ID  # no such user: rejected


def _sender_name_page(notice: Notice, wrong: str = "", status: int = 200) -> Any:
    offer = sender_names.sender_name_choices(web.permissions())
    return web.render_page(
        "notices/sender_name.html",
        notice=notice,
        offer=offer,
        own=current_user,
        chosen=_current_choice(notice),
        has_charges=class_teacher.has_any_teacher(),
        from_name=lambda name: rendering.from_display_name(load_settings().name, name, web.language()),
        back=request.values.get("back", ""),
        wrong=wrong,
        status=status,
    )


def _current_choice(notice: Notice) -> str:
    if notice.sender_user_id:
        return f"user:{notice.sender_user_id}"
    return f"name:{notice.sender_name}" if notice.sender_name else OWN_NAME


def from_display_name(notice: Notice) -> str:
    """Return the display name in From if the current user sends the notice (D-07, D-23)."""
    return rendering.from_display_name(load_settings().name, notice.sender_name or current_user.name, web.language())


@bp.app_template_global("sender_of")
def sender_of(notice: Notice) -> dict[str, Any]:
    """Template global: sender name of a draft, whether it is another user's, whether it may be changed."""
    return {
        "name": from_display_name(notice),
        "from_class_teacher": notice.from_class_teacher,
        "anothers": sender_names.uses_other_name(notice, current_user),
        "may_choose": sender_names.may_choose_sender_name(web.permissions(), notice),
    }


@bp.app_template_global("letters_by_signature")
def letters_by_signature(audience: Audience) -> list[tuple[str, int]]:
    """Template global: number of letters per sender name. Empty name: the default sender, sorted last."""
    counts = Counter(recipient.signed for recipient in audience.receiving)
    return sorted(counts.items(), key=lambda pair: (not pair[0], -pair[1], pair[0]))


# ── tracking ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TrackingForm(web.Form):
    """Two switches, off by default, and five digest frequencies, daily by default (D-32, D-33)."""

    track_opens = BooleanField(N_("Count openings"))
    track_clicks = BooleanField(N_("Count opened links"))
    read = SelectField(tracking_options.EVENT_KINDS["read"])
    answer = SelectField(tracking_options.EVENT_KINDS["answer"])
    open = SelectField(tracking_options.EVENT_KINDS["open"])
    reopen = SelectField(tracking_options.EVENT_KINDS["reopen"])
    click = SelectField(tracking_options.EVENT_KINDS["click"])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        for kind in tracking_options.EVENT_KINDS:
            self[kind].choices = [
                SelectChoice(name, web._(shown)) for name, shown in tracking_options.FREQUENCIES.items()
            ]


@bp.get("/<int:number>/measure")
@web.requires("send")
def edit_tracking(number: int) -> Any:
    notice = get_draft_or_redirect(number)
    tracking = notice.tracking
    filled = {
        "track_opens": tracking.opens,
        "track_clicks": tracking.clicks,
        **tracking_options.digest_frequencies(notice),
    }
    return _tracking_page(notice, TrackingForm(None, data=filled))


def _tracking_page(notice: Notice, form: TrackingForm, status: int = 200) -> Any:
    return web.render_page(
        "notices/tracking_options.html", status=status, notice=notice, form=form, KINDS=tracking_options.EVENT_KINDS
    )


@bp.post("/<int:number>/measure", endpoint="save_tracking")
@web.requires("send")
def save_tracking(number: int) -> Any:
    """Save the options. Only frequencies that differ from the default are stored."""
    notice, form = get_draft_or_redirect(number), TrackingForm()
    if not form.validate():
        return _tracking_page(notice, form, 422)
    tells = {
        kind: form[kind].data
        for kind in tracking_options.EVENT_KINDS
        if form[kind].data != tracking_options.DEFAULT_FREQUENCY
    }
    tracking = {"opens": form.track_opens.data, "clicks": form.track_clicks.data}
    try:
        drafts.save_draft(notice, now=clock.now(), tracking=tracking, digest_settings=tells)
    except NotADraft:
        flash_already_sent(notice)
        return web.redirect_to("notices.show", number=number)
    web.flash_message(N_("Saved."))
    return web.redirect_to("notices.edit_content", number=number)
