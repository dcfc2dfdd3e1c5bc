"""Handle mail to the -join and -leave addresses of a list (T-26, T-36; decisions 2 and 5).

A proven leave mail stops the list at once; any other gets a link, sent to the member's own address. Mail from an unknown address gets no answer. The subject and text of a mail are never used.
"""

import re
from datetime import datetime

from core.inbound.message import InboundResult
from core.inbound.proof import Proof
from core.members import join_codes, unsubscribe
from core.members.members import people_at_address, person_by_address
from core.members.signed_links import leave_url
from core.settings import load_settings
from core.signup import emails, signup
from core.signup.quotas import SignupRequest
from mail import address as addresses
from models import Letter, MailingList

MAX_BLANK_MAIL_CHARS = 100
"""Characters in subject and text of a "blank" mail: phones add a signature."""


_SIGNATURE = re.compile(r"(?m)^[ \t]*(?:-- ?|[-_=*~─━═＝―—ー＊☆★◇◆■□●○♪+・.]{4,}.*)$")


def without_signature(text: str) -> str:
    """Return the words above the first line that separates a signature."""
    found = _SIGNATURE.search(text)
    return text[: found.start() if found else None].strip()


def _envelope_key(envelope: str) -> str:
    """Return the comparison key of the envelope sender as its author wrote it, its domain in ASCII."""
    original = addresses.original_sender(envelope)
    try:
        return addresses.comparison_key(addresses.parse_address(original))
    except addresses.BadAddress:
        return addresses.comparison_key(original or "@")


def handle_join_mail(
    mailing_list: MailingList,
    address: str,
    envelope: str,
    chars: int,
    proof: Proof,
    now: datetime,
    *,
    code: str = "",
    message_id: str = "",
) -> InboundResult:
    """Sign the sender up. Call inside the transaction that records the mail.

    envelope: the envelope sender. chars: how many the mail holds in subject and text. code: of the address.
    """
    try:
        clean = addresses.parse_address(address)
    except addresses.BadAddress:
        return InboundResult("join", "dropped", "address", mailing_list)
    if load_settings().own_addresses.owns(clean):
        return InboundResult("join", "dropped", "our own address", mailing_list)
    if proof.dmarc_failed:
        return InboundResult("join", "silent", "forged", mailing_list, keep_text=True)
    request = _request_from_mail(mailing_list, clean, code, proof, message_id)
    person = person_by_address(clean)
    if person and emails.has_membership(request, person):
        emails.send_already_member(mailing_list, person, now)
        return InboundResult("join", "done", "already", mailing_list, person)
    if not request.has_proof_or_code and (_envelope_key(envelope) != request.key or chars > MAX_BLANK_MAIL_CHARS):
        return InboundResult("join", "silent", "unproven", mailing_list, keep_text=True)
    outcome, reason, person = signup.join_within_quota(request, person, now)
    return InboundResult("join", outcome, reason, mailing_list, person)


def _request_from_mail(
    mailing_list: MailingList, clean: str, code: str, proof: Proof, message_id: str
) -> SignupRequest:
    valid = join_codes.resolve_code(mailing_list, code) if code else None
    evidence: dict[str, object] = {"message": message_id[:300]} if message_id else {}
    kind, child = (valid.kind, valid.child) if valid else ("", None)
    return SignupRequest(mailing_list, clean, "blank mail", kind, child, proof.method if proof else "", evidence)


def handle_leave_mail(
    mailing_list: MailingList, address: str, letter: Letter | None, proof: Proof, now: datetime
) -> InboundResult:
    """Stop the list for the sender, or ask to confirm. letter: the one whose Message-ID the mail names."""
    people = people_at_address(address)
    if not people and letter and letter.person:
        people, proof = [letter.person], Proof()  # another address of the reader, or of somebody who got a copy
    person = next((row for row in people if unsubscribe.subscription_state(row, mailing_list)), None)
    if person is None:
        return InboundResult("leave", "silent", "no member", mailing_list, keep_text=True)
    url = leave_url(person, mailing_list)
    if proof:
        unsubscribe.unsubscribe_and_notify(person, mailing_list, url, now)
        return InboundResult("leave", "done", proof.method, mailing_list, person)
    unsubscribe.send_link_daily("leave", person, mailing_list, url, now)
    return InboundResult("leave", "held", "asked to confirm", mailing_list, person)
