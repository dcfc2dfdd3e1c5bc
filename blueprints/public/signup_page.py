"""Signup page of a list: no login, session or script. The answer does not reveal known addresses.

`/j/<list>` and `/j/<list>/<code>` (T-26, T-36, T-17; defences 2). The typed address gets a letter with fixed text.
Nothing is registered until its link is confirmed. A GET changes nothing (law 3).
"""

from dataclasses import dataclass

from flask import Response, g, redirect, render_template, request, url_for

import clock
import i18n
import tasks
from blueprints.public import bp
from blueprints.public.access import unknown_page
from core import rate_limits, settings
from core.errors import DomainError
from core.members import consent, join_codes, normalise, signed_links
from core.members.join_codes import ValidCode
from core.signup import carrier_help, quotas, signup
from core.signup.quotas import SignupRequest
from i18n import N_
from models import MailingList
from web import _, language

Answer = Response | tuple[str, int] | str
WRONG_CODE = N_("This code does not fit. It may be an old one: please ask the school, or leave the field empty.")
QUEUE_FULL = N_("Many people are registering just now. Please try again in an hour, or send the blank mail.")
NETWORK_LIMIT = N_(
    "Many registrations came from your network just now. Please send the blank mail, or try again later."
)


@dataclass(frozen=True, slots=True)
class SignupTarget:
    """List and code of the page's URL."""

    list: MailingList
    key: ValidCode | None = None
    code: str = ""


@bp.route("/j/<address>", methods=["GET", "POST"], strict_slashes=False)
@bp.route("/j/<address>/<code>", methods=["GET", "POST"], strict_slashes=False)
def sign_up(address: str, code: str = "") -> Answer:
    _apply_requested_language()
    mailing_list = signup.find_open_list(address)
    if mailing_list is None:
        return unknown_page()
    if code and quotas.has_too_many_wrong_codes(request.remote_addr, clock.now()):
        return _signup_page(SignupTarget(mailing_list), wrong_code=_(NETWORK_LIMIT), status=429)
    key = join_codes.resolve_code(mailing_list, code) if code else None
    if code and key is None:
        quotas.count_wrong_code(request.remote_addr, clock.now())
        return _signup_page(SignupTarget(mailing_list), wrong_code=_(WRONG_CODE), status=404)
    target = SignupTarget(mailing_list, key, join_codes.normalise_code(code))
    return _accept_signup(target) if request.method == "POST" else _signup_page(target)


def _apply_requested_language() -> None:
    """Apply `?lang=`, which a printed link can contain."""
    if (wanted := request.values.get("lang")) in i18n.LANGUAGES:
        g.language = wanted


def _signup_page(
    target: SignupTarget, *, typed: str = "", meant: str = "", wrong: str = "", wrong_code: str = "", status: int = 200
) -> Answer:
    page = render_template(
        "public/signup.html",
        list=target.list,
        child=target.key and target.key.child,
        code=target.code,
        here=_own_url(target),
        sent=request.method == "GET" and request.args.get("sent") in ("1", "waits"),
        waits=request.args.get("sent") == "waits",
        typed=typed,
        meant=meant,
        wrong=wrong,
        wrong_code=wrong_code,
        address=join_codes.join_address(target.list, target.code),
        mailto=join_codes.join_mailto(target.list, target.code),
        terms=consent.render_consent_text(target.list, language()),
        carriers=carrier_help.list_guidance(language()),
        domain=settings.load_settings().own_addresses.allow_list_entry,
        made=(meant and request.form.get("made")) or signed_links.form_token(target.list, clock.now()),
    )
    return page, status


def _own_url(target: SignupTarget, **more: object) -> str:
    code = {"code": target.code} if target.code else {}
    lang = {"lang": request.values["lang"]} if request.values.get("lang") in i18n.LANGUAGES else {}
    return url_for("public.sign_up", address=target.list.address, **code, **lang, **more)


def _accept_signup(target: SignupTarget) -> Answer:
    """Start a signup. On an error, show the form again with all typed values."""
    typed, now = (request.form.get("meant") or request.form.get("mail", ""))[:320], clock.now()
    if request.form.get("website"):  # honeypot, invisible to people
        return redirect(_own_url(target, sent=1), code=303)  # type: ignore[return-value]
    if not target.key and (shown := request.form.get("code", "").strip()):
        return _accept_typed_code(target, shown, typed)
    if typed != request.form.get("as_typed") and (meant := normalise.meant_address(typed)):
        return _signup_page(target, typed=typed, meant=meant, status=422)
    try:
        clean = normalise.parse_member_address(typed)
    except DomainError as wrong:
        return _signup_page(target, typed=typed, wrong=_(wrong.message), status=422)
    if not signed_links.is_form_token_valid(request.form.get("made", ""), target.list, now):
        return _signup_page(target, typed=typed, wrong=_(signed_links.SUBMIT_AGAIN), status=422)
    if quotas.exceeds_network_quota(request.remote_addr, bool(target.key), now):
        return _signup_page(target, typed=typed, wrong=_(NETWORK_LIMIT), status=429)
    result = signup.request_signup(_signup_request(target, clean), language(), now)
    if result == "too many joins":
        return _signup_page(target, typed=typed, wrong=_(QUEUE_FULL), status=429)
    tasks.wake_worker()
    return redirect(_own_url(target, sent=result or 1), code=303)  # type: ignore[return-value]


def _signup_request(target: SignupTarget, clean: str) -> SignupRequest:
    evidence: dict[str, object] = {"network": rate_limits.client_network(request.remote_addr)}
    kind, child = (target.key.kind, target.key.child) if target.key else ("", None)
    return SignupRequest(target.list, clean, "link", kind, child, evidence=evidence)


def _accept_typed_code(target: SignupTarget, shown: str, typed: str) -> Answer:
    """Continue with a code typed from paper, as if the URL contained it."""
    if quotas.has_too_many_wrong_codes(request.remote_addr, clock.now()):
        return _signup_page(target, typed=typed, wrong_code=_(NETWORK_LIMIT), status=429)
    key = join_codes.resolve_code(target.list, shown)
    if key is None:
        quotas.count_wrong_code(request.remote_addr, clock.now())
        return _signup_page(target, typed=typed, wrong_code=_(WRONG_CODE), status=422)
    return _accept_signup(SignupTarget(target.list, key, join_codes.normalise_code(shown)))
