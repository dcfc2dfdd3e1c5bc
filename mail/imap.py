"""Take mails out of a mailbox: each whole and byte for byte, then aside into a folder.

RFC 3501 and 9051 (IMAP), 6851 (MOVE), 2177 (IDLE), 8314 (TLS). A mail leaves the inbox only when whoever called has
written it down, so a cut connection costs nothing but a second look at the same mail.
"""

import imaplib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError

from i18n import N_
from mail import smtp
from mail.server_urls import ImapAccount
from mail.smtp import tls_context

Answer = TypeVar("Answer")

HANDLED_FOLDER = "Kairan"
"""Folder for mails that were taken."""
OTHER_FOLDER = "Kairan-other"
"""Folder for mails that are none of ours, or too large."""
TIMEOUT_S = 30.0
IDLE_POLL_S = 1.0
BATCH_SIZE = 100
"""Mails of one round; the next round takes more."""
MAX_DETAIL_CHARS = 300


class MailboxUnavailable(ConnectionError):
    """The mailbox cannot be used now.

    reason: a word for code (connect, tls, certificate, login, folder, broken). message: a sentence, in English, for
    `say`. detail: what the server or the system said, without password.
    """

    def __init__(self, message: str, reason: str, detail: str = "") -> None:
        super().__init__(message)
        self.message, self.reason, self.detail = message, reason, detail[:MAX_DETAIL_CHARS]


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """A mail in the inbox: its number there, and its bytes; None if it is too large to be taken."""

    uid: str
    raw: bytes | None


class ImapSession:
    """One open mailbox. Not for several threads."""

    def __init__(self, box: ImapAccount, timeout: float = TIMEOUT_S) -> None:
        """Connect, secure, log in and open the inbox. Raises Closed."""
        self._said_no: set[str] = set()
        self._folders: dict[str, str] = {}
        self._box = box
        self._mail = _open_mailbox(box, timeout)

    def close(self) -> None:
        """Log out if anybody listens, and hang up. Repeating is harmless."""
        with suppress(OSError, imaplib.IMAP4.error, ImapToolsError, ValueError):
            self._mail.logout()
        with suppress(OSError, imaplib.IMAP4.error):
            self._mail.client.shutdown()

    def fetch_messages(self, largest: int) -> Iterator[FetchedMessage]:
        """Give the mails of the inbox one after another, the oldest first, without marking them. Raises Closed."""
        self._mail.client.untagged_responses.pop("EXISTS", None)
        for uid in self._with_connection_errors(lambda: self._mail.uids("ALL", charset=None))[:BATCH_SIZE]:
            if uid not in self._said_no:
                size = self._size(uid)
                if size is not None:
                    raw = self._raw(uid) if size <= largest else None
                    if raw is not None or size > largest:
                        yield FetchedMessage(uid, raw)

    def move_message(self, uid: str, folder: str) -> None:
        """Move a mail into a folder, which is made if missing. Raises Closed; then this mail is not given again."""
        self._said_no.add(uid)
        self._with_folder_errors(lambda: self._mail.move(uid, self._ensured_folder(folder)))

    def ensure_folder(self, folder: str) -> None:
        """Make a folder if it is missing. Raises Closed."""
        self._with_folder_errors(lambda: self._ensured_folder(folder))

    def _with_folder_errors(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (ImapToolsError, imaplib.IMAP4.error) as fault:
            if isinstance(fault, imaplib.IMAP4.abort):
                raise _connection_broke(fault) from fault
            message = N_("The mailbox does not let Kairan put handled mails into the folder “Kairan”.")
            raise MailboxUnavailable(message, "folder", str(fault)) from fault
        except OSError as fault:
            raise _connection_broke(fault) from fault

    @property
    def supports_idle(self) -> bool:
        """Say whether the server says by itself that a mail has come."""
        return "IDLE" in self._mail.client.capabilities

    def wait_for_mail(self, seconds: float, stopped: Callable[[], bool]) -> bool:
        """Wait until a mail comes, some seconds have passed, or `stopped()`; say whether one came. Raises Closed."""
        until, idle = time.monotonic() + seconds, self._mail.idle
        self._with_connection_errors(idle.start)
        came = "EXISTS" in self._mail.client.untagged_responses  # it came between the last look and this
        while not came and not stopped() and time.monotonic() < until:
            came = any(b"EXISTS" in line for line in self._with_connection_errors(lambda: idle.poll(IDLE_POLL_S)))
        self._with_connection_errors(idle.stop)
        return came

    def _size(self, uid: str) -> int | None:
        kind, lines = self._with_connection_errors(lambda: self._mail.client.uid("FETCH", uid, "(RFC822.SIZE)"))
        found = re.search(rb"RFC822\.SIZE (\d+)", b" ".join(one for one in lines if isinstance(one, bytes)))
        return int(found[1]) if kind == "OK" and found else None  # None: it is gone meanwhile

    def _raw(self, uid: str) -> bytes | None:
        kind, parts = self._with_connection_errors(lambda: self._mail.client.uid("FETCH", uid, "(BODY.PEEK[])"))
        return next((part[1] for part in parts if isinstance(part, tuple)), None) if kind == "OK" else None

    def _ensured_folder(self, folder: str) -> str:
        """Return the folder's full name; some servers want everything below INBOX."""
        if folder not in self._folders:
            known = {one.name: one for one in self._mail.folder.list()}
            delimiter = next((one.delim for one in known.values() if one.delim), ".")
            names = (folder, f"INBOX{delimiter}{folder}")
            found = next((name for name in names if name in known), None) or self._create_folder(names)
            self._folders[folder] = found
        return self._folders[folder]

    def _create_folder(self, names: tuple[str, str]) -> str:
        try:
            self._mail.folder.create(names[0])
        except ImapToolsError:
            self._mail.folder.create(names[1])
            return names[1]
        return names[0]

    def _with_connection_errors(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except (OSError, imaplib.IMAP4.error, ImapToolsError) as fault:
            raise _connection_broke(fault) from fault


def _open_mailbox(box: ImapAccount, timeout: float) -> BaseMailBox:
    mail = _connect(box, timeout)
    try:
        _log_in(mail, box)
    except MailboxUnavailable:
        with suppress(OSError):
            mail.client.shutdown()
        raise
    return mail


def _connect(box: ImapAccount, timeout: float) -> BaseMailBox:
    secure = tls_context(box.host)
    try:
        if box.security == "tls":
            return MailBox(box.host, box.port, timeout=timeout, ssl_context=secure)
        mail = MailBoxUnencrypted(box.host, box.port, timeout=timeout)
        return _start_tls(mail, secure) if box.security == "starttls" else mail
    except ssl.SSLCertVerificationError as fault:
        message = N_("The mailbox server's certificate is not valid for its name.")
        raise MailboxUnavailable(message, "certificate", str(fault)) from fault
    except (ssl.SSLError, imaplib.IMAP4.error) as fault:
        raise MailboxUnavailable(
            N_("No secure connection to the mailbox server is possible."), "tls", str(fault)
        ) from fault
    except (OSError, ValueError) as fault:
        message = N_("The mailbox server cannot be reached. Please check its name and port.")
        raise MailboxUnavailable(message, "connect", str(fault)) from fault


def _start_tls(mail: BaseMailBox, secure: ssl.SSLContext) -> BaseMailBox:
    """Turn the connection into a secure one; hang up if that fails."""
    try:
        kind, said = mail.client.starttls(secure)
        if kind != "OK":
            raise imaplib.IMAP4.error(str(said))
    except BaseException:
        with suppress(OSError):
            mail.client.shutdown()
        raise
    return mail


def _log_in(mail: BaseMailBox, box: ImapAccount) -> None:
    plain = (box.user + box.password).isascii()
    try:
        (mail.login if plain else mail.login_utf8)(box.user, box.password, initial_folder=None)
    except (MailboxLoginError, imaplib.IMAP4.error) as fault:
        if isinstance(fault, imaplib.IMAP4.abort):
            raise _connection_broke(fault) from fault
        usual = N_("The mailbox refused the login. Please check user and password.")
        said = str(fault).replace(box.password, "…")
        raise MailboxUnavailable(smtp.login_failure_message(said, usual), "login", said) from fault
    except OSError as fault:
        raise _connection_broke(fault) from fault
    try:
        mail.folder.set(box.folder)
    except MailboxFolderSelectError as fault:
        raise MailboxUnavailable(N_("The mailbox has no such folder."), "folder", str(fault)) from fault
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as fault:
        raise _connection_broke(fault) from fault


def _connection_broke(fault: Exception) -> MailboxUnavailable:
    return MailboxUnavailable(N_("The connection to the mailbox broke."), "broken", type(fault).__name__)
