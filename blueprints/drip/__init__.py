"""Letters that follow joining by themselves."""

from flask import Blueprint

bp = Blueprint("drip", __name__, url_prefix="/lists/<int:number>/steps")
VIEWS = ("views",)
