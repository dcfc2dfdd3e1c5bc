"""The web server of the product in a thread of the test."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cli import web_server


@contextmanager
def server_of(app, max_body: int = 1000) -> Iterator[tuple[int, web_server.Server]]:
    """Serve a WSGI application on a free port; yield the port and the server."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.setblocking(False)
    server = web_server.Server(app, listening, max_body)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], server
    finally:
        server.stop()
        thread.join(30)
        server.close()
        assert not thread.is_alive()
