"""Letters that follow joining by themselves."""
