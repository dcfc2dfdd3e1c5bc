"""The links of a notice whose clicks are counted (D-31): the redirect leads to these addresses and nowhere else."""

from database import bulk_insert
from mail import merge
from mail.html import links
from models import Notice, TrackedLink

MAX_LINKS = 50


def tracked_urls(notice: Notice) -> tuple[str, ...]:
    """Return the counted addresses of a notice in the order of their numbers; () if it counts no clicks."""
    if not notice.track_clicks:
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
    if not notice.track_clicks:
        return
    TrackedLink.delete().where(TrackedLink.notice == notice).execute()
    rows = enumerate(urls_in_text(notice.wording.text), 1)
    bulk_insert(TrackedLink, ({"notice": notice.id, "number": number, "url": url} for number, url in rows))


def url_of_link(notice: Notice | int, number: int) -> str | None:
    """Return the stored address of a link, or None."""
    link = TrackedLink.get_or_none(TrackedLink.notice == notice, TrackedLink.number == number)
    return link.url if link else None
