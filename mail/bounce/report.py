"""What a mail system tells us: bounce, delay, complaint, automatic answer, or an ordinary mail after all.

RFC 3464 and 6522 (delivery status), RFC 5965 (complaints), RFC 8098 (read receipts), RFC 3834 (automatic answers).
Half of all bounces have no machine-readable part, a third say "auto-replied": so complaint, delay and bounce are
asked before automatic answers, and text counts as a bounce only with several signs together.
"""

from dataclasses import dataclass, field
from typing import Literal

from i18n import N_
from mail import address_list
from mail.bounce import dsn, dsn_status, failed_recipients, original_part, report_type
from mail.bounce.verdict import DEAD_ADDRESS_REASONS
from mail.message import ParsedMessage

ReportKind = Literal["bounce", "delayed", "complaint", "auto-reply", "success", "mdn", "ordinary"]

MAX_TEXT_CHARS = 500
"""Characters of a server's words that are kept."""
MAX_JUDGED_RECIPIENTS = 5
"""Recipients of one report whose fate is judged; our own letters have one."""

REASON_TEXTS: dict[str, str] = {
    "unknown_user": N_("There is no such address."),
    "unknown_host": N_("There is no such mail domain."),
    "moved": N_("The address has moved."),
    "closed": N_("That system takes no mail."),
    "full": N_("The mailbox is full."),
    "too_large": N_("The mail was too large."),
    "filtered": N_("Refused by the recipient's own settings."),
    "suspended": N_("The account is not in use now."),
    "policy": N_("Refused by a rule of the receiving server: the sending side is not trusted."),
    "temporary": N_("The server was busy or could not be reached."),
    "doubtful": N_("The server does not know the address, but does not say that for good."),
    "other": N_("The server gave no clear reason."),
}
"""Sentences for the reasons of bounces and delays."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a mail is. permanent: what this one mail says of the address; None where it says nothing of it.

    status: enhanced code, "" if none. reason: a class of `mail.bounce.verdict.BounceReason`, of complaints the feedback type of
    RFC 5965 ("abuse", "auth-failure" …), else "". failed: addresses, best guess first. text: the server's words.
    phase and remote: where it happened, as far as known. original: what is known of the mail that came back.
    """

    kind: ReportKind
    permanent: bool | None = None
    status: str = ""
    reason: str = ""
    failed: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    phase: str = ""
    remote: str = ""
    original: original_part.OriginalMessage = original_part.OriginalMessage()

    @property
    def is_about_a_reader(self) -> bool:
        """Tell whether somebody pressed "spam", not whether a machine reports on us (RFC 6591)."""
        return self.kind == "complaint" and self.reason not in ("auth-failure", "not-spam", "dmarc")


def explain_message(arrival: ParsedMessage, recipient: str = "") -> Explanation:
    """Say what a mail is. recipient: the address of the letter it came back for, if known. Never raises.

    Of a report about several recipients only what it says about this one counts, if it names it.
    """
    if report_type.is_complaint(arrival):
        return _read_complaint(arrival)
    human = original_part.server_text(arrival)
    if report_type.is_read_receipt(arrival):
        refused = report_type.is_refusal_receipt(arrival, human)
        return _build_explanation("bounce", arrival, human, []) if refused else Explanation("mdn")
    blocks = _statuses_for_recipient(dsn.read_delivery_status(arrival.root, human), recipient)
    if blocks and report_type.is_delivery_report(arrival):
        return _read_delivery_report(arrival, human, blocks)
    if report_type.is_bounce(arrival, human):
        return _read_plain_bounce(arrival, human, blocks)
    if report_type.is_success(arrival, human):
        return Explanation("success")
    return Explanation("auto-reply" if report_type.is_auto_reply(arrival) else "ordinary")


def _statuses_for_recipient(blocks: list[dsn.RecipientStatus], recipient: str) -> list[dsn.RecipientStatus]:
    wanted = recipient.lower()
    return [block for block in blocks if wanted in (one.lower() for one in block.recipients)] or blocks


def _read_complaint(arrival: ParsedMessage) -> Explanation:
    groups = [
        group
        for part in dsn.find_parts(arrival.root, "message/feedback-report")
        for group in dsn.parse_field_groups(part.text())
    ]
    fields = {name: value for group in reversed(groups) for name, value in group.items()}
    came_back = original_part.find_original_message(arrival)
    named = [
        found
        for name in ("original-rcpt-to", "removal-recipient", "final-recipient")
        for found in dsn.recipient_addresses(fields.get(name, ""))
    ]
    for part in arrival.root.walk():
        named += address_list.find_addresses(part.field("x-hmxmroriginalrecipient"))
    who = tuple(dict.fromkeys(named or [one for one in came_back.to if not one.startswith("redacted")]))
    return Explanation(
        "complaint", reason=fields.get("feedback-type", "abuse").lower()[:40] or "abuse", failed=who, original=came_back
    )


def _read_delivery_report(arrival: ParsedMessage, human: str, blocks: list[dsn.RecipientStatus]) -> Explanation:
    """Read a delivery-status report: a delay if nothing failed yet, a success if all arrived, else a bounce."""
    broken = [block for block in blocks if block.action == "failed"] or [block for block in blocks if not block.action]
    if not broken:
        late = [block for block in blocks if block.action == "delayed"]
        if not late:
            return Explanation("success", status=blocks[0].status, failed=())
        return _build_explanation("delayed", arrival, human, late)
    if not any(block.action for block in blocks) and report_type.is_delay(arrival, human):
        return _build_explanation("delayed", arrival, human, broken)
    return _build_explanation("bounce", arrival, human, broken)


def _read_plain_bounce(arrival: ParsedMessage, human: str, blocks: list[dsn.RecipientStatus]) -> Explanation:
    return _build_explanation("delayed" if report_type.is_delay(arrival, human) else "bounce", arrival, human, blocks)


def _build_explanation(
    kind: ReportKind, arrival: ParsedMessage, human: str, blocks: list[dsn.RecipientStatus]
) -> Explanation:
    """Put together what a bounce or a delay says; of several recipients all must be dead to call it permanent."""
    came_back = original_part.find_original_message(arrival)
    addresses = [
        address for block in blocks for address in block.recipients
    ] or failed_recipients.find_failed_addresses(arrival, human)
    who = tuple(dict.fromkeys(addresses or (came_back.to if len(came_back.to) == 1 else ())))[:50]
    domain = who[0].rpartition("@")[2] if who else ""
    findings = [
        dsn_status.judge_recipient(human, arrival.text[len(human) : len(human) + 4000], block, domain)
        for block in blocks[:MAX_JUDGED_RECIPIENTS] or [dsn.RecipientStatus((), "", "", "", "")]
    ]
    dead = [found for found in findings if found.verdict.permanent]
    chosen = findings[0] if len(dead) in (0, len(findings)) else next(f for f in findings if not f.verdict.permanent)
    is_dead = kind == "bounce" and chosen.verdict.permanent
    reason = chosen.verdict.kind
    if kind == "delayed" and reason in DEAD_ADDRESS_REASONS | {"other", "doubtful"}:
        reason = "temporary"
    return Explanation(
        kind, is_dead, chosen.status, reason, who, chosen.text[:MAX_TEXT_CHARS], chosen.phase, chosen.remote, came_back
    )
