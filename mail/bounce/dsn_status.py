"""What decides the verdict on returned mail: the server's own words, where they stand in a report, and its codes.

RFC 3464 2.3 (fields), RFC 3463 (codes). Code inside Diagnostic-Code before Status before text; words before codes;
the sentences around them only where the exact ones say nothing.
"""

import re
from dataclasses import dataclass

from mail.bounce import dsn
from mail.bounce import patterns as signs
from mail.bounce.verdict import Refusal, Verdict, is_mobile_carrier, judge_refusal, reason_from_text


@dataclass(frozen=True, slots=True)
class RecipientFinding:
    """What a report says about one recipient. text: the server's words, one line; phase, remote: "" if unknown."""

    verdict: Verdict
    status: str
    text: str
    phase: str
    remote: str


def judge_recipient(human: str, behind: str, block: dsn.RecipientStatus, domain: str) -> RecipientFinding:
    """Judge one recipient: the server's own words first, then the sentences around them, then the codes alone.

    human: what the server says in words; behind: the rest of the text, looked at only if all else is silent.
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
    """Return the texts to judge by, the most exact first. Carriers say the truth beside the server's reply."""
    human = _COMMAND.sub("", human)
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
    """Return a server's reply as it is; of other stretches what stands around the replies in them.

    Words on both sides of such a border make no sentence.
    """
    if _CODE.match(text):
        return text
    return "\n".join(line[: found.start(1)] if (found := _CODE.search(line)) else line for line in text.split("\n"))


# In a transcript: what the reporting server said itself, which is no evidence ("EHLO …" looks like a complaint).
_COMMAND = re.compile(
    r"(?im)^[ \t]{0,12}(?:[<>]{1,3} ?|[CS]: ?)?(?:EHLO|HELO|QUIT|RSET|DATA|BDAT [^\n]{0,40})(?: [!-~]{1,255})?$"
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
    """Return reply code and enhanced code: those in the server's words before the Status field."""
    code = next((int(found[1]) for text in texts if (found := _CODE.search(text[:2000]))), 0)
    codes = [found[1] for text in texts for found in _ENHANCED.finditer(text[:2000])]
    codes.append(status)
    exact = next((one for one in codes if one and not one.endswith(".0.0")), "")
    return code, exact or next((one for one in codes if one), "")


def _paragraphs(human: str, domain: str) -> list[str]:
    """Return the stretches with facts in them: what servers replied, then what stands beside an address."""
    cut = [part[:800] for part in re.split(r"\n[ \t]*\n", human) if part.strip()][:60]
    replies = [part for part in cut if signs.SMTP_REPLY_LINE.search(part)]
    replied = [part[found.start(1) :] for part in replies if (found := _CODE.search(part))]
    beside = [part for part in cut if domain and f"@{domain}" in part.lower()]
    return list(dict.fromkeys([*replied, *replies, *beside]))[:16]


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
    """Return the SMTP command after which a server refused: "mail", "rcpt", "data", "end", "" if it does not show."""
    for pattern in _PHASES:
        if found := pattern.search(text):
            return _PHASE_NAMES.get(found[1].lower(), "")
    return ""
