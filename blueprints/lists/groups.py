"""Groups of a list, defined by a condition or by hand (E-15, D-10, D-12)."""

from dataclasses import dataclass
from typing import Any

from flask import Response, abort, request
from flask_login import current_user

import clock
from blueprints.lists import bp
from core.errors import DomainError
from core.members import groups, segment_rules
from core.members.segment_rules import InvalidRule, RuleBlocks, SegmentRule
from core.notices import drafts
from i18n import N_
from models import Group, MailingList
from web import (
    _,
    flash_message,
    get_list_or_404,
    get_notice_or_404,
    get_or_404,
    language,
    parse_row_id,
    redirect_to,
    render_page,
)

Answer = Response | tuple[str, int]
PREVIEW_SIZE = 12
_PREVIEW = "lists/_group_preview.html"


@bp.get("/<int:number>/groups", endpoint="groups")
def list_groups(number: int) -> Answer:
    """Show each group with its condition in words and its number of recipients."""
    mailing_list = get_list_or_404(number, "send")
    rows = groups.groups_in_lists([number])
    return render_page(
        "lists/groups.html",
        list=mailing_list,
        groups=[(row, _describe_condition(row), groups.preview_group(groups.membership_ids(row), 0)) for row in rows],
        notice=_requested_draft(),
    )


def _describe_condition(group: Group) -> str:
    if not group.condition:
        return _("Chosen by hand")
    return segment_rules.describe_blocks(language(), segment_rules.blocks_from_json(group.condition))


def _requested_draft() -> Any:
    """Return the draft for which recipients are being chosen, if the request names one."""
    number = request.values.get("notice", 0, type=parse_row_id)
    return get_notice_or_404(number, "send") if number else None


# ── by a condition ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PostedCondition:
    """Posted name, and (connective, rule) of each line."""

    name: str
    lines: list[tuple[str, SegmentRule]]

    @property
    def blocks(self) -> RuleBlocks:
        """Return the condition. Raises InvalidRule."""
        return segment_rules.parse_blocks(self.lines)


def _read_condition() -> PostedCondition:
    lines = []
    for place in range(segment_rules.MAX_RULES + 1):
        field = request.form.get(f"field-{place}", "")
        if field:
            rule = SegmentRule(
                field, request.form.get(f"op-{place}", ""), request.form.get(f"value-{place}", "").strip()
            )
            lines.append((request.form.get(f"word-{place}", "and"), rule))
    return PostedCondition(request.form.get("name", ""), lines)


def _rule_lines(group: Group) -> list[tuple[str, SegmentRule]]:
    """Return the rules of a group with their connectives."""
    return [
        ("or" if block_place and not place else "and", rule)
        for block_place, block in enumerate(segment_rules.blocks_from_json(group.condition))
        for place, rule in enumerate(block)
    ]


@bp.get("/<int:number>/groups/new")
def add_group(number: int) -> Answer:
    return _condition_page(get_list_or_404(number, "send"), None, PostedCondition("", []))


@bp.get("/<int:number>/groups/<int:group>")
def edit_group(number: int, group: int) -> Answer:
    """Show one group; 404 for a group of another list."""
    mailing_list = get_list_or_404(number, "send")
    row = _group_or_404(mailing_list, group)
    return _group_page(mailing_list, row, PostedCondition(row.name, _rule_lines(row)))


@bp.post("/<int:number>/groups/new/preview", defaults={"group": None})
@bp.post("/<int:number>/groups/<int:group>/preview")
def preview_group(number: int, group: int | None) -> Answer:
    """Show the matching members without saving."""
    mailing_list = get_list_or_404(number, "send")
    row, typed = _group_or_none(mailing_list, group), _read_condition()
    try:
        typed.blocks  # noqa: B018 (raises if a rule is wrong)
    except InvalidRule as wrong:
        return _invalid_page(mailing_list, row, typed, wrong=wrong, partial=_PREVIEW)
    return _condition_page(mailing_list, row, typed, partial=_PREVIEW)


@bp.post("/<int:number>/groups/new/rule", defaults={"group": None})
@bp.post("/<int:number>/groups/<int:group>/rule")
def add_rule(number: int, group: int | None) -> Answer:
    """Render one more empty rule without saving."""
    mailing_list = get_list_or_404(number, "send")
    return _condition_page(mailing_list, _group_or_none(mailing_list, group), _read_condition(), looked_at=False)


@bp.post("/<int:number>/groups/new", defaults={"group": None})
@bp.post("/<int:number>/groups/<int:group>")
def save_group(number: int, group: int | None) -> Answer:
    mailing_list = get_list_or_404(number, "send")
    row, typed = _group_or_none(mailing_list, group), _read_condition()
    try:
        return _save(mailing_list, row, typed)
    except InvalidRule as wrong:
        return _invalid_page(mailing_list, row, typed, wrong=wrong)
    except DomainError as refused:
        return _invalid_page(mailing_list, row, typed, name_wrong=_(refused.message))


def _group_or_none(mailing_list: MailingList, number: int | None) -> Group | None:
    return None if number is None else _group_or_404(mailing_list, number)


def _group_or_404(mailing_list: MailingList, number: int) -> Group:
    return get_or_404(Group, id=number, list=mailing_list, closed_at=None)


def _group_page(mailing_list: MailingList, group: Group, typed: PostedCondition, **more: Any) -> Answer:
    if group.condition:
        return _condition_page(mailing_list, group, typed, **more)
    looked = groups.preview_group(groups.membership_ids(group), 500)
    return render_page(
        "lists/group_by_hand.html",
        list=mailing_list,
        group=group,
        matches=looked,
        typed=typed,
        notice=_requested_draft(),
        **more,
    )


def _invalid_page(mailing_list: MailingList, group: Group | None, typed: PostedCondition, **wrong: Any) -> Answer:
    if group and not group.condition:
        wrong.pop("partial", None)
        return _group_page(mailing_list, group, typed, status=422, **wrong)
    return _condition_page(mailing_list, group, typed, status=422, **wrong)


def _save(mailing_list: MailingList, group: Group | None, typed: PostedCondition) -> Answer:
    notice = _requested_draft()  # 404 before anything is written
    if group and not group.condition:
        groups.change_group(group, typed.name, current_user)
    elif group:
        groups.change_group(group, typed.name, current_user, typed.blocks)
    else:
        group = groups.add_group(mailing_list, typed.name, current_user, clock.now(), typed.blocks)
        if notice:
            return _add_to_recipients(notice, group)
    flash_message(N_("“%(name)s” is saved."), name=typed.name.strip())
    return redirect_to("lists.groups", number=mailing_list.id, **_notice_parameter())


def _add_to_recipients(notice: Any, group: Group) -> Answer:
    """Add a new group to the recipients of the draft, and return to the draft."""
    try:
        drafts.add_group(notice, group, clock.now())
        flash_message(N_("“%(name)s” is saved and among the recipients."), name=group.name)
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("notices.edit_recipients", number=notice.id, _anchor="groups")


def _notice_parameter() -> dict[str, int]:
    number = request.values.get("notice", 0, type=parse_row_id)
    return {"notice": number} if number else {}


def _condition_page(
    mailing_list: MailingList,
    group: Group | None,
    typed: PostedCondition,
    *,
    status: int = 200,
    wrong: InvalidRule | None = None,
    name_wrong: str = "",
    looked_at: bool = True,
    partial: str | None = None,
) -> Answer:
    """Render the form with one extra empty line, and the matching members."""
    condition = typed.blocks if typed.lines and wrong is None and looked_at else ()
    return render_page(
        "lists/group.html",
        partial,
        list=mailing_list,
        group=group,
        typed=typed,
        lines=[*typed.lines, ("and", SegmentRule("", "is"))][: segment_rules.MAX_RULES],
        fields=groups.rule_fields(mailing_list.id),
        field_name=lambda field: segment_rules.field_label(language(), field),
        operators=segment_rules.OPERATORS,
        values=groups.suggest_values(mailing_list.id),
        matches=groups.preview_group(groups.matching_membership_ids(mailing_list.id, condition), PREVIEW_SIZE)
        if condition
        else None,
        in_words=segment_rules.describe_blocks(language(), condition) if condition else "",
        wrong=wrong,
        name_wrong=name_wrong,
        notice=_requested_draft(),
        status=status,
    )


# ── chosen by hand ─────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/<int:number>/groups/<int:group>/fix")
def freeze_group(number: int, group: int) -> Answer:
    """Replace the condition by its current members."""
    row = _group_or_404(get_list_or_404(number, "send"), group)
    groups.freeze_members(row, current_user)
    flash_message(N_("The members are fixed now. Who joins later is not among them."))
    return redirect_to("lists.edit_group", number=number, group=group, **_notice_parameter())


@bp.post("/<int:number>/groups/put")
def add_to_group(number: int) -> Answer:
    """Add the ticked members to a group, or to a new one if a name was typed."""
    mailing_list = get_list_or_404(number, "send")
    chosen, name = request.form.getlist("m", type=parse_row_id), request.form.get("name", "").strip()
    known = request.form.get("group", 0, type=parse_row_id)
    try:
        new = bool(name) or not known
        into = (
            groups.add_group(mailing_list, name, current_user, clock.now())
            if new
            else _group_or_404(mailing_list, known)
        )
    except DomainError as refused:
        flash_message(refused.message, "wrong")
        return redirect_to("lists.show", number=number)
    if into.condition:
        abort(404)
    flash_message(
        N_("%(n)s people were put into “%(name)s”."),
        n=groups.add_group_members(into, chosen, current_user),
        name=into.name,
    )
    return redirect_to("lists.edit_group", number=number, group=into.id)


@bp.post("/<int:number>/groups/<int:group>/out")
def remove_from_group(number: int, group: int) -> Answer:
    """Remove one person from a group. The membership in the list stays."""
    row = _group_or_404(get_list_or_404(number, "send"), group)
    groups.remove_group_members(row, request.form.getlist("m", type=parse_row_id), current_user)
    return redirect_to("lists.edit_group", number=number, group=group)


@bp.post("/<int:number>/groups/<int:group>/close")
def close_group(number: int, group: int) -> Answer:
    """Remove a group. Its members stay in the list."""
    row = _group_or_404(get_list_or_404(number, "send"), group)
    try:
        groups.close_group(row, current_user, clock.now())
    except DomainError as refused:
        flash_message(refused.message, "wrong")
        return redirect_to("lists.edit_group", number=number, group=group)
    flash_message(N_("The group “%(name)s” is removed. Its members stay in the list."), name=row.name)
    return redirect_to("lists.groups", number=number, **_notice_parameter())
