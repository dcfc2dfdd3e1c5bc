"""No address but the allowed ones and no token of ours leaves a cleaned post, however it is written (N-07)."""

import re
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from html import unescape
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from mail.address import make_verp_tag
from mail.clean_post import clean_post

HOST = "kairan.example.jp"
BASE = f"https://{HOST}"
WRITER, LIST = "hanako@school.example", "1nen1kumi@mail.school.example"
TOKEN = "7kq2m7xwpt7kq2m7xwpt7kq2m7"
SIGNED = URLSafeSerializer(b"s" * 32, salt="x").dumps([12, 345])


def cleaned(text: str) -> str:
    return clean_post("件名", text, BASE, (WRITER, LIST)).text


def percent(text: str) -> str:
    return quote(text, safe="")


def every_percent(text: str) -> str:
    return "".join(f"%{octet:02x}" for octet in text.encode())


def entities(text: str) -> str:
    return "".join(f"&#{ord(sign)};" for sign in text)


def full_width(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)


def quoted_printable(text: str) -> str:
    return "".join(f"={octet:02X}" for octet in text.encode())


def url_defense_2(text: str) -> str:
    return (
        "https://urldefense.proofpoint.com/v2/url?u="
        + quote(text, safe="").replace("%", "-").replace("-2F", "_")
        + "&d=x"
    )


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": percent,
    "every sign in percent": every_percent,
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64url": lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 behind a word": lambda text: "x1" + urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "UTF-16 in base64": lambda text: b64encode(text.encode("utf-16-le")).decode(),
    "entities": entities,
    "full width": full_width,
    "quoted-printable": quoted_printable,
    "hex": lambda text: text.encode().hex(),
    "JavaScript": lambda text: text.replace("/", "\\/").replace("@", "\\u0040"),
    "invisible signs": lambda text: "\u200b".join(text),
}
REDIRECTORS: dict[str, Callable[[str], str]] = {
    "SafeLinks": lambda url: (
        f"https://jpn01.safelinks.protection.outlook.com/?url={percent(url)}&data=05%7C&reserved=0"
    ),
    "URLDefense 1": lambda url: f"https://urldefense.proofpoint.com/v1/url?u={url}&k=x",
    "URLDefense 2": url_defense_2,
    "URLDefense 3": lambda url: f"https://urldefense.com/v3/__{url}__;!!abc!def$",
    "Google": lambda url: f"https://www.google.com/url?q={percent(url)}&sa=D",
    "Google AMP": lambda url: f"https://www.google.com/amp/s/{url.partition('://')[2]}",
    "Google Translate": lambda url: f"https://kairan-example-jp.translate.goog/{url.split('/', 3)[3]}?_x_tr_sl=ja",
    "Barracuda": lambda url: f"https://linkprotect.cudasvc.com/url?a={percent(url)}&c=E,1,x&typo=1",
    "Mimecast": lambda url: f"https://protect-eu.mimecast.com/s/abcDEF?domain={HOST}",
    "Cisco": lambda url: f"https://secure-web.cisco.com/1abc/{percent(url)}",
    "Trend Micro": lambda url: f"https://ctp.trendmicro.com/wis/clicktime/v1/query?url={percent(url)}&umid=1",
    "Trend Micro, base64": lambda url: f"https://ctp.trendmicro.com/q?u={urlsafe_b64encode(url.encode()).decode()}",
    "Yahoo": lambda url: f"https://r.search.yahoo.co.jp/_ylt=A/RV=2/RU={percent(url)}/RK=2/RS=x",
    "LINE": lambda url: f"line://app/1?url={percent(percent(url))}",
    "Facebook": lambda url: f"https://l.facebook.com/l.php?u={percent(url)}&h=x",
}
LINKS = [
    f"{BASE}/r/{TOKEN}",
    f"{BASE}/a/{TOKEN}/2",
    f"{BASE}/notices/cancel/{SIGNED}",
    f"{BASE}/mail/leave/{SIGNED}",
    f"http://other.example/r/{TOKEN}",
]


@pytest.mark.parametrize("wrap", REDIRECTORS.values(), ids=REDIRECTORS)
@pytest.mark.parametrize("link", LINKS[:4])
def test_no_redirector_carries_a_link_with_a_token(wrap, link):
    text = cleaned(f"前です。\n{wrap(link)}\n後{wrap(link)}です。")
    assert text == "前です。\n\n後です。"


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("again", [str, percent, ENCODINGS["base64"]], ids=["once", "percent", "base64"])
def test_no_encoding_hides_a_token_or_an_address(encode, again):
    for secret in (f"{BASE}/r/{TOKEN}", TOKEN, "mother@parents.example"):
        text = cleaned(f"前です。\n{again(encode(secret))}\n後です。")
        assert text.replace("［…］", "").split() == ["前です。", "後です。"], secret


@pytest.mark.parametrize("purpose", ["return", "reply", "id"])
def test_no_tag_of_a_letter_stays(purpose):
    tag = make_verp_tag(7, purpose, b"s" * 32)
    text = cleaned(f"前です。 r-{tag}@mail.school.example <{tag}@{HOST}> {tag.upper()} 後です。")
    assert tag not in text.lower() and text.startswith("前です。") and text.endswith("後です。")


@pytest.mark.parametrize(
    "text",
    [
        f"{BASE}/r/7kq2m7xwpt\n7kq2m7xwpt7kq2m7",
        f"> {BASE}/r/7kq2m7xwpt7kq2\n> m7xwpt7kq2m7",
        f"{BASE}/r/7kq2m7xwp=\nt7kq2m7xwpt7kq2m7",
        f"{BASE}/r/7kq2m7xwpt\n7kq2m7xwpt\n7kq2m7",
    ],
)
def test_a_token_broken_into_lines_goes(text):
    left = cleaned(f"前です。\n{text}\n後です。")
    assert re.sub(r"[\s>]", "", left) == "前です。後です。"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("tanaka@parents.example", "［…］"),
        ("<tanaka@parents.example>,", "<［…］>,"),
        ("連絡はtanaka@parents.exampleまで", "連絡は［…］まで"),
        ("田中@parents.example", "［…］"),
        ("tanaka@例え.example", "［…］"),
        ("tanaka@xn--r8jz45g.example", "［…］"),
        ('"ta na"@parents.example', "［…］"),
        ("tanaka@[192.0.2.1]", "［…］"),
        ("tanaka＠parents．example", "［…］"),
        ("tanaka@parents。example", "［…］"),
        (f"{WRITER} tanaka@parents.example", f"{WRITER} ［…］"),
        (f"x{WRITER}", "［…］"),
        (f"1nen1kumi-join-secret@{LIST.partition('@')[2]}", "［…］"),
    ],
)
def test_addresses_of_others_are_taken_out_and_that_is_told(written, left):
    result = clean_post("件名", f"前です。\n{written}", BASE, (WRITER, LIST))
    assert (result.text, result.had_addresses) == (f"前です。\n{left}", True)
    subject = clean_post(written, "前です。", BASE, (WRITER, LIST))
    assert (subject.subject, subject.had_addresses) == (left, True)


@pytest.mark.parametrize(
    "text",
    [
        f"連絡は{WRITER}まで",
        f"<{WRITER.upper()}>\nTEL 090-0000-0000",
        f"TEL 090-0000-0000\n{WRITER}\nhttps://school.example/",
        f"入会は {LIST} へ空メール",
        f"申込 {BASE}/j/1nen1kumi と {BASE}/ と https://example.com/r/x",
        "動画 https://www.youtube.example/watch?v=dQw4w9WgXcQ 地図 https://maps.example/a1B2c3D4e5F6g7H8i",
        "https://drive.example/file/d/1A2b3C4d5E6f7G8h9I0jKlMnOpQrStUvW/view?usp=sharing",
        "100%達成。A&B、x=3、3>2、¥1,000、(8:30)",
    ],
)
def test_what_is_allowed_stays(text):
    result = clean_post("件名", text, BASE, (WRITER, LIST))
    assert (result.text, result.had_addresses) == (text, False)


SECRETS = st.sampled_from([TOKEN, SIGNED, *LINKS, "mother@parents.example", "a.b+c@sub.parents.example"])
CODERS = st.lists(st.sampled_from([*ENCODINGS.values(), *REDIRECTORS.values()][:-2]), max_size=3)
WORDS = st.text(st.sampled_from("あ漢。、 \n<>「」()\"'"), max_size=20)


def shown(text: str) -> str:
    """Return the text with its plain encodings undone, as a reader's program would."""
    for _ in range(4):
        text = unescape(unquote(text))
    return text.lower()


@settings(max_examples=400, deadline=None)
@given(secret=SECRETS, before=WORDS, behind=WORDS)
@example(secret=TOKEN, before="", behind="")
def test_no_address_and_no_token_ever_leaves(secret, before, behind):
    result = clean_post(f"件{secret}", f"前{before}{secret}{behind}後", BASE, (WRITER, LIST))
    left = shown(f"{result.subject} {result.text}")
    assert TOKEN not in left and SIGNED.lower() not in left and "parents.example" not in left


@settings(max_examples=400, deadline=None)
@given(secret=SECRETS, coders=CODERS, before=WORDS, behind=WORDS)
def test_no_encoded_address_and_token_ever_leaves(secret, coders, before, behind):
    """The secret is encoded up to three times, by encodings and redirectors in any order."""
    coded = secret
    for code in coders:
        if "://" in coded or code not in REDIRECTORS.values():
            coded = code(coded)
    result = clean_post("件名", f"前{before} {coded} {behind}後", BASE, (WRITER, LIST))
    assert coded not in result.text
    left = shown(result.text)
    assert TOKEN not in left and SIGNED.lower() not in left and "parents.example" not in left


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab.-_%@=&;/:<>\n 7あ。＠．\u200b"'), max_size=120))
def test_no_address_stands_in_what_is_left(text):
    """Any mixture of the signs of which addresses and links are made."""
    result = clean_post("件名", f"前\n{text}", BASE, (WRITER,))
    assert not re.search(r"[ab7]@(?:[ab7]+[.-]*)+\.[ab]{2}", result.text), result.text
    again = clean_post("件名", result.text, BASE, (WRITER,), refers_to_ours=False)
    assert not again.had_addresses


@pytest.mark.parametrize(
    "text", ["A" * 20_000, "a@b." * 5_000, "%25" * 7_000, "=41" * 7_000, "&amp;" * 5_000, "x\n" * 50_000]
)
def test_long_runs_take_no_time(text):
    began = time.process_time()
    clean_post("件名", text, BASE, (WRITER,))
    assert time.process_time() - began < 3
