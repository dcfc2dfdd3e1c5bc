"""DKIM signatures (RFC 6376) by dkimpy, its RSA arithmetic done by OpenSSL.

dkimpy computes RSA in Python: 12 ms a letter against 1.5 ms. So its class is used unchanged. In its module two names
are replaced, once per process, by functions that know our loaded keys: `parse_pem_private_key` and
`RSASSA_PKCS1_v1_5_sign` (RFC 8017 8.2.1). They return the same octets (a test compares them). Any other key goes to
dkimpy's own functions, so verification does not change. Should a later dkimpy not have these names any more, signing
refuses to start.
"""

import base64
import re
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

if TYPE_CHECKING:
    import dkim

SIGNED_HEADERS = (
    *(b"from", b"to", b"reply-to", b"subject", b"date", b"message-id"),
    *(b"list-id", b"list-unsubscribe", b"list-unsubscribe-post"),
    *(b"mime-version", b"content-type", b"content-transfer-encoding", b"auto-submitted"),
)
"""Headers that are signed where present (RFC 8058 4 asks for the List-Unsubscribe ones)."""

LARGE_BODY_BYTES = 64 * 1024
"""Larger bodies are signed with simple canonicalization (RFC 6376 3.4.3): relaxing 4 MB of base64 takes 100 ms."""

OVERSIGNED_HEADERS = (*SIGNED_HEADERS, b"cc")
"""Signed once more than present, so that nobody can add one, or another one (RFC 6376 8.15)."""

_PATCHED_NAMES = ("parse_pem_private_key", "RSASSA_PKCS1_v1_5_sign")
_SHA256 = Prehashed(hashes.SHA256())


class UnsupportedDkimpy(RuntimeError):
    """The installed dkimpy is not built as this module expects; install the locked version."""


class InvalidDkimKey(ValueError):
    """This is not an RSA private key in PEM form of at least 2048 bits (RFC 8301 3.2)."""


def generate_key() -> bytes:
    """Return a new RSA key of 2048 bits as PEM (PKCS #8), for a file of mode 0600."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def dns_record(pem: bytes) -> str:
    """Return the value of the TXT record that publishes the key (RFC 6376 3.6.1)."""
    public = _load_key(pem).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode('ascii')}"


def _load_key(pem: bytes) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as fault:
        raise InvalidDkimKey(str(fault)) from fault
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise InvalidDkimKey("DKIM needs an RSA key of at least 2048 bits")
    return key


class DkimSigner:
    """Sign letters of one domain with one key. Raises UnfitKey, UnfitLibrary."""

    def __init__(self, selector: str, domain: str, pem: bytes) -> None:
        self._library = patch_dkimpy()
        self._key = _LoadedKey(_load_key(pem))
        self._selector = selector.encode("ascii")
        self._domain = domain.encode("idna")

    def sign(self, raw: bytes) -> bytes:
        """Return the message with its DKIM-Signature prepended; raw has CRLF line ends."""
        head, between, body = raw.partition(b"\r\n\r\n")
        letter = self._library.DKIM(head + between)
        letter.body = body  # dkimpy would cut it into lines and join them again, 80 ms for a letter of 4 MB
        header: bytes = letter.sign(
            self._selector,
            self._domain,
            self._key,
            canonicalize=(b"relaxed", b"relaxed" if len(body) < LARGE_BODY_BYTES else b"simple"),
            include_headers=_headers_to_sign(head),
        )
        return header + raw


class _LoadedKey(bytes):
    """A loaded key where dkimpy expects the PEM text of one."""

    loaded: rsa.RSAPrivateKey

    def __new__(cls, loaded: rsa.RSAPrivateKey) -> "_LoadedKey":
        self = super().__new__(cls)
        self.loaded = loaded
        return self


def _headers_to_sign(head: bytes) -> list[bytes]:
    """Return the header names to sign, oversigned ones once more."""
    present = re.findall(rb"(?:^|\n)([!-9;-~]+):", head.lower())
    return [name for name in present if name in SIGNED_HEADERS] + list(OVERSIGNED_HEADERS)


def patch_dkimpy(library: ModuleType | None = None) -> ModuleType:
    """Let dkimpy (the one given, by default the installed one) use loaded keys, and return it.

    Loaded only now: with its resolver it is a quarter of what a process has to read at its start.
    Repeating is harmless. Raises UnfitLibrary.
    """
    library = library or import_module("dkim")
    missing = [name for name in _PATCHED_NAMES if not callable(getattr(library, name, None))]
    if missing:
        raise UnsupportedDkimpy(f"dkimpy has no {' and no '.join(missing)}: install the locked version of dkimpy")
    parse, arithmetic = (getattr(library, name) for name in _PATCHED_NAMES)
    if not hasattr(arithmetic, "by_openssl"):
        for name, ours in zip(_PATCHED_NAMES, (_patched_parser(parse), _patched_rsa_sign(arithmetic)), strict=True):
            setattr(library, name, ours)
    return library


def _patched_parser(theirs: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Take a loaded key as it is, let dkimpy parse any other."""

    def parse_pem_private_key(data: bytes) -> object:
        return data if isinstance(data, _LoadedKey) else theirs(data)

    return parse_pem_private_key


def _patched_rsa_sign(
    theirs: Callable[["dkim.HashThrough", object], bytes],
) -> Callable[["dkim.HashThrough", object], bytes]:
    """Sign with a loaded key by OpenSSL, with any other as dkimpy does."""

    def sign(digest: "dkim.HashThrough", key: object) -> bytes:
        if isinstance(key, _LoadedKey):
            return key.loaded.sign(digest.digest(), padding.PKCS1v15(), _SHA256)
        return theirs(digest, key)

    sign.by_openssl = True  # type: ignore[attr-defined]
    return sign
