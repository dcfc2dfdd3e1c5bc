"""Rich text in letters: sanitizing, rendering, and the text made from it."""
