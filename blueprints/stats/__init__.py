"""What came of notices in figures, over time and one by one."""

from flask import Blueprint

bp = Blueprint("stats", __name__, url_prefix="/figures")
VIEWS = ("views",)
