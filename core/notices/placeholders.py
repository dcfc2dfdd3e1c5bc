"""Placeholders 〔…〕 of a template. A notice that still holds one is not sent, by whichever way it was written (N-04)."""

import re
from collections.abc import Iterable

from core.notices import questions
from i18n import N_, LazyMessage
from models import Notice

PLACEHOLDER = re.compile(r"〔[^〔〕\n]*〕")
NOT_FILLED_IN = N_("Not filled in yet: %(places)s. Write the right words over them, or remove the brackets 〔 〕.")


def find_placeholders(*texts: str) -> list[str]:
    """Return the distinct placeholders of some texts, in order, with their brackets."""
    return list(dict.fromkeys(PLACEHOLDER.findall("\n".join(texts))))


def placeholder_errors(notice: Notice) -> dict[str, str]:
    """Return {field: error that names all placeholders of this field} for subject, text and questions of a notice."""
    found = {field: find_placeholders(*texts) for field, texts in _texts(notice).items()}
    return {field: not_filled_in(places) for field, places in found.items() if places}


def left_in(notice: Notice) -> list[str]:
    """Return the distinct placeholders of a notice."""
    return find_placeholders(*(text for texts in _texts(notice).values() for text in texts))


def _texts(notice: Notice) -> dict[str, list[str]]:
    wording, asked = notice.wording, questions.question_drafts(notice)
    return {
        "text": [wording.text],
        "subject": [wording.subject],
        "questions": [text for draft in asked for text in (draft.heading, draft.text, *draft.choices)],
    }


def not_filled_in(places: Iterable[str]) -> str:
    """Return the error that names placeholders."""
    return LazyMessage(NOT_FILLED_IN, places=" ".join(places))
