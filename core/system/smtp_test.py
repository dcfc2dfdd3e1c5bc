"""A test letter, sent while its administrator waits, and in plain words what the mail server said to it.

The usual engine sends everything else; here somebody sits in front of a form and wants to know which field is wrong.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import config as ground
from core import audit
from core.notices.rendering import RenderCache
from core.notifications.notify import notify
from core.settings import Settings, load_settings
from database import db
from i18n import N_
from mail.dkim_signer import DkimSigner
from mail.smtp import OutcomeUnknown, SmtpConnection, SmtpReply, Unreachable
from models import Letter, User

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class SmtpTestResult:
    """How it went: `message` is a sentence for `say`, `said` the server's own words."""

    well: bool
    message: str
    said: str = ""


_ACCEPTED = N_("The server took the letter. Look whether it arrives, also in the folder for spam.")
_SENDER_NOT_ALLOWED = N_(
    "The server does not let this login send as %(sender)s. Ask the provider to allow this address."
)
_RELAY_DENIED = N_("The server takes no letters to others from here without a login. Please enter user and password.")
_NEEDS_TLS_OR_LOGIN = N_("The server wants encryption or a login first. Please check encryption, user and password.")
_TRY_LATER = N_("The server asks to try again later. Often it does so with senders that it does not know yet.")
_REFUSED = N_("The server refused the letter.")
_CONNECTION_LOST = N_("The server took the letter but never answered. It may have been sent.")


def send_test_letter(to: User, now: datetime) -> SmtpTestResult:
    """Send a test letter to an administrator and say how it went. Not for the practice outbox, not in a transaction."""
    force = load_settings()
    letter = _create_letter(to, force, now)
    found, state = _try_send(letter, force, now)
    Letter.update(state=state, done_at=now, text=found.said[:500]).where(
        Letter.id == letter.id, Letter.state == "waiting"
    ).execute()
    audit.log_action(to, "organization.tested", detail={"well": found.well})
    return found


def _create_letter(to: User, force: Settings, now: datetime) -> Letter:
    """Write the letter's row; the senders must not take it."""
    with db.atomic():
        made = notify("test", to, now, to_name="")
        Letter.update(next_attempt_at=now + timedelta(days=1)).where(Letter.id == made.id).execute()
    return Letter.get_by_id(made.id)


def _try_send(letter: Letter, force: Settings, now: datetime) -> tuple[SmtpTestResult, str]:
    assert force.route  # noqa: S101
    raw = RenderCache(force).render(letter, False, now)
    if not force.own.mailbox:
        config = ground.current_config()
        raw = DkimSigner(config.dkim_selector, force.mail_domain, config.key("dkim.pem")).sign(raw)
    line = SmtpConnection(force.route, force.mail_domain, TIMEOUT_S)
    try:
        reply = line.send(force.own.return_path(letter.id, force.secret), letter.address, raw)
    except Unreachable as trouble:
        return SmtpTestResult(False, trouble.message, trouble.detail), "cancelled"
    except OutcomeUnknown:
        return SmtpTestResult(False, _CONNECTION_LOST), "unknown"
    finally:
        line.close()
    return SmtpTestResult(reply.accepted, explain_reply(reply), f"{reply.code} {reply.text}"), _state(reply)


def _state(reply: SmtpReply) -> str:
    return "accepted" if reply.accepted else "refused"


def explain_reply(reply: SmtpReply) -> str:
    """Return what a server's answer to a test letter means for whoever sets the server up."""
    if reply.accepted:
        return _ACCEPTED
    said = reply.text.lower()
    if reply.code in (530, 534, 538) or "starttls" in said:
        return _NEEDS_TLS_OR_LOGIN
    if "relay" in said or "authentication required" in said:
        return _RELAY_DENIED
    if reply.phase == "mail" or reply.enhanced in ("5.1.7", "5.1.8", "5.7.60") or _is_sender_rejected(said):
        return _SENDER_NOT_ALLOWED
    return _TRY_LATER if reply.deferred else _REFUSED


def _is_sender_rejected(said: str) -> bool:
    return "sender" in said or "not owned by" in said or "send as" in said
