"""Which kind of mail a report is: returned, late, complained about, a receipt, an automatic answer.

RFC 3464 and 6522 (delivery status), RFC 5965 (complaints), RFC 8098 (read receipts), RFC 3834 (automatic answers).
"""

import re

from mail.bounce import dsn, failed_recipients, original_part
from mail.bounce import patterns as signs
from mail.bounce.verdict import reason_from_text
from mail.message import ParsedMessage


def _report_type(arrival: ParsedMessage) -> str:
    is_report = arrival.root.kind == "multipart/report"
    return arrival.root.parameters.get("report-type", "").lower() if is_report else ""


def is_complaint(arrival: ParsedMessage) -> bool:
    """Tell whether a provider reports that somebody took our mail for spam (RFC 5965; Hotmail's plain form)."""
    if _report_type(arrival) == "feedback-report" or any(dsn.find_parts(arrival.root, "message/feedback-report")):
        return True
    return bool(_PLAIN_COMPLAINT.match(arrival.subject)) and original_part.has_original_message(arrival)


_PLAIN_COMPLAINT = re.compile(r"\s*complaint about message from\b", re.IGNORECASE)


def is_read_receipt(arrival: ParsedMessage) -> bool:
    receipt = any(
        dsn.find_parts(arrival.root, "message/disposition-notification", "message/global-disposition-notification")
    )
    return receipt or _report_type(arrival) == "disposition-notification"


def is_refusal_receipt(arrival: ParsedMessage, human: str) -> bool:
    """Tell whether a receipt says that a filter or a quota refused the mail (RFC 5429 2.1.2; older Dovecots)."""
    said = " ".join(part.text()[:4000] for part in dsn.find_parts(arrival.root, "message/disposition-notification"))
    refused = re.search(r"(?i)automatic-action.{0,60};\s*(?:deleted|failed|denied)", said)
    return bool(refused) and bool(_REFUSED.search(human[:1000]))


_REFUSED = re.compile(r"(?i)(?:automatically|was|been) (?:rejected|refused|returned)|(?:not|n't) (?:be )?delivered")


def is_delivery_report(arrival: ParsedMessage) -> bool:
    """Tell whether a delivery-status part is what this mail is, not something that a person sent along."""
    forwarded = signs.REPLY_OR_FORWARD.match(arrival.subject) and not is_from_mailer_daemon(arrival)
    return arrival.root.kind == "multipart/report" or (
        not forwarded and (is_from_mailer_daemon(arrival) or has_null_return_path(arrival))
    )


def is_from_mailer_daemon(arrival: ParsedMessage) -> bool:
    if any(signs.DAEMON_ADDRESS.match(address) for address in arrival.from_addresses):
        return True
    named = arrival.from_name or ("" if arrival.from_addresses else arrival.header("from")).strip()
    if named.endswith("<>"):
        return True
    signed = has_null_return_path(arrival) or not arrival.headers("return-path")
    return signed and bool(signs.DAEMON_NAME.search(named))


def has_null_return_path(arrival: ParsedMessage) -> bool:
    """Tell whether the envelope sender was empty, as far as the mail still shows it (RFC 5321 4.5.5)."""
    path = arrival.header("return-path").strip()
    return path == "<>" or bool(re.match(r"<?mailer-daemon\b", path, re.IGNORECASE))


def is_bounce(arrival: ParsedMessage, human: str) -> bool:
    """Tell whether a mail without a machine-readable part is returned mail. human: its words, cut at the original.

    It needs a sender or an envelope as mail systems have them, a subject or an opening that says so, and a fact:
    a server's reply, the mail that came back, or the address that failed. From anybody else all of these.
    """
    if arrival.headers("x-failed-recipients"):
        return True
    start = _unquoted(human)[:3000]
    says_so = bool(signs.BOUNCE_SUBJECT.search(arrival.subject))
    opens_so = bool(signs.BOUNCE_OPENING.search(start))
    if not (says_so or opens_so):
        return False
    replies = bool(signs.SMTP_REPLY_LINE.search(start))
    came_back = original_part.has_original_message(arrival)
    if is_from_mailer_daemon(arrival):
        return replies or came_back or bool(failed_recipients.find_failed_addresses(arrival, start))
    if has_null_return_path(arrival):
        facts = replies or came_back or (says_so and bool(failed_recipients.find_failed_addresses(arrival, start)))
        return facts and not signs.AUTO_SUBJECT.match(arrival.subject)
    if signs.REPLY_OR_FORWARD.match(arrival.subject) or _is_conversation(arrival):
        return False
    return says_so and opens_so and came_back and (replies or bool(reason_from_text(start[:2000])))


def _is_conversation(arrival: ParsedMessage) -> bool:
    return bool(arrival.header("x-mailer") or arrival.header("user-agent")) or len(arrival.references) > 1


def _unquoted(text: str) -> str:
    return re.sub(r"(?m)^[ \t]{0,3}[>＞|].*$", "", text)


def is_success(arrival: ParsedMessage, human: str) -> bool:
    """Tell whether a mail system reports in words alone that a letter arrived."""
    says_so = re.search(
        r"success|\brelayed\b|^delivered:|return receipt|delivery receipt|配信完了|送信完了",
        arrival.subject,
        re.IGNORECASE,
    )
    return bool(says_so) and is_from_mailer_daemon(arrival)


def is_auto_reply(arrival: ParsedMessage) -> bool:
    """Tell whether a program answered: absence, acknowledgement, challenge (RFC 3834 and what came before it)."""
    submitted = arrival.header("auto-submitted").lower()
    if submitted.startswith(("auto-replied", "auto-notified")) or any(
        arrival.headers(name) for name in _AUTO_REPLY_HEADERS
    ):
        return True
    told = arrival.header("precedence").lower() in ("auto_reply", "auto-reply", "autoreply")
    told = told or "autoresponder" in arrival.header("x-post-messageclass").lower()
    if told or signs.AUTO_SUBJECT.match(arrival.subject[:300]):
        return True
    if is_from_mailer_daemon(arrival):
        return False
    if any(arrival.headers(name) for name in _LIST_HEADERS):
        return False
    if has_null_return_path(arrival) and len(arrival.text) < MAX_AUTO_REPLY_CHARS:
        return True
    machine = _has_automatic_signs(arrival)
    if machine and (arrival.in_reply_to or arrival.references or signs.REPLY_OR_FORWARD.match(arrival.subject)):
        return True
    return machine and bool(signs.CHALLENGE_WORDS.search(f"{arrival.subject}\n{arrival.text[:1500]}"))


MAX_AUTO_REPLY_CHARS = 3000
"""Characters; what is longer and came with an empty envelope sender is a newsletter gone wrong."""


def _has_automatic_signs(arrival: ParsedMessage) -> bool:
    """Tell whether a program sent this. Old mailing lists say "Precedence: bulk" of letters that people wrote."""
    suppressed = arrival.header("x-auto-response-suppress").lower()
    if arrival.header("auto-submitted").lower().startswith("auto-") or re.search(
        r"\b(?:oof|autoreply|all)\b", suppressed
    ):
        return True
    written = any(arrival.headers(name) for name in ("sender", "user-agent", "x-mailer", "x-loop"))
    return arrival.header("precedence").lower() in ("bulk", "junk") and not written


_LIST_HEADERS = ("list-id", "list-post", "list-unsubscribe", "mailing-list")
_AUTO_REPLY_HEADERS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-autoreply-from",
    "x-mail-autoreply",
)


def is_delay(arrival: ParsedMessage, human: str) -> bool:
    if signs.DELAY_WORDS.search(arrival.subject):
        return True
    return bool(signs.DELAY_WORDS.search(human[:3000])) and not signs.FINAL_WORDS.search(human[:3000])
