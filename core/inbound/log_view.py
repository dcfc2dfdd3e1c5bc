"""The log of incoming mail for administrators: labels for kind, outcome and reason, and the views of the page."""

from typing import TYPE_CHECKING

from core.inbound import spool
from core.inbound.post_by_mail import HOLD_REASONS
from i18n import N_
from models import InboundMessage

if TYPE_CHECKING:
    from models import Rows

KIND_LABELS: dict[str, str] = {
    "post": N_("To all members"),
    "stray": N_("From somebody who may not post"),
    "join": N_("To join"),
    "leave": N_("To leave"),
    "reply": N_("Reply to a letter"),
    "bounce": N_("Report of a mail server"),
    "complaint": N_("Reported as spam"),
    "automatic": N_("Automatic answer"),
    "machine": N_("From a machine"),
    "loop": N_("Our own mail, come back"),
    "house": N_("To the administrators"),
    "": N_("Not read yet"),
}
OUTCOME_LABELS: dict[str, str] = {
    "done": N_("Done"),
    "held": N_("Waits for somebody"),
    "silent": N_("Not answered"),
    "dropped": N_("Nothing done"),
    "failed": N_("Will be read again"),
    "quarantined": N_("Could not be read"),
}
REASON_TEXTS: dict[str, str] = {
    **HOLD_REASONS,
    "stranger": N_("The address may not post to this list. The managers have been told."),
    "forged": N_("The mail bears a sender's address, but does not come from that mail provider."),
    "two senders": N_("The mail does not name exactly one sender."),
    "unproven": N_("Nothing proves that the mail is from this address, so nothing was answered."),
    "waits": N_("More registrations than usual: it waits for its turn."),
    "too many joins": N_("More registrations than usual, and nothing proves this one: nothing was done."),
    "pending": N_("A manager must approve it."),
    "already": N_("The address is registered already."),
    "code": N_("It carried a valid code."),
    "asked to confirm": N_("A link to confirm has been sent."),
    "too often": N_("The address asked too often."),
    "too many": N_("Too many mails from this address waited already."),
    "no return tag": N_("The report does not contain the mark of the letter's return path, so it changed nothing."),
    "no member": N_("The address is in no list."),
    "old letter": N_("It answers a letter that is no longer here."),
    "empty": N_("The mail holds no words."),
    "placeholders": N_("Words of the template 〔…〕 are not filled in."),
    "new roster": N_("The list waits for its new roster. The sender has been told."),
    "doubtful reply": N_("Nothing proves that the mail is from this address. It is shown with a warning."),
    "nobody": N_("Nobody in the list can receive mail. The sender has been told."),
}
VIEW_LABELS: dict[str, str] = {
    "look": N_("To be looked at"),
    "people": N_("From people"),
    "machines": N_("From machines"),
    "all": N_("All"),
}
_AUTOMATED_KINDS = ("bounce", "complaint", "automatic", "machine", "loop")


def list_messages(view: str) -> "Rows[InboundMessage]":
    """Return the messages of a view, newest first."""
    rows = InboundMessage.select().order_by(InboundMessage.id.desc())
    if view == "look":
        return rows.where(
            InboundMessage.outcome.in_(("quarantined", "failed"))
            | (InboundMessage.kind.in_(("stray", "house")) & (InboundMessage.outcome == "held"))
            | (InboundMessage.kind.in_(("post", "join")) & InboundMessage.outcome.in_(("silent", "dropped")))
        )
    if view == "people":
        return rows.where(InboundMessage.kind.in_(("post", "stray", "join", "leave", "reply", "house")))
    return rows.where(InboundMessage.kind.in_(_AUTOMATED_KINDS)) if view == "machines" else rows


def read_raw_message(row: InboundMessage) -> bytes | None:
    """Return the raw message of a row; None after 30 days."""
    return spool.read_raw(row.file) if row.file else None
