"""Login sessions, revocable on the server, so that an old cookie is useless (T-12).

While the tables cannot be written, a login opens a session that no table holds (decision 0088): its token names user and
end and is signed. The first request after that writes its row.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from peewee import ModelSelect

import clock
from config import current_config
from core import audit, rate_limits
from database import from_millis, millis, optional_write
from models import Device, Session, User

IDLE_LIFETIME = timedelta(hours=12)
REMEMBERED_LIFETIME = timedelta(days=90)
TOUCH_INTERVAL = timedelta(minutes=5)
"""Shortest time between two updates of `seen_at` and `expires_at`."""
SECOND_FACTOR_LIFETIME = timedelta(minutes=10)
"""Time to show the second factor after the first."""
UNSAVED_LIFETIME = timedelta(minutes=15)
"""Time for which a session without a row is valid."""
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


# ── sessions without a row ───────────────────────────────────────────────────────────────────────────────────────────

_ended_unsaved: set[str] = set()
"""Digests of such sessions that this process ended and could not write."""


def start_unsaved_session(user: User, now: datetime, agent: str = "") -> User:
    """Start a session while the tables cannot be written; return its user."""
    expires_at = now + UNSAVED_LIFETIME
    named = f"{user.id}.{millis(expires_at)}.{secrets.token_urlsafe(16)}"
    token = f"{named}.{_sign(named, user)}"
    user.session = Session(user=user, digest=_digest(token), created_at=now, seen_at=now, expires_at=expires_at)
    user.session.token, user.session.agent = token, agent[:200]
    return user


def _sign(named: str, user: User) -> str:
    """Return the MAC of a session without a row. It ends with the user's password."""
    key = current_config().key("secret")
    return hmac.digest(key, f"kairan session {named} {user.password}".encode(), "sha256").hex()


def _unsaved_session(token: str, now: datetime) -> Session | None:
    """Return the session that a signed token stands for, with its row if it can be written now."""
    named, _, mac = token.rpartition(".")
    parts = named.split(".")
    if len(parts) != 3 or not (parts[0] + parts[1]).isdecimal() or _digest(token) in _ended_unsaved:
        return None
    user = User.get_or_none(User.id == int(parts[0]))
    if user is None or not hmac.compare_digest(mac.encode(), _sign(named, user).encode()):
        return None
    expires_at = from_millis(int(parts[1]))
    if expires_at <= now:
        return None
    session = Session(user=user, digest=_digest(token), created_at=now, seen_at=now, expires_at=expires_at)
    with optional_write():
        fields = {"user": user, "digest": session.digest, "created_at": now, "seen_at": now}
        if Session.insert(**fields, expires_at=now + IDLE_LIFETIME).on_conflict_ignore().execute():
            audit.log_action(user, "session.started", Session.get(Session.digest == session.digest).id)
    row: Session | None = Session.select(Session, User).join(User).where(Session.digest == session.digest).first()
    return row or session


def user_of_session(token: str) -> User | None:
    """Return the user of a token, with `user.session` set; None if revoked, expired, or the user is disabled."""
    now = clock.now()
    session = Session.select(Session, User).join(User).where(Session.digest == _digest(token)).first()
    session = session or _unsaved_session(token, now)
    if session is None or session.awaits_second_factor:
        return None
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
    if session.id is None:
        _end_unsaved_session(session, now)
        return True
    changed = Session.update(revoked_at=now).where(Session.id == session.id, Session.revoked_at.is_null()).execute()
    if changed:
        audit.log_action(session.user, "session.ended", session.id)
    return bool(changed)


def _end_unsaved_session(session: Session, now: datetime) -> None:
    _ended_unsaved.add(session.digest)
    with optional_write():
        session.revoked_at = now
        session.save(force_insert=True)


def revoke_all_sessions(user: User, now: datetime, *, but: Session | None = None) -> int:
    """Revoke all sessions of a user except `but`; return how many."""
    active = Session.user == user, Session.revoked_at.is_null(), Session.expires_at > now
    return int(Session.update(revoked_at=now).where(*active, Session.id != (but.id if but else 0)).execute())


def delete_old_sessions(now: datetime) -> int:
    """Delete sessions that expired or were revoked 90 days ago; return how many."""
    border = now - RETENTION
    return int(Session.delete().where((Session.expires_at < border) | (Session.revoked_at < border)).execute())
