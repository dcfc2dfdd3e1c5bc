"""Count the statements that some work sends to the database."""

import logging
from collections.abc import Callable


class _Counter(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.statements: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.statements.append(str(record.msg))


def queries(work: Callable[[], object]) -> int:
    """Return how many statements the work took."""
    log, counter = logging.getLogger("peewee"), _Counter()
    before = log.level
    log.addHandler(counter)
    log.setLevel(logging.DEBUG)
    try:
        work()
    finally:
        log.removeHandler(counter)
        log.setLevel(before)
    return len(counter.statements)
