"""Whether a second person looks at a notice before it goes, and who may (field 5.4; decision 11: never if urgent)."""

import hashlib
import json

from core.notices.audience import Audience, as_sent_by
from core.permissions import Permissions, permissions_of, target_lists
from models import Attachment, Choice, Notice, Organization, Question, User, Wording


def must_be_approved(notice: Notice, by: User | None) -> bool:
    """Say whether somebody else must approve this notice.

    Only what is written on the pages, never what is urgent (law 7) or practice; nobody is waited for who is not there.
    """
    if by is None or notice.urgent or notice.route != "web" or not is_enabled_for(notice):
        return False
    return bool(eligible_approvers(notice, by))


def is_enabled_for(notice: Notice) -> bool:
    """Say whether the organization or one of the lists wants a second person."""
    lists = target_lists(notice)
    if notice.kind == "individual" or lists and all(one.practice_of_id for one in lists):
        return False
    return Organization.load_row().requires_approval or any(one.requires_approval for one in lists)


def eligible_approvers(notice: Notice, by: User) -> list[User]:
    """Return who may approve: everybody else who may send to all of its lists, and to those of the people in it.

    Who approves sees the letters as they go out, and so the children of everybody who was chosen by name.
    """
    as_sent = as_sent_by(notice, by)
    others = User.select().where(User.id != by.id, User.disabled_at.is_null()).order_by(User.name)
    return [one for one in others if may_approve(permissions_of(one), as_sent)]


def may_approve(rights: Permissions, notice: Notice) -> bool:
    """Say whether a user may let a colleague's notice go: write to all of its lists, and see everybody in it."""
    return rights.may_in_all_lists("send", notice) and rights.may_see_named_recipients(notice)


def content_fingerprint(notice: Notice, audience: Audience) -> str:
    """Return a short mark of everything that goes out: words, questions, options, files, audience."""
    parts = {
        "words": list(Wording.select().where(Wording.notice == notice).order_by(Wording.id).tuples()),
        "questions": list(Question.select().where(Question.notice == notice).order_by(Question.id).tuples()),
        "choices": list(Choice.select().join(Question).where(Question.notice == notice).order_by(Choice.id).tuples()),
        "files": list(
            Attachment.select(Attachment.id, Attachment.name, Attachment.digest)
            .where(Attachment.notice == notice)
            .order_by(Attachment.id)
            .tuples()
        ),
        "options": [notice.read_confirmation, notice.footer, notice.reply_to_user_id, notice.files_inside],
        "audience": audience.fingerprint,
    }
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, default=str).encode()).hexdigest()[:32]
