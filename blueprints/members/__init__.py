"""Pages of one member."""

from flask import Blueprint

bp = Blueprint("members", __name__)
VIEWS = ("direct_message", "views")
