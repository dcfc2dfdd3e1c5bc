"""The audit log: ids only, never an address, a name or a text."""

from typing import Any

from models import AuditLog, User


def log_action(
    by: User | None, action: str, number: int | None = None, *, kind: str = "", detail: dict[str, Any] | None = None
) -> None:
    """Write one row. `action` is noun.verb in the past: `notice.confirmed`, `member.added`."""
    AuditLog.create(user=by, action=action, kind=kind or action.partition(".")[0], number=number, detail=detail or {})
