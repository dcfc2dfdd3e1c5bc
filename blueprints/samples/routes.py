"""Samples: begin a notice from one; managers write those of their lists (N-04, X-15)."""

import uuid
from dataclasses import asdict

from flask import Blueprint, Response, abort, request
from flask_login import current_user

import clock
import web
from blueprints.samples.forms import SampleForm
from core.writing import samples
from models import MailingList, Sample
from web import answer, go, needs, own_list, own_notice, rights, told
from words import N_

bp = Blueprint("samples", __name__, url_prefix="/samples")

Answer = Response | tuple[str, int]


def _sample(code: str) -> samples.Ready:
    return samples.find(rights(), code) or abort(404)


def _own(number: int) -> Sample:
    row = _sample(f"{samples.OWN}{number}").row or abort(404)
    if not samples.may_change(rights(), row):
        web.refuse("manage" if row.list_id else "admin", [row.list_id] if row.list_id else [])
    return row


@bp.get("")
@needs("send")
def index() -> Answer:
    """Show the samples, own ones first, each with a button that begins a notice."""
    return answer(
        "samples/index.html",
        samples=samples.of(rights()),
        may_change=lambda row: samples.may_change(rights(), row),
        hidden=samples.hidden() if rights().is_admin else 0,
        form_key=uuid.uuid4().hex,
    )


@bp.post("/<code>/begin")
@needs("send")
def begin(code: str) -> Answer:
    """Begin a notice from a sample; a double tap finds the same draft again."""
    form_key = request.form.get("form_key", "")[:64] or None
    notice = samples.begin(_sample(code), current_user, clock.now(), form_key)
    return go("notices.recipients", number=own_notice(notice.id, "send").id)


@bp.route("/new", methods=["GET", "POST"])
@needs("manage")
def new() -> Answer:
    """Write a sample, or keep the words of a notice (?notice=) as one."""
    number = request.args.get("notice", type=web.row_number)
    said = samples.save_as(own_notice(number)) if number is not None else None
    form = _form(said, None)
    if form.validate_on_submit():
        samples.add(current_user, form.words(), _list(form))
        told(N_("Saved as a sample."))
        return go("samples.index")
    return answer("samples/edit.html", status=422 if form.errors else 200, form=form, row=None)


@bp.route("/<int:number>/edit", methods=["GET", "POST"])
@needs("manage")
def edit(number: int) -> Answer:
    """Change an own sample."""
    row = _own(number)
    form = _form(samples.words_of(row), row.list_id)
    if form.validate_on_submit():
        samples.change(row, current_user, form.words(), _list(form))
        told(N_("Saved as a sample."))
        return go("samples.index")
    return answer("samples/edit.html", status=422 if form.errors else 200, form=form, row=row)


def _form(said: samples.Words | None, list_id: int | None) -> SampleForm:
    """Return the form with words that stand already, offering the lists that the user manages."""
    first = asdict(said) if said and request.method == "GET" else {}
    form = SampleForm(data={"list": list_id or 0, **first})
    everybody = [(0, web._("All lists"))] if rights().is_admin else []
    form.list.choices = everybody + [(one.id, one.name) for one in rights().lists("manage")]
    return form


def _list(form: SampleForm) -> MailingList | None:
    return own_list(form.list.data, "manage") if form.list.data else None


@bp.route("/<code>/remove", methods=["GET", "POST"])
@needs("manage")
def remove(code: str) -> Answer:
    """Ask, then remove an own sample or hide a shipped one (administrators)."""
    sample = _sample(code)
    if sample.row:
        _own(sample.row.id)
    elif not rights().is_admin:
        web.refuse("admin")
    if request.method == "POST":
        samples.remove(sample, current_user)
        told(N_("The sample was removed."))
        return go("samples.index")
    return answer("samples/remove.html", sample=sample)


@bp.post("/show-again")
@needs("admin")
def show_again() -> Answer:
    """Show the hidden shipped samples again."""
    samples.show_again(current_user)
    return go("samples.index")
