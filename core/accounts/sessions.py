"""Sessions: one login on one device, revoked on the server, so that an old cookie opens nothing (T-12)."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

import clock
from core import audit, rate_limits
from models import ModelSelect, Session, User

IDLE_LIFETIME = timedelta(hours=12)
REMEMBERED_LIFETIME = timedelta(days=90)
TOUCH_INTERVAL = timedelta(minutes=5)
"""How often use of a session is written down; the end moves with it."""


def start_session(user: User, *, now: datetime, remember: bool = False, device: str = "") -> User:
    """Open a session and return the user who holds it: the token stands in `user.session.token` and nowhere else."""
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
    """Return who holds this token, with `user.session` set; None if it is revoked, over, or the user is disabled."""
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
    return session.user


def _log_revoked_use(session: Session, now: datetime) -> None:
    """Record that a cookie from before a logout was used again, once a minute at most (T-12)."""
    if rate_limits.record_hit(f"refused:{session.id}", now, window_s=60) == 1:
        audit.log_action(session.user, "access.refused", session.id, kind="session")


def _touch_session(session: Session, now: datetime) -> None:
    if now - session.seen_at < TOUCH_INTERVAL:
        return
    Session.update(seen_at=now, expires_at=now + _lifetime(session.remembered)).where(
        Session.id == session.id, Session.revoked_at.is_null()
    ).execute()


def active_sessions(user: User, now: datetime) -> ModelSelect:
    """Return the user's sessions in force, last used first."""
    return (
        Session.select()
        .where(Session.user == user, Session.revoked_at.is_null(), Session.expires_at > now)
        .order_by(Session.seen_at.desc(), Session.id.desc())
    )


def revoke_session(session: Session, now: datetime) -> bool:
    """Revoke one session; False if it was over already."""
    changed = Session.update(revoked_at=now).where(Session.id == session.id, Session.revoked_at.is_null()).execute()
    if changed:
        audit.log_action(session.user, "session.ended", session.id)
    return bool(changed)


def revoke_all_sessions(user: User, now: datetime, *, but: Session | None = None) -> int:
    """Revoke every session of a user, but perhaps the one in use; return how many."""
    in_force = Session.user == user, Session.revoked_at.is_null(), Session.expires_at > now
    return Session.update(revoked_at=now).where(*in_force, Session.id != (but.id if but else 0)).execute()
