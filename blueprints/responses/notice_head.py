"""The head that all pages of one notice share: its figures in households, its tabs and the next action."""

from dataclasses import dataclass

import clock
from blueprints.responses import bp
from core.accounts import who_can
from core.delivery import outage
from core.household_reads import HouseholdCount
from core.notices import merge_fields, questions, reminders
from core.notices.recipients import heading_targets
from core.notices.workflow import STATE_LABELS
from core.permissions import target_lists
from core.reports import notice_list, summaries
from i18n import N_
from models import MailingList, Notice, NoticeState
from web import _, language, permissions

ENDED_STATES = (NoticeState.SENT, NoticeState.STOPPED)
CHILDREN_IN_ALL = N_("%(n)s children in all")
FIGURE_LABELS = {
    "read": N_("confirmed %(n)s"),
    "told": N_("by telephone %(n)s"),
    "failed": N_("not delivered %(n)s"),
    "unread": N_("not yet %(n)s"),
    "sent": N_("sent %(n)s"),
    "sending": N_("being sent %(n)s"),
}


@dataclass(frozen=True, slots=True)
class NoticeHead:
    """What stands above every tab. `figures`: the parts of its one line, such as 「確認28」.

    `next_action`: what helps most now, `remind` or `phone`; empty if there is nothing to do.
    """

    subject: str
    lists: list[MailingList]
    count: HouseholdCount
    figures: list[str]
    collects_confirmations: bool
    has_questions: bool
    next_action: str
    to_call: int
    may_send: bool

    @property
    def total(self) -> str:
        return total_label(self.count)

    @property
    def to_call_label(self) -> str:
        return count_label(self.to_call, by_child=self.count.by_child)


def collects_confirmations(notice: Notice) -> bool:
    """Say whether readers confirm or answer; an answer counts as a read."""
    return notice.read_confirmation or questions.has_questions(notice)


def count_label(number: int, *, by_child: bool) -> str:
    """Return a count with its unit: households (世帯), or children (人)."""
    return _("%(n)s children" if by_child else "%(n)s households", n=f"{number:,}")


def total_label(count: HouseholdCount) -> str:
    """Return 「36世帯」, or 「36人（お子さん）」 where each child counts."""
    text = CHILDREN_IN_ALL if count.by_child else "%(n)s households"
    return _(text, n=f"{count.households:,}")


def household_figures(notice: Notice, count: HouseholdCount, *, confirms: bool) -> list[str]:
    """Return the parts that add up to all households; empty ones are left out."""
    if not count.households:
        return []
    rest = "sending" if notice.state in (NoticeState.SENDING, NoticeState.PAUSED) else "sent"
    parts = {
        "read": count.read,
        "told": count.told,
        "failed": count.failed,
        "unread" if confirms else rest: count.unread,
    }
    return [
        _(FIGURE_LABELS[name], n=f"{number:,}")
        for name, number in parts.items()
        if number or (confirms and name == "read")
    ]


@bp.app_template_global("count_sentence")
def count_sentence(notice: Notice, count: HouseholdCount | None, confirms: bool) -> str:
    """Template global: 「36世帯：確認28・電話1・届かず4・まだ3」; empty if nobody was counted."""
    if not count or not count.households:
        return ""
    return total_label(count) + _(": ") + _(" · ").join(household_figures(notice, count, confirms=confirms))


@bp.app_template_global("notice_head")
def notice_head(notice: Notice) -> NoticeHead:
    """Template global: the head of a notice as the user may see it."""
    lists = permissions().visible_lists(notice)
    count = summaries.count_households([notice.id], lists).get(notice.id, HouseholdCount())
    has_questions = questions.has_questions(notice)
    confirms = notice.read_confirmation or has_questions
    to_call = count.left if confirms else count.failed
    may_send = permissions().may_notice("send", notice)
    return NoticeHead(
        merge_fields.display_subject(notice),
        heading_targets(notice),
        count,
        household_figures(notice, count, confirms=confirms),
        confirms,
        has_questions,
        _next_action(notice, to_call) if may_send else "phone" if to_call else "",
        to_call,
        may_send,
    )


def _next_action(notice: Notice, to_call: int) -> str:
    """Return `remind` or `phone`: first the letter again, then a call."""
    if notice.state not in ENDED_STATES or notice.purged_at:
        return ""
    call_first = to_call and notice.rounds > 1
    if not call_first and reminders.available_reminder(notice, clock.now()):
        return "remind"
    return "phone" if to_call else ""


@bp.app_template_global("state_label")
def state_label(notice: Notice) -> str:
    """Template global: the state of a sent notice in words."""
    if notice.state == NoticeState.HELD:
        return _("Needs your decision")
    if notice.state == NoticeState.SENDING:
        if outage.current_outage(notice):
            return _(STATE_LABELS["paused"])
        if retrying := notice_list.notice_rows([notice])[0].retrying:
            return _("Sent (%(n)s being tried again)", n=retrying)
    return _(STATE_LABELS[notice.state]) if notice.state in STATE_LABELS else ""


@bp.app_template_global("who_may_mark_phoned")
def who_may_mark_phoned(notice: Notice) -> str:
    """Template global: who may mark families as told by telephone, if the user may only view."""
    seen = permissions().visible_lists(notice)
    lists = [mailing_list.id for mailing_list in target_lists(notice)] if seen is None else seen
    return who_can.holders_for_lists("send", lists).sentence(language())
