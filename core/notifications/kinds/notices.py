"""The letters around a notice: the copies that go ahead of it, and a second person's word."""

from core.notifications.service_mail import KINDS, MessageKind
from i18n import N_

# ── before a notice goes ───────────────────────────────────────────────────────────────────────────────────────────

KINDS["own"] = MessageKind(
    N_("[Your copy] %(subject)s"),
    N_(
        "%(when)s\n"
        "This is your own copy; families get the letter below.\n"
        "To look at it once more or to cancel it:\n"
        "%(url)s\n"
        "%(files)s"
        "\n"
        "────────────────\n"
        "%(text)s\n"
    ),
    footer=False,
    files=True,
)
KINDS["own-again"] = MessageKind(
    N_("[Your copy] %(subject)s"),
    N_(
        "%(letters)s letters go out again on %(at)s, to those still missing by then.\n"
        "This is your own copy; families get the letter below.\n"
        "To call it off:\n"
        "%(url)s\n"
        "%(files)s"
        "\n"
        "────────────────\n"
        "%(text)s\n"
    ),
    footer=False,
    files=True,
)
KINDS["trial"] = MessageKind(
    N_("[Test] %(subject)s"),
    N_("This is a test letter: only you have received it.\n%(files)s\n────────────────\n%(text)s\n"),
    footer=False,
    files=True,
)

# ── a second person ────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["second"] = MessageKind(
    N_("[Please look] %(by)s asks you about “%(subject)s”"),
    N_(
        "%(by)s asks you to look at a notice before it goes out: recipients, words and files.\n"
        "It waits for you. Open this page, look, and let it go or send it back:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["sent-back"] = MessageKind(
    N_("[Sent back] “%(subject)s”"),
    N_("%(by)s has looked at your notice and sends it back:\n\n%(word)s\n\nIt is a draft again:\n%(url)s\n"),
    footer=False,
)
