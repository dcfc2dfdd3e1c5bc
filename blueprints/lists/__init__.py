"""Lists: their members page by page, their settings, rosters in and out."""

from flask import Blueprint

bp = Blueprint("lists", __name__, url_prefix="/lists")
VIEWS = ("class_teacher", "groups", "imports", "move_copy", "non_readers", "views")
