"""Count the statements that some work sends to the database."""

import logging
from collections.abc import Callable


class _Counter(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.statements: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.statements.append(str(record.msg[0] if isinstance(record.msg, tuple) else record.msg))


def queries(work: Callable[[], object]) -> int:
    """Return how many statements the work took."""
    return len(statements(work))


def statements(work: Callable[[], object]) -> list[str]:
    """Return the statements that the work sent, in order, without their values."""
    log, counter = logging.getLogger("peewee"), _Counter()
    before = log.level
    log.addHandler(counter)
    log.setLevel(logging.DEBUG)
    try:
        work()
    finally:
        log.removeHandler(counter)
        log.setLevel(before)
    return counter.statements
