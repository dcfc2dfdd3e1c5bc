"""「その他」: the organization's settings, the outbox, the record."""
