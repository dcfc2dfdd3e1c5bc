"""「その他」: settings, outbox, audit log."""

from flask import Blueprint

bp = Blueprint("admin", __name__)
VIEWS = ("audit_log", "mail_setup", "restored_copy", "views")
