"""Files inside a letter: encoded once for all letters of a notice, then only laid behind the words (RFC 2046 5.1.3).

RFC 2183 (disposition), RFC 2231 (names: percent-encoded UTF-8 in numbered pieces), RFC 2047 in the old `name`
parameter, which older phones alone read.
"""

from binascii import b2a_base64
from collections.abc import Iterable
from urllib.parse import quote

from mail import mime_encoding

_BOUNDARY = "=_kairan_files"  # differs from the line inside alternatives; base64 holds no underscore
MIXED_HEADERS = f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"\r\n'
_LINE = 57
_PIECE = 60


def attachment_parts(files: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Return files (name, media type, content) as the parts behind the words, the end of the letter included."""
    return b"".join(_attachment_part(*one) for one in files) + f"\r\n--{_BOUNDARY}--\r\n".encode()


def mixed_body(headers: str, body: bytes, enclosed: bytes) -> bytes:
    """Return the body of `MIXED`: what stood alone before, with its own headers, and the files behind it."""
    return f"--{_BOUNDARY}\r\n{headers}\r\n".encode() + body + enclosed


def _attachment_part(name: str, kind: str, content: bytes) -> bytes:
    old = mime_encoding.encoded_words(name, len(' name="'))
    head = (
        f"\r\n--{_BOUNDARY}\r\n"
        f'Content-Type: {kind};\r\n name="{old}"\r\n'
        f"Content-Disposition: attachment{_filename_parameter(name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    lines = (b2a_base64(content[at : at + _LINE], newline=False) for at in range(0, len(content), _LINE))
    return head.encode("ascii") + b"\r\n".join(lines)


def _filename_parameter(name: str) -> str:
    """Return the filename parameter; a percent sign and its digits are never torn apart."""
    whole, pieces = [quote(one, safe="") for one in name], [""]
    for one in whole:
        if len(pieces[-1]) + len(one) > _PIECE:
            pieces.append("")
        pieces[-1] += one
    pieces[0] = "UTF-8''" + pieces[0]
    return "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))
