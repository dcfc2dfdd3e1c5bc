"""Tell whose fault a server's answer is: ours, the message's, the reader's, or that of a busy server.

Stage and codes decide (RFC 5321 4.2, RFC 3463, RFC 4954 6, RFC 7372). Words decide only if a relay gives the same stage
and code for different faults. `mail.bounce.verdict` judges what an answer means for one address.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from mail.bounce.verdict import judge_smtp_reply, normalize_text
from mail.smtp import SmtpReply

FaultOf = Literal["us", "limit", "message", "reader", "server"]
"""us: the server takes no letter of ours. limit: it takes no more letters for a while. message: it takes no copy of this
text. reader: it does not take this letter for this address. server: it is busy, try this letter later."""

OurFault = Literal["login", "sender", "relay", "trust", "limit", "refused"]
Why = OurFault | Literal[""]


@dataclass(frozen=True, slots=True)
class Fault:
    """Whose fault an answer is. why: what is wrong with us. wait: how long to wait after a limit."""

    of: FaultOf
    why: Why = ""
    wait: timedelta | None = None


_LOGIN_CODES = {530, 534, 535, 538}
_LIMIT_ENHANCED = {"5.4.5", "4.4.5", "4.5.3", "5.5.3", "4.7.28", "5.7.28"}
_WHY_BY_ENHANCED: dict[str, OurFault] = {
    **dict.fromkeys(("5.1.7", "5.1.8", "5.7.27"), "sender"),
    **dict.fromkeys(("5.7.8", "5.7.9", "5.7.11", "5.7.12", "5.7.13", "5.7.14"), "login"),
    **dict.fromkeys(("5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.24", "5.7.25", "5.7.26", "5.7.29"), "trust"),
}
_TOO_LARGE_ENHANCED = {"5.2.3", "5.3.4"}

_LIMIT_WORDS = re.compile(
    r"\b(?:daily|hourly)\b.{0,40}\b(?:limit|quota|maximum)|(?:limit|quota|maximum).{0,60}\b(?:daily|hourly|per (?:day|hour)|in (?:24|one) hours?)"
    r"|(?:sending|message|rate|mail|outgoing|relay)[- ]?(?:limit|quota)s? (?:has been |was |is )?(?:exceeded|reached)"
    r"|exceeded .{0,40}(?:sending|message rate|messages per|mails per|rate limit)|too many (?:messages|e?-?mails|letters)"
    r"|送信(?:数|通数|量)?.{0,10}(?:上限|制限|超過)|通数.{0,6}(?:上限|制限)"
)
_MAILBOX_WORDS = re.compile(r"mail ?box|inbox|recipient|storage|disk|受信|容量|メールボックス")
"""A limit of the reader, not of the sender."""
_WHY_BY_WORDS: tuple[tuple[OurFault, re.Pattern[str]], ...] = (
    (
        "trust",
        re.compile(
            r"block ?list|black ?list|deny ?list|\brbl\b|dnsbl|spamhaus|spamcop|barracuda|sorbs|reputation|\bspf\b|\bdkim\b|\bdmarc\b|\bptr\b|reverse (?:dns|lookup|hostname)|cannot find your (?:reverse )?hostname|逆引き|ブラックリスト|client (?:host )?.{0,40}blocked|your (?:ip|server|host).{0,40}(?:blocked|listed|rejected)"
        ),
    ),  # noqa: E501
    (
        "sender",
        re.compile(
            r"not owned by|sender (?:address |domain )?(?:rejected|denied|not (?:allowed|authori[sz]ed|verified|permitted))|(?:not|isn't) (?:allowed|authori[sz]ed|permitted) to send (?:as|from|on behalf)|send ?as ?denied|(?:差出人|送信者|送信元).{0,20}(?:許可|拒否|認め|使え)"
        ),
    ),  # noqa: E501
    (
        "relay",
        re.compile(
            r"\brelay(?:ing)?\b.{0,40}(?:denied|not|prohibited|rejected|forbidden)|(?:not|unable|cannot|refuse|deny|denied).{0,30}\brelay|中継.{0,20}(?:許可|拒否|でき)"
        ),
    ),  # noqa: E501
    (
        "login",
        re.compile(
            r"authentication (?:is )?required|must (?:be )?authenticat|(?:log ?in|authenticate) first|認証.{0,10}(?:必要|してください)"
        ),
    ),  # noqa: E501
)
_WAIT_WORDS = re.compile(r"(?:again|retry|wait|after|in)\D{0,20}?(\d{1,6})\s*(s\b|sec|m\b|min|h\b|hour|秒|分|時間)")
_UNIT_S = {"s": 1, "秒": 1, "m": 60, "分": 60, "h": 3600, "時": 3600}
_WAIT_DEFAULT, _WAIT_MIN, _WAIT_MAX = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def whose_fault(reply: SmtpReply, recipient: str) -> Fault:
    """Return whose fault an answer is that is no acceptance. recipient: the address of RCPT."""
    words = normalize_text(reply.text)
    full = reply.enhanced.endswith(".2.2") or _MAILBOX_WORDS.search(words)
    if reply.enhanced in _LIMIT_ENHANCED or (_LIMIT_WORDS.search(words) and not full):
        return Fault("limit", "limit", wait_named(words) or _WAIT_DEFAULT)
    if not reply.refused:
        return Fault("server")
    why: Why = "login" if reply.code in _LOGIN_CODES else _WHY_BY_ENHANCED.get(reply.enhanced) or _why_by_words(words)
    if reply.phase == "mail" and recipient.lower() not in reply.text.lower():
        return Fault("us", why or ("sender" if reply.code in (550, 553) else "refused"))
    kind = judge_smtp_reply(reply, recipient.rpartition("@")[2].lower()).kind
    if why and (kind in ("policy", "other") or reply.code in _LOGIN_CODES or reply.enhanced in _WHY_BY_ENHANCED):
        return Fault("us", why)
    if kind in ("unknown_user", "filtered", "full") and reply.enhanced not in _TOO_LARGE_ENHANCED:
        return Fault("reader")
    if reply.enhanced in _TOO_LARGE_ENHANCED or reply.enhanced.startswith("5.6."):
        return Fault("message")
    return Fault("message" if kind == "policy" and reply.phase in ("data", "end") else "reader")


def _why_by_words(words: str) -> Why:
    return next((why for why, pattern in _WHY_BY_WORDS if pattern.search(words)), "")


def wait_named(words: str) -> timedelta | None:
    """Return the time that a server names ("try again in 3600 seconds"), between a minute and a day; None if none."""
    found = _WAIT_WORDS.search(words)
    if found is None:
        return None
    return min(max(timedelta(seconds=int(found[1]) * _UNIT_S[found[2][0]]), _WAIT_MIN), _WAIT_MAX)


def same_words(code: int, text: str) -> str:
    """Return what two answers have in common that say the same about different addresses."""
    return f"{code} " + re.sub(r"\S*\d\S*", "#", normalize_text(text))
