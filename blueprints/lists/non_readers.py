"""Members who confirm no notices, and the monthly test that finds them (N-09, field 5.1)."""

from datetime import time

from flask import Response
from flask_login import current_user
from wtforms import SelectField, TimeField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired

import clock
from blueprints.lists import bp
from core.members import address_states
from core.notices import monthly_test
from core.reports import non_readers
from i18n import N_
from models import MailingList
from web import Form, _, flash_message, get_list_or_404, permissions, redirect_to, render_page

NOON = time(12, 30)


class MonthlyTestForm(Form):
    """Day of the month, and time."""

    day = SelectField(N_("Day of the month"), coerce=int)
    at = TimeField(N_("Time of day"), [InputRequired(N_("Write a time, for example 18:00."))], default=NOON)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        days = [SelectChoice(day, _("on day %(n)s", n=day)) for day in range(1, monthly_test.MAX_DAY_OF_MONTH + 1)]
        self.day.choices = [SelectChoice(0, _("no test")), *days]


@bp.get("/<int:number>/silent")
def show_non_readers(number: int) -> Response | tuple[str, int]:
    """Show members who confirmed none of the last three notices."""
    mailing_list = get_list_or_404(number)
    minutes = mailing_list.monthly_test_minute
    form = MonthlyTestForm(None, day=mailing_list.monthly_test_day or 0, at=time(minutes // 60, minutes % 60))
    return _non_readers_page(mailing_list, form)


def _non_readers_page(mailing_list: MailingList, form: MonthlyTestForm, status: int = 200) -> tuple[str, int]:
    notices = non_readers.last_confirmable_notices(mailing_list, clock.now())
    may_test = permissions().may_list("manage", mailing_list)
    return render_page(
        "lists/non_readers.html",
        status=status,
        list=mailing_list,
        notices=notices,
        non_readers=non_readers.find_non_readers(mailing_list, notices),
        states=address_states.SENTENCES,
        may_send=permissions().may_list("send", mailing_list),
        form=form if may_test else None,
        next_attempt_at=monthly_test.next_test_at(mailing_list, clock.now()),
    )


@bp.post("/<int:number>/reception")
def save_monthly_test(number: int) -> Response | tuple[str, int]:
    """Set or remove the monthly test."""
    mailing_list, form = get_list_or_404(number, "manage"), MonthlyTestForm()
    if not form.validate():
        return _non_readers_page(mailing_list, form, 422)
    at = form.at.data or NOON
    monthly_test.set_test_day(mailing_list, current_user, form.day.data or None, at.hour * 60 + at.minute)
    flash_message(N_("Saved."))
    return redirect_to("lists.show_non_readers", number=number)
