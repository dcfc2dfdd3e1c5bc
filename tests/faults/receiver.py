"""A mail server that misbehaves at one place, as a row of `tests.faults.cases` says, and counts what it took.

Many connections at once; each letter that it may have kept is in `stored`, once for each time that it took it.
"""

import os
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

GOOD = {
    "greeting": "220 receiver ready",
    "DATA": "354 go on",
    "end": "250 2.0.0 taken",
    "QUIT": "221 2.0.0 bye",
    "AUTH": "235 2.7.0 welcome",
    "STARTTLS": "220 2.0.0 go ahead",
}
OFFERS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")
PATIENCE_S = 20.0
"""A connection that is kept open without an answer ends after this."""


@dataclass
class Fault:
    """What happens at a place: greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, content, end, RSET or QUIT.

    answer: a reply line, or a name of `ACTS`; "stored " before it: the letter is kept first.
    times: how often, 0: always. after: so many letters are taken before. to: only for addresses that begin with it.
    """

    place: str
    answer: str
    times: int = 0
    after: int = 0
    to: str = ""


@dataclass
class Receiver:
    """Answers by `fault` until it is None. scheme, user: of the address that the installation is given.

    offers: what EHLO names besides STARTTLS (if there is `tls`) and AUTH (if there is a `user`). hides: names neither.
    """

    fault: Fault | None = None
    offers: tuple[str, ...] = OFFERS
    scheme: str = "smtp"
    user: str = ""
    tls: ssl.SSLContext | None = None
    hides: bool = False
    loses_input: bool = False
    stored: list[str] = field(default_factory=list)
    heard: Counter = field(default_factory=Counter)
    met: int = 0
    connections: int = 0

    def __enter__(self) -> "Receiver":
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def url(self) -> str:
        """Return the setting KAIRAN_SMTP."""
        return f"{self.scheme}://{self.user}127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset the connections that are open."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Be a good server from now on."""
        self.fault, self.hides = None, False

    def times(self) -> Counter:
        """Return how often the letter to each address was kept."""
        return Counter(self.stored)

    def keep(self, address: str) -> None:
        with self._lock:
            self.stored.append(address)

    def faulty(self, place: str, to: str = "") -> str:
        """Return the answer of the fault if it strikes here and now, "" otherwise."""
        fault = self.fault
        with self._lock:
            self.heard[place] += 1
            strikes = fault is not None and fault.place == place and len(self.stored) >= fault.after
            if not strikes or (fault.times and self.met >= fault.times) or not to.startswith(fault.to):
                return ""
            self.met += 1
            return fault.answer

    def wait(self) -> None:
        """Keep a connection open and silent."""
        self._ended.wait(PATIENCE_S)

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with suppress(OSError, ValueError), _Talk(self, connection) as talk:
            talk.run()
        self._open.discard(connection)


class _Talk:
    """One connection."""

    def __init__(self, receiver: Receiver, connection: socket.socket) -> None:
        self.receiver, self.socket = receiver, connection
        self.buffer, self.to, self.last, self.secure = b"", "", "", False
        self.refused = False

    def __enter__(self) -> "_Talk":
        self.socket.settimeout(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def run(self) -> None:
        if not self.answer("greeting"):
            return
        while (line := self._line()) is not None:
            verb = line.split()[0].upper() if line.strip() else "?"
            if verb == "RCPT":
                self.to = line.partition("<")[2].rpartition(">")[0]
            if not self.answer(verb) or verb == "QUIT":
                return
            if verb == "DATA" and self.last.startswith("354") and not self._content():
                return
            if verb == "STARTTLS" and self.last.startswith("220"):
                self._secure()

    def answer(self, place: str) -> bool:
        """Answer at a place; return whether the connection goes on."""
        told = self.receiver.faulty("EHLO" if place == "HELO" else place, self.to)
        if place == "HELO" and told.startswith("502"):
            told = ""
        if told.startswith("stored "):
            self.receiver.keep(self.to)
            told = told.removeprefix("stored ")
        elif place == "end" and (not told or told.startswith("2") or told in KEEPING):
            self.receiver.keep(self.to)
        self.last = told if told and told not in KEEPING else self._good(place)
        if place in ("MAIL", "RCPT", "DATA"):
            if place == "MAIL":
                self.refused = False
            elif self.refused:
                self.last = "503 5.5.1 no sender and no recipient"
            self.refused = self.refused or self.last[:1] in "45"
        if told in ACTS:
            return ACTS[told](self, self._good(place))
        self.say(self.last)
        return not self.last.startswith("421")

    def _good(self, place: str) -> str:
        if place == "EHLO":
            offers = [*self.receiver.offers]
            offers += ["STARTTLS"] if self.receiver.tls and not self.secure and not self.receiver.hides else []
            offers += ["AUTH PLAIN LOGIN"] if self.receiver.user and not self.receiver.hides else []
            return "\r\n".join([*(f"250-{one}" for one in ("receiver", *offers[:-1])), f"250 {(offers or ['x'])[-1]}"])
        return GOOD.get(place, "250 2.1.0 ok")

    def say(self, line: str) -> None:
        self.socket.sendall(line.encode() + b"\r\n")

    def _secure(self) -> None:
        assert self.receiver.tls
        self.socket = self.receiver.tls.wrap_socket(self.socket, server_side=True)
        self.secure, self.buffer = True, b""

    def _line(self) -> str | None:
        while b"\n" not in self.buffer:
            if not (more := self.socket.recv(65536)):
                return None
            self.buffer += more
        line, _, rest = self.buffer.partition(b"\n")
        self.buffer = b"" if self.receiver.loses_input else rest
        return line.decode("latin-1")

    def _content(self) -> bool:
        if told := self.receiver.faulty("content", self.to):
            return ACTS[told](self, "")
        while not (self.buffer.endswith(b"\r\n.\r\n") or b"\r\n.\r\n" in self.buffer or self.buffer == b".\r\n"):
            if not (more := self.socket.recv(262144)):
                return False
            self.buffer += more
        content, _, self.buffer = self.buffer.rpartition(b".\r\n") if self.buffer.endswith(b".\r\n") else self._cut()
        if not content:  # ended without a letter, as after a refused recipient of pipelined commands
            self.say("554 5.5.1 no letter")
            return True
        return self.answer("end")

    def _cut(self) -> tuple[bytes, bytes, bytes]:
        content, mark, rest = self.buffer.partition(b"\r\n.\r\n")
        return content, mark, rest


def _pieces(line: bytes, pause_s: float = 0.002) -> Iterator[bytes]:
    for at in range(len(line)):
        yield line[at : at + 1]
        time.sleep(pause_s)


def _hang(talk: _Talk, good: str) -> bool:
    talk.receiver.wait()
    return False


def _reset(talk: _Talk, good: str) -> bool:
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _drip(talk: _Talk, good: str) -> bool:
    for piece in _pieces(good.encode() + b"\r\n"):
        talk.socket.sendall(piece)
    return True


def _garbage(talk: _Talk, good: str) -> bool:
    talk.socket.sendall(os.urandom(64).replace(b"\n", b"?").replace(b"2", b"?") + b"\r\n")
    return True


def _endless(pause_s: float) -> Callable[[_Talk, str], bool]:
    def talk_on(talk: _Talk, good: str) -> bool:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            talk.say(f"{good[:3]}-and more")
            time.sleep(pause_s)
        return False

    return talk_on


def _says(change: Callable[[str], bytes]) -> Callable[[_Talk, str], bool]:
    def say(talk: _Talk, good: str) -> bool:
        talk.socket.sendall(change(good))
        return True

    return say


ACTS: dict[str, Callable[[_Talk, str], bool]] = {
    "hang": _hang,
    "close": lambda talk, good: False,
    "reset": _reset,
    "drip": _drip,
    "garbage": _garbage,
    "endless": _endless(0),
    "endless slow": _endless(0.05),
    "overlong": _says(lambda good: good[:4].encode() + b"x" * 200_000 + b"\r\n"),
    "8-bit": _says(lambda good: good[:4].encode() + "受け取りました".encode("shift_jis") + b"\r\n"),
    "many lines": _says(
        lambda good: b"".join(b"%b-line\r\n" % good[:3].encode() for _ in range(50)) + good.encode() + b"\r\n"
    ),
    "no text": _says(lambda good: good[:3].encode() + b"\r\n"),
    "LF only": _says(lambda good: good.encode() + b"\n"),
    "twice": _says(lambda good: (good.encode() + b"\r\n") * 2),
    "slow": lambda talk, good: time.sleep(0.15) or _says(lambda one: one.encode() + b"\r\n")(talk, good),
}
KEEPING = {"drip", "8-bit", "many lines", "no text", "LF only", "slow", "overlong", "twice"}
"""Acts that answer, in the end, that the letter was taken."""
