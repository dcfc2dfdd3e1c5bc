"""Explain a message from a mail system: bounce, delay, complaint, automatic reply, or an ordinary message.

RFC 3464 and 6522 (delivery status), RFC 5965 (complaints), RFC 8098 (read receipts), RFC 3834 (automatic replies),
RFC 3463 (status codes). Half of all bounces have no machine-readable part, and a third say "auto-replied".
Therefore complaint, delay and bounce are tested before automatic reply, and text counts as a bounce only with
several signs together.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from i18n import N_
from mail import address
from mail.bounce import dsn, phrases
from mail.bounce.verdict import (
    DEAD_ADDRESS_REASONS,
    Refusal,
    Verdict,
    is_mobile_carrier,
    judge_refusal,
    reason_from_text,
)
from mail.message import ParsedMessage

# ── the type of a report ─────────────────────────────────────────────────────────────────────────────────────────────


def _report_type(parsed: ParsedMessage) -> str:
    is_report = parsed.root.kind == "multipart/report"
    return parsed.root.parameters.get("report-type", "").lower() if is_report else ""


def is_complaint(parsed: ParsedMessage) -> bool:
    """Tell whether a provider reports our mail as spam (RFC 5965; Hotmail's plain form)."""
    if _report_type(parsed) == "feedback-report" or any(dsn.find_parts(parsed.root, "message/feedback-report")):
        return True
    return bool(_PLAIN_COMPLAINT.match(parsed.subject)) and dsn.has_original_message(parsed)


_PLAIN_COMPLAINT = re.compile(r"\s*complaint about message from\b", re.IGNORECASE)


def is_read_receipt(parsed: ParsedMessage) -> bool:
    receipt = any(
        dsn.find_parts(parsed.root, "message/disposition-notification", "message/global-disposition-notification")
    )
    return receipt or _report_type(parsed) == "disposition-notification"


def is_refusal_receipt(parsed: ParsedMessage, human: str) -> bool:
    """Tell whether a receipt reports a refusal by filter or quota (RFC 5429 2.1.2; older Dovecot)."""
    disposition = " ".join(
        part.text()[:4000] for part in dsn.find_parts(parsed.root, "message/disposition-notification")
    )
    refused = re.search(r"(?i)automatic-action.{0,60};\s*(?:deleted|failed|denied)", disposition)
    return bool(refused) and bool(_REFUSED.search(human[:1000]))


_REFUSED = re.compile(r"(?i)(?:automatically|was|been) (?:rejected|refused|returned)|(?:not|n't) (?:be )?delivered")


def is_delivery_report(parsed: ParsedMessage) -> bool:
    """Tell whether the message is a delivery report, not a person's message that encloses one."""
    forwarded = phrases.REPLY_OR_FORWARD.match(parsed.subject) and not is_from_mailer_daemon(parsed)
    return parsed.root.kind == "multipart/report" or (
        not forwarded and (is_from_mailer_daemon(parsed) or has_null_return_path(parsed))
    )


def is_from_mailer_daemon(parsed: ParsedMessage) -> bool:
    if any(phrases.DAEMON_ADDRESS.match(sender) for sender in parsed.from_addresses):
        return True
    named = parsed.from_name or ("" if parsed.from_addresses else parsed.header("from")).strip()
    if named.endswith("<>"):
        return True
    signed = has_null_return_path(parsed) or not parsed.headers("return-path")
    return signed and bool(phrases.DAEMON_NAME.search(named))


def has_null_return_path(parsed: ParsedMessage) -> bool:
    """Tell whether the envelope sender was empty, as far as the message shows it (RFC 5321 4.5.5)."""
    path = parsed.header("return-path").strip()
    return path == "<>" or bool(re.match(r"<?mailer-daemon\b", path, re.IGNORECASE))


def is_bounce(parsed: ParsedMessage, human: str) -> bool:
    """Tell whether a message without machine-readable part is a bounce. human: its text without the original.

    It needs three signs: a sender or envelope of a mail system; a subject or opening of a report; and a server reply,
    the returned message, or the failed address. Any other sender needs all of these.
    """
    if parsed.headers("x-failed-recipients"):
        return True
    start = _unquoted(human)[:3000]
    says_so = bool(phrases.BOUNCE_SUBJECT.search(parsed.subject) or phrases.DELAY_WORDS.search(parsed.subject))
    opens_so = bool(phrases.BOUNCE_OPENING.search(start))
    if not (says_so or opens_so):
        return False
    replies = bool(phrases.SMTP_REPLY_LINE.search(start))
    original = dsn.has_original_message(parsed)
    if is_from_mailer_daemon(parsed) or _report_type(parsed) == "delivery-status":
        return replies or original or bool(dsn.find_failed_addresses(parsed, start))
    if has_null_return_path(parsed):
        facts = replies or original or (says_so and bool(dsn.find_failed_addresses(parsed, start)))
        return facts and not phrases.AUTO_SUBJECT.match(parsed.subject)
    if phrases.REPLY_OR_FORWARD.match(parsed.subject) or _is_conversation(parsed):
        return False
    return says_so and opens_so and original and (replies or bool(reason_from_text(start[:2000])))


def _is_conversation(parsed: ParsedMessage) -> bool:
    return bool(parsed.header("x-mailer") or parsed.header("user-agent")) or len(parsed.references) > 1


def _unquoted(text: str) -> str:
    return re.sub(r"(?m)^[ \t]{0,3}[>＞|].*$", "", text)


def is_success(parsed: ParsedMessage, human: str) -> bool:
    """Tell whether a mail system reports a delivery in free text."""
    says_so = re.search(
        r"success|\brelayed\b|^delivered:|return receipt|delivery receipt|配信完了|送信完了",
        parsed.subject,
        re.IGNORECASE,
    )
    return bool(says_so) and is_from_mailer_daemon(parsed)


def is_auto_reply(parsed: ParsedMessage) -> bool:
    """Tell whether a program answered: absence, acknowledgement, challenge (RFC 3834 and older forms)."""
    submitted = parsed.header("auto-submitted").lower()
    if submitted.startswith(("auto-replied", "auto-notified")) or any(
        parsed.headers(name) for name in _AUTO_REPLY_HEADERS
    ):
        return True
    told = parsed.header("precedence").lower() in ("auto_reply", "auto-reply", "autoreply")
    told = told or "autoresponder" in parsed.header("x-post-messageclass").lower()
    if told or phrases.AUTO_SUBJECT.match(parsed.subject[:300]):
        return True
    if is_from_mailer_daemon(parsed):
        return False
    if any(parsed.headers(name) for name in _LIST_HEADERS):
        return False
    if has_null_return_path(parsed) and len(parsed.text) < MAX_AUTO_REPLY_CHARS:
        return True
    machine = _has_automatic_signs(parsed)
    if machine and (parsed.in_reply_to or parsed.references or phrases.REPLY_OR_FORWARD.match(parsed.subject)):
        return True
    return machine and bool(phrases.CHALLENGE_WORDS.search(f"{parsed.subject}\n{parsed.text[:1500]}"))


MAX_AUTO_REPLY_CHARS = 3000
"""A longer message with empty envelope sender is a misdirected newsletter."""


def _has_automatic_signs(parsed: ParsedMessage) -> bool:
    """Tell whether a program sent this. Old mailing lists mark letters of people "Precedence: bulk"."""
    suppressed = parsed.header("x-auto-response-suppress").lower()
    if parsed.header("auto-submitted").lower().startswith("auto-") or re.search(
        r"\b(?:oof|autoreply|all)\b", suppressed
    ):
        return True
    written = any(parsed.headers(name) for name in ("sender", "user-agent", "x-mailer", "x-loop"))
    return parsed.header("precedence").lower() in ("bulk", "junk") and not written


_LIST_HEADERS = ("list-id", "list-post", "list-unsubscribe", "mailing-list")
_AUTO_REPLY_HEADERS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-autoreply-from",
    "x-mail-autoreply",
)


def is_delay(parsed: ParsedMessage, human: str) -> bool:
    if phrases.DELAY_WORDS.search(parsed.subject):
        return True
    return bool(phrases.DELAY_WORDS.search(human[:3000])) and not phrases.FINAL_WORDS.search(human[:3000])


# ── the verdict on one recipient ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class RecipientFinding:
    """The judgement of one recipient. text: the server's text, one line; phase, remote: "" if unknown."""

    verdict: Verdict
    status: str
    text: str
    phase: str
    remote: str


def judge_recipient(human: str, behind: str, block: dsn.RecipientStatus, domain: str) -> RecipientFinding:
    """Judge one recipient: by the server's own text, then by the sentences around it, then by the codes alone.

    human: the server's text; behind: the rest of the message, used only if all else gives no reason. Codes in
    Diagnostic-Code count before the Status field, and that before codes in text.
    """
    own = block.recipients[0].rpartition("@")[2] if block.recipients else domain
    carrier = next((name for name in _CARRIER_REMOTES if name in block.remote), own)
    phase = smtp_phase_of(f"{block.diagnostic}\n{human}")
    texts = _texts_to_judge(human, block, carrier)
    code, status = _codes(texts, block.status)
    if behind and not status and not any(reason_from_text(_text_around_replies(text)) for text in texts):
        texts += [text for text in _paragraphs(behind, "") if _CODE.match(text)]
        code, status = _codes(texts, block.status)
    for text in texts:
        judged = text if text is block.diagnostic else _text_around_replies(text)
        if reason_from_text(judged):
            own_code, own_status = _codes([text], block.status)
            refusal = Refusal(judged, own_code or code, own_status or status, phase, carrier)
            return RecipientFinding(judge_refusal(refusal), own_status or status, _one_line(text), phase, block.remote)
    found = judge_refusal(Refusal(block.diagnostic, code, status, phase, carrier))
    return RecipientFinding(found, status, _one_line(texts[0] if texts else ""), phase, block.remote)


def _texts_to_judge(human: str, block: dsn.RecipientStatus, domain: str) -> list[str]:
    """Return the texts to judge by, most exact first. Carriers tell the truth beside the server's reply."""
    human = _GENERIC_REPLY.sub("", _COMMAND.sub("", human))
    whole = human[:4000]
    near = _paragraphs(human, domain)
    if (
        is_mobile_carrier(domain)
        and not block.diagnostic
        and reason_from_text(_text_around_replies(whole)) not in ("", "policy", "unknown_user")
    ):
        near = [whole]
    return [text for text in (block.diagnostic, *near, whole) if text.strip()]


def _text_around_replies(text: str) -> str:
    """Return a server reply unchanged; of other text only what precedes a reply on its line.

    Words before and after a reply form no sentence.
    """
    if _CODE.match(text):
        return text
    return "\n".join(line[: found.start(1)] if (found := _CODE.search(line)) else line for line in text.split("\n"))


# Commands of the reporting server in a transcript are no evidence ("EHLO …" looks like a complaint).
_COMMAND = re.compile(
    r"(?im)^[ \t]{0,12}(?:[<>]{1,3} ?|[CS]: ?)?(?:EHLO|HELO|QUIT|RSET|DATA|BDAT [^\n]{0,40})(?: [!-~]{1,255})?$"
)

# Sendmail's own last line about any failure of its delivery program or of the remote server.
_GENERIC_REPLY = re.compile(
    r"(?im)^[ \t]{0,8}554 (?:5\.\d\.\d )?(?:<[^<>\n]{1,255}>(?:\.\.\.|,)? ?)?Service unavailable[ \t]*$"
)

_CARRIER_REMOTES = ("docomo.ne.jp", "ezweb.ne.jp", "au.com", "softbank.ne.jp", "vodafone.ne.jp")


def _one_line(text: str) -> str:
    return " ".join(text.split())


_CODE = re.compile(
    r"(?:^|[\s:;>(=\"'])([45]\d\d)(?=[ -]#?[45]\.\d\.\d|[ -][A-Za-z<\"(\[:#\u3040-\u9fff]|[:,]\s|$)", re.MULTILINE
)
_ENHANCED = re.compile(
    r"(?im)(?:[45]\d\d[ -]|#|status:?\s{0,3}|[(<\[]|smtp;\s?|error:?\s|^|said:\s)#?([45]\.[0-7]\.\d{1,3})(?![\d.])"
)


def _codes(texts: list[str], status: str) -> tuple[int, str]:
    """Return reply code and enhanced code: those in the server's text before the Status field."""
    code = next((int(found[1]) for text in texts if (found := _CODE.search(text[:2000]))), 0)
    codes = [found[1] for text in texts for found in _ENHANCED.finditer(text[:2000])]
    codes.append(status)
    exact = next((one for one in codes if one and not one.endswith(".0.0")), "")
    return code, exact or next((one for one in codes if one), "")


def _paragraphs(human: str, domain: str) -> list[str]:
    """Return the paragraphs with facts: server replies, then text beside an address."""
    cut = [part[:800] for part in re.split(r"\n[ \t]*\n", human) if part.strip()][:60]
    replies = [part for part in cut if phrases.SMTP_REPLY_LINE.search(part)]
    replied = [
        reply for part in replies if (found := _CODE.search(part)) for reply in _split_replies(part[found.start(1) :])
    ]
    beside = [part for part in cut if domain and f"@{domain}" in part.lower()]
    return list(dict.fromkeys([*replied, *replies, *beside]))[:16]


def _split_replies(text: str) -> list[str]:
    """Split a transcript where a line begins with another reply code."""
    parts = [""]
    for line in text.split("\n"):
        code = _LINE_CODE.match(line)
        if code and parts[-1] and not parts[-1].startswith(code[1]):
            parts.append("")
        parts[-1] += f"{line[code.start(1) :] if code else line}\n"
    return [part.rstrip("\n") for part in parts if not part.startswith("2")][:8]


_LINE_CODE = re.compile(r"[ \t]{0,8}(?:<<< )?([245]\d\d)[ -]")


# Postfix, Exim, Sendmail, several gateways, InterScan, qmail, and the states that Gmail numbered.
_PHASES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"in\s+reply\s+to\s+(?:the\s+)?(end of data|data|rcpt|mail|ehlo|helo|connect)",
        r"(?:after|before|during|at) (?:the )?(end of data|data\b|rcpt|mail from|ehlo|helo|initial connection)",
        r">>> ?(\.|data|rcpt|mail|ehlo|helo)[^\n]*\n[^\n]{0,80}<<< ?[45]\d\d",
        r"(?:while sending|response to|issuing|command:?|error (?:in|on)) (?:the )?"
        r"(end of data|message body|data\b|rcpt|mail from)",
        r"sent <<< (data|rcpt|mail|\.)",
        r"(failed after i sent the message|does not like recipient|but sender was rejected)",
        r"\(state (\d{1,2})\)",
    )
)
_END = ("end of data", ".", "message body", "failed after i sent the message", "15", "16", "17", "18")
_MAIL = ("mail", "mail from", "ehlo", "helo", "but sender was rejected", "connect", "initial connection")
_PHASE_NAMES = {
    **dict.fromkeys(_END, "end"),
    **dict.fromkeys(_MAIL, "mail"),
    **dict.fromkeys(("rcpt", "does not like recipient", "14"), "rcpt"),
    "data": "data",
}


def smtp_phase_of(text: str) -> str:
    """Return the refused SMTP command: "mail", "rcpt", "data", "end"; "" if unknown."""
    for pattern in _PHASES:
        if found := pattern.search(text):
            phase = _PHASE_NAMES.get(found[1].lower(), "")
            return "rcpt" if phase == "data" and _NO_RECIPIENT_LEFT.search(text) else phase
    return ""


# With pipelining, the answer to RCPT follows DATA.
_NO_RECIPIENT_LEFT = re.compile(r"(?im)^<<< 5\d\d[^\n]{0,80}(?:no (?:valid )?recipients?|need rcpt)")


# ── the explanation ──────────────────────────────────────────────────────────────────────────────────────────────────

ReportKind = Literal["bounce", "delayed", "complaint", "auto-reply", "success", "mdn", "ordinary"]

MAX_TEXT_CHARS = 500
"""Longer server texts are cut."""
MAX_JUDGED_RECIPIENTS = 5
"""Further recipients are not judged; our letters have one."""

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


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a message. permanent: what it says of the address; None if nothing.

    status: enhanced code, "" if none. reason: a `mail.bounce.phrases.BounceReason`; of complaints the feedback type
    of RFC 5965 ("abuse", "auth-failure" …); else "". failed: addresses, best guess first. text: the server's text.
    phase, remote: where it happened, if known. original: what is known of the returned message.
    """

    kind: ReportKind
    permanent: bool | None = None
    status: str = ""
    reason: str = ""
    failed: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    phase: str = ""
    remote: str = ""
    original: dsn.OriginalMessage = dsn.OriginalMessage()

    @property
    def is_about_a_reader(self) -> bool:
        """Tell whether a reader reported spam, not a machine our authentication (RFC 6591)."""
        return self.kind == "complaint" and self.reason not in ("auth-failure", "not-spam", "dmarc")


def explain_message(parsed: ParsedMessage, recipient: str = "") -> Explanation:
    """Explain a message. recipient: the address of the letter, if known. Never raises.

    Of a report about several recipients, only the status of this one counts, if it is named.
    """
    if is_complaint(parsed):
        return _read_complaint(parsed)
    if notification := dsn.read_json_notification(parsed.text):
        return _read_notification(parsed, notification)
    human = dsn.server_text(parsed)
    if is_read_receipt(parsed):
        refused = is_refusal_receipt(parsed, human)
        return _build_explanation("bounce", parsed, human, []) if refused else Explanation("mdn")
    blocks = _statuses_for_recipient(dsn.read_delivery_status(parsed.root, human), recipient)
    if blocks and is_delivery_report(parsed):
        return _read_delivery_report(parsed, human, blocks)
    if is_bounce(parsed, human):
        return _read_plain_bounce(
            parsed, human, blocks or _statuses_for_recipient(_statuses_in_text(parsed, human), recipient)
        )
    if is_success(parsed, human):
        return Explanation("success")
    return Explanation("auto-reply" if is_auto_reply(parsed) else "ordinary")


def _statuses_for_recipient(blocks: list[dsn.RecipientStatus], recipient: str) -> list[dsn.RecipientStatus]:
    wanted = recipient.lower()
    return [block for block in blocks if wanted in (one.lower() for one in block.recipients)] or blocks


def _statuses_in_text(parsed: ParsedMessage, human: str) -> list[dsn.RecipientStatus]:
    """Return the statuses of several recipients of a free text, [] unless each has a text of its own.

    Addresses that stand together share the text behind the last.
    """
    wanted = set(dsn.find_failed_addresses(parsed, human))
    starts = {
        match[1]: match.start()
        for match in reversed(list(dsn.ADDRESS_AT_LINE_START.finditer(human[:MAX_HUMAN_CHARS])))
        if match[1] in wanted
    }
    if not 2 <= len(starts) <= MAX_JUDGED_RECIPIENTS:
        return []
    found: list[dsn.RecipientStatus] = []
    end, behind = MAX_HUMAN_CHARS, ""
    for recipient, start in sorted(starts.items(), key=lambda item: -item[1]):
        text = human[start:end]
        behind = text if reason_from_text(_text_around_replies(text)) or _CODE.search(text) else behind
        if not behind:
            return []
        code = _CODE.search(behind)
        said = _split_replies(behind[code.start(1) :])[0] if code else behind
        found.insert(0, dsn.RecipientStatus((recipient,), "", "", said, ""))
        end = start
    return found


MAX_HUMAN_CHARS = 4000
"""Statuses of several recipients are looked for in so much of a free text."""


def _read_complaint(parsed: ParsedMessage) -> Explanation:
    groups = [
        group
        for part in dsn.find_parts(parsed.root, "message/feedback-report")
        for group in dsn.parse_field_groups(part.text())
    ]
    fields = {name: value for group in reversed(groups) for name, value in group.items()}
    original = dsn.find_original_message(parsed)
    named = [
        found
        for name in ("original-rcpt-to", "removal-recipient", "final-recipient")
        for found in dsn.recipient_addresses(fields.get(name, ""))
    ]
    for part in parsed.root.walk():
        named += address.find_addresses(part.field("x-hmxmroriginalrecipient"))
    who = tuple(dict.fromkeys(named or [one for one in original.to if not one.startswith("redacted")]))
    return Explanation(
        "complaint", reason=fields.get("feedback-type", "abuse").lower()[:40] or "abuse", failed=who, original=original
    )


def _read_delivery_report(parsed: ParsedMessage, human: str, blocks: list[dsn.RecipientStatus]) -> Explanation:
    """Explain a delivery report: delayed if nothing failed yet, success if all arrived, else a bounce."""
    broken = [block for block in blocks if block.action == "failed"] or [block for block in blocks if not block.action]
    broken = broken or [
        block for block in blocks if block.action == "delayed" and _EXPIRED.search(block.diagnostic or human)
    ]
    if not broken:
        late = [block for block in blocks if block.action == "delayed"]
        if not late:
            return Explanation("success", status=blocks[0].status, failed=())
        return _build_explanation("delayed", parsed, human, late)
    if not any(block.action for block in blocks) and is_delay(parsed, human):
        return _build_explanation("delayed", parsed, human, broken)
    return _build_explanation("bounce", parsed, human, broken)


def _read_notification(parsed: ParsedMessage, found: dsn.JsonNotification) -> Explanation:
    if found.kind == "complaint":
        return Explanation("complaint", reason=found.feedback or "abuse", failed=found.failed, original=found.original)
    if found.kind == "success":
        return Explanation("success", original=found.original)
    return replace(_build_explanation(found.kind, parsed, "", list(found.statuses)), original=found.original)


# OpenSMTPD reports an expired letter as a delay.
_EXPIRED = re.compile(r"(?i)envelope expired")


def _sender_domains(parsed: ParsedMessage, original: dsn.OriginalMessage) -> set[str]:
    boxes = [box.address for box in address.parse_address_list(parsed.root.raw("to") or b"")]
    return {box.rpartition("@")[2].lower() for box in (*boxes[:5], original.from_) if "@" in box}


def _without_our_domain(found: RecipientFinding, ours: set[str], domain: str) -> RecipientFinding:
    """Judge "no such domain" as policy if the server means the sender's domain and does not name the recipient's."""
    text = found.text.lower()
    if found.verdict.kind != "unknown_host" or (domain and domain.lower() in text):
        return found
    return replace(found, verdict=Verdict("policy")) if any(own in text for own in ours) else found


def _is_group_refusal(parsed: ParsedMessage, human: str, who: tuple[str, ...]) -> bool:
    """Tell whether Google Groups refuses a post: in any language it says "may not exist, or you may not post"."""
    group = parsed.message_id.endswith(".GMR@mx.google.com") or (who and who[0].endswith("@googlegroups.com"))
    return bool(group) and not _CODE.search(human)


def _read_plain_bounce(parsed: ParsedMessage, human: str, blocks: list[dsn.RecipientStatus]) -> Explanation:
    return _build_explanation("delayed" if is_delay(parsed, human) else "bounce", parsed, human, blocks)


def _build_explanation(
    kind: ReportKind, parsed: ParsedMessage, human: str, blocks: list[dsn.RecipientStatus]
) -> Explanation:
    """Build the explanation of a bounce or delay; of several recipients, all must be dead to be permanent."""
    original = dsn.find_original_message(parsed)
    addresses = [recipient for block in blocks for recipient in block.recipients] or dsn.find_failed_addresses(
        parsed, human
    )
    who = tuple(dict.fromkeys(addresses or (original.to if len(original.to) == 1 else ())))[:50]
    domain = who[0].rpartition("@")[2] if who else ""
    behind = parsed.text[len(human) : len(human) + 4000]
    ours = _sender_domains(parsed, original) - {domain}
    findings = [
        _without_our_domain(judge_recipient(human, behind, block, domain), ours, domain)
        for block in blocks[:MAX_JUDGED_RECIPIENTS] or [dsn.RecipientStatus((), "", "", "", "")]
    ]
    alive = [found for found in findings if not found.verdict.permanent]
    chosen = (alive or findings)[0]
    if _is_group_refusal(parsed, human, who):
        chosen = replace(chosen, verdict=Verdict("policy"))
    # A server that reports a failure has tried for days: "user unknown" with a temporary code is said for good.
    is_dead = kind == "bounce" and (chosen.verdict.permanent or chosen.verdict.kind == "doubtful")
    reason = chosen.verdict.kind
    if kind == "delayed" and reason in DEAD_ADDRESS_REASONS | {"other", "doubtful"}:
        reason = "temporary"
    return Explanation(
        kind, is_dead, chosen.status, reason, who, chosen.text[:MAX_TEXT_CHARS], chosen.phase, chosen.remote, original
    )
