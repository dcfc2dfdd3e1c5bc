"""Notice when the wall clock is set: it is compared with the time since boot, which nobody can set.

A booking that was made before the clock was set forward would leave too early. It is held and asks its organizer. That
ends when the clock is set back, or when an administrator says that the clock is right. A restart of the machine is no
jump: the time since boot begins anew.
"""

from datetime import datetime, timedelta

import clock
from core import audit
from database import db, millis
from models import ClockState, User

TOLERANCE = timedelta(minutes=1)


def check_clock(now: datetime) -> None:
    """Compare both clocks; record a jump of more than a minute once, whichever process sees it. Idempotent."""
    boot, offset_ms = clock.boot_id(), millis(clock.now()) - clock.since_boot() // timedelta(milliseconds=1)
    state = ClockState.select().first()
    if state is None or state.boot != boot:
        jump = state.jump_ms if state else 0
        ClockState.insert(id=1, boot=boot, offset_ms=offset_ms, jump_ms=jump).on_conflict(
            conflict_target=[ClockState.id], update={ClockState.boot: boot, ClockState.offset_ms: offset_ms}
        ).execute()
        return
    moved_ms = offset_ms - state.offset_ms
    if abs(moved_ms) <= TOLERANCE // timedelta(milliseconds=1):
        return
    jump_ms = state.jump_ms + moved_ms
    if abs(jump_ms) <= TOLERANCE // timedelta(milliseconds=1):
        jump_ms = 0  # the clock is where it was
    same = (ClockState.boot == state.boot) & (ClockState.offset_ms == state.offset_ms)
    with db.atomic():
        changes = {"offset_ms": offset_ms, "jump_ms": jump_ms, "jumped_at": now}
        if ClockState.update(changes).where(same).execute():
            audit.log_action(None, "clock.jumped", detail={"minutes": round(moved_ms / 60_000)})


def unconfirmed_jump() -> timedelta | None:
    """Return by how much the clock was set (positive: forward) and nobody has said that it is right; None: not."""
    state = ClockState.select().first()
    return timedelta(milliseconds=state.jump_ms) if state and state.jump_ms else None


def is_too_early(booked_at: datetime) -> bool:
    """Return whether the clock was set forward after a booking was made or last changed."""
    state = ClockState.select().first()
    return bool(state and state.jump_ms > 0 and state.jumped_at and booked_at < state.jumped_at)


def confirm_clock(by: User) -> None:
    """Record that the clock is right now."""
    with db.atomic():
        if ClockState.update(jump_ms=0).where(ClockState.jump_ms != 0).execute():
            audit.log_action(by, "clock.confirmed")
