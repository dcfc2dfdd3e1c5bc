"""Reader's preferences: `/p` mails a link, `/p/<mark>` is the page, `/p/new/<mark>` confirms a new address.

No login, session or script. The signed mark is the authority, and a GET changes nothing (law 3). The answers do not
reveal whether an address is registered. Guessed marks are counted by network.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, g, redirect, render_template, request, url_for
from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

import clock
import tasks
from blueprints.public import bp
from blueprints.public.access import guesses_tokens
from core import rate_limits
from core.errors import DomainError
from core.members import change_requests, members, preference_page, signed_links
from core.members.preference_page import PreferenceForm, PreferencePage
from core.responses import read_confirmations
from core.signup import signup
from i18n import LANGUAGES, N_
from models import Person
from web import Form, _, add_field_error, message_page


class TokenForm(Form):
    """Form of a page that a mark opens."""

    class Meta(Form.Meta):
        csrf = False


class PreferencesForm(TokenForm):
    name = StringField(N_("Your name"), [Length(max=60)])
    kana = StringField(N_("Reading in kana"), [Length(max=60)])
    phone = StringField(N_("Telephone"), [Length(max=40)])
    language = RadioField(
        N_("Language of the letters"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()], default="ja"
    )


class ChildForm(TokenForm):
    """Names of a child, and the class while it is unknown."""

    name = StringField(N_("Name of the child"), [Length(max=60)])
    kana = StringField(N_("Reading of the child's name"), [Length(max=60)])
    grade = StringField(N_("School year"), [Length(max=20)])
    class_name = StringField(N_("Class"), [Length(max=20)])


class AddressForm(TokenForm):
    address = StringField(N_("New e-mail address"), [Length(max=300)])


def posted_attributes(form: Mapping[str, str], items: Mapping[int, Mapping[str, str]]) -> dict[int, dict[str, str]]:
    """Return the posted attributes. Field names consist of membership and position."""
    return {
        number: {key: form[name] for place, key in enumerate(shown) if (name := f"item{number}-{place}") in form}
        for number, shown in items.items()
    }


# ── preferences ────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int] | str
LINKS_PER_NETWORK = 30
RESULT_MESSAGES = {
    "saved": N_("Saved. Thank you."),
    "stopped": N_("The mail of this list is stopped. You can turn it on again here."),
    "resumed": N_("The mail of this list comes again."),
    "joined": N_("You get the notices of this list now."),
    "waits": N_("You have asked for this list. A manager looks at it first."),
    "merged": N_("Both registrations are one now."),
    "address": N_("A letter is on its way to the new address. The change counts when its link is pressed."),
    "test": N_(
        "A test letter is on its way. If it does not come within ten minutes, the phone's filter may hold it back."
    ),
    "no-test": N_("No more test letters today."),
    "told": N_("The school has been told. It changes what is wrong; nothing else is needed from you."),
    "not-told": N_("Nothing was sent: please write a few words, at most three times a day."),
    "none": N_("Nothing has changed."),
}


# ── requesting the link ────────────────────────────────────────────────────────────────────────────────────────────
@bp.route("/p", methods=["GET", "POST"], strict_slashes=False)
def request_preferences_link() -> Answer:
    """Mail the link if the address is a member's. The answer is the same if it is not."""
    if request.method == "GET":
        return _request_link_page(sent=request.args.get("sent") == "1")
    now, typed = clock.now(), request.form.get("mail", "")[:320]
    if not signed_links.is_form_token_valid(request.form.get("made", ""), None, now):
        return _request_link_page(typed=typed, wrong=_(signed_links.SUBMIT_AGAIN), status=422)
    if (
        rate_limits.record_hit(f"own page of network:{rate_limits.client_network(request.remote_addr)}", now, 600)
        > LINKS_PER_NETWORK
    ):
        return _request_link_page(typed=typed, wrong=_(N_("Please try again in ten minutes.")), status=429)
    try:
        preference_page.request_page_link(typed, now)
    except DomainError as wrong:
        return _request_link_page(typed=typed, wrong=_(wrong.message), status=422)
    tasks.wake_worker()
    return redirect(url_for("public.request_preferences_link", sent=1), code=303)  # type: ignore[return-value]


def _request_link_page(
    *, sent: bool = False, typed: str = "", wrong: str = "", dead: bool = False, status: int = 200
) -> Answer:
    form_token = signed_links.form_token(None, clock.now())
    page = render_template(
        "public/request_preferences_link.html", sent=sent, typed=typed, wrong=wrong, dead=dead, made=form_token
    )
    return page, status


def _person_of_token(mark: str) -> Person | None:
    person = signed_links.person_by_token(mark, clock.now())
    if person is not None:
        g.language = person.language
    return person


def _expired_link_page() -> Answer:
    """Explain that the link expired and offer a new one. Count guesses."""
    return _request_link_page(dead=True, status=429 if guesses_tokens() else 404)


# ── the page ───────────────────────────────────────────────────────────────────────────────────────────────────────
@bp.get("/p/<mark>", strict_slashes=False)
def show_preferences(mark: str) -> Answer:
    """Show the reader's data and lists."""
    person = _person_of_token(mark)
    return _preferences_page(mark, preference_page.load_page(person)) if person else _expired_link_page()


def _preferences_page(
    mark: str, page: PreferencePage, forms: dict[str, Any] | None = None, address: AddressForm | None = None
) -> Answer:
    forms = forms or _forms(page)
    wrong = any(form.errors for form in (*forms["children"].values(), forms["own"], forms["new"], address) if form)
    shown = render_template(
        "public/preferences.html",
        mark=mark,
        page=page,
        forms=forms,
        address=address or AddressForm(None),
        told=RESULT_MESSAGES.get(request.args.get("told", "")),
    )
    return shown, 422 if wrong else 200


def _forms(page: PreferencePage, typed: Any = None) -> dict[str, Any]:
    """Return the page's forms, filled from the database or the posted values."""
    return {
        "own": PreferencesForm(typed, data=_own_values(page.person)),
        "children": {child.id: ChildForm(typed, obj=child, prefix=f"child{child.id}-") for child in page.children},
        "new": ChildForm(typed, prefix="new-"),
    }


def _own_values(person: Person) -> dict[str, str]:
    """Return initial values without the telephone number, which may be another guardian's."""
    return {"name": person.name, "kana": person.kana, "language": person.language}


@bp.post("/p/<mark>")
def save_preferences(mark: str) -> Answer:
    person = _person_of_token(mark)
    if person is None:
        return _expired_link_page()
    page = preference_page.load_page(person)
    forms = _forms(page, request.form)
    if not all([form.validate() for form in (forms["own"], *forms["children"].values(), forms["new"])]):
        return _preferences_page(mark, page, forms)
    try:
        preference_page.save_preferences(person, _posted_changes(page, forms))
    except DomainError as refused:
        _add_field_error(forms, refused)
        return _preferences_page(mark, page, forms)
    return _redirect_with_result(mark, "saved")


def _posted_changes(page: PreferencePage, forms: dict[str, Any]) -> PreferenceForm:
    own: PreferencesForm = forms["own"]
    return PreferenceForm(
        name=own.name.data or "",
        kana=own.kana.data or "",
        phone=own.phone.data or page.person.phone,
        language=own.language.data,
        children={number: _form_texts(form) for number, form in forms["children"].items()},
        items=posted_attributes(request.form, page.items),
        new_child=_form_texts(forms["new"]),
    )


def _form_texts(form: ChildForm) -> dict[str, str]:
    return {field.short_name: field.data or "" for field in form}


def _add_field_error(forms: dict[str, Any], refused: DomainError) -> None:
    """Add an error to the field of the child or the reader that it concerns."""
    part, _between, field = refused.field.partition("-")
    number = part.removeprefix("child")
    if field and number.isdigit() and int(number) in forms["children"]:
        return add_field_error(forms["children"][int(number)], field, refused.message, **refused.values)
    return add_field_error(forms["own"], refused.field, refused.message, **refused.values)


def _redirect_with_result(mark: str, result: str) -> Answer:
    return redirect(url_for("public.show_preferences", mark=mark, told=result), code=303)  # type: ignore[return-value]


@bp.post("/p/<mark>/lists/<int:number>/stop")
def stop_list(mark: str, number: int) -> Answer:
    return _change_subscription(
        mark,
        lambda person: "stopped" if preference_page.stop_or_resume_list(person, number, "stop", clock.now()) else "",
    )


@bp.post("/p/<mark>/lists/<int:number>/resume")
def resume_list(mark: str, number: int) -> Answer:
    return _change_subscription(
        mark,
        lambda person: "resumed" if preference_page.stop_or_resume_list(person, number, "resume", clock.now()) else "",
    )


@bp.post("/p/<mark>/lists/<int:number>/join")
def join_list(mark: str, number: int) -> Answer:
    results = {"": "", "pending": "waits"}
    return _change_subscription(
        mark, lambda person: results.get(signup.join_another_list(person, number, clock.now()) or "", "joined")
    )


@bp.post("/p/<mark>/merge/<int:number>")
def merge_registrations(mark: str, number: int) -> Answer:
    """Make one registration of two with this address, on the wish of its reader."""
    return _change_subscription(
        mark, lambda person: "merged" if change_requests.accept_own_merge(person, number, clock.now()) else ""
    )


def _change_subscription(mark: str, change: Callable[[Person], str]) -> Answer:
    """Change one list and show the result. A known scanner changes nothing."""
    person = _person_of_token(mark)
    if person is None:
        return _expired_link_page()
    if read_confirmations.is_known_scanner(request.headers.get("User-Agent", "")):
        return _redirect_with_result(mark, "none")
    result = change(person)
    tasks.wake_worker()
    return _redirect_with_result(mark, result or "none")


@bp.post("/p/<mark>/test")
def send_test_email(mark: str) -> Answer:
    """Send the short test letter (T-17)."""
    person = _person_of_token(mark)
    if person is None:
        return _expired_link_page()
    sent = preference_page.send_test_email(person, clock.now())
    tasks.wake_worker()
    return _redirect_with_result(mark, "test" if sent else "no-test")


@bp.post("/p/<mark>/wrong")
def report_error(mark: str) -> Answer:
    """Report wrong data to the school, which alone can change it."""
    person = _person_of_token(mark)
    if person is None:
        return _expired_link_page()
    words = request.form.get("wrong", "").strip()
    done = preference_page.send_correction(person, words, clock.now())
    if words and not done:
        back = url_for("public.show_preferences", mark=mark), _("Back")
        return message_page(
            _("Not sent"), _(RESULT_MESSAGES["not-told"]), link=back, layout="public/base.html", status=429
        )
    tasks.wake_worker()
    return _redirect_with_result(mark, "told" if done else "not-told")


# ── a new address ──────────────────────────────────────────────────────────────────────────────────────────────────
@bp.post("/p/<mark>/address")
def request_address_change(mark: str) -> Answer:
    """Mail the new address. Nothing changes until its link is confirmed."""
    person = _person_of_token(mark)
    if person is None:
        return _expired_link_page()
    form = AddressForm(request.form)
    try:
        preference_page.request_new_address(person, (form.address.data or "")[:320], clock.now())
    except DomainError as refused:
        add_field_error(form, "address", refused.message, **refused.values)
        return _preferences_page(mark, preference_page.load_page(person), None, form)
    tasks.wake_worker()
    return _redirect_with_result(mark, "address")


@bp.route("/p/new/<mark>", methods=["GET", "POST"])
def confirm_address_change(mark: str) -> Answer:
    """Ask for confirmation, then change the address."""
    change = preference_page.new_address_from_link(mark, clock.now())
    if change is None:
        return _expired_link_page()
    person, address = change
    g.language = person.language
    taken = False
    if request.method == "POST":
        try:
            preference_page.confirm_new_address(person, address, clock.now())
        except members.AddressTaken:
            taken = True
        else:
            tasks.wake_worker()
            return render_template("public/confirm_address_change.html", done=True, address=address)
    page = render_template("public/confirm_address_change.html", done=False, address=address, taken=taken)
    return page, 422 if taken else 200


# ── deletion ───────────────────────────────────────────────────────────────────────────────────────────────────────
@bp.route("/p/<mark>/delete", methods=["GET", "POST"])
def delete_registration(mark: str) -> Answer:
    """Show the effects; on POST remove the reader from all lists."""
    person = _person_of_token(mark)
    if person is None:
        return _expired_link_page()
    if request.method == "GET" or read_confirmations.is_known_scanner(request.headers.get("User-Agent", "")):
        return render_template(
            "public/delete_registration.html", mark=mark, page=preference_page.load_page(person), gone=False
        )
    preference_page.delete_own_data(person, clock.now())
    return render_template("public/delete_registration.html", mark=mark, page=None, gone=True)
