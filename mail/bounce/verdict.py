"""Judge a refusal by a mail server, in a session or in a bounce: what it means for the recipient's address.

RFC 5321 4.2 (reply codes), RFC 3463 (enhanced codes). Both are unreliable. More than half of the 5.x.x refusals are
temporary by their text. Japanese carriers reply "user unknown" for a reader's own filter. Only the phase shows it:
after the content it is the filter, at RCPT the user is unknown. Therefore the text is judged too. In doubt a refusal is
temporary, because one more attempt costs less than a parent excluded wrongly.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mail.smtp import SmtpReply

if TYPE_CHECKING:
    from mail.bounce.phrases import BounceReason

# A link matters only if it names a blocklist.
_BLOCKLIST_URL = re.compile(
    r"(?i)(?<![!-~])[!-~]{0,40}://[!-~]{0,60}(?:openspf|spamhaus|spamcop|sorbs|senderbase|barracudacentral)[!-~]*"
)

DEAD_ADDRESS_REASONS: frozenset["BounceReason"] = frozenset(("unknown_user", "unknown_host", "moved", "closed"))

MOBILE_CARRIER_DOMAINS = (
    *("docomo.ne.jp", "ezweb.ne.jp", "au.com", "uqmobile.jp"),
    *("softbank.ne.jp", "vodafone.ne.jp", "i.softbank.jp", "ymobile.ne.jp", "ymobile1.ne.jp"),
    *("disney.ne.jp", "willcom.com", "pdx.ne.jp", "emnet.ne.jp", "wcm.ne.jp", "y-mobile.ne.jp"),
    "rakumail.jp",
)
"""Domains of mobile carriers, whose replies do not mean what they say."""

_AU = ("ezweb.ne.jp", "au.com", "uqmobile.jp")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The meaning of a refusal. permanent: the address is dead and is excluded at once (decision 3)."""

    kind: "BounceReason"
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal. code: 0 if unknown; enhanced: "" if none; domain: of the recipient, lower case.

    phase: the command that was refused ("mail", "rcpt", "data", "end"), "" if unknown.
    """

    text: str
    code: int = 0
    enhanced: str = ""
    phase: str = ""
    domain: str = ""

    @property
    def is_temporary(self) -> bool:
        """Tell whether the codes are temporary; the reply code counts before the enhanced code."""
        return self.code // 100 == 4 or (not self.code and self.enhanced.startswith("4."))


def judge_smtp_reply(reply: SmtpReply, domain: str) -> Verdict:
    """Judge a refusal in a session for an address of this domain (lower case).

    Kinds: unknown_user, filtered, full, policy, temporary, other. An unknown host counts only if the code says so
    too: our own resolver may be at fault.
    """
    found = judge_refusal(Refusal(reply.text, reply.code, reply.enhanced, reply.phase, domain))
    if reply.deferred:
        return Verdict("full" if found.kind == "full" else "temporary")
    if found.kind == "unknown_host" and reply.enhanced not in _DEAD_CODES:
        return Verdict("other")
    if found.permanent:
        return Verdict("unknown_user", permanent=True)
    return found if found.kind in ("filtered", "full", "policy") else Verdict("other")


def judge_refusal(refusal: Refusal) -> Verdict:
    """Judge a refusal by its text, which is most reliable, then by its codes; in doubt "other"."""
    reason = reason_from_text(refusal.text)
    if refusal.is_temporary:
        if reason == "closed" or (reason == "unknown_user" and not _NOT_FOR_GOOD.search(refusal.text)):
            return Verdict("doubtful")
        return Verdict("temporary" if reason in DEAD_ADDRESS_REASONS else reason or "temporary")
    if _is_sender_problem(refusal, reason):
        return Verdict("policy")
    if refusal.enhanced[1:] == ".2.2" and reason not in ("policy", "filtered"):
        return Verdict("full")
    if reason and reason not in DEAD_ADDRESS_REASONS:
        return Verdict(reason)
    if refusal.code == 552 and not reason:
        return Verdict("full")
    if refusal.code in _SYNTAX_ERROR_CODES:
        return Verdict("other")
    if is_mobile_carrier(refusal.domain) and _is_recipient_filter(refusal):
        return Verdict("filtered")
    if reason and (
        refusal.phase not in ("data", "end") or refusal.enhanced in _DEAD_CODES or _names_one_address(refusal)
    ):
        return Verdict(reason, permanent=True)
    return verdict_from_code(refusal.enhanced)


def reason_from_text(text: str) -> "BounceReason | Literal['']":
    """Return the reason that a text gives, "" if it gives none."""
    from mail.bounce.phrases import reason_patterns  # compiled when a server refuses for the first time

    words = normalize_text(text[:_MAX_TEXT_CHARS])
    return next((kind for kind, pattern in reason_patterns() if pattern.search(words)), "")


_MAX_TEXT_CHARS = 4000


def verdict_from_code(enhanced: str) -> Verdict:
    """Return the verdict of an enhanced code alone (RFC 3463 3)."""
    kind = _BY_CODE.get(enhanced) or _BY_CODE.get(enhanced[:4]) or "other"
    return Verdict(kind, permanent=kind in DEAD_ADDRESS_REASONS)


def is_mobile_carrier(domain: str) -> bool:
    """Tell whether a domain belongs to a mobile carrier, subdomains included."""
    return _within(domain, MOBILE_CARRIER_DOMAINS)


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def normalize_text(text: str) -> str:
    """Normalize a text: lower case, single spaces, without addresses and links."""
    text = _BLOCKLIST_URL.sub(" blocklist ", text).replace("...", " ")  # "550 name@host...User unknown"
    bare = re.sub(r"(?<![!-~])[!-~]*(?:@|://)[!-~]*", " ", text.lower().replace("’", "'").replace("´", "'"))
    return " ".join(re.sub(r"[\"<>\[\]|*]+", " ", bare).split())


_BY_CODE: dict[str, "BounceReason"] = {
    **dict.fromkeys(("5.1.1", "5.1.3", "5.1.10"), "unknown_user"),
    "5.1.2": "unknown_host",
    "5.1.6": "moved",
    **dict.fromkeys(("5.2.2", "5.3.1"), "full"),
    **dict.fromkeys(("5.2.3", "5.3.4"), "too_large"),
    "5.2.1": "suspended",
    **dict.fromkeys(("5.1.7", "5.1.8", "5.4.5", "5.7."), "policy"),
    **dict.fromkeys(("5.4.1", "5.4.2", "5.4.3", "5.4.6", "5.4.7"), "temporary"),
    "5.4.4": "unknown_host",
}
_DEAD_CODES = frozenset(code for code, kind in _BY_CODE.items() if kind in DEAD_ADDRESS_REASONS) - {"5.4.4"}
_SENDER_REJECTED_CODES = {"5.1.7", "5.1.8", "5.4.5"}
_NOT_FOR_GOOD = re.compile(r"(?i)unavailable|not available|dns error")
"""With a temporary code these mean "busy" (RFC 5321 4.2.3, reply 450) or trouble with DNS."""
_SYNTAX_ERROR_CODES = {500, 502, 503, 504}
_AUTH_ERROR_CODES = {530, 534, 535, 538}


def _is_sender_problem(refusal: Refusal, reason: str) -> bool:
    """Tell by phase and code whether the server refuses us as sender."""
    if refusal.phase == "mail" or refusal.code in _AUTH_ERROR_CODES or refusal.enhanced in _SENDER_REJECTED_CODES:
        return True
    return refusal.enhanced.startswith("5.7.") and reason not in (
        "unknown_user",
        "closed",
        "full",
        "too_large",
        "suspended",
    )


def _is_recipient_filter(refusal: Refusal) -> bool:
    """Tell whether a carrier means the reader's own filter (domain-designated reception).

    Carriers refuse it after the content. au names the address if it really is unknown, and at RCPT omits it
    otherwise.
    """
    if refusal.enhanced == "5.2.0":
        return True
    after_content = refusal.phase in ("data", "end") and refusal.code in (0, 550)
    if not _within(refusal.domain, _AU):
        return after_content
    return "@" not in refusal.text and (after_content or _AU_FILTER.match(normalize_text(refusal.text)) is not None)


_AU_FILTER = re.compile(r"(?:550 )?(?:#?5\.\d+\.\d+ )?: ?user unknown")


def _names_one_address(refusal: Refusal) -> bool:
    """Tell whether a refusal names one address, so it cannot mean the content. Carriers are judged before."""
    return "@" in refusal.text
