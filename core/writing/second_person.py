"""Whether a second person looks at a notice before it goes, and who may (field 5.4; decision 11: never if urgent)."""

import hashlib
import json

from peewee import fn

from core.rights import Rights, rights_of, target_lists
from core.writing.audience import Audience
from models import Attachment, Choice, MailingList, Membership, Notice, Organization, Question, Target, User, Wording


def needed(notice: Notice, by: User | None) -> bool:
    """Say whether somebody else must approve this notice.

    Only what is written on the pages, never what is urgent (law 7) or practice; nobody is waited for who is not there.
    """
    if by is None or notice.urgent or notice.route != "web" or not is_asked_for(notice):
        return False
    return bool(colleagues(notice, by))


def is_asked_for(notice: Notice) -> bool:
    """Say whether the organization or one of the lists wants a second person."""
    lists = target_lists(notice)
    if notice.kind == "individual" or lists and all(one.practice_of_id for one in lists):
        return False
    return Organization.the().second_person or any(one.second_person for one in lists)


def colleagues(notice: Notice, by: User) -> list[User]:
    """Return who may approve: everybody else who may send to all of its lists, and to those of the people in it.

    Who approves sees the letters as they go out, and so the children of everybody who was chosen by name.
    """
    seen = _people_by_name(notice, rights_of(by))
    others = User.select().where(User.id != by.id, User.disabled_at.is_null()).order_by(User.name)
    return [one for one in others if _may_see_all(rights_of(one), notice, seen)]


def _may_see_all(rights: Rights, notice: Notice, seen: set[tuple[int, int]]) -> bool:
    return rights.may_steer_all("send", notice) and seen <= _people_by_name(notice, rights)


def _people_by_name(notice: Notice, rights: Rights) -> set[tuple[int, int]]:
    """Return (person, child or 0) of those who were chosen by name, as far as the lists of a user show them."""
    named = Target.select(Target.number).where(Target.notice == notice, Target.kind == "person", Target.include == True)
    lists = rights.lists("send").where(MailingList.practice_of.is_null()).select(MailingList.id).order_by()
    rows = Membership.select(Membership.person, fn.COALESCE(Membership.child, 0)).where(
        Membership.person.in_(named), Membership.list.in_(lists), Membership.belongs
    )
    return set(rows.tuples())


def mark(notice: Notice, audience: Audience) -> str:
    """Return a short mark of everything that goes out: words, questions, options, files, audience."""
    parts = {
        "words": list(Wording.select().where(Wording.notice == notice).order_by(Wording.id).tuples()),
        "questions": list(Question.select().where(Question.notice == notice).order_by(Question.id).tuples()),
        "choices": list(Choice.select().join(Question).where(Question.notice == notice).order_by(Choice.id).tuples()),
        "files": list(
            Attachment.select(Attachment.id, Attachment.name, Attachment.digest)
            .where(Attachment.notice == notice).order_by(Attachment.id).tuples()
        ),
        "options": [notice.read_confirmation, notice.footer, notice.replies_to_id, notice.files_inside],
        "audience": audience.fingerprint,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, default=str).encode()).hexdigest()[:32]
