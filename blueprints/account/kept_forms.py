"""The way back to a page whose form met an ended session, a foreign form token or a confirmation."""

from urllib.parse import urlencode

from flask import Response, redirect
from flask_login import current_user

import clock
from blueprints.account import bp
from core.accounts import kept_forms
from i18n import N_
from web import _, message_page

Answer = Response | tuple[str, int]


@bp.get("/account/kept/<int:number>")
def show_kept_form(number: int) -> Answer:
    """Lead to the page of the form, which `web_security` fills in. Nothing is done before the user presses again."""
    row = kept_forms.form_of_user(current_user, number, clock.now())
    if row is None:
        return message_page(
            _("This is not kept for you"),
            _(N_("Words that met an ended login are kept for three days, for the user who typed them.")),
            link=("/", _("To the first page")),
            status=404,
        )
    return redirect(f"{row.page}{'&' if '?' in row.page else '?'}{urlencode({'kept': row.id})}", code=303)  # type: ignore[return-value]
