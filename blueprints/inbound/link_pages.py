"""Pages behind links in letters: release a post, confirm a signup, unsubscribe and resume.

No login is needed; the signed mark in the URL authorizes. GET never acts (law 3).
"""

from collections.abc import Callable

from flask import Response, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState

import clock
import tasks
import web
from blueprints.inbound import bp
from core.errors import DomainError, MissingFields
from core.inbound import post_by_mail
from core.members import consent, signed_links, unsubscribe
from core.notices.audience import resolve_audience
from core.signup import emails, signup
from models import MailingList, MembershipState, Notice, Person

Answer = Response | tuple[str, int] | str


def _expired_link_page() -> Answer:
    return web.message_page(
        web._("This link does nothing any more"),
        web._("It is too old, or it was cut off. Please send your mail once more."),
        status=404,
    )


# ── a posted mail ────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/mail/release/<mark>")
@web.public_view
def show_held_post(mark: str) -> Answer:
    """Preview a held post as members would get it. GET sends nothing."""
    notice = post_by_mail.notice_by_release_token(mark, clock.now())
    return _held_post_page(notice) if notice else _expired_link_page()


@bp.post("/mail/release/<mark>")
@web.public_view
def release_held_post(mark: str) -> Answer:
    """Release the post. Idempotent."""
    notice = post_by_mail.notice_by_release_token(mark, clock.now())
    if notice is None:
        return _expired_link_page()
    try:
        post_by_mail.release_post(notice, clock.now(), request.form.get("typed", ""))
    except DomainError as refused:
        fresh = Notice.get_by_id(notice.id)
        sentence = next(iter(refused.fields.values())) if isinstance(refused, MissingFields) else refused.message
        wrong = web._(sentence, **refused.values) if post_by_mail.is_waiting_for_release(fresh) else ""
        return _held_post_page(fresh, wrong, 422 if wrong else 200)
    tasks.wake_worker()
    return redirect(url_for("inbound.show_held_post", mark=mark), code=303)  # type: ignore[return-value]


def _held_post_page(notice: Notice, wrong: str = "", status: int = 200) -> Answer:
    audience = resolve_audience(notice)
    page = render_template(
        "inbound/release_post.html",
        notice=notice,
        wording=notice.wording,
        waits=post_by_mail.is_waiting_for_release(notice),
        why=post_by_mail.hold_reason(notice),
        sentences=post_by_mail.HOLD_REASONS,
        letters=audience.letters,
        whole=audience.whole,
        lists=audience.lists,
        wrong=wrong,
    )
    return page, status


# ── joining ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/mail/join/<mark>")
@web.public_view
def show_signup(mark: str) -> Answer:
    signup_request = emails.request_from_link(mark, clock.now())
    if signup_request is None:
        return _expired_link_page()
    return render_template(
        "inbound/confirm_signup.html",
        signup_request=signup_request,
        terms=consent.render_consent_text(signup_request.list, web.language()),
    )


@bp.post("/mail/join/<mark>")
@web.public_view
def confirm_signup(mark: str) -> Answer:
    """Confirm the membership and go to the preference page, which asks for the name."""
    signup_request = emails.request_from_link(mark, clock.now())
    if signup_request is None:
        return _expired_link_page()
    person, state = signup.confirm_signup(signup_request, clock.now())
    tasks.wake_worker()
    if state != MembershipState.ACTIVE:
        return web.message_page(
            web._("Your registration waits for approval"),
            web._(
                "Notices of “%(list)s” begin when a manager has approved it. You may close this page.",
                list=signup_request.list.name,
            ),
        )
    mark = signed_links.sign_page_token(person, clock.now() + signed_links.WELCOME_LINK_LIFETIME)
    return _redirect_to("public.show_preferences", mark)


def _redirect_to(endpoint: str, mark: str, **values: str) -> Answer:
    return redirect(url_for(endpoint, mark=mark, **values), code=303)  # type: ignore[return-value]


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/mail/leave/<mark>")
@web.public_view
def show_membership(mark: str) -> Answer:
    """Show the state of the membership with one button."""
    pair = signed_links.membership_by_token(mark)
    if pair is None:
        return _expired_link_page()
    return render_template(
        "inbound/unsubscribe.html", mark=mark, list=pair[1], state=unsubscribe.subscription_state(*pair)
    )


@bp.post("/mail/leave/<mark>/stop")
@web.public_view
def stop_membership(mark: str) -> Answer:
    return _change_membership(mark, lambda *place: unsubscribe.unsubscribe_from_list(*place, clock.now()))


@bp.post("/mail/leave/<mark>/resume")
@web.public_view
def resume_membership(mark: str) -> Answer:
    return _change_membership(mark, unsubscribe.resubscribe_to_list)


def _change_membership(mark: str, change: Callable[[Person, MailingList], bool]) -> Answer:
    """Unsubscribe or resume the list of a signed link. Both are idempotent."""
    place = signed_links.membership_by_token(mark)
    if place is None:
        return _expired_link_page()
    change(*place)
    return _redirect_to("inbound.show_membership", mark)


def _exempt_from_csrf(state: BlueprintSetupState) -> None:
    """Exempt these POSTs from CSRF: there is no session, and the signed mark authorizes."""
    for view in (release_held_post, confirm_signup, stop_membership, resume_membership):
        state.app.extensions["csrf"].exempt(view)


bp.record_once(_exempt_from_csrf)
