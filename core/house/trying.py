"""A test letter, sent while its administrator waits, and in plain words what the mail server said to it.

The usual engine sends everything else; here somebody sits in front of a form and wants to know which field is wrong.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import config as ground
from core import history, service
from core.notices.rendering import RenderCache
from core.organization import Settings, settings
from database import db
from mail.deliver import Connection, Reply, Vanished
from mail.route import Unreachable
from mail.sign import Signer
from models import Letter, User
from words import N_

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How it went: `message` is a sentence for `say`, `said` the server's own words."""

    well: bool
    message: str
    said: str = ""


_TAKEN = N_("The server took the letter. Look whether it arrives, also in the folder for spam.")
_SENDER = N_("The server does not let this login send as %(sender)s. Ask the provider to allow this address.")
_RELAY = N_("The server takes no letters to others from here without a login. Please enter user and password.")
_FIRST = N_("The server wants encryption or a login first. Please check encryption, user and password.")
_LATER = N_("The server asks to try again later. Often it does so with senders that it does not know yet.")
_NO = N_("The server refused the letter.")
_VANISHED = N_("The server took the letter but never answered. It may have been sent.")


def send(to: User, now: datetime) -> Finding:
    """Send a test letter to an administrator and say how it went. Not for the practice outbox, not in a transaction."""
    force = settings()
    letter = _letter(to, force, now)
    found, state = _try(letter, force, now)
    Letter.update(state=state, done_at=now, text=found.said[:500]).where(
        Letter.id == letter.id, Letter.state == "waiting"
    ).execute()
    history.log(to, "organization.tested", detail={"well": found.well})
    return found


def _letter(to: User, force: Settings, now: datetime) -> Letter:
    """Write the letter's row; the senders must not take it."""
    with db.atomic():
        made = service.send(
            "test", address=to.email, language=to.language, values={"organization": force.name}, now=now
        )
        Letter.update(next_at=now + timedelta(days=1)).where(Letter.id == made.id).execute()
    return Letter.get_by_id(made.id)


def _try(letter: Letter, force: Settings, now: datetime) -> tuple[Finding, str]:
    assert force.route  # noqa: S101
    raw = RenderCache(force).render(letter, False, now)
    if not force.own.mailbox:
        config = ground.current()
        raw = Signer(config.dkim_selector, force.mail_domain, config.key("dkim.pem")).sign(raw)
    line = Connection(force.route, force.mail_domain, TIMEOUT_S)
    try:
        reply = line.send(force.own.return_path(letter.id, force.secret), letter.address, raw)
    except Unreachable as trouble:
        return Finding(False, trouble.message, trouble.detail), "cancelled"
    except Vanished:
        return Finding(False, _VANISHED), "unknown"
    finally:
        line.close()
    return Finding(reply.accepted, in_words(reply), f"{reply.code} {reply.text}"), _state(reply)


def _state(reply: Reply) -> str:
    return "accepted" if reply.accepted else "refused"


def in_words(reply: Reply) -> str:
    """Return what a server's answer to a test letter means for whoever sets the server up."""
    if reply.accepted:
        return _TAKEN
    said = reply.text.lower()
    if reply.code in (530, 534, 538) or "starttls" in said:
        return _FIRST
    if "relay" in said or "authentication required" in said:
        return _RELAY
    if reply.phase == "mail" or reply.enhanced in ("5.1.7", "5.1.8", "5.7.60") or _names_the_sender(said):
        return _SENDER
    return _LATER if reply.deferred else _NO


def _names_the_sender(said: str) -> bool:
    return "sender" in said or "not owned by" in said or "send as" in said
