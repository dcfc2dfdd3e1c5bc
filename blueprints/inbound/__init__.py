"""Inbound messages and their outcomes, for administrators; pages behind signed links."""

from flask import Blueprint

bp = Blueprint("inbound", __name__)
VIEWS = ("link_pages", "views")
