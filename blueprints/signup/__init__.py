"""How people join a list by themselves: codes, registration day, who waits for approval."""

from flask import Blueprint

bp = Blueprint("signup", __name__)
VIEWS = ("handouts", "views")
