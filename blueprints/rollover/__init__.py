"""Rollover: year end and new roster."""

from flask import Blueprint

bp = Blueprint("rollover", __name__, url_prefix="/rollover")
VIEWS = ("views",)
