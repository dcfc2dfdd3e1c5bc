"""The kinds of service letters: texts, urgency and lifetime. The keys are stored with each letter.

`%(name)s` placeholders are filled when the letter is rendered; `%(organization)s` is always available.
"""

from dataclasses import dataclass
from datetime import timedelta

from i18n import N_

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One kind of service letter.

    secret: values that are cleared from the row after acceptance. urgent: sent before ordinary notices, because the
    recipient waits for it. footer: ends with the contact. files: the files of its notice are attached.
    """

    subject: str
    text: str
    secret: tuple[str, ...] = ()
    urgent: bool = False
    expires_after: timedelta = DAY
    footer: bool = False
    files: bool = False


KINDS: dict[str, MessageKind] = {
    # ── two registrations of one address ──
    "same-address": MessageKind(
        N_("You are now registered in “%(list)s” too"),
        N_(
            "A manager of “%(list)s” has entered this address, so its notices come to you.\n\n"
            "Is that right? On this page you can make one registration of both:\n"
            "%(url)s\n\n"
            "Until then the managers of “%(list)s” see only what they entered themselves.\n"
            "Not wanted? Every notice has a link at its end that stops the list.\n"
        ),
        secret=("url",),
        footer=True,
    ),
    "change-refused": MessageKind(
        N_("Not changed: %(person)s"),
        N_(
            "You asked for a change of %(person)s, a member of “%(list)s”: %(fields)s.\n"
            "A user who manages all lists of this family has refused it. Nothing has changed.\n"
            "%(url)s\n"
        ),
    ),
    # ── accounts ──
    "test": MessageKind(
        N_("Test letter from %(organization)s"),
        N_(
            "This is a test letter. If you can read it, mail from %(organization)s reaches you.\n"
            "There is nothing to do.\n"
        ),
        urgent=True,
        expires_after=timedelta(hours=1),
        footer=True,
    ),
    "login": MessageKind(
        N_("Log in to %(organization)s"),
        N_(
            "Open this page within 15 minutes and press the button to log in. No password is needed.\n"
            "%(url)s\n\n"
            "Not you? Throw this mail away.\n"
        ),
        secret=("url",),
        urgent=True,
        expires_after=timedelta(minutes=15),
        footer=True,
    ),
    "password": MessageKind(
        N_("A new password for %(organization)s"),
        N_(
            "%(name)s\n\n"
            "Open this page within one hour to choose a new password.\n"
            "%(url)s\n\n"
            "Not you? Throw this mail away: your password stays as it is.\n"
        ),
        secret=("url",),
        urgent=True,
        expires_after=timedelta(hours=1),
        footer=True,
    ),
    "invitation": MessageKind(
        N_("Invitation to the notices of %(organization)s"),
        N_(
            "%(name)s\n\n"
            "%(by)s invites you to help with the notices of %(organization)s.\n"
            "Open this page within three days and choose a password.\n"
            "%(url)s\n\n"
            "Your user name: %(name)s\n\n"
            "Not you? Throw this mail away.\n"
        ),
        secret=("url",),
        urgent=True,
        expires_after=3 * DAY,
        footer=True,
    ),
    "email": MessageKind(
        N_("Confirm your new address for %(organization)s"),
        N_(
            "%(name)s\n\n"
            "Open this page within three days and press the button: from then on your letters come here.\n"
            "%(url)s\n\n"
            "Not you? Throw this mail away: everything stays as it is.\n"
        ),
        secret=("url",),
        urgent=True,
        expires_after=3 * DAY,
        footer=True,
    ),
    "email-changed": MessageKind(
        N_("Your address for %(organization)s has been changed"),
        N_(
            "%(name)s\n\n"
            "Letters of %(organization)s to you no longer come to this address.\n"
            "Was it not you? Please tell an administrator at once: %(administrators)s\n"
        ),
        urgent=True,
        footer=True,
    ),
    "new-device": MessageKind(
        N_("A new device logged in to %(organization)s"),
        N_(
            "%(name)s\n\n"
            "Your account was used on a device for the first time:\n"
            "%(device)s, %(when)s\n\n"
            "Was it you? Then there is nothing to do.\n"
            "Was it not you? Change your password and remove the device on this page:\n"
            "%(url)s\n"
            "Then please tell an administrator: %(administrators)s\n"
        ),
        urgent=True,
        footer=True,
    ),
    "second-factor": MessageKind(
        N_("Your two-step verification for %(organization)s"),
        N_(
            "%(name)s\n\n"
            "%(what)s\n\n"
            "Was it you? Then there is nothing to do.\n"
            "Was it not you? Change your password on this page:\n"
            "%(url)s\n"
            "Then please tell an administrator: %(administrators)s\n"
        ),
        urgent=True,
        footer=True,
    ),
    "role-ends": MessageKind(
        N_("Your role ends soon"),
        N_(
            "Your role in the notices of %(organization)s ends:\n%(lines)s\n\n"
            "Do you know your successor? Please tell an administrator, who can send an invitation.\n"
            "If you continue, an administrator can set a later end.\n"
        ),
        expires_after=7 * DAY,
    ),
    "roles-end": MessageKind(
        N_("Roles that end soon"),
        N_(
            "These roles end within fourteen days:\n%(lines)s\n\n"
            "To invite a successor, or to set a later end:\n"
            "%(url)s\n"
        ),
        expires_after=7 * DAY,
    ),
    # ── signing up ──
    "welcome": MessageKind(
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
    ),
    "registered": MessageKind(
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
    ),
    "join": MessageKind(
        N_("Please confirm: notices of “%(list)s”"),
        N_(
            "Somebody, probably you, asked for the notices of “%(list)s” at this address.\n"
            "Open this page and press the button (within three days):\n"
            "%(url)s\n"
            "\n"
            "Not you? Do nothing: no notice will come.\n"
        ),
        secret=("url",),
    ),
    "already": MessageKind(
        N_("You are already registered for “%(list)s”"),
        N_("This address already gets the notices of “%(list)s”. There is nothing to do.\n\nTo stop:\n%(leave)s\n"),
    ),
    "refused": MessageKind(
        N_("Your registration for “%(list)s”"),
        N_(
            "Your registration for “%(list)s” was not taken. No notices come to this address.\n"
            "If this is a mistake, please ask the school.\n"
        ),
        footer=True,
    ),
    "approval": MessageKind(
        N_("Your registration for “%(list)s” waits for approval"),
        N_("We have received your address for “%(list)s”. Notices begin when a manager has approved it.\n"),
    ),
    "waits-join": MessageKind(
        N_("We have received your registration for “%(list)s”"),
        N_(
            "Many families are registering just now. Your registration for “%(list)s” is kept and will be taken in its "
            "turn; that can take a day or two. You need not do anything: another letter tells you then.\n"
            "\n"
            "Not you? Throw this mail away.\n"
        ),
    ),
    # ── members ──
    "page": MessageKind(
        N_("Your registration with %(organization)s"),
        N_(
            "On this page you can correct names, give a new address, and stop or resume each list (within 24 hours):\n"
            "%(url)s\n"
            "\n"
            "Not you? Throw this mail away: everything stays as it is.\n"
        ),
        secret=("url",),
        footer=True,
    ),
    "new-address": MessageKind(
        N_("Please confirm your new address"),
        N_(
            "Somebody, probably you, wants the notices of %(organization)s at this address from now on.\n"
            "Open this page and press the button (within 24 hours):\n"
            "%(url)s\n"
            "\n"
            "Not you? Do nothing: everything stays as it is.\n"
        ),
        secret=("url",),
        footer=True,
    ),
    "moved": MessageKind(
        N_("Notices no longer come to this address"),
        N_(
            "The notices of %(organization)s go to another address from now on.\n"
            "Was it not you? Please tell the school at once.\n"
        ),
        footer=True,
    ),
    "says-wrong": MessageKind(
        N_("%(name)s: something in the registration is wrong"),
        N_(
            "%(name)s wrote on the page of the own registration what is right. Nothing has been changed yet; "
            "do that here:\n"
            "%(url)s\n"
            "\n"
            "────────────────\n"
            "%(text)s\n"
        ),
        expires_after=3 * DAY,
    ),
    "leave": MessageKind(
        N_("Stop the mail from “%(list)s”?"),
        N_(
            "Somebody, probably you, asked to stop the mail from “%(list)s” to this address.\n"
            "Emergency notices will stop too. Open this page and press the button:\n"
            "%(url)s\n"
            "\n"
            "Not you? Do nothing: everything stays as it is.\n"
        ),
        urgent=True,
    ),
    "resume": MessageKind(
        N_("Mail from “%(list)s” is stopped"),
        N_("Mail from “%(list)s” is stopped.\nPressed by mistake? Turn it on again here:\n%(url)s\n"),
        urgent=True,
        footer=True,
    ),
    "unreached": MessageKind(
        N_("%(number)s families of “%(list)s” are not reached"),
        N_(
            "Letters to these families of “%(list)s” do not arrive:\n"
            "\n"
            "%(names)s\n"
            "\n"
            "They stay registered. Slips for the child's bag, and how to release an address that works again:\n"
            "%(url)s\n"
        ),
        expires_after=3 * DAY,
    ),
    "strange": MessageKind(
        N_("A letter reached another family"),
        N_(
            "The reader at the address of %(reader)s says that “%(notice)s” is meant for another family.\n"
            "All mail to this address is stopped.%(alone)s\n"
            "\n"
            "Please ask the family for the right address, and tell them by telephone until then.\n"
            "%(url)s\n"
        ),
        urgent=True,
    ),
    # ── notices ──
    "own": MessageKind(
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
        urgent=True,
        expires_after=timedelta(hours=1),
        files=True,
    ),
    "own-again": MessageKind(
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
        urgent=True,
        expires_after=timedelta(hours=1),
        files=True,
    ),
    "trial": MessageKind(
        N_("[Test] %(subject)s"),
        N_("This is a test letter: only you have received it.\n%(files)s\n────────────────\n%(text)s\n"),
        urgent=True,
        expires_after=timedelta(hours=1),
        files=True,
    ),
    "second": MessageKind(
        N_("[Please look] %(by)s asks you about “%(subject)s”"),
        N_(
            "%(by)s asks you to look at a notice before it goes out: recipients, words and files.\n"
            "It waits for you. Open this page, look, and let it go or send it back:\n"
            "%(url)s\n"
        ),
        urgent=True,
    ),
    "sent-back": MessageKind(
        N_("[Sent back] “%(subject)s”"),
        N_("%(by)s has looked at your notice and sends it back:\n\n%(word)s\n\nIt is a draft again:\n%(url)s\n"),
        urgent=True,
    ),
    "reply": MessageKind(
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
    ),
    "digest": MessageKind(
        N_("%(title)s"), N_("%(lines)s\n\nHow often you are told is set with each notice, under its options.\n")
    ),
    # ── posting by mail ──
    "posted": MessageKind(
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
        urgent=True,
        expires_after=timedelta(hours=1),
    ),
    "release": MessageKind(
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
        urgent=True,
    ),
    "nobody": MessageKind(
        N_("“%(subject)s” was not sent: nobody can receive it"),
        N_("Nobody in “%(list)s” can receive mail now, so your mail was not sent.\n"),
        urgent=True,
        expires_after=timedelta(hours=1),
    ),
    "no-words": MessageKind(
        N_("Your mail to “%(list)s” was not sent: there are no words in it"),
        N_("Your mail “%(subject)s” to “%(list)s” has reached nobody, because Kairan found no words in it.\n%(why)s\n"),
        urgent=True,
        expires_after=timedelta(hours=1),
    ),
    "placeholders": MessageKind(
        N_("Your mail to “%(list)s” was not sent: words of the template are left in it"),
        N_(
            "Your mail “%(subject)s” to “%(list)s” has reached nobody. Not filled in yet:\n%(places)s\n"
            "Please write the right words over them, or remove the brackets 〔 〕, and send it again.\n"
        ),
        urgent=True,
        expires_after=timedelta(hours=1),
    ),
    "waits": MessageKind(
        N_("“%(subject)s” was not sent: the list waits for its new roster"),
        N_(
            "The school year of “%(list)s” has ended, and its new roster is not in yet, so your mail was not sent.\n"
            "When an administrator has brought the roster in, please send it again.\n"
        ),
        urgent=True,
        expires_after=timedelta(hours=1),
    ),
    "forged": MessageKind(
        N_("Somebody wrote to “%(list)s” in your name"),
        N_(
            "A mail to “%(list)s” bore your address, but did not come from your mail provider. It was not distributed.\n"
            "If it was you: send it by the provider of your address, or write the notice on the pages.\n"
        ),
        urgent=True,
        expires_after=timedelta(hours=1),
    ),
    "sender": MessageKind(
        N_("You may now post to “%(list)s”"),
        N_(
            "Mails from this address to %(address)s go to the members of “%(list)s”.\n"
            "\n"
            "Please answer this letter once, without writing anything. Kairan then tells you whether your mails go out by "
            "themselves, or whether each needs a press on a link that you get by mail.\n"
            "\n"
            "An answer to a notice does not reach the members. Send a new mail to the address above instead.\n"
        ),
        expires_after=3 * DAY,
    ),
    "sender-passes": MessageKind(
        N_("Posts to “%(list)s” go out by themselves"),
        N_(
            "Your mail provider proves that mails are yours. What you post to %(address)s goes out after a few minutes.\n"
        ),
        expires_after=3 * DAY,
    ),
    "sender-asks": MessageKind(
        N_("Posts to “%(list)s” need your confirmation"),
        N_(
            "Your mail provider does not prove that mails are yours, so others could write in your name. Each time you "
            "post to %(address)s, you get a letter with a link at this address: press it, and the mail goes out.\n"
        ),
        expires_after=3 * DAY,
    ),
    "stranger": MessageKind(
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
    ),
    "house": MessageKind(
        N_("A mail to %(to)s"),
        N_("Somebody wrote to %(to)s.\n\nFrom: %(from)s\nSubject: %(subject)s\n\nTo read it:\n%(url)s\n"),
    ),
    "not-a-sender": MessageKind(
        N_("Your mail to “%(list)s” was not distributed"),
        N_(
            "Only registered senders can post to “%(list)s”, so your mail has reached nobody.\n"
            "To write to the school, answer one of its letters, or use the contact below.\n"
        ),
        urgent=True,
        expires_after=timedelta(hours=1),
        footer=True,
    ),
    # ── the installation ──
    "well": MessageKind(
        N_("[Monthly] Kairan is well"),
        N_(
            "Kairan looks at itself once a month. Everything that could be examined is in order.\n"
            "That this letter reached you shows that letters leave. If it does not come one month, please look.\n"
            "\n"
            "%(lines)s\n"
            "\n"
            "%(url)s\n"
        ),
        expires_after=7 * DAY,
    ),
    "unwell": MessageKind(
        N_("[Monthly] Kairan needs you: %(wrong)s matters"),
        N_(
            "Kairan looks at itself once a month. %(wrong)s matters are not in order; what to do stands below each.\n"
            "\n"
            "%(lines)s\n"
            "\n"
            "%(url)s\n"
        ),
        expires_after=7 * DAY,
    ),
    "renewal": MessageKind(
        N_("Please renew %(what)s by %(day)s"),
        N_(
            "%(what)s is paid until %(day)s; that is in %(days)s days. When it runs out, no notice can be sent and no "
            "link in a letter opens.\n"
            "When you have renewed it, please enter the new date here:\n"
            "%(url)s\n"
        ),
        expires_after=7 * DAY,
    ),
    "distrust": MessageKind(
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
        urgent=True,
    ),
    "backup_failed": MessageKind(
        N_("The nightly backup has failed"),
        N_(
            "Kairan could not make its backup of this night, or could not copy it to the second place:\n"
            "\n"
            "%(why)s\n"
            "\n"
            "It tries again in three hours. Nothing else is affected; but should the machine break, everything since "
            "the last backup is gone. When that was, and what to do:\n"
            "%(url)s\n"
        ),
        urgent=True,
    ),
    "blocked": MessageKind(
        N_("%(domain)s refuses many letters of “%(notice)s”"),
        N_(
            "%(domain)s has refused more than a fifth of the letters of “%(notice)s”. It probably takes us for a sender of "
            "spam for now. Sending there rests for an hour and then goes on by itself; nobody has been excluded.\n"
            "\n"
            "To see whom it concerns, to telephone, or to try again at once:\n"
            "%(url)s\n"
        ),
        urgent=True,
    ),
    "forgetting": MessageKind(
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
        expires_after=14 * DAY,
    ),
}


def has_secrets(kind: str) -> bool:
    """Say whether the text of this kind of letter must not be shown to others (the outbox)."""
    return kind in KINDS and bool(KINDS[kind].secret)


def kinds_with_secrets() -> list[str]:
    return [kind for kind in KINDS if has_secrets(kind)]
