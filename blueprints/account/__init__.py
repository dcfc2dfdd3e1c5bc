"""Login, logout, links from letters to organizers, and the user's own account."""

from flask import Blueprint

bp = Blueprint("account", __name__)
VIEWS = ("views",)
