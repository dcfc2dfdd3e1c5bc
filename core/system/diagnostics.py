"""What the installation needs from the world: DNS records, mail server, clock, disk, queue; each with what to do.

The records to publish are known without any network. What is found is asked of a resolver with short time-outs; no
answer is a finding like any other and never an error (E-02, X-08, field 3.3).
"""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import dns.exception
import dns.inet
import dns.resolver
import dns.reversename

from config import Config
from core import backup
from core.settings import Settings
from i18n import N_
from mail import dkim_signer
from mail.smtp import SmtpConnection, Unreachable
from models import ImapStatus, Letter

TIMEOUT_S = 3.0
MIN_FREE_BYTES = 500 * 2**20
MAX_QUEUE_AGE_MIN = 30
MIN_CERTIFICATE_LEFT = timedelta(days=14)
DnsQuery = Callable[[str, str], list[str] | None]


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One DNS record to publish, and what is found there (None: not asked, or no answer)."""

    kind: str
    name: str
    type: str
    value: str
    found: list[str] | None
    ok: bool | None
    advice: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One matter of this machine: fine or not, and what to do."""

    kind: str
    ok: bool | None
    found: str
    advice: str


def run_diagnostics(config: Config, force: Settings, now: datetime) -> dict:
    """Return the whole examination as one document: `mail_domain`, `records`, `checks`."""
    ask = make_resolver(config.dns)
    return {
        "mail_domain": force.mail_domain,
        "records": [asdict(one) for one in check_dns_records(config, force, ask)],
        "checks": [asdict(one) for one in check_system(config, force, now)],
    }


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_dns_records(config: Config, force: Settings, ask: DnsQuery) -> Iterator[DnsRecord]:
    """Return the records to publish for the mail domain, each compared with what is found.

    With one mailbox at a provider there are none: the domain, and the signature, are the provider's.
    """
    if force.own.mailbox:
        return
    domain, host = force.mail_domain, _sending_host(force)
    key = dkim_signer.dns_record(config.key("dkim.pem"))
    yield _check_txt(
        ask, "dkim", f"{config.dkim_selector}._domainkey.{domain}", key, lambda found: _same_key(found, key)
    )
    yield _check_txt(ask, "spf", domain, f"v=spf1 a:{host} mx -all", lambda found: found.lower().startswith("v=spf1"))
    policy = f"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"
    yield _check_txt(ask, "dmarc", f"_dmarc.{domain}", policy, lambda found: found.lower().startswith("v=dmarc1"))
    found = ask(domain, "MX")
    advice = "" if found else N_("Needed for blank mails, posts, replies and returned mail; some carriers want it too.")
    yield DnsRecord("mx", domain, "MX", f"10 {host}.", found, None if found is None else bool(found), advice)
    yield _check_ptr(ask, host)


def _sending_host(force: Settings) -> str:
    """Return the name of the machine that sends: the pages' host, or the mail domain while that is only an address."""
    host = urlsplit(force.base_url).hostname or ""
    return host if "." in host and not dns.inet.is_address(host) else force.mail_domain


def _check_txt(ask: DnsQuery, kind: str, name: str, value: str, fits: Callable[[str], bool]) -> DnsRecord:
    found = ask(name, "TXT")
    fitting = [one for one in found or () if fits(one)]
    ok = None if found is None else len(fitting) == 1
    advice = "" if ok else N_("Publish this TXT record at your DNS provider.")
    if len(fitting) > 1:
        advice = N_("There is more than one such record; only one may stay.")
    return DnsRecord(kind, name, "TXT", value, found, ok, advice)


def _same_key(found: str, wanted: str) -> bool:
    def key(text: str) -> str:
        return next((part.strip()[2:] for part in text.split(";") if part.strip().startswith("p=")), "")

    return bool(key(wanted)) and key(found.replace(" ", "")) == key(wanted.replace(" ", ""))


def _check_ptr(ask: DnsQuery, host: str) -> DnsRecord:
    addresses = ask(host, "A") or []
    names = [name for one in addresses for name in ask(str(dns.reversename.from_address(one)), "PTR") or []]
    ok = None if not addresses else any(name.rstrip(".") == host for name in names)
    advice = "" if ok else N_("Ask the provider of the server to set its reverse name; some unlock port 25 only then.")
    return DnsRecord("ptr", addresses[0] if addresses else host, "PTR", f"{host}.", names or None, ok, advice)


def make_resolver(server: str = "") -> DnsQuery:
    """Return a question (name, type) → texts; [] if there is no such record, None if nobody answers."""
    asked = dns.resolver.Resolver(configure=not server)
    if server:
        host, _, port = server.rpartition(":")
        asked.nameservers, asked.port = [host or server], int(port) if host else 53
    asked.timeout = asked.lifetime = TIMEOUT_S

    def ask(name: str, kind: str) -> list[str] | None:
        try:
            return [_record_text(one, kind) for one in asked.resolve(name, kind)]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError):
            return None

    return ask


def _record_text(answer: object, kind: str) -> str:
    strings = getattr(answer, "strings", None)
    return b"".join(strings).decode("utf-8", "replace") if kind == "TXT" and strings else str(answer)


# ── this machine ─────────────────────────────────────────────────────────────────────────────────────────────────


def check_system(config: Config, force: Settings, now: datetime) -> Iterator[CheckResult]:
    """Examine mail server, clock, disk, queue and addresses."""
    yield _check_smtp(force)
    yield _check_incoming(force)
    free = shutil.disk_usage(config.data).free
    advice = "" if free > MIN_FREE_BYTES else N_("Make room: less than 500 MB are free.")
    yield CheckResult("disk", free > MIN_FREE_BYTES, f"{free // 2**20} MB", advice)
    yield CheckResult("clock", abs(config.clock_offset_s) < 1, now.isoformat(timespec="seconds"), "")
    yield _check_queue(now)
    yield _check_backup(now)
    https = force.base_url.startswith("https://")
    advice = "" if https else N_("Readers need an https address: put Caddy or nginx in front and set the base URL.")
    yield CheckResult("base_url", https, force.base_url, advice)
    if https:
        yield _check_certificate(force.base_url, now)


def _check_backup(now: datetime) -> CheckResult:
    last = backup.last_backup_at()
    fresh = None if last is None else now - last < backup.OVERDUE_AFTER
    advice = "" if fresh else N_("Write a backup every night: ./kairan backup FOLDER (docs/administrator.md, 7).")
    return CheckResult("backup", fresh, "never" if last is None else f"{(now - last).days} days ago", advice)


def _check_smtp(force: Settings) -> CheckResult:
    if force.route is None:
        advice = N_("No mail server is set: nothing leaves this machine. Set one under More → How mail goes and comes.")
        return CheckResult("smtp", None, "outbox", advice)
    road = SmtpConnection(force.route, force.mail_domain, TIMEOUT_S)
    try:
        road.open()
    except Unreachable as trouble:
        return CheckResult("smtp", False, force.route.shown(), trouble.message)
    finally:
        road.close()
    return CheckResult("smtp", True, force.route.shown(), "")


def _check_incoming(force: Settings) -> CheckResult:
    """Say how mail comes in: by the mail door, out of a mailbox, or not at all."""
    if force.box is None:
        advice = "" if force.door else N_("Mail does not come in: bounces, replies and posts are not seen.")
        return CheckResult("incoming", force.door or None, "inlet" if force.door else "", advice)
    state = ImapStatus.load_row()
    if state.reason:
        found = f"{force.box.shown()}: {state.detail}" if state.detail else force.box.shown()
        return CheckResult("incoming", False, found, state.message)
    return CheckResult("incoming", True if state.last_success_at else None, force.box.shown(), "")


def _check_certificate(base_url: str, now: datetime) -> CheckResult:
    """Ask the pages' own address for its certificate: readers' phones refuse one that is over or not trusted."""
    place = urlsplit(base_url)
    host, port = place.hostname or "", place.port or 443
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_S) as road,
            ssl.create_default_context().wrap_socket(road, server_hostname=host) as safe,
        ):
            until = datetime.fromtimestamp(ssl.cert_time_to_seconds(safe.getpeercert()["notAfter"]), UTC)
    except ssl.SSLCertVerificationError as wrong:
        advice = N_("Phones do not trust this certificate. Let Caddy or certbot fetch a new one.")
        return CheckResult("certificate", False, wrong.verify_message, advice)
    except OSError:
        return CheckResult("certificate", None, host, N_("The pages could not be reached from here to look at it."))
    fine = until - now > MIN_CERTIFICATE_LEFT
    advice = "" if fine else N_("It runs out soon and has not been renewed by itself: look at Caddy or certbot.")
    return CheckResult("certificate", fine, until.date().isoformat(), advice)


def _check_queue(now: datetime) -> CheckResult:
    waiting = Letter.select().where(Letter.state.in_(("waiting", "deferred")), Letter.next_attempt_at < now)
    oldest = waiting.order_by(Letter.next_attempt_at).first()
    late = bool(oldest) and (now - oldest.next_attempt_at).total_seconds() > MAX_QUEUE_AGE_MIN * 60
    advice = N_("Letters have been waiting for more than half an hour: is the worker running?") if late else ""
    return CheckResult("queue", not late, f"{waiting.count()} due", advice)
