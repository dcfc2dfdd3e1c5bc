"""The technical settings: paths, ports, mail server, rates. Their home is `kairan.toml` in the data folder.

Pages and `flask config set` write the file; every process sees a change at once. `KAIRAN_*` in the environment wins: it
is meant for tests and containers. What families see (name, address, language) is in the Organization row.
"""

import fcntl
import json
import logging
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from i18n import N_

log = logging.getLogger("kairan.config")

PROJECT_DIR = Path(__file__).parent
FILE_NAME = "kairan.toml"
NEEDS_RESTART = ("data", "http", "inlet", "clock_offset_s")
SECRETS = ("smtp", "imap", "backup_copy")
"""Settings whose URL can hold a password."""
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


def setting_names() -> tuple[str, ...]:
    return tuple(setting.name for setting in fields(Config))


def load_config(environ: dict[str, str] | None = None) -> Config:
    """Read `kairan.toml` and the environment. Raises ConfigError."""
    environ = dict(os.environ if environ is None else environ)
    data = Path(environ.get("KAIRAN_DATA") or PROJECT_DIR / "data").expanduser().resolve()
    return _make_config(data, {**read_file(data), **from_environment(environ)})


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of an environment, by name; an empty variable counts as not set."""
    variables = {name: environ.get(f"KAIRAN_{name.upper()}", "").strip() for name in setting_names()}
    return {name: value for name, value in variables.items() if value}


def _make_config(data: Path, values: dict[str, object]) -> Config:
    return validate_config(replace(Config(), **{**_coerce_types(values), "data": data}))


def run_as_owner_hint(folder: Path) -> str:
    try:
        owner = folder.owner()
    except (OSError, KeyError):
        return "Run this as the user who owns the folder."
    return f"Run this as the user who owns the folder: sudo -u {owner} ./kairan …"


def read_file(data: Path) -> dict[str, object]:
    """Return the settings in `kairan.toml`; none if there is no file. Raises ConfigError."""
    path = data / FILE_NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as wrong:
        raise ConfigError(f"No right to read {path}. {run_as_owner_hint(path.parent)}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as wrong:
        raise ConfigError(f"kairan.toml cannot be read: {wrong}") from wrong
    unknown = sorted(set(values) - set(setting_names()))
    if unknown:
        raise ConfigError(f"kairan.toml has a setting that does not exist: {', '.join(unknown)}")
    return values


def write_file(data: Path, changes: Mapping[str, object]) -> None:
    """Change settings in `kairan.toml` (0600), None removes one; comments and other lines stay.

    Raises ConfigError, before anything is written, and OSError.
    """
    folder = data / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "settings").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = read_file(data)
        for name, value in changes.items():
            if value is None or value == "":
                wanted.pop(name, None)
            else:
                wanted[name] = value
        _make_config(data, wanted)
        path = data / FILE_NAME
        text = _changed_text(path.read_text("utf-8") if path.exists() else "", changes, wanted)
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)


def _changed_text(text: str, changes: Mapping[str, object], wanted: dict[str, object]) -> str:
    """Return the text of the file with some lines changed; written anew if its form is an unusual one."""
    lines = [line for line in text.splitlines() if line.partition("=")[0].strip() not in changes]
    changed = "\n".join([*lines, *(_line(name, wanted[name]) for name in changes if name in wanted)]) + "\n"
    try:
        if tomllib.loads(changed) == wanted:
            return changed
    except tomllib.TOMLDecodeError:
        pass
    return "".join(f"{_line(name, value)}\n" for name, value in wanted.items())


def _line(name: str, value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{name} = {value}"
    return f"{name} = {json.dumps(str(value), ensure_ascii=False)}".replace("\x7f", "\\u007f")


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


# ── the configuration of this process ────────────────────────────────────────────────────────────────────────────

_current: Config | None = None
_given: frozenset[str] = frozenset()
_stamp: object = None


def current_config() -> Config:
    """Return the configuration of this process: loaded on first use, and again after a change of the file.

    A changed file that is invalid is logged once and left alone. What needs a restart keeps its value.
    """
    global _current, _stamp
    if _current is None:
        set_current_config(load_config())
    assert _current is not None  # noqa: S101
    stamp = _stamp_of(_current.data)
    if stamp != _stamp:
        _stamp = stamp
        try:
            kept = {name: getattr(_current, name) for name in (*_given, *NEEDS_RESTART)}
            _current = _make_config(_current.data, {**read_file(_current.data), **kept})
        except ConfigError as wrong:
            log.warning("%s; the settings from before stay in force", wrong)
    return _current


def set_current_config(config: Config) -> Config:
    """Set the configuration of this process. What it says beyond the file and the defaults wins over the file."""
    global _current, _given, _stamp
    _stamp = _stamp_of(config.data)
    try:
        stored = _make_config(config.data, read_file(config.data))
    except ConfigError:
        stored = Config(data=config.data)
    own = {name for name in setting_names() if getattr(config, name) not in (getattr(stored, name), _default(name))}
    _given = frozenset(own | from_environment(os.environ).keys()) - {"data"}
    _current = replace(stored, **{name: getattr(config, name) for name in _given})
    return _current


def _default(name: str) -> object:
    return getattr(Config(), name)


def given_names() -> frozenset[str]:
    """Return the settings that the environment of this process fixes: changing the file does not change them."""
    return _given


def _stamp_of(data: Path) -> object:
    try:
        found = os.stat(data / FILE_NAME)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
