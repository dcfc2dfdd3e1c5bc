"""Send messages to an SMTP server: server URL, connection, and one transaction per message and recipient.

RFC 5321 (SMTP), 2920 (PIPELINING), 3207 (STARTTLS), 8314 3.3 (implicit TLS), 4954 (AUTH), 3463 and 2034 (enhanced
codes). The caller must know exactly whether the server may have the message. Before the end of the content is sent,
the server does not have it (`Unreachable`). After its reply the outcome is settled (`SmtpReply`). In between the
outcome is unknown (`OutcomeUnknown`).
"""

import re
import smtplib
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from i18n import N_
from mail import address, merge
from mail.server_urls import SmtpServer, is_loopback
from mail.smtp_session import OTHER_LIMIT_S, QUIT_LIMIT_S, BoundedTls, Interrupted, ServerWait, SmtpSession

APP_PASSWORD_NEEDED = N_(
    "The provider takes no ordinary password from programs. Make an app password there. If it has none, as with "
    "Microsoft 365 and Outlook.com (OAuth only), please use a mailbox at another provider."
)

_APP_PASSWORD_HINT = re.compile(
    r"basic ?auth|oauth|app(?:lication)?[- ](?:specific )?password|web login required|less secure app|modern auth",
    re.IGNORECASE,
)


def login_failure_message(said: str, usual: str) -> str:
    """Return the message for a refused login: `usual`, or that an app password is needed. said: the server's text."""
    return APP_PASSWORD_NEEDED if _APP_PASSWORD_HINT.search(said) else usual


# ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────────

MAX_REPLY_CHARS = 500
"""Longer replies are cut."""
REPLY_LIMITS_S: dict[str, float] = {"mail": 300, "rcpt": 300, "data": 120, "end": 600}
"""Seconds for the whole reply to a command (RFC 5321 4.5.3.2)."""
PIPELINING_TRIAL_S = 30.0
"""Seconds for each reply to the first pipelined commands of a host; without it the host is not pipelined to."""
NO_PIPELINING_FOR_S = 86400.0


class Unreachable(ConnectionError):
    """The server could not be used and does not have the message: it is safe to try again.

    reason: a word for code ("connect", "tls", "greeting", "login", "broken"; "stopped": this process was told to stop).
    message: source string for `say`.
    detail: text of the server or the system, without password.
    """

    def __init__(self, message: str, reason: str, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.detail = detail[:MAX_REPLY_CHARS]


def open_connection(server: SmtpServer, hello: str, timeout: float | None, wait: ServerWait) -> SmtpSession:
    """Connect, greet, start TLS and log in. Raises Unreachable."""
    tls = BoundedTls(tls_context(server.host), wait, timeout or OTHER_LIMIT_S) if server.security != "none" else None
    smtp = _connect(server, hello, timeout, wait, tls)
    try:
        _greet(smtp)
        if server.security == "starttls":
            _start_tls(smtp, tls)
        if server.user:
            _log_in(smtp, server)
    except Unreachable:
        smtp.close()
        raise
    return smtp


def _connect(
    server: SmtpServer, hello: str, timeout: float | None, wait: ServerWait, tls: BoundedTls | None
) -> SmtpSession:
    try:
        return SmtpSession(server, hello, wait, timeout, tls if server.security == "tls" else None)
    except Interrupted as error:
        raise _connection_broke(error) from error
    except ssl.SSLError as error:
        raise _tls_failed(error) from error
    except smtplib.SMTPException as error:
        raise _unreachable(error) from error
    except (OSError, UnicodeError) as error:
        message = N_("The mail server cannot be reached. Please check its name and port.")
        raise Unreachable(message, "connect", str(error)) from error


def tls_context(host: str) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates, except on loopback."""
    context = ssl.create_default_context()
    if is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _greet(smtp: smtplib.SMTP) -> None:
    try:
        smtp.ehlo_or_helo_if_needed()
    except (OSError, smtplib.SMTPException) as error:
        raise _unreachable(error) from error


def _start_tls(smtp: SmtpSession, tls: BoundedTls | None) -> None:
    try:
        smtp.starttls(context=tls)  # type: ignore[arg-type]
    except (OSError, smtplib.SMTPException) as error:  # ssl.SSLError is an OSError
        raise _tls_failed(error) from error
    _greet(smtp)


def _log_in(smtp: smtplib.SMTP, server: SmtpServer) -> None:
    try:
        if (server.user + server.password).isascii():
            smtp.login(server.user, server.password)
        else:
            _log_in_with_utf8(smtp, server)
    except smtplib.SMTPNotSupportedError as error:
        usual = N_("The mail server offers no login in this way. Please check encryption and port.")
        offered = str(smtp.esmtp_features.get("auth", ""))
        raise Unreachable(login_failure_message(offered, usual), "login", _error_detail(error)) from error
    except Interrupted as error:
        raise _connection_broke(error) from error
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        usual = N_("The mail server refused the login. Please check user and password.")
        raise Unreachable(login_failure_message(_error_detail(error), usual), "login", _error_detail(error)) from error


def _log_in_with_utf8(smtp: smtplib.SMTP, server: SmtpServer) -> None:
    """Log in with PLAIN in UTF-8 (RFC 4616); smtplib accepts only ASCII passwords."""
    smtp.ehlo_or_helo_if_needed()
    if "PLAIN" not in smtp.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError("the server offers no AUTH PLAIN")
    secret = b64encode(f"\0{server.user}\0{server.password}".encode()).decode("ascii")
    code, text = smtp.docmd("AUTH", f"PLAIN {secret}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def _unreachable(error: Exception) -> Unreachable:
    if isinstance(error, Interrupted):
        return _connection_broke(error)
    return Unreachable(N_("The mail server does not take letters now."), "greeting", _error_detail(error))


def _tls_failed(error: Exception) -> Unreachable:
    if isinstance(error, Interrupted):
        return _connection_broke(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        message = N_("The mail server's certificate is not valid for its name.")
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        message = N_("The mail server offers no encryption by STARTTLS here. Please check the port.")
    elif getattr(error, "reason", "") == "WRONG_VERSION_NUMBER":
        message = N_("The mail server does not speak TLS from the start on this port. Please try STARTTLS.")
    else:
        message = N_("No secure connection to the mail server is possible.")
    return Unreachable(message, "tls", _error_detail(error))


def _error_detail(error: Exception) -> str:
    """Return details for the administrator. Encoding errors are not quoted: they contain the password."""
    if isinstance(error, UnicodeError):
        return type(error).__name__
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    return str(error)


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────────

SmtpPhase = Literal["mail", "rcpt", "data", "end"]

_PATH = re.compile(r"[!-;=?-~]*")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")


class OutcomeUnknown(ConnectionError):
    """The connection broke after the whole message was sent: the server may have it or not."""


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A server's reply to one message (RFC 5321 4.2). enhanced: RFC 3463 code, "" if none."""

    code: int
    enhanced: str
    text: str
    phase: SmtpPhase

    @property
    def accepted(self) -> bool:
        return self.phase == "end" and 200 <= self.code < 300

    @property
    def refused(self) -> bool:
        """Tell whether retrying is useless."""
        return 500 <= self.code < 600

    @property
    def deferred(self) -> bool:
        """Tell whether to retry later; an unexpected reply counts as temporary."""
        return not self.accepted and not self.refused


def rcpt_address(recipient: str, bare: bool) -> str:
    """Return the address for RCPT, quoted if it breaks RFC 5322. bare: the server wants it unquoted."""
    return recipient if bare else address.quote_if_needed(recipient)


def dot_stuff(raw: bytes) -> bytes:
    """Encode a message for DATA: CRLF line ends, dot-stuffing, end mark (RFC 5321 4.5.2)."""
    if not raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"):
        raw = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    if raw.startswith(b".") or b"\n." in raw:
        raw = re.sub(rb"(?m)^\.", b"..", raw)
    return raw + (b".\r\n" if raw.endswith(b"\r\n") else b"\r\n.\r\n")


class SmtpConnection:
    """A connection that sends one message after another. Not thread-safe."""

    def __init__(
        self,
        server: SmtpServer,
        hello: str,
        timeout: float | None = None,
        *,
        stopped: Callable[[], bool] = lambda: False,
        on_slow: Callable[[], None] = lambda: None,
    ) -> None:
        """hello: the name for EHLO. timeout: seconds per reply; None: as RFC 5321 4.5.3.2 says for each command.

        stopped: tells that the process must end; waits then end within STOP_GRACE_S. on_slow: called in long waits.
        """
        self._server = server
        self._hello = hello
        self._timeout = timeout
        self._wait = ServerWait(stopped, on_slow)
        self._smtp: SmtpSession | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the connection was usable at its last use."""
        return self._smtp is not None and self._smtp.sock is not None

    def open(self) -> None:
        """Connect unless connected. Raises Unreachable."""
        if not self.is_open:
            self._smtp = open_connection(self._server, self._hello, self._timeout, self._wait)

    def close(self) -> None:
        """Send QUIT and close. Idempotent."""
        if self._smtp is not None and self._smtp.sock is not None:
            self._smtp.limit_s = min(self._timeout or QUIT_LIMIT_S, QUIT_LIMIT_S)
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
        self._close()

    def send(self, mail_from: str, rcpt: str, raw: bytes) -> SmtpReply:
        """Send one message and return the final reply; connect if needed.

        mail_from: "" for the null sender. rcpt: as `rcpt_address` returns it. raw: the whole message.
        Raises Unreachable (the server does not have it) and OutcomeUnknown. After a refusal the connection can be
        used again; after 421 it is closed.
        """
        commands = _envelope_commands(mail_from, rcpt)
        reply = self._begin_reused(commands) if self.is_open else self._begin(commands)
        return reply or self._content(raw)

    def _begin_reused(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        """Start a transaction on a reused connection; servers close those at any time, so try twice."""
        try:
            reply = self._begin_once(commands)
        except Unreachable as failure:
            if failure.reason == "stopped":
                raise
            return self._begin(commands)
        stale = reply is not None and reply.code == 421 and reply.phase == "mail"
        return self._begin(commands) if stale or _is_confusion(reply) else reply

    def _begin(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        """Send MAIL, RCPT and DATA; return the refusing reply, or None if the content may follow.

        If the pipelined commands fail, send one command at a time. If that works, stop pipelining to the host for a day.
        """
        self.open()
        if not self._pipelines():
            return self._begin_once(commands)
        try:
            reply = self._begin_once(commands)
        except Unreachable as failure:
            if failure.reason == "stopped":
                raise
        else:
            if not _is_confusion(reply):
                return reply
        host = (self._server.host, self._server.port)
        _no_pipelining_until[host] = time.monotonic() + NO_PIPELINING_FOR_S
        reply = SmtpReply(0, "5.5.1", "", "mail")
        try:
            self.open()
            reply = self._begin_once(commands)
        finally:
            if _is_confusion(reply):  # one command at a time fails too
                _no_pipelining_until.pop(host, None)
        return reply

    def _pipelines(self) -> bool:
        """Tell whether commands go in one go: the server offers it and did not lose any within a day."""
        until = _no_pipelining_until.get((self._server.host, self._server.port), 0)
        return self._connected().has_extn("pipelining") and time.monotonic() > until

    def _begin_once(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        if self._pipelines():
            return self._begin_pipelined(commands)
        for phase, command, wanted in commands:
            reply = self._ask(command, phase)
            if reply.code // 100 != wanted:
                return self._reset_after(reply)
        return None

    def _begin_pipelined(self, commands: "EnvelopeCommands") -> SmtpReply | None:
        """Send all three commands before reading replies (RFC 2920 3.1): one round trip instead of three."""
        smtp, refusal = self._connected(), None
        host = (self._server.host, self._server.port)
        try:
            smtp.send("".join(f"{command}\r\n" for _, command, _ in commands))
            for phase, _, wanted in commands:
                self._limit(smtp, phase, trial=host not in _pipelined_hosts)
                reply = _parse_reply(*smtp.getreply(), phase)
                if reply.code // 100 != wanted:
                    refusal = refusal or reply
                elif refusal and phase == "data":
                    smtp.send(".\r\n")  # the server waits for content after refusing the recipient: send none
                    smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            if refusal is None:
                raise _connection_broke(error) from error
        if refusal is None:
            _pipelined_hosts.add(host)
        return self._reset_after(refusal) if refusal else None

    def _limit(self, smtp: SmtpSession, phase: str = "", trial: bool = False) -> None:
        """Set the time for the next reply."""
        limit_s = self._timeout or REPLY_LIMITS_S.get(phase, OTHER_LIMIT_S)
        smtp.limit_s = min(limit_s, PIPELINING_TRIAL_S) if trial else limit_s

    def _ask(self, command: str, phase: SmtpPhase) -> SmtpReply:
        smtp = self._connected()
        self._limit(smtp, phase)
        try:
            return _parse_reply(*smtp.docmd(command), phase)
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise _connection_broke(error) from error

    def _content(self, raw: bytes) -> SmtpReply:
        """Send the content and read the reply. Raises Unreachable, OutcomeUnknown."""
        smtp = self._connected()
        try:
            smtp.send(dot_stuff(raw))
        except (OSError, smtplib.SMTPException) as error:
            # The end mark was not sent, so the server must discard the message.
            self._close()
            raise _connection_broke(error) from error
        self._limit(smtp, "end")
        try:
            reply = _parse_reply(*smtp.getreply(), "end")
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise OutcomeUnknown(type(error).__name__) from error
        if reply.code // 100 == 3:  # no answer to a message (RFC 5321 4.3.2): the server may have it
            self._close()
            raise OutcomeUnknown(str(reply.code))
        return reply if reply.accepted else self._reset_after(reply)

    def _reset_after(self, reply: SmtpReply) -> SmtpReply:
        """Reset the connection for the next message; close it after 421."""
        if reply.code == 421:
            self._close()
            return reply
        try:
            self._limit(self._connected())
            code, _ = self._connected().rset()
        except (OSError, smtplib.SMTPException):
            code = -1
        if code // 100 != 2:
            self._close()
        return reply

    def _connected(self) -> SmtpSession:
        if self._smtp is None or self._smtp.sock is None:
            raise _connection_broke(ConnectionError("closed"))
        return self._smtp

    def _close(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None


_no_pipelining_until: dict[tuple[str, int], float] = {}
"""Hosts that lost pipelined commands, each with the end (monotonic) of that memory."""
_pipelined_hosts: set[tuple[str, int]] = set()
"""Hosts that answered pipelined commands."""


def _is_confusion(reply: "SmtpReply | None") -> bool:
    """Tell whether a reply complains of the order or form of the commands, as servers do that lose pipelined ones."""
    return reply is not None and (reply.code in (500, 502, 503) or reply.enhanced == "5.5.1")


EnvelopeCommands = tuple[tuple[SmtpPhase, str, int], ...]


def _envelope_commands(mail_from: str, rcpt: str) -> EnvelopeCommands:
    """Return phase, command and expected reply class of each command. Raises ValueError for an invalid address."""
    if not all(_PATH.fullmatch(path) for path in (mail_from, rcpt)) or not rcpt:
        raise ValueError("an envelope address holds a character that cannot stand in a command")
    return ("mail", f"MAIL FROM:<{mail_from}>", 2), ("rcpt", f"RCPT TO:<{rcpt}>", 2), ("data", "DATA", 3)


def _parse_reply(code: int, text: bytes, phase: SmtpPhase) -> SmtpReply:
    """Build the reply; raises SMTPServerDisconnected for an invalid code."""
    if not 200 <= code < 600:
        raise smtplib.SMTPServerDisconnected("the answer is no SMTP")
    shown = merge.one_line(text.decode("utf-8", "replace"))[:MAX_REPLY_CHARS]
    found = _ENHANCED.match(shown)
    return SmtpReply(code, found[1] if found else "", shown, phase)


def _connection_broke(error: Exception) -> Unreachable:
    if isinstance(error, Interrupted):
        return Unreachable(N_("The connection to the mail server broke."), "stopped")
    return Unreachable(N_("The connection to the mail server broke."), "broken", type(error).__name__)
