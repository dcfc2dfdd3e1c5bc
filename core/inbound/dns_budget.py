"""How long incoming mail waits for name servers: a stranger's slow one must not hold up everybody's mail (defences 2).

Mails are read one after the other, so that who answers slowly, or not at all, could keep the mails of a school waiting
for hours with a few hundred mails. What is not answered in time counts as "cannot be said now": such a post is held,
such a registration confirmed by a link, so that nothing is lost and nothing is believed.
"""

import time
from collections import deque
from collections.abc import Callable

from mail.auth_results import DnsError, TxtLookup

PER_MESSAGE_S = 10.0
UNKNOWN_SENDERS_S, WINDOW_S = 20.0, 60.0
"""Seconds a minute that mails of people whom nobody knows may wait for name servers, all together."""


class DnsBudget:
    """Counts the seconds that lookups took."""

    def __init__(self, passed: Callable[[], float] = time.monotonic) -> None:
        self._passed = passed
        self._spent: deque[tuple[float, float]] = deque()

    def limit_lookup(self, lookup: TxtLookup, known: bool) -> TxtLookup:
        """Return the lookup for one mail. known: of a registered sender or a member, whom no stranger holds up."""
        left = PER_MESSAGE_S

        def patient(name: str) -> list[str]:
            nonlocal left
            if left <= 0 or (not known and self._is_exhausted()):
                raise DnsError("out of patience")
            began = self._passed()
            try:
                return lookup(name)
            finally:
                took = self._passed() - began
                left -= took
                self._spent.append((began, took))

        return patient

    def _is_exhausted(self) -> bool:
        since = self._passed() - WINDOW_S
        while self._spent and self._spent[0][0] < since:
            self._spent.popleft()
        return sum(took for _, took in self._spent) >= UNKNOWN_SENDERS_S
