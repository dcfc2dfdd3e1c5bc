"""Clients that hold a connection open and send as little as they can, and a look at the pages meanwhile."""

import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from urllib.parse import urlencode

from tests.cast import PASSWORD

HEADER = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
HALF_BODY = HEADER + b"Content-Length: 4000\r\n\r\nname="
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def slow_clients(port: int, count: int = 200) -> Iterator[list[socket.socket]]:
    """Hold so many connections: half a header, half a body, idle after an answer, one octet a second."""
    lines = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
    stop = threading.Event()
    header, body, idle, drip = (lines[kind::4] for kind in range(4))
    for line in header:
        line.sendall(HEADER)
    for line in body:
        line.sendall(HALF_BODY)
    for line in idle:
        line.sendall(WHOLE)
    for line in idle:
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    for line in drip[::2]:
        line.sendall(HALF_BODY)

    def send_slowly() -> None:
        while not stop.wait(1):
            for line in drip:
                try:
                    line.sendall(b"G")
                except OSError:  # the server has closed it
                    continue

    sender = threading.Thread(target=send_slowly, daemon=True)
    sender.start()
    try:
        yield lines
    finally:
        stop.set()
        sender.join(5)
        for line in lines:
            line.close()


def visit(port: int, reader_page: str, user: str, limit_s: float = 10) -> list[float]:
    """Ask for /healthz and a reader's page, and log in; return the seconds of each of the four answers."""
    base = f"http://127.0.0.1:{port}"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    took = []

    def ask(path: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        began = time.monotonic()
        data = urlencode(form).encode() if form else None
        request = urllib.request.Request(base + path, data, {"Referer": base})
        with browser.open(request, timeout=limit_s) as page:
            text = page.read().decode()
        took.append(time.monotonic() - began)
        return page.url, text

    assert ask("/healthz")[1]
    assert "見ました" in ask(reader_page)[1]
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', ask("/login")[1])
    assert token
    url, _ = ask("/login", {"csrf_token": token[1], "name": user, "password": PASSWORD})
    assert url == f"{base}/", "logged in"
    return took
