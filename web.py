"""What the areas share: form base, htmx answers, fetch-or-404 through the current user, paging, filters."""

import csv
import io
import secrets
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, flash, g, redirect, render_template, request, send_file, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from peewee import ModelSelect
from werkzeug.exceptions import Forbidden
from werkzeug.routing import IntegerConverter

import clock
import i18n
from core import settings
from core.accounts import who_can
from core.csv_cells import escape_formula
from core.notices import merge_fields
from core.permissions import Permissions, permissions_of
from core.signup import qr
from models import MailingList, Notice, Organization

Row = TypeVar("Row")


def language() -> str:
    """Return the language of this page: the user's, else the reader's wish, else the organization's."""
    if "language" not in g:
        g.language = _negotiate_language()
    return g.language


def _negotiate_language() -> str:
    if current_user and current_user.is_authenticated:
        return current_user.language
    asked = request.accept_languages.best_match(list(i18n.LANGUAGES))
    return asked or Organization.load_row().language or i18n.DEFAULT_LANGUAGE


def _(message: str, /, **values: object) -> str:
    """Return a source string in the language of this page."""
    return i18n.say(language(), message, **values)


class Form(FlaskForm):
    """A form whose built-in messages speak the page's language."""

    class Meta(FlaskForm.Meta):
        @property
        def locales(self) -> list[str]:
            return [language()]

        def get_translations(self, form: Any) -> Any:
            from wtforms.i18n import get_translations

            return get_translations(self.locales) if language() != "en" else None


# ── who asks, and for what ───────────────────────────────────────────────────────────────────────────────────────


def permissions() -> Permissions:
    """Return what the current user may do."""
    if "rights" not in g:
        g.rights = permissions_of(current_user)
    return g.rights


def get_list_or_404(number: int, need: str = "view") -> MailingList:
    """Return a list that the current user may `view`, `send` to or `manage`; anybody else's is 404 (T-33)."""
    found = MailingList.get_or_none(MailingList.id == number)
    if found is None or not permissions().may_list("view", found):
        abort(404)
    if not permissions().may_list(need, found):
        forbid(need, [found.id])
    return found


def get_notice_or_404(number: int, need: str = "view") -> Notice:
    """Return a notice that the current user may `view` or steer (`send`); anybody else's is 404."""
    found = Notice.get_or_none(Notice.id == number)
    if found is None or not permissions().may_notice("view", found):
        abort(404)
    if not permissions().may_notice(need, found):
        raise PermissionDenied(who_can.holders_for_notice(found))
    return found


class PermissionDenied(Forbidden):
    """The right is missing; `holders` says whom to ask."""

    def __init__(self, found: who_can.PermissionHolders) -> None:
        super().__init__()
        self.holders = found


def forbid(need: str, lists: Collection[int] = ()) -> NoReturn:
    """Answer with 403, naming who may do it: in all of these lists, or who can give the right."""
    raise PermissionDenied(who_can.holders_for_lists(need, lists))


def who_can_sentence(need: str, *lists: MailingList) -> str:
    """Return the sentence that names who may do what the user may not, for the place of the missing button."""
    return who_can.holders_for_lists(need, [one.id for one in lists]).sentence(language())


def who_can_control_sentence(notice: Notice) -> str:
    """Return the same sentence for a notice."""
    return who_can.holders_for_notice(notice).sentence(language())


MAX_ROW_ID = 2**63 - 1
"""The largest number that a row can have."""


class RowIdConverter(IntegerConverter):
    """`<int:…>` in our addresses: what no row can have is not found, before the database chokes on it."""

    def __init__(self, map: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(map, *args, **{"max": MAX_ROW_ID, **kwargs})


def parse_row_id(text: str) -> int:
    """Read the number of a row in a form or a query. Raises ValueError for one that no row can have."""
    found = int(text)
    if not 0 <= found <= MAX_ROW_ID:
        raise ValueError(text)
    return found


def public_view(view: Callable) -> Callable:
    """Mark a route of an organizers' area as open without a login (login page, set-up, links from letters)."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def requires(need: str) -> Callable:
    """Decorate a route that wants a right somewhere: `admin`, `manage`, `send` (no list named)."""

    def decorate(view: Callable) -> Callable:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not permissions().may(need):
                forbid(need)
            return view(*args, **kwargs)

        return guarded

    return decorate


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def is_htmx() -> bool:
    """Say whether htmx asks for a fragment."""
    return request.headers.get("HX-Request") == "true" and not request.headers.get("HX-History-Restore-Request")


def redirect_to(endpoint: str, **values: Any) -> Response:
    """Answer a POST with the way to the next page (303, or HX-Redirect for htmx)."""
    target = url_for(endpoint, **values)
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": target, **_htmx_refresh_header(target)})
    return redirect(target, code=303)  # type: ignore[return-value]


def _htmx_refresh_header(target: str) -> dict[str, str]:
    """Have the page loaded again where it leads to a place on itself: a browser would only scroll there."""
    here, there = urlsplit(request.headers.get("HX-Current-URL", "")), urlsplit(target)
    same = there.fragment and (here.path, here.query) == (there.path, there.query)
    return {"HX-Refresh": "true"} if same else {}


def flash_message(message: str, /, kind: str = "note", **values: object) -> None:
    """Show a sentence on the next page: kind `note` or `wrong`."""
    flash(_(message, **values), kind)


def add_field_error(form: FlaskForm, field: str, message: str, /, **values: object) -> None:
    """Put the sentence of a verb's refusal on the field that it is about (on the first field if it has none)."""
    one = form[field] if field in form else next(iter(form))
    one.errors = [*one.errors, _(message, **values)]


def render_page(page: str, partial: str | None = None, status: int = 200, **context: Any) -> tuple[str, int]:
    """Render the page, or for htmx only its partial."""
    return render_template(partial if partial and is_htmx() else page, **context), status


Link = tuple[str, str]
"""An address and its words, translated."""


def message_page(
    title: str,
    *sentences: str,
    note: str = "",
    hint: str = "",
    link: Link | None = None,
    foot: Link | None = None,
    layout: str = "plain.html",
    status: int = 200,
) -> tuple[str, int]:
    """Answer with a page that says one thing ("done", "gone", "not now"); all texts are translated already."""
    values = {"title": title, "sentences": sentences, "note": note, "hint": hint, "link": link, "foot": foot}
    return render_template("message.html", layout=layout, **values), status


FILE_CSP = "default-src 'none'; frame-ancestors 'none'; sandbox"


def send_stored_file(path: Path | None, name: str, kind: str, inline: bool = False) -> Response:
    """Send a file as what it is and never as a page of ours (defences: XSS by uploads); 404 if it is gone."""
    if path is None:
        abort(404)
    answer = send_file(path, mimetype=kind, as_attachment=not inline, download_name=name, max_age=0)
    answer.headers["Content-Security-Policy"] = FILE_CSP
    answer.headers["Cache-Control"] = "no-store"
    return answer


def send_bytes(content: bytes, name: str, kind: str) -> Response:
    """Send bytes as a file, as `streamed` does."""
    answer = send_file(io.BytesIO(content), mimetype=kind, as_attachment=True, download_name=name, max_age=0)
    answer.headers["Content-Security-Policy"] = FILE_CSP
    answer.headers["Cache-Control"] = "no-store"
    return answer


def no_content_if_seen(serial: object) -> Response | None:
    """Answer a poll with 204 if `?seen=` already names this serial."""
    if request.args.get("seen") == str(serial):
        return Response(status=204)
    return None


LETTER_CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
BASE_TARGET_BLANK = '<base target="_blank">'


def letter_response(html: str) -> Response:
    """Give the HTML of a letter alone, under a policy of its own: no script, nothing loaded, links in a new window."""
    return Response(BASE_TARGET_BLANK + html, headers={"Content-Security-Policy": LETTER_CSP})


def style_nonce() -> str:
    """Return the word by which this one page lets the editor write its style sheets into it; asked for, it is given."""
    if "style_nonce" not in g:
        g.style_nonce = secrets.token_urlsafe(16)
    return g.style_nonce


def csp_with_style_nonce(policy: str) -> str:
    """Return the policy of this page: a style sheet is taken from our own files alone, or with the page's word."""
    if "style_nonce" not in g:
        return policy
    return policy.replace("style-src 'self'", f"style-src 'self' 'nonce-{g.style_nonce}'")


class Page:
    """One page of a query: rows, number, whether there is one before or after, and the total."""

    def __init__(self, query: ModelSelect, number: int, size: int = 50) -> None:
        self.total = query.count()
        self.last = max(1, -(-self.total // size))
        self.number = min(max(1, number), self.last)
        self.rows = list(query.paginate(self.number, size))
        self.first_row = (self.number - 1) * size + 1 if self.total else 0
        self.last_row = min(self.number * size, self.total)


def paginate(query: ModelSelect, size: int = 50) -> Page:
    """Return the page that `?page=` asks for."""
    return Page(query, request.args.get("page", 1, type=int), size)


def csv_response(rows: Iterable[Iterable[object]], name: str) -> Response:
    """Answer with a file for a spreadsheet (UTF-8 with byte order mark); no cell is taken for a formula."""
    out = StringIO(newline="")
    csv.writer(out).writerows([escape_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    answer = Response(out.getvalue().encode("utf-8-sig"), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


# ── templates ────────────────────────────────────────────────────────────────────────────────────────────────────


def icon(name: str) -> Markup:
    """Draw one of our icons; it never stands without a word."""
    href = current_app.jinja_env.globals["asset"]("icons.svg")
    return Markup('<svg class="i" aria-hidden="true"><use href="{}#{}"></use></svg>').format(href, escape(name))


def qr_code(text: str, label: str) -> Markup:
    """Draw a QR code that a phone reads also in the dark; `label` says what it is."""
    made = qr.qr_svg_path(text)
    return Markup(
        '<svg class="qr" role="img" aria-label="{0}" viewBox="0 0 {1} {1}"><path fill="#fff" d="M0 0h{1}v{1}H0z"/>'
        '<path stroke="#000" d="{2}"/></svg>'
    ).format(label, made.size, made.path)


def init_app(app: Flask) -> None:
    """Give every template its words, filters and helpers."""
    app.url_map.converters["int"] = RowIdConverter
    app.jinja_env.filters.update(
        when=lambda moment: i18n.format_datetime(language(), moment),
        day=lambda moment: i18n.format_day(language(), moment),
        long_date=lambda moment: i18n.format_full_date(language(), moment),
        time_of_day=i18n.format_time,
        iso=lambda moment: clock.to_local(moment).isoformat(timespec="seconds"),
        number=lambda value: f"{value:,}",
        subject=merge_fields.display_subject,
    )
    app.jinja_env.globals.update(
        _=_,
        icon=icon,
        qr=qr_code,
        language=language,
        style_nonce=style_nonce,
        who_may=who_can_sentence,
        who_may_steer=who_can_control_sentence,
        rights=permissions,
        is_htmx=is_htmx,
        now=clock.now,
    )
    app.jinja_env.globals.update(organization=Organization.load_row, practice=lambda: settings.load_settings().practice)
    app.jinja_env.globals.update(
        own_domain=lambda: settings.load_settings().own, mail_comes_in=settings.accepts_list_mail
    )


def parse_local_time(text: str) -> datetime | None:
    """Read the value of a datetime-local field (the school's time); None if it cannot be read.

    A time that names its own zone is taken at its word. Years in which nobody plans are misprints.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not 2000 <= found.year < 2100:
        return None
    return found.astimezone(UTC) if found.tzinfo else clock.from_local(found)
