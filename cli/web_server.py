"""The web server: two processes of waitress share one port.

waitress reads a whole request in its event loop before it uses a thread. So a slow client holds a connection but no
thread. It also sends the responses from the loop. This module adds the deadlines, the limit of connections, a log
without URLs, and the processes.
"""

import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import click
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import RequestEntityTooLarge

from app import create_app
from cli import common
from config import current_config
from database import db

PROCESSES = 2
THREADS = 4
"""Threads of each process."""
MAX_CONNECTIONS = 500
"""Connections of each process. Above, the oldest connection without a request in work is closed."""
MAX_HEADER_BYTES = 32 * 2**10
IN_MEMORY_BYTES = 64 * 2**10
"""Octets of a request body in memory; a longer body goes to a temporary file."""

MAX_BODIES_BYTES = 256 * 2**20
"""Octets of all request bodies that a process keeps, most of them on disk. Above, the largest unfinished uploads are closed."""

HEADER_TIMEOUT_S = 15
"""From the first octet of a request to the end of its header."""
BODY_TIMEOUT_S = 30
"""From the first octet to the end of the body; one second more for each MIN_OCTETS_PER_S that have arrived."""
MIN_OCTETS_PER_S = 8 * 2**10
IDLE_TIMEOUT_S = 130
"""Between two requests, and before the first. Caddy keeps a connection to us for 120 s."""
SEND_TIMEOUT_S = 60
"""Without progress in sending a response."""
LINGER_S = 5
"""After a request that was too large: the client may still be sending, and would lose the response to a reset."""
STOP_TIMEOUT_S = 20
"""After SIGTERM, for requests in work and responses."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command(hidden=True)
@common.with_installation
def pages() -> None:
    """The web server; started and watched by the supervisor."""
    common.exit_with_parent()
    app = create_app(current_config())
    db.close()  # a SQLite connection must not survive a fork
    serve(app, current_config().host, current_config().port, app.config["MAX_CONTENT_LENGTH"])


def serve(app: Any, host: str, port: int, max_body: int) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then finish the requests in work and exit."""
    _log_without_urls()
    _raise_file_limit()
    listening = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
    )
    listening.setblocking(False)
    _Processes(lambda: _serve_in_process(app, listening, max_body)).run()


def _serve_in_process(app: Any, listening: socket.socket, max_body: int) -> None:
    server = Server(app, listening, max_body)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: server.stop())
    common.exit_with_parent()
    server.run()


class _Processes:
    """Keeps the server processes running: starts one again that dies, and ends them together."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._running: set[int] = set()
        self._stopping = False

    def run(self) -> NoReturn:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._reading, self._writing = os.pipe()  # its closing end tells the children that this process has ended
        while not self._stopping or self._running:
            signal.pthread_sigmask(
                signal.SIG_BLOCK, _STOP_SIGNALS
            )  # a child must be known before a signal is passed on
            while not self._stopping and len(self._running) < PROCESSES:
                self._running.add(self._fork())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            if self._stopping:
                self._end_children()
            if not self._running:
                break
            ended, status = os.waitpid(-1, 0)
            self._running.discard(ended)
            if not self._stopping:
                logging.getLogger("kairan.web").warning("a web process ended with %s; starting it again", status)
                time.sleep(0.2)
        raise SystemExit(0)

    def _fork(self) -> int:
        if child := os.fork():
            return child
        code = 1
        try:
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            os.close(self._writing)
            os.environ[common.PARENT_PIPE] = str(self._reading)
            self._work()
            code = 0
        finally:
            os._exit(code)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        self._end_children()

    def _end_children(self) -> None:
        """Send SIGTERM to each child. Repeatable."""
        for child in list(self._running):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)


class _Parser(HTTPRequestParser):
    """Lets the application answer a body above the limit, with its own page. The body is not read."""

    is_too_large = False

    def received(self, data: bytes) -> int:
        consumed = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self.headers["CONTENT_LENGTH"] = str(max(self.content_length, self.body_bytes_received))
            self.headers["CONNECTION"] = "close"
            self.error, self.is_too_large = None, True
        return consumed


class _Channel(HTTPChannel):
    """A connection with deadlines. The clock is monotonic, in seconds."""

    parser_class = _Parser
    lingers_until: float | None = None
    _is_too_large = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._idle_since = time.monotonic()
        self._began: float | None = None
        self._sent_at = self._idle_since
        super().__init__(*args, **kwargs)

    def is_late(self, now: float) -> bool:
        """Say whether the client has used up the time for what it does now."""
        if self.lingers_until is not None:
            return now > self.lingers_until
        if self.total_outbufs_len:
            return now - self._sent_at > SEND_TIMEOUT_S
        if self.requests:
            return False
        if self._began is None:
            return now - self._idle_since > IDLE_TIMEOUT_S
        request = self.request
        if request is None or not request.headers_finished:
            return now - self._began > HEADER_TIMEOUT_S
        return now - self._began > BODY_TIMEOUT_S + request.body_bytes_received / MIN_OCTETS_PER_S

    @property
    def body_bytes(self) -> int:
        """Return the octets of the bodies that this connection keeps, of requests in work too."""
        kept = [*self.requests, self.request] if self.request is not None else self.requests
        return sum(request.body_bytes_received for request in kept)

    @property
    def is_waiting(self) -> bool:
        """Say whether this connection waits for its client: no request in work, nothing to send."""
        return not self.requests and not self.total_outbufs_len

    def received(self, data: bytes) -> bool:
        if self._began is None:  # empty lines between requests do not start the time anew
            self._began = time.monotonic()
        return super().received(data)

    def service(self) -> None:
        self._is_too_large = self._is_too_large or getattr(self.requests[0], "is_too_large", False)
        self._sent_at = time.monotonic()
        super().service()
        self._idle_since = self._sent_at = time.monotonic()
        self._began = self._idle_since if self.request is not None else None

    def _flush_some(self, do_close: bool = True) -> bool:
        sent = super()._flush_some(do_close)
        if sent:
            self._sent_at = time.monotonic()
        return sent

    def readable(self) -> bool:
        return self.lingers_until is not None or super().readable()

    def handle_read(self) -> None:
        if self.lingers_until is None:
            super().handle_read()
        else:
            self.recv(self.adj.recv_bytes)  # closes at the end of the stream

    def handle_close(self) -> None:
        """Close; after a request that was too large only the sending half first."""
        if self._is_too_large and self.lingers_until is None and self.connected and not self.total_outbufs_len:
            self.lingers_until = time.monotonic() + LINGER_S
            self.will_close = False
            try:
                self.socket.shutdown(socket.SHUT_WR)
                return
            except OSError:
                pass
        super().handle_close()
        if self.request is not None:
            self.request.close()  # the file of an unfinished upload


class Server(TcpWSGIServer):
    """Serves one process until `stop`, with deadlines for every connection."""

    channel_class = _Channel

    def __init__(self, app: Any, listening: socket.socket, max_body: int) -> None:
        settings = Adjustments(
            sockets=[listening],
            clear_untrusted_proxy_headers=False,  # ProxyFix in the application decides which count
            ident="",
            connection_limit=MAX_CONNECTIONS + 100,
            cleanup_interval=1,
            max_request_header_size=MAX_HEADER_BYTES,
            max_request_body_size=max_body + 1,
            inbuf_overflow=IN_MEMORY_BYTES,
            log_socket_errors=False,
            asyncore_use_poll=True,
        )
        self._stopping_until: float | None = None
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(THREADS)
        super().__init__(
            app,
            {},
            True,
            listening,
            dispatcher=dispatcher,
            adj=settings,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
        )

    def maintenance(self, now: float) -> None:
        moment = time.monotonic()
        for channel in list(self.active_channels.values()):
            if channel.is_late(moment):
                channel.handle_close()
        self._limit_bodies()

    def _limit_bodies(self) -> None:
        """Close unfinished uploads until all bodies fit: whoever sends many may not fill the disk."""
        sizes = {channel: channel.body_bytes for channel in self.active_channels.values()}
        total = sum(sizes.values())
        for channel in sorted((one for one in sizes if one.is_waiting), key=sizes.__getitem__, reverse=True):
            if total <= MAX_BODIES_BYTES:
                return
            total -= sizes[channel]
            channel.handle_close()

    def handle_accept(self) -> None:
        if len(self.active_channels) >= MAX_CONNECTIONS:
            oldest = next((channel for channel in self.active_channels.values() if channel.is_waiting), None)
            if oldest:
                oldest.handle_close()
        super().handle_accept()

    def stop(self) -> None:
        """End `run` after the requests in work. For signal handlers."""
        self._stopping_until = self._stopping_until or time.monotonic() + STOP_TIMEOUT_S
        self.pull_trigger()

    def run(self) -> None:
        while self._stopping_until is None:
            wasyncore.poll2(self.adj.asyncore_loop_timeout, self._map)
        self.accepting = False
        while time.monotonic() < self._stopping_until:
            for channel in [one for one in self.active_channels.values() if one.is_waiting]:
                channel.handle_close()
            if not self.active_channels:
                break
            wasyncore.poll2(0.1, self._map)
        self.task_dispatcher.shutdown(timeout=1)


def _raise_file_limit() -> None:
    """Allow two files for each connection: its socket and a body in a temporary file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(4 * MAX_CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _log_without_urls() -> None:
    """Silence waitress below errors, and replace its messages, which hold the path and so a reader's token."""
    logger = logging.getLogger("waitress")
    logger.setLevel(logging.ERROR)
    logging.getLogger("waitress.queue").setLevel(logging.CRITICAL)
    logger.addFilter(_drop_message)


def _drop_message(record: logging.LogRecord) -> bool:
    record.msg, record.args = "fault in the web server", ()
    return True


COMMANDS = (pages,)
