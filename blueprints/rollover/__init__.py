"""The change of the school year: the year's end, the new roster."""

from flask import Blueprint

bp = Blueprint("rollover", __name__, url_prefix="/rollover")
VIEWS = ("views",)
