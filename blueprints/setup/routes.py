from flask import Blueprint

from web import public

bp = Blueprint("setup", __name__)


@bp.get("/setup")
@public
def welcome():
    return ""
