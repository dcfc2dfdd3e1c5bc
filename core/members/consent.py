"""The consent record of a membership: who agreed, when, how, and to which text (field.md 3.1).

Keys of `Membership.consent`: `terms` (id of the text), `message` (Message-ID of the mail) or `network` (of the page,
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
    "link": N_("on the signup page"),
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
    settings = load_settings()
    lines = [
        i18n.say(
            language,
            N_("%(organization)s sends the notices of “%(list)s” to this address by e-mail."),
            organization=settings.name or "Kairan",
            list=mailing_list.name,
        ),
        mailing_list.purpose
        or i18n.say(language, N_("The address and the names are used for notices of the school only.")),
        i18n.say(language, N_("Other families see nothing of it. Every letter has a link by which it can be stopped.")),
    ]
    return "\n".join(line for line in lines if line)


def current_consent_text(mailing_list: MailingList, now: datetime) -> ConsentText:
    """Return the row of the text in force; a changed text gets a new row."""
    text = render_consent_text(mailing_list, load_settings().language)
    last = ConsentText.select().where(ConsentText.list == mailing_list).order_by(ConsentText.id.desc()).first()
    return last if last and last.text == text else ConsentText.create(list=mailing_list, text=text, since=now)


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


def consent_view(membership: Membership, texts: Mapping[int, ConsentText]) -> ConsentView:
    """Return the record of one membership; `known`: texts by id (`consent_texts_by_id`)."""
    record = membership.consent or {}
    consent_text = texts.get(int(record.get("terms", 0)))
    return ConsentView(
        at=membership.joined_at,
        route=ROUTE_LABELS.get(membership.joined_via, membership.joined_via),
        proof=PROOF_LABELS.get(str(record.get("proof", "")), ""),
        code=CODE_LABELS.get(str(record.get("code", "")), ""),
        source=str(record.get("message") or record.get("network") or ""),
        confirmed=_parse_ms(record.get("confirmed")),
        words=consent_text.text if consent_text else "",
        since=consent_text.since if consent_text else None,
    )


def _parse_ms(value: object) -> datetime | None:
    return EPOCH + timedelta(milliseconds=value) if isinstance(value, int) else None


def consent_texts_by_id(memberships: list[Membership]) -> dict[int, ConsentText]:
    """Return the texts that some memberships agreed to, by id; one query."""
    numbers = {int(row.consent.get("terms", 0)) for row in memberships if row.consent}
    return {row.id: row for row in ConsentText.select().where(ConsentText.id.in_(numbers))}


def consent_as_line(membership: Membership, texts: Mapping[int, ConsentText], language: str) -> str:
    """Return a record in one line, for the roster file."""
    view = consent_view(membership, texts)
    parts = [
        i18n.format_datetime(language, view.at),
        i18n.say(language, view.route),
        i18n.say(language, view.code) if view.code else "",
        i18n.say(language, view.proof) if view.proof else "",
        view.source,
        f"No. {membership.consent['terms']}" if view.words else "",
    ]
    return " / ".join(part for part in parts if part)
