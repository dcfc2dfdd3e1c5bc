"""Diagnostics of the installation: DNS records, mail server, clock, disk, queue; each with advice (E-02, X-08, field 3.3).

The records to publish need no network. Lookups use short timeouts, and a missing answer is a result, not an error.
"""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from config import Config
from core import backup, clock_watch, process_settings
from core.settings import Settings
from i18n import N_
from mail import auth_results, dkim_signer
from mail.smtp import SmtpConnection, Unreachable
from models import QUEUED_STATES, ImapStatus, Letter

TIMEOUT_S = 3.0
MIN_FREE_BYTES = 500 * 2**20
MAX_QUEUE_AGE = timedelta(minutes=30)
MIN_CERTIFICATE_LEFT = timedelta(days=14)
DnsQuery = Callable[[str, str], list[str] | None]
"""(name, type) → record texts; [] if there is no such record, None without an answer."""
CHECK_NAMES = {
    "dkim": N_("DNS: the key of the signature (DKIM)"),
    "spf": N_("DNS: who may send (SPF)"),
    "dmarc": N_("DNS: what others do with forgeries (DMARC)"),
    "mx": N_("DNS: where mail comes in (MX)"),
    "ptr": N_("DNS: the reverse name (PTR)"),
    "settings": N_("Settings"),
    "smtp": N_("Mail server"),
    "incoming": N_("Incoming mail"),
    "disk": N_("Free disk space"),
    "clock": N_("Clock"),
    "queue": N_("Letters that wait"),
    "base_url": N_("Address of the pages"),
    "certificate": N_("Certificate of the pages"),
    "backup": N_("Backup"),
}


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A DNS record to publish, and the records found (None: no answer)."""

    kind: str
    name: str
    type: str
    value: str
    found: list[str] | None
    ok: bool | None
    advice: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check. ok: None if unknown; found: as text; advice: source string for `say`, "" for none."""

    kind: str
    ok: bool | None
    found: str
    advice: str

    @property
    def name(self) -> str:
        return CHECK_NAMES.get(self.kind, self.kind)


def run_diagnostics(config: Config, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return all results as one JSON document: `mail_domain`, `records`, `checks`."""
    return {
        "mail_domain": settings.mail_domain,
        "records": [asdict(record) for record in check_dns_records(config, settings, make_resolver(config.dns))],
        "checks": [asdict(result) for result in check_system(config, settings, now)],
    }


def list_results(config: Config, settings: Settings, now: datetime) -> list[CheckResult]:
    """Return all results in one form, failed checks first."""
    records = [
        CheckResult(record.kind, record.ok, "、".join(record.found or []) or record.name, record.advice)
        for record in check_dns_records(config, settings, make_resolver(config.dns))
    ]
    return sorted([*check_system(config, settings, now), *records], key=lambda result: result.ok is not False)


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_dns_records(config: Config, settings: Settings, query: DnsQuery) -> Iterator[DnsRecord]:
    """Yield the records to publish for the mail domain, compared with the records found.

    With a single mailbox at a provider there are none: domain and signature are the provider's.
    """
    if settings.own_addresses.mailbox:
        return
    domain, host = settings.mail_domain, _sending_host(settings)
    key = dkim_signer.dns_record(config.key("dkim.pem"))
    selector = f"{config.dkim_selector}._domainkey.{domain}"
    yield _check_txt(query, "dkim", selector, key, lambda text: _same_key(text, key))
    yield _check_txt(query, "spf", domain, f"v=spf1 a:{host} mx -all", lambda text: text.lower().startswith("v=spf1"))
    policy = f"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"
    yield _check_txt(query, "dmarc", f"_dmarc.{domain}", policy, lambda text: text.lower().startswith("v=dmarc1"))
    found = query(domain, "MX")
    advice = "" if found else N_("Needed for blank mails, posts, replies and returned mail; some carriers want it too.")
    yield DnsRecord("mx", domain, "MX", f"10 {host}.", found, None if found is None else bool(found), advice)
    yield _check_ptr(query, host)


def _sending_host(settings: Settings) -> str:
    """Return the host name of the pages; the mail domain while the base URL has only an IP address."""
    host = urlsplit(settings.base_url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host if "." in host else settings.mail_domain
    return settings.mail_domain


def _check_txt(query: DnsQuery, kind: str, name: str, value: str, fits: Callable[[str], bool]) -> DnsRecord:
    found = query(name, "TXT")
    fitting = [text for text in found or () if fits(text)]
    ok = None if found is None else len(fitting) == 1
    advice = "" if ok else N_("Publish this TXT record at your DNS provider.")
    if len(fitting) > 1:
        advice = N_("There is more than one such record; only one may stay.")
    return DnsRecord(kind, name, "TXT", value, found, ok, advice)


def _same_key(found: str, wanted: str) -> bool:
    def key(text: str) -> str:
        return next((part.strip()[2:] for part in text.split(";") if part.strip().startswith("p=")), "")

    return bool(key(wanted)) and key(found.replace(" ", "")) == key(wanted.replace(" ", ""))


def _check_ptr(query: DnsQuery, host: str) -> DnsRecord:
    addresses = query(host, "A") or []
    names = [name for ip in addresses for name in query(f"{ip_address(ip).reverse_pointer}.", "PTR") or []]
    ok = None if not addresses else any(name.rstrip(".") == host for name in names)
    advice = "" if ok else N_("Ask the provider of the server to set its reverse name; some unlock port 25 only then.")
    return DnsRecord("ptr", addresses[0] if addresses else host, "PTR", f"{host}.", names or None, ok, advice)


def make_resolver(server: str = "") -> DnsQuery:
    """Return a query function for the name server at host:port; "": the system's."""
    import dns.exception  # large, and most processes never ask
    import dns.resolver

    resolver = auth_results.make_resolver(server, TIMEOUT_S)
    resolver.timeout = resolver.lifetime = TIMEOUT_S

    def query(name: str, kind: str) -> list[str] | None:
        try:
            return [_record_text(record, kind) for record in resolver.resolve(name, kind)]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError):
            return None

    return query


def _record_text(record: object, kind: str) -> str:
    strings = getattr(record, "strings", None)
    return b"".join(strings).decode("utf-8", "replace") if kind == "TXT" and strings else str(record)


# ── this machine ─────────────────────────────────────────────────────────────────────────────────────────────────


def check_system(config: Config, settings: Settings, now: datetime) -> Iterator[CheckResult]:
    """Check mail server, incoming mail, disk, clock, queue, backup, base URL and certificate."""
    yield _check_settings()
    yield _check_smtp(settings)
    yield _check_incoming(settings)
    free = shutil.disk_usage(config.data).free
    advice = "" if free > MIN_FREE_BYTES else N_("Make room: less than 500 MB are free.")
    yield CheckResult("disk", free > MIN_FREE_BYTES, f"{free // 2**20} MB", advice)
    yield _check_clock(config, now)
    yield _check_queue(now)
    yield _check_backup(now)
    https = settings.base_url.startswith("https://")
    advice = "" if https else N_("Readers need an https address: put Caddy or nginx in front and set the base URL.")
    yield CheckResult("base_url", https, settings.base_url, advice)
    if https:
        yield _check_certificate(settings.base_url, now)


def _check_settings() -> CheckResult:
    """Compare with the running service: a setting in the environment of one of them is unknown to the other."""
    different = process_settings.differences()
    advice = (
        N_("The running service sees other values. Write them into kairan.toml: ./kairan config list")
        if different
        else ""
    )
    return CheckResult("settings", not different, ", ".join(different) or "kairan.toml", advice)


def _check_clock(config: Config, now: datetime) -> CheckResult:
    jump = clock_watch.unconfirmed_jump()
    found = now.isoformat(timespec="seconds")
    if jump:
        advice = N_("The clock was set. Compare it with your watch, then press the button on the first page.")
        return CheckResult("clock", False, f"{found}, {round(jump.total_seconds() / 60):+} min", advice)
    return CheckResult("clock", abs(config.clock_offset_s) < 1, found, "")


def _check_backup(now: datetime) -> CheckResult:
    last = backup.last_backup_at()
    fresh = None if last is None else now - last < backup.OVERDUE_AFTER
    advice = "" if fresh else N_("The nightly backup is missing: is the worker running? More → Is all well? says why.")
    return CheckResult("backup", fresh, "never" if last is None else f"{(now - last).days} days ago", advice)


def _check_smtp(settings: Settings) -> CheckResult:
    if settings.quarantined:
        advice = N_("This is a restored copy: nothing leaves it. To make it the real one: ./kairan take-over")
        return CheckResult("smtp", False, "", advice)
    if settings.lacks_route:
        advice = N_("No mail server is set any more: letters wait. Set one under More → How mail goes and comes.")
        return CheckResult("smtp", False, "", advice)
    if settings.route is None:
        advice = N_("No mail server is set: nothing leaves this machine. Set one under More → How mail goes and comes.")
        return CheckResult("smtp", None, "outbox", advice)
    connection = SmtpConnection(settings.route, settings.mail_domain, TIMEOUT_S)
    try:
        connection.open()
    except Unreachable as error:
        return CheckResult("smtp", False, settings.route.shown(), error.message)
    finally:
        connection.close()
    return CheckResult("smtp", True, settings.route.shown(), "")


def _check_incoming(settings: Settings) -> CheckResult:
    """Report how mail comes in: by the SMTP or LMTP listener, from a mailbox, or not at all."""
    if settings.imap_account is None:
        advice = (
            ""
            if settings.has_inbound_listener
            else N_("Mail does not come in: bounces, replies and posts are not seen.")
        )
        return CheckResult(
            "incoming", settings.has_inbound_listener or None, "inlet" if settings.has_inbound_listener else "", advice
        )
    status, mailbox = ImapStatus.load_row(), settings.imap_account.shown()
    if status.reason:
        found = f"{mailbox}: {status.detail}" if status.detail else mailbox
        return CheckResult("incoming", False, found, status.message)
    return CheckResult("incoming", True if status.last_success_at else None, mailbox, "")


def _check_certificate(base_url: str, now: datetime) -> CheckResult:
    """Fetch the certificate of the base URL: phones refuse one that has expired or is not trusted."""
    url = urlsplit(base_url)
    host, port = url.hostname or "", url.port or 443
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_S) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            certificate = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        advice = N_("Phones do not trust this certificate. Let Caddy or certbot fetch a new one.")
        return CheckResult("certificate", False, error.verify_message, advice)
    except OSError:
        return CheckResult("certificate", None, host, N_("The pages could not be reached from here to look at it."))
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    fine = until - now > MIN_CERTIFICATE_LEFT
    advice = "" if fine else N_("It runs out soon and has not been renewed by itself: look at Caddy or certbot.")
    return CheckResult("certificate", fine, until.date().isoformat(), advice)


def _check_queue(now: datetime) -> CheckResult:
    due = Letter.select().where(Letter.state.in_(QUEUED_STATES), Letter.next_attempt_at < now)
    oldest = due.order_by(Letter.next_attempt_at).first()
    late = oldest is not None and now - oldest.next_attempt_at > MAX_QUEUE_AGE
    advice = N_("Letters have been waiting for more than half an hour: is the worker running?") if late else ""
    return CheckResult("queue", not late, f"{due.count()} due", advice)
