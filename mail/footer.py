"""What stands at the very bottom of a letter: how to stop it, who reads replies, who sends it and from where (D-26)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from i18n import say
from mail import merge
from mail.html import html_part

if TYPE_CHECKING:
    from mail.compose import LetterTemplate


def footer_lines(form: "LetterTemplate") -> Iterator[str]:
    """Return the lines: how to stop, where replies go, how to reach the school (D-26)."""
    language = form.language
    if form.list_id:
        yield say(
            language, "This letter goes to those registered with “%(list)s”.", list=merge.one_line(form.list_name)
        )
        yield say(language, "Change address, stop, or not for you:")
        yield f"{form.base_url}/u/{html_part.TOKEN_PLACEHOLDER}"
        yield _reply_lines(form)
    elif form.personal:
        yield say(language, "This letter goes to you alone.")
        yield _reply_lines(form)
    if form.contact:
        yield say(language, "Contact: %(contact)s", contact=merge.one_line(form.contact))
    yield from _sender_lines(form)


def _reply_lines(form: "LetterTemplate") -> str:
    if form.reply_to:
        return say(form.language, "Replies go to the sender.")
    return say(form.language, "Replies are read by the person in charge (they are not counted as answers).")


def _sender_lines(form: "LetterTemplate") -> Iterator[str]:
    """Return who sends and from where, the name once only."""
    organization, postal = merge.one_line(form.organization), merge.one_line(form.postal)
    if organization and postal and organization not in postal:
        yield say(form.language, "%(organization)s, %(postal)s", organization=organization, postal=postal)
    elif organization or postal:
        yield postal or organization
