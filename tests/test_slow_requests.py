"""Slow clients hold connections but no thread: the pages go on answering, and every connection has a deadline."""

import http.client
import os
import signal
import socket
import threading
import time

import pytest

from cli import web_server
from models import Delivery
from tests.mail.smtp_servers import free_port
from tests.processes import children, lives, parts, until
from tests.slow_clients import HALF_BODY, HEADER, WHOLE, slow_clients, visit
from tests.smarthost import begun
from tests.web_thread import server_of

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(120)]


@pytest.fixture
def served(school, config):
    """The running web server: its processes, its port and the page of a reader."""
    notice = begun(school.users["守"], [school.lists["1-1"]], read_confirmation=True)
    page = f"/r/{Delivery.get(Delivery.notice == notice).token}"
    port = free_port()
    with parts(config.data, http=f"127.0.0.1:{port}", mail_domain=config.mail_domain) as house:
        process = house.start("pages")
        assert until(lambda: answers(port), 40), house.said()
        yield house, process, port, page


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            line.sendall(WHOLE)
            return line.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def test_the_pages_answer_while_two_hundred_clients_are_slow(served):
    house, _, port, page = served
    with slow_clients(port, 200):
        took = [seconds for _ in range(3) for seconds in visit(port, page, "守")]
    assert max(took) < 10 and len(took) == 12
    assert "Traceback" not in house.said()


def test_a_web_process_that_dies_is_started_again_and_all_end_together(served):
    house, process, port, _ = served
    assert until(lambda: len(children(process.pid)) == 2)
    before = set(children(process.pid))
    os.kill(min(before), signal.SIGKILL)
    assert until(lambda: len(children(process.pid)) == 2 and set(children(process.pid)) != before, 10)
    assert answers(port)
    left = set(children(process.pid))
    process.terminate()
    assert process.wait(20) == 0
    assert not any(map(lives, left))
    assert "started again" not in house.said() and "starting it again" in house.said()


def test_the_web_processes_end_when_their_parent_is_killed(served):
    _, process, _, _ = served
    assert until(lambda: len(children(process.pid)) == 2)
    left = set(children(process.pid))
    process.kill()
    process.wait(10)
    assert until(lambda: not any(map(lives, left)), 20)


# ── one process, a small application, short deadlines ───────────────────────────────────────────────


def hello(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def connected(port, *sent):
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    for part in sent:
        line.sendall(part)
    return line


def answer_to(line, *sent):
    """Send; return the answer up to its body `hello`."""
    reply = b""
    for part in sent:
        line.sendall(part)
    while not reply.endswith(b"hello") and (part := line.recv(1000)):
        reply += part
    return reply


def is_closed(line):
    """Wait for the server to close; a reset counts."""
    try:
        while line.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    ("deadline", "sent"),
    [
        ("HEADER_TIMEOUT_S", [HEADER]),
        ("HEADER_TIMEOUT_S", [b"\r\n\r\n"]),
        ("HEADER_TIMEOUT_S", [WHOLE, b"GET / HT"]),
        ("BODY_TIMEOUT_S", [HALF_BODY]),
        ("BODY_TIMEOUT_S", [HEADER + b"Transfer-Encoding: chunked\r\n\r\n4\r\nna"]),
        ("IDLE_TIMEOUT_S", []),
        ("IDLE_TIMEOUT_S", [WHOLE]),
    ],
    ids=["header", "empty lines", "second header", "body", "chunk", "silent", "kept alive"],
)
def test_each_wait_for_a_client_ends_at_its_own_deadline(monkeypatch, deadline, sent):
    for name in ("HEADER_TIMEOUT_S", "BODY_TIMEOUT_S", "IDLE_TIMEOUT_S"):
        monkeypatch.setattr(web_server, name, 0.2 if name == deadline else 1000)
    with server_of(hello, max_body=10_000) as (port, _), connected(port, *sent) as line:
        assert is_closed(line)


def test_a_client_that_drips_is_closed_and_a_steady_one_is_not(monkeypatch):
    monkeypatch.setattr(web_server, "BODY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(web_server, "MIN_OCTETS_PER_S", 50)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n"
    with server_of(hello) as (port, _), connected(port, head) as drip, connected(port, head + b"x" * 100) as steady:
        ended = threading.Event()
        threading.Thread(target=lambda: is_closed(drip) and ended.set(), daemon=True).start()
        while not ended.wait(0.1):
            try:
                drip.sendall(b"x")
            except OSError:
                break
        assert ended.wait(20)
        assert answer_to(steady, b"x" * 100).startswith(b"HTTP/1.1 200")


def test_readers_who_take_no_bytes_hold_no_thread(monkeypatch):
    monkeypatch.setattr(web_server, "SEND_TIMEOUT_S", 0.5)
    page = b"x" * 8 * 2**20

    def large(environ, start_response):
        body = page if environ["PATH_INFO"] == "/large" else b"small"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with server_of(large) as (port, server):
        slow = [connected(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3 * web_server.THREADS)]
        with connected(port, b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n") as quick:
            assert quick.recv(100).startswith(b"HTTP/1.1 200")
        assert until(lambda: not server.active_channels, 20), "closed for want of progress"
        for line in slow:
            line.close()


def test_the_oldest_waiting_connection_makes_room(monkeypatch):
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 5)
    with server_of(hello) as (port, _):
        lines = [connected(port, WHOLE) for _ in range(5)]
        assert all(answer_to(line).startswith(b"HTTP/1.1 200") for line in lines)
        with connected(port, WHOLE) as newest:
            assert answer_to(newest).startswith(b"HTTP/1.1 200")
        assert is_closed(lines[0])
        assert answer_to(lines[4], WHOLE).startswith(b"HTTP/1.1 200")
        for line in lines:
            line.close()


def test_many_large_bodies_do_not_fill_the_disk(monkeypatch):
    """The largest unfinished uploads are closed; smaller ones and other requests are answered."""
    monkeypatch.setattr(web_server, "MAX_BODIES_BYTES", 300_000)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
    with server_of(hello, max_body=1_000_000) as (port, server), connected(port, head + b"x" * 1000) as small:
        large = [connected(port, head + b"x" * 150_000) for _ in range(4)]
        for line in large[:3]:
            line.settimeout(60)
        kept = lambda: sum(one.body_bytes for one in list(server.active_channels.values()))  # noqa: E731
        assert until(lambda: len(server.active_channels) < 5 and 0 < kept() <= 300_000, 60)
        with connected(port) as other:
            assert answer_to(other, WHOLE).startswith(b"HTTP/1.1 200")
        assert answer_to(small, b"x" * 199_000).startswith(b"HTTP/1.1 200")
        for line in large:
            line.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_body_above_the_limit_is_answered_by_the_application(chunked):
    """The client sends to the end, and still reads the whole answer."""
    seen = []

    def app(environ, start_response):
        seen.append(int(environ["CONTENT_LENGTH"]))
        start_response("413 Content Too Large", [("Content-Length", "9")])
        return [b"too large"]

    body = iter([b"x" * 100_000] * 20) if chunked else b"x" * 2_000_000
    with server_of(app) as (port, _):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        line.request("POST", "/", body, encode_chunked=chunked)
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (413, b"too large")
        line.close()
    assert len(seen) == 1 and seen[0] > 1000


def test_a_stopping_server_finishes_the_request_in_work():
    begun_, go_on = threading.Event(), threading.Event()

    def app(environ, start_response):
        begun_.set()
        go_on.wait(20)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    with (
        server_of(app, 10_000) as (port, server),
        connected(port, WHOLE) as line,
        connected(port, HALF_BODY) as waiting,
    ):
        assert begun_.wait(10) and until(lambda: len(server.active_channels) == 2)
        server.stop()
        assert is_closed(waiting)
        time.sleep(0.1)
        go_on.set()
        reply = b""
        while part := line.recv(1000):
            reply += part
        assert reply.startswith(b"HTTP/1.1 200") and reply.endswith(b"done")


def test_a_fault_outside_the_application_logs_no_address(caplog):
    def app(environ, start_response):
        raise RuntimeError("broken")

    web_server._log_without_urls()
    with server_of(app) as (port, _), connected(port, b"GET /r/secret HTTP/1.1\r\nHost: x\r\n\r\n") as line:
        assert line.recv(100).startswith(b"HTTP/1.1 500")
        assert is_closed(line)
    assert "fault in the web server" in caplog.text and "secret" not in caplog.text
