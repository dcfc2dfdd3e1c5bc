"""The letters to who joins or leaves, and to the organizer whom a reply is for."""

from core.notifications.service_mail import KINDS, MessageKind
from i18n import N_

# ── joining ────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["welcome"] = MessageKind(
    N_("[One more step] Please tell us the name for “%(list)s”"),
    N_(
        "%(greeting)s"
        "We have received your address for “%(list)s”. The registration is complete with your name:\n"
        "%(url)s\n"
        "\n"
        "Notices will come from: %(from)s\n"
        "Since this letter has reached you, your mail filter is set rightly.\n"
        "\n"
        "%(terms)s\n"
        "\n"
        "Not you, or to stop:\n"
        "%(leave)s\n"
    ),
    secret=("url",),
    footer=False,
)
KINDS["registered"] = MessageKind(
    N_("[Registered] Notices of “%(list)s”"),
    N_(
        "%(greeting)s"
        "You get the notices of “%(list)s” from now on.\n"
        "Notices will come from: %(from)s\n"
        "Since this letter has reached you, your mail filter is set rightly.\n"
        "\n"
        "To look at the names that are registered, or to correct them (within a week):\n"
        "%(url)s\n"
        "\n"
        "%(terms)s\n"
        "\n"
        "Not you, or to stop:\n"
        "%(leave)s\n"
    ),
    secret=("url",),
    footer=False,
)
KINDS["join"] = MessageKind(
    N_("Please confirm: notices of “%(list)s”"),
    N_(
        "Somebody, probably you, asked for the notices of “%(list)s” at this address.\n"
        "Open this page and press the button (within three days):\n"
        "%(url)s\n"
        "\n"
        "Not you? Do nothing: no notice will come.\n"
    ),
    secret=("url",),
    footer=False,
)
KINDS["already"] = MessageKind(
    N_("You are already registered for “%(list)s”"),
    N_("This address already gets the notices of “%(list)s”. There is nothing to do.\n\nTo stop:\n%(leave)s\n"),
    footer=False,
)
KINDS["refused"] = MessageKind(
    N_("Your registration for “%(list)s”"),
    N_(
        "Your registration for “%(list)s” was not taken. No notices come to this address.\n"
        "If this is a mistake, please ask the school.\n"
    ),
)
KINDS["approval"] = MessageKind(
    N_("Your registration for “%(list)s” waits for approval"),
    N_("We have received your address for “%(list)s”. Notices begin when a manager has approved it.\n"),
    footer=False,
)

KINDS["waits-join"] = MessageKind(
    N_("We have received your registration for “%(list)s”"),
    N_(
        "Many families are registering just now. Your registration for “%(list)s” is kept and will be taken in its "
        "turn; that can take a day or two. You need not do anything: another letter tells you then.\n"
        "\n"
        "Not you? Throw this mail away.\n"
    ),
    footer=False,
)

KINDS["page"] = MessageKind(
    N_("Your registration with %(organization)s"),
    N_(
        "On this page you can correct names, give a new address, and stop or resume each list (within 24 hours):\n"
        "%(url)s\n"
        "\n"
        "Not you? Throw this mail away: everything stays as it is.\n"
    ),
    secret=("url",),
)
KINDS["new-address"] = MessageKind(
    N_("Please confirm your new address"),
    N_(
        "Somebody, probably you, wants the notices of %(organization)s at this address from now on.\n"
        "Open this page and press the button (within 24 hours):\n"
        "%(url)s\n"
        "\n"
        "Not you? Do nothing: everything stays as it is.\n"
    ),
    secret=("url",),
)
KINDS["moved"] = MessageKind(
    N_("Notices no longer come to this address"),
    N_(
        "The notices of %(organization)s go to another address from now on.\n"
        "Was it not you? Please tell the school at once.\n"
    ),
)

# ── leaving ────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["leave"] = MessageKind(
    N_("Stop the mail from “%(list)s”?"),
    N_(
        "Somebody, probably you, asked to stop the mail from “%(list)s” to this address.\n"
        "Emergency notices will stop too. Open this page and press the button:\n"
        "%(url)s\n"
        "\n"
        "Not you? Do nothing: everything stays as it is.\n"
    ),
    footer=False,
)

# ── replies ────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["says-wrong"] = MessageKind(
    N_("%(name)s: something in the registration is wrong"),
    N_(
        "%(name)s wrote on the page of the own registration what is right. Nothing has been changed yet; "
        "do that here:\n"
        "%(url)s\n"
        "\n"
        "────────────────\n"
        "%(text)s\n"
    ),
    footer=False,
)
KINDS["reply"] = MessageKind(
    N_("[Reply] %(name)s: %(subject)s"),
    N_(
        "%(name)s answered the letter “%(notice)s”.\n"
        "Nobody else has received this. It is no answer to a question and no confirmation.\n"
        "%(url)s\n"
        "%(files)s"
        "\n"
        "────────────────\n"
        "%(text)s\n"
    ),
    footer=False,
)
