"""Initial set-up of an installation, behind a one-time link."""

from flask import Blueprint

bp = Blueprint("setup", __name__)
VIEWS = ("views",)
