"""One letter for each reader, or one for each child where the letter differs by child (design.md, Nouns; D-01).

A notice whose letters differ by child: each condition is one function in `_WHY`. Everything else (recipients, rows,
subjects, cells of the board) follows from `differs_by_child` alone.
"""

from collections.abc import Callable

import i18n
from core.display_names import given_name
from core.notices import merge_fields
from i18n import N_
from models import Notice, Question


def differs_by_child(notice: Notice) -> bool:
    """Say whether a reader with two children gets two letters of this notice."""
    return any(asks(notice) for asks in _CONDITIONS)


def _is_signed_by_class_teacher(notice: Notice) -> bool:
    """Brothers and sisters have different class teachers, in whose names the letters go (D-15)."""
    return notice.in_charge


def _has_question_per_child(notice: Notice) -> bool:
    return Question.select().where(Question.notice == notice, Question.unit == "child").exists()


def _has_child_merge_field(notice: Notice) -> bool:
    """Say whether subject or text hold a field of the child, or of a place in a list, which a child has."""
    names = merge_fields.names_in_notice(notice)
    free = (
        merge_fields.custom_field_names(merge_fields.lists_of_notice(notice))
        if any(merge_fields.field_by_name(name) is None for name in names)
        else ()
    )
    return any(merge_fields.varies_by_child(name, free) for name in names)


_CONDITIONS: tuple[Callable[[Notice], bool], ...] = (
    _is_signed_by_class_teacher,
    _has_question_per_child,
    _has_child_merge_field,
)


def sibling_note(language: str, name: str, room: str) -> str:
    """Return the sentence above a letter that has sisters: whose it is, and that the others come by themselves."""
    if room:
        return i18n.say(language, _WITH_ROOM, name=name, room=room)
    return i18n.say(language, _WITHOUT_ROOM, name=name)


_WITH_ROOM = N_("This letter is about %(name)s (%(room)s). Brothers and sisters have a letter of their own.")
_WITHOUT_ROOM = N_("This letter is about %(name)s. Brothers and sisters have a letter of their own.")


def subject_with_child(language: str, subject: str, name: str) -> str:
    """Return a subject that ends with the given name of the child whom the letter is about."""
    return i18n.say(language, N_("%(subject)s (%(child)s)"), subject=subject, child=given_name(name))
