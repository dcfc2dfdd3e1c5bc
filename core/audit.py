"""The record of who did what: numbers only, never an address, a name or a text."""

from models import AuditLog, User


def log_action(
    by: User | None, action: str, number: int | None = None, *, kind: str = "", detail: dict | None = None
) -> None:
    """Write one line of the record. `action` is noun.verb in the past: `notice.confirmed`, `member.added`."""
    AuditLog.create(user=by, action=action, kind=kind or action.partition(".")[0], number=number, detail=detail or {})
