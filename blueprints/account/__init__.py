"""The doors of the house: log in, log out, links from letters, one's own account."""

from flask import Blueprint

bp = Blueprint("account", __name__)
VIEWS = ("views",)
