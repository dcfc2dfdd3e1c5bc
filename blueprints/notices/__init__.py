"""Notices: recipients, words, check, send, watch."""

from flask import Blueprint

bp = Blueprint("notices", __name__, url_prefix="/notices")
