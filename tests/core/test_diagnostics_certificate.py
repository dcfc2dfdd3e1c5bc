"""What the doctor says of the certificate of the pages, asked of a real TLS server on loopback."""

import datetime as moments
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import clock
from core.system import diagnostics

DAYS = 40


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate for localhost, good for forty days, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = moments.datetime.now(moments.UTC) - moments.timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + moments.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def pages(certificate) -> Iterator[str]:
    """A server that shakes hands and hangs up; its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    door = socket.create_server(("localhost", 0))

    def serve() -> None:
        try:
            caller, _ = door.accept()
            with caller, context.wrap_socket(caller, server_side=True):
                pass
        except OSError:  # the visitor did not like what it saw
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://localhost:{door.getsockname()[1]}"
    thread.join(5)
    door.close()


@pytest.fixture
def trusted(certificate, monkeypatch) -> None:
    made = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: made(cafile=str(certificate)))


def test_one_that_nobody_vouches_for_is_wrong(pages):
    found = diagnostics._check_certificate(pages, clock.now())
    assert (found.kind, found.ok) == ("certificate", False)
    assert "Caddy" in found.advice


@pytest.mark.parametrize(("left", "fine"), [(DAYS - 1, True), (13, False)])
def test_one_that_runs_out_soon_is_said_in_time(pages, trusted, left, fine):
    found = diagnostics._check_certificate(pages, clock.now() + moments.timedelta(days=DAYS - 1 - left))
    assert (found.ok, bool(found.advice)) == (fine, not fine)
    assert (
        found.found == (moments.datetime.now(moments.UTC) + moments.timedelta(days=DAYS, hours=-1)).date().isoformat()
    )


def test_pages_that_do_not_answer_are_not_known():
    with socket.create_server(("localhost", 0)) as door:
        port = door.getsockname()[1]
    assert diagnostics._check_certificate(f"https://localhost:{port}", clock.now()).ok is None
