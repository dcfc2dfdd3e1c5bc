"""The reader's own page: `/p` mails a link, `/p/<mark>` is the page, `/p/new/<mark>` confirms a new address.

No login, no session, no script; the mark is the authority, and GET never acts (law 3). Answers tell nobody who is
registered; guessed marks are counted by network.
"""

from typing import Any

from flask import Response, g, redirect, render_template, request, url_for

import clock
import tasks
from blueprints.public.forms import AddressForm, ChildForm, OwnForm, items_typed
from blueprints.public.routes import bp
from core import rate_limits
from core.members import members, new_address, preference_page
from core.members.preference_page import PreferenceForm, PreferencePage
from core.responses import read_confirmations
from core.signup import public_form
from i18n import N_
from models import Person
from web import _, add_field_error, parse_row_id

Answer = Response | tuple[str, int] | str
PER_NETWORK = 30
SAID = {
    "saved": N_("Saved. Thank you."),
    "stopped": N_("The mail of this list is stopped. You can turn it on again here."),
    "resumed": N_("The mail of this list comes again."),
    "joined": N_("You get the notices of this list now."),
    "waits": N_("You have asked for this list. A manager looks at it first."),
    "address": N_("A letter is on its way to the new address. The change counts when its link is pressed."),
    "test": N_(
        "A test letter is on its way. If it does not come within ten minutes, the phone's filter may hold it back."
    ),
    "no-test": N_("No more test letters today."),
    "told": N_("The school has been told. It changes what is wrong; nothing else is needed from you."),
    "not-told": N_("Nothing was sent: please write a few words, at most three times a day."),
    "none": N_("Nothing has changed."),
}


# ── getting the link ─────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/p", methods=["GET", "POST"], strict_slashes=False)
def own_link() -> Answer:
    """Ask for the address; mail the link there if it is a member's, and say the same if it is not."""
    if request.method == "GET":
        return _ask_page(sent=request.args.get("sent") == "1")
    now, typed = clock.now(), request.form.get("mail", "")[:320]
    if not public_form.is_form_token_valid(request.form.get("made", ""), None, now):
        return _ask_page(typed=typed, wrong=_(public_form.SUBMIT_AGAIN), status=422)
    if rate_limits.record_hit(f"own page {rate_limits.client_network(request.remote_addr)}", now, 600) > PER_NETWORK:
        return _ask_page(typed=typed, wrong=_(N_("Please try again in ten minutes.")), status=429)
    try:
        preference_page.email_page_link(typed, now)
    except public_form.BadAddress as wrong:
        return _ask_page(typed=typed, wrong=_(wrong.message), status=422)
    tasks.wake_worker()
    return redirect(url_for("public.own_link", sent=1), code=303)  # type: ignore[return-value]


def _ask_page(*, sent: bool = False, typed: str = "", wrong: str = "", dead: bool = False, status: int = 200) -> Answer:
    made = public_form.form_token(None, clock.now())
    page = render_template("public/own_link.html", sent=sent, typed=typed, wrong=wrong, dead=dead, made=made)
    return page, status


def _holder(mark: str) -> Person | None:
    person = preference_page.person_by_token(mark, clock.now())
    if person is not None:
        g.language = person.language
    return person


def _dead() -> Answer:
    """Say that the link is too old, and offer a new one; guesses are counted."""
    network = rate_limits.client_network(request.remote_addr)
    tries = rate_limits.record_hit(f"unknown token {network}", clock.now(), 600)
    return _ask_page(dead=True, status=404 if tries <= 60 else 429)


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/p/<mark>", strict_slashes=False)
def own(mark: str) -> Answer:
    """Show what the reader gave and gets."""
    person = _holder(mark)
    return _page(mark, preference_page.load_page(person)) if person else _dead()


def _page(
    mark: str, page: PreferencePage, forms: dict[str, Any] | None = None, address: AddressForm | None = None
) -> Answer:
    forms = forms or _forms(page)
    wrong = any(one.errors for one in (*forms["children"].values(), forms["own"], forms["new"], address) if one)
    shown = render_template(
        "public/own.html",
        mark=mark,
        page=page,
        forms=forms,
        address=address or AddressForm(None),
        told=SAID.get(request.args.get("told", "")),
    )
    return shown, 422 if wrong else 200


def _forms(page: PreferencePage, typed: Any = None) -> dict[str, Any]:
    """Return the forms of the page: filled from the rows, or from what was typed."""
    return {
        "own": OwnForm(typed, data=_own(page.person)),
        "children": {one.id: ChildForm(typed, obj=one, prefix=f"child{one.id}-") for one in page.children},
        "new": ChildForm(typed, prefix="new-"),
    }


def _own(person: Person) -> dict[str, str]:
    """Return what is filled in; the telephone number may be another guardian's, so it is never shown."""
    return {"name": person.name, "kana": person.kana, "language": person.language}


@bp.post("/p/<mark>")
def own_correct(mark: str) -> Answer:
    """Write down what the reader corrected."""
    person = _holder(mark)
    if person is None:
        return _dead()
    page = preference_page.load_page(person)
    forms = _forms(page, request.form)
    if not all([one.validate() for one in (forms["own"], *forms["children"].values(), forms["new"])]):
        return _page(mark, page, forms)
    try:
        preference_page.save_preferences(person, _said(page, forms))
    except members.DomainError as refused:
        _blame(forms, refused)
        return _page(mark, page, forms)
    return _back(mark, "saved")


def _said(page: PreferencePage, forms: dict[str, Any]) -> PreferenceForm:
    own: OwnForm = forms["own"]
    return PreferenceForm(
        name=own.name.data or "",
        kana=own.kana.data or "",
        phone=own.phone.data or page.person.phone,
        language=own.language.data,
        children={number: _texts(form) for number, form in forms["children"].items()},
        items=items_typed(request.form, page.items),
        new_child=_texts(forms["new"]),
    )


def _texts(form: ChildForm) -> dict[str, str]:
    return {one.short_name: one.data or "" for one in form}


def _blame(forms: dict[str, Any], refused: members.DomainError) -> None:
    """Put a refusal on the field of the child, or of the reader, that it is about."""
    part, _between, field = refused.field.partition("-")
    number = part.removeprefix("child")
    if field and number.isdigit() and int(number) in forms["children"]:
        return add_field_error(forms["children"][int(number)], field, refused.message, **refused.values)
    return add_field_error(forms["own"], refused.field, refused.message, **refused.values)


def _back(mark: str, told: str) -> Answer:
    return redirect(url_for("public.own", mark=mark, told=told), code=303)  # type: ignore[return-value]


@bp.post("/p/<mark>/list")
def own_list_turn(mark: str) -> Answer:
    """Stop, resume or join one list."""
    person = _holder(mark)
    if person is None:
        return _dead()
    number, do, now = request.form.get("list", 0, type=parse_row_id), request.form.get("do", ""), clock.now()
    if read_confirmations.is_known_scanner(request.headers.get("User-Agent", "")):
        return _back(mark, "none")
    if do == "join":
        done = preference_page.join_another_list(person, number, now)
        told = "waits" if done == "pending" else "joined"
    else:
        done, told = (
            preference_page.stop_or_resume_list(person, number, do, now),
            "stopped" if do == "stop" else "resumed",
        )
    tasks.wake_worker()
    return _back(mark, told if done else "none")


@bp.post("/p/<mark>/test")
def own_test(mark: str) -> Answer:
    """Send the short test letter (T-17)."""
    person = _holder(mark)
    if person is None:
        return _dead()
    sent = preference_page.send_test_email(person, clock.now())
    tasks.wake_worker()
    return _back(mark, "test" if sent else "no-test")


@bp.post("/p/<mark>/wrong")
def own_wrong(mark: str) -> Answer:
    """Tell the school what it holds wrongly; only it can change that."""
    person = _holder(mark)
    if person is None:
        return _dead()
    done = preference_page.send_correction(person, request.form.get("wrong", ""), clock.now())
    tasks.wake_worker()
    return _back(mark, "told" if done else "not-told")


# ── a new address ────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/p/<mark>/address")
def own_address(mark: str) -> Answer:
    """Send a letter to the new address; nothing changes before its link is pressed."""
    person = _holder(mark)
    if person is None:
        return _dead()
    form = AddressForm(request.form)
    try:
        new_address.request_new_address(person, (form.address.data or "")[:320], clock.now())
    except members.DomainError as refused:
        add_field_error(form, "address", refused.message, **refused.values)
        return _page(mark, preference_page.load_page(person), None, form)
    tasks.wake_worker()
    return _back(mark, "address")


@bp.route("/p/new/<mark>", methods=["GET", "POST"])
def new_address_confirm(mark: str) -> Answer:
    """Ask once more at the new address, then take it over."""
    found = new_address.new_address_from_link(mark, clock.now())
    if found is None:
        return _dead()
    person, address = found
    g.language = person.language
    taken = False
    if request.method == "POST":
        try:
            new_address.confirm_new_address(person, address, clock.now())
        except members.AddressTaken:
            taken = True
        else:
            tasks.wake_worker()
            return render_template("public/own_moved.html", done=True, address=address)
    page = render_template("public/own_moved.html", done=False, address=address, taken=taken)
    return page, 422 if taken else 200


# ── farewell ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/p/<mark>/delete", methods=["GET", "POST"])
def own_delete(mark: str) -> Answer:
    """Say what is lost; on the press take the reader out of everything."""
    person = _holder(mark)
    if person is None:
        return _dead()
    if request.method == "GET" or read_confirmations.is_known_scanner(request.headers.get("User-Agent", "")):
        return render_template("public/own_delete.html", mark=mark, page=preference_page.load_page(person), gone=False)
    preference_page.delete_own_data(person, clock.now())
    return render_template("public/own_delete.html", mark=mark, page=None, gone=True)
