from flask import Blueprint


bp = Blueprint("admin", __name__, url_prefix="/admin")


@bp.get("/")
def index():
    return ""


@bp.get("/outbox")
def outbox():
    return ""
