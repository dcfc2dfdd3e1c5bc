"""What a mail server's refusal says about a reader's address.

RFC 5321 4.2 (reply codes), RFC 3463 (enhanced codes). Both lie: of refusals with 5.x.x more than half
are temporary by their text, and Japanese carriers say "user unknown" for a reader's own filter, which
shows by the phase alone (after the content: filter; at RCPT: unknown). So the text is asked as well, and in
doubt a refusal is temporary: to exclude a parent wrongly costs more than one more try.
"""

import re
from dataclasses import dataclass
from typing import Literal

from mail.deliver import Reply

Kind = Literal["unknown_user", "filtered", "full", "policy", "temporary", "other"]

CARRIERS = (
    *("docomo.ne.jp", "ezweb.ne.jp", "au.com", "uqmobile.jp"),
    *("softbank.ne.jp", "vodafone.ne.jp", "i.softbank.jp", "ymobile.ne.jp", "ymobile1.ne.jp"),
    "rakumail.jp",
)
"""Domains of telephone companies, whose answers mean something else than they say."""

_AU = ("ezweb.ne.jp", "au.com", "uqmobile.jp")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a refusal means; permanent: the address is dead, exclude it at once (decision 3).

    filtered: refused by the reader's own settings. policy: the server does not want mail from us (our
    fault, nobody is excluded). full, temporary, other: try again, count.
    """

    kind: Kind
    permanent: bool = False


def verdict(reply: Reply, domain: str) -> Verdict:
    """Say what a server's refusal means for an address in this domain (lower case)."""
    words = _words(reply.text)
    full = _says(_FULL, words) or reply.enhanced[1:] == ".2.2"
    if reply.deferred:
        return Verdict("full" if full else "temporary")
    if _is_about_us(reply):
        return Verdict("policy")
    if full:
        return Verdict("full")
    if _says(_POLICY, words):
        return Verdict("policy")
    if _says(_NOT_THE_ADDRESS, words):
        return Verdict("other")
    if reply.code == 552:
        return Verdict("full")
    if is_carrier(domain) and _is_filter(reply, domain, words):
        return Verdict("filtered")
    return Verdict("unknown_user", permanent=True) if _is_unknown(reply, words) else Verdict("other")


def is_carrier(domain: str) -> bool:
    """Tell whether a domain belongs to a telephone company, sub-domains included."""
    return _within(domain, CARRIERS)


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def _words(text: str) -> str:
    """Return the text without addresses and links, whose parts are nobody's words."""
    return re.sub(r"\S*(?:@|://)\S*", " ", text).lower()


def _says(pattern: re.Pattern[str], words: str) -> bool:
    return pattern.search(words) is not None


_FULL = re.compile(
    r"over ?-?quota|quota (?:is )?exceed|exceed\w* (?:\w+ )*(?:quota|storage)|mailbox (?:\w+ )*full|full mailbox"
    r"|(?:out of|insufficient|not enough) (?:\w+ )*(?:storage|space)|too much mail data|inbox is full"
    r"|容量|一杯|いっぱい"
)
_NOT_THE_ADDRESS = re.compile(
    r"disabled|suspended|inactive|not active|frozen|temporarily (?:limited|unavailable|locked)"
    r"|too (?:large|big|long)|size limit|maximum size|host (?:not found|unknown)|routing loop"
)
_POLICY = re.compile(
    r"\b(?:spam|dmarc|dkim|spf|rbl|dnsbl|ptr|tls)\b|spamhaus|black ?-?list|block ?-?list|deny ?-?list|reputation"
    r"|relay|reverse dns|blocked (?:using|by)|\bpolicy\b|banned|content (?:reject|filter)|virus|authenticat"
    r"|too many (?:connections|recipients|messages|unknown)|sender (?:address )?(?:rejected|denied|refused)"
    r"|(?:access|permission) denied"
)
_UNKNOWN = re.compile(
    r"(?:user|recipient|address|mailbox|account|alias) (?:is )?(?:unknown|not found|not known|invalid)"
    r"|(?:unknown|invalid|bad|no such|nonexistent|non-existent) (?:local )?"
    r"(?:user|recipient|address|mailbox|account|person|part)"
    r"|(?:does not|doesn't|did not|no longer) exist|not a (?:valid|known) (?:user|recipient|mailbox|address)"
    r"|no mailbox|mailbox unavailable|(?:account|user|mailbox) (?:has been |was )?(?:deleted|closed|removed)"
    r"|not our customer|宛先不明|存在しません|見つかりません"
)
_DEAD = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
_OURS = {"5.1.7", "5.1.8", "5.4.5"}
_OUR_LOGIN = {530, 534, 535, 538}


def _is_about_us(reply: Reply) -> bool:
    """Tell by phase and code whether the server refuses us, not the reader."""
    ours = reply.enhanced.startswith("5.7.") or reply.enhanced in _OURS
    return ours or reply.phase == "mail" or reply.code in _OUR_LOGIN


def _is_filter(reply: Reply, domain: str, words: str) -> bool:
    """Tell whether a telephone company means the reader's own settings (domain-designated reception).

    They refuse after the content; but au names the address then if it really is unknown, and at RCPT
    leaves it out if it is not.
    """
    if reply.enhanced == "5.2.0":
        return True
    after_content = reply.phase in ("data", "end") and reply.code == 550
    if not _within(domain, _AU):
        return after_content
    return "@" not in reply.text and (after_content or _AU_FILTER.match(words) is not None)


_AU_FILTER = re.compile(r"(?:5\.\d+\.\d+ )?: ?user unknown")


def _is_unknown(reply: Reply, words: str) -> bool:
    """Tell whether the address is dead: by its code, or by words where the code says little."""
    vague = reply.enhanced in ("", "5.0.0", "5.2.1", "5.5.0")
    return reply.enhanced in _DEAD or (vague and reply.phase != "data" and _says(_UNKNOWN, words))
