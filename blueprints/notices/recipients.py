"""First screen: recipients. Every change is saved."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user
from wtforms import HiddenField, SelectMultipleField

import clock
import web
from blueprints.notices import bp
from blueprints.notices.draft_access import (
    audience_of,
    audience_values,
    flash_already_sent,
    get_draft_or_redirect,
    is_stale,
    reported_exclusions,
    version_of,
)
from core.errors import NotADraft, TooManyGroups
from core.members import groups as groups_of
from core.notices import audience as audiences
from core.notices import drafts, merge_fields, recipients
from core.notices.content_checks import find_missing
from i18n import N_
from models import MailingList, Notice, NoticeState

EXCLUDED_NAMES_SHOWN = 30


class RecipientsForm(web.Form):
    """Included and excluded lists; each person is posted as `person-<number>` = in, out or empty."""

    seen = HiddenField()
    lists = SelectMultipleField(coerce=int, validate_choice=False)
    without = SelectMultipleField(coerce=int, validate_choice=False)


@dataclass(frozen=True, slots=True)
class PostedRecipients:
    """Posted ids of lists, persons and groups, included and excluded."""

    lists: list[int]
    without: list[int]
    persons: list[int]
    without_persons: list[int]
    groups: list[int]
    without_groups: list[int]


@bp.get("/<int:number>/recipients")
@web.requires("send")
def edit_recipients(number: int) -> str:
    return _recipients_page(get_draft_or_redirect(number))


@bp.post("/<int:number>/recipients")
@web.requires("send")
def save_recipients(number: int) -> Any:
    """Save the selection, then go to the content screen if it reaches a recipient."""

    def next_screen(notice: Notice) -> Any:
        missing = find_missing(notice, audience_of(notice)).get("targets")
        if missing is None:
            return web.redirect_to("notices.edit_content", number=notice.id)
        return _recipients_not_saved(notice, missing)

    return _save_recipients(number, next_screen)


@bp.post("/<int:number>/recipients/count")
@web.requires("send")
def count_recipients(number: int) -> Any:
    """Save the selection and show its count."""

    def counted(notice: Notice) -> Any:
        if web.is_htmx():
            return render_template("notices/_recipients_counted.html", notice=notice, **_audience_values(notice))
        return redirect(url_for("notices.edit_recipients", number=notice.id, _anchor="recipients-now"), 303)

    return _save_recipients(number, counted)


@bp.post("/<int:number>/recipients/search")
@web.requires("send")
def save_and_search(number: int) -> Any:
    """Save the selection and search for people. For browsers without script."""
    text = request.form.get("find", "")
    return _save_recipients(
        number,
        lambda notice: redirect(url_for("notices.edit_recipients", number=number, find=text, _anchor="find"), 303),
    )


@bp.post("/<int:number>/recipients/groups")
@web.requires("send")
def save_and_open_groups(number: int) -> Any:
    """Save the selection and open the groups of a list."""
    list_id = web.get_list_or_404(request.form.get("of", 0, type=web.parse_row_id), "send").id
    return _save_recipients(number, lambda notice: web.redirect_to("lists.groups", number=list_id, notice=number))


def _save_recipients(number: int, then: Callable[[Notice], Any]) -> Any:
    """Save the posted selection and return `then(...)`; 404 for a list the user may not send to (T-33)."""
    notice, form = get_draft_or_redirect(number), RecipientsForm()
    if not form.validate():
        return _recipients_not_saved(notice, N_("This choice could not be read. Please choose again."))
    choice = _read_recipients(form)
    chosen = [*choice.lists, *choice.without], [*choice.persons, *choice.without_persons]
    if not recipients.may_send_to_all(web.permissions(), *chosen, [*choice.groups, *choice.without_groups]):
        abort(404)
    if is_stale(notice, form.seen.data):
        if web.is_htmx():
            web.flash_message(_CHANGED_ELSEWHERE, "wrong")
            return web.redirect_to("notices.edit_recipients", number=number)
        return _recipients_not_saved(notice, _CHANGED_ELSEWHERE)
    try:
        drafts.set_recipients(
            notice,
            lists=choice.lists,
            without=choice.without,
            persons=choice.persons,
            without_persons=choice.without_persons,
            groups=choice.groups,
            without_groups=choice.without_groups,
            now=clock.now(),
        )
    except TooManyGroups as refused:
        return _recipients_not_saved(notice, web._(refused.message, **refused.values), choice)
    except NotADraft:
        flash_already_sent(notice)
        return web.redirect_to("notices.show", number=number)
    return then(Notice.get_by_id(number))


_CHANGED_ELSEWHERE = N_(
    "The recipients were changed in another window. This page now shows what is set there; please look once more."
)


def _read_recipients(form: RecipientsForm) -> PostedRecipients:
    persons, groups = posted_choices("person-"), posted_choices("group-")
    return PostedRecipients(
        lists=form.lists.data or [],
        without=[number for number in form.without.data or [] if number not in (form.lists.data or [])],
        persons=[number for number, value in persons.items() if value == "in"],
        without_persons=[number for number, value in persons.items() if value == "out"],
        groups=[number for number, value in groups.items() if value == "in"],
        without_groups=[number for number, value in groups.items() if value == "out"],
    )


def _recipients_not_saved(notice: Notice, wrong: str, typed: PostedRecipients | None = None) -> tuple[str, int]:
    """Return an error answer, with the message above the button."""
    if web.is_htmx():
        return render_template(
            "notices/_recipients_counted.html", notice=notice, wrong=wrong, **_audience_values(notice)
        ), 422
    return _recipients_page(notice, wrong, 422, typed)


def _targets_of_choice(choice: PostedRecipients) -> dict[tuple[str, bool], set[int]]:
    """Return an unsaved selection in the form of `recipients.target_ids`, so that the page keeps it."""
    return {
        ("list", True): set(choice.lists),
        ("list", False): set(choice.without),
        ("group", True): set(choice.groups),
        ("group", False): set(choice.without_groups),
        ("person", True): set(choice.persons),
        ("person", False): set(choice.without_persons),
    }


def _recipients_page(
    notice: Notice, wrong: str = "", status: int = 200, typed: PostedRecipients | None = None
) -> tuple[str, int]:
    lists = list(web.permissions().lists("send"))
    chosen = _targets_of_choice(typed) if typed else recipients.target_ids(notice)
    groups = groups_of.groups_in_lists(row.id for row in lists)
    outs = chosen.get(("person", False), set())
    singles = chosen.get(("person", True), set()) | outs
    searched = request.args.get("find", "").strip()
    people = recipients.search_people(web.permissions(), searched) if searched else []
    return web.render_page(
        "notices/recipients.html",
        notice=notice,
        status=status,
        wrong=wrong,
        groups=_lists_by_section(lists),
        audience_groups=groups,
        group_sizes={row.id: groups_of.count_reachable(row) for row in groups},
        group_lists=[row for row in lists if not row.practice_of_id],
        sizes=recipients.count_reachable(lists),
        chosen=chosen,
        persons=recipients.search_people(web.permissions(), numbers=singles) if singles else [],
        choices={number: "out" if number in outs else "in" for number in singles},
        searched=searched,
        people=[person for person in people if person.id not in singles],
        **_audience_values(notice),
    )


def _lists_by_section(lists: list[MailingList]) -> dict[str, list[MailingList]]:
    return {
        "classes": [row for row in lists if not row.whole and not row.practice_of_id],
        "practice": [row for row in lists if row.practice_of_id],
        "whole": [row for row in lists if row.whole],
    }


def _audience_values(notice: Notice) -> dict[str, Any]:
    values = audience_values(audience_of(notice))
    return {**values, "left_out": values["left_out"][:EXCLUDED_NAMES_SHOWN], "mark": version_of(notice)}


@bp.get("/<int:number>/recipients/all")
def list_all_recipients(number: int) -> str | Response:
    """List all recipients, and all exclusions with their reasons (D-12)."""
    notice = web.get_notice_or_404(number)
    if notice.state != NoticeState.DRAFT and web.permissions().visible_lists(notice) is not None:
        abort(404)  # contains names of other lists
    if notice.state == NoticeState.DRAFT:
        notice = audiences.as_sent_by(notice, current_user)
    audience = audience_of(notice)
    return render_template(
        "notices/all_recipients.html",
        notice=notice,
        subject=merge_fields.display_subject(notice),
        audience=audience,
        left_out=reported_exclusions(audience),
        reasons=audiences.EXCLUSION_REASONS,
    )


# ── search for people ──────────────────────────────────────────────────────────────────────────────────────────────


def posted_choices(prefix: str) -> dict[int, str]:
    """Return the posted value of each person or group: `in`, `out` or empty."""
    values = {name.removeprefix(prefix): value for name, value in request.values.items() if name.startswith(prefix)}
    return {int(number): value for number, value in values.items() if number.isdecimal() and len(number) < 13}


@bp.get("/<int:number>/recipients/find")
@web.requires("send")
def search_people(number: int) -> str | Response:
    """Return the people whose name matches, below those already selected.

    The request carries new selections (`person-…`), so that the next search keeps them.
    """
    notice = get_draft_or_redirect(number)
    searched = request.args.get("find", "").strip()
    if not web.is_htmx():
        return redirect(url_for("notices.edit_recipients", number=number, find=searched, _anchor="find"))
    chosen = _chosen_persons(notice)
    people = [person for person in recipients.search_people(web.permissions(), searched) if person.id not in chosen]
    persons = recipients.search_people(web.permissions(), numbers=chosen) if chosen else []
    return render_template(
        "notices/_people_found.html", searched=searched, people=people, persons=persons, choices=chosen, oob=True
    )


def _chosen_persons(notice: Notice) -> dict[int, str]:
    """Return the selected persons: saved values, overridden by those on the page."""
    saved = recipients.target_ids(notice)
    known = dict.fromkeys(saved.get(("person", True), ()), "in") | dict.fromkeys(
        saved.get(("person", False), ()), "out"
    )
    return {number: value for number, value in (known | posted_choices("person-")).items() if value in ("in", "out")}
