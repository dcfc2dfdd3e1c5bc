"""Incoming mail for the administrators: what came, what became of it, and what nobody could read."""

from flask import Blueprint

bp = Blueprint("inbound", __name__)
VIEWS = ("link_pages", "views")
