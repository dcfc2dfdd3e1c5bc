"""The readers' pages, opened by the token of a letter: no login, no cookie, no script needed (T-18, T-44).

GET never acts but for counting the visit, HEAD and OPTIONS never run (law 3). The token is the authority."""

from flask import Blueprint

bp = Blueprint("public", __name__)
VIEWS = ("answer_page", "preferences", "signup_page", "views")
