"""Users: invitations, roles, disabled accounts. For administrators."""

from flask import Blueprint

bp = Blueprint("users", __name__, url_prefix="/users")
VIEWS = ("views",)
