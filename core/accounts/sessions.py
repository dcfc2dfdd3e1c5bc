"""Login sessions, revocable on the server, so that an old cookie is useless (T-12)."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from peewee import ModelSelect

import clock
from core import audit, rate_limits
from models import Session, User

IDLE_LIFETIME = timedelta(hours=12)
REMEMBERED_LIFETIME = timedelta(days=90)
TOUCH_INTERVAL = timedelta(minutes=5)
"""Shortest time between two updates of `seen_at` and `expires_at`."""


def start_session(user: User, *, now: datetime, remember: bool = False, device: str = "") -> User:
    """Start a session; return its user. The token is in `user.session.token` and is not stored."""
    token = secrets.token_urlsafe(32)
    session = Session.create(
        user=user,
        digest=_digest(token),
        created_at=now,
        seen_at=now,
        expires_at=now + _lifetime(remember),
        remembered=remember,
        device=device[:200],
    )
    session.token = token
    user.session = session
    User.update(seen_at=now).where(User.id == user.id).execute()
    audit.log_action(user, "session.started", session.id)
    return user


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _lifetime(remembered: bool) -> timedelta:
    return REMEMBERED_LIFETIME if remembered else IDLE_LIFETIME


def user_of_session(token: str) -> User | None:
    """Return the user of a token, with `user.session` set; None if revoked, expired, or the user is disabled."""
    session = Session.select(Session, User).join(User).where(Session.digest == _digest(token)).first()
    if session is None:
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
    if rate_limits.record_hit(f"refused:{session.id}", now, window_s=60) == 1:
        audit.log_action(session.user, "access.refused", session.id, kind="session")


def _touch_session(session: Session, now: datetime) -> None:
    if now - session.seen_at < TOUCH_INTERVAL:
        return
    Session.update(seen_at=now, expires_at=now + _lifetime(session.remembered)).where(
        Session.id == session.id, Session.revoked_at.is_null()
    ).execute()


def active_sessions(user: User, now: datetime) -> "ModelSelect[Session]":
    """Return the user's active sessions, last used first."""
    return (
        Session.select()
        .where(Session.user == user, Session.revoked_at.is_null(), Session.expires_at > now)
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
