"""Set-up, mail modes, diagnostics, health e-mail and hand-over sheet."""
