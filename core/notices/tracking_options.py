"""Click tracking and digests of a notice, as set by its author (D-18, D-31, D-32).

The redirect leads only to the stored addresses of a notice. Sending of digests: `core.reports.digests`.
"""

from datetime import datetime

from core.notices import sender_names
from core.notices.questions import has_questions
from database import bulk_insert
from i18n import N_
from mail import merge
from mail.html import links
from models import Delivery, DigestSubscription, Notice, TrackedLink

MAX_LINKS = 50


def tracked_urls(notice: Notice) -> tuple[str, ...]:
    """Return the counted addresses of a notice in the order of their numbers; () if it counts no clicks."""
    if not notice.tracking.clicks:
        return ()
    rows = TrackedLink.select().where(TrackedLink.notice == notice).order_by(TrackedLink.number)
    return tuple(row.url for row in rows) or urls_in_text(notice.wording.text)


def urls_in_text(text: str) -> tuple[str, ...]:
    """Return the distinct addresses of a text. An address with a merge field differs by reader and is not counted."""
    without_fields = "".join("\n" if field else words for words, field in merge.split_fields(merge.clean_text(text)))
    urls = dict.fromkeys(url for _, url in links.split_at_urls(without_fields) if url)
    return tuple(urls)[:MAX_LINKS]


def store_links(notice: Notice) -> None:
    """Store the counted addresses when sending starts."""
    if not notice.tracking.clicks:
        return
    TrackedLink.delete().where(TrackedLink.notice == notice).execute()
    rows = enumerate(urls_in_text(notice.wording.text), 1)
    bulk_insert(TrackedLink, ({"notice": notice.id, "number": number, "url": url} for number, url in rows))


def url_of_link(notice: Notice | int, number: int) -> str | None:
    """Return the stored address of a link, or None."""
    link = TrackedLink.get_or_none(TrackedLink.notice == notice, TrackedLink.number == number)
    return link.url if link else None


EVENT_KINDS: dict[str, str] = {
    "read": N_("“I have read this”"),
    "answer": N_("Answers"),
    "open": N_("First openings"),
    "reopen": N_("Openings once more"),
    "click": N_("Links opened"),
}
FREQUENCIES: dict[str, str] = {
    "none": N_("not told"),
    "hourly": N_("every hour"),
    "daily": N_("every day"),
    "weekly": N_("every week"),
    "monthly": N_("every month"),
}
DEFAULT_FREQUENCY = "daily"


def digest_frequencies(notice: Notice) -> dict[str, str]:
    """Return the digest frequency of each event kind; the default is daily (D-32)."""
    return {kind: notice.digest_settings.get(kind, DEFAULT_FREQUENCY) for kind in EVENT_KINDS}


def create_subscriptions(notice: Notice, now: datetime) -> None:
    """Write the digest subscriptions of a notice when sending starts. Call inside the transaction."""
    wanted = {kind: timing for kind, timing in _applicable_frequencies(notice).items() if timing != "none"}
    rows = [
        {"notice": notice.id, "user": user, "kind": kind, "timing": timing, "told_until": now}
        for user in _digest_users(notice)
        for kind, timing in wanted.items()
    ]
    bulk_insert(DigestSubscription, rows)


def _applicable_frequencies(notice: Notice) -> dict[str, str]:
    """Return the frequencies of the event kinds that this notice can have."""
    tracking = notice.tracking
    possible = {
        "read": notice.read_confirmation,
        "open": tracking.opens,
        "reopen": tracking.opens,
        "click": tracking.clicks,
        "answer": has_questions(notice),
    }
    return {kind: timing for kind, timing in digest_frequencies(notice).items() if possible[kind]}


def _digest_users(notice: Notice) -> list[int]:
    """Return the users who receive the responses to some letter of a notice."""
    teachers = Delivery.select(Delivery.class_teacher).where(
        Delivery.notice == notice, Delivery.class_teacher.is_null(False)
    )
    numbers = {row.class_teacher_id for row in teachers.distinct() if row.class_teacher_id}
    own = sender_names.response_recipient(Delivery(notice=notice))
    return sorted(numbers | ({own.id} if own else set()))
