"""The board: who has confirmed a notice, who has not, and whom to telephone (T-45, N-17)."""

from flask import Blueprint

bp = Blueprint("responses", __name__)
VIEWS = ("answers", "board")
