"""Read a roster from a file or from pasted lines into Cells: encoding, separator, cells as text.

CSV as Excel writes it in Japan (CP932, UTF-8 with BOM, "Unicode text") and CSV of other programs. Also .xlsx and .xls,
cells copied from Excel (tabs), and lines like `山田 花子 <hanako@example.jp>`. Only Excel's own zip is unpacked, up to a
limit (defences.md, archive bombs).
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from core.csv_cells import clean_cell
from core.imports import excel, foreign_files
from core.imports.foreign_files import UnreadableFile
from core.members.normalise import compose_text
from i18n import N_

MAX_BYTES = 4 * 2**20
MAX_ROWS = 20_000
MAX_LINES = 5 * MAX_ROWS
"""Lines with empty ones, and with those inside of cells."""
MAX_COLUMNS = 200
MAX_RECIPIENT_LENGTH = 300

ENCODINGS = {
    "utf-8": "UTF-8",
    "cp932": "Shift_JIS",
    "euc-jp": "EUC-JP",
    "iso-2022-jp": "ISO-2022-JP",
    "utf-16": "UTF-16",
}
SEPARATORS = {"\t": N_("tab"), ",": N_("comma"), ";": N_("semicolon"), "|": N_("vertical bar")}
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UNMAPPED_CP932 = b"\x85\x40"  # unassigned in CP932, so it becomes U+FFFD
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MARKUP = re.compile(r"\s*<(?:!doctype|!--|\?xml|html|head|meta|body|table|div|style)\b|\s*<[?!]", re.IGNORECASE)
_EUC_PIECE = re.compile(rb"\x8f[\xa1-\xfe]{2}|\x8e[\xa1-\xdf]|(?:[\xa1-\xfe]{2})+|[\x00-\x7f]+|.", re.DOTALL)


_NAME_AND_ADDRESS = re.compile(
    r"^(?P<name>[^<]*?)[\s　,、;:：]*<?(?P<address>[^\s　<>,、;]+[@＠][^\s　<>,、;]+)>?[\s　,、;]*$"
)
_IN_BRACKETS = re.compile(
    r"""[\s　,、;]*(?P<name>"[^"]*"|'[^']*'|[^<>;"@＠\t]*?)[\s　]*<(?P<address>[^\s　<>,、;]+[@＠][^\s　<>,、;]+)>[\s　,、;]*"""
)
"""One recipient as mail programs write it; the name may be `Last, First`."""


_IS_MARKUP = N_("This is a web page (HTML or XML) with the name of a sheet. Open it in Excel, and save it as .xlsx.")
_TOO_WIDE = N_("This file has more than %(number)s columns. Please leave out the columns that sending does not need.")
_NO_WORKBOOK = N_(
    "This Excel file cannot be read. If it has a password, take it off. Save it again as .xlsx, or as CSV."
)
_HAS_PASSWORD = N_("This file has a password. Open it in Excel, take the password off, and save it again.")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a user wants a file read. An empty value, and a heading of None, are guessed."""

    encoding: str = ""
    separator: str = ""  # one of SEPARATORS
    sheet: str = ""
    heading: int | None = None  # number of the line with the column names; 0: there is none
    hidden_rows: bool = False  # take the hidden rows of a sheet too


DEFAULT_OPTIONS = ReadOptions()


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of a file as text: (line number, cells). `encoding` is '' for Excel and pasted text."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    lone: bool = False  # lines of "name <address>", without columns
    remarks: tuple[tuple[str, dict[str, Any]], ...] = ()  # (message, values) about the whole file
    separator: str = ""  # '' for Excel and for lone lines
    sheet: str = ""
    hidden: bool = False  # a hidden sheet
    hidden_rows: int = 0
    sheets: tuple[str, ...] = ()  # names of all sheets that are not empty


def read_sheets(content: bytes, filename: str = "", options: ReadOptions = DEFAULT_OPTIONS) -> list[Cells]:
    """Read a file: the sheets of a workbook, or the one table of a text. Raises UnreadableFile."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile(N_("This file is larger than %(number)s MB. Please split it."), number=MAX_BYTES // 2**20)
    if not content.strip(b"\0 \t\r\n"):
        raise UnreadableFile(N_("This file is empty."))
    foreign_files.refuse(content, filename)
    if content.startswith((_ZIP, _OLE)):
        return _excel_sheets(content, options)
    found = options.encoding if options.encoding in ENCODINGS else guess_encoding(content)
    text = decode_text(content, found)
    if _MARKUP.match(text.lstrip("\ufeff")):
        raise UnreadableFile(_IS_MARKUP)
    return [replace(read_pasted(text, options.separator), encoding=found)]


def read_pasted(text: str, separator: str = "") -> Cells:
    """Read pasted text: cells of a sheet (tabs), CSV, or one name and address a line. Raises UnreadableFile."""
    text = text.replace("\0", "").lstrip("\ufeff")
    if text.count("\n") > MAX_LINES:
        raise UnreadableFile(N_("This file has more than %(number)s rows. Please split it."), number=MAX_ROWS)
    lone = None if separator in SEPARATORS else _recipient_lines(text)
    if lone is not None:
        return Cells(_checked_rows(lone), "", True)
    named = re.match(r"sep=([,;\t|])\r?\n", text)  # a line that Excel reads and does not show
    if named:
        text = "\n" + text[named.end() :]
    used = separator if separator in SEPARATORS else named[1] if named else _guess_separator(text)
    return Cells(_checked_rows(_csv_records(text, used)), "", separator=used)


def guess_encoding(content: bytes) -> str:
    """Return the encoding of a text file, one of ENCODINGS (libraries.md: better here than every detector)."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if content.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    if re.search(rb"\x1b\$[@B]", content):
        return "iso-2022-jp"
    if b"\0" in content[:2000]:
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "euc-jp" if _is_euc_jp(content) else "cp932"
    return "utf-8"


def _is_euc_jp(content: bytes) -> bool:
    """Return whether all bytes are EUC-JP with kana or words of headers; CP932 kanji are no valid EUC-JP."""
    text = _decode_euc_jp(content)
    return "\ufffd" not in text and bool(re.search("[ぁ-んァ-ヶ]|[氏学保児生]", text))


def decode_text(content: bytes, encoding: str) -> str:
    """Return the text; undecodable bytes become U+FFFD, which the plan refuses line by line."""
    if encoding == "iso-2022-jp":
        return _decode_iso_2022_jp(content)
    if encoding == "euc-jp":
        return _decode_euc_jp(content)
    if encoding == "utf-16" and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        little = content[1:2000:2].count(0) >= content[:2000:2].count(0)
        return content.decode("utf-16-le" if little else "utf-16-be", "replace")
    return content.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")


def _decode_euc_jp(content: bytes) -> str:
    """Decode EUC-JP with NEC's row 13 by way of CP932, as `_decode_iso_2022_jp` does."""
    texts = []
    for piece in _EUC_PIECE.findall(content):
        if piece[0] < 0x80:
            texts.append(piece.decode("ascii"))
        elif len(piece) == 1:
            texts.append("\ufffd")
        elif piece[0] in (0x8E, 0x8F):
            texts.append(piece.decode("euc_jp", "replace"))
        else:
            texts.append(_jis_to_sjis(bytes(byte & 0x7F for byte in piece)).decode("cp932", "replace"))
    return "".join(texts)


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
    """Return rows that are not empty as clean text. Raises UnreadableFile for none, too many or too wide ones."""
    filled = []
    for number, cells in rows:
        texts = tuple(clean_cell(_without_formula(compose_text(cell))) for cell in cells)
        if any(texts[MAX_COLUMNS:]):
            raise UnreadableFile(_TOO_WIDE, number=MAX_COLUMNS)
        texts = texts[:MAX_COLUMNS]
        if any(texts):
            filled.append((number, texts))
        if len(filled) > MAX_ROWS:
            raise UnreadableFile(N_("This file has more than %(number)s rows. Please split it."), number=MAX_ROWS)
    if not filled:
        raise UnreadableFile(N_("There is nothing in it that could be read as a list of members."))
    return tuple(filled)


def _without_formula(cell: str) -> str:
    """Return the text of ="090…", which programs write so that Excel keeps the 0, and of a link formula."""
    if match := re.fullmatch(r"""\s*=\s*"([^"]*)"\s*""", cell):
        return match[1]
    match = re.fullmatch(r"""(?i)\s*=\s*HYPERLINK\(\s*"([^"]*)"\s*(?:[,;]\s*"([^"]*)"\s*)?\)\s*""", cell)
    return match[2] or match[1] if match else cell


def _csv_records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, cells) of each record."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
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
    """Return the separator that stands in most of the first lines, outside quotation marks, then the most regular."""
    lines = [line for line in re.sub(r'"(?:[^"]|"")*"', "", text[:20_000]).splitlines()[:20] if line.strip()]

    def rank(mark: str) -> tuple[int, int, int]:
        counts = [line.count(mark) for line in lines]
        filled = [count for count in counts if count]
        regular = Counter(filled).most_common(1)[0][1] if filled else 0
        return len(filled), regular, sum(counts)

    return max(SEPARATORS, key=rank)


def _recipient_lines(text: str) -> list[tuple[int, list[str]]] | None:
    """Return [name, address] of each line if every line is recipients; None for a sheet.

    If a line holds several recipients, all are numbered by their place: a number means one person.
    """
    recipients: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _recipients_of_line(line)
        if found is None:
            return None
        recipients += [(number, [name, address]) for name, address in found]
        if len(recipients) > MAX_ROWS:
            break
    if len({number for number, _ in recipients}) < len(recipients):
        recipients = [(place, cells) for place, (_, cells) in enumerate(recipients, 1)]
    return recipients or None


def _recipients_of_line(line: str) -> list[tuple[str, str]] | None:
    """Return (name, address) of each recipient of a line; None if something else stands there."""
    found, place = [], 0
    while match := _IN_BRACKETS.match(line, place):
        name = match["name"].strip().strip("\"'").strip()
        if len(name) > MAX_RECIPIENT_LENGTH or len(re.findall("[,、]", name)) > 1:
            break
        found.append((name, match["address"]))
        place = match.end()
    if found and place == len(line):
        return found
    found = []
    for piece in _split_recipients(line):
        match = None if "\t" in line or len(piece) > MAX_RECIPIENT_LENGTH else _NAME_AND_ADDRESS.match(piece)
        if match is None or re.search(r"[,、;@＠]", match["name"]):
            return None
        found.append((match["name"].strip().strip("\"'"), match["address"]))
    return found


def _split_recipients(line: str) -> list[str]:
    """Split a line of several recipients, as mail programs write them; a line with one address stays whole."""
    pieces = re.split(r"[;,、]", line) if len(re.findall("[@＠]", line)) > 1 else [line]
    return [piece.strip() for piece in pieces if piece.strip()]


def _excel_sheets(content: bytes, options: ReadOptions) -> list[Cells]:
    """Return the sheets that are not empty, with remarks about what was left out or filled."""
    if _ENCRYPTED in content:
        raise UnreadableFile(_HAS_PASSWORD)
    try:
        book = excel.read_workbook(content, MAX_ROWS + 2, MAX_COLUMNS + 1)
    except excel.UnreadableWorkbook as error:
        raise UnreadableFile(_NO_WORKBOOK) from error
    if options.sheet in (sheet["name"] for sheet in book["sheets"]):
        book["sheets"].sort(key=lambda sheet: sheet["name"] != options.sheet)
    names = tuple(sheet["name"] for sheet in sorted(book["sheets"], key=lambda sheet: sheet["place"]))
    names += tuple(book["unread"])
    sheets: list[Cells] = []
    problem = UnreadableFile(N_("There is nothing in it that could be read as a list of members."))
    for sheet in book["sheets"]:
        try:
            rows = _checked_rows(_shown_rows(sheet, options.hidden_rows))
        except UnreadableFile as error:
            if sheet["name"] == options.sheet:
                raise
            problem = error
            continue
        remarks = _remarks(names, sheet, options.hidden_rows)
        cells = Cells(rows, "", False, remarks, "", sheet["name"], sheet["hidden"], len(sheet["hidden_rows"]), names)
        sheets.append(cells)
    if not sheets:
        raise problem
    return sheets


def _shown_rows(sheet: dict[str, Any], hidden_too: bool) -> Iterator[tuple[int, list[str]]]:
    hidden = set() if hidden_too else {*sheet["hidden_rows"]}
    return ((number, cells) for number, cells in enumerate(sheet["rows"], 1) if number not in hidden)


def _remarks(names: tuple[str, ...], sheet: dict[str, Any], hidden_too: bool) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the remarks about one sheet of a workbook."""
    found: list[tuple[str, dict[str, Any]]] = []
    others = [name for name in names if name != sheet["name"]]
    if others:
        values = {"name": sheet["name"], "others": ", ".join(others)}
        found.append((N_("Read from the sheet “%(name)s”. Other sheets are not read: %(others)s."), values))
    if sheet["hidden_rows"] and not hidden_too:
        found.append((N_("%(number)s hidden rows of the sheet are left out."), {"number": len(sheet["hidden_rows"])}))
    if sheet["struck_rows"]:
        rows = ", ".join(map(str, sheet["struck_rows"]))
        found.append(
            (N_("Text is struck through in the rows %(rows)s. Are these families still there?"), {"rows": rows})
        )
    if sheet["filled"]:
        message = N_("Merged cells: their value was put into all their rows (%(number)s cells).")
        found.append((message, {"number": sheet["filled"]}))
    return tuple(found)
