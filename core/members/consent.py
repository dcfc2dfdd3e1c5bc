"""The consent record of a membership: who agreed, when, how, and to which text (field.md 3.1).

`Membership.consent` holds: `terms` (id of the text), `message` (Message-ID of the mail) or `network` (of the page,
/24 or /48), `proof` (what proved the address), `code` (list or child), `asked` and `confirmed` (moments, ms),
`from_list` (the list from which it was moved or copied).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import i18n
from core.settings import load_settings
from database import EPOCH
from i18n import N_
from models import ConsentText, MailingList, Membership

ROUTE_LABELS: dict[str, str] = {
    "manager": N_("entered by an organizer"),
    "file": N_("from a roster file"),
    "blank mail": N_("by a blank mail"),
    "link": N_("on the page for joining"),
    "move": N_("moved from another list"),
    "copy": N_("copied from another list"),
}
PROOF_LABELS: dict[str, str] = {
    "dkim": N_("the mail was signed by its provider (DKIM)"),
    "dmarc": N_("the mail server found it genuine (DMARC)"),
    "spf": N_("it came from a server of its provider (SPF)"),
    "letter": N_("a link in a letter to the address was pressed"),
    "code": N_("the mail went to an address with a valid code"),
}
CODE_LABELS: dict[str, str] = {"list": N_("code of the list"), "child": N_("code of the child’s slip")}


def render_consent_text(mailing_list: MailingList, language: str) -> str:
    """Return the text that a person agrees to by joining a list."""
    force = load_settings()
    lines = [
        i18n.say(
            language,
            N_("%(organization)s sends the notices of “%(list)s” to this address by e-mail."),
            organization=force.name or "Kairan",
            list=mailing_list.name,
        ),
        mailing_list.purpose
        or i18n.say(language, N_("The address and the names are used for notices of the school only.")),
        i18n.say(language, N_("Other families see nothing of it. Every letter has a link by which it can be stopped.")),
    ]
    return "\n".join(line for line in lines if line)


def current_consent_text(mailing_list: MailingList, now: datetime) -> ConsentText:
    """Return the row of the text in force; a changed text gets a new row."""
    said = render_consent_text(mailing_list, load_settings().language)
    last = ConsentText.select().where(ConsentText.list == mailing_list).order_by(ConsentText.id.desc()).first()
    return last if last and last.text == said else ConsentText.create(list=mailing_list, text=said, since=now)


def new_consent_record(mailing_list: MailingList, evidence: Mapping[str, object], now: datetime) -> dict[str, object]:
    return {"terms": current_consent_text(mailing_list, now).id, **evidence}


@dataclass(frozen=True, slots=True)
class ConsentView:
    """A consent record for a page or a file. Labels are source strings."""

    at: datetime
    route: str
    proof: str
    code: str
    source: str
    confirmed: datetime | None
    words: str
    since: datetime | None


def consent_view(place: Membership, known: Mapping[int, ConsentText]) -> ConsentView:
    """Return the record of one membership; `known`: texts by id (`consent_texts_by_id`)."""
    held = place.consent or {}
    agreed = known.get(int(held.get("terms", 0)))
    return ConsentView(
        at=place.joined_at,
        route=ROUTE_LABELS.get(place.joined_via, place.joined_via),
        proof=PROOF_LABELS.get(str(held.get("proof", "")), ""),
        code=CODE_LABELS.get(str(held.get("code", "")), ""),
        source=str(held.get("message") or held.get("network") or ""),
        confirmed=_parse_ms(held.get("confirmed")),
        words=agreed.text if agreed else "",
        since=agreed.since if agreed else None,
    )


def _parse_ms(held: object) -> datetime | None:
    return EPOCH + timedelta(milliseconds=held) if isinstance(held, int) else None


def consent_texts_by_id(places: list[Membership]) -> dict[int, ConsentText]:
    """Return the texts that some memberships agreed to, by id; one query."""
    numbers = {int(one.consent.get("terms", 0)) for one in places if one.consent}
    return {one.id: one for one in ConsentText.select().where(ConsentText.id.in_(numbers))}


def consent_as_line(place: Membership, known: Mapping[int, ConsentText], language: str) -> str:
    """Return a record in one line, for the roster file."""
    record_ = consent_view(place, known)
    parts = [
        i18n.format_datetime(language, record_.at),
        i18n.say(language, record_.route),
        i18n.say(language, record_.code) if record_.code else "",
        i18n.say(language, record_.proof) if record_.proof else "",
        record_.source,
        f"No. {place.consent['terms']}" if record_.words else "",
    ]
    return " / ".join(part for part in parts if part)
