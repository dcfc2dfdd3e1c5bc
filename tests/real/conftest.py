"""What the tests with real servers stand on."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that Postfix's own user can reach: pytest closes its own folders to everybody else."""
    with tempfile.TemporaryDirectory(prefix="kairan-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
