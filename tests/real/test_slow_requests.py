"""Slow clients behind Caddy and nginx, set up as docs/administrator.md says: the pages go on answering."""

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

import config as ground
from models import Delivery
from tests.mail.smtp_servers import free_port
from tests.processes import parts, until
from tests.real.external_programs import find_program, is_listening
from tests.slow_clients import slow_clients, visit
from tests.smarthost import begun

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(180)]
MANUAL = (ground.PROJECT_DIR / "docs" / "administrator.md").read_text("utf-8")
HOST = "kairan.school.example"


def documented(beginning: str) -> str:
    """Return the block of the manual's HTTPS section that begins so."""
    section = MANUAL.partition("## 3. HTTPS")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return next(block for block in blocks if block.startswith(beginning))


def caddyfile(port: int, pages: int) -> str:
    text = documented("{\n\tservers").replace("{\n", "{\n\tadmin off\n\tauto_https off\n", 1)
    return text.replace(HOST, f"http://127.0.0.1:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{pages}")


def nginx_site(folder: Path, port: int, pages: int) -> str:
    text = re.sub(r"\n *ssl_certificate.*", "", documented("server {")).rpartition("server {")[0]
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{pages}")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{ worker_connections 768; }}\nhttp {{\naccess_log off;\n{paths}{text}}}\n"
    )


@contextmanager
def running_proxy(name: str, folder: Path, port: int, pages: int):
    settings = folder / "proxy.conf"
    if name == "caddy":
        program = find_program("caddy", "caddy")
        settings.write_text(caddyfile(port, pages))
        command = [program, "run", "--adapter", "caddyfile", "--config", str(settings)]
    else:
        program = find_program("nginx", "nginx-light")
        settings.write_text(nginx_site(folder, port, pages))
        command = [program, "-c", str(settings), "-p", str(folder)]
    log = folder / "proxy.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}, cwd=folder
        )
    try:
        assert until(lambda: is_listening(port), 20), log.read_text("utf-8", "replace")
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("name", ["caddy", "nginx"])
def test_the_pages_answer_behind_the_documented_proxy(school, config, tmp_path, name):
    notice = begun(school.users["守"], [school.lists["1-1"]], read_confirmation=True)
    page = f"/r/{Delivery.get(Delivery.notice == notice).token}"
    pages, port = free_port(), free_port()
    with (
        parts(config.data, http=f"127.0.0.1:{pages}", mail_domain=config.mail_domain) as house,
        running_proxy(name, tmp_path, port, pages),
    ):
        house.start("pages")
        assert until(lambda: is_listening(pages), 40), house.said()
        visit(port, page, "守")
        with slow_clients(port, 200):
            took = [seconds for _ in range(3) for seconds in visit(port, page, "守")]
    assert max(took) < 10 and len(took) == 12
