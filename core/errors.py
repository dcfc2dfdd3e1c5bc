"""The error of every verb of `core`, and the errors that a caller tells apart."""

from i18n import N_
from models import Notice


class DomainError(Exception):
    """A verb was not carried out. `message`: source string for `say`; `values`: its placeholders; `field`: of a form."""

    message = N_("This cannot be done.")

    def __init__(self, message: str = "", field: str = "", **values: object) -> None:
        self.message = message or self.message
        super().__init__(self.message)
        self.field, self.values = field, values


class NotADraft(DomainError):
    """The notice is no draft any more."""

    message = N_("This notice is no draft any more, so it cannot be changed.")


class MissingFields(DomainError):
    """Something required is missing; `fields` names what, by field."""

    message = N_("Something is still missing.")

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__()
        self.fields = fields


class AudienceChanged(DomainError):
    """Who receives is no longer what the check page showed."""

    message = N_("The recipients have changed since this page was shown. Please check them once more.")


class TooManyGroups(DomainError):
    """More groups were named than the mail server's pace and a human eye can check (D-14)."""

    message = N_(
        "At most 15 groups can be named (now %(count)s). Those to send to and those to leave out are counted together."
    )


class WrongLetterCount(DomainError):
    """The number of letters was not typed, or not rightly."""

    message = N_("This goes to everybody. If that is right, type %(number)s.")


class TimeInPast(DomainError):
    """The chosen time has passed."""

    message = N_("This time has already passed.")


class SendingStarted(DomainError):
    """Sending has begun, or somebody else was faster."""

    message = N_("Sending has already begun, so it cannot be cancelled.")


class AlreadySent(DomainError):
    """The notice was confirmed before (double tap, reload, second tab)."""

    message = N_("This notice has already been sent (%(at)s).")

    def __init__(self, notice: Notice) -> None:
        super().__init__()
        self.notice = notice


class NoRecipientsLeft(DomainError):
    """A reminder would reach nobody."""

    message = N_("There is nobody left to be reminded by mail.")


class ReminderPending(DomainError):
    """A reminder of this notice already waits to be sent."""

    message = N_("A reminder is already about to be sent. It goes out once.")


class AttachmentNotOpened(DomainError):
    """A file was not opened on the check page before sending; `names` says which (X-01)."""

    message = N_("Please open each file once and look whether it is the right one: %(names)s")


class ApprovalRequired(DomainError):
    """A second person must look at this notice before it goes."""

    message = N_("A second person looks at this notice before it goes. Please ask a colleague.")
