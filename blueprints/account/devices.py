"""Name and remove the devices on which a user has logged in."""

from flask import Response, abort
from flask_login import current_user
from wtforms import StringField

import clock
from blueprints.account import bp, session_cookies
from core.accounts import devices
from core.errors import DomainError
from i18n import N_
from models import Device
from web import Form, flash_message, redirect_to


class DeviceNameForm(Form):
    name = StringField(N_("Name of the device"))


def _device_or_404(number: int) -> Device:
    return Device.get_or_none(Device.id == number, Device.user == current_user, Device.revoked_at.is_null()) or abort(
        404
    )


@bp.post("/account/devices/<int:number>/name")
def rename_device(number: int) -> Response:
    device, form = _device_or_404(number), DeviceNameForm()
    try:
        devices.rename_device(device, form.name.data or "")
        flash_message(N_("Saved."))
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
    return redirect_to("account.index", _anchor="devices")


@bp.post("/account/devices/<int:number>/remove")
def remove_device(number: int) -> Response:
    """Log the device out. The next login there is one on a new device."""
    device = _device_or_404(number)
    devices.revoke_device(device, clock.now())
    if device.id == current_user.session.device_id:
        return session_cookies.clear_browser_session()
    flash_message(N_("The device is removed and logged out."))
    return redirect_to("account.index", _anchor="devices")
