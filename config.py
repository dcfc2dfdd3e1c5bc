"""Configuration that needs a restart: paths, ports, keys, mail route.

Read from `data/kairan.toml`, then from the environment (`KAIRAN_*`, which wins). What administrators set on pages is in
the Organization row (`core.settings.load_settings` combines the two).
"""

import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from i18n import N_

PROJECT_DIR = Path(__file__).parent
MAX_CLOCK_OFFSET_S = 20 * 366 * 86400
_BASE_URL = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[a-z0-9._~/-]*)?", re.IGNORECASE)
MAIL_MODES = ("", "own", "relay", "collected", "mailbox")
_MAILBOX = re.compile(r"[A-Za-z0-9._-]{1,37}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*", re.IGNORECASE)


class ConfigError(Exception):
    """A setting is invalid; the message names it and says what to write instead."""


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one installation. An empty string or None: not set here."""

    data: Path = field(default=PROJECT_DIR / "data", metadata={"help": N_("data folder")})
    http: str = field(default="127.0.0.1:8000", metadata={"help": N_("host:port where the pages are served")})
    base_url: str = field(default="", metadata={"help": N_("address of the pages as readers see it, https://…")})
    mail_domain: str = field(default="", metadata={"help": N_("domain of all list addresses")})
    smtp: str = field(default="", metadata={"help": N_("mail server for letters; empty: the practice outbox")})
    inlet: str = field(default="", metadata={"help": N_("where incoming mail is taken, smtp:// or lmtp://")})
    road: str = field(
        default="", metadata={"help": N_("how mail comes back: own, relay (both by the inlet), collected or mailbox")}
    )
    imap: str = field(
        default="", metadata={"help": N_("mailbox that is read for incoming mail, imaps://user:pass@host")}
    )
    mailbox: str = field(default="", metadata={"help": N_("address of that mailbox")})
    plus: str = field(default="", metadata={"help": N_("yes, if mail to name+anything@ reaches the mailbox")})
    recipient_header: str = field(
        default="", metadata={"help": N_("header in which the mailbox names the recipient; empty: found automatically")}
    )
    authserv_id: str = field(
        default="", metadata={"help": N_("server whose Authentication-Results are trusted; empty: none")}
    )
    rate: int | None = field(default=None, metadata={"help": N_("letters a minute in all; 0: no limit")})
    domain_rate: int | None = field(default=None, metadata={"help": N_("letters a minute to one domain; 0: no limit")})
    domain_rates: str = field(
        default="", metadata={"help": N_("letters a minute to single domains, such as docomo.ne.jp=30 example.jp=10")}
    )
    hour_rate: int | None = field(
        default=None, metadata={"help": N_("letters an hour that the mail provider allows; 0: no limit")}
    )
    hold_s: int | None = field(
        default=None, metadata={"help": N_("seconds in which a confirmed notice can be cancelled")}
    )
    backup_copy: str = field(
        default="",
        metadata={"help": N_("second place of the nightly backups: a folder, or s3://KEY:SECRET@host/bucket/folder")},
    )
    dns: str = field(default="", metadata={"help": N_("host:port of a DNS resolver; empty: the system's")})
    clock_offset_s: float = field(default=0.0, metadata={"help": N_("moves the clock; only with letters to loopback")})
    dkim_selector: str = field(default="kairan", metadata={"help": N_("DKIM selector of the published key")})

    @property
    def database(self) -> Path:
        return self.data / "kairan.db"

    @property
    def host(self) -> str:
        return self.http.rpartition(":")[0].strip("[]") or "127.0.0.1"

    @property
    def port(self) -> int:
        return int(self.http.rpartition(":")[2])

    @property
    def inbound_listener(self) -> tuple[str, str, int] | None:
        """Protocol (`smtp` or `lmtp`), host and port on which incoming mail is accepted; None if not set."""
        try:
            parts = urlsplit(self.inlet)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in ("smtp", "lmtp") or not port or parts.path not in ("", "/"):
            return None
        return parts.scheme, parts.hostname or "127.0.0.1", port

    def key(self, name: str) -> bytes:
        """Return a file of `data/keys/`, which `core.install.prepare_data_folder` makes."""
        return (self.data / "keys" / name).read_bytes()


def load_config(environ: dict[str, str] | None = None) -> Config:
    """Read `kairan.toml` and the environment. Raises ConfigError."""
    environ = dict(os.environ if environ is None else environ)
    data = Path(environ.get("KAIRAN_DATA") or PROJECT_DIR / "data").expanduser().resolve()
    values: dict[str, object] = _read_toml(data / "kairan.toml")
    for setting in fields(Config):
        name = f"KAIRAN_{setting.name.upper()}"
        if environ.get(name, "").strip():
            values[setting.name] = environ[name].strip()
    return validate_config(replace(Config(), **{**_coerce_types(values), "data": data}))


def run_as_owner_hint(folder: Path) -> str:
    try:
        owner = folder.owner()
    except (OSError, KeyError):
        return "Run this as the user who owns the folder."
    return f"Run this as the user who owns the folder: sudo -u {owner} ./kairan …"


def _read_toml(path: Path) -> dict[str, object]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as wrong:
        raise ConfigError(f"No right to read {path}. {run_as_owner_hint(path.parent)}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as wrong:
        raise ConfigError(f"kairan.toml cannot be read: {wrong}") from wrong
    unknown = sorted(set(values) - {setting.name for setting in fields(Config)})
    if unknown:
        raise ConfigError(f"kairan.toml has a setting that does not exist: {', '.join(unknown)}")
    return values


def _coerce_types(values: dict[str, object]) -> dict[str, Any]:
    types: dict[str, Callable[[Any], Any]] = {
        "rate": int,
        "domain_rate": int,
        "hour_rate": int,
        "hold_s": int,
        "clock_offset_s": float,
    }
    typed: dict[str, Any] = {}
    for name, value in values.items():
        try:
            typed[name] = types.get(name, str)(value)
        except (TypeError, ValueError, OverflowError) as wrong:
            raise ConfigError(f"KAIRAN_{name.upper()} must be a number, not {value!r}") from wrong
    return typed


def validate_config(config: Config) -> Config:
    """Return the normalised configuration. Raises ConfigError."""
    host, colon, port = config.http.rpartition(":")
    if not (colon and port.isdigit() and 0 < int(port) < 65536 and host):
        raise ConfigError(f"KAIRAN_HTTP must be host:port such as 127.0.0.1:8000, not {config.http!r}")
    if config.base_url and not is_base_url(config.base_url):
        raise ConfigError(f"KAIRAN_BASE_URL must be like https://kairan.example.jp, not {config.base_url!r}")
    if config.mail_domain and not _DOMAIN.fullmatch(config.mail_domain):
        raise ConfigError(f"KAIRAN_MAIL_DOMAIN must be like mail.example.jp, not {config.mail_domain!r}")
    if config.inlet and config.inbound_listener is None:
        raise ConfigError(f"KAIRAN_INLET must be lmtp://host:port or smtp://host:port, not {config.inlet!r}")
    if config.road not in MAIL_MODES:
        raise ConfigError(f"KAIRAN_ROAD must be own, relay, collected or mailbox, not {config.road!r}")
    if config.plus.lower() not in ("", "yes", "no"):
        raise ConfigError(f"KAIRAN_PLUS must be yes or no, not {config.plus!r}")
    if config.mailbox and not is_mailbox_address(config.mailbox):
        raise ConfigError(f"KAIRAN_MAILBOX must be one address such as school@example.jp, not {config.mailbox!r}")
    for name in ("rate", "domain_rate", "hour_rate", "hold_s"):
        if (getattr(config, name) or 0) < 0:
            raise ConfigError(f"KAIRAN_{name.upper()} cannot be negative")
    parse_domain_rates(config.domain_rates)
    if config.backup_copy and not is_backup_place(config.backup_copy):
        raise ConfigError("KAIRAN_BACKUP_COPY must be like /mnt/backup or s3://KEY:SECRET@s3.example.com/bucket/folder")
    if not abs(config.clock_offset_s) <= MAX_CLOCK_OFFSET_S:  # also refuses nan
        raise ConfigError("KAIRAN_CLOCK_OFFSET_S moves the clock by 20 years at most")
    if config.clock_offset_s and config.smtp and not is_loopback(config.smtp):
        raise ConfigError("KAIRAN_CLOCK_OFFSET_S works only while letters go to this machine (loopback)")
    return replace(
        config,
        base_url=config.base_url.rstrip("/"),
        mail_domain=config.mail_domain.lower(),
        mailbox=config.mailbox.lower(),
        plus=config.plus.lower(),
    )


def parse_domain_rates(text: str) -> dict[str, int]:
    """Return {domain: letters a minute} (0: no limit) from "docomo.ne.jp=30 example.jp=10". Raises ConfigError."""
    rates = {}
    for item in text.lower().replace(",", " ").split():
        domain, _, rate = item.partition("=")
        if not (_DOMAIN.fullmatch(domain) and rate.isdecimal()):
            raise ConfigError(f"KAIRAN_DOMAIN_RATES must be like docomo.ne.jp=30 example.jp=10, not {item!r}")
        rates[domain] = int(rate)
    return rates


def is_loopback(url: str) -> bool:
    """Say whether the host of a URL is this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_backup_place(place: str) -> bool:
    """Say whether backups can be copied there: an absolute folder, or a bucket with its keys (s3+http: loopback only)."""
    try:
        parts = urlsplit(place)
        whole = bool(parts.hostname and parts.username and parts.password and parts.path.strip("/"))
        return place.startswith("/") or (
            whole and parts.port != 0 and (parts.scheme == "s3" or (parts.scheme == "s3+http" and is_loopback(place)))
        )
    except ValueError:
        return False


def is_mailbox_address(address: str) -> bool:
    """Say whether an address can be the mailbox: its local part leaves room for our tags behind a plus."""
    return bool(_MAILBOX.fullmatch(address))


def is_base_url(url: str) -> bool:
    """Say whether this is a web address to which paths can be added, valid in mail headers."""
    try:
        return bool(_BASE_URL.fullmatch(url)) and bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


_current: Config | None = None


def current_config() -> Config:
    """Return the configuration of this process; load it on first use."""
    global _current
    if _current is None:
        set_current_config(load_config())
    assert _current is not None  # noqa: S101
    return _current


def set_current_config(config: Config) -> Config:
    """Set the configuration of this process."""
    global _current
    _current = config
    return config
