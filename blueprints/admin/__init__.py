"""「その他」: the organization's settings, the outbox, the record."""

from flask import Blueprint

bp = Blueprint("admin", __name__)
VIEWS = ("audit_log", "mail_setup", "views")
