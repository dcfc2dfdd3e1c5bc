"""Small files of every kind for the tests of attachments, put together by hand."""

import io
import struct
import zipfile
import zlib

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SECRET = b"35.6812N 139.7671E"
"""The place where a photo was taken, as it must not reach families."""


def segment(mark: int, content: bytes) -> bytes:
    return b"\xff" + bytes((mark,)) + struct.pack(">H", len(content) + 2) + content


def exif(side: int = 6) -> bytes:
    """Return an Exif segment with a side that is up and a place."""
    tiff = b"II*\0" + struct.pack("<IH", 8, 2)
    tiff += struct.pack("<HHIHH", 0x0112, 3, 1, side, 0) + struct.pack("<HHII", 0x8825, 4, 1, 38) + bytes(4)
    return segment(0xE1, b"Exif\0\0" + tiff + SECRET)


def jpeg(*extra: bytes, behind: bytes = b"") -> bytes:
    """Return a photo of two scans (as progressive ones have) with more segments, and bytes behind its end."""
    head = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    tables = segment(0xDB, bytes(65)) + segment(0xC2, b"\x08\0\1\0\1\1\1\x11\0")
    scan = segment(0xDA, b"\1\1\0\0\x3f\0") + b"picture\xff\x00data\xff\xd0more"
    return b"\xff\xd8" + head + b"".join(extra) + tables + scan + segment(0xC4, bytes(20)) + scan + b"\xff\xd9" + behind


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*extra: bytes) -> bytes:
    """Return a real picture of one white dot."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    dot = chunk(b"IDAT", zlib.compress(b"\0\xff\xff\xff"))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + dot + chunk(b"IEND", b"")


def webp() -> bytes:
    chunks = struct.pack("<4sI", b"VP8X", 10) + bytes((0b0010_1100,)) + bytes(9)
    chunks += struct.pack("<4sI", b"VP8 ", 5) + b"pict\x01\0" + struct.pack("<4sI", b"EXIF", len(SECRET)) + SECRET
    return struct.pack("<4sI4s", b"RIFF", len(chunks) + 4, b"WEBP") + chunks


def office(folder: str = "word/", **more: bytes) -> bytes:
    """Return the shell of a .docx, .xlsx or .pptx file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("[Content_Types].xml", "<Types/>")
        made.writestr(f"{folder}document.xml", "<w/>")
        for name, content in more.items():
            made.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return packed.getvalue()
