"""The mail server as an administrator sets it: field by field, kept as one address in the Organization row."""

from urllib.parse import quote

from core import settings
from core.errors import DomainError
from i18n import N_
from mail.smtp import BadSmtpUrl, SmtpServer
from models import User

SECURITY_LABELS = {
    "starttls": N_("STARTTLS (usual, port 587)"),
    "tls": N_("TLS from the start (port 465)"),
    "none": N_("Not encrypted (only inside your own network)"),
}
_SCHEMES = {"starttls": "smtp+starttls", "tls": "smtps", "none": "smtp"}


def update_smtp(
    by: User, *, host: str, port: int | None, security: str, user: str, password: str, hour_rate: int | None = None
) -> None:
    """Keep the route to the mail server; without a host, letters stay in the outbox. Raises DomainError.

    hour_rate: letters an hour that it allows (0: no limit); None keeps what is set.

    An empty password keeps the old one, for the same host and user only: it must not be sent to another server.
    """
    url = _smtp_url(host.strip(), port, security, user.strip(), password) if host.strip() else ""
    try:
        if url:
            SmtpServer.parse(url)
    except BadSmtpUrl as wrong:
        raise DomainError(wrong.message, "password" if "password" in wrong.message else "host") from wrong
    more = {} if hour_rate is None else {"hour_rate": hour_rate}
    settings.update_organization(by, smtp=url, **more)


def _smtp_url(host: str, port: int | None, security: str, user: str, password: str) -> str:
    kept = settings.load_settings().route
    if not password and kept and (kept.host, kept.user) == (host, user):
        password = kept.password
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    name = f"[{host}]" if ":" in host else host
    return f"{_SCHEMES[security]}://{login}{name}{f':{port}' if port else ''}"
