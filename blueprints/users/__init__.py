"""Who organizes: invitations, roles, disabled accounts. For administrators."""
