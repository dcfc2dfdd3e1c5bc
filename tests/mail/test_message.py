"""Reading incoming mail: who, what, which files; and that no bytes make it raise (defences 2 "Poison message")."""

import base64
import quopri
from datetime import UTC, datetime

import pytest

from mail import address, message
from mail.html import to_text

LETTER = """\
Received: from a.example by b.example; Sun, 8 Nov 2026 07:00:00 +0900
From: "=?iso-2022-jp?B?GyRCTmtMWhsoQg==?=" <taro..suzuki.@docomo.ne.jp>
To: 3nen2kumi@mail.kaedehara.example
Subject: =?utf-8?B?44GK55+l44KJ44Gb?=
Message-ID: <1@docomo.ne.jp>
In-Reply-To: <first@mail.kaedehara.example>
References: <zero@mail.kaedehara.example>
 <first@mail.kaedehara.example>
Date: Sun, 8 Nov 2026 07:00:00 +0900
"""


def letter(content: str, head: str = LETTER) -> message.ParsedMessage:
    return message.parse_message((head + content).encode())


def test_a_letter_of_a_telephone():
    mail = letter("\nおはようございます。\n")
    assert mail.sole_from == "taro..suzuki.@docomo.ne.jp"
    assert (mail.from_name, mail.subject, mail.text) == ("鈴木", "お知らせ", "おはようございます。")
    assert (mail.message_id, mail.in_reply_to) == ("1@docomo.ne.jp", ("first@mail.kaedehara.example",))
    assert mail.references == ("zero@mail.kaedehara.example", "first@mail.kaedehara.example")
    assert (mail.date, mail.received) == (datetime(2026, 11, 7, 22, 0, tzinfo=UTC), 1)
    assert not (mail.attachments or mail.cut)
    assert mail.header("Subject") == "お知らせ" and mail.headers("X-None") == []


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('"a@good.example" <evil@bad.example>', ["evil@bad.example"]),
        ("a@good.example <evil@bad.example>", ["evil@bad.example"]),
        ("a@x.example, b@y.example", ["a@x.example", "b@y.example"]),
        ("<a@x.example> b@y.example", ["a@x.example", "b@y.example"]),
        ("a@x.example b@y.example", ["a@x.example", "b@y.example"]),
        ('"a..b"@docomo.ne.jp', ["a..b@docomo.ne.jp"]),
        (".a.@ezweb.ne.jp (comment, with <b@y.example>)", [".a.@ezweb.ne.jp"]),
        ("山田, 太郎 <t@x.example>", ["t@x.example"]),
        ("=?utf-8?Q?evil=40bad.example=2C?= <t@x.example>", ["t@x.example"]),
        ("friends: a@x.example, b@y.example;", ["a@x.example", "b@y.example"]),
        ("<@relay.example:a@x.example>", ["a@x.example"]),
        ("A@X.Example.", ["A@x.example"]),
        ("Undisclosed:;", []),
        ('"', []),
        ("<", []),
        ("nobody", []),
    ],
)
def test_mailboxes_are_counted_with_suspicion(header, found):
    assert [box.address for box in address.parse_address_list(header.encode())] == found


def test_two_from_fields_are_from_nobody():
    mail = message.parse_message(b"From: a@x.example\nFrom: a@x.example\n\nx")
    assert (mail.from_fields, len(mail.from_addresses), mail.sole_from) == (2, 2, "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\r",
        b"\xff" * 300,
        b'From: "\nTo: "\n\nx',
        b"From: <\n\n",
        b"Message-ID: <\n\n",
        b"Content-Type: text/plain; charset=x-unknown\n\n\xff\xfe",
        b"From: a:b@c,<d\n\n",
        b"Date: Mon, 99 Foo\n\n",
        b"Content-Type: multipart/mixed\n\nx",
        b"Content-Type: ;;;\n\nx",
        b"Subject",
        b":\n:\n",
        b"From x\nFrom y\n",
        b'Content-Type: multipart/mixed; boundary=""\n\n--\n\nx',
        b"Date: Thu, 1 Jan 0001 00:00:00 +2359\n\n",
        b"Content-Transfer-Encoding: base64\n\n!!!=",
        b"Content-Transfer-Encoding: uu\n\nbegin\n!!\n",
    ],
)
def test_bytes_that_break_other_readers(raw):
    """Among them those that make Python's own `email` package raise."""
    mail = message.parse_message(raw)
    assert isinstance(mail.text, str) and "." not in mail.sole_from


BOTH = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: multipart/alternative; boundary="a"

--a
Content-Type: text/plain; charset=utf-8

言葉
--a
Content-Type: text/html; charset=utf-8

<p>飾り</p>
--a--
--m
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*0*=iso-2022-jp''%1B%24B%46%7C%4B%5C; filename*1*=%1B%28B;
 filename*2=".pdf"

AAEC
--m
Content-Type: text/plain; name="=?utf-8?B?5ZCN57C/LnR4dA==?="

not the words
--m
Content-Type: text/plain

the footer
--m--
"""


def test_the_plain_part_is_the_text_and_files_are_files():
    mail = letter(BOTH)
    assert mail.text == "言葉\nthe footer"
    assert [(file.name, file.kind, file.size) for file in mail.attachments] == [
        ("日本.pdf", "application/pdf", 3),
        ("名簿.txt", "text/plain", 13),
    ]
    assert mail.attachments[0].content() == b"\x00\x01\x02"


@pytest.mark.proves("T-15")
def test_html_alone_is_turned_into_words():
    page = (
        '<head><title>x</title><style>p{}</style></head><div style="display:none">preview</div><p>朝<br>昼 &amp; 夜</p>'
    )
    page += '<ul><li>一<li>二</ul><a href="https://a.example/?x=1&amp;y=2">ここ</a><script>alert("<p>")</script>'
    mail = letter("Content-Type: text/html; charset=utf-8\n\n" + page)
    assert mail.text == "朝\n昼 & 夜\n\n- 一\n- 二\n\nここ <https://a.example/?x=1&y=2>"


def test_an_empty_plain_part_does_not_hide_the_html():
    content = (
        'Content-Type: multipart/alternative; boundary="a"\n\n--a\n\n \n--a\nContent-Type: text/html\n\n<b>here</b>\n'
    )
    assert letter(content).text == "here"


def test_a_link_whose_words_are_its_address_is_written_once():
    assert to_text.html_to_text(
        '<a href="https://a.example/">a.example</a> <a href="mailto:x@a.example">x@a.example</a>'
    ) == ("a.example x@a.example")
    assert to_text.html_to_text('<a href="javascript:alert(1)">x</a><!-- <b>no</b> --> y') == "x y"


def test_a_mail_inside_a_mail_keeps_its_words_to_itself():
    inner = "From: b@y.example\nSubject: in\nContent-Type: text/plain\n\nsecret"
    head = 'Content-Type: multipart/mixed; boundary="m"\n\n--m\n\nouter\n--m\n'
    mail = letter(f"{head}Content-Type: message/rfc822\n\n{inner}\n--m--\n")
    assert (mail.text, [file.kind for file in mail.attachments]) == ("outer", ["message/rfc822"])


def test_broken_headers_are_mended():
    """A folded line that lost its blank, a body that lost the empty line before it, lines of a mailbox."""
    mail = message.parse_message(b"\n>From x\nFrom a 2026\nSubject: a long\nsubject line\nFrom: a@x.example\n\nbody")
    assert (mail.subject, mail.sole_from, mail.text) == ("a long subject line", "a@x.example", "body")
    mail = message.parse_message(b"From: a@x.example\nHello, no empty line here.\nYours\n")
    assert (mail.sole_from, mail.text) == ("a@x.example", "Hello, no empty line here.\nYours\n".rstrip())


def test_limits_are_told():
    """64 KiB of header, 200 parts, 20 levels, the size of the mail (inbound rules, summary)."""
    assert message.parse_message(b"X: " + b"y" * 70_000 + b"\n\nx").cut
    parts = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 300
    assert message.parse_message(parts).cut and len(list(message.parse_mime(parts).walk())) == message.MAX_PARTS
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (level, level) for level in range(40))
    assert message.parse_message(deep).cut
    assert message.parse_message(b"From: a@x.example\n\n" + b"x" * 100, limit=50).cut
    assert not message.parse_message(b"From: a@x.example\n\n" + b"x" * 100).cut


def test_text_of_any_length_is_cut_not_refused():
    raw = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(b"a" * 2_000_000)
    assert len(message.parse_message(raw).text) == message.MAX_TEXT_CHARS


# ── words that RFC 2045 to 2049 and 3676 let a program send ──────────────────────────────────────────────────────────


def words(header: str, content: str | bytes) -> str:
    raw = content if isinstance(content, bytes) else content.encode()
    return message.parse_message(f"From: a@x.example\n{header}\n\n".encode() + raw).text


@pytest.mark.parametrize(
    ("delsp", "content", "shown"),
    [
        (
            "yes",
            "明日は雨のため \n中止です。 \nhttps://x.example/a- \nb.html",
            "明日は雨のため中止です。https://x.example/a-b.html",
        ),
        (
            "no",
            "The walk is off because \nof the rain.\nBring tea.",
            "The walk is off because of the rain.\nBring tea.",
        ),
        ("no", " From here\n > no quote", "From here\n> no quote"),
        ("no", "> a quoted \n> paragraph\nmine", "> a quoted paragraph\nmine"),
        ("no", "words \n-- \nHanako", "words \n-- \nHanako"),
    ],
)
def test_flowed_lines_are_joined(delsp, content, shown):
    header = f"Content-Type: text/plain; charset=utf-8; format=flowed; delsp={delsp}"
    assert words(header, content) == shown


ENCODED = base64.encodebytes(
    "雨のため、明日の遠足は延期します。皆さまによろしくお伝えください。長い行になります。".encode()
).decode()
SHOWN = "雨のため、明日の遠足は延期します。皆さまによろしくお伝えください。長い行になります。"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (ENCODED + "\n-- \nChecked by a scanner.\n", SHOWN),
        (ENCODED + "_______________\nlist mailing list\n", SHOWN),
        (ENCODED + base64.encodebytes("追伸".encode()).decode(), SHOWN + "追伸"),
        (base64.b64encode(b"abc").decode() + "\n" + base64.b64encode(b"defg").decode(), "abcdefg"),
        (ENCODED.replace("\n", " \t\n"), SHOWN),
        ("\n".join(ENCODED.replace("\n", "")[at : at + 7] for at in range(0, 400, 7)), SHOWN),
    ],
)
def test_base64_ends_where_its_blocks_end(content, shown):
    header = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64"
    assert words(header, content) == shown


@pytest.mark.parametrize(
    "content", ["because of the= \n rain.", "because of the=\t \n rain.   ", "because of the rain.=\n"]
)
def test_blanks_at_line_ends_of_quoted_printable_are_padding(content):
    assert words("Content-Transfer-Encoding: quoted-printable", content) == "because of the rain."
    spaced = quopri.encodestring("雨 \n".encode()).decode()
    assert (
        words("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", spaced) == "雨 "
    )


@pytest.mark.parametrize("designator", [b"\x1b$)C", b""])
def test_korean_of_seven_bits(designator):
    raw = "안녕하세요 abc".encode("iso2022_kr").replace(b"\x1b$)C", designator)
    assert words("Content-Type: text/plain; charset=iso-2022-kr", raw) == "안녕하세요 abc"


@pytest.mark.parametrize(
    "header",
    [
        'Content-Type: text/plain; charset=utf-8; name="a.txt"\nContent-Disposition: attachment; filename="a.txt"',
        "Content-Type: text/x-unknown; charset=utf-8",
        "Content-Type: text/markdown; charset=utf-8",
        "Content-Type: text/html; charset=utf-8\nContent-Disposition: attachment; filename=a.html",
    ],
)
def test_a_text_that_is_the_whole_mail_is_its_words(header):
    mail = message.parse_message(f"From: a@x.example\n{header}\n\n欠席します。".encode())
    assert (mail.text, mail.attachments) == ("欠席します。", ())


SMIL = "--B\nContent-Type: application/smil; name=s.smil\nContent-ID: <s>\n\n<smil/>\n"
NAMED = "--B\nContent-Type: text/plain; charset=utf-8; name=t.txt\nContent-ID: <t>\n\n8時です。\n"
PICTURE = "--B\nContent-Type: image/jpeg; name=i.jpg\n\nAAAA\n"


@pytest.mark.parametrize(
    ("kind", "pieces"),
    [
        ("multipart/related", SMIL + NAMED + PICTURE),
        ("multipart/mixed", SMIL + PICTURE + NAMED),
        ("multipart/related; type=text/plain; start=<t>", PICTURE + SMIL + NAMED),
        ("multipart/related", PICTURE + NAMED),
    ],
)
def test_words_of_a_telephone_gateway_are_found(kind, pieces):
    mail = message.parse_message(f"From: a@x.example\nContent-Type: {kind}; boundary=B\n\n{pieces}--B--\n".encode())
    assert mail.text == "8時です。"
    assert "image/jpeg" in [file.kind for file in mail.attachments]


@pytest.mark.parametrize(
    ("content", "shown", "missing"),
    [
        (
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n雨です。\n- -- 注意\n-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP "
            "SIGNATURE-----\n",
            "雨です。\n-- 注意",
            "",
        ),
        ("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n", "", "encrypted"),
    ],
)
def test_pgp(content, shown, missing):
    mail = message.parse_message(f"From: a@x.example\nContent-Type: text/plain; charset=utf-8\n\n{content}".encode())
    assert mail.text.strip() == shown
    if missing:
        assert message.missing_words(mail) == missing


def signed_data(pieces: tuple[bytes, ...], definite: bool) -> bytes:
    """Return a CMS SignedData without signers whose content is in these pieces."""

    def value(tag: int, content: bytes) -> bytes:
        if not definite and tag & 0x20:
            return bytes((tag, 0x80)) + content + b"\0\0"
        length = len(content)
        return bytes((tag,)) + (bytes((length,)) if length < 128 else b"\x82" + length.to_bytes(2, "big")) + content

    octets = b"".join(value(0x04, piece) for piece in pieces)
    text = octets if len(pieces) == 1 else value(0x24, octets)
    inner = value(0x30, value(0x06, bytes.fromhex("2a864886f70d010701")) + value(0xA0, text))
    signed = value(0x30, value(0x02, b"\1") + value(0x31, b"") + inner + value(0x31, b""))
    return value(0x30, value(0x06, bytes.fromhex("2a864886f70d010702")) + value(0xA0, signed))


@pytest.mark.parametrize("kind", ["application/pkcs7-mime; smime-type=signed-data", "application/x-pkcs7-mime"])
@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("cuts", [1, 3])
def test_opaque_signed_words_are_read(kind, definite, cuts):
    entity = "Content-Type: text/plain; charset=utf-8\r\n\r\n明日は8時に校門です。\r\n".encode() * 1
    step = len(entity) // cuts + 1
    octets = signed_data(tuple(entity[at : at + step] for at in range(0, len(entity), step)), definite)
    header = f"Content-Type: {kind}; name=smime.p7m\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64"
    assert words(header, base64.encodebytes(octets)) == "明日は8時に校門です。"
    for cut in range(0, len(octets), 5):
        words(header, base64.encodebytes(octets[:cut]))
    broken = message.parse_message(f"From: a@x.example\n{header}\n\n".encode() + base64.encodebytes(octets[:40]))
    assert (broken.text, message.missing_words(broken)) == ("", "encrypted")
