"""Recognise files that are no sheet, by their first bytes, and say what to do instead."""

import io
import re
import zipfile

from core.errors import DomainError
from i18n import N_


class UnreadableFile(DomainError):
    """The file holds no roster."""


_BY_FIRST_BYTES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", N_("This is a PDF. Please use the Excel or CSV file from which it was made.")),
    (b"{\\rtf", N_("This is a text document. Please copy its table into Excel, and save it as .xlsx.")),
    (b"\xff\xd8\xff", N_("This is a picture. Please type or copy the lines instead.")),
    (b"\x89PNG", N_("This is a picture. Please type or copy the lines instead.")),
    (b"GIF8", N_("This is a picture. Please type or copy the lines instead.")),
    (b"\x00\x01\x00\x00Standard", N_("This is a database file. Please export the table as CSV.")),
    (b"SQLite format 3\x00", N_("This is a database file. Please export the table as CSV.")),
    (b"!BDN", N_("This is a mailbox file. Please export the contacts as CSV.")),
    (b"7z\xbc\xaf\x27\x1c", N_("This is a packed archive. Please unpack it, and choose the file inside.")),
    (b"Rar!", N_("This is a packed archive. Please unpack it, and choose the file inside.")),
    (b"\x1f\x8b", N_("This is a packed archive. Please unpack it, and choose the file inside.")),
)
_PICTURE = N_("This is a picture. Please type or copy the lines instead.")
_TEXT_DOCUMENT = N_("This is a text document. Please copy its table into Excel, and save it as .xlsx.")
_NUMBERS = N_("This is a file of Apple Numbers. Please export it as Excel or CSV.")
_ARCHIVE = N_("This is a packed archive. Please unpack it, and choose the file inside.")
_ADDRESS_BOOK = N_("This is an address book (vCard). Please export the contacts as CSV.")
_CALENDAR = N_("This is a calendar, not a list of people.")
_SHORTCUT = N_("This is a link to a Google sheet. Please download the sheet as .xlsx or CSV.")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def refuse(content: bytes, filename: str) -> None:
    """Raise UnreadableFile if the content is a kind of file that holds no sheet."""
    message = next((text for start, text in _BY_FIRST_BYTES if content.startswith(start)), "")
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        message = _PICTURE
    if content.startswith(b"PK\x03\x04"):
        message = _zip_message(content)
    if content.startswith(_OLE) and "WordDocument".encode("utf-16-le") in content:
        message = _TEXT_DOCUMENT
    head = content[:300].lstrip(b"\xef\xbb\xbf\r\n ")
    if re.match(rb"(?i)BEGIN:VCARD", head):
        message = _ADDRESS_BOOK
    if re.match(rb"(?i)BEGIN:VCALENDAR", head):
        message = _CALENDAR
    if filename.lower().endswith(".gsheet") and head.startswith(b"{"):
        message = _SHORTCUT
    if message:
        raise UnreadableFile(message)


def _zip_message(content: bytes) -> str:
    """Return why a zip is no workbook; '' for one that may be one."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return ""
    if any(name.startswith(("word/", "ppt/")) for name in names):
        return _TEXT_DOCUMENT
    if any(name.endswith(".iwa") for name in names):
        return _NUMBERS
    if "content.xml" in names or any(name.startswith(("xl/", "_rels/")) for name in names):
        return ""
    return _ARCHIVE if any("." in name for name in names) else ""
