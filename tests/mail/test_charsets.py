"""Signs that Japanese mails hold beyond the charset they name, and bytes that hold none (inbound rules, T-26)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail import charsets


def jis(text: str) -> bytes:
    """Encode as mail programs do: every sign that cp932 knows, as JIS pairs between escapes."""
    out, wide = [], False
    for sign in text:
        octets = sign.encode("cp932")
        if wide != (len(octets) == 2):
            wide = not wide
            out.append(b"\x1b$B" if wide else b"\x1b(B")
        out.append(_pair(*octets) if wide else octets)
    return b"".join(out) + (b"\x1b(B" if wide else b"")


def _pair(lead: int, trail: int) -> bytes:
    """Return the JIS pair of a Shift_JIS sign (JIS X 0208, Annex 1)."""
    row = (lead - (0x70 if lead < 0xA0 else 0xB0)) * 2 - (trail < 0x9F)
    cell = trail - 0x7E if trail >= 0x9F else trail - (0x20 if trail >= 0x80 else 0x1F)
    return bytes((row, cell))


DAILY = "明日は①雨天㈱延期です～Ⅲ℡"


@pytest.mark.parametrize(
    "charset", ["iso-2022-jp", "ISO-2022-JP-MS", '"iso-2022-jp"', "us-ascii", "", "utf-8", "x-unknown"]
)
def test_escapes_are_believed_under_every_name(charset):
    assert charsets.decode_text(jis(DAILY), charset) == DAILY


@pytest.mark.proves("T-15")
@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("髙﨑①ｱ".encode("cp932"), "shift_jis", "髙﨑①ｱ"),
        ("髙﨑さん、おはよう".encode("cp932"), "", "髙﨑さん、おはよう"),
        ("髙﨑さん、おはよう".encode("cp932"), "utf-8", "髙﨑さん、おはよう"),
        ("髙﨑さん、おはよう".encode("cp932"), "iso-8859-1", "髙﨑さん、おはよう"),
        ("東京の天気、さくら".encode("euc_jp"), "euc-jp", "東京の天気、さくら"),
        ("東京の天気、さくら".encode("euc_jp"), "", "東京の天気、さくら"),
        (b"\xad\xa1\xa4\xa2\x8e\xb1", "EUC-JP", "①あｱ"),
        ("日本語".encode(), "iso-8859-1", "日本語"),
        ("日本語".encode(), "shift_jis", "日本語"),
        ("verzögert".encode("latin-1"), "", "verzögert"),
        ("„verzögert“ €".encode("cp1252"), "iso-8859-1", "„verzögert“ €"),
        ("привет".encode("koi8-r"), "KOI8-R", "привет"),
        ("中文".encode("gb18030"), "gb2312", "中文"),
        ("한국어".encode("cp949"), "ks_c_5601-1987", "한국어"),
        (b"\x1b(I\x31\x32\x33\x1b(B", "iso-2022-jp", "ｱｲｳ"),
        (b"\x0e123\x0f", "iso-2022-jp", "ｱｲｳ"),
        (b"$B%F%9%H(B", "iso-2022-jp", "テスト"),
        (b"\x1b$(D\x30\x21\x1b(B", "iso-2022-jp-1", "丂"),
        (b"caf\xe9", "x-unknown", "café"),
        ("\ufeffBOM".encode(), "utf-8", "BOM"),
        (b"plain", "base64", "plain"),
        (b"plain", "zlib", "plain"),
        (b"$B is no escape", "us-ascii", "$B is no escape"),
    ],
)
def test_the_wider_codec_is_asked(raw, charset, text):
    assert charsets.decode_text(raw, charset) == text


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"\xf8\x9f \x82\xa0", "shift_jis", "〓 あ"),
        (b"\x1b$Gj!\x0f \x82\xa0", "shift_jis", "〓 あ"),
        (b"\x1b$B\x7e\x7e\x1b(B", "iso-2022-jp", "〓"),
        (b"\xe3\x81\x82\xe3\x81", "utf-8", "あ〓"),
    ],
)
def test_what_nobody_can_read_becomes_a_geta(raw, charset, text):
    """Pictograms of telephones, and characters cut in two."""
    assert charsets.decode_text(raw, charset) == text


def word(raw: bytes, charset: str = "iso-2022-jp") -> bytes:
    return b"=?%b?B?%b?=" % (charset.encode(), base64.b64encode(raw))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (word(jis("運動会")) + b"\r\n " + word(jis("①の件")), "運動会①の件"),
        (word(jis("運動会")) + b" 2026 " + word("延期".encode(), "UTF-8"), "運動会 2026 延期"),
        (word("あ".encode()[:2], "utf-8") + b" " + word("あ".encode()[2:], "UTF-8"), "あ"),
        (b"=?utf-8?Q?=E3=81=82_b?=", "あ b"),
        (b"=?utf-8?Q?=E3=81=82 b?=", "あ b"),
        (b"Re:=?utf-8?B?44GC?=x", "Re:あx"),
        (b'"=?utf-8?B?44GC?="', '"あ"'),
        (b"=?utf-8*ja?B?44GC?=", "あ"),
        (b"=?utf-8?B?44GC", "あ"),
        (b"=?utf-8?B?44GC44G?=", "あ〓"),
        ("生の件名です".encode("cp932"), "生の件名です"),
        ("生の件名です".encode(), "生の件名です"),
        (jis("生の件名①"), "生の件名①"),
        (b"folded\r\n\t subject", "folded subject"),
        (b"=?x?b?a?=", ""),
        (b"=?unfinished", "=?unfinished"),
        (word("髙".encode("cp932"), "Shift_JIS"), "髙"),
        (word("髙い".encode("cp932"), "utf-8"), "髙い"),
    ],
)
def test_headers(raw, text):
    assert charsets.decode_header(raw) == text


NAMES = st.sampled_from(
    ["", "utf-8", "iso-2022-jp", "shift_jis", "euc-jp", "iso-8859-1", "x-nil", "utf-7", "utf-16", "hz", "idna"]
)
PIECES = st.sampled_from(
    [b"\x1b$B", b"\x1b(B", b"\x1b(I", b"\x0e", b"=?", b"?=", b"=?utf-8?Q?", b"\x8f", b"\xa4\xa2", b"\x82", b"\n"]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=20), NAMES)
def test_any_bytes_give_text_without_replacement_characters(pieces, charset):
    raw = b"".join(pieces)
    for text in (charsets.decode_text(raw, charset), charsets.decode_header(raw)):
        assert "\ufffd" not in text
        text.encode("utf-8")


@given(st.text(st.characters(codec="cp932", exclude_characters="\x1b\x0e\x0f\n¢£¬‖−〜"), max_size=60))
def test_what_a_japanese_computer_can_write_comes_back(text):
    text = "".join(sign for sign in text if len(sign.encode("cp932")) == 2 and sign.encode("cp932")[0] < 0xF0)
    assert charsets.decode_text(jis(text), "iso-2022-jp") == text
    assert charsets.decode_text(text.encode("cp932") + b"\x82\xa0", "shift_jis")[:-1] == text
