"""Hold a notice for a decision of its organizer (decision 9)."""

from datetime import datetime

from core import audit
from models import Notice, NoticeState


def hold_notice(notice: Notice, reason: str, now: datetime) -> None:
    """Hold a notice for a decision of its organizer."""
    holdable = Notice.state.in_((NoticeState.HELD, NoticeState.SCHEDULED, NoticeState.PAUSED))
    if reason == "content":
        holdable |= Notice.state == NoticeState.SENDING
    changes = {"state": NoticeState.HELD, "hold_reason": reason, "updated_at": now, "serial": Notice.serial + 1}
    if Notice.update(**changes).where(Notice.id == notice.id, holdable).execute():
        audit.log_action(None, f"notice.held_{reason}", notice.id)


def is_held(notice: int | None) -> bool:
    """Return whether a notice waits for a decision."""
    return Notice.select().where(Notice.id == notice, Notice.state == NoticeState.HELD).exists()
