"""Fetch a draft for its author, see whether another window was faster, show what the screens share."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import abort, render_template, request, url_for
from flask_login import current_user

import i18n
import web
from core.errors import AlreadySent, NotADraft
from core.notices import direct_message
from core.notices.audience import (
    EXCLUSION_REASONS,
    Audience,
    Recipient,
    as_sent_by,
    resolve_audience,
    resolve_audience_for,
)
from database import millis
from i18n import N_
from models import Notice

FIRST_NAMES_SHOWN, LAST_NAMES_SHOWN = 5, 2
DELETE_ENDPOINT = "notices.delete_draft"
"""A draft of any kind is thrown away here."""


def get_draft_or_redirect(number: int) -> Notice:
    """Return a draft that the current user may write; anything that has gone further is answered by its own page."""
    notice = web.get_notice_or_404(number, "send")
    if notice.state != "draft":
        if request.method == "POST":
            flash_already_sent(notice)
        abort(web.redirect_to("notices.show", number=number))
    if (
        notice.kind == direct_message.KIND
        and (person := direct_message.recipient_of(notice))
        and request.endpoint != DELETE_ENDPOINT
    ):
        abort(web.redirect_to("members.check_direct_message", number=person.id, notice=number))
    return notice


def get_draft_as_sender(number: int) -> Notice:
    """Return a draft as the current user would send it; its row does not change."""
    return as_sent_by(get_draft_or_redirect(number), current_user)


def audience_of(notice: Notice, at: datetime | None = None) -> Audience:
    """Resolve the audience: of a draft as it will be when the current user sends it, else as it was confirmed."""
    return resolve_audience_for(notice, current_user, at) if notice.state == "draft" else resolve_audience(notice, at)


def audience_values(audience: Audience) -> dict[str, Any]:
    """Return what a page shows of an audience: first and last names, and the exclusions with their reasons."""
    left_out = reported_exclusions(audience)
    return {
        "audience": audience,
        "first": audience.receiving[:FIRST_NAMES_SHOWN],
        "last": audience.receiving[FIRST_NAMES_SHOWN:][-LAST_NAMES_SHOWN:],
        "left_out": left_out,
        "left_out_count": len(left_out),
        "reasons": EXCLUSION_REASONS,
    }


def reported_exclusions(audience: Audience) -> list[Recipient]:
    """Return who gets no letter, except members who left the list: they do not expect one."""
    return [one for one in audience.left_out if one.reason != "left"]


def reply_to_user_id(notice: Notice, ticked: bool) -> int | None:
    """Return who wants the replies at the own address: nobody ticks it for a colleague, or takes the tick away."""
    if ticked and current_user.email:
        return current_user.id
    return None if notice.reply_to_user_id == current_user.id else notice.reply_to_user_id


def flash_already_sent(notice: Notice) -> None:
    """Say on the next page when this notice was confirmed: the second tap of two (field 5.3.3)."""
    fresh = Notice.get_by_id(notice.id)
    if fresh.confirmed_at is None:
        web.flash_message(NotADraft.message, kind="wrong")
    elif fresh.state == "held":
        web.flash_message(
            N_("You have already sent this notice off (%(at)s). It goes out once."), at=_confirmed_time(fresh)
        )
    elif fresh.state == "scheduled":
        web.flash_message(
            N_("You have already booked this notice (%(at)s). It goes out once."), at=_confirmed_time(fresh)
        )
    else:
        web.flash_message(AlreadySent.message, at=_confirmed_time(fresh))


def _confirmed_time(notice: Notice) -> str:
    return i18n.format_time(notice.confirmed_at)


def version_of(notice: Notice) -> str:
    """Return the version of a draft that a page carries along: when it was last changed, in milliseconds."""
    return str(millis(notice.updated_at))


def is_stale(notice: Notice, seen: str | None) -> bool:
    """Say whether a draft was changed after the page that now posts was made. A page without a mark is taken as new."""
    return bool(seen) and seen != version_of(notice)


# ── shared pages ────────────────────────────────────────────────────────────────────────────────────────────────────


def render_confirmation(
    notice: Notice,
    *,
    title: str,
    sentences: Sequence[str],
    button: str,
    way_back: str = "notices.show",
    red: bool = True,
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page that asks; its one button posts to the same address."""
    back = url_for(way_back) if way_back == "notices.index" else url_for(way_back, number=notice.id)
    return render_template(
        "notices/confirm_action.html",
        notice=notice,
        title=title,
        sentences=sentences,
        facts=facts,
        button=button,
        way_back=back,
        red=red,
    )
