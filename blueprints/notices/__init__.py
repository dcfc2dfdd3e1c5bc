"""Pages for writing, sending and following notices."""

from flask import Blueprint

bp = Blueprint("notices", __name__, url_prefix="/notices")
VIEWS = (
    "approval",
    "attachment_pages",
    "cancel_links",
    "check",
    "content",
    "content_form",
    "recipients",
    "reminder_pages",
    "sender_options",
    "urgent_pages",
    "views",
)
