"""Signup of a list: settings, join codes, registration day, approvals, hand-outs."""

from flask import Blueprint

bp = Blueprint("signup", __name__)
VIEWS = ("handouts", "views")
