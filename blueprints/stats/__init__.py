"""Statistics of notices, over time and for one notice."""

from flask import Blueprint

bp = Blueprint("stats", __name__, url_prefix="/figures")
VIEWS = ("views",)
