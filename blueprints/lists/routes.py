from flask import Blueprint


bp = Blueprint("lists", __name__, url_prefix="/lists")


@bp.get("/")
def index():
    return ""
