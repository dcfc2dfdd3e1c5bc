"""A notice until it goes: words, recipients, questions, files, warnings, and what is written by itself."""
