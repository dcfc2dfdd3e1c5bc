"""Notices: recipients, words, check, send, watch."""

from flask import Blueprint

bp = Blueprint("notices", __name__, url_prefix="/notices")
VIEWS = (
    "approval",
    "attachment_pages",
    "cancel_links",
    "check",
    "compose",
    "control",
    "letter_preview",
    "person_search",
    "question_form",
    "reminder_pages",
    "rich_text",
    "sender_name",
    "tracking_options",
    "views",
)
