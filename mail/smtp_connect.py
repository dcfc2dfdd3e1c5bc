"""Where letters go, and the way there: a connection to a mail server, greeted, secured and logged in.

RFC 5321 (SMTP), 3207 (STARTTLS), 8314 3.3 (implicit TLS), 4954 (AUTH).
"""

import ipaddress
import smtplib
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from i18n import N_
from mail import login_errors

SmtpSecurity = Literal["none", "starttls", "tls"]

MAX_REPLY_CHARS = 500
"""Characters of a server's reply that are kept."""

_SCHEMES: dict[str, tuple[SmtpSecurity, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


class BadSmtpUrl(ValueError):
    """This does not say how to reach a mail server; `message` says why, in English, for `say`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unreachable(ConnectionError):
    """The server could not be used and has nothing of this letter: it is safe to try again.

    reason: a word for code ("connect", "tls", "greeting", "login", "broken"). message: a sentence for
    organizers, in English, for `say`. detail: what the server or the system said, without password.
    """

    def __init__(self, message: str, reason: str, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.detail = detail[:MAX_REPLY_CHARS]


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where letters go: a server of our own, of the provider, or the outbox on loopback."""

    host: str
    port: int
    security: SmtpSecurity = "none"
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Read `smtp://host:port`, `smtp+starttls://user:password@host` or `smtps://…`. Raises BadRoute.

        Ports default to 25, 587 and 465. User and password are percent-decoded.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise BadSmtpUrl(N_("The port of the mail server must be a number.")) from None
        if parts.scheme not in _SCHEMES:
            raise BadSmtpUrl(N_("A mail server begins with smtp://, smtp+starttls:// or smtps://."))
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise BadSmtpUrl(N_("Give the mail server as smtp://host:port."))
        security, usual = _SCHEMES[parts.scheme]
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if bool(user) != bool(password):
            raise BadSmtpUrl(N_("A mail server that wants a login needs both user and password."))
        if user and security == "none" and not is_loopback(parts.hostname):
            raise BadSmtpUrl(N_("A password must not travel in the open: use smtp+starttls:// or smtps://."))
        return cls(parts.hostname, port or usual, security, user, password)

    def shown(self) -> str:
        """Return the route for pages and logs, without password."""
        scheme = next(name for name, (security, _) in _SCHEMES.items() if security == self.security)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{f'{self.user}@' if self.user else ''}{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether letters stay on this machine, as far as the route goes."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_connection(route: SmtpServer, hello: str, timeout: float) -> smtplib.SMTP:
    """Return a connection that is greeted, secured and logged in. Raises Unreachable."""
    smtp = _connect(route, hello, timeout)
    try:
        _greet(smtp)
        if route.security == "starttls":
            _start_tls(smtp, route)
        if route.user:
            _log_in(smtp, route)
    except Unreachable:
        smtp.close()
        raise
    return smtp


def _connect(route: SmtpServer, hello: str, timeout: float) -> smtplib.SMTP:
    """Connect and hear the greeting."""
    try:
        if route.security == "tls":
            secure = tls_context(route.host)
            return smtplib.SMTP_SSL(route.host, route.port, hello, timeout=timeout, context=secure)
        return smtplib.SMTP(route.host, route.port, hello, timeout=timeout)
    except ssl.SSLError as fault:
        raise _tls_failed(fault) from fault
    except smtplib.SMTPException as fault:
        raise _unreachable(fault) from fault
    except (OSError, UnicodeError) as fault:
        message = N_("The mail server cannot be reached. Please check its name and port.")
        raise Unreachable(message, "connect", str(fault)) from fault


def tls_context(host: str) -> ssl.SSLContext:
    """Return TLS settings: certificates are checked, but on this machine itself."""
    context = ssl.create_default_context()
    if is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _greet(smtp: smtplib.SMTP) -> None:
    try:
        smtp.ehlo_or_helo_if_needed()
    except (OSError, smtplib.SMTPException) as fault:
        raise _unreachable(fault) from fault


def _start_tls(smtp: smtplib.SMTP, route: SmtpServer) -> None:
    try:
        smtp.starttls(context=tls_context(route.host))
    except (OSError, smtplib.SMTPException) as fault:  # ssl.SSLError is an OSError
        raise _tls_failed(fault) from fault
    _greet(smtp)


def _log_in(smtp: smtplib.SMTP, route: SmtpServer) -> None:
    try:
        if (route.user + route.password).isascii():
            smtp.login(route.user, route.password)
        else:
            _log_in_with_utf8(smtp, route)
    except smtplib.SMTPNotSupportedError as fault:
        usual = N_("The mail server offers no login in this way. Please check encryption and port.")
        offered = str(smtp.esmtp_features.get("auth", ""))
        raise Unreachable(login_errors.login_failure_message(offered, usual), "login", _error_detail(fault)) from fault
    except (OSError, smtplib.SMTPException, UnicodeError) as fault:
        usual = N_("The mail server refused the login. Please check user and password.")
        raise Unreachable(
            login_errors.login_failure_message(_error_detail(fault), usual), "login", _error_detail(fault)
        ) from fault


def _log_in_with_utf8(smtp: smtplib.SMTP, route: SmtpServer) -> None:
    """Log in by PLAIN in UTF-8 (RFC 4616), which smtplib cannot: it takes ASCII passwords only."""
    smtp.ehlo_or_helo_if_needed()
    if "PLAIN" not in smtp.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError("the server offers no AUTH PLAIN")
    secret = b64encode(f"\0{route.user}\0{route.password}".encode()).decode("ascii")
    code, text = smtp.docmd("AUTH", f"PLAIN {secret}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def _unreachable(fault: Exception) -> Unreachable:
    return Unreachable(N_("The mail server does not take letters now."), "greeting", _error_detail(fault))


def _tls_failed(fault: Exception) -> Unreachable:
    if isinstance(fault, ssl.SSLCertVerificationError):
        message = N_("The mail server's certificate is not valid for its name.")
    elif isinstance(fault, smtplib.SMTPNotSupportedError):
        message = N_("The mail server offers no encryption by STARTTLS here. Please check the port.")
    elif getattr(fault, "reason", "") == "WRONG_VERSION_NUMBER":
        message = N_("The mail server does not speak TLS from the start on this port. Please try STARTTLS.")
    else:
        message = N_("No secure connection to the mail server is possible.")
    return Unreachable(message, "tls", _error_detail(fault))


def _error_detail(fault: Exception) -> str:
    """Return what went wrong, for the administrator; encoding faults are not quoted, they hold the password."""
    if isinstance(fault, UnicodeError):
        return type(fault).__name__
    if isinstance(fault, smtplib.SMTPResponseException):
        text = fault.smtp_error
        return f"{fault.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    return str(fault)
