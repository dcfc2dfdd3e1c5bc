"""Rosters in and out."""
