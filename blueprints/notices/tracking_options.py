"""What is counted of a draft beyond the read confirmation, and how often its sender is told (D-31 to D-34).

A page of its own, off the ordinary way: the read confirmation is enough for nearly all notices (decision 9).
"""

from typing import Any

from wtforms import BooleanField, SelectField
from wtforms.fields.choices import SelectChoice

import clock
import web
from blueprints.notices import bp
from blueprints.notices.draft_access import flash_already_sent, get_draft_or_redirect
from core.errors import NotADraft
from core.notices import drafts, tracking_options
from i18n import N_
from models import Notice


class TrackingForm(web.Form):
    """Two switches, both off, and five timings, all daily (D-32, D-33)."""

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
    """Show the switches and the timings of a draft."""
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
    """Save them; what is daily is not written down."""
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
