"""Pages of mailing lists: members, settings, imports and exports."""

from flask import Blueprint

bp = Blueprint("lists", __name__, url_prefix="/lists")
VIEWS = ("groups", "imports", "non_readers", "views")
