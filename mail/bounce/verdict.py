"""What a mail server's refusal says about a reader's address, in the session or in returned mail.

RFC 5321 4.2 (reply codes), RFC 3463 (enhanced codes). Both lie: of refusals with 5.x.x more than half
are temporary by their text, and Japanese carriers say "user unknown" for a reader's own filter, which
shows by the phase alone (after the content: filter; at RCPT: unknown). So the text is asked as well, and in
doubt a refusal is temporary: to exclude a parent wrongly costs more than one more try.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mail.smtp import SmtpReply

if TYPE_CHECKING:
    from mail.bounce.phrases import BounceReason

# The one thing that a link says: that a list of bad senders is behind the refusal.
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
"""Domains of telephone companies, whose answers mean something else than they say."""

_AU = ("ezweb.ne.jp", "au.com", "uqmobile.jp")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a refusal means; permanent: the address is dead, exclude it at once (decision 3)."""

    kind: "BounceReason"
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as far as it is known. code: 0 if unknown; enhanced: "" if none; domain: the reader's, lower case.

    phase: after which command ("mail", "rcpt", "data", "end"), "" if unknown.
    """

    text: str
    code: int = 0
    enhanced: str = ""
    phase: str = ""
    domain: str = ""

    @property
    def is_temporary(self) -> bool:
        """Tell whether the codes say "try again later"; the reply code is asked first."""
        return self.code // 100 == 4 or (not self.code and self.enhanced.startswith("4."))


def judge_smtp_reply(reply: SmtpReply, domain: str) -> Verdict:
    """Say what a server's refusal in a session means for an address in this domain (lower case).

    The kinds are unknown_user, filtered, full, policy, temporary and other. An unknown host is only believed
    when the code says so too: here it may be our own resolver that is at fault.
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
    """Say what a refusal means: by its words, which lie least, then by its codes; in doubt "other"."""
    said = reason_from_text(refusal.text)
    if refusal.is_temporary:
        return Verdict(
            "doubtful" if said == "unknown_user" else said if said and said not in DEAD_ADDRESS_REASONS else "temporary"
        )
    if _is_sender_problem(refusal, said):
        return Verdict("policy")
    if refusal.enhanced[1:] == ".2.2" and said not in ("policy", "filtered"):
        return Verdict("full")
    if said and said not in DEAD_ADDRESS_REASONS:
        return Verdict(said)
    if refusal.code == 552 and not said:
        return Verdict("full")
    if refusal.code in _SYNTAX_ERROR_CODES:
        return Verdict("other")
    if is_mobile_carrier(refusal.domain) and _is_recipient_filter(refusal):
        return Verdict("filtered")
    if said and (
        refusal.phase not in ("data", "end") or refusal.enhanced in _DEAD_CODES or _names_one_address(refusal)
    ):
        return Verdict(said, permanent=True)
    return verdict_from_code(refusal.enhanced)


def reason_from_text(text: str) -> "BounceReason | Literal['']":
    """Return the class that the words of a text speak of, "" if they say nothing."""
    from mail.bounce.phrases import reason_patterns  # compiled when a server refuses for the first time

    words = normalize_text(text[:_MAX_TEXT_CHARS])
    return next((kind for kind, pattern in reason_patterns() if pattern.search(words)), "")


_MAX_TEXT_CHARS = 4000


def verdict_from_code(enhanced: str) -> Verdict:
    """Say what an enhanced code (RFC 3463 3) means by itself."""
    kind = _BY_CODE.get(enhanced) or _BY_CODE.get(enhanced[:4]) or "other"
    return Verdict(kind, permanent=kind in DEAD_ADDRESS_REASONS)


def is_mobile_carrier(domain: str) -> bool:
    """Tell whether a domain belongs to a telephone company, sub-domains included."""
    return _within(domain, MOBILE_CARRIER_DOMAINS)


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def normalize_text(text: str) -> str:
    """Return the words of a text: lower case, single blanks, without addresses and links, which are nobody's words."""
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
_SYNTAX_ERROR_CODES = {500, 502, 503, 504}
_AUTH_ERROR_CODES = {530, 534, 535, 538}


def _is_sender_problem(refusal: Refusal, said: str) -> bool:
    """Tell by phase and code whether the server refuses us, not the reader."""
    if refusal.phase == "mail" or refusal.code in _AUTH_ERROR_CODES or refusal.enhanced in _SENDER_REJECTED_CODES:
        return True
    return refusal.enhanced.startswith("5.7.") and said not in ("unknown_user", "full", "too_large", "suspended")


def _is_recipient_filter(refusal: Refusal) -> bool:
    """Tell whether a telephone company means the reader's own settings (domain-designated reception).

    They refuse after the content; but au names the address then if it really is unknown, and at RCPT
    leaves it out if it is not.
    """
    if refusal.enhanced == "5.2.0":
        return True
    after_content = refusal.phase in ("data", "end") and refusal.code in (0, 550)
    if not _within(refusal.domain, _AU):
        return after_content
    return "@" not in refusal.text and (after_content or _AU_FILTER.match(normalize_text(refusal.text)) is not None)


_AU_FILTER = re.compile(r"(?:550 )?(?:#?5\.\d+\.\d+ )?: ?user unknown")


def _names_one_address(refusal: Refusal) -> bool:
    """Tell whether a refusal after the content names one address, so that it cannot mean the content."""
    return "@" in refusal.text and refusal.phase == "end"
