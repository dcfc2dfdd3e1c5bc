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
from core.house import safekeeping
from core.organization import Settings
from mail import sign
from mail.deliver import Connection
from mail.route import Unreachable
from models import Collection, Letter
from words import N_

TIMEOUT_S = 3.0
LOW_DISK = 500 * 2**20
WAITING_MIN = 30
CERTIFICATE_LEFT = timedelta(days=14)
Ask = Callable[[str, str], list[str] | None]


@dataclass(frozen=True, slots=True)
class Record:
    """One DNS record to publish, and what is found there (None: not asked, or no answer)."""

    kind: str
    name: str
    type: str
    value: str
    found: list[str] | None
    ok: bool | None
    advice: str


@dataclass(frozen=True, slots=True)
class Check:
    """One matter of this machine: fine or not, and what to do."""

    kind: str
    ok: bool | None
    found: str
    advice: str


def examine(config: Config, force: Settings, now: datetime) -> dict:
    """Return the whole examination as one document: `mail_domain`, `records`, `checks`."""
    ask = resolver(config.dns)
    return {
        "mail_domain": force.mail_domain,
        "records": [asdict(one) for one in records(config, force, ask)],
        "checks": [asdict(one) for one in checks(config, force, now)],
    }


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def records(config: Config, force: Settings, ask: Ask) -> Iterator[Record]:
    """Return the records to publish for the mail domain, each compared with what is found.

    With one mailbox at a provider there are none: the domain, and the signature, are the provider's.
    """
    if force.own.mailbox:
        return
    domain, host = force.mail_domain, _host(force)
    key = sign.record(config.key("dkim.pem"))
    yield _txt(ask, "dkim", f"{config.dkim_selector}._domainkey.{domain}", key, lambda found: _same_key(found, key))
    yield _txt(ask, "spf", domain, f"v=spf1 a:{host} mx -all", lambda found: found.lower().startswith("v=spf1"))
    policy = f"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"
    yield _txt(ask, "dmarc", f"_dmarc.{domain}", policy, lambda found: found.lower().startswith("v=dmarc1"))
    found = ask(domain, "MX")
    advice = "" if found else N_("Needed for blank mails, posts, replies and returned mail; some carriers want it too.")
    yield Record("mx", domain, "MX", f"10 {host}.", found, None if found is None else bool(found), advice)
    yield _reverse(ask, host)


def _host(force: Settings) -> str:
    """Return the name of the machine that sends: the pages' host, or the mail domain while that is only an address."""
    host = urlsplit(force.base_url).hostname or ""
    return host if "." in host and not dns.inet.is_address(host) else force.mail_domain


def _txt(ask: Ask, kind: str, name: str, value: str, fits: Callable[[str], bool]) -> Record:
    found = ask(name, "TXT")
    fitting = [one for one in found or () if fits(one)]
    ok = None if found is None else len(fitting) == 1
    advice = "" if ok else N_("Publish this TXT record at your DNS provider.")
    if len(fitting) > 1:
        advice = N_("There is more than one such record; only one may stay.")
    return Record(kind, name, "TXT", value, found, ok, advice)


def _same_key(found: str, wanted: str) -> bool:
    def key(text: str) -> str:
        return next((part.strip()[2:] for part in text.split(";") if part.strip().startswith("p=")), "")

    return bool(key(wanted)) and key(found.replace(" ", "")) == key(wanted.replace(" ", ""))


def _reverse(ask: Ask, host: str) -> Record:
    addresses = ask(host, "A") or []
    names = [name for one in addresses for name in ask(str(dns.reversename.from_address(one)), "PTR") or []]
    ok = None if not addresses else any(name.rstrip(".") == host for name in names)
    advice = "" if ok else N_("Ask the provider of the server to set its reverse name; some unlock port 25 only then.")
    return Record("ptr", addresses[0] if addresses else host, "PTR", f"{host}.", names or None, ok, advice)


def resolver(server: str = "") -> Ask:
    """Return a question (name, type) → texts; [] if there is no such record, None if nobody answers."""
    asked = dns.resolver.Resolver(configure=not server)
    if server:
        host, _, port = server.rpartition(":")
        asked.nameservers, asked.port = [host or server], int(port) if host else 53
    asked.timeout = asked.lifetime = TIMEOUT_S

    def ask(name: str, kind: str) -> list[str] | None:
        try:
            return [_text(one, kind) for one in asked.resolve(name, kind)]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError):
            return None

    return ask


def _text(answer: object, kind: str) -> str:
    strings = getattr(answer, "strings", None)
    return b"".join(strings).decode("utf-8", "replace") if kind == "TXT" and strings else str(answer)


# ── this machine ─────────────────────────────────────────────────────────────────────────────────────────────────


def checks(config: Config, force: Settings, now: datetime) -> Iterator[Check]:
    """Examine mail server, clock, disk, queue and addresses."""
    yield _server(force)
    yield _incoming(force)
    free = shutil.disk_usage(config.data).free
    advice = "" if free > LOW_DISK else N_("Make room: less than 500 MB are free.")
    yield Check("disk", free > LOW_DISK, f"{free // 2**20} MB", advice)
    yield Check("clock", abs(config.clock_offset_s) < 1, now.isoformat(timespec="seconds"), "")
    yield _queue(now)
    yield _backup(now)
    https = force.base_url.startswith("https://")
    advice = "" if https else N_("Readers need an https address: put Caddy or nginx in front and set the base URL.")
    yield Check("base_url", https, force.base_url, advice)
    if https:
        yield _certificate(force.base_url, now)


def _backup(now: datetime) -> Check:
    last = safekeeping.last_backup()
    fresh = None if last is None else now - last < safekeeping.OLD
    advice = "" if fresh else N_("Write a backup every night: ./kairan backup FOLDER (docs/administrator.md, 7).")
    return Check("backup", fresh, "never" if last is None else f"{(now - last).days} days ago", advice)


def _server(force: Settings) -> Check:
    if force.route is None:
        advice = N_("No mail server is set: nothing leaves this machine. Set one under More → How mail goes and comes.")
        return Check("smtp", None, "outbox", advice)
    road = Connection(force.route, force.mail_domain, TIMEOUT_S)
    try:
        road.open()
    except Unreachable as trouble:
        return Check("smtp", False, force.route.shown(), trouble.message)
    finally:
        road.close()
    return Check("smtp", True, force.route.shown(), "")


def _incoming(force: Settings) -> Check:
    """Say how mail comes in: by the mail door, out of a mailbox, or not at all."""
    if force.box is None:
        advice = "" if force.door else N_("Mail does not come in: bounces, replies and posts are not seen.")
        return Check("incoming", force.door or None, "inlet" if force.door else "", advice)
    state = Collection.the()
    if state.reason:
        found = f"{force.box.shown()}: {state.detail}" if state.detail else force.box.shown()
        return Check("incoming", False, found, state.message)
    return Check("incoming", True if state.well_at else None, force.box.shown(), "")


def _certificate(base_url: str, now: datetime) -> Check:
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
        return Check("certificate", False, wrong.verify_message, advice)
    except OSError:
        return Check("certificate", None, host, N_("The pages could not be reached from here to look at it."))
    fine = until - now > CERTIFICATE_LEFT
    advice = "" if fine else N_("It runs out soon and has not been renewed by itself: look at Caddy or certbot.")
    return Check("certificate", fine, until.date().isoformat(), advice)


def _queue(now: datetime) -> Check:
    waiting = Letter.select().where(Letter.state.in_(("waiting", "deferred")), Letter.next_at < now)
    oldest = waiting.order_by(Letter.next_at).first()
    late = bool(oldest) and (now - oldest.next_at).total_seconds() > WAITING_MIN * 60
    advice = N_("Letters have been waiting for more than half an hour: is the worker running?") if late else ""
    return Check("queue", not late, f"{waiting.count()} due", advice)
