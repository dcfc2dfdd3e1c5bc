"""The settings in force: the technical ones of `kairan.toml`, and what the Organization row says."""

from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlsplit

import clock
import config as ground
from core import audit, quarantine
from core.errors import DomainError
from i18n import N_
from mail.address import OwnAddresses, id_domain
from mail.server_urls import ImapAccount, SmtpServer
from models import Organization, User

DEFAULT_RATE, DEFAULT_DOMAIN_RATE, DEFAULT_HOLD_S = 300, 120, 180
IMAP_MODES = ("collected", "mailbox")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force now.

    `rate`, `domain_rate` and `domain_rates` (by domain): letters a minute, `hour_rate`: an hour (0: no limit); `hold_s`,
    `hold_urgent_s`, `late_s`: seconds. `route`: the mail server, None if this process knows none. `live`: letters have
    left this installation, so without a route they wait; else they go to the outbox (practice). `own_addresses`: our
    addresses; `mail_domain`: of our Message-IDs, and of all addresses unless there is one mailbox only. `mail_mode`: how
    mail comes back; `imap_account`: of the mailbox that is read, None if none; `has_inbound_listener`: an address for SMTP
    or LMTP is set. `fixed` names what the environment of this process sets, so that pages cannot change it.
    """

    name: str
    postal: str
    contact: str
    language: str
    mail_domain: str
    base_url: str
    route: SmtpServer | None
    live: bool
    quarantined: bool
    mail_mode: str
    own_addresses: OwnAddresses
    imap_account: ImapAccount | None
    recipient_header: str
    has_inbound_listener: bool
    rate: int
    domain_rate: int
    domain_rates: dict[str, int]
    hour_rate: int
    hold_s: int
    hold_urgent_s: int
    late_s: int
    secret: bytes
    fixed: frozenset[str]

    @property
    def accepts_inbound(self) -> bool:
        """Say whether mail to our addresses reaches us; while practising everything is shown as it will be."""
        return self.practice or (
            self.imap_account is not None if self.mail_mode in ("collected", "mailbox") else self.has_inbound_listener
        )

    @property
    def practice(self) -> bool:
        """Say whether letters go to the outbox: no mail server is set, and none ever was."""
        return self.route is None and not self.live

    @property
    def lacks_route(self) -> bool:
        """Say whether letters must wait because this process knows no mail server."""
        return self.route is None and self.live


def load_settings() -> Settings:
    """Put configuration and Organization row together. Read anew for each notice."""
    config, row = ground.current_config(), Organization.load_row()
    own = _own_addresses(config)
    return Settings(
        name=row.name,
        postal=row.postal,
        contact=row.contact,
        language=row.language,
        mail_domain=own.id_domain,
        base_url=config.base_url or f"http://{config.http}",
        route=SmtpServer.parse(config.smtp) if config.smtp else None,
        live=row.live_since is not None,
        quarantined=quarantine.is_active(),
        mail_mode=config.road or "own",
        own_addresses=own,
        imap_account=ImapAccount.parse(config.imap) if config.imap and config.road in IMAP_MODES else None,
        recipient_header=config.recipient_header,
        has_inbound_listener=config.inbound_listener is not None,
        rate=DEFAULT_RATE if config.rate is None else config.rate,
        domain_rate=_domain_rate(config),
        domain_rates=ground.parse_domain_rates(config.domain_rates),
        hour_rate=_hour_rate(config),
        hold_s=DEFAULT_HOLD_S if config.hold_s is None else config.hold_s,
        hold_urgent_s=row.hold_urgent_s if config.hold_s is None else min(config.hold_s, row.hold_urgent_s),
        late_s=row.late_s,
        secret=config.key("secret"),
        fixed=ground.given_names(),
    )


def _own_addresses(config: ground.Config) -> OwnAddresses:
    """Return our addresses: of a whole domain, or with one mailbox only what stands behind its plus."""
    if config.road == "mailbox" and config.mailbox:
        host = urlsplit(config.base_url).hostname or ""
        domain = config.mailbox.rpartition("@")[2]
        return OwnAddresses(domain, id_domain(config.mailbox, host), config.mailbox, config.plus == "yes")
    domain = config.mail_domain or "kairan.invalid"
    return OwnAddresses(domain, domain)


def accepts_list_mail() -> bool:
    """Say whether people can post, join and leave by mail as this installation is set."""
    settings = load_settings()
    return settings.accepts_inbound and settings.own_addresses.has_list_addresses


def imap_address(settings: Settings) -> str:
    """Return the address of the mailbox that is read, "" if there is none or it is not known."""
    if settings.imap_account is None:
        return ""
    user = settings.imap_account.user.lower() if "@" in settings.imap_account.user else ""
    return ground.current_config().mailbox or user


def configured(name: str) -> object:
    """Return one setting of `kairan.toml` or the environment as it stands there."""
    return getattr(ground.current_config(), name)


def _hour_rate(config: ground.Config) -> int:
    """Return the letters an hour (0: no limit)."""
    return 0 if _is_lifted("hour_rate", config) else config.hour_rate or 0


def _domain_rate(config: ground.Config) -> int:
    """Return the letters a minute to one domain (0: no limit)."""
    if _is_lifted("domain_rate", config):
        return 0
    return DEFAULT_DOMAIN_RATE if config.domain_rate is None else config.domain_rate


def _is_lifted(name: str, config: ground.Config) -> bool:
    """Say whether KAIRAN_RATE=0 alone ("as fast as the server takes them") lifts a limit that the file sets."""
    given = ground.given_names()
    return config.rate == 0 and "rate" in given and name not in given


_IN_FILE = {
    **{name: name for name in ("mail_domain", "base_url", "smtp", "imap", "mailbox", "plus", "recipient_header")},
    **{name: name for name in ("rate", "domain_rate", "hour_rate", "hold_s")},
    "mail_mode": "road",
}
"""Where `kairan.toml` keeps what pages call by these names."""


def update_organization(by: User | None, **fields: object) -> None:
    """Change what administrators set: the technical settings in `kairan.toml`, the others in the Organization row.

    Raises ConfigError, OSError.
    """
    Organization.load_row()
    changes = {_IN_FILE[name]: _as_setting(value) for name, value in fields.items() if name in _IN_FILE}
    if changes:
        ground.write_file(ground.current_config().data, changes)
    columns = {name: value for name, value in fields.items() if name not in _IN_FILE}
    if columns:
        Organization.update(**columns).where(Organization.id == 1).execute()
    audit.log_action(by, "organization.changed", detail={"fields": sorted(fields)})


def _as_setting(value: object) -> object:
    return ("yes" if value else "") if isinstance(value, bool) else value


def move_settings_to_file() -> list[str]:
    """Move the technical settings that an earlier version kept in the Organization row; return their names. Idempotent.

    What the file has stays.
    """
    row = Organization.get_or_none(Organization.id == 1)
    if row is None:
        return []
    defaults = {name: getattr(Organization, name).default for name in _IN_FILE}
    old = {name: value for name, value in row.__data__.items() if name in _IN_FILE and value != defaults[name]}
    if not old:
        return []
    data = ground.current_config().data
    there = ground.read_file(data)
    ground.write_file(data, {_IN_FILE[name]: _as_setting(v) for name, v in old.items() if _IN_FILE[name] not in there})
    Organization.update({getattr(Organization, name): defaults[name] for name in old}).execute()
    return sorted(_IN_FILE[name] for name in old)


def go_live(now: datetime) -> None:
    """Note that letters leave by a mail server: from now on they wait if a process knows none. Idempotent."""
    if Organization.update(live_since=now).where(Organization.live_since.is_null()).execute():
        audit.log_action(None, "organization.live")


def return_to_practice(by: User) -> None:
    """Let letters go to the outbox again; those of real notices still wait. Raises DomainError if a server is set."""
    if load_settings().route:
        raise DomainError(N_("A mail server is set. Please remove it first."), "host")
    Organization.update(live_since=None).execute()
    audit.log_action(by, "organization.practice")


def is_set_up() -> bool:
    return Organization.load_row().set_up_at is not None


def mark_set_up(now: datetime | None = None) -> None:
    """Note an installation made on the terminal as set up."""
    Organization.load_row()
    Organization.update(set_up_at=now or clock.now()).where(Organization.set_up_at.is_null()).execute()


def purge_starts_at(now: datetime) -> datetime | None:
    """Return from when on letters of earlier school years are deleted, while that is ahead (decision 15)."""
    at = Organization.load_row().purge_starts_at
    return at if at and at > now else None


# ── renewals ──

RENEWAL_NAMES = {"domain": N_("the domain"), "server": N_("the server")}


@dataclass(frozen=True, slots=True)
class Renewal:
    """Domain or server (`kind`), the day until which it is paid, and the days left."""

    kind: str
    until: date
    days: int


def list_renewals(today: date) -> list[Renewal]:
    """Return the renewal dates that administrators entered, nearest first."""
    row = Organization.load_row()
    dates = (("domain", row.domain_until), ("server", row.server_until))
    renewals = (Renewal(kind, until, (until - today).days) for kind, until in dates if until)
    return sorted(renewals, key=lambda renewal: renewal.until)


def near_renewals(today: date, within: int = 30) -> list[Renewal]:
    """Return the renewals within so many days, overdue ones too."""
    return [renewal for renewal in list_renewals(today) if renewal.days <= within]
