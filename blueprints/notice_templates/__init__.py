"""Templates: text to begin a notice with."""

from flask import Blueprint

bp = Blueprint("notice_templates", __name__, url_prefix="/samples")
VIEWS = ("views",)
