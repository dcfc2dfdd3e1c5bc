"""Plan an import line by line, without writing.

A person is found by address; a family without one by name and child. One address on two lines with two children is
one person with two memberships. One child with two guardians is one child. An import never re-subscribes a reader who
stopped the mail.
"""

from dataclasses import dataclass, field
from datetime import datetime

from core.accounts import class_teacher
from core.imports import class_source, columns, limits, matching
from core.imports.columns import RosterRow, Sheet, read_rows
from core.imports.matching import ChildMatcher, ExistingRows, LineRows, LineValidator, PersonMatcher, load_existing_rows
from core.imports.plan_model import ImportPlan, LineChoices, LineNote, PlanLine, RowDraft
from core.permissions import permissions_of
from core.settings import load_settings
from i18n import N_
from models import AddressState, MailingList, Membership, MembershipState, User

_UNKNOWN_TEACHER = N_("No user of this list is called “%(name)s”, so no class teacher was set.")


def plan_sheet(
    mailing_list: MailingList,
    sheet: Sheet,
    mapping: tuple[str, ...],
    now: datetime,
    by: User | None = None,
    choices: LineChoices | None = None,
) -> ImportPlan:
    """Plan the import of a sheet. The number of queries does not depend on the number of lines."""
    rows = read_rows(sheet, mapping)
    given = class_source.give_class(rows, class_source.find_class(mailing_list, sheet)) if _gives(choices) else 0
    plan = plan_rows(mailing_list, rows, now, by=by, choices=choices)
    plan.classes_given = given
    return plan


def _gives(choices: LineChoices | None) -> bool:
    return choices is None or choices.give_class


def plan_rows(
    mailing_list: MailingList,
    rows: list[RosterRow],
    now: datetime,
    route: str = "file",
    by: User | None = None,
    choices: LineChoices | None = None,
) -> ImportPlan:
    """Plan the registration of some rows in a list.

    `by`: a user who is no administrator matches only people and children of the own lists. Such a user changes only
    people all of whose lists the user manages. None: the terminal, without limits.
    """
    for place, row in enumerate(rows, 1):
        row.place = place
    plan = ImportPlan(mailing_list.id, now, by, [_line_of(row) for row in rows])
    rights = permissions_of(by) if by else None
    rights = None if rights and rights.is_admin else rights
    choices = choices or LineChoices()
    validator = LineValidator(load_settings().own_addresses, choices)
    valid = [(line, row) for line, row in zip(plan.lines, rows, strict=True) if validator.passes(line, row)]
    existing = load_existing_rows(mailing_list, [row for _, row in valid], validator.keys.values(), rights)
    people = PersonMatcher(existing, validator.keys, choices)
    people.find(valid)
    ChildMatcher(existing).find(valid)
    families = [(line.person or RowDraft(), line.child, row.household) for line, row in valid]
    families += [(second, first, "") for second, first in people.relatives()]
    plan.merges = matching.assign_household_keys(families)
    for line, _ in valid:
        _note_households(line)
    if rights:
        limits.apply_limits(plan, rights)
    _MembershipPlanner(existing, mailing_list, now, route).find(valid)
    return plan


def _line_of(row: RosterRow) -> PlanLine:
    """Return a line of the plan with what was read."""
    read = (row.grade, row.class_name, row.address, row.phone)
    return PlanLine(row.number, row.name, row.child_name, row.place, *read)


def _note_households(line: PlanLine) -> None:
    for draft in (line.person, line.child):
        if draft is not None and draft.row is not None and draft.row.household:
            line.changed("household" in draft.fields, N_("household"))


@dataclass(slots=True)
class _MembershipPlanner:
    """Find or draft the membership of each line, and set the outcome."""

    known: ExistingRows
    mailing_list: MailingList
    now: datetime
    route: str
    drafts: dict[tuple[int, int], RowDraft] = field(default_factory=dict)  # by ids of the drafts of person and child
    first: dict[int, RowDraft] = field(default_factory=dict)  # by id of the draft of the person
    used: set[int] = field(default_factory=set)  # ids of memberships that a line already means

    def find(self, lines: LineRows) -> None:
        for line, row in lines:
            earlier = self._earlier(line)
            if earlier is not None:
                line.outcome, line.membership = "already", earlier
                line.notes = [LineNote(N_("The same as line %(line)s."), {"line": earlier.line}, quiet=True)]
                continue
            membership = self._existing(line, row)
            line.membership = self.drafts[_draft_pair(line)] = RowDraft(membership, line=line.number, place=line.place)
            self.first.setdefault(id(line.person), line.membership)
            self.used |= {membership.id} if membership else set()
            if membership is None:
                self._join(line, row, line.membership)
            elif not membership.is_member:
                self._rejoin(line, row, line.membership)
            else:
                self._stay(line, row, line.membership)
            if line.changes:
                line.notes.insert(0, LineNote(N_("Changes: %(what)s."), {"what": tuple(line.changes)}, quiet=True))

    def _earlier(self, line: PlanLine) -> RowDraft | None:
        """Return the membership of an earlier line that says the same; a line without a child adds nothing to one."""
        if line.child is not None:
            return self.drafts.get(_draft_pair(line))
        return self.first.get(id(line.person))

    def _existing(self, line: PlanLine, row: RosterRow) -> Membership | None:
        """Return the membership that the line means; one without a child takes the child of the line."""
        memberships = self._here(line)
        child = line.child.row if line.child else None
        if line.child is None:
            memberships = sorted(
                memberships, key=lambda membership: (not membership.is_member, membership.child_id is not None)
            )
            return memberships[0] if memberships else None
        for membership in memberships:
            if child is not None and membership.child_id == child.id:
                return membership
        childless = (
            membership
            for membership in memberships
            if membership.child_id is None and not membership.relation and membership.is_member
        )
        return next((membership for membership in childless if membership.id not in self.used), None)

    def _here(self, line: PlanLine) -> list[Membership]:
        person = line.person.row if line.person else None
        return self.known.memberships.get(person.id, []) if person is not None else []

    def _join(self, line: PlanLine, row: RosterRow, draft: RowDraft) -> None:
        state, stopped_by = self._state(line, row)
        line.outcome = "added"
        draft.fields = {
            "relation": row.relation,
            "attributes": dict(row.attributes),
            "state": state,
            "stopped_by": stopped_by,
            "stopped_at": self.now if state == MembershipState.STOPPED else None,
            "joined_at": self.now,
            "joined_via": self.route,
            "class_teacher": self._teacher(line, row) or self.known.teacher_by_class.get((row.grade, row.class_name)),
        }

    def _teacher(self, line: PlanLine, row: RosterRow) -> int | None:
        """Return the class teacher named on the line; an unknown name becomes a note."""
        if not row.class_teacher:
            return None
        teacher = self.known.teachers.get(class_teacher.teacher_name_key(row.class_teacher))
        if teacher is None:
            line.notes.append(LineNote(_UNKNOWN_TEACHER, {"name": row.class_teacher}))
        return teacher.id if teacher else None

    def _rejoin(self, line: PlanLine, row: RosterRow, draft: RowDraft) -> None:
        """Join again on the row of the ended membership."""
        self._join(line, row, draft)
        draft.fields["left_at"] = None
        line.notes.append(LineNote(N_("Was a member before."), quiet=True))

    def _state(self, line: PlanLine, row: RosterRow) -> tuple[str, str]:
        """Return (state, stopped_by) of the file; a list that this reader stopped stays stopped."""
        state = columns.parse_state(row.state)
        if any(
            membership.state == MembershipState.STOPPED and membership.stopped_by == "reader"
            for membership in self._here(line)
        ):
            line.notes.append(LineNote(N_("This person has stopped the mail of this list, so it stays stopped.")))
            return MembershipState.STOPPED, "reader"
        if state in ("stopped", "stopped by manager"):
            return MembershipState.STOPPED, "manager" if state == "stopped by manager" else "reader"
        return (MembershipState.PENDING if state in ("pending", "unconfirmed") else MembershipState.ACTIVE), ""

    def _stay(self, line: PlanLine, row: RosterRow, draft: RowDraft) -> None:
        """Update an existing membership. An import never re-subscribes a reader who stopped the mail."""
        membership: Membership = draft.row
        if line.child is not None and membership.child_id is None:
            draft.fields["child"] = True
            line.changed(True, N_("child"))
        if row.relation:
            line.changed(draft.change("relation", row.relation), N_("relation"))
        teacher = self._teacher(line, row)
        if teacher and membership.class_teacher_id != teacher:
            draft.fields["class_teacher"] = teacher
            line.changed(True, N_("class teacher"))
        line.changed(draft.change("attributes", {**membership.attributes, **row.attributes}), N_("items"))
        state = columns.parse_state(row.state)
        if state in ("stopped", "stopped by manager") and membership.state == MembershipState.ACTIVE:
            draft.fields |= {
                "state": MembershipState.STOPPED,
                "stopped_by": "manager" if state == "stopped by manager" else "reader",
                "stopped_at": self.now,
            }
            line.changed(True, N_("stopped"))
        line.outcome = "changed" if line.changes else "already"
        if not line.changes:
            line.notes.insert(0, LineNote(already_member_message(membership, line), quiet=True))


def _draft_pair(line: PlanLine) -> tuple[int, int]:
    return id(line.person), id(line.child) if line.child is not None else 0


def already_member_message(membership: Membership, line: PlanLine) -> str:
    """Return the message for an existing member, with the state that explains missing letters."""
    if membership.state == MembershipState.STOPPED:
        return N_("Already registered (stopped).")
    if membership.state in (MembershipState.PENDING, MembershipState.UNCONFIRMED):
        return N_("Already registered (waiting for approval).")
    if (
        line.person is not None
        and line.person.row is not None
        and line.person.row.address_state == AddressState.BOUNCED
    ):
        return N_("Already registered (address dead).")
    return N_("Already registered.")
