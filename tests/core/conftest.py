"""What many tests of sending stand on: an author, and a mail server."""

from collections.abc import Iterator

import pytest

from models import User
from tests import smarthost
from tests.cast import School


@pytest.fixture
def hanako(school: School) -> User:
    return school.users["花子"]


@pytest.fixture
def host(school: School) -> Iterator[smarthost.Smarthost]:
    """A server that takes what it is not told to refuse; the installation sends through it, without limits."""
    with smarthost.running() as (found, port):
        smarthost.send_by(port)
        yield found
