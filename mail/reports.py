"""What a mail system tells us: bounce, delay, complaint, automatic answer, or an ordinary mail after all.

RFC 3464 and 6522 (delivery status), RFC 5965 (complaints), RFC 8098 (read receipts), RFC 3834 (automatic answers).
Half of all bounces have no machine-readable part, a third say "auto-replied": so complaint, delay and bounce are
asked before automatic answers, and text counts as a bounce only with several signs together.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from mail import bounce_signs as signs
from mail import dsn, failed, mailboxes, returned
from mail.bounce import DEAD, Refusal, Verdict, by_words, judge
from mail.receive import Arrival
from words import N_

Kind = Literal["bounce", "delayed", "complaint", "auto-reply", "success", "mdn", "ordinary"]

LONGEST_SAID = 500
"""Characters of a server's words that are kept."""

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
    if _is_complaint(arrival):
        return _complaint(arrival)
    if _is_receipt(arrival):
        return Explanation("mdn")
    human = returned.human(arrival)
    blocks = _ours(dsn.delivery_status(arrival.root, human), recipient)
    if blocks and _is_report(arrival):
        return _by_blocks(arrival, human, blocks)
    if is_bounce(arrival, human):
        return _by_text(arrival, human, blocks)
    if _is_success(arrival, human):
        return Explanation("success")
    return Explanation("auto-reply" if is_automatic_answer(arrival) else "ordinary")


def _ours(blocks: list[dsn.Block], recipient: str) -> list[dsn.Block]:
    wanted = recipient.lower()
    return [block for block in blocks if wanted in (one.lower() for one in block.recipients)] or blocks


# ── which kind ───────────────────────────────────────────────────────────────────────────────────────────────────


def _report_type(arrival: Arrival) -> str:
    is_report = arrival.root.kind == "multipart/report"
    return arrival.root.parameters.get("report-type", "").lower() if is_report else ""


def _is_complaint(arrival: Arrival) -> bool:
    """Tell whether a provider reports that somebody took our mail for spam (RFC 5965; Hotmail's plain form)."""
    if _report_type(arrival) == "feedback-report" or any(dsn.parts(arrival.root, "message/feedback-report")):
        return True
    return bool(_PLAIN_COMPLAINT.match(arrival.subject)) and returned.has_original(arrival)


_PLAIN_COMPLAINT = re.compile(r"\s*complaint about message from\b", re.IGNORECASE)


def _is_receipt(arrival: Arrival) -> bool:
    receipt = any(
        dsn.parts(arrival.root, "message/disposition-notification", "message/global-disposition-notification")
    )
    return receipt or _report_type(arrival) == "disposition-notification"


def _is_report(arrival: Arrival) -> bool:
    """Tell whether a delivery-status part is what this mail is, not something that a person sent along."""
    forwarded = signs.REPLY_OR_FORWARD.match(arrival.subject) and not _from_daemon(arrival)
    return arrival.root.kind == "multipart/report" or (
        not forwarded and (_from_daemon(arrival) or _has_null_path(arrival))
    )


def _from_daemon(arrival: Arrival) -> bool:
    named = any(signs.DAEMON.match(address) for address in arrival.from_addresses)
    alone = not arrival.from_addresses and bool(arrival.header("from"))
    return named or bool(signs.DAEMON_NAME.search(arrival.from_name or (arrival.header("from") if alone else "")))


def _has_null_path(arrival: Arrival) -> bool:
    """Tell whether the envelope sender was empty, as far as the mail still shows it (RFC 5321 4.5.5)."""
    path = arrival.header("return-path").strip()
    return path == "<>" or bool(re.match(r"<?mailer-daemon\b", path, re.IGNORECASE))


def is_bounce(arrival: Arrival, human: str) -> bool:
    """Tell whether a mail without a machine-readable part is returned mail.

    It needs a sender or an envelope as mail systems have them, a subject or an opening that says so, and a fact:
    a server's reply, the mail that came back, or the address that failed. From anybody else all of these.
    """
    if arrival.headers("x-failed-recipients"):
        return True
    start = _unquoted(human)[:3000]
    says_so = bool(signs.BOUNCE_SUBJECT.search(arrival.subject))
    opens_so = bool(signs.OPENING.search(start))
    machine = _from_daemon(arrival) or _has_null_path(arrival)
    if not (says_so or opens_so) or (not machine and signs.REPLY_OR_FORWARD.match(arrival.subject)):
        return False
    replies = bool(signs.REPLY_LINE.search(start))
    came_back = returned.has_original(arrival)
    if machine and not _from_daemon(arrival) and signs.AUTO_SUBJECT.match(arrival.subject):
        return False
    if machine:
        facts = replies or came_back or bool(failed.named(arrival, start))
        return facts and (says_so or (opens_so and (replies or came_back)))
    return (
        says_so
        and opens_so
        and came_back
        and (replies or bool(by_words(start[:2000])))
        and not _is_conversation(arrival)
    )


def _is_conversation(arrival: Arrival) -> bool:
    return bool(arrival.header("x-mailer") or arrival.header("user-agent")) or len(arrival.references) > 1


def _unquoted(text: str) -> str:
    return re.sub(r"(?m)^[ \t]{0,3}[>＞|].*$", "", text)


def _is_success(arrival: Arrival, human: str) -> bool:
    """Tell whether a mail system reports in words alone that a letter arrived."""
    says_so = re.search(
        r"success|\brelayed\b|^delivered:|return receipt|delivery receipt|配信完了|送信完了",
        arrival.subject,
        re.IGNORECASE,
    )
    return bool(says_so) and _from_daemon(arrival)


def is_automatic_answer(arrival: Arrival) -> bool:
    """Tell whether a program answered: absence, acknowledgement, challenge (RFC 3834 and what came before it)."""
    submitted = arrival.header("auto-submitted").lower()
    if submitted.startswith(("auto-replied", "auto-notified")) or any(arrival.headers(name) for name in _ANSWER_FIELDS):
        return True
    told = arrival.header("precedence").lower() in ("auto_reply", "auto-reply", "autoreply")
    told = told or "autoresponder" in arrival.header("x-post-messageclass").lower()
    if told or signs.AUTO_SUBJECT.match(arrival.subject[:300]):
        return True
    answers = bool(arrival.in_reply_to or arrival.references) or bool(signs.REPLY_OR_FORWARD.match(arrival.subject))
    if _has_null_path(arrival) and not _from_daemon(arrival) and (answers or submitted.startswith("auto-")):
        return True
    machine = _has_null_path(arrival) or submitted.startswith("auto-") or bool(arrival.header("precedence"))
    return machine and bool(signs.CHALLENGE.search(arrival.subject + "\n" + arrival.text[:1500]))


_ANSWER_FIELDS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-autoreply-from",
    "x-mail-autoreply",
)


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────


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
    if not any(block.action for block in blocks) and _is_delay(arrival, human):
        return _told("delayed", arrival, human, broken)
    return _told("bounce", arrival, human, broken)


def _by_text(arrival: Arrival, human: str, blocks: list[dsn.Block]) -> Explanation:
    return _told("delayed" if _is_delay(arrival, human) else "bounce", arrival, human, blocks)


def _is_delay(arrival: Arrival, human: str) -> bool:
    if signs.DELAY_WORDS.search(arrival.subject):
        return True
    return bool(signs.DELAY_WORDS.search(human[:3000])) and not signs.FINAL_WORDS.search(human[:3000])


def _told(kind: Kind, arrival: Arrival, human: str, blocks: list[dsn.Block]) -> Explanation:
    """Put together what a bounce or a delay says; of several recipients all must be dead to call it permanent."""
    came_back = returned.original(arrival)
    addresses = [address for block in blocks for address in block.recipients] or failed.named(arrival, human)
    who = tuple(dict.fromkeys(addresses or (came_back.to if len(came_back.to) == 1 else ())))[:50]
    domain = who[0].rpartition("@")[2] if who else ""
    findings = [_finding(human, block, domain) for block in blocks or [dsn.Block((), "", "", "", "")]]
    dead = [found for found in findings if found.verdict.permanent]
    chosen = findings[0] if len(dead) in (0, len(findings)) else next(f for f in findings if not f.verdict.permanent)
    is_dead = kind == "bounce" and chosen.verdict.permanent
    reason = chosen.verdict.kind
    if kind == "delayed" and reason in DEAD | {"other"}:
        reason = "temporary"
    return Explanation(
        kind, is_dead, chosen.status, reason, who, chosen.said[:LONGEST_SAID], chosen.phase, chosen.remote, came_back
    )


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: Verdict
    status: str
    said: str
    phase: str
    remote: str


def _finding(human: str, block: dsn.Block, domain: str) -> _Found:
    """Judge one recipient: the server's own words first, then the sentences around them, then the codes alone."""
    own = block.recipients[0].rpartition("@")[2] if block.recipients else domain
    carrier = next((name for name in _CARRIER_REMOTES if block.remote.endswith(name)), own)
    phase = phase_of(f"{block.diagnostic}\n{human}")
    texts = [text for text in (block.diagnostic, *_paragraphs(human, own), human[:4000]) if text.strip()]
    code, status = _codes(texts, block.status)
    for text in texts:
        if by_words(text):
            own_code, own_status = _codes([text], block.status)
            refusal = Refusal(text, own_code or code, own_status or status, phase, carrier)
            return _Found(judge(refusal), own_status or status, _line(text), phase, block.remote)
    found = judge(Refusal(block.diagnostic, code, status, phase, carrier))
    return _Found(found, status, _line(texts[0] if texts else ""), phase, block.remote)


_CARRIER_REMOTES = ("docomo.ne.jp", "ezweb.ne.jp", "au.com", "softbank.ne.jp", "vodafone.ne.jp")


def _line(text: str) -> str:
    return " ".join(text.split())


_CODE = re.compile(
    r"(?:^|[:;>(=\"'][ \t]*|said:?\s|returned:?\s|error:?\s|code:?\s|smtp\s|reply:?\s|was:?\s|<<<\s"
    r"|\s)([45]\d\d)(?=[ -]#?[45]\.\d\.\d|[ -][A-Za-z<\"(\[:#]|[:,]\s|$)",
    re.MULTILINE,
)
_ENHANCED = re.compile(
    r"(?im)(?:[45]\d\d[ -]|#|status:?\s{0,3}|[(<\[]|smtp;\s?|error:?\s|^|said:\s)#?([45]\.[0-7]\.\d{1,3})(?![\d.])"
)


def _codes(texts: list[str], status: str) -> tuple[int, str]:
    """Return reply code and enhanced code: those in the server's words before the Status field."""
    code = next((int(found[1]) for text in texts if (found := _CODE.search(text[:2000]))), 0)
    codes = [found[1] for text in texts for found in _ENHANCED.finditer(text[:2000])]
    codes.append(status)
    exact = next((one for one in codes if one and not one.endswith(".0.0")), "")
    return code, exact or next((one for one in codes if one), "")


def _paragraphs(human: str, domain: str) -> list[str]:
    """Return the paragraphs with facts in them: replies of servers first, then what stands beside an address."""
    cut = [part for part in re.split(r"\n[ \t]*\n", human) if part.strip()][:60]
    replies = [part[:800] for part in cut if signs.REPLY_LINE.search(part[:2000])]
    beside = [part[:800] for part in cut if domain and f"@{domain}" in part.lower()]
    return list(dict.fromkeys([*replies, *beside]))[:12]


_PHASES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("in reply", re.compile(r"(?i)in\s+reply\s+to\s+(?:the\s+)?(end of data|data|rcpt|mail|ehlo|helo|connect)")),
    (
        "exim",
        re.compile(
            r"(?i)(?:after|before|during|at) (?:the )?(end of data|data\b|rcpt|mail from|ehlo|helo|initial connection)"
        ),
    ),
    ("sendmail", re.compile(r"(?i)>>> ?(\.|data|rcpt|mail|ehlo|helo)[^\n]*\n(?:<<< ?[45]\d\d|[^\n]*<<< ?[45]\d\d)")),
    (
        "while",
        re.compile(
            r"(?i)(?:while (?:sending|talking)|response to|issuing|command:?"
            r"|error (?:in|on)) (?:the )?(end of data|message body|data\b|rcpt|mail from)"
        ),
    ),
    ("received", re.compile(r"(?i)sent <<< (data|rcpt|mail|\.)")),
    ("qmail", re.compile(r"(?i)(failed after i sent the message|does not like recipient|but sender was rejected)")),
    ("google", re.compile(r"\(state (\d{1,2})\)")),
)
_PHASE_NAMES = {
    **dict.fromkeys(
        ("end of data", ".", "message body", "failed after i sent the message", "15", "16", "17", "18"), "end"
    ),
    **dict.fromkeys(("rcpt", "does not like recipient", "14"), "rcpt"),
    **dict.fromkeys(
        ("mail", "mail from", "ehlo", "helo", "but sender was rejected", "connect", "initial connection"), "mail"
    ),
    "data": "data",
}


def phase_of(text: str) -> str:
    """Return the SMTP command after which a server refused: "mail", "rcpt", "data", "end", "" if it does not show."""
    for _, pattern in _PHASES:
        if found := pattern.search(text):
            return _PHASE_NAMES.get(found[1].lower(), "")
    return ""
