"""The purge after the school year, and links in purged letters."""
