"""Register one person by hand, with the rules of a roster import."""

from collections.abc import Mapping
from datetime import datetime

from peewee import IntegrityError

from core import audit
from core.errors import DomainError
from core.imports import apply
from core.imports.columns import normalise_row
from core.imports.plan import already_member_message, plan_rows
from core.imports.plan_model import SECOND, LineChoices, PlanLine
from i18n import N_
from models import MailingList, Membership, Person, User


class AlreadyMember(DomainError):
    """The person is in the list already."""

    def __init__(self, message: str, person: Person) -> None:
        super().__init__(message, "address")
        self.person = person


def add_member(
    mailing_list: MailingList,
    *,
    by: User | None,
    now: datetime,
    attributes: Mapping[str, str] | None = None,
    **values: str,
) -> Membership:
    """Register one person in a list; without an address: a family reached by telephone.

    `values`: name, kana, address, phone, language, relation, child_name, child_kana, grade, class_name. Raises DomainError
    with the field, AlreadyMember if nothing would be added.
    """
    filled = {key: text.strip() for key, text in values.items() if text and text.strip()}
    row = normalise_row(1, filled, dict(attributes or {}))
    for last in (False, True):
        plan = plan_rows(mailing_list, [row], now, route="manager", by=by, choices=LineChoices(unasked=SECOND))
        line = plan.lines[0]
        _require_new(line)
        try:
            apply.apply_plan(plan)
        except IntegrityError:  # another process registered this address meanwhile: plan again, once
            if last:
                raise
            continue
        break
    assert line.membership  # noqa: S101
    membership: Membership = line.membership.row
    audit.log_action(by, "member.added", membership.person_id, detail={"list": mailing_list.id})
    return membership


def _require_new(line: PlanLine) -> None:
    note = line.notes[0] if line.notes else None
    if line.outcome == "wrong" and note:
        field = "name" if note.message == N_("There is neither an e-mail address nor a name.") else "address"
        raise DomainError(note.message, field, **note.values)
    if line.outcome in ("already", "changed") and line.person and line.membership:
        raise AlreadyMember(already_member_message(line.membership.row, line), line.person.row)
