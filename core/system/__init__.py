"""The installation: set-up, diagnostics, health e-mail, hand-over sheet."""
