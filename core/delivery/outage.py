"""An outage: the mail server cannot be used, or it refuses us. Notices pause and no attempt is counted.

A notice that was paused for too long is held for a decision of its organizer (decision 8), also during the outage. A
provider's limit ends at a known time and holds no notice.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from peewee import fn

from core.delivery import throttle
from core.delivery.holding import hold_notice
from database import db, millis
from i18n import N_
from models import Notice, NoticeState, ThrottleBucket

OUTAGE_LABELS: dict[str, tuple[str, str]] = {
    "no_route": (
        N_("No mail server is set any more, so nothing is being sent."),
        N_("Please have an administrator set the mail server again (More → How mail goes and comes)."),
    ),
    "connect": (
        N_("The mail server cannot be reached, so nothing is being sent."),
        N_("Please have an administrator check whether the mail server runs, and its name and port."),
    ),
    "greeting": (
        N_("The mail server takes no letters at the moment, so nothing is being sent."),
        N_("If this lasts, please ask the mail provider."),
    ),
    "tls": (
        N_("The mail server's certificate or encryption is not in order, so nothing is being sent."),
        N_(
            "Please have an administrator check the server's name, port and encryption, or the date of its certificate."
        ),
    ),
    "login": (
        N_("The mail server does not let us in, so nothing is being sent."),
        N_("Please have an administrator check user and password."),
    ),
    "broken": (
        N_("The mail server breaks the connection off, so nothing is being sent."),
        N_("If this lasts, please ask the mail provider."),
    ),
    "sender": (
        N_("The mail server does not accept our sender address, so nothing is being sent."),
        N_("Please allow our address at the mail provider, or enter the user that owns it."),
    ),
    "relay": (
        N_("The mail server does not pass our letters on, so nothing is being sent."),
        N_("Please enter user and password, or have the mail provider allow this machine to send."),
    ),
    "trust": (
        N_("The mail server does not trust our letters, so nothing is being sent."),
        N_("Please check SPF, DKIM, DMARC and the machine's name (PTR), and whether a blocklist names us."),
    ),
    "limit": (
        N_("The mail provider takes no more letters for now: its limit is reached."),
        N_(
            "If the provider names no time, the next try is in an hour, because providers count a day differently. "
            "Urgent letters go first when it opens again. A lower rate in the settings avoids this."
        ),
    ),
    "refused": (
        N_("The mail server refuses all our letters, so nothing is being sent."),
        N_("Please show the mail provider what its server says."),
    ),
}
"""What is wrong and what to do, by pause reason."""

SLOW_SHOWN_FOR = timedelta(seconds=20)
"""A worker notes a slow server every 15 s while it waits."""


def pause_notices(reason: str, now: datetime) -> None:
    """Pause every notice that is being sent.

    `paused_at` and `pause_reason` stay from the first failure until a letter gets its reply (`clear_outage`). So a
    server that accepts connections and closes them, or refuses us, again and again counts as an outage, too.
    """
    since = fn.COALESCE(Notice.paused_at, millis(now))
    Notice.update(state=NoticeState.PAUSED, pause_reason=reason, paused_at=since, serial=Notice.serial + 1).where(
        Notice.state == NoticeState.SENDING
    ).execute()


def resume_notices(now: datetime, late_s: int) -> None:
    """Resume the paused notices; hold those that were paused for too long."""
    with db.atomic():
        hold_overdue_paused(now, late_s)
        Notice.update(state=NoticeState.SENDING, serial=Notice.serial + 1).where(
            Notice.state == NoticeState.PAUSED
        ).execute()


def hold_overdue_paused(now: datetime, late_s: int) -> None:
    """Hold notices that an outage has delayed for too long (decision 8)."""
    oldest = now - timedelta(seconds=late_s)
    overdue = (Notice.state == NoticeState.PAUSED) & (Notice.paused_at < oldest) & (Notice.pause_reason != "limit")
    for notice in list(Notice.select().where(overdue)):
        hold_notice(notice, "late", now)


def clear_outage() -> None:
    """Note that letters get through again."""
    Notice.update(paused_at=None, pause_reason="", serial=Notice.serial + 1).where(
        Notice.state == NoticeState.SENDING, Notice.paused_at.is_null(False)
    ).execute()


def has_paused_notices() -> bool:
    return Notice.select().where(Notice.state == NoticeState.PAUSED).exists()


class Outage(NamedTuple):
    """Why letters wait: what is wrong, what to do, the server's words and the time of the next try."""

    reason: str
    headline: str
    advice: str
    said: str
    until: datetime | None


def outage_headline(reason: str) -> str:
    """Return what is wrong, by pause reason."""
    return OUTAGE_LABELS.get(reason, OUTAGE_LABELS["connect"])[0]


def current_outage(notice: Notice) -> Outage | None:
    """Return why a notice stands still, or None. It is shown until a letter gets its reply, not only between tries."""
    late = notice.state == NoticeState.HELD and notice.hold_reason == "late"
    if not notice.pause_reason or not (late or notice.state in (NoticeState.SENDING, NoticeState.PAUSED)):
        return None
    _, advice = OUTAGE_LABELS.get(notice.pause_reason, OUTAGE_LABELS["connect"])
    row = ThrottleBucket.get_or_none(ThrottleBucket.name == throttle.GLOBAL_BUCKET)
    headline = outage_headline(notice.pause_reason)
    return Outage(notice.pause_reason, headline, advice, row.said if row else "", row.paused_until if row else None)


def note_slow_server(now: datetime) -> None:
    """Note that a worker waits long for an answer of the mail server."""
    ThrottleBucket.insert(name=throttle.SLOW_SERVER, at=now).on_conflict(
        conflict_target=[ThrottleBucket.name], update={ThrottleBucket.at: now}
    ).execute()


def is_server_slow(now: datetime) -> bool:
    """Return whether a worker waits long for an answer at the moment."""
    noted = ThrottleBucket.get_or_none(ThrottleBucket.name == throttle.SLOW_SERVER)
    return noted is not None and abs(now - noted.at) < SLOW_SHOWN_FOR
