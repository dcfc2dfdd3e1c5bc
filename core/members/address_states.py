"""The words of the pages and letters for the delivery state of an address (field.md 4.4 no. 18)."""

from i18n import N_

LABELS: dict[str, str] = {
    "bounced": N_("Stopped: address dead"),
    "refusing": N_("Perhaps refused by a filter"),
    "complained": N_("Reported as spam"),
    "stopped": N_("Mail stopped"),
}
"""For tags and lists of reasons."""

CLAUSES: dict[str, str] = {
    "bounced": N_("the address does not exist (any more)"),
    "refusing": N_("a filter of the phone refuses our mail"),
    "complained": N_("our mail was reported as spam"),
}
"""For a list of reasons inside a letter."""

SENTENCES: dict[str, str] = {
    "fine": N_("Letters go to this address."),
    "none": N_("No e-mail address. Please tell this family by telephone."),
    "refusing": N_("Probably refused by the phone’s mail filter. Still registered."),
    "bounced": N_("This address does not exist (any more), so nothing is sent there. Please ask for the new one."),
    "complained": N_("Our mail was reported as spam, so nothing is sent there until this person joins again."),
}
"""With what the organizer should do."""
