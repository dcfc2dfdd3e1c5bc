"""Login sessions, revocable on the server, so that an old cookie is useless (T-12)."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from peewee import ModelSelect

import clock
from core import audit, rate_limits
from database import optional_write
from models import Device, Session, User

IDLE_LIFETIME = timedelta(hours=12)
REMEMBERED_LIFETIME = timedelta(days=90)
TOUCH_INTERVAL = timedelta(minutes=5)
"""Shortest time between two updates of `seen_at` and `expires_at`."""
SECOND_FACTOR_LIFETIME = timedelta(minutes=10)
"""Time to show the second factor after the first."""
RETENTION = timedelta(days=90)
"""Time for which ended sessions are kept: the use of a revoked one is logged (T-12)."""


def start_session(
    user: User,
    *,
    now: datetime,
    remember: bool = False,
    agent: str = "",
    device: Device | None = None,
    confirmed: bool = False,
) -> User:
    """Start a session; return its user. The token is in `user.session.token` and is not stored.

    confirmed: the second factor was shown at this login.
    """
    user.session = _create_session(
        user,
        now,
        expires_at=now + _lifetime(remember),
        remembered=remember,
        agent=agent[:200],
        device=device,
        confirmed_at=now if confirmed else None,
    )
    User.update(seen_at=now).where(User.id == user.id).execute()
    audit.log_action(user, "session.started", user.session.id)
    return user


def _create_session(user: User, now: datetime, **fields: object) -> Session:
    token = secrets.token_urlsafe(32)
    session = Session.create(user=user, digest=_digest(token), created_at=now, seen_at=now, **fields)
    session.token = token
    return session


def start_pending_session(user: User, *, now: datetime, remember: bool, agent: str) -> Session:
    """Start a session that opens no page: the first factor was shown, the second is awaited for ten minutes."""
    return _create_session(
        user,
        now,
        expires_at=now + SECOND_FACTOR_LIFETIME,
        remembered=remember,
        agent=agent[:200],
        awaits_second_factor=True,
    )


def pending_session(token: str, now: datetime) -> Session | None:
    """Return the session with this token if it awaits the second factor; `session.user` is loaded."""
    session: Session | None = (
        Session.select(Session, User)
        .join(User)
        .where(
            Session.digest == _digest(token),
            Session.awaits_second_factor == True,
            Session.revoked_at.is_null(),
            Session.expires_at > now,
            User.disabled_at.is_null(),
        )
        .first()
    )
    return session


def end_pending_session(session: Session, now: datetime) -> bool:
    """Use up a session that awaited the second factor; of two simultaneous calls, one gets True."""
    open_one = Session.id == session.id, Session.revoked_at.is_null()
    return bool(Session.update(revoked_at=now).where(*open_one).execute())


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _lifetime(remembered: bool) -> timedelta:
    return REMEMBERED_LIFETIME if remembered else IDLE_LIFETIME


def user_of_session(token: str) -> User | None:
    """Return the user of a token, with `user.session` set; None if revoked, expired, or the user is disabled."""
    session = Session.select(Session, User).join(User).where(Session.digest == _digest(token)).first()
    if session is None or session.awaits_second_factor:
        return None
    now = clock.now()
    if session.revoked_at is not None:
        _log_revoked_use(session, now)
        return None
    if session.expires_at <= now or not session.user.is_active:
        return None
    session.token = token
    session.user.session = session
    _touch_session(session, now)
    user: User = session.user
    return user


def _log_revoked_use(session: Session, now: datetime) -> None:
    """Log the use of a revoked session, at most once a minute (T-12)."""
    with optional_write():
        if rate_limits.record_hit(f"refused:{session.id}", now, window_s=60) == 1:
            audit.log_action(session.user, "access.refused", session.id, kind="session")


def _touch_session(session: Session, now: datetime) -> None:
    if now - session.seen_at < TOUCH_INTERVAL:
        return
    with optional_write():
        Session.update(seen_at=now, expires_at=now + _lifetime(session.remembered)).where(
            Session.id == session.id, Session.revoked_at.is_null()
        ).execute()
        Device.update(seen_at=now).where(Device.id == session.device_id).execute()


def active_sessions(user: User, now: datetime) -> "ModelSelect[Session]":
    """Return the user's active sessions, last used first."""
    return (
        Session.select()
        .where(
            Session.user == user,
            Session.revoked_at.is_null(),
            Session.expires_at > now,
            Session.awaits_second_factor == False,
        )
        .order_by(Session.seen_at.desc(), Session.id.desc())
    )


def revoke_session(session: Session, now: datetime) -> bool:
    """Revoke one session; False if it was revoked before."""
    changed = Session.update(revoked_at=now).where(Session.id == session.id, Session.revoked_at.is_null()).execute()
    if changed:
        audit.log_action(session.user, "session.ended", session.id)
    return bool(changed)


def revoke_all_sessions(user: User, now: datetime, *, but: Session | None = None) -> int:
    """Revoke all sessions of a user except `but`; return how many."""
    active = Session.user == user, Session.revoked_at.is_null(), Session.expires_at > now
    return int(Session.update(revoked_at=now).where(*active, Session.id != (but.id if but else 0)).execute())


def delete_old_sessions(now: datetime) -> int:
    """Delete sessions that expired or were revoked 90 days ago; return how many."""
    border = now - RETENTION
    return int(Session.delete().where((Session.expires_at < border) | (Session.revoked_at < border)).execute())
