"""Helpers shared by all blueprints: forms, access checks (404/403), htmx responses, paging, template filters."""

import io
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, flash, g, redirect, render_template, request, send_file, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from peewee import ModelSelect
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.routing import IntegerConverter

import clock
import i18n
from core import disk_space, quarantine, settings
from core.accounts import kept_forms, second_factor, who_can
from core.csv_cells import write_csv
from core.errors import DomainError
from core.notices import merge_fields
from core.permissions import Permissions, permissions_of
from core.signup import handouts
from models import BaseModel, MailingList, Notice, Organization, User

Table = TypeVar("Table", bound=BaseModel)


def language() -> str:
    """Return the page language: the user's, else the best match of Accept-Language, else the organization's."""
    if "language" not in g:
        g.language = _negotiate_language()
    return g.language


def _negotiate_language() -> str:
    if current_user and current_user.is_authenticated:
        return current_user.language
    accepted = request.accept_languages.best_match(list(i18n.LANGUAGES))
    return accepted or Organization.load_row().language or i18n.DEFAULT_LANGUAGE


def _(message: str, /, **values: object) -> str:
    """Translate a source string into the language of this page."""
    return i18n.say(language(), message, **values)


class Form(FlaskForm):
    """A form whose built-in messages are in the language of the page."""

    class Meta(FlaskForm.Meta):
        @property
        def locales(self) -> list[str]:
            return [language()]

        def render_field(self, field: Any, render_kw: dict[str, Any]) -> Any:
            """Name the limit in `data-most`, which kairan.js watches: `maxlength` cuts what is pasted without a word."""
            most = render_kw.pop("maxlength", None) or getattr(field.flags, "maxlength", None)
            return super().render_field(
                field, {"maxlength": False, **({"data-most": most} if most else {}), **render_kw}
            )

        def get_translations(self, form: Any) -> Any:
            from wtforms.i18n import get_translations

            return get_translations(self.locales) if language() != "en" else None


# ── permissions ───────────────────────────────────────────────────────────────────────────────────────


def permissions() -> Permissions:
    if "rights" not in g:
        g.rights = permissions_of(current_user)
    return g.rights


def get_list_or_404(number: int, need: str = "view") -> MailingList:
    """Return a list that the user may `view`, `send` to or `manage`. Raise 404 if the user may not view it (T-33)."""
    mailing_list = MailingList.get_or_none(MailingList.id == number)
    if mailing_list is None or not permissions().may_list("view", mailing_list):
        abort(404)
    if not permissions().may_list(need, mailing_list):
        forbid(need, [mailing_list.id])
    return mailing_list


def get_notice_or_404(number: int, need: str = "view") -> Notice:
    """Return a notice that the user may `view` or control (`send`). Raise 404 if the user may not view it."""
    notice = Notice.get_or_none(Notice.id == number)
    if notice is None or not permissions().may_notice("view", notice):
        abort(404)
    if not permissions().may_notice(need, notice):
        raise PermissionDenied(who_can.holders_for_notice(notice))
    return notice


def get_or_404(table: type[Table], **fields: Any) -> Table:
    """Return the row with these values. Raise 404 if there is none."""
    row = table.get_or_none(**fields)
    return abort(404) if row is None else row


class PermissionDenied(Forbidden):
    """403 because a permission is missing; `holders` names the users to ask."""

    def __init__(self, holders: who_can.PermissionHolders) -> None:
        super().__init__()
        self.holders = holders


def forbid(need: str, lists: Collection[int] = ()) -> NoReturn:
    """Raise 403. The page names users with this permission in all of these lists, or users who can grant it."""
    raise PermissionDenied(who_can.holders_for_lists(need, lists))


def who_can_sentence(need: str, *lists: MailingList) -> str:
    """Return the sentence that names the users with a permission. Shown in place of the missing button."""
    return who_can.holders_for_lists(need, [mailing_list.id for mailing_list in lists]).sentence(language())


def who_can_control_sentence(notice: Notice) -> str:
    """Return the sentence that names the users who may control a notice."""
    return who_can.holders_for_notice(notice).sentence(language())


MAX_ROW_ID = 2**63 - 1


class RowIdConverter(IntegerConverter):
    """`<int:…>` in URLs. A number above the 64-bit limit of SQLite gives 404, not a database error."""

    def __init__(self, map: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(map, *args, **{"max": MAX_ROW_ID, **kwargs})


def parse_row_id(text: str) -> int:
    """Parse a row id from a form or a query. Raise ValueError if it is outside the range of row ids."""
    row_id = int(text)
    if not 0 <= row_id <= MAX_ROW_ID:
        raise ValueError(text)
    return row_id


def public_view(view: Callable) -> Callable:
    """Mark a view of an organizers' blueprint as open without login (login page, set-up, links in letters)."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def requires(need: str) -> Callable:
    """Require a permission (`admin`, `manage`, `send`) in at least one list."""

    def decorate(view: Callable) -> Callable:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not permissions().may(need):
                forbid(need)
            return view(*args, **kwargs)

        return guarded

    return decorate


def ensure_confirmed(endpoint: str, **values: Any) -> None:
    """Ask for the second factor, or the password, before a sensitive action, unless the user showed it minutes ago.

    Aborts with a redirect to the page that asks; from there the user comes back to `endpoint`, which must be a GET page.
    """
    if not second_factor.is_confirmed(current_user.session, clock.now()):
        target = keep_posted_form(current_user) or url_for(endpoint, **values)
        abort(redirect_to("account.confirm_identity", next=target))


# ── posted forms that wait for a login ────────────────────────────────────────────────────────────────────────────────


def keep_posted_form(user: User) -> str | None:
    """Keep the posted form for its user; return the address that shows it filled in. None if it cannot be kept."""
    page = _page_of_form()
    if request.method != "POST" or page is None:
        return None
    row = kept_forms.keep_form(
        user,
        page=page,
        action=request.path,
        fields=list(request.form.items(multi=True)),
        has_files=any(file.filename for file in request.files.values()),
        now=clock.now(),
        by_itself=is_htmx(),
    )
    return url_for("account.show_kept_form", number=row.id) if row else None


def _page_of_form() -> str | None:
    """Return the path and query of the page that holds the posted form; None if no page of this site does.

    A page that was answered to a POST has an address that cannot be opened: then the next address above it.
    """
    sent_by = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "")
    if sent_by.netloc == request.host and _opens(sent_by.path):
        return sent_by._replace(scheme="", netloc="", fragment="").geturl()
    path = request.path
    while path and not _opens(path):
        path = path.rpartition("/")[0]
    return path or None


def _opens(path: str) -> bool:
    """Say whether a GET of this path finds an organizers' page."""
    try:
        endpoint, _values = current_app.url_map.bind("").match(path, "GET")
    except HTTPException:
        return False
    return not endpoint.startswith(("public.", "static"))


# ── responses ──────────────────────────────────────────────────────────────────────────────────────────────────────


def is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true" and not request.headers.get("HX-History-Restore-Request")


def uses_https() -> bool:
    """Say whether browsers reach these pages by https: this request, or the address of the pages as it is set now."""
    return request.is_secure or settings.load_settings().base_url.startswith("https://")


def redirect_to(endpoint: str, **values: Any) -> Response:
    """Redirect after a POST (303, or HX-Redirect for htmx)."""
    target = url_for(endpoint, **values)
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": target, **_htmx_refresh_header(target)})
    return redirect(target, code=303)  # type: ignore[return-value]


def _htmx_refresh_header(target: str) -> dict[str, str]:
    """Force a reload if the target is an anchor of the current page. The browser would only scroll there."""
    current, new = urlsplit(request.headers.get("HX-Current-URL", "")), urlsplit(target)
    same = new.fragment and (current.path, current.query) == (new.path, new.query)
    return {"HX-Refresh": "true"} if same else {}


def flash_message(message: str, /, kind: str = "note", **values: object) -> None:
    """Flash a translated message; `kind` is `note` or `wrong`."""
    flash(_(message, **values), kind)


def add_field_error(form: FlaskForm, field: str, message: str, /, **values: object) -> None:
    """Add a domain error to the field that it names, or to the first field if the form lacks that field."""
    target = form[field] if field in form else next(iter(form))
    target.errors = [*target.errors, _(message, **values)]


@contextmanager
def errors_in(form: FlaskForm, field: str = "") -> Iterator[None]:
    """Add a DomainError of this block to the field that it names, or to `field`. Then the caller shows the form."""
    try:
        yield
    except DomainError as error:
        add_field_error(form, field or error.field, error.message, **error.values)


def render_page(template: str, /, partial: str | None = None, status: int = 200, **context: Any) -> tuple[str, int]:
    """Render the page, or only its partial for htmx."""
    return render_template(partial if partial and is_htmx() else template, **context), status


Link = tuple[str, str]
"""URL and translated label."""


def message_page(
    title: str,
    *sentences: str,
    note: str = "",
    hint: str = "",
    link: Link | None = None,
    foot: Link | None = None,
    layout: str = "plain.html",
    status: int = 200,
    repeat: list[tuple[str, str]] | None = None,
) -> tuple[str, int]:
    """Render a page with one message ("done", "gone", "not now"). All texts must be translated.

    An error that answers a form shows what was typed. repeat: the fields of a button that sends the form again.
    """
    values = {"title": title, "sentences": sentences, "note": note, "hint": hint, "link": link, "foot": foot}
    typed = typed_words() if status >= 400 else []
    return render_template("message.html", layout=layout, typed=typed, repeat=repeat, **values), status


_SHORT_CODE = re.compile(r"[!-~]{0,60}")


def typed_words() -> list[str]:
    """Return the words of the posted form: not the numbers, keys and dates that the page itself has put there."""
    if request.method != "POST":
        return []
    try:
        posted = kept_forms.without_secrets(list(request.form.items(multi=True)))
    except HTTPException:
        return []  # the form was too large to be read
    return words_among(text for _name, text in posted)


def words_among(values: Iterable[str]) -> list[str]:
    """Return the values that a person has written, each once."""
    return list(dict.fromkeys(text for text in values if not _SHORT_CODE.fullmatch(text.strip())))


FILE_CSP = "default-src 'none'; frame-ancestors 'none'; sandbox"


def send_stored_file(path: Path | None, name: str, kind: str, inline: bool = False) -> Response:
    """Send an uploaded file that cannot act as a page of this site (XSS by upload). Raise 404 if it is missing."""
    if path is None:
        abort(404)
    answer = send_file(path, mimetype=kind, as_attachment=not inline, download_name=name, max_age=0)
    answer.headers["Content-Security-Policy"] = FILE_CSP
    answer.headers["Cache-Control"] = "no-store"
    return answer


def send_bytes(content: bytes, name: str, kind: str) -> Response:
    """Send bytes as a download, with the same headers as `send_stored_file`."""
    answer = send_file(io.BytesIO(content), mimetype=kind, as_attachment=True, download_name=name, max_age=0)
    answer.headers["Content-Security-Policy"] = FILE_CSP
    answer.headers["Cache-Control"] = "no-store"
    return answer


def no_content_if_seen(serial: object) -> Response | None:
    """Answer a poll with 204 if `?seen=` equals this serial."""
    if request.args.get("seen") == str(serial):
        return Response(status=204)
    return None


LETTER_CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
BASE_TARGET_BLANK = '<base target="_blank">'


def letter_response(html: str) -> Response:
    """Send the HTML of a letter under its own policy: no script, no remote content, links in a new window."""
    return Response(BASE_TARGET_BLANK + html, headers={"Content-Security-Policy": LETTER_CSP})


def style_nonce() -> str:
    """Return the CSP nonce for the editor's style elements. Only a page that calls this allows a nonce."""
    if "style_nonce" not in g:
        g.style_nonce = secrets.token_urlsafe(16)
    return g.style_nonce


def csp_with_style_nonce(policy: str) -> str:
    """Add the style nonce to the policy if this page uses one."""
    if "style_nonce" not in g:
        return policy
    return policy.replace("style-src 'self'", f"style-src 'self' 'nonce-{g.style_nonce}'")


class Page:
    """One page of a query, with its number, the last page and the total."""

    def __init__(self, query: ModelSelect, number: int, size: int = 50) -> None:
        self.total = query.count()
        self.last = max(1, -(-self.total // size))
        self.number = min(max(1, number), self.last)
        self.rows = list(query.paginate(self.number, size))
        self.first_row = (self.number - 1) * size + 1 if self.total else 0
        self.last_row = min(self.number * size, self.total)


def paginate(query: ModelSelect, size: int = 50) -> Page:
    """Return the page named by `?page=`."""
    return Page(query, request.args.get("page", 1, type=int), size)


def csv_response(rows: Iterable[Iterable[object]], name: str) -> Response:
    """Send rows as CSV (UTF-8 with byte order mark). Cells that look like a formula are escaped."""
    answer = Response(write_csv(rows), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


# ── templates ────────────────────────────────────────────────────────────────────────────────────────────────────


def icon(name: str) -> Markup:
    """Return an icon as SVG. It is hidden from screen readers, so a visible text must stand beside it."""
    href = current_app.jinja_env.globals["asset"]("icons.svg")
    return Markup('<svg class="i" aria-hidden="true"><use href="{}#{}"></use></svg>').format(href, escape(name))


def qr_code(text: str, label: str) -> Markup:
    """Return a QR code as SVG on a white background, readable in dark mode; `label` is its accessible name."""
    code = handouts.qr_svg_path(text)
    return Markup(
        '<svg class="qr" role="img" aria-label="{0}" viewBox="0 0 {1} {1}"><path fill="#fff" d="M0 0h{1}v{1}H0z"/>'
        '<path stroke="#000" d="{2}"/></svg>'
    ).format(label, code.size, code.path)


def init_app(app: Flask) -> None:
    """Register the URL converter, template filters and template globals."""
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
        disk=disk_space,
    )
    app.jinja_env.globals.update(
        organization=Organization.load_row,
        practice=lambda: settings.load_settings().practice,
        quarantine=quarantine.is_active,
        letters_wait=lambda: settings.load_settings().lacks_route,
        own_domain=lambda: settings.load_settings().own_addresses,
        mail_comes_in=settings.accepts_list_mail,
    )
