"""What Kairan does: one file per noun, verbs inside. No Flask and no huey here."""
