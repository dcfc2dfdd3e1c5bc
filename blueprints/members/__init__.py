"""One member: the page, editing, the address, the states."""

from flask import Blueprint

bp = Blueprint("members", __name__)
VIEWS = ("direct_message", "views")
