"""Samples: words to begin a notice from."""

from flask import Blueprint

bp = Blueprint("notice_templates", __name__, url_prefix="/samples")
VIEWS = ("views",)
