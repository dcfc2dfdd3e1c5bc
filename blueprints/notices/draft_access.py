"""Draft loading, edit conflicts between windows, and values shared by the screens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import abort, g, render_template, request, url_for
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
from models import Notice, NoticeState

FIRST_NAMES_SHOWN, LAST_NAMES_SHOWN = 5, 2
DELETE_ENDPOINT = "notices.delete_draft"
"""Deletes drafts of every kind."""


def get_draft_or_redirect(number: int) -> Notice:
    """Return a draft that the user may edit. For any other state, redirect to the notice's page."""
    notice = web.get_notice_or_404(number, "send")
    if notice.state != NoticeState.DRAFT:
        if request.method == "POST":
            flash_already_sent(notice)
            g.words_refused = True
        abort(web.redirect_to("notices.show", number=number))
    if (
        notice.kind == direct_message.KIND
        and (person := direct_message.recipient_of(notice))
        and request.endpoint != DELETE_ENDPOINT
    ):
        abort(web.redirect_to("members.check_direct_message", number=person.id, notice=number))
    return notice


def get_draft_as_sender(number: int) -> Notice:
    """Return a draft with the current user as sender, without saving it."""
    return as_sent_by(get_draft_or_redirect(number), current_user)


def audience_of(notice: Notice, at: datetime | None = None) -> Audience:
    """Resolve a draft's audience as if the current user sent it now, else the confirmed audience."""
    return (
        resolve_audience_for(notice, current_user, at)
        if notice.state == NoticeState.DRAFT
        else resolve_audience(notice, at)
    )


def audience_values(audience: Audience) -> dict[str, Any]:
    """Return an audience's template values: first and last names, exclusions with their reasons."""
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
    """Return the exclusions without former members, who expect no letter."""
    return [exclusion for exclusion in audience.left_out if exclusion.reason != "left"]


def reply_to_user_id(notice: Notice, ticked: bool) -> int | None:
    """Return the user who receives replies. A user can set or clear only the own address."""
    if ticked and current_user.email:
        return current_user.id
    return None if notice.reply_to_user_id == current_user.id else notice.reply_to_user_id


def flash_already_sent(notice: Notice) -> None:
    """Flash when the notice was confirmed, for the second tap of a double tap (field 5.3.3)."""
    fresh = Notice.get_by_id(notice.id)
    if fresh.confirmed_at is None:
        web.flash_message(NotADraft.message, kind="wrong")
    elif fresh.state == NoticeState.HELD:
        web.flash_message(
            N_("You have already sent this notice off (%(at)s). It goes out once."), at=_confirmed_time(fresh)
        )
    elif fresh.state == NoticeState.SCHEDULED:
        web.flash_message(
            N_("You have already booked this notice (%(at)s). It goes out once."), at=_confirmed_time(fresh)
        )
    else:
        web.flash_message(AlreadySent.message, at=_confirmed_time(fresh))


def _confirmed_time(notice: Notice) -> str:
    return i18n.format_time(notice.confirmed_at)


def version_of(notice: Notice) -> str:
    """Return the version that a page posts back: time of the last change in milliseconds."""
    return str(millis(notice.updated_at))


def is_stale(notice: Notice, seen: str | None) -> bool:
    """Return whether the draft changed after the page was rendered. A page without a version counts as current."""
    return bool(seen) and seen != version_of(notice)


# ── shared pages ───────────────────────────────────────────────────────────────────────────────────────────────────


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
    """Return a confirmation page whose button posts to the same URL."""
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
