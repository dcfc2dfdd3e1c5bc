"""What became of one incoming mail, as the verbs say it and the row of `Incoming` keeps it."""

from dataclasses import dataclass

from models import Letter, MailingList, Notice, Person


@dataclass(frozen=True, slots=True)
class InboundResult:
    """Kind, outcome and reason (words for code: models.Incoming), and what the mail was about.

    `show`: subject and text are kept with the row. `keep`: the raw mail is kept for the administrators.
    `files`: name and octets of what came with a reply.
    """

    kind: str
    outcome: str = "done"
    reason: str = ""
    list: MailingList | None = None
    person: Person | int | None = None
    letter: Letter | None = None
    notice: Notice | int | None = None
    show: bool = False
    keep: bool = False
    files: tuple[tuple[str, int], ...] = ()


class RetryLater(Exception):
    """Not now: the mail waits in its order and is tried again; that is no failure of the mail."""
