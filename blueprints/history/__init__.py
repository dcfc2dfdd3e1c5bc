"""What was sent: when, who, what, to whom, with what outcome; searchable, and never altered (T-40, T-41, T-03)."""

from flask import Blueprint

bp = Blueprint("history", __name__)
VIEWS = ("views",)
