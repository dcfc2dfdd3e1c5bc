"""The letters that answer posts by mail, and those to whom a list's senders are."""

from core.notifications.service_mail import KINDS, MessageKind
from i18n import N_

# ── posts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["posted"] = MessageKind(
    N_("“%(subject)s” goes to %(letters)s people at %(at)s"),
    N_(
        "Your mail to “%(list)s” has been received. %(letters)s letters go out at %(at)s.\n"
        "%(attachments)s"
        "To look at it once more or to cancel it:\n"
        "%(url)s\n"
        "\n"
        "────────────────\n"
        "%(subject)s\n"
        "\n"
        "%(text)s\n"
    ),
    footer=False,
)
KINDS["release"] = MessageKind(
    N_("[NOT SENT YET] “%(subject)s”"),
    N_(
        "Your mail to “%(list)s” has not been sent to anybody yet.\n"
        "%(why)s\n"
        "\n"
        "To send it to %(letters)s people, open this page and press the button there (within 24 hours).\n"
        "%(url)s\n"
        "\n"
        "Not you? Do nothing.\n"
        "%(attachments)s"
        "\n"
        "────────────────\n"
        "%(subject)s\n"
        "\n"
        "%(text)s\n"
    ),
    secret=("url",),
    footer=False,
)
KINDS["nobody"] = MessageKind(
    N_("“%(subject)s” was not sent: nobody can receive it"),
    N_("Nobody in “%(list)s” can receive mail now, so your mail was not sent.\n"),
    footer=False,
)
KINDS["waits"] = MessageKind(
    N_("“%(subject)s” was not sent: the list waits for its new roster"),
    N_(
        "The school year of “%(list)s” has ended, and its new roster is not in yet, so your mail was not sent.\n"
        "When an administrator has brought the roster in, please send it again.\n"
    ),
    footer=False,
)
KINDS["forged"] = MessageKind(
    N_("Somebody wrote to “%(list)s” in your name"),
    N_(
        "A mail to “%(list)s” bore your address, but did not come from your mail provider. It was not distributed.\n"
        "If it was you: send it by the provider of your address, or write the notice on the pages.\n"
    ),
    footer=False,
)

# ── senders and strangers ──────────────────────────────────────────────────────────────────────────────────────────

KINDS["sender"] = MessageKind(
    N_("You may now post to “%(list)s”"),
    N_(
        "Mails from this address to %(address)s go to the members of “%(list)s”.\n"
        "\n"
        "Please answer this letter once, without writing anything. Kairan then tells you whether your mails go out by "
        "themselves, or whether each needs a press on a link that you get by mail.\n"
        "\n"
        "Whoever answers a notice does not write to the members: a new mail to the address above does.\n"
    ),
    footer=False,
)
KINDS["sender-passes"] = MessageKind(
    N_("Posts to “%(list)s” go out by themselves"),
    N_("Your mail provider proves that mails are yours. What you post to %(address)s goes out after a few minutes.\n"),
    footer=False,
)
KINDS["sender-asks"] = MessageKind(
    N_("Posts to “%(list)s” need a press of yours"),
    N_(
        "Your mail provider does not prove that mails are yours, so anybody could write in your name. Each time you "
        "post to %(address)s, you get a letter with a link at this address: press it, and the mail goes out.\n"
    ),
    footer=False,
)
KINDS["stranger"] = MessageKind(
    N_("A mail to “%(list)s” was not distributed"),
    N_(
        "A mail to “%(list)s” came from an address that may not post there. Nobody has received it.\n"
        "\n"
        "From: %(from)s\n"
        "Subject: %(subject)s\n"
        "\n"
        "If this person is to post, add the address here:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["house"] = MessageKind(
    N_("A mail to %(to)s"),
    N_("Somebody wrote to %(to)s.\n\nFrom: %(from)s\nSubject: %(subject)s\n\nTo read it:\n%(url)s\n"),
    footer=False,
)
KINDS["not-a-sender"] = MessageKind(
    N_("Your mail to “%(list)s” was not distributed"),
    N_(
        "Only registered senders can post to “%(list)s”, so your mail has reached nobody.\n"
        "To write to the school, answer one of its letters, or use the contact below.\n"
    ),
)
