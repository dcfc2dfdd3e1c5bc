"""Service letters: one `notify()` and the catalogue of their kinds."""
