"""Import and export rosters."""
