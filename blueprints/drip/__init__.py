"""Drip messages: letters sent some days after signup."""

from flask import Blueprint

bp = Blueprint("drip", __name__, url_prefix="/lists/<int:number>/steps")
VIEWS = ("views",)
