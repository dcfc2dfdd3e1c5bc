"""Read a roster from a file or from pasted lines into Cells: encoding, separator, cells as text.

CSV as Excel writes it in Japan (CP932, UTF-8 with BOM, "Unicode text"), CSV of other programs, .xlsx and .xls, cells
copied from Excel (tabs), and lines like `山田 花子 <hanako@example.jp>`. Only Excel's own zip is unpacked, up to a limit
(defences.md, archive bombs).
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.csv_cells import clean_cell
from core.errors import DomainError
from core.imports import excel
from i18n import N_

MAX_BYTES = 4 * 2**20
MAX_ROWS = 20_000
MAX_LINES = 5 * MAX_ROWS
"""Lines with empty ones, and with those inside of cells."""
MAX_COLUMNS = 200
MAX_RECIPIENT_LENGTH = 300

ENCODINGS = {"utf-8": "UTF-8", "cp932": "Shift_JIS", "iso-2022-jp": "ISO-2022-JP", "utf-16": "UTF-16"}
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UNMAPPED_CP932 = b"\x85\x40"  # unassigned in CP932, so it becomes U+FFFD


_NAME_AND_ADDRESS = re.compile(
    r"^(?P<name>[^<]*?)[\s　,、;:：]*<?(?P<address>[^\s　<>,、;]+[@＠][^\s　<>,、;]+)>?[\s　,、;]*$"
)


class UnreadableFile(DomainError):
    """The file holds no roster."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of a file as text: (line number, cells). `encoding` is '' for Excel and pasted text."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    lone: bool = False  # lines of "name <address>", without columns


def read_cells(content: bytes, filename: str, encoding: str = "") -> Cells:
    """Read a file. `encoding` '': detect BOM, ISO-2022-JP escape, strict UTF-8, else CP932. Raises UnreadableFile."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile(N_("This file is larger than %(number)s MB. Please split it."), number=MAX_BYTES // 2**20)
    if content.startswith((_ZIP, _OLE)):
        return Cells(_checked_rows(_excel_rows(content)), "")
    found = encoding if encoding in ENCODINGS else guess_encoding(content)
    table = read_pasted(decode_text(content, found))
    return Cells(table.rows, found, table.lone)


def read_pasted(text: str) -> Cells:
    """Read pasted text: cells of a sheet (tabs), CSV, or one name and address a line. Raises UnreadableFile."""
    text = text.replace("\0", "").lstrip("\ufeff")
    if text.count("\n") > MAX_LINES:
        raise UnreadableFile(N_("This file has more than %(number)s rows. Please split it."), number=MAX_ROWS)
    lone = _recipient_lines(text)
    if lone is not None:
        return Cells(_checked_rows(lone), "", True)
    return Cells(_checked_rows(_csv_records(text)), "")


def guess_encoding(content: bytes) -> str:
    """Return the encoding of a text file, one of ENCODINGS (libraries.md: better here than every detector)."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if content.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    if re.search(rb"\x1b\$[@B]", content):
        return "iso-2022-jp"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp932"
    return "utf-8"


def decode_text(content: bytes, encoding: str) -> str:
    """Return the text; undecodable bytes become U+FFFD, which the plan refuses line by line."""
    if encoding == "iso-2022-jp":
        return _decode_iso_2022_jp(content)
    return content.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")


def _decode_iso_2022_jp(content: bytes) -> str:
    """Decode ISO-2022-JP with NEC's row 13 (①㈱) by way of CP932, since no codec of Python knows it (field.md 3.6)."""
    parts = re.split(rb"\x1b(\$[@B]|\([BJI])", content)
    texts = [parts[0].decode("ascii", "replace")]
    for escape, part in zip(parts[1::2], parts[2::2], strict=True):
        if escape.startswith(b"$"):
            texts.append(_jis_to_sjis(part).decode("cp932", "replace"))
        elif escape == b"(I":
            texts.append(bytes(byte | 0x80 for byte in part).decode("cp932", "replace"))
        else:
            texts.append(part.decode("ascii", "replace"))
    return "".join(texts)


def _jis_to_sjis(part: bytes) -> bytes:
    """Convert JIS X 0208 pairs to Shift_JIS bytes; line ends stay."""
    result, rest = bytearray(), iter(part)
    for high in rest:
        if high < 0x21:
            result.append(high)
            continue
        low = next(rest, 0x21)
        if high > 0x7E or not 0x21 <= low <= 0x7E:
            result += _UNMAPPED_CP932
            continue
        first = (high - 0x21) // 2 + (0x81 if high < 0x5F else 0xC1)
        second = low + (0x7E if high % 2 == 0 else (0x20 if low > 0x5F else 0x1F))
        result += bytes((first, second))
    return bytes(result)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _checked_rows(rows: Iterable[tuple[int, list[str]]]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Return rows that are not empty as clean text. Raises UnreadableFile for none or too many."""
    filled = []
    for number, cells in rows:
        texts = tuple(clean_cell(cell) for cell in cells[:MAX_COLUMNS])
        if any(texts):
            filled.append((number, texts))
        if len(filled) > MAX_ROWS:
            raise UnreadableFile(N_("This file has more than %(number)s rows. Please split it."), number=MAX_ROWS)
    if not filled:
        raise UnreadableFile(N_("There is nothing in it that could be read as a list of members."))
    return tuple(filled)


def _csv_records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of each record."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_guess_separator(text))
    before = 0
    try:
        for cells in reader:
            yield before + 1, cells
            before = reader.line_num
    except csv.Error as error:
        raise UnreadableFile(
            N_("Line %(number)s cannot be read. Is a quotation mark not closed?"), number=before + 1
        ) from error


def _guess_separator(text: str) -> str:
    """Return the most frequent separator of the first lines, outside quotation marks."""
    head = re.sub(r'"(?:[^"]|"")*"', "", "\n".join(text.splitlines()[:5]))
    return max("\t,;", key=lambda mark: head.count(mark))


def _recipient_lines(text: str) -> list[tuple[int, list[str]]] | None:
    """Return [name, address] of each line if every line is one recipient; None for a sheet."""
    recipients: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        for piece in _split_recipients(line):
            match = None if "\t" in line or len(piece) > MAX_RECIPIENT_LENGTH else _NAME_AND_ADDRESS.match(piece)
            if match is None or re.search(r"[,、;@＠]", match["name"]):
                return None
            recipients.append((number, [match["name"].strip().strip("\"'"), match["address"]]))
            if len(recipients) > MAX_ROWS:
                return recipients
    return recipients or None


def _split_recipients(line: str) -> list[str]:
    """Split a line of several recipients, as mail programs write them; a line with one address stays whole."""
    pieces = re.split(r"[;,、]", line) if len(re.findall("[@＠]", line)) > 1 else [line]
    return [piece.strip() for piece in pieces if piece.strip()]


def _excel_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number, cells) of the first sheet that is not empty."""
    try:
        rows = excel.read_workbook(content, MAX_ROWS + 2, MAX_COLUMNS)
    except excel.UnreadableWorkbook as error:
        raise UnreadableFile(N_("This Excel file cannot be read. Save it again as .xlsx, or as CSV.")) from error
    yield from enumerate(rows, 1)
