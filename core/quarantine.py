"""A restored copy of an installation: nothing leaves it and no mail is fetched, until an administrator takes over.

The state is a file in the data folder. `core.system.restore` writes it before the restored data is in place. A backup
does not contain it. Every process reads it each time it loads the settings.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from config import current_config

FILE_NAME = "quarantine"
RESTORED, REPLACED = "restored", "replaced"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why nothing leaves. reason: this data was restored, or another copy was declared the real one.

    since: when that was; state_of: when the backup was made; host and data: where the backup was made, or where the
    other copy is.
    """

    reason: str = RESTORED
    since: str = ""
    state_of: str = ""
    host: str = ""
    data: str = ""


def is_active() -> bool:
    return (current_config().data / FILE_NAME).exists()


def load() -> Quarantine | None:
    """Return why nothing leaves, None if this is the real installation. A file that cannot be read counts, too."""
    try:
        text = (current_config().data / FILE_NAME).read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError:
        return Quarantine()
    try:
        values = json.loads(text)
        return Quarantine(**{name: str(values.get(name, "")) for name in Quarantine.__slots__})
    except (ValueError, AttributeError):
        return Quarantine()


def begin(folder: Path, quarantine: Quarantine) -> None:
    """Put the installation of this data folder into quarantine. Its running processes notice it at once."""
    fresh = folder / f".{FILE_NAME}.new"
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(quarantine), file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / FILE_NAME)


def end() -> None:
    """Let letters leave again. Idempotent; `core.system.restore.take_over` does what belongs to it."""
    (current_config().data / FILE_NAME).unlink(missing_ok=True)


def mark_replaced(origin: Quarantine, now: datetime) -> Path | None:
    """Put the installation from which a backup came into quarantine, if it is on this machine; return its folder.

    It must have the same secret, so no other installation is touched. Raises OSError.
    """
    here = current_config().data
    if not origin.data or origin.host != socket.gethostname():
        return None
    there = Path(origin.data)
    secret = there / "keys" / "secret"
    if there.resolve() == here.resolve() or not secret.exists() or not (there / "kairan.db").exists():
        return None
    if secret.read_bytes() != current_config().key("secret"):
        return None
    begin(there, Quarantine(REPLACED, now.isoformat(timespec="seconds"), "", socket.gethostname(), str(here)))
    return there
