"""Notices of the cast in the states that the web tests want, and how a page is read."""

import html
from datetime import datetime
from typing import Any

import clock
from core.notices import approval, drafts, start
from core.notices import audience as audiences
from models import Notice
from tests.cast import School

CLASS = "1-1"


def confirm_notice(
    school: School, name: str = "花子", key: str = CLASS, at: datetime | None = None, **fields: Any
) -> Notice:
    """Make a notice and press the button."""
    now = clock.now()
    made = drafts.create_draft(school.users[name], now=now)
    drafts.set_recipients(made, lists=[school.lists[key].id], now=now)
    drafts.save_draft(made, **{"subject": "遠足のお知らせ", "text": "遠足に行きます。", **fields}, now=now)
    mark = audiences.resolve_audience(made).fingerprint
    return approval.confirm_send(made, by=school.users[name], fingerprint=mark, now=now, at=at)


def start_notice(school: School, **fields: Any) -> Notice:
    """Make a notice whose letters wait to be claimed."""
    made = confirm_notice(school, **fields)
    Notice.update(send_at=clock.now()).where(Notice.id == made.id).execute()
    start.start_due_notices(clock.now())
    return Notice.get_by_id(made.id)


def get_page(browser: Any, address: str, status: int = 200) -> str:
    """Return a page as people read it."""
    answer = browser.get(address, follow_redirects=status == 200)
    assert answer.status_code == status, (address, answer.status_code)
    return html.unescape(answer.get_data(as_text=True))


def reload_state(notice: Notice) -> str:
    return Notice.get_by_id(notice.id).state


def datetime_local_value(moment: datetime) -> str:
    """Return a moment as a datetime-local field sends it."""
    return clock.to_local(moment).strftime("%Y-%m-%dT%H:%M")
