"""The page of a list's mail: who may post, who manages, how mails are taken (T-26, T-37 to T-39)."""

from flask import Blueprint

bp = Blueprint("allowed_senders", __name__, url_prefix="/lists/<int:number>/senders")
VIEWS = ("views",)
