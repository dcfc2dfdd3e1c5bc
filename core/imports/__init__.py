"""Rosters in and out: read, plan, apply, undo, export."""
