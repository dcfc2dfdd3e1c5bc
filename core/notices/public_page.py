"""The public page with the current urgent notice, for days on which mail does not arrive (field 5.2 no. 10).

Off by default. It shows only notices to the whole school without personal merge fields, in the name of the school.
"""

from datetime import datetime, timedelta

from core.notices import merge_fields
from core.settings import load_settings
from mail import merge
from mail.html import links
from models import STARTED_STATES, MailingList, Notice, Organization, Target

MAX_AGE_S = 12 * 3600
"""The page shows a notice for this many seconds, regardless of the expiry of its letters."""


def is_enabled() -> bool:
    return Organization.load_row().public_urgent


def current_notice(now: datetime) -> Notice | None:
    """Return the newest urgent notice to the whole school that is not too old."""
    whole = MailingList.select(MailingList.id).where(MailingList.whole == True)
    to_whole = Target.select(Target.notice).where(
        Target.kind == "list", Target.include == True, Target.number.in_(whole)
    )
    notices = (
        Notice.select()
        .where(
            Notice.urgent == True,
            Notice.kind == "notice",
            Notice.state.in_(STARTED_STATES),
            Notice.started_at > now - timedelta(seconds=MAX_AGE_S),
            Notice.practice == load_settings().practice,
            Notice.id.in_(to_whole),
        )
        .order_by(Notice.started_at.desc(), Notice.id.desc())
    )
    newest = notices.first()
    return None if newest is None or merge_fields.is_personalized(newest) else newest


def public_wording(notice: Notice) -> tuple[str, list[tuple[str, str | None]]]:
    """Return the subject, and the text as (words, URL or None), with the shared merge fields filled in."""
    settings = load_settings()
    notice.sender_name, notice.by = settings.name, None  # not saved
    subject, text = merge_fields.fill_shared(notice, settings, notice.started_at)
    return subject, links.split_at_urls(merge.clean_text(text).strip("\n"))
