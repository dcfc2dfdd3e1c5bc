"""Hand letters to a mail server, one letter and one recipient in each transaction.

RFC 5321 (SMTP), 2920 (PIPELINING), 3463 and 2034 (enhanced codes); the way there is in `mail.smtp_connect`.
What the caller must know exactly is whether the server may have the letter: before the end of its
content is handed over it surely has not (`Unreachable`), once it answered it is settled (`Reply`), and
in between nobody knows (`Vanished`).
"""

import re
import smtplib
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from i18n import N_
from mail import address, merge
from mail.smtp_connect import MAX_REPLY_CHARS, SmtpServer, Unreachable, open_connection

SmtpPhase = Literal["mail", "rcpt", "data", "end"]

_PATH = re.compile(r"[!-;=?-~]*")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")


class OutcomeUnknown(ConnectionError):
    """The connection broke after the whole letter was handed over: the server may have it or not."""


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A server's answer about one letter (RFC 5321 4.2; enhanced code RFC 3463, "" if none)."""

    code: int
    enhanced: str
    text: str
    phase: SmtpPhase

    @property
    def accepted(self) -> bool:
        """Tell whether the server took the whole letter."""
        return self.phase == "end" and 200 <= self.code < 300

    @property
    def refused(self) -> bool:
        """Tell whether trying again the same way is useless."""
        return 500 <= self.code < 600

    @property
    def deferred(self) -> bool:
        """Tell whether to try again later; an answer that makes no sense counts as that, too."""
        return not self.accepted and not self.refused


def rcpt_address(recipient: str, bare: bool) -> str:
    """Return the address for RCPT: quoted if it breaks RFC 5322, unless the server wants it bare."""
    return recipient if bare else address.quote_if_needed(recipient)


def dot_stuff(raw: bytes) -> bytes:
    """Return a mail as DATA wants it: CRLF line ends, leading dots doubled, the end mark (RFC 5321 4.5.2)."""
    if not raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"):
        raw = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    if raw.startswith(b".") or b"\n." in raw:
        raw = re.sub(rb"(?m)^\.", b"..", raw)
    return raw + (b".\r\n" if raw.endswith(b"\r\n") else b"\r\n.\r\n")


class SmtpConnection:
    """One connection to a server, used for letter after letter. Not for several threads."""

    def __init__(self, route: SmtpServer, hello: str, timeout: float = 30) -> None:
        """Take the route, the name to say in EHLO and the seconds to wait for any one answer."""
        self._route = route
        self._hello = hello
        self._timeout = timeout
        self._smtp: smtplib.SMTP | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether there is a connection that was in order when last used."""
        return self._smtp is not None and self._smtp.sock is not None

    def open(self) -> None:
        """Connect, greet, secure and log in, unless open already. Raises Unreachable."""
        if not self.is_open:
            self._smtp = open_connection(self._route, self._hello, self._timeout)

    def close(self) -> None:
        """Say goodbye if anybody listens, and hang up. Repeating is harmless."""
        if self._smtp is not None and self._smtp.sock is not None:
            self._smtp.sock.settimeout(min(self._timeout, 3))
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
        self._hang_up()

    def send(self, mail_from: str, rcpt: str, raw: bytes) -> SmtpReply:
        """Hand over one letter and return the answer that settles it; open the connection if needed.

        mail_from: "" for the null sender. rcpt: as `rcpt_form` gives it. raw: the whole mail.
        Raises Unreachable (the server has nothing of it) and Vanished (nobody knows). After a refusal
        the connection is ready for the next letter; after 421 it is closed.
        """
        commands = _envelope_commands(mail_from, rcpt)
        reply = self._begin_again(commands) if self.is_open else self._begin(commands)
        return reply or self._content(raw)

    def _begin_again(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        """Begin on a connection that was used before; servers close those at will, so try once more."""
        try:
            reply = self._begin(commands)
        except Unreachable:
            return self._begin(commands)
        stale = reply is not None and reply.code == 421 and reply.phase == "mail"
        return self._begin(commands) if stale else reply

    def _begin(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        """Say MAIL, RCPT and DATA; return the answer that refuses, or None when content may come."""
        self.open()
        if self._in_use().has_extn("pipelining"):
            return self._begin_in_one_go(commands)
        for phase, command, wanted in commands:
            reply = self._ask(command, phase)
            if reply.code // 100 != wanted:
                return self._refused(reply)
        return None

    def _begin_in_one_go(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        """Say all three, then hear all answers (RFC 2920 3.1): one journey to the server instead of three."""
        smtp, refusal = self._in_use(), None
        try:
            smtp.send("".join(f"{command}\r\n" for _, command, _ in commands))
            for phase, _, wanted in commands:
                reply = _parse_reply(*smtp.getreply(), phase)
                if reply.code // 100 != wanted:
                    refusal = refusal or reply
                elif refusal and phase == "data":
                    smtp.send(".\r\n")  # it waits for content although it refused: it gets none
                    smtp.getreply()
        except (OSError, smtplib.SMTPException) as fault:
            self._hang_up()
            if refusal is None:
                raise _connection_broke(fault) from fault
        return self._refused(refusal) if refusal else None

    def _ask(self, command: str, phase: SmtpPhase) -> SmtpReply:
        smtp = self._in_use()
        try:
            return _parse_reply(*smtp.docmd(command), phase)
        except (OSError, smtplib.SMTPException) as fault:
            self._hang_up()
            raise _connection_broke(fault) from fault

    def _content(self, raw: bytes) -> SmtpReply:
        """Send the content and its end mark, then read the answer. Raises Unreachable, Vanished."""
        smtp = self._in_use()
        try:
            smtp.send(dot_stuff(raw))
        except (OSError, smtplib.SMTPException) as fault:
            # Not all of it left this machine, so the end mark did not: the server must drop the rest.
            self._hang_up()
            raise _connection_broke(fault) from fault
        try:
            reply = _parse_reply(*smtp.getreply(), "end")
        except (OSError, smtplib.SMTPException) as fault:
            self._hang_up()
            raise OutcomeUnknown(type(fault).__name__) from fault
        return reply if reply.accepted else self._refused(reply)

    def _refused(self, reply: SmtpReply) -> SmtpReply:
        """Make the connection ready for the next letter, or hang up when the server is about to."""
        if reply.code == 421:
            self._hang_up()
            return reply
        try:
            code, _ = self._in_use().rset()
        except (OSError, smtplib.SMTPException):
            code = -1
        if code // 100 != 2:
            self._hang_up()
        return reply

    def _in_use(self) -> smtplib.SMTP:
        if self._smtp is None or self._smtp.sock is None:
            raise _connection_broke(ConnectionError("closed"))
        return self._smtp

    def _hang_up(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None


EnvelopeCommands = tuple[tuple[SmtpPhase, str, int], ...]


def _envelope_commands(mail_from: str, rcpt: str) -> EnvelopeCommands:
    """Return phase, command and wanted class of answer for an envelope. Raises ValueError for odd addresses."""
    if not all(_PATH.fullmatch(path) for path in (mail_from, rcpt)) or not rcpt:
        raise ValueError("an envelope address holds a character that cannot stand in a command")
    return ("mail", f"MAIL FROM:<{mail_from}>", 2), ("rcpt", f"RCPT TO:<{rcpt}>", 2), ("data", "DATA", 3)


def _parse_reply(code: int, text: bytes, phase: SmtpPhase) -> SmtpReply:
    """Return a server's answer as a value; what is no answer at all raises SMTPServerDisconnected."""
    if not 200 <= code < 600:
        raise smtplib.SMTPServerDisconnected("the answer is no SMTP")
    shown = merge.one_line(text.decode("utf-8", "replace"))[:MAX_REPLY_CHARS]
    found = _ENHANCED.match(shown)
    return SmtpReply(code, found[1] if found else "", shown, phase)


def _connection_broke(fault: Exception) -> Unreachable:
    return Unreachable(N_("The connection to the mail server broke."), "broken", type(fault).__name__)
