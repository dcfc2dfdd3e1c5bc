"""What one person was sent: notices with their outcome, and service e-mails."""

from dataclasses import dataclass
from datetime import datetime

from peewee import ModelSelect

from core.notices import merge_fields
from core.permissions import Permissions
from core.reports import notice_list
from models import Delivery, Letter, Notice, Person, Wording


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A notice and its letter to one person. `subject` is empty if the user may not see the notice."""

    at: datetime
    notice: Notice
    subject: str
    delivery: Delivery
    letter: Letter | None


def deliveries_to(person: Person) -> "ModelSelect[Delivery]":
    """Select the deliveries of a person, sent or not, newest first."""
    return Delivery.select(Delivery, Notice).join(Notice).where(Delivery.person == person).order_by(Delivery.id.desc())


def delivery_views(found: list[Delivery], rights: Permissions) -> list[DeliveryView]:
    """Return deliveries with the subjects that this user may see, in three queries."""
    newest = {
        one.delivery_id: one for one in Letter.select().where(Letter.delivery.in_(found), Letter.is_current == True)
    }
    notices = {one.notice_id for one in found}
    visible = _visible_notices(notices, rights)
    subjects: dict[int, str] = {}
    for wording in Wording.select().where(Wording.notice.in_(visible)).order_by(Wording.id.desc()):
        subjects[wording.notice_id] = wording.subject
    made = []
    for one in found:
        letter = newest.get(one.id)
        at = (letter.done_at or letter.made_at) if letter else (one.notice.started_at or one.notice.created_at)
        made.append(
            DeliveryView(
                at, one.notice, merge_fields.display_subject(one.notice, subjects.get(one.notice_id, "")), one, letter
            )
        )
    return made


def _visible_notices(notices: set[int], rights: Permissions) -> set[int]:
    """Return the notices of one page that somebody may see."""
    return {row.id for row in notice_list.visible_notices(rights).where(Notice.id.in_(notices)).select(Notice.id)}


def service_letters(person: Person, limit: int = 10) -> list[Letter]:
    """Return the latest letters of Kairan itself (tests, links) to a person, newest first."""
    return list(
        Letter.select()
        .where(Letter.person == person, Letter.delivery.is_null())
        .order_by(Letter.id.desc())
        .limit(limit)
    )
