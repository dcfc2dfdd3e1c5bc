"""Clean the text of a post for all members (design decision 6, N-07).

Quotes and header lines of other mails go (`mail.quotes`), then addresses of others and links with a reader's token
(`mail.private_text`). Attachments are removed elsewhere; the writer is told.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from mail import merge, private_text, quotes

MAX_TEXT_CHARS = 20_000
MAX_SUBJECT_CHARS = 200
MAX_READ_CHARS = 10 * MAX_TEXT_CHARS
"""Characters that are read at all: quoted letters may stand before the writer's own text."""

_SIGNATURE_OF_A_DEVICE = re.compile(
    r"^\s*(?:(?:my |私の)?(?:iPhone|iPad|Android|Galaxy|Xperia|AQUOS|スマートフォン|スマホ|携帯|Outlook for \w+|Outlook|Yahoo!?メール"
    r"|Gmail|ドコモメール|au ?メール)\S{0,20}(?:から|で|より)送信(?:されました|しました)?"
    r"|sent (?:from|via|with) .{2,60}|get outlook for .{2,60}|(?:iOS|Android)\s*版?\s*Outlook.{0,20}(?:入手|送信)?.{0,40}"
    r"|.{0,30}Outlook.{0,10}を入手.{0,60}|-- ?|[-_=─━]{2,})[。.]?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CleanedPost:
    """What of a post members may read. text: "" if the mail has no words of its own.

    had_addresses: addresses were taken out of sentences (`private_text.MARK`). may_quote: lines that look quoted stay.
    cut: only the beginning of a longer text or subject is here.
    """

    subject: str
    text: str
    had_addresses: bool = False
    may_quote: bool = False
    cut: bool = False


def looks_like_reply(subject: str, refers_to_ours: bool) -> bool:
    """Tell whether a message answers a letter, by its references or its subject."""
    return refers_to_ours or quotes.has_reply_prefix(subject)


def clean_post(
    subject: str, text: str, base_url: str, allowed: Collection[str] = (), refers_to_ours: bool = False
) -> CleanedPost:
    """Clean a post; an empty subject is filled from the text (T-15).

    base_url: of our pages, whose links with tokens are removed. allowed: the addresses that may stay.
    """
    rules = private_text.Allowed(
        frozenset(address.lower() for address in allowed), base_url.partition("://")[2].strip("/").lower()
    )
    unquoted = quotes.without_quotes(text[:MAX_READ_CHARS], subject, refers_to_ours)
    whole_body, whole_title = unquoted.text.strip(), " ".join(subject.split())
    cut = len(text) > MAX_READ_CHARS or len(whole_body) > MAX_TEXT_CHARS or len(whole_title) > MAX_SUBJECT_CHARS
    body, in_body = private_text.remove_private_text(merge.shorten(whole_body, MAX_TEXT_CHARS), rules)
    title, in_title = private_text.remove_private_text(merge.shorten(whole_title, MAX_SUBJECT_CHARS), rules)
    body, title = body.strip(), " ".join(title.split())
    if not has_words(body):
        body = ""
    if not title and body:
        title = merge.shorten(" ".join(next(line for line in body.splitlines() if has_words(line)).split()), 60)
    return CleanedPost(title, body, in_body or in_title, unquoted.doubtful, cut)


def has_words(text: str) -> bool:
    """Tell whether a text holds more than the signature that a telephone adds."""
    return any(
        re.search(r"[^\W_]|〓|\S{2}", line) and not _SIGNATURE_OF_A_DEVICE.match(line) for line in text.split("\n")
    )
