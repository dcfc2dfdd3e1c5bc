"""Posting by mail: allowed senders, managers, and how posts are handled (T-26, T-37 to T-39)."""

from flask import Blueprint

bp = Blueprint("allowed_senders", __name__, url_prefix="/lists/<int:number>/senders")
VIEWS = ("views",)
