"""The first page after login."""

from flask import Blueprint

bp = Blueprint("home", __name__)
VIEWS = ("views",)
