"""The board (T-45, N-17) and the answers of a notice (T-52)."""

from flask import Blueprint

bp = Blueprint("responses", __name__)
VIEWS = ("notice_head", "answers", "board", "phone_list")
