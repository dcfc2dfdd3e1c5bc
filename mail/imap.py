"""Read a mailbox by IMAP: fetch complete messages byte for byte, then move them into a folder.

RFC 3501 and 9051 (IMAP), 6851 (MOVE), 2177 (IDLE), 8314 (TLS). The caller moves a message only after it stored it, so
a broken connection only causes a second fetch.
"""

import imaplib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError

from i18n import N_
from mail import address, smtp
from mail.message import MAX_HEADER_BYTES
from mail.server_urls import ImapAccount
from mail.smtp import tls_context

Answer = TypeVar("Answer")

HANDLED_FOLDER = "Kairan"
"""Folder for messages that were fetched."""
OTHER_FOLDER = "Kairan-other"
"""Folder for messages that are too large or not for us."""
TIMEOUT_S = 30.0
IDLE_POLL_S = 1.0
BATCH_SIZE = 100
"""Messages per call of `fetch_messages`."""
RETRY_MESSAGE_S = 600.0
"""After this time a message that was put aside is tried again."""
MAX_DETAIL_CHARS = 300


class MailboxUnavailable(ConnectionError):
    """The mailbox cannot be used now.

    reason: a word for code (connect, tls, certificate, login, folder, broken). message: source string for `say`.
    detail: text of the server or the system, without password.
    """

    def __init__(self, message: str, reason: str, detail: str = "") -> None:
        super().__init__(message)
        self.message, self.reason, self.detail = message, reason, detail[:MAX_DETAIL_CHARS]


class MessageRefused(Exception):
    """The server does not hand over this one message."""


def _answer_text(lines: list[Any]) -> str:
    return b" ".join(line for line in lines if isinstance(line, bytes)).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """A message in the inbox; raw: None if it is too large."""

    uid: str
    raw: bytes | None


class ImapSession:
    """An open mailbox. Not thread-safe."""

    def __init__(self, account: ImapAccount, timeout: float = TIMEOUT_S) -> None:
        """Connect, start TLS, log in and open the inbox. Raises MailboxUnavailable."""
        self._aside: dict[str, tuple[float, MailboxUnavailable]] = {}
        self._folders: dict[str, str] = {}
        self._account = account
        self._mail = _open_mailbox(account, timeout)

    def close(self) -> None:
        """Log out and close the connection. Idempotent."""
        with suppress(OSError, imaplib.IMAP4.error, ImapToolsError, ValueError):
            self._mail.logout()
        with suppress(OSError, imaplib.IMAP4.error):
            self._mail.client.shutdown()

    def fetch_messages(self, largest: int) -> Iterator[FetchedMessage]:
        """Yield the messages of the inbox, oldest first, unmarked. Raises MailboxUnavailable."""
        self._mail.client.untagged_responses.pop("EXISTS", None)
        uids = self._with_connection_errors(lambda: self._mail.uids("ALL", charset=None))
        self._aside = {uid: kept for uid, kept in self._aside.items() if uid in set(uids)}
        left = BATCH_SIZE
        for uid in uids:
            if left and not self._is_aside(uid):
                message = self._fetch(uid, largest)
                if message:
                    left -= 1
                    yield message

    def _fetch(self, uid: str, largest: int) -> FetchedMessage | None:
        """Fetch one message; None if it is gone or put aside."""
        try:
            size = self._size(uid)
            raw = self._raw(uid) if size is not None and size <= largest else None
        except MessageRefused as refused:
            message = N_("The mailbox does not hand over some mails. They stay there and are tried again.")
            self.put_aside(uid, MailboxUnavailable(message, "message", str(refused)))
            return None
        return FetchedMessage(uid, raw) if size is not None and (raw is not None or size > largest) else None

    def put_aside(self, uid: str, problem: MailboxUnavailable) -> None:
        """Leave out a message for a while, so that the others are read."""
        self._aside[uid] = time.monotonic() + RETRY_MESSAGE_S, problem

    def _is_aside(self, uid: str) -> bool:
        return uid in self._aside and time.monotonic() < self._aside[uid][0]

    @property
    def problem(self) -> MailboxUnavailable | None:
        """Return the latest problem of a message that is put aside, None if there is none."""
        return next((problem for _, problem in reversed(self._aside.values())), None)

    def move_message(self, uid: str, folder: str) -> None:
        """Move a message; create the folder if missing. If the server refuses, the message is put aside."""
        try:
            self._with_folder_errors(lambda: self._mail.move(uid, self._ensured_folder(folder)))
        except MailboxUnavailable as problem:
            if problem.reason != "folder":
                raise
            self.put_aside(uid, problem)
        else:
            self._aside.pop(uid, None)

    def ensure_folder(self, folder: str) -> None:
        """Create a folder if it is missing. Raises MailboxUnavailable."""
        self._with_folder_errors(lambda: self._ensured_folder(folder))

    def _with_folder_errors(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (ImapToolsError, imaplib.IMAP4.error) as error:
            if isinstance(error, imaplib.IMAP4.abort):
                raise _connection_broke(error) from error
            message = N_("The mailbox does not let Kairan put handled mails into the folder “Kairan”.")
            raise MailboxUnavailable(message, "folder", str(error)) from error
        except OSError as error:
            raise _connection_broke(error) from error

    @property
    def supports_idle(self) -> bool:
        return "IDLE" in self._mail.client.capabilities

    def wait_for_mail(self, seconds: float, stopped: Callable[[], bool]) -> bool:
        """Wait for a message, the time, or `stopped()`; return whether one came. Raises MailboxUnavailable."""
        until, idle = time.monotonic() + seconds, self._mail.idle
        self._with_connection_errors(idle.start)
        came = "EXISTS" in self._mail.client.untagged_responses  # it came between the last look and this
        while not came and not stopped() and time.monotonic() < until:
            came = any(b"EXISTS" in line for line in self._with_connection_errors(lambda: idle.poll(IDLE_POLL_S)))
        self._with_connection_errors(idle.stop)
        return came

    def _size(self, uid: str) -> int | None:
        kind, lines = self._with_connection_errors(lambda: self._mail.client.uid("FETCH", uid, "(RFC822.SIZE)"))
        if kind != "OK":
            raise MessageRefused(_answer_text(lines))
        found = re.search(rb"RFC822\.SIZE (\d+)", b" ".join(one for one in lines if isinstance(one, bytes)))
        return int(found[1]) if found else None  # None: it is gone meanwhile

    def _raw(self, uid: str) -> bytes | None:
        kind, parts = self._with_connection_errors(lambda: self._mail.client.uid("FETCH", uid, "(BODY.PEEK[])"))
        if kind != "OK":
            raise MessageRefused(_answer_text(parts))
        return next((part[1] for part in parts if isinstance(part, tuple)), None)

    def _ensured_folder(self, folder: str) -> str:
        """Return the folder's full name; some servers put all folders below INBOX."""
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
        except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
            raise _connection_broke(error) from error


def _open_mailbox(account: ImapAccount, timeout: float) -> BaseMailBox:
    mail = _connect(account, timeout)
    try:
        _log_in(mail, account)
    except MailboxUnavailable:
        with suppress(OSError):
            mail.client.shutdown()
        raise
    return mail


def _connect(account: ImapAccount, timeout: float) -> BaseMailBox:
    secure = tls_context(account.host)
    try:
        if account.security == "tls":
            return MailBox(account.host, account.port, timeout=timeout, ssl_context=secure)
        mail = MailBoxUnencrypted(account.host, account.port, timeout=timeout)
        return _start_tls(mail, secure) if account.security == "starttls" else mail
    except ssl.SSLCertVerificationError as error:
        message = N_("The mailbox server's certificate is not valid for its name.")
        raise MailboxUnavailable(message, "certificate", str(error)) from error
    except (ssl.SSLError, imaplib.IMAP4.error) as error:
        raise MailboxUnavailable(
            N_("No secure connection to the mailbox server is possible."), "tls", str(error)
        ) from error
    except (OSError, ValueError) as error:
        message = N_("The mailbox server cannot be reached. Please check its name and port.")
        raise MailboxUnavailable(message, "connect", str(error)) from error


def _start_tls(mail: BaseMailBox, secure: ssl.SSLContext) -> BaseMailBox:
    """Start TLS; close the connection if that fails."""
    try:
        kind, text = mail.client.starttls(secure)
        if kind != "OK":
            raise imaplib.IMAP4.error(str(text))
    except BaseException:
        with suppress(OSError):
            mail.client.shutdown()
        raise
    return mail


def _log_in(mail: BaseMailBox, account: ImapAccount) -> None:
    plain = (account.user + account.password).isascii()
    try:
        (mail.login if plain else mail.login_utf8)(account.user, account.password, initial_folder=None)
    except (MailboxLoginError, imaplib.IMAP4.error) as error:
        if isinstance(error, imaplib.IMAP4.abort):
            raise _connection_broke(error) from error
        usual = N_("The mailbox refused the login. Please check user and password.")
        text = str(error).replace(account.password, "…")
        raise MailboxUnavailable(smtp.login_failure_message(text, usual), "login", text) from error
    except OSError as error:
        raise _connection_broke(error) from error
    try:
        mail.folder.set(account.folder)
    except MailboxFolderSelectError as error:
        raise MailboxUnavailable(N_("The mailbox has no such folder."), "folder", str(error)) from error
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
        raise _connection_broke(error) from error


def _connection_broke(error: Exception) -> MailboxUnavailable:
    return MailboxUnavailable(N_("The connection to the mailbox broke."), "broken", type(error).__name__)


# ── the envelope of a message in a mailbox ──
# Only the fields that the mailbox's server wrote on top are trusted. RFC 5321 4.4: it adds `Received` above all other
# fields, and at delivery `Return-Path`, together with `X-Original-To` and `Delivered-To` (Postfix), `Envelope-To` (Exim)
# or `Delivered-To` (qmail, Dovecot, Gmail). Anybody may have written the fields below the topmost Received.

RECIPIENT_HEADERS = ("x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "delivered-to", "x-apparently-to")
"""Most exact first: X-Original-To is from before alias expansion."""
_RANK = {name: rank for rank, name in enumerate(RECIPIENT_HEADERS)}

UNKNOWN_SENDER = "unknown"
"""Stands for an unknown envelope sender; it is no address."""

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOR = re.compile(rb"\bfor\s+<?([^\s<>;]{1,300}@[^\s<>;]{1,255})>?\s*(?:;|\(|$)", re.IGNORECASE)
MAX_FIELDS = 200


def find_recipients(raw: bytes, named: str = "") -> list[str]:
    """Return the recipients that the mailbox's server recorded, best first; [] if it recorded none. Never raises.

    named: the one field that the mailbox certainly writes; its first occurrence counts, wherever it stands.
    """
    fields = _fields(raw)
    if named:
        value = next((value for name, value in fields if name == named.lower()), b"")
        return [box.address for box in address.parse_address_list(_address_alone(value))]
    top = sorted(
        (one for one in _fields_above_received(fields) if one[0] in RECIPIENT_HEADERS), key=lambda one: _RANK[one[0]]
    )
    received = next((value for name, value in fields if name == "received"), b"")
    values = [*(_address_alone(value) for _, value in top), *_FOR.findall(received)[:1]]
    return list(dict.fromkeys(box.address for value in values for box in address.parse_address_list(value)))


def find_sender(raw: bytes) -> str:
    """Return the envelope sender: "" for the null sender, UNKNOWN_SENDER if not recorded. Never raises."""
    for name, value in _fields_above_received(_fields(raw)):
        if name == "return-path":
            boxes = address.parse_address_list(value)
            return boxes[0].address if boxes else ("" if b"<>" in value else UNKNOWN_SENDER)
    return UNKNOWN_SENDER


def _address_alone(value: bytes) -> bytes:
    """Cut off what some servers append to the address (Yahoo: a date)."""
    return value.partition(b";")[0] if b";" in value else value


def _fields_above_received(fields: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    until = next((at for at, (name, _) in enumerate(fields) if name == "received"), 0)
    return fields[:until]


def _fields(raw: bytes) -> list[tuple[str, bytes]]:
    """Return the first fields of a mail, unfolded, names in lower case."""
    head = re.split(rb"\r?\n\r?\n", raw[:MAX_HEADER_BYTES], maxsplit=1)[0]
    lines = re.split(rb"\r?\n(?![ \t])", head)[:MAX_FIELDS]
    matches = (_FIELD.fullmatch(line) for line in lines)
    return [(match[1].decode("ascii", "replace").lower(), match[2]) for match in matches if match]
