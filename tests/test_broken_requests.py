"""Bytes that are no request, sent to the running pages: the log names no token, no address, nothing of them (law 2)."""

import secrets
import socket

import pytest

from tests.processes import parts, until

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(120)]

TOKEN = secrets.token_hex(13)
ADDRESS = f"{TOKEN[:8]}@example.jp"
READ = f"/r/{TOKEN}".encode()
MAIL = ADDRESS.encode()
GET = b"GET " + READ + b" HTTP/1.1\r\nHost: x\r\n"
BROKEN = {
    "no version": b"GET " + READ + b"\r\n\r\n",
    "version of the future": b"GET " + READ + b" HTTP/9.9\r\n\r\n",
    "signs in the method": b"G@T " + READ + b" HTTP/1.1\r\n\r\n",
    "space in the address": b"GET " + READ + b" " + MAIL + b" HTTP/1.1\r\n\r\n",
    "only an address": MAIL + b"\r\n\r\n",
    "SMTP": b"MAIL FROM:<" + MAIL + b">\r\nRCPT TO:<" + MAIL + b">\r\n\r\n",
    "too long a line": b"GET " + READ + b"?" + MAIL * 900 + b" HTTP/1.1\r\n\r\n",
    "too long a header": GET + b"X-From: " + MAIL * 900 + b"\r\n\r\n",
    "too many headers": GET + b"".join(b"X-%d: %s\r\n" % (n, MAIL) for n in range(200)) + b"\r\n",
    "header without colon": GET + MAIL + b"\r\n\r\n",
    "header with a space": GET + b"X " + MAIL + b": 1\r\n\r\n",
    "folded header": GET + b"X: 1\r\n " + MAIL + b"\r\n\r\n",
    "NUL in a header": GET + b"X: " + MAIL + b"\0\r\n\r\n",
    "bare newline": b"GET " + READ + b" HTTP/1.1\nHost: x\nX" + MAIL + b"\n\n",
    "length that is none": GET + b"Content-Length: " + MAIL + b"\r\n\r\n",
    "negative length": GET + b"Content-Length: -1\r\n\r\n" + MAIL,
    "unknown coding": GET + b"Transfer-Encoding: " + MAIL + b"\r\n\r\n",
    "length and chunks": GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + MAIL,
    "broken chunk": b"POST " + READ + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + MAIL + b"\r\n",
    "cut off": b"POST " + READ + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\nname=" + MAIL,
    "half a line": b"GET " + READ,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MAIL + READ,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + MAIL,
    "PROXY": b"PROXY TCP4 " + MAIL + b" 1.2.3.4 1 2\r\n" + GET + b"\r\n",
    "not UTF-8": b"GET " + READ + b"%ff\xff HTTP/1.1\r\nHost: \xff" + MAIL + b"\r\n\r\n",
    "broken form": b"POST " + READ + b" HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=\xff\r\n"
    b"Content-Length: 40\r\n\r\n--\xff\r\n" + MAIL + b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
    "host that is none": b"GET " + READ + b" HTTP/1.1\r\nHost: " + MAIL + b"/..\r\n\r\n",
    "other scheme": b"GET ftp://" + MAIL + READ + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


def test_no_broken_request_leaves_a_token_or_an_address_in_the_log(school, config):
    """defences: whatever stands in front or scans, its bytes may be somebody's link."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with parts(config.data, http=f"127.0.0.1:{port}", mail_domain=config.mail_domain) as house:
        house.start("serve")
        assert until(lambda: b"200 OK" in sent(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 40), house.said()
        replies = {name: sent(port, raw) for name, raw in BROKEN.items()}
        assert b"200 OK" in sent(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "the pages still answer"
        said = house.said()
    assert [one for one in (TOKEN, TOKEN[:8], "example.jp") if one in said] == []
    assert "Traceback" not in said
    assert replies["version of the future"].startswith(b"HTTP/1.") and b" 200 " not in replies["too many headers"]


def sent(port: int, raw: bytes) -> bytes:
    """Send bytes, say that no more will come, and return what is answered."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            reply = b""
            while part := line.recv(65536):
                reply += part
            return reply
    except OSError:  # the server closed without a word
        return b""
