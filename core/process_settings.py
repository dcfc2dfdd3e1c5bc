"""Which settings the running service took from its environment, so that the doctor can compare them with its own.

The supervisor writes `data/run/service.json`: keyed digests, no values.
"""

import hashlib
import hmac
import json
import os
from pathlib import Path

import config as ground
from config import Config, current_config

RESTART_NEEDED = tuple(name for name in ground.NEEDS_RESTART if name != "data")


def _path() -> Path:
    return current_config().data / "run" / "service.json"


def publish() -> None:
    """Write what this process sees and the file does not decide. Called when the service starts."""
    config = current_config()
    names = sorted({*ground.given_names(), *RESTART_NEEDED})
    fresh = _path().with_suffix(".new")
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        given = sorted(ground.given_names())
        json.dump({"pid": os.getpid(), "given": given, "seen": {name: _digest(config, name) for name in names}}, file)
    os.replace(fresh, _path())


def differences() -> list[str]:
    """Return the settings that the running service sees otherwise than this process; [] if no service is known."""
    try:
        published = json.loads(_path().read_text("utf-8"))
        os.kill(int(published["pid"]), 0)
        seen, given = dict(published["seen"]), set(published["given"])
    except PermissionError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        return []
    config = current_config()
    different = {name for name, digest in seen.items() if hasattr(config, name) and _digest(config, name) != digest}
    return sorted(different | (ground.given_names() - given - set(RESTART_NEEDED)))


def _digest(config: Config, name: str) -> str:
    text = f"{name}={getattr(config, name)!r}"
    return hmac.new(config.key("secret"), text.encode(), hashlib.sha256).hexdigest()[:16]
