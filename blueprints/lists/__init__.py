"""Lists: their members page by page, their settings, rosters in and out."""

from flask import Blueprint

bp = Blueprint("lists", __name__, url_prefix="/lists")
VIEWS = ("groups", "imports", "non_readers", "views")
