"""Pages and forms of allowed senders and posting rules."""

from flask import Response
from flask_login import current_user
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

import clock
from blueprints.allowed_senders import bp
from core.accounts import who_can
from core.inbound import allowed_senders
from i18n import N_
from models import AllowedSender, MailingList
from web import Form, errors_in, flash_message, get_list_or_404, get_or_404, redirect_to, render_page

REQUIRED = InputRequired(N_("Please fill in this field."))


class SenderForm(Form):
    """An allowed address, and the sender name that readers see."""

    address = StringField(N_("E-mail address"), [REQUIRED, Length(max=254)])
    name = StringField(N_("Name that readers see as the sender"), [Length(max=60)])


class PostingRulesForm(Form):
    post_ask = BooleanField(N_("Always ask the sender before a mail is distributed"))
    post_confirm = BooleanField(N_("Ask readers of posted mails for “I have read this”"))


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


def _sender_or_404(number: int, which: int) -> tuple[MailingList, AllowedSender]:
    mailing_list = get_list_or_404(number, "manage")
    return mailing_list, get_or_404(AllowedSender, id=which, list=mailing_list)


@bp.get("")
def index(number: int) -> Answer:
    mailing_list = get_list_or_404(number, "manage")
    return _senders_page(mailing_list, SenderForm(None), PostingRulesForm(None, obj=mailing_list))


def _senders_page(mailing_list: MailingList, form: SenderForm, door: PostingRulesForm, status: int = 200) -> Answer:
    return render_page(
        "allowed_senders/index.html",
        status=status,
        list=mailing_list,
        senders=allowed_senders.list_senders(mailing_list),
        managers=who_can.managers_of(mailing_list),
        form=form,
        door=door,
    )


@bp.post("")
def add_sender(number: int) -> Answer:
    """Register an address and send it a trial letter."""
    mailing_list, form = get_list_or_404(number, "manage"), SenderForm()
    door = PostingRulesForm(None, obj=mailing_list)
    if form.validate():
        with errors_in(form):
            sender = allowed_senders.add_sender(
                mailing_list, current_user, form.address.data, form.name.data, clock.now()
            )
            flash_message(N_("%(address)s may post now. A trial letter is on its way there."), address=sender.address)
            return redirect_to("allowed_senders.index", number=number)
    return _senders_page(mailing_list, form, door, 422)


@bp.post("/door")
def save_posting_rules(number: int) -> Answer:
    mailing_list, form = get_list_or_404(number, "manage"), PostingRulesForm()
    if not form.validate():
        return _senders_page(mailing_list, SenderForm(None), form, 422)
    allowed_senders.set_posting_rules(
        mailing_list, current_user, post_ask=form.post_ask.data, post_confirm=form.post_confirm.data
    )
    flash_message(N_("Saved."))
    return redirect_to("allowed_senders.index", number=number)


@bp.route("/<int:which>", methods=["GET", "POST"])
def edit_sender(number: int, which: int) -> Answer:
    """Change an address or its name. A new address gets its own trial letter."""
    mailing_list, sender = _sender_or_404(number, which)
    form = SenderForm(obj=sender)
    if form.validate_on_submit():
        with errors_in(form):
            allowed_senders.update_sender(sender, current_user, form.address.data, form.name.data, clock.now())
            flash_message(N_("Saved."))
            return redirect_to("allowed_senders.index", number=number)
    status = 422 if form.errors else 200
    return render_page("allowed_senders/edit.html", status=status, list=mailing_list, sender=sender, form=form)


@bp.post("/<int:which>/trial")
def send_trial_email(number: int, which: int) -> Answer:
    _, sender = _sender_or_404(number, which)
    allowed_senders.send_verification(sender, current_user, clock.now())
    flash_message(N_("A trial letter is on its way to %(address)s."), address=sender.address)
    return redirect_to("allowed_senders.index", number=number)


@bp.post("/<int:which>/remove")
def remove_sender(number: int, which: int) -> Answer:
    """Remove a sender. The last one of a list cannot be removed (T-38)."""
    _, sender = _sender_or_404(number, which)
    try:
        allowed_senders.remove_sender(sender, current_user)
        flash_message(N_("%(address)s cannot post any more."), address=sender.address)
    except allowed_senders.LastSenderError as refused:
        flash_message(refused.message, "wrong")
    return redirect_to("allowed_senders.index", number=number)
