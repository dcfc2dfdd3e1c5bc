"""What a mail system tells us: bounce, delay, complaint, automatic answer, or an ordinary mail after all.

RFC 3464 and 6522 (delivery status), RFC 5965 (complaints), RFC 8098 (read receipts), RFC 3834 (automatic answers).
Half of all bounces have no machine-readable part, a third say "auto-replied": so complaint, delay and bounce are
asked before automatic answers, and text counts as a bounce only with several signs together.
"""

from dataclasses import dataclass, field
from typing import Literal

from mail import dsn, evidence, failed, kinds, mailboxes, returned
from mail.bounce import DEAD
from mail.receive import Arrival
from words import N_

Kind = Literal["bounce", "delayed", "complaint", "auto-reply", "success", "mdn", "ordinary"]

LONGEST_TEXT = 500
"""Characters of a server's words that are kept."""
JUDGED = 5
"""Recipients of one report whose fate is judged; our own letters have one."""

REASONS: dict[str, str] = {
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

    status: enhanced code, "" if none. reason: a class of `mail.bounce.Kind`, of complaints the feedback type of
    RFC 5965 ("abuse", "auth-failure" …), else "". failed: addresses, best guess first. text: the server's words.
    phase and remote: where it happened, as far as known. original: what is known of the mail that came back.
    """

    kind: Kind
    permanent: bool | None = None
    status: str = ""
    reason: str = ""
    failed: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    phase: str = ""
    remote: str = ""
    original: returned.Original = returned.Original()

    @property
    def is_about_a_reader(self) -> bool:
        """Tell whether somebody pressed "spam", not whether a machine reports on us (RFC 6591)."""
        return self.kind == "complaint" and self.reason not in ("auth-failure", "not-spam", "dmarc")


def explain(arrival: Arrival, recipient: str = "") -> Explanation:
    """Say what a mail is. recipient: the address of the letter it came back for, if known. Never raises.

    Of a report about several recipients only what it says about this one counts, if it names it.
    """
    if kinds.is_complaint(arrival):
        return _complaint(arrival)
    human = returned.human(arrival)
    if kinds.is_receipt(arrival):
        refused = kinds.is_refusal_in_a_receipt(arrival, human)
        return _told("bounce", arrival, human, []) if refused else Explanation("mdn")
    blocks = _ours(dsn.delivery_status(arrival.root, human), recipient)
    if blocks and kinds.is_report(arrival):
        return _by_blocks(arrival, human, blocks)
    if kinds.is_bounce(arrival, human):
        return _by_text(arrival, human, blocks)
    if kinds.is_success(arrival, human):
        return Explanation("success")
    return Explanation("auto-reply" if kinds.is_automatic_answer(arrival) else "ordinary")


def _ours(blocks: list[dsn.Block], recipient: str) -> list[dsn.Block]:
    wanted = recipient.lower()
    return [block for block in blocks if wanted in (one.lower() for one in block.recipients)] or blocks


def _complaint(arrival: Arrival) -> Explanation:
    groups = [group for part in dsn.parts(arrival.root, "message/feedback-report") for group in dsn.fields(part.text())]
    fields = {name: value for group in reversed(groups) for name, value in group.items()}
    came_back = returned.original(arrival)
    named = [
        found
        for name in ("original-rcpt-to", "removal-recipient", "final-recipient")
        for found in dsn.addresses(fields.get(name, ""))
    ]
    for part in arrival.root.walk():
        named += mailboxes.addresses(part.field("x-hmxmroriginalrecipient"))
    who = tuple(dict.fromkeys(named or [one for one in came_back.to if not one.startswith("redacted")]))
    return Explanation(
        "complaint", reason=fields.get("feedback-type", "abuse").lower()[:40] or "abuse", failed=who, original=came_back
    )


def _by_blocks(arrival: Arrival, human: str, blocks: list[dsn.Block]) -> Explanation:
    """Read a delivery-status report: a delay if nothing failed yet, a success if all arrived, else a bounce."""
    broken = [block for block in blocks if block.action == "failed"] or [block for block in blocks if not block.action]
    if not broken:
        late = [block for block in blocks if block.action == "delayed"]
        if not late:
            return Explanation("success", status=blocks[0].status, failed=())
        return _told("delayed", arrival, human, late)
    if not any(block.action for block in blocks) and kinds.is_delay(arrival, human):
        return _told("delayed", arrival, human, broken)
    return _told("bounce", arrival, human, broken)


def _by_text(arrival: Arrival, human: str, blocks: list[dsn.Block]) -> Explanation:
    return _told("delayed" if kinds.is_delay(arrival, human) else "bounce", arrival, human, blocks)


def _told(kind: Kind, arrival: Arrival, human: str, blocks: list[dsn.Block]) -> Explanation:
    """Put together what a bounce or a delay says; of several recipients all must be dead to call it permanent."""
    came_back = returned.original(arrival)
    addresses = [address for block in blocks for address in block.recipients] or failed.named(arrival, human)
    who = tuple(dict.fromkeys(addresses or (came_back.to if len(came_back.to) == 1 else ())))[:50]
    domain = who[0].rpartition("@")[2] if who else ""
    findings = [
        evidence.finding(human, arrival.text[len(human) : len(human) + 4000], block, domain)
        for block in blocks[:JUDGED] or [dsn.Block((), "", "", "", "")]
    ]
    dead = [found for found in findings if found.verdict.permanent]
    chosen = findings[0] if len(dead) in (0, len(findings)) else next(f for f in findings if not f.verdict.permanent)
    is_dead = kind == "bounce" and chosen.verdict.permanent
    reason = chosen.verdict.kind
    if kind == "delayed" and reason in DEAD | {"other", "doubtful"}:
        reason = "temporary"
    return Explanation(
        kind, is_dead, chosen.status, reason, who, chosen.text[:LONGEST_TEXT], chosen.phase, chosen.remote, came_back
    )
