"""A session of smtplib with limits: time, lines and bytes of each whole reply. It ends when it is cancelled.

smtplib bounds each recv only: a server that sends one line a second would hold it for ever.
"""

import errno
import os
import select
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from mail.server_urls import SmtpServer

BLOCK_LIMIT_S, MIN_BYTES_PER_S = 180.0, 5000
"""A message must be taken within the block limit of RFC 5321 plus its size at this speed."""
CONNECT_LIMIT_S, OTHER_LIMIT_S, QUIT_LIMIT_S = 30.0, 60.0, 2.0
"""Greeting, EHLO, TLS and login get one minute: before MAIL a new attempt costs nothing."""
STOP_GRACE_S = 3.0
SLICE_S = 0.25
SLOW_S = 15.0
MAX_REPLY_LINES, MAX_REPLY_BYTES = 128, 65536


class Interrupted(TimeoutError):  # noqa: N818
    """The process was told to stop while it waited for the server."""


class ServerWait:
    """Bounds each wait for a server: by a time limit, and by STOP_GRACE_S once `stopped()`.

    `on_slow` is called every SLOW_S seconds of one wait.
    """

    def __init__(self, stopped: Callable[[], bool], on_slow: Callable[[], None]) -> None:
        self._stopped, self._on_slow = stopped, on_slow
        self._stop_seen: float | None = None
        self._slow_told = 0.0

    def check(self, began: float, limit_s: float) -> None:
        """Raise TimeoutError if a wait that began then (monotonic) is over, Interrupted if the process must stop."""
        now = time.monotonic()
        if now - began > limit_s:
            raise TimeoutError("the mail server took too long")
        if now - began < SLICE_S:
            return
        if self._stopped():
            self._stop_seen = self._stop_seen or now
            if now - self._stop_seen > STOP_GRACE_S:
                raise Interrupted("told to stop")
        elif now - max(began, self._slow_told) > SLOW_S:
            self._slow_told = now
            self._on_slow()

    def until(self, limit_s: float, step: Callable[[], object]) -> None:
        """Repeat a step that returns within SLICE_S until it returns a true value."""
        began = time.monotonic()
        while not step():
            self.check(began, limit_s)

    def connect(self, host: str, port: int, limit_s: float) -> socket.socket:
        """Return a connected socket to the first address of a host that answers."""
        failure = OSError("the name has no address")
        for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            found = socket.socket(family, kind, protocol)
            try:
                self._connect_socket(found, where, limit_s)
            except OSError as error:
                found.close()
                failure = error
                if isinstance(error, Interrupted):
                    break
            else:
                return found
        raise failure

    def _connect_socket(self, found: socket.socket, where: Any, limit_s: float) -> None:
        found.setblocking(False)
        code = found.connect_ex(where)
        if code == errno.EINPROGRESS:
            self.until(limit_s, lambda: select.select([], [found], [], SLICE_S)[1])
            code = found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        found.settimeout(SLICE_S)


class BoundedTls:
    """A TLS context whose handshake is bounded like every other wait."""

    def __init__(self, context: ssl.SSLContext, wait: ServerWait, limit_s: float) -> None:
        self._context, self._wait, self._limit_s = context, wait, limit_s

    def wrap_socket(self, plain: socket.socket, server_hostname: str) -> ssl.SSLSocket:
        secure = self._context.wrap_socket(plain, server_hostname=server_hostname, do_handshake_on_connect=False)
        try:
            self._wait.until(self._limit_s, lambda: _shake_hands(secure))
        except OSError:
            secure.close()
            raise
        return secure


def _shake_hands(secure: ssl.SSLSocket) -> bool:
    try:
        secure.do_handshake()
    except TimeoutError:
        return False
    return True


class SmtpSession(smtplib.SMTP):
    """smtplib's session with bounded waits: each reply as a whole has a time, lines and bytes (`limit_s`, MAX_REPLY_…).

    smtplib bounds each recv only: a server that sends one line a second would hold it for ever.
    """

    def __init__(
        self, server: SmtpServer, hello: str, wait: ServerWait, timeout: float | None, tls: BoundedTls | None
    ) -> None:
        self._wait, self._connect_limit_s, self._tls = wait, timeout or CONNECT_LIMIT_S, tls
        self._buffer = bytearray()
        self._buffered_from: socket.socket | None = None
        self.limit_s, self._block_limit_s = timeout or OTHER_LIMIT_S, timeout or BLOCK_LIMIT_S
        super().__init__(server.host, server.port, hello)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        found = self._wait.connect(host, port, self._connect_limit_s)
        return self._tls.wrap_socket(found, host) if self._tls else found

    def send(self, s: Any) -> None:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        data = s.encode(self.command_encoding) if isinstance(s, str) else s
        sent = self._send_part(data)
        if sent == len(data):
            return
        began, limit_s = time.monotonic(), self._block_limit_s + len(data) / MIN_BYTES_PER_S
        rest = memoryview(data)[sent:]
        while rest:
            self._check(began, limit_s)  # never after the last part: the server may have it
            rest = rest[self._send_part(rest) :]

    def _send_part(self, data: bytes | memoryview) -> int:
        """Send what the server takes within SLICE_S; return how many bytes."""
        try:
            return self.sock.send(data)  # type: ignore[union-attr]
        except TimeoutError:
            return 0
        except OSError as error:
            raise self._disconnected(str(error)) from error

    def getreply(self) -> tuple[int, bytes]:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        if self._buffered_from is not self.sock:  # what came before TLS does not count
            self._buffer, self._buffered_from = bytearray(), self.sock
        texts: list[bytes] = []
        began, size, code, more = time.monotonic(), 0, b"", True
        while more:
            line = self._read_line(began, MAX_REPLY_BYTES - size)
            size += len(line)
            code, more = line[:3], line[3:4] == b"-"
            texts.append(line[4:].strip())
            if not code.isdigit():
                return -1, b"\n".join(texts)
            if more:
                if len(texts) >= MAX_REPLY_LINES:
                    raise self._disconnected("the answer has too many lines")
                self._check(began, self.limit_s)
        return int(code), b"\n".join(texts)

    def _read_line(self, began: float, limit: int) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > limit:
                raise self._disconnected("the answer is too long")
            try:
                received = self.sock.recv(8192)  # type: ignore[union-attr]
            except TimeoutError:
                received = None
            except OSError as error:
                raise self._disconnected(str(error)) from error
            if received == b"":
                raise self._disconnected("the server closed the connection")
            self._buffer += received or b""
            if b"\n" not in self._buffer:  # an answer that was read counts, however late
                self._check(began, self.limit_s)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _check(self, began: float, limit_s: float) -> None:
        try:
            self._wait.check(began, limit_s)
        except Interrupted:
            self.close()
            raise
        except TimeoutError as error:  # not as if it could not be reached: it took the connection
            raise self._disconnected(str(error)) from error

    def _disconnected(self, why: str) -> smtplib.SMTPServerDisconnected:
        self.close()
        return smtplib.SMTPServerDisconnected(why)
