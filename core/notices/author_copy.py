"""Author's copies with a cancel link, sent before a notice or reminder starts, and test letters (X-04).

The cancel link is a signed token with the time of confirmation. It survives rescheduling; after cancelling and
confirming again it is invalid.
"""

from datetime import datetime

from itsdangerous import BadSignature, URLSafeSerializer

import i18n
from core.notices import attachments
from core.notices.audience import Recipient
from core.notices.rendering import reminder_subject, render_author_copy
from core.notifications.letter_limits import Caused, allows_letter, count_letter
from core.notifications.notify import notify
from core.settings import Settings, load_settings
from database import millis
from i18n import N_
from models import QUEUED_STATES, Letter, LetterState, Notice, Person, Reminder, User


def send_author_copy(notice: Notice, by: User | None, now: datetime) -> Letter | None:
    """Send the author a copy with a cancel link. None without an e-mail address, or above the hourly limit."""
    if by is None or not by.email or notice.send_at is None or not allows_letter(Caused.OWN_COPY, by, None, now):
        return None
    settings = load_settings()
    shown = render_author_copy(notice, by, settings, now)
    begins = N_("Sending starts on %(at)s. Until then it can be cancelled.")
    return notify(
        "own",
        by,
        now,
        subject=shown.subject,
        text=shown.text,
        page=shown.html,
        when=i18n.say(by.language, begins, at=i18n.format_datetime(by.language, notice.send_at)),
        url=f"{settings.base_url}/notices/cancel/{notice_cancel_token(notice, settings)}",
        files=_files_line(notice, by, now),
        notice=notice.id,
    )


def _files_line(notice: Notice, by: User, now: datetime) -> str:
    """Return the note on files that readers open behind their link; "" without such files."""
    note = attachments.copy_files_note(notice, now)
    return i18n.say(by.language, note, url=f"{load_settings().base_url}/notices/{notice.id}") + "\n" if note else ""


def cancel_author_copies(notice: Notice, now: datetime) -> None:
    """Cancel unsent copies of a notice that was cancelled."""
    Letter.update(state=LetterState.CANCELLED, done_at=now).where(
        Letter.kind == "own", Letter.state.in_(QUEUED_STATES), Letter.payload["notice"] == str(notice.id)
    ).execute()


# ── reminders ────────────────────────────────────────────────────────────────────────────────────────────────


def send_reminder_copy(reminder: Reminder, by: User | None, now: datetime) -> Letter | None:
    """Send the user who requested a reminder a copy with a cancel link. None as in `send_author_copy`."""
    if by is None or not by.email or not allows_letter(Caused.OWN_COPY, by, None, now):
        return None
    notice, settings = reminder.notice, load_settings()
    shown = render_author_copy(notice, by, settings, now)
    return notify(
        "own-again",
        by,
        now,
        subject=reminder_subject(shown.subject, by.language),
        text=shown.text,
        letters=reminder.letters,
        at=i18n.format_datetime(by.language, reminder.send_at),
        url=f"{settings.base_url}/notices/call-off/{reminder_cancel_token(reminder, settings)}",
        page=shown.html,
        files=_files_line(notice, by, now),
        notice=notice.id,
        reminder=reminder.id,
    )


def cancel_reminder_copies(reminder: Reminder, now: datetime) -> None:
    """Cancel the unsent copy of a reminder that was cancelled."""
    copies = (Letter.kind == "own-again") & (Letter.payload["reminder"] == str(reminder.id))
    Letter.update(state=LetterState.CANCELLED, done_at=now).where(copies, Letter.state.in_(QUEUED_STATES)).execute()


def reminder_cancel_token(reminder: Reminder, settings: Settings) -> str:
    return _signer(settings).dumps(["again", reminder.id])


def reminder_by_cancel_token(token: str) -> Reminder | None:
    """Return the reminder of a token; None if the token is invalid."""
    try:
        kind, number = _signer(load_settings()).loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return Reminder.get_or_none(Reminder.id == number) if kind == "again" else None


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────


def notice_cancel_token(notice: Notice, settings: Settings) -> str:
    """Return a token that is valid for this confirmation of the notice only."""
    return _signer(settings).dumps([notice.id, millis(notice.confirmed_at)])


def notice_by_cancel_token(token: str) -> Notice | None:
    """Return the notice of a token; None if the token is invalid or the notice was confirmed again."""
    try:
        number, confirmed = _signer(load_settings()).loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return Notice.get_or_none(Notice.id == number, Notice.confirmed_at == confirmed)


def _signer(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret, salt="cancel a notice")


def send_test(notice: Notice, by: User, now: datetime, like: Recipient | None = None) -> Letter | None:
    """Send a draft to its author only. None without an e-mail address. like: see `render_author_copy`.

    Raises TooManyLetters.
    """
    if not by.email:
        return None
    count_letter(Caused.NOTICE_TEST, by, None, now)
    shown = render_author_copy(notice, by, load_settings(), now, like)
    files = _files_line(notice, by, now)
    return notify(
        "trial", by, now, subject=shown.subject, text=shown.text, page=shown.html, files=files, notice=notice.id
    )


def send_test_to_person(person: Person, by: User, now: datetime) -> Letter | None:
    """Send a person a short test letter (N-09). None without an address. Raises TooManyLetters."""
    if not person.address:
        return None
    count_letter(Caused.MEMBER_TEST, by, person.address, now)
    return notify("test", person, now)
