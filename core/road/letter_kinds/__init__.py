"""The words of the letters that answer mails, and of the copies that go ahead of a notice.

Whoever sends letters loads them all from here: a process that sends alone must know every kind.
"""

from core.road.letter_kinds import house, members, notices, posts
from core.service import KINDS

__all__ = ["KINDS", "house", "members", "notices", "posts"]
