"""The organization and its installation: folder, keys, tables, and the settings in force."""

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from playhouse import migrations

import clock
import config as ground
from core import audit, data_lock, db_snapshot
from database import open_database
from mail.dkim_signer import generate_key
from mail.imap_account import ImapAccount
from mail.own_addresses import OwnAddresses, id_domain
from mail.smtp_connect import SmtpServer
from models import TABLES, Organization, User


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force now: the environment and `kairan.toml` win over the Organization row.

    `rate` and `domain_rate`: letters a minute, `hour_rate`: an hour (0: no limit); `hold_s`, `hold_urgent_s`, `late_s`:
    seconds. `route` is None while letters go to the outbox (practice). `own`: our addresses; `mail_domain`: of our
    Message-IDs, and of all addresses unless there is one mailbox only. `road`: how mail comes back; `box`: the mailbox
    that is read, None if none; `door`: whether the mail door is open. `fixed` names what a restart alone can change.
    """

    name: str
    postal: str
    contact: str
    language: str
    mail_domain: str
    base_url: str
    route: SmtpServer | None
    road: str
    own: OwnAddresses
    box: ImapAccount | None
    recipient_header: str
    door: bool
    rate: int
    domain_rate: int
    hour_rate: int
    hold_s: int
    hold_urgent_s: int
    late_s: int
    secret: bytes
    fixed: frozenset[str]

    @property
    def accepts_inbound(self) -> bool:
        """Say whether mail to our addresses reaches us; while practising everything is shown as it will be."""
        return self.practice or (self.box is not None if self.road in ("collected", "mailbox") else self.door)

    @property
    def practice(self) -> bool:
        """Say whether nothing leaves this machine."""
        return self.route is None


def load_settings() -> Settings:
    """Put the environment, the file and the Organization row together. Read anew for each notice."""
    config, row = ground.current_config(), Organization.load_row()
    smtp, imap, road = config.smtp or row.smtp, config.imap or row.imap, config.road or row.road
    reads_box = road in ("collected", "mailbox")
    own = _own_addresses(config, row, road)
    return Settings(
        name=row.name,
        postal=row.postal,
        contact=row.contact,
        language=row.language,
        mail_domain=own.id_domain,
        base_url=config.base_url or row.base_url or f"http://{config.http}",
        route=SmtpServer.parse(smtp) if smtp else None,
        road=road or "own",
        own=own,
        box=ImapAccount.parse(imap) if imap and reads_box else None,
        recipient_header=config.recipient_header or row.recipient_header,
        door=config.inbound_listener is not None,
        rate=row.rate if config.rate is None else config.rate,
        domain_rate=_domain_rate(config, row),
        hour_rate=_hour_rate(config, row),
        hold_s=row.hold_s if config.hold_s is None else config.hold_s,
        hold_urgent_s=row.hold_urgent_s if config.hold_s is None else min(config.hold_s, row.hold_urgent_s),
        late_s=row.late_s,
        secret=config.key("secret"),
        fixed=frozenset(name for name in _CONFIGURABLE if _is_set(config, name)),
    )


_CONFIGURABLE = (
    *("mail_domain", "base_url", "smtp", "rate", "domain_rate", "hour_rate", "hold_s"),
    *("road", "imap", "mailbox", "plus", "recipient_header"),
)


def _own_addresses(config: ground.Config, row: Organization, road: str) -> OwnAddresses:
    """Return our addresses: of a whole domain, or with one mailbox only what stands behind its plus."""
    mailbox = config.mailbox or row.mailbox
    if road == "mailbox" and mailbox:
        host = urlsplit(config.base_url or row.base_url).hostname or ""
        plus = config.plus == "yes" if config.plus else row.plus
        return OwnAddresses(mailbox.rpartition("@")[2], id_domain(mailbox, host), mailbox, plus)
    domain = config.mail_domain or row.mail_domain or "kairan.invalid"
    return OwnAddresses(domain, domain)


def accepts_list_mail() -> bool:
    """Say whether people can post, join and leave by mail as this installation is set."""
    force = load_settings()
    return force.accepts_inbound and force.own.many


def imap_address(force: Settings) -> str:
    """Return the address of the mailbox that is read, "" if there is none or it is not known."""
    if force.box is None:
        return ""
    user = force.box.user.lower() if "@" in force.box.user else ""
    return ground.current_config().mailbox or Organization.load_row().mailbox or user


def _hour_rate(config: ground.Config, row: Organization) -> int:
    """Return the letters an hour (0: no limit); KAIRAN_RATE=0 alone lifts it, as it does the domains' limit."""
    if config.hour_rate is not None:
        return config.hour_rate
    return 0 if config.rate == 0 else row.hour_rate


def _domain_rate(config: ground.Config, row: Organization) -> int:
    """Return the letters a minute to one domain; KAIRAN_RATE=0 alone ("as fast as the server takes them") lifts it."""
    if config.domain_rate is not None:
        return config.domain_rate
    return 0 if config.rate == 0 else row.domain_rate


def _is_set(config: ground.Config, name: str) -> bool:
    value = getattr(config, name)
    return value is not None and value != ""


class IncompleteRestore(Exception):
    """A restore was cut off in the middle; the message is the data folder."""


def prepare_data_folder(config: ground.Config) -> None:
    """Make the data folder (0700), keys (0600) and tables. Safe to repeat; nothing is overwritten.

    Raises HalfRestored, and occupied.Occupied while a restore goes on.
    """
    if (config.data / "restoring").exists() and not config.database.exists():
        raise IncompleteRestore(str(config.data))
    for folder in (config.data, config.data / "keys", config.data / "run", config.data / "outbox"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_lock.lock_shared(config.data)
    _create_file_once(config.data / "keys" / "secret", lambda: secrets.token_bytes(32))
    _create_file_once(config.data / "keys" / "session", lambda: secrets.token_urlsafe(48).encode())
    _create_file_once(config.data / "keys" / "dkim.pem", generate_key)
    open_and_migrate(config)


def open_and_migrate(config: ground.Config) -> None:
    """Open the database and bring its tables up to date; a copy from before a change is kept in `backups/`."""
    runner = migrations.Runner(open_database(config.database), str(ground.PROJECT_DIR / "migrations"))
    steps = [one for one in runner.status() if one.path is not None]
    new = [one for one in steps if not one.applied]
    if new and len(new) < len(steps):
        db_snapshot.copy_before_migration(config.database, new[0].name, clock.now())
    if new and not runner.applied():
        runner.database.create_tables(TABLES)
        runner.fake()
    elif new:
        runner.up()
    os.chmod(config.database, 0o600)


def _create_file_once(path: Path, make) -> None:
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(make())
        os.replace(fresh, path)


# ── first set-up ─────────────────────────────────────────────────────────────────────────────────────────────────


def get_setup_token(config: ground.Config) -> str | None:
    """Return the one-time set-up token (made on first call, file 0600); None once set-up is done."""
    if Organization.load_row().set_up_at:
        return None
    path = config.data / "setup-token"
    _create_file_once(path, lambda: secrets.token_urlsafe(24).encode())
    return path.read_text()


def check_setup_token(config: ground.Config, token: str) -> bool:
    """Say whether this is the token of an installation that still waits for its set-up."""
    held = get_setup_token(config)
    return held is not None and secrets.compare_digest(held.encode(), token.encode())


def finish_setup(config: ground.Config, by: User, now: datetime) -> None:
    """Close the set-up for ever: the token is dead and its file gone."""
    Organization.update(set_up_at=now).where(Organization.id == 1, Organization.set_up_at.is_null()).execute()
    (config.data / "setup-token").unlink(missing_ok=True)
    audit.log_action(by, "organization.set_up")


def update_organization(by: User | None, **fields: object) -> None:
    """Change what administrators set (name, postal, contact, language, mail_domain, base_url, smtp, rates, hold_s)."""
    Organization.load_row()
    Organization.update(**fields).where(Organization.id == 1).execute()
    audit.log_action(by, "organization.changed", detail={"fields": sorted(fields)})


def is_set_up() -> bool:
    """Say whether set-up is done."""
    return Organization.load_row().set_up_at is not None


def mark_set_up(now: datetime | None = None) -> None:
    """Note an installation made on the terminal as set up."""
    Organization.load_row()
    Organization.update(set_up_at=now or clock.now()).where(Organization.set_up_at.is_null()).execute()


def purge_starts_at(now: datetime) -> datetime | None:
    """Return from when on letters of earlier school years are deleted, while that is ahead (decision 15)."""
    at = Organization.load_row().purge_starts_at
    return at if at and at > now else None
