"""The walker of the matrix, on an installation of its own."""

import socket
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.security.walk import Walker


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection at once: some pages try a mail server or the addresses in a text."""

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def walker(config: object, one_app: Flask, no_network: None) -> Iterator[Walker]:
    """The school of the matrix, with a browser for each role; forms without CSRF tokens."""
    kept = dict(one_app.config)
    one_app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    made = Walker.start(one_app)
    yield made
    made.stop()
    one_app.config.clear()
    one_app.config.update(kept)
