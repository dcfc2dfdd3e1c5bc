"""Programs of others that tests hold our letters against: where they are, and how they are run on loopback."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import needs_part
from tests.processes import until

FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def find_program(name: str, package: str) -> str:
    """Return the path of a program; skip the test if its package is not installed (in CI: fail)."""
    found = shutil.which(name, path=FOLDERS)
    needs_part(found is not None, package)
    return found or ""


def is_listening(port: int) -> bool:
    """Say whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def run_smtp_sink(folder: Path, port: int) -> Iterator[Path]:
    """Run Postfix's own sink, which writes each mail into a file; give the folder of these files."""
    command = [find_program("smtp-sink", "postfix"), "-d", str(folder / "mail.%M."), "-c"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
        folder.chmod(0o777)
        for parent in list(folder.parents)[:4]:
            parent.chmod(parent.stat().st_mode | 0o011)
    running = subprocess.Popen([*command, f"127.0.0.1:{port}", "100"], stdout=subprocess.DEVNULL, cwd=folder)
    try:
        assert until(lambda: is_listening(port), 10)
        yield folder
    finally:
        running.terminate()
        running.wait(10)


MAIN = """compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
syslog_name = kairantest
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_bind_address = 127.0.0.1
mynetworks = 127.0.0.0/8
myhostname = mail.school.example
mydomain = school.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
local_transport = error:5.1.1 no local mailboxes
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
disable_dns_lookups = yes
biff = no
relayhost = [127.0.0.1]:{sink}
smtpd_relay_restrictions = permit_mynetworks, reject
smtputf8_enable = yes
"""
MASTER = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 3 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def run_postfix(home: Path, port: int, sink: int, more_main: str = "", more_master: str = "") -> Iterator[None]:
    """Run a Postfix of its own (own configuration, queue and log) that hands everything on to a port.

    more_main, more_master: further settings and services; the later one of two wins.
    """
    command = find_program("postfix", "postfix")
    needs_part(os.geteuid() == 0, "postfix and the rights of root")
    for name in ("etc", "spool", "data"):
        (home / name).mkdir(parents=True)
    home.chmod(0o755)
    os.chown(home / "data", pwd.getpwnam("postfix").pw_uid, -1)
    (home / "etc" / "main.cf").write_text(_last_setting_wins(MAIN.format(home=home, sink=sink) + more_main))
    (home / "etc" / "master.cf").write_text(MASTER.format(port=port) + more_master)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "timeout": 60, "text": True}
    began = subprocess.run([command, "-c", str(home / "etc"), "start"], **quiet)
    try:
        assert until(lambda: is_listening(port), 20), began.stderr + (home / "mail.log").read_text()
        yield
    finally:
        try:
            subprocess.run([command, "-c", str(home / "etc"), "stop"], **quiet)
        except subprocess.TimeoutExpired:
            os.kill(int((home / "spool" / "pid" / "master.pid").read_text()), signal.SIGKILL)
            raise


def _last_setting_wins(settings: str) -> str:
    """Return settings of which the later one of two wins, without the earlier one.

    Postfix warns of every repeated setting in every process; ten such lines before its log process has started fill
    the socket to it, and then all of Postfix waits for ever.
    """
    found: dict[str, str] = {}
    for line in settings.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", " ")):
            found[name.strip()] = value.strip()
    return "".join(f"{name} = {value}\n" for name, value in found.items())
