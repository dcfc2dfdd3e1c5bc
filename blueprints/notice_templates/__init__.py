"""Samples: words to begin a notice from."""
