"""Known devices: browsers on which a user has logged in. Listed, named and removed on the account page.

One cookie holds a token for each of the last users of the browser. So a shared computer is a known device for all of
them. A token that the table does not know is never adopted, so nobody can plant one.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from peewee import ModelSelect, fn

import i18n
from core import audit, rate_limits
from core.accounts.who_can import holders_for_lists
from core.errors import DomainError
from core.notifications.notify import notify
from core.settings import load_settings
from database import db
from i18n import N_
from models import Device, Session, User

LIFETIME = timedelta(days=365)
MAX_USERS = 20
"""Users of one browser whose tokens the cookie keeps."""
MAX_NAME = 40
MAX_LETTERS = 5
"""Letters about new devices to one user in an hour."""

OS_TOKENS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "Chromebook"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)
BROWSER_TOKENS = (
    ("Edg", "Edge"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)


def describe_agent(agent: str) -> str:
    """Return system and browser of a User-Agent, 「iPhone · Safari」; empty if both are unknown."""
    names = [next((name for part, name in table if part in agent), "") for table in (OS_TOKENS, BROWSER_TOKENS)]
    return " · ".join(label for label in names if label)


def find_device(user: User | None, cookie: str | None, now: datetime) -> Device | None:
    """Return the user's device to which this cookie belongs; None if it is unknown, removed or a year unused."""
    digests = [_digest(token) for token in _tokens(cookie)]
    if user is None or not digests:
        return None
    device: Device | None = Device.get_or_none(
        Device.user == user, Device.digest.in_(digests), Device.revoked_at.is_null(), Device.seen_at > now - LIFETIME
    )
    return device


def _tokens(cookie: str | None) -> list[str]:
    return [token for token in (cookie or "").split(".")[:MAX_USERS] if token]


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def add_device(user: User, cookie: str | None, agent: str, now: datetime) -> tuple[Device, str]:
    """Add a device; return it and the new cookie. An e-mail tells the user, except about the first device."""
    token = secrets.token_urlsafe(24)
    with db.atomic():
        is_first = not Device.select().where(Device.user == user).exists()
        device = Device.create(user=user, digest=_digest(token), agent=agent[:200], created_at=now, seen_at=now)
        audit.log_action(user, "device.added", device.id, kind="session")
        if (
            not is_first
            and user.email
            and rate_limits.record_hit(f"new device letter:{user.id}", now, 3600) <= MAX_LETTERS
        ):
            _notify_user(user, device, now)
    return device, ".".join([token, *_tokens(cookie)[: MAX_USERS - 1]])


def _notify_user(user: User, device: Device, now: datetime) -> None:
    config = load_settings()
    notify(
        "new-device",
        user,
        now,
        name=user.name,
        device=lambda spoken: describe_agent(device.agent) or i18n.say(spoken, N_("Unknown device")),
        when=i18n.format_datetime(user.language, now),
        url=f"{config.base_url}/account",
        administrators=", ".join(holders_for_lists("admin", ()).names) or config.contact,
    )


def touch_device(device: Device, now: datetime, *, second_factor: bool = False) -> None:
    """Write down a login on a device; `second_factor`: it was shown there."""
    shown = {"second_factor_at": now} if second_factor else {}
    Device.update(seen_at=now, **shown).where(Device.id == device.id, Device.revoked_at.is_null()).execute()


def known_devices(user: User, now: datetime) -> "ModelSelect[Device]":
    """Return the user's devices, last used first."""
    return (
        Device.select()
        .where(Device.user == user, Device.revoked_at.is_null(), Device.seen_at > now - LIFETIME)
        .order_by(Device.seen_at.desc(), Device.id.desc())
    )


def rename_device(device: Device, name: str) -> None:
    """Name a device; an empty name restores the one from the User-Agent. Raises DomainError."""
    shown = " ".join(name.split())
    if len(shown) > MAX_NAME or not all(sign.isprintable() for sign in shown):
        raise DomainError(N_("Please enter at most %(n)s characters."), "name", n=MAX_NAME)
    Device.update(name=shown).where(Device.id == device.id).execute()


def revoke_device(device: Device, now: datetime) -> None:
    """Remove a device: its sessions end, and the next login there is one on a new device. Idempotent."""
    with db.atomic():
        Session.update(revoked_at=now).where(Session.device == device, Session.revoked_at.is_null()).execute()
        if Device.update(revoked_at=now).where(Device.id == device.id, Device.revoked_at.is_null()).execute():
            audit.log_action(device.user, "device.removed", device.id, kind="session")


def revoke_all_devices(user: User, now: datetime, *, but: int | None = None) -> int:
    """Remove all devices of a user except `but` (id); return how many."""
    mine = Device.user == user, Device.revoked_at.is_null(), Device.id != (but or 0)
    return int(Device.update(revoked_at=now).where(*mine).execute())


def delete_old_devices(now: datetime) -> int:
    """Delete devices that were not used for a year, except the latest of each user; return how many.

    The latest stays, so that a login after a long absence is told.
    """
    latest = Device.select(fn.MAX(Device.id)).group_by(Device.user)
    return int(Device.delete().where(Device.seen_at < now - LIFETIME, Device.id.not_in(latest)).execute())
