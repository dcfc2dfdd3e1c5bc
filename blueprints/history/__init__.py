"""History of sent notices: time, sender, recipients, outcome; searchable, read-only (T-40, T-41, T-03)."""

from flask import Blueprint

bp = Blueprint("history", __name__)
VIEWS = ("views",)
