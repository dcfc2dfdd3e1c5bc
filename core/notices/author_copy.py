"""The copies that leave before the notice does: the organizer's own with a cancel link, and test letters.

A reminder asked for has its copy too, with a link that calls it off (X-04).

The cancel link is signed and names one confirmation (by its moment): a booking may be moved, but after cancelling
and confirming again the old link does nothing.
"""

from datetime import datetime

from itsdangerous import BadSignature, URLSafeSerializer

from core.notices import attachments
from core.notices.audience import Recipient
from core.notices.rendering import format_moment, reminder_subject, render_author_copy
from core.notifications.notify import notify
from core.settings import Settings, load_settings
from database import millis
from i18n import N_, say
from models import Letter, Notice, Person, Reminder, User


def send_author_copy(notice: Notice, by: User | None, now: datetime) -> Letter | None:
    """Send the writer a copy with a cancel link, ahead of everything else; none without an e-mail address."""
    if by is None or not by.email or notice.send_at is None:
        return None
    force = load_settings()
    shown = render_author_copy(notice, by, force, now)
    begins = N_("Sending starts on %(at)s. Until then it can be cancelled.")
    return notify(
        "own",
        by,
        now,
        subject=shown.subject,
        text=shown.text,
        page=shown.html,
        when=say(by.language, begins, at=format_moment(by.language, notice.send_at)),
        url=f"{force.base_url}/notices/cancel/{notice_cancel_token(notice, force)}",
        files=_files_line(notice, by, now),
        notice=notice.id,
    )


def _files_line(notice: Notice, by: User, now: datetime) -> str:
    """Return a line on the files that stand behind the link; nothing if there are none."""
    about = attachments.copy_files_note(notice, now)
    return say(by.language, about, url=f"{load_settings().base_url}/notices/{notice.id}") + "\n" if about else ""


def cancel_author_copies(notice: Notice, now: datetime) -> None:
    """Keep back the copies of a notice that have not left: what they say is no longer true."""
    Letter.update(state="cancelled", done_at=now).where(
        Letter.kind == "own", Letter.state.in_(("waiting", "deferred")), Letter.payload["notice"] == str(notice.id)
    ).execute()


# ── of a reminder ────────────────────────────────────────────────────────────────────────────────────────────────


def send_reminder_copy(reminder: Reminder, by: User | None, now: datetime) -> Letter | None:
    """Send who asked for a reminder a copy with a link to call it off; none without an e-mail address."""
    if by is None or not by.email:
        return None
    notice, force = reminder.notice, load_settings()
    shown = render_author_copy(notice, by, force, now)
    return notify(
        "own-again",
        by,
        now,
        subject=reminder_subject(shown.subject, by.language),
        text=shown.text,
        letters=reminder.letters,
        at=format_moment(by.language, reminder.send_at),
        url=f"{force.base_url}/notices/call-off/{reminder_cancel_token(reminder, force)}",
        page=shown.html,
        files=_files_line(notice, by, now),
        notice=notice.id,
        reminder=reminder.id,
    )


def cancel_reminder_copies(reminder: Reminder, now: datetime) -> None:
    """Keep back the copy of a reminder that was called off before it left."""
    mine = (Letter.kind == "own-again") & (Letter.payload["reminder"] == str(reminder.id))
    Letter.update(state="cancelled", done_at=now).where(mine, Letter.state.in_(("waiting", "deferred"))).execute()


def reminder_cancel_token(reminder: Reminder, force: Settings) -> str:
    """Return the signed mark that calls off this reminder and no other."""
    return _signer(force).dumps(["again", reminder.id])


def reminder_by_cancel_token(mark: str) -> Reminder | None:
    """Return the reminder that a mark fits; None if it is wrong."""
    try:
        what, number = _signer(load_settings()).loads(mark)
    except (BadSignature, ValueError, TypeError):
        return None
    return Reminder.get_or_none(Reminder.id == number) if what == "again" else None


# ── marks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def notice_cancel_token(notice: Notice, force: Settings) -> str:
    """Return the signed mark that cancels this confirmation of the notice and no other."""
    return _signer(force).dumps([notice.id, millis(notice.confirmed_at)])


def notice_by_cancel_token(mark: str) -> Notice | None:
    """Return the notice that a cancel mark still fits; None if it is wrong, or confirmed anew since."""
    try:
        number, confirmed = _signer(load_settings()).loads(mark)
    except (BadSignature, ValueError, TypeError):
        return None
    return Notice.get_or_none(Notice.id == number, Notice.confirmed_at == confirmed)


def _signer(force: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(force.secret, salt="cancel a notice")


def send_test(notice: Notice, by: User, now: datetime, like: Recipient | None = None) -> Letter | None:
    """Send a draft to its writer alone, as a test; None if the writer has no e-mail address.

    like: the reader whose merge fields it shows.
    """
    if not by.email:
        return None
    shown = render_author_copy(notice, by, load_settings(), now, like)
    files = _files_line(notice, by, now)
    return notify(
        "trial", by, now, subject=shown.subject, text=shown.text, page=shown.html, files=files, notice=notice.id
    )


def send_test_to_person(person: Person, now: datetime) -> Letter | None:
    """Send a person the short test letter ("can you read this?"); None without an address (N-09)."""
    if not person.address:
        return None
    return notify("test", person, now)
