"""The change of the school year: year end and new roster."""
