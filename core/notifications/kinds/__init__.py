"""The words of the letters that answer mails, and of the copies that go ahead of a notice.

Whoever sends letters loads them all from here: a process that sends alone must know every kind.
"""

from core.notifications.kinds import inbound, members, notices, system
from core.notifications.service_mail import KINDS

__all__ = ["KINDS", "inbound", "members", "notices", "system"]
