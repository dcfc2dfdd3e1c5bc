"""Text out of the bytes of a mail, whatever its charset says: a ladder of superset codecs that never raises.

RFC 1468 (ISO-2022-JP), RFC 2047 (encoded words in headers). Japanese mails contain more than the charset that they
name: NEC row 13 (①㈱Ⅲ) and IBM extensions (髙﨑) under ISO-2022-JP, Shift_JIS and EUC-JP. They also contain half-width
kana, unmarked 8-bit headers, and UTF-8 under a Latin name. So the wider codec is asked at once (cp932 for Shift_JIS,
windows-1252 for Latin 1 …). What no codec knows, the pictograms of telephones above all, becomes 〓.
"""

import binascii
import re
from functools import cache

GETA = "〓"
"""Stands for a sign that nobody can read, as Japanese printers have always done it."""

MAX_TEXT_CHARS = 1 << 18
"""Bytes of one text that are decoded; what follows is dropped."""

_JAPANESE = {
    **dict.fromkeys(("iso2022jp", "csiso2022jp", "jis", "jis7", "cp50220", "cp50221", "cp50222"), "jis"),
    **dict.fromkeys(("shiftjis", "sjis", "xsjis", "mskanji", "windows31j", "cswindows31j", "cp932"), "sjis"),
    **dict.fromkeys(("csshiftjis", "xmscp932", "ms932", "shiftjis2004", "shiftjisx0213"), "sjis"),
    **dict.fromkeys(("eucjp", "xeucjp", "xeuc", "ujis", "cseucjpkdfmtjapanese", "eucjpms", "cp51932", "euc"), "euc"),
}
_WIDER = {
    **dict.fromkeys(("iso88591", "latin1", "l1", "cp819", "iso8859", "windows1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "cp936", "xgbk", "csgb2312"), "gb18030"),
    **dict.fromkeys(("euckr", "ksc56011987", "ksc5601", "ks56011987", "cseuckr"), "cp949"),
    **dict.fromkeys(("iso88599", "latin5"), "cp1254"),
    **dict.fromkeys(("iso88598i", "iso88598e"), "cp1255"),
    **dict.fromkeys(("tis620", "iso885911"), "cp874"),
    "big5": "cp950",
    "utf8mb4": "utf-8",
    "hzgb2312": "hz",
    "unicode11utf7": "utf-7",
}
_NAMELESS = {"", "usascii", "ascii", "ansix341968", "unknown", "unknown8bit", "xunknown", "default", "none", "8bit"}

# Python has codecs for zip files and domain names, too: only these are charsets of mails.
_CHARSET = re.compile(r"(?:utf|iso|cp|windows|ibm|koi8|mac|big5|gb|euc|hz|johab|ksx|latin|ptcp|kz)[0-9a-z_:-]*")
_PRIVATE = re.compile("[\ue000-\uf8ff\ufffd\ud800-\udfff]")
_JAPANESE_RUN = re.compile(r"[\u3040-\u30ff]|[^\x00-\x7f]{2}")
_LETTER_INSIDE = re.compile(r"[A-Za-z][^\x00-\x7f][A-Za-z]")


def decode_text(raw: bytes, charset: str = "") -> str:
    """Return the text of these bytes. Never raises; line ends stay as they are."""
    return _drop_unreadable(_decoded(raw[:MAX_TEXT_CHARS], charset.strip(" \"'").lower()[:60]))


def _decoded(raw: bytes, charset: str) -> str:
    name = re.sub(r"[^a-z0-9]", "", charset)
    codec = _WIDER.get(name, charset)
    if raw.isascii():
        return _ascii(raw, name, codec)
    family = _family(name)
    if family:
        return _japanese(raw, family)
    text = _strict(raw, "utf-8")
    wide = name.startswith(("utf16", "utf32", "ucs"))
    if text is not None and not wide:
        return text  # Latin text is never valid UTF-8 by accident, so this is asked under every name
    if name in _NAMELESS or name.startswith("utf8"):
        return decode_unlabelled(raw)
    text = _strict(raw, codec) if _CHARSET.fullmatch(codec) else None
    if text is None or (name.startswith(("iso8859", "latin", "windows125", "cp125")) and _hides_japanese(raw)):
        return decode_unlabelled(raw)
    return text


def _ascii(raw: bytes, name: str, codec: str) -> str:
    """Decode seven-bit bytes, in which only the escape sequences of ISO-2022-JP can hold anything else."""
    if name == "iso2022kr" or b"\x1b$)C" in raw:
        return _korean(raw)
    if b"\x1b" in raw or b"\x0e" in raw:
        return _jis(raw)
    if _family(name) == "jis":
        raw = _LOST_ESCAPE.sub(b"\x1b$B\\1\x1b(B", raw)
        return _jis(raw) if b"\x1b" in raw else raw.decode("ascii")
    if name.startswith(("utf7", "unicode11utf7", "utf16", "utf32", "hz")):
        return _strict(raw, codec) or raw.decode("ascii")
    return raw.decode("ascii")


def _korean(raw: bytes) -> str:
    """Decode ISO-2022-KR (RFC 1557), also if a gateway lost the line that names the set."""
    body = raw.replace(b"\x1b$)C", b"")
    return _strict(b"\x1b$)C" + body, "iso2022_kr") or body.decode("ascii", "replace")


def _family(name: str) -> str:
    return _JAPANESE.get(name) or ("jis" if name.startswith("iso2022jp") else "")


# Old gateways eat the escape character itself and leave `$B…(B`.
_LOST_ESCAPE = re.compile(rb"\$[B@]((?:[!-~][!-~]){1,80}?)\([BJ]")


def _japanese(raw: bytes, family: str) -> str:
    if b"\x1b$" in raw and family != "sjis":
        return _jis(raw)
    if _strict(raw, "utf-8") is not None:
        return raw.decode("utf-8")
    if family == "euc":
        return _euc(raw)
    return _sjis(raw) if family == "sjis" else decode_unlabelled(raw)


def _strict(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except (UnicodeError, LookupError):
        return None


def _drop_unreadable(text: str) -> str:
    """Drop what is no sign: byte order marks, halves of characters, the replacement character."""
    if text.isascii():
        return text.replace("\x00", "")
    text = text.replace("\ufeff", "").replace("\x00", "").replace("\ufffd", GETA)
    return _SURROGATE.sub(GETA, text)


_SURROGATE = re.compile("[\ud800-\udfff]")


def decode_unlabelled(raw: bytes) -> str:
    """Decode bytes whose charset nobody named, or named wrongly: UTF-8, cp932, EUC-JP, Latin 1, in this order."""
    if b"\x1b$" in raw or b"\x1b(" in raw:
        return _jis(raw)
    text = _strict(raw, "utf-8")
    if text is not None:
        return text
    broken = raw.decode("utf-8", "replace")
    if sum(not char.isascii() for char in broken) >= 2 * broken.count("\ufffd"):
        return broken  # cut in the middle of a character
    candidates = [text for text in (_sjis(raw), _euc(raw)) if _is_japanese(text)]
    if candidates:
        return min(candidates, key=_strangeness)
    return _strict(raw, "cp1252") or raw.decode("latin-1")


def _hides_japanese(raw: bytes) -> bool:
    """Tell whether bytes under a Latin name are Shift_JIS or EUC-JP: they have kana, and no accents inside words."""
    text = decode_unlabelled(raw)
    return re.search("[\u3040-\u30ff]", text) is not None and GETA not in text


def _is_japanese(text: str) -> bool:
    """Tell decoded Japanese from Latin text taken for it, where single odd signs stand inside words."""
    strange = len(_PRIVATE.findall(text)) + text.count(GETA)
    odd = sum(not char.isascii() for char in text)
    inside = len(_LETTER_INSIDE.findall(text))
    return bool(_JAPANESE_RUN.search(text)) and strange * 4 <= odd and inside * 4 <= odd


def _strangeness(text: str) -> int:
    """Count what real text rarely holds: half-width kana and unreadable signs."""
    return sum("\uff61" <= char <= "\uff9f" or char == GETA for char in text)


# ── Shift_JIS, EUC-JP, ISO-2022-JP ───────────────────────────────────────────────────────────────────────────────

_SJIS_SIGN = re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[^\x80-\xff]+|[\xa1-\xdf]+|.", re.DOTALL)
_WEB_CODE = re.compile(rb"\x1b\$[EFGOPQ][!-~]{1,20}\x0f?")


def _sjis(raw: bytes) -> str:
    """Decode Shift_JIS as cp932; pictograms, of which some stand between escapes (SoftBank), become 〓."""
    raw = _WEB_CODE.sub(GETA.encode("cp932"), raw)
    text = _strict(raw, "cp932")
    if text is None:
        text = "".join(_strict(sign, "cp932") or GETA for sign in _SJIS_SIGN.findall(raw))
    return _PRIVATE.sub(GETA, text)


_EUC_SIGN = re.compile(
    rb"[\x00-\x7f]+|(?:[\xa1-\xfe][\xa1-\xfe])+|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe][\xa1-\xfe]|.", re.DOTALL
)


def _euc(raw: bytes) -> str:
    """Decode EUC-JP with the extensions of its users."""
    return "".join(map(_euc_char, _EUC_SIGN.findall(raw)))


def _euc_char(sign: bytes) -> str:
    if sign[0] < 0x80:
        return sign.decode("ascii")
    if sign[0] == 0x8E:
        return sign[1:].decode("cp932", "replace") if len(sign) == 2 else GETA
    if sign[0] == 0x8F:
        return _strict(sign, "euc_jp") or GETA
    return _pairs(bytes(octet & 0x7F for octet in sign)) if len(sign) > 1 else GETA


_ESCAPE = re.compile(rb"\x1b(\$\([@A-Z]|\$[@AB]|\([A-Z]|&@)|([\x0e\x0f])|\n")
_TWO_BYTES = {b"$B": "cp932", b"$@": "cp932", b"$(B": "cp932", b"$(@": "cp932"}
_OTHER_SETS = {
    **dict.fromkeys((b"$(O", b"$(Q"), ("euc_jis_2004", b"")),
    b"$(D": ("euc_jp", b"\x8f"),
    b"$(P": ("euc_jis_2004", b"\x8f"),
    b"$A": ("gb2312", b""),
    b"$(A": ("gb2312", b""),
    b"$(C": ("euc_kr", b""),
}


def _jis(raw: bytes) -> str:
    """Decode ISO-2022-JP: split at the escapes, each stretch by its own set, ASCII again at each line's begin."""
    raw = _WEB_CODE.sub(b"\x1b$B\x22\x2e\x1b(B", raw)
    text = []
    charset, start = b"(B", 0
    for found in _ESCAPE.finditer(raw):
        text.append(_stretch(raw[start : found.start()], charset))
        start = found.end()
        if found[0] == b"\n":
            text.append("\n")
        charset = found[1] or (b"(I" if found[2] == b"\x0e" else b"(B")
    text.append(_stretch(raw[start:], charset))
    return "".join(text)


def _stretch(raw: bytes, charset: bytes) -> str:
    if not raw:
        return ""
    if charset == b"(I":
        return bytes(octet | 0x80 if 0x21 <= octet <= 0x5F else octet for octet in raw).decode("cp932", "replace")
    if charset in _TWO_BYTES:
        return _pairs(raw)
    if charset in _OTHER_SETS:
        return _pairs_of(raw, *_OTHER_SETS[charset])
    return raw.decode("ascii") if raw.isascii() else decode_unlabelled(raw.replace(b"\x1b", b""))


_PAIR = re.compile(rb"[\x21-\x7e]{2}|.", re.DOTALL)


def _pairs(raw: bytes) -> str:
    """Decode pairs of JIS X 0208 and its extensions; blanks and control characters may stand between them."""
    table = _jis_table()
    return "".join(
        table.get(sign, GETA) if len(sign) == 2 else sign.decode("ascii", "replace") for sign in _PAIR.findall(raw)
    )


@cache
def _jis_table() -> dict[bytes, str]:
    """Return {JIS pair: sign} for all 94 rows, by way of Shift_JIS, as cp932 knows them."""
    table = {}
    for row in range(0x21, 0x7F):
        for cell in range(0x21, 0x7F):
            lead = (row + 1) // 2 + (0x70 if row <= 0x5E else 0xB0)
            trail = cell + (0x7E if row % 2 == 0 else 0x1F if cell <= 0x5F else 0x20)
            sign = _strict(bytes((lead, trail)), "cp932")
            if sign and not _PRIVATE.search(sign):
                table[bytes((row, cell))] = sign
    return table


def _pairs_of(raw: bytes, codec: str, before: bytes) -> str:
    """Decode pairs of a rarer set by the EUC codec that holds it."""
    high = bytes.maketrans(bytes(range(0x21, 0x7F)), bytes(range(0xA1, 0xFF)))
    return "".join(
        _strict(before + sign.translate(high), codec) or GETA if len(sign) == 2 else sign.decode("ascii", "replace")
        for sign in _PAIR.findall(raw)
    )


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────

_ENCODED_WORD = re.compile(r"=\?([^?\s=]{1,60})\?(?:([bB])\?([^?]*)|([qQ])\?(.{0,2000}?))(?:\?=|\?$|$)", re.DOTALL)
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")


def decode_header(raw: bytes) -> str:
    """Return a header's value as one line of text: 8-bit or JIS bytes as found, then its encoded words."""
    return decode_encoded_words(unfold_header(raw))


def unfold_header(raw: bytes) -> str:
    """Return a header's value unfolded to one line, encoded words as they stand."""
    text = raw.decode("ascii") if raw.isascii() and b"\x1b" not in raw else decode_text(raw)
    return _one_line(text)


def _one_line(text: str) -> str:
    if "\n" not in text and "\r" not in text:
        return text.strip()
    return " ".join(piece.strip(" \t") for piece in re.split(r"[\r\n]+", text)).strip()


def decode_encoded_words(text: str) -> str:
    """Decode the encoded words (RFC 2047) in a text; lenient where mail programs are.

    Accepts words inside quotes, without blanks between them, with blanks inside or without end. Joins neighbours of one
    charset before decoding, because some programs cut a character in two.
    """
    if "=?" not in text:
        return text
    pieces: list[str | tuple[str, bytes]] = []
    end = 0
    for found in _ENCODED_WORD.finditer(text):
        between = text[end : found.start()]
        if between.strip() or not pieces:
            pieces.append(between)
        word = (found[1].partition("*")[0].lower(), _octets(found))
        before = pieces[-1]
        if isinstance(before, tuple) and before[0] == word[0]:
            pieces[-1] = (word[0], before[1] + word[1])
        else:
            pieces.append(word)
        end = found.end()
    shown = (piece if isinstance(piece, str) else decode_text(piece[1], piece[0]) for piece in pieces)
    return _one_line("".join(shown) + text[end:])


def _octets(found: re.Match[str]) -> bytes:
    """Return the bytes of one encoded word."""
    if found[2]:
        return decode_base64(found[3].encode("ascii", "ignore"))
    text = found[5].replace("_", " ").encode("utf-8", "replace")
    return _HEX.sub(lambda code: bytes((int(code[1], 16),)), text)


def decode_base64(raw: bytes) -> bytes:
    """Decode base64 whatever stands in it (RFC 2045 6.8); a lone last character is dropped."""
    clean = _NOT_BASE64_OCTET.sub(b"", raw)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


_NOT_BASE64_OCTET = re.compile(rb"[^A-Za-z0-9+/]+")
