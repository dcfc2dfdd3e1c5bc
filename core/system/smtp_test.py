"""Send a test letter while an administrator waits, and explain the server's reply.

The queue sends all other letters; here the result must say at once which field of the form is wrong.
"""

from datetime import datetime, timedelta

from config import current_config
from core import audit
from core.notices.rendering import RenderCache
from core.notifications.notify import notify
from core.settings import Settings, load_settings
from core.system.diagnostics import CheckResult
from database import db
from i18n import N_
from mail.dkim_signer import DkimSigner
from mail.smtp import OutcomeUnknown, SmtpConnection, SmtpReply, Unreachable
from models import Letter, User

TIMEOUT_S = 15.0

_ACCEPTED = N_("The server took the letter. Look whether it arrives, also in the folder for spam.")
_SENDER_NOT_ALLOWED = N_(
    "The server does not let this login send as %(sender)s. Ask the provider to allow this address."
)
_RELAY_DENIED = N_("The server takes no letters to others from here without a login. Please enter user and password.")
_NEEDS_TLS_OR_LOGIN = N_("The server wants encryption or a login first. Please check encryption, user and password.")
_TRY_LATER = N_("The server asks to try again later. Often it does so with senders that it does not know yet.")
_REFUSED = N_("The server refused the letter.")
_CONNECTION_LOST = N_("The server took the letter but never answered. It may have been sent.")


def send_test_letter(to: User, now: datetime) -> CheckResult:
    """Send a test letter. `found`: the server's reply; `advice`: what it means. Needs a mail server.

    Do not call in a transaction.
    """
    settings = load_settings()
    letter = _create_letter(to, now)
    result, state = _try_send(letter, settings, now)
    Letter.update(state=state, done_at=now, text=result.found[:500]).where(
        Letter.id == letter.id, Letter.state == "waiting"
    ).execute()
    audit.log_action(to, "organization.tested", detail={"well": result.ok})
    return result


def _create_letter(to: User, now: datetime) -> Letter:
    """Create the row; its next attempt is tomorrow, so that no worker claims it."""
    with db.atomic():
        letter = notify("test", to, now, to_name="")
        Letter.update(next_attempt_at=now + timedelta(days=1)).where(Letter.id == letter.id).execute()
    return Letter.get_by_id(letter.id)


def _try_send(letter: Letter, settings: Settings, now: datetime) -> tuple[CheckResult, str]:
    """Return the result and the new state of the letter."""
    assert settings.route  # noqa: S101
    raw = RenderCache(settings).render(letter, False, now)
    if not settings.own.mailbox:
        config = current_config()
        raw = DkimSigner(config.dkim_selector, settings.mail_domain, config.key("dkim.pem")).sign(raw)
    connection = SmtpConnection(settings.route, settings.mail_domain, TIMEOUT_S)
    try:
        reply = connection.send(settings.own.return_path(letter.id, settings.secret), letter.address, raw)
    except Unreachable as error:
        return CheckResult("smtp", False, error.detail, error.message), "cancelled"
    except OutcomeUnknown:
        return CheckResult("smtp", False, "", _CONNECTION_LOST), "unknown"
    finally:
        connection.close()
    result = CheckResult("smtp", reply.accepted, f"{reply.code} {reply.text}", explain_reply(reply))
    return result, "accepted" if reply.accepted else "refused"


def explain_reply(reply: SmtpReply) -> str:
    """Return what the server's reply means for the administrator, as a source string."""
    if reply.accepted:
        return _ACCEPTED
    text = reply.text.lower()
    if reply.code in (530, 534, 538) or "starttls" in text:
        return _NEEDS_TLS_OR_LOGIN
    if "relay" in text or "authentication required" in text:
        return _RELAY_DENIED
    if reply.phase == "mail" or reply.enhanced in ("5.1.7", "5.1.8", "5.7.60") or _is_sender_rejected(text):
        return _SENDER_NOT_ALLOWED
    return _TRY_LATER if reply.deferred else _REFUSED


def _is_sender_rejected(text: str) -> bool:
    return "sender" in text or "not owned by" in text or "send as" in text
