"""The current urgent text for everybody, without names: for the day on which mail does not come (field 5.2 no. 10).

Off unless an administrator switches it on. Only what went to the whole school, as long as it is useful; words with
fields of a reader or child speak to one family and never stand there. The sender is the school, not a person.
"""

from datetime import datetime, timedelta

from core.notices import merge_fields
from core.settings import load_settings
from mail import merge
from mail.html import links
from models import MailingList, Notice, Organization, Target

MAX_AGE_S = 12 * 3600
"""Seconds after which no urgent text is current any more, however long its letters are useful."""


def is_enabled() -> bool:
    """Say whether the page exists."""
    return Organization.load_row().public_urgent


def current_notice(now: datetime) -> Notice | None:
    """Return the newest urgent notice to the whole school that still holds; None if there is none."""
    whole = MailingList.select(MailingList.id).where(MailingList.whole == True)
    aimed = Target.select(Target.notice).where(Target.kind == "list", Target.include == True, Target.number.in_(whole))
    found = (
        Notice.select()
        .where(
            Notice.urgent == True,
            Notice.kind == "notice",
            Notice.state.in_(("sending", "paused", "sent", "stopped")),
            Notice.started_at > now - timedelta(seconds=MAX_AGE_S),
            Notice.practice == load_settings().practice,
            Notice.id.in_(aimed),
        )
        .order_by(Notice.started_at.desc(), Notice.id.desc())
    )
    newest = found.first()
    return None if newest is None or merge_fields.is_personalized(newest) else newest


def public_wording(notice: Notice) -> tuple[str, list[tuple[str, str | None]]]:
    """Return subject, and text in stretches, each with its web address if it is one; day and school filled in."""
    force = load_settings()
    notice.sender_name, notice.by = force.name, None  # for this page alone; nothing is saved
    subject, text = merge_fields.fill_shared(notice, force, notice.started_at)
    return subject, links.split_at_urls(merge.clean_text(text).strip("\n"))
