"""What begins within the next minute is rung for, so that seven o'clock is seven (T-02, law 1)."""

from datetime import timedelta

import clock
from core import scheduler
from models import Notice, Reminder


def test_what_begins_within_a_minute_is_known(school):
    now = clock.now().replace(microsecond=0)
    for state, why, seconds in (
        ("scheduled", "", 30),
        ("held", "window", 59),
        ("scheduled", "", 61),
        ("scheduled", "", -5),
        ("held", "late", 20),
        ("draft", "", 10),
    ):
        Notice.create(state=state, hold_reason=why, send_at=now + timedelta(seconds=seconds))
    sent = Notice.create(state="sent")
    Reminder.create(notice=sent, kind="asked", send_at=now + timedelta(seconds=40))
    Reminder.create(notice=sent, kind="timed", state="begun", send_at=now + timedelta(seconds=45))
    assert [(one - now).total_seconds() for one in scheduler.upcoming_start_times(now)] == [30, 40, 59]
