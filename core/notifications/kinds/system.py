"""The letters about the installation itself: alarms, figures told by mail, roles that end."""

from core.notifications.service_mail import KINDS, MessageKind
from i18n import N_

# ── alarms ─────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["strange"] = MessageKind(
    N_("A letter reached another family"),
    N_(
        "Whoever reads mail at the address registered for %(reader)s says that “%(notice)s” is meant for another "
        "family.\n"
        "All mail to this address is stopped.%(alone)s\n"
        "\n"
        "Please ask the family for the right address, and tell them by telephone until then.\n"
        "%(url)s\n"
    ),
    footer=False,
)

# ── the house itself ───────────────────────────────────────────────────────────────────────────────────────────────

KINDS["well"] = MessageKind(
    N_("[Monthly] Kairan is well"),
    N_(
        "Kairan looks at itself once a month. Everything that could be examined is in order.\n"
        "That this letter reached you shows that letters leave. If it does not come one month, please look.\n"
        "\n"
        "%(lines)s\n"
        "\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["unwell"] = MessageKind(
    N_("[Monthly] Kairan needs you: %(wrong)s matters"),
    N_(
        "Kairan looks at itself once a month. %(wrong)s matters are not in order; what to do stands below each.\n"
        "\n"
        "%(lines)s\n"
        "\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["distrust"] = MessageKind(
    N_("Our mail is refused by %(domain)s"),
    N_(
        "A server of %(domain)s refuses our mail because it does not trust the sender. The fault is ours, not the "
        "families': nobody has been excluded, but letters to %(domain)s do not arrive.\n"
        "\n"
        "It says: %(said)s\n"
        "\n"
        "Usually a DNS record (SPF, DKIM, DMARC, reverse name) is missing, or the server is on a list of bad senders. "
        "What is found, and what to do:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["blocked"] = MessageKind(
    N_("%(domain)s refuses many letters of “%(notice)s”"),
    N_(
        "%(domain)s has refused more than a fifth of the letters of “%(notice)s”. It probably takes us for a sender of "
        "spam for now. Sending there rests for an hour and then goes on by itself; nobody has been excluded.\n"
        "\n"
        "To see whom it concerns, to telephone, or to try again at once:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["unreached"] = MessageKind(
    N_("%(number)s families of “%(list)s” are not reached"),
    N_(
        "Letters to these families of “%(list)s” do not arrive:\n"
        "\n"
        "%(names)s\n"
        "\n"
        "They stay registered. Slips for the child's bag, and how to release an address that works again:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["renewal"] = MessageKind(
    N_("Please renew %(what)s by %(day)s"),
    N_(
        "%(what)s is paid until %(day)s; that is in %(days)s days. When it runs out, no notice can be sent and no "
        "link in a letter opens.\n"
        "When you have renewed it, please enter the new date here:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["forgetting"] = MessageKind(
    N_("On %(day)s the letters of the last school year are deleted"),
    N_(
        "As every year, thirty days after the end of the school year, Kairan deletes what was sent before %(begin)s: "
        "the letters of %(notices)s notices, the names in them, who confirmed them, and the answers.\n"
        "Subject, text and sums stay: how many letters arrived, how many households confirmed in each class, how often "
        "each choice was made. By old letters one can still stop the mail.\n"
        "\n"
        "If you need lists with names, write them to a file before %(day)s. Backups hold what they held when they were "
        "made; delete old ones too.\n"
        "\n"
        "What is kept, and until when:\n"
        "%(url)s\n"
    ),
    footer=False,
)
KINDS["digest"] = MessageKind(
    N_("%(title)s"),
    N_("%(lines)s\n\nHow often you are told is set with each notice, under its options.\n"),
    footer=False,
)

# ── roles ──────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS["role-ends"] = MessageKind(
    N_("Your role ends soon"),
    N_(
        "Your role in the notices of %(organization)s ends:\n%(lines)s\n\n"
        "Is it known who comes next? Please tell an administrator: an invitation takes a minute.\n"
        "If you go on, an administrator can give the role a later day.\n"
    ),
    footer=False,
)
KINDS["roles-end"] = MessageKind(
    N_("Roles that end soon"),
    N_(
        "These roles end within fourteen days:\n%(lines)s\n\n"
        "To invite whoever comes next, or to give a later day:\n"
        "%(url)s\n"
    ),
    footer=False,
)
