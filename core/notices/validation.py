"""What is still missing before a notice can go: recipients, words, values of merge fields (D-06, D-09, D-22, D-24)."""

from datetime import datetime

import clock
from core.notices import html_body, merge_fields, questions
from core.notices.audience import Audience
from core.settings import Settings, load_settings
from i18n import N_, LazyMessage
from mail import merge
from models import Notice, Target, User, Wording


def find_missing(
    notice: Notice, audience: Audience, by: User | None = None, begins: datetime | None = None
) -> dict[str, str]:
    """Return what is still missing, by field: recipients (D-06), words (D-09), merge fields (D-22), questions (T-49).

    by: who presses "send"; begins: when it is to go (None: now).
    """
    wording, missing = notice.wording, {}
    if not Target.select().where(Target.notice == notice, Target.include == True).exists():
        missing["targets"] = N_("Choose the recipients.")
    elif waiting := audience.waiting:
        missing["targets"] = LazyMessage(_AWAITS_ROSTER, lists=", ".join(waiting))
    elif not audience.receiving and not any(one.missing for one in audience.left_out):
        missing["targets"] = N_("Nobody of the chosen recipients can receive mail.")
    if not wording.subject.strip():
        missing["subject"] = N_("Write a subject.")
    if not wording.text.strip():
        missing["text"] = N_("Write the text.")
    elif wrong := html_body.html_error(notice, wording):
        missing["text"] = wrong
    if wrong := questions.questions_error(notice, begins or clock.now()):
        missing["questions"] = wrong
    return {**_field_empty_for_all(audience), **_merge_field_errors(notice, wording, by), **missing}


def _field_empty_for_all(audience: Audience) -> dict[str, str]:
    """Say which merge field keeps everybody from getting a letter."""
    empty = next((one.missing[0] for one in audience.left_out if one.missing), None)
    if audience.receiving or empty is None:
        return {}
    sentence = N_("“%(field)s” is empty for everybody who is chosen, so nobody would get a letter.")
    return {"text": LazyMessage(sentence, field=empty)}


def _merge_field_errors(notice: Notice, wording: Wording, by: User | None) -> dict[str, str]:
    """Return what stands against the merge fields of the words, by where it stands."""
    names = {part: merge.field_names(getattr(wording, part)) for part in ("subject", "text")}
    if not any(names.values()):
        return {}
    free, force = merge_fields.custom_field_names(merge_fields.lists_of_notice(notice)), load_settings()
    chosen = Target.select().where(Target.notice == notice, Target.include == True).exists()
    found = {part: _merge_field_error(held, free, force, by, chosen) for part, held in names.items()}
    return {part: sentence for part, sentence in found.items() if sentence}


def _merge_field_error(names: list[str], free: list[str], force: Settings, by: User | None, chosen: bool) -> str:
    """Say what is wrong with the first bad name; while no list is chosen nobody knows which items it has."""
    for name, likely in merge_fields.unknown_names(names, free) if chosen else ():
        if likely:
            return LazyMessage(
                N_("There is no merge field “%(name)s”. Did you mean “%(likely)s”?"), name=name, likely=likely
            )
        return LazyMessage(
            N_("There is no merge field “%(name)s”. Please choose one of those below the text."), name=name
        )
    if by is not None and not by.signature.strip() and merge_fields.uses_signature(names):
        return SIGNATURE_EMPTY
    if lacking := merge_fields.missing_organization_value(names, force):
        return LazyMessage(N_("“%(name)s” is not set for the school yet. An administrator can enter it."), name=lacking)
    return ""


_AWAITS_ROSTER = N_("%(lists)s: waits for the roster of the new year, so no notice can go there yet.")
_NO_FIELD = N_("There is no merge field “%(name)s”. Please choose one of those below the text.")
_DID_YOU_MEAN = N_("There is no merge field “%(name)s”. Did you mean “%(likely)s”?")
SIGNATURE_EMPTY = N_("Your signature is not entered yet, so the notice cannot be sent. Enter it under your name.")
