"""Mail servers on loopback for tests: a real one (aiosmtpd), and one that misbehaves as told."""

import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mail.server_urls import SmtpServer


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@dataclass
class Sink:
    """Take mails and answer as told: `answers` maps "mail", "rcpt", "end" to a reply line."""

    answers: dict[str, str] = field(default_factory=dict)
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        session.host_name = hostname
        self.sessions.add(f"{session.peer} {hostname}")
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        envelope.mail_from = address
        return self.answers.get("mail", "250 2.1.0 ok")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if "rcpt" not in self.answers:
            envelope.rcpt_tos.append(address)
        return self.answers.get("rcpt", "250 2.1.5 ok")

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.answers.get("end") == "drop":
            server.transport.abort()
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return self.answers.get("end", "250 2.0.0 taken")


@contextmanager
def run_sink(answers: dict[str, str] | None = None, **options: object) -> Iterator[tuple[Sink, SmtpServer]]:
    """Run a real SMTP server."""
    handler = Sink(answers or {})
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), ident="sink", **options)
    controller.start()
    try:
        yield handler, SmtpServer("127.0.0.1", controller.port)
    finally:
        controller.stop()


def authenticate_hanako(server, session, envelope, mechanism, auth_data) -> AuthResult:
    """Let in user "hanako@school" with password "p:@ss/word" alone."""
    wanted = LoginPassword(b"hanako@school", b"p:@ss/word")
    return AuthResult(success=auth_data == wanted, handled=False)


def self_signed_context(folder: Path) -> ssl.SSLContext:
    """Return a server's TLS settings with a certificate that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.school.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


GOOD = {"": "220 ready", "EHLO": "250 ok", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", ".": "250 2.0.0 ok"}


def first_lines(connection: socket.socket) -> Iterator[bytes]:
    """Give the first line of each piece that arrives; content comes whole."""
    while piece := connection.recv(100_000):
        yield b".\r\n" if piece.endswith(b"\r\n.\r\n") else piece.partition(b"\n")[0] + b"\n"


class ScriptedServer:
    """A server that answers by a table: verb (or "" for the greeting, "." for the end) to reply line.

    Values "close" and "reset" cut the connection, "silence" never answers, a list gives one answer after
    the other; a function is handed the connection and says whether to go on. "content": "reset" cuts it when content
    begins to come, "silence" reads no more. loses_input: only the first line of what comes at once is heard.
    """

    def __init__(self, *, loses_input: bool = False, **answers: object) -> None:
        self.loses_input = loses_input
        self.answers = {**GOOD, **{verb.replace("greeting", "").replace("end", "."): a for verb, a in answers.items()}}
        self.heard: list[str] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> SmtpServer:
        self._thread.start()
        return SmtpServer("127.0.0.1", self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._done.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(OSError), connection.makefile("rb") as lines:
                self._talk(connection, first_lines(connection) if self.loses_input else lines)

    def _talk(self, connection: socket.socket, lines: Iterator[bytes]) -> None:
        if not self._answer(connection, ""):
            return
        for line in lines:
            verb = line.split()[0].decode("latin-1").upper() if line.strip() else "?"
            self.heard.append(line.decode("latin-1").strip())
            if verb == "DATA" and self.answers["DATA"].startswith("354"):
                if not self._answer(connection, "DATA") or not self._content(connection, lines):
                    return
                verb = "."
            if not self._answer(connection, verb):
                return

    def _content(self, connection: socket.socket, lines: Iterator[bytes]) -> bool:
        if self.answers.get("content") == "reset":
            return self._cut(connection, "reset")
        if self.answers.get("content") == "silence":
            self._done.wait(5)
            return False
        return any(line == b".\r\n" for line in lines)

    def _answer(self, connection: socket.socket, verb: str) -> bool:
        told = self.answers.get(verb, "250 ok")
        answer = told.pop(0) if isinstance(told, list) else told
        if callable(answer):
            return answer(connection)
        if answer in ("close", "reset"):
            return self._cut(connection, answer)
        if answer == "silence":
            self._done.wait(5)
            return False
        connection.sendall(answer.encode() + b"\r\n")
        return True

    @staticmethod
    def _cut(connection: socket.socket, how: str) -> bool:
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
