"""Mail without tables: addresses, composing, signing, SMTP, IMAP and reading."""
