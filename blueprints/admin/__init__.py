"""「その他」: the organization"s settings, the outbox, the record."""

from flask import Blueprint

bp = Blueprint("admin", __name__)
VIEWS = (
    "audit_log",
    "carrier_pages",
    "dev_outbox",
    "health",
    "mail_setup",
    "organization_settings",
    "retention",
    "safety_settings",
    "views",
)
