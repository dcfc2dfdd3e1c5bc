from flask import Blueprint

from web import public

bp = Blueprint("account", __name__)


@bp.get("/login")
@public
def login():
    return ""


@bp.get("/account")
@public
def index():
    return ""
