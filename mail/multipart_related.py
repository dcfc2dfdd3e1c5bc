"""Pictures among the words of a letter: encoded once for all letters of a notice, then only laid behind the HTML.

RFC 2387 (multipart/related), RFC 2392 (cid), RFC 2183 (inline). Nothing is loaded from elsewhere, so they are seen
without a question whether pictures may be shown, and nobody learns from them who has opened the letter.
"""

from binascii import b2a_base64
from collections.abc import Iterable

from mail import mime_encoding

_BOUNDARY = "=_kairan_pictures"  # differs from the lines around it; base64 holds no underscore
RELATED_HEADERS = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{_BOUNDARY}"\r\n'
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png"}
"""The kinds that every mail program shows."""
_LINE = 57


def inline_image_parts(pictures: Iterable[tuple[str, str, bytes]], domain: str) -> bytes:
    """Return pictures (mark, media type, content) as the parts behind the HTML, the end of the whole included."""
    made = (_inline_image_part(number, *one, domain) for number, one in enumerate(pictures, 1))
    return b"".join(made) + f"\r\n--{_BOUNDARY}--\r\n".encode()


def related_body(html: bytes, behind: bytes) -> bytes:
    """Return the body of `RELATED`: the HTML as `encode.body` gives it, and the pictures behind it."""
    return f"--{_BOUNDARY}\r\n{mime_encoding.HTML_HEADERS}\r\n".encode() + html + behind


def _inline_image_part(number: int, mark: str, kind: str, content: bytes, domain: str) -> bytes:
    head = (
        f"\r\n--{_BOUNDARY}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-ID: <{mark}@{domain}>\r\n"
        f'Content-Disposition: inline; filename="picture-{number}.{EXTENSIONS[kind]}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    lines = (b2a_base64(content[at : at + _LINE], newline=False) for at in range(0, len(content), _LINE))
    return head.encode("ascii") + b"\r\n".join(lines)
