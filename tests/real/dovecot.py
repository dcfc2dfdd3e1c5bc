"""A real Dovecot on loopback: mailboxes for the tests of reading mail by IMAP, and logins for a submission server."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import needs_part
from tests.mail.smtp_servers import free_port
from tests.processes import until
from tests.real.external_programs import find_program, is_listening

USER, PASSWORD = "kairan", "geheim mit ö, 秘密"
COMMON = """base_dir = {home}/run
state_dir = {home}/state
instance_name = kairantest{port}
log_path = {home}/dovecot.log
listen = 127.0.0.1
auth_mechanisms = plain login
first_valid_uid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
auth_failure_delay = 0
default_vsz_limit = 512M
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {home}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""
IMAP = """protocols = imap
mail_location = maildir:{home}/Maildir
disable_plaintext_auth = no
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""
SASL = """protocols =
ssl = no
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""
TLS = "ssl = {ssl}\nssl_cert = <{cert}\nssl_key = <{key}\n"


@dataclass
class DovecotMailbox:
    """A Dovecot that runs: its port, and the folders on the disk."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"imap://{USER}:geheim%20mit%20%C3%B6%2C%20%E7%A7%98%E5%AF%86@127.0.0.1:{self.port}"

    def put(self, raw: bytes, name: str) -> None:
        """Lay a mail into the inbox, as the server's own delivery does."""
        file = self.home / "Maildir" / "tmp" / name
        file.write_bytes(raw.replace(b"\r\n", b"\n"))
        shutil.chown(file, *_owner())
        file.rename(self.home / "Maildir" / "new" / name)

    def lying(self, folder: str = "") -> int:
        """Say how many mails lie in the inbox or a folder."""
        base = self.home / "Maildir" / (f".{folder}" if folder else "")
        return sum(1 for part in ("new", "cur") for _ in (base / part).glob("*")) if base.exists() else 0

    def said(self) -> str:
        return (self.home / "dovecot.log").read_text("utf-8", "replace")


def _owner() -> tuple[str, str]:
    return ("postfix", "postfix") if _known("postfix") else ("nobody", "nogroup")


def _known(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


@contextmanager
def run_dovecot(home: Path, kind: str = IMAP, tls: tuple[Path, Path] | None = None) -> Iterator[DovecotMailbox]:
    """Run a Dovecot of its own. tls: certificate and key; then nobody gets in without STARTTLS."""
    command = find_program("dovecot", "dovecot-imapd")
    needs_part(os.geteuid() == 0, "dovecot and the rights of root")
    user, group = _owner()
    port = free_port()
    for name in ("run", "state", "Maildir/new", "Maildir/cur", "Maildir/tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    values = {"home": home, "port": port, "user": user, "group": group}
    (home / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", "utf-8")
    text = (COMMON + kind).format(**values)
    text += TLS.format(ssl="required", cert=tls[0], key=tls[1]) if tls else "ssl = no\n" if kind is IMAP else ""
    (home / "dovecot.conf").write_text(text, "utf-8")
    for path in (home, *home.rglob("*")):
        shutil.chown(path, user, group)
    home.chmod(0o755)
    running = subprocess.Popen([command, "-F", "-c", str(home / "dovecot.conf")], stderr=subprocess.PIPE, text=True)
    try:
        log = home / "dovecot.log"
        assert until(lambda: is_listening(port), 10), (
            log.read_text() if log.exists() else running.communicate(timeout=5)[1]
        )
        yield DovecotMailbox(home, port)
    finally:
        running.terminate()
        try:
            running.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate(timeout=10)
