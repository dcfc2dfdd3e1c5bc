"""The first set-up of an installation, behind a one-time link."""
