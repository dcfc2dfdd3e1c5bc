"""The way of the letters: fill, claim, send, record, and what servers say."""
