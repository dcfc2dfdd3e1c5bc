from flask import Blueprint


bp = Blueprint("history", __name__)


@bp.get("/history")
def index():
    return ""
