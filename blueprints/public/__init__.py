"""Readers' pages. The token of a letter is the authority: no login, no cookie, no script needed (T-18, T-44).

A GET only records the visit. HEAD and OPTIONS run no view (law 3).
"""

from flask import Blueprint

bp = Blueprint("public", __name__)
VIEWS = ("answer_page", "preferences", "signup_page", "views")
