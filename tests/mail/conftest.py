"""Property tests here are the same at every run, and a busy machine does not make them fail."""

from hypothesis import settings

settings.register_profile("kairan", deadline=None, derandomize=True)
settings.load_profile("kairan")
