"""What arrives by mail, and where it goes."""
