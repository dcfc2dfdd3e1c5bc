"""Login, logout, links from letters to organizers, the user's own account, second factor and devices."""

from flask import Blueprint

bp = Blueprint("account", __name__)
VIEWS = ("views", "verification", "second_factor", "devices", "kept_forms")
