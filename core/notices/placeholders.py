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
    wording = notice.wording
    parts: dict[str, Iterable[str]] = {
        "subject": [wording.subject],
        "text": [wording.text],
        "questions": [
            text for draft in questions.question_drafts(notice) for text in (draft.heading, draft.text, *draft.choices)
        ],
    }
    found = {part: find_placeholders(*texts) for part, texts in parts.items()}
    return {part: not_filled_in(places) for part, places in found.items() if places}


def not_filled_in(places: Iterable[str]) -> str:
    """Return the error that names placeholders."""
    return LazyMessage(NOT_FILLED_IN, places=" ".join(places))
