"""What to tell a parent whose phone refuses our mail: the way through each carrier's settings (field.md 3.4)."""

from dataclasses import dataclass

from i18n import N_
from mail import address as addresses


@dataclass(frozen=True, slots=True)
class Guidance:
    """Steps to read out or print; `carrier` is '' for an unknown one. `%(domain)s` in a step is our mail domain.

    These are the shipped ones; what pages show is asked of `core.signup.carrier_help`, where the school's own words win.
    """

    carrier: str
    steps: tuple[str, ...]
    key: str = ""


_ALLOW = N_("Add “%(domain)s” to the list of accepted senders.")
_LINKS = N_("If there is a setting that refuses mail with links, set it to “receive”.")
_CONTACT = N_("Add an address of “%(domain)s” to the contacts.")
_NOT_SPAM = N_("Look in the spam folder. If our mail is there, mark it as “not spam”.")

DOCOMO = Guidance(
    N_("docomo"),
    (N_("Open My docomo → mail settings → list of accepted and refused senders."), _ALLOW, _LINKS),
    "docomo",
)
AU = Guidance(N_("au / UQ mobile"), (N_("Open the spam filter settings → accept list (always receive)."), _ALLOW), "au")
SOFTBANK = Guidance(
    N_("SoftBank"),
    (N_("Open My SoftBank → mail settings → protection against spam → accept list."), _ALLOW, _LINKS),
    "softbank",
)
YMOBILE = Guidance(
    N_("Y!mobile"), (N_("Open My Y!mobile → spam filter → accepted and refused senders."), _ALLOW, _LINKS), "ymobile"
)
RAKUTEN = Guidance(N_("Rakuten Mobile"), (N_("Open Rakuten Mail → settings → spam → accept list."), _ALLOW), "rakuten")
GMAIL = Guidance(N_("Gmail"), (_NOT_SPAM, _CONTACT), "gmail")
ICLOUD = Guidance(N_("iCloud"), (_NOT_SPAM, _CONTACT), "icloud")
OTHER_PROVIDER = Guidance("", (_NOT_SPAM, N_("Open the spam settings of the mail service."), _ALLOW), "others")

CARRIERS = (DOCOMO, AU, SOFTBANK, YMOBILE, RAKUTEN, GMAIL, ICLOUD)
"""Those that the page for joining and the hand-out name, in the order of their customers."""

_BY_DOMAIN = {
    "docomo.ne.jp": DOCOMO,
    "ezweb.ne.jp": AU,
    "au.com": AU,
    "uqmobile.jp": AU,
    "softbank.ne.jp": SOFTBANK,
    "i.softbank.jp": SOFTBANK,
    "vodafone.ne.jp": SOFTBANK,
    "ymobile.ne.jp": YMOBILE,
    "ymobile1.ne.jp": YMOBILE,
    "yahoo.ne.jp": YMOBILE,
    "rakumail.jp": RAKUTEN,
    "gmail.com": GMAIL,
    "googlemail.com": GMAIL,
    "icloud.com": ICLOUD,
    "me.com": ICLOUD,
    "mac.com": ICLOUD,
}


def shipped_guidance_for(address: str) -> Guidance:
    """Return the shipped guidance for the carrier or service of an address."""
    found = (_BY_DOMAIN.get(one) for one in parent_domains(address))
    return next((one for one in found if one is not None), OTHER_PROVIDER)


def parent_domains(address: str) -> list[str]:
    """Return the domain of an address and those above it, the longest first."""
    parts = addresses.domain_of(address).split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


# What the state of an address means, in words for organizers (field.md 4.4 no. 18).
ADDRESS_STATE_WORDS: dict[str, str] = {
    "fine": N_("Letters go to this address."),
    "none": N_("No e-mail address. Please tell this family by telephone."),
    "refusing": N_("Probably refused by the phone’s mail filter. Still registered."),
    "bounced": N_("This address does not exist (any more), so nothing is sent there. Please ask for the new one."),
    "complained": N_("Our mail was reported as spam, so nothing is sent there until this person joins again."),
}
