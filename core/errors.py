"""DomainError: the error of every verb of `core`, and the subclasses that a caller handles differently."""

from i18n import N_
from models import Notice


class DomainError(Exception):
    """A verb was not carried out. `message`: source string for `say`; `values`: its placeholders; `field`: of a form."""

    message = N_("This cannot be done.")

    def __init__(self, message: str = "", field: str = "", **values: object) -> None:
        self.message = message or self.message
        super().__init__(self.message)
        self.field, self.values = field, values


class TooLong(DomainError):
    """A text exceeds its limit. Nothing is cut: the writer shortens it."""

    message = N_("At most %(most)s characters fit here; these are %(n)s. Nothing was cut off or saved.")


def require_length(text: str, most: int, field: str = "") -> str:
    """Return the text without outer spaces. Raise TooLong if it exceeds the limit."""
    text = text.strip()
    if len(text) > most:
        raise TooLong(field=field, most=most, n=len(text))
    return text


class NotADraft(DomainError):
    message = N_("This notice is no draft any more, so it cannot be changed.")


class EditedMeanwhile(DomainError):
    """Another window or user saved the draft after it was read."""

    message = N_("This draft was changed in another window. Please look at both versions.")


class MissingFields(DomainError):
    """Required fields are empty or wrong. `fields`: {field: message}."""

    message = N_("Something is still missing.")

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__()
        self.fields = fields


class AudienceChanged(DomainError):
    """The audience differs from the one on the check page."""

    message = N_("The recipients have changed since this page was shown. Please check them once more.")


class TooManyGroups(DomainError):
    """The limit keeps the list readable and the load on the mail server low (D-14)."""

    message = N_(
        "At most 15 groups can be named (now %(count)s). Those to send to and those to leave out are counted together."
    )


class WrongLetterCount(DomainError):
    """The typed number of letters is missing or wrong."""

    message = N_("This goes to everybody. If that is right, type %(number)s.")


class TimeInPast(DomainError):
    message = N_("This time has already passed.")


class SendingStarted(DomainError):
    """Sending has started, or another process changed the notice first."""

    message = N_("Sending has already begun, so it cannot be cancelled.")


class AlreadySent(DomainError):
    """The notice was confirmed before (double tap, reload, second tab)."""

    message = N_("This notice has already been sent (%(at)s).")

    def __init__(self, notice: Notice) -> None:
        super().__init__()
        self.notice = notice


class NoRecipientsLeft(DomainError):
    message = N_("No recipient is left to be reminded by mail.")


class ReminderPending(DomainError):
    """A reminder of this notice is waiting already (double tap, or a second user)."""

    message = N_("A reminder is already about to be sent. It goes out once.")


class AttachmentNotOpened(DomainError):
    """The user has not opened the attachments `names` before sending (X-01)."""

    message = N_("Please open each file once and look whether it is the right one: %(names)s")


class ApprovalRequired(DomainError):
    """A second user must approve this notice (field 5.4)."""

    message = N_("A second person looks at this notice before it goes. Please ask a colleague.")
