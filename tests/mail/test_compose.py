"""Letters: bytes that any mail program reads back as the words that were meant."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail import address
from mail.compose import LetterRenderer
from mail.merge import one_line
from tests.mail.sample_letter import HANAKO, NOTICE, SECRET, SERVICE

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=200)
JAPANESE = st.text(alphabet='あ漢髙﨑𠮷🌀é =?_ab"\\<>,;:()@.\t', max_size=120)


def read(raw: bytes) -> EmailMessage:
    """Parse a mail with the standard library, as a stranger would."""
    return message_from_bytes(raw, policy=policy.default)


def text_of(raw: bytes) -> str:
    return read(raw).get_content().replace("\r\n", "\n")


def head_of(raw: bytes) -> str:
    return raw.partition(b"\r\n\r\n")[0].decode("ascii")


def test_a_letter_holds_each_header_once():
    mail = read(LetterRenderer(NOTICE).letter(HANAKO))
    back, reply, own_id = (address.make_verp_tag(17, purpose, SECRET) for purpose in ("return", "reply", "id"))
    assert mail["From"] == "かえで原小学校 3年2組 <3nen2kumi@mail.kaedehara.example>"
    assert mail["To"] == "鈴木 花子 <hanako@parents.example>"
    assert mail["Reply-To"] == f"r-{reply}@mail.kaedehara.example"
    assert mail["Subject"] == "授業参観のお知らせ"
    assert mail["Date"] == "Sun, 08 Nov 2026 06:12:03 +0900"
    assert mail["Message-ID"] == f"<{own_id}@mail.kaedehara.example>"
    assert mail["X-Kairan-Letter"] == back
    assert mail["List-Id"] == "3年2組 <3nen2kumi.mail.kaedehara.example>"
    assert mail["List-Unsubscribe"] == f"<https://mail.kaedehara.example/u/{HANAKO.token}/one-click>"  # RFC 8058
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-Post"] == "NO"
    assert mail["X-Kairan-Loop"] == "3nen2kumi.mail.kaedehara.example"
    assert mail["Auto-Submitted"] is None
    assert mail["MIME-Version"] == "1.0"
    assert mail.get_content_charset() == "utf-8" and mail["Content-Transfer-Encoding"] == "base64"
    assert len(mail.keys()) == len({name.lower() for name in mail})
    assert not mail.defects


def test_the_text_is_what_the_check_page_shows():
    prepared = LetterRenderer(NOTICE)
    assert text_of(prepared.letter(HANAKO)) == prepared.text(HANAKO)
    assert read(prepared.letter(HANAKO))["Subject"] == prepared.subject(HANAKO)


@pytest.mark.proves("T-42", "T-43", "D-26", "D-28")
def test_words_then_read_confirmation_then_footer():
    """T-43 the confirmation at the end of the body, D-26 the leave link and the address at the very bottom."""
    lines = LetterRenderer(NOTICE).text(HANAKO).split("\n")
    read_at = lines.index(f"https://mail.kaedehara.example/r/{HANAKO.token}")
    leave_at = lines.index(f"https://mail.kaedehara.example/u/{HANAKO.token}")
    assert lines.index("上履きをお持ちください。") < read_at < leave_at
    assert lines[read_at - 1] == "お読みになったら、下のURLを開いて「見ました」を押してください。"
    assert lines[leave_at - 1] == "アドレスの変更・配信の停止・心当たりのない方："
    assert lines[-2] == "〒000-0000 例示県例示市かえで原1-2-3　かえで原小学校PTA"
    assert lines[-1] == ""


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_link_stands_alone_on_its_line(language):
    text = LetterRenderer(replace(NOTICE, language=language)).text(HANAKO)
    links = [line for line in text.split("\n") if "https://" in line]
    assert len(links) == 2
    assert all(re.fullmatch(r"https://[a-z./0-9]+[a-z0-9]", line) and len(line) < 70 for line in links)


@pytest.mark.proves("D-27")
def test_a_letter_without_footer_and_confirmation_has_no_link():
    """An emergency letter may go without any URL, since some phones refuse mail with URLs."""
    letter = LetterRenderer(replace(NOTICE, footer=False, read_confirmation=False))
    assert letter.text(HANAKO) == "鈴木 花子 様\n\n11月14日(土)に授業参観を行います。\n上履きをお持ちください。\n"


def test_the_reply_sentence_follows_the_reply_address():
    own = replace(NOTICE, reply_to="tanaka@school.example")
    assert "返信は担当者が読みます（出欠などの回答にはなりません）。" in LetterRenderer(NOTICE).text(HANAKO)
    assert "返信は送信者に届きます。" in LetterRenderer(own).text(HANAKO)
    assert read(LetterRenderer(own).letter(HANAKO))["Reply-To"] == "tanaka@school.example"


def test_a_service_letter_names_no_list():
    mail = read(LetterRenderer(SERVICE).letter(HANAKO))
    text = LetterRenderer(SERVICE).text(HANAKO)
    assert not [name for name in mail if name.startswith("List-")]
    assert mail["Auto-Submitted"] == "auto-generated"  # RFC 3834
    assert mail["X-Kairan-Loop"] == "mail.kaedehara.example"
    assert HANAKO.token not in text and "登録された方" not in text and "返信は" not in text
    assert text.endswith("〒000-0000 例示県例示市かえで原1-2-3　かえで原小学校PTA\n")


def test_the_leave_address_stands_beside_one_click_if_given():
    raw = LetterRenderer(replace(NOTICE, leave_address="3nen2kumi-leave@mail.kaedehara.example")).letter(HANAKO)
    assert read(raw)["List-Unsubscribe"].endswith(",  <mailto:3nen2kumi-leave@mail.kaedehara.example>") or read(raw)[
        "List-Unsubscribe"
    ].endswith(", <mailto:3nen2kumi-leave@mail.kaedehara.example>")


def test_an_urgent_letter_says_so():
    assert read(LetterRenderer(replace(NOTICE, urgent=True)).letter(HANAKO))["Importance"] == "high"
    assert read(LetterRenderer(NOTICE).letter(HANAKO))["Importance"] is None


def test_a_letter_about_one_child_says_which():
    kaito = replace(HANAKO, child="海斗")
    assert LetterRenderer(NOTICE).subject(kaito) == "授業参観のお知らせ（海斗さん）"
    assert LetterRenderer(replace(NOTICE, language="en", subject="Open day")).subject(kaito) == "Open day (海斗)"
    assert read(LetterRenderer(NOTICE).letter(kaito))["Subject"] == "授業参観のお知らせ（海斗さん）"


@pytest.mark.parametrize(("bare", "shown"), [(False, '"ta..ro."@docomo.ne.jp'), (True, "ta..ro.@docomo.ne.jp")])
def test_a_carrier_address_is_quoted_unless_its_server_wants_it_bare(bare, shown):
    reader = replace(HANAKO, address="ta..ro.@docomo.ne.jp", bare=bare)
    assert f" <{shown}>\r\n" in head_of(LetterRenderer(NOTICE).letter(reader))


def test_english_letters_are_english_and_dated_in_utc():
    form = replace(NOTICE, language="en", contact="School office", postal="1-2-3 Kaedehara", organization="PTA")
    assert "\nWhen you have read this, open the link and press “I have read this”.\n" in LetterRenderer(form).text(
        HANAKO
    )
    assert read(LetterRenderer(form).letter(HANAKO))["Date"] == "Sat, 07 Nov 2026 21:12:03 +0000"


def test_no_other_address_and_no_secret_stands_in_a_letter():
    raw = LetterRenderer(NOTICE).letter(HANAKO)
    everything = head_of(raw) + text_of(raw)
    reply, own_id = (address.make_verp_tag(17, purpose, SECRET) for purpose in ("reply", "id"))
    domain = "mail.kaedehara.example"
    allowed = {f"3nen2kumi@{domain}", "hanako@parents.example", f"r-{reply}@{domain}", f"{own_id}@{domain}"}
    assert set(re.findall(r"[\w.+-]+@[\w.-]+", everything)) == allowed


@pytest.mark.parametrize("injected", ["\r\nBcc: all@parents.example", "\nBcc: x@y.example", "\rBcc: x@y.example"])
def test_no_header_can_be_injected(injected):
    form = replace(NOTICE, subject="{{氏名}}" + injected, from_name="先生" + injected, list_name="組" + injected)
    reader = replace(HANAKO, name="花子" + injected, child="海斗" + injected, values={"氏名": "花子" + injected})
    mail = read(LetterRenderer(form).letter(reader))
    assert mail["Bcc"] is None
    assert mail.keys() == read(LetterRenderer(NOTICE).letter(HANAKO)).keys()


@pytest.mark.parametrize(
    "change",
    [
        {"from_address": "a@b.example\r\nBcc: c@d.example"},
        {"reply_to": "a@b.example\r\nBcc: c@d.example"},
        {"list_id": "a.example>\r\nBcc: c@d.example"},
        {"mail_domain": "b.example\r\nBcc:"},
        {"base_url": "https://b.example/\r\nBcc:"},
        {"leave_address": "a b@c.example"},
    ],
)
def test_a_form_with_a_break_in_an_address_is_refused(change):
    with pytest.raises(ValueError, match="header"):
        LetterRenderer(replace(NOTICE, **change))


@pytest.mark.parametrize("wrong", ["a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "", "a b@c.example"])
def test_a_reader_without_clean_address_gets_no_letter(wrong):
    with pytest.raises(address.BadAddress):
        LetterRenderer(NOTICE).letter(replace(HANAKO, address=wrong))


@pytest.mark.parametrize("change", [{"token": "a/b"}, {"token": ""}, {"at": datetime(2026, 11, 7)}])  # noqa: DTZ001
def test_a_fault_of_ours_is_loud(change):
    with pytest.raises(ValueError, match="token|zone"):
        LetterRenderer(NOTICE).letter(replace(HANAKO, **change))


@given(subject=ANY_TEXT | JAPANESE, name=ANY_TEXT | JAPANESE, text=ANY_TEXT | JAPANESE, value=ANY_TEXT)
def test_any_words_are_read_back_exactly(subject, name, text, value):
    form = replace(NOTICE, subject=subject, from_name=name, list_name=name, text=text + "{{氏名}}")
    reader = replace(HANAKO, name=name, values={"氏名": value})
    prepared = LetterRenderer(form)
    raw = prepared.letter(reader)
    mail = read(raw)
    assert str(mail["Subject"]) == prepared.subject(reader)
    assert text_of(raw) == prepared.text(reader)
    assert mail["To"].addresses[0].addr_spec == HANAKO.address
    for header in ("From", "To"):
        (read_name,) = [found.display_name for found in mail[header].addresses]
        assert spaceless(read_name) == spaceless(one_line(name))


def spaceless(text: str) -> str:
    """Leave out white space: the standard library makes several kinds of it one space when it reads names."""
    return "".join(text.split())


@given(subject=ANY_TEXT | JAPANESE, name=ANY_TEXT | JAPANESE, text=ANY_TEXT)
def test_lines_are_short_and_ascii(subject, name, text):
    form = replace(NOTICE, subject=subject, from_name=name, list_name=name, text=text)
    head, _, body = LetterRenderer(form).letter(replace(HANAKO, name=name)).partition(b"\r\n\r\n")
    assert head.isascii() and b"\n" not in head.replace(b"\r\n", b"") and b"\r" not in head.replace(b"\r\n", b"")
    words = [line for line in head.split(b"\r\n") if b"=?utf-8?b?" in line]
    assert all(len(line) < 76 for line in words)
    assert all(len(word) <= 75 for word in re.findall(rb"=\?utf-8\?b\?[^?]*\?=", head))
    assert max(len(line) for line in head.split(b"\r\n")) < 100
    assert body.endswith(b"\r\n") and all(len(line) < 76 for line in body.split(b"\r\n"))


@given(st.text(alphabet="漢🌀éa", min_size=1, max_size=100))
def test_no_character_is_split_between_encoded_words(subject):
    """RFC 2047 5: each encoded word stands for whole characters."""
    import base64

    head = head_of(LetterRenderer(replace(NOTICE, subject=subject)).letter(HANAKO))
    for word in re.findall(r"=\?utf-8\?b\?([^?]*)\?=", head):
        base64.b64decode(word).decode("utf-8")


def test_every_letter_of_one_form_is_its_own():
    prepared = LetterRenderer(NOTICE)
    other = replace(
        HANAKO,
        number=18,
        address="taro@parents.example",
        name="佐藤 太郎",
        token="another7token",
        values={"氏名": "佐藤"},
    )
    first, second = prepared.letter(HANAKO), prepared.letter(other)
    assert prepared.letter(HANAKO) == first
    assert b"taro@" not in first and b"hanako@" not in second
    assert "佐藤" not in text_of(first) and HANAKO.token not in head_of(second) + text_of(second)


def test_a_later_try_differs_in_its_date_alone():
    prepared = LetterRenderer(NOTICE)
    first = head_of(prepared.letter(HANAKO)).split("\r\n")
    second = head_of(prepared.letter(replace(HANAKO, at=HANAKO.at + timedelta(hours=1)))).split("\r\n")
    assert [new for old, new in zip(first, second, strict=True) if old != new] == [
        "Date: Sun, 08 Nov 2026 07:12:03 +0900"
    ]


def test_the_zone_of_the_given_time_does_not_matter():
    shifted = HANAKO.at.astimezone(UTC) + timedelta(0)
    assert LetterRenderer(NOTICE).letter(replace(HANAKO, at=shifted)) == LetterRenderer(NOTICE).letter(HANAKO)


@pytest.mark.proves("N-08")
def test_the_footer_names_the_list_and_no_other_address():
    text = LetterRenderer(NOTICE).text(HANAKO)
    assert "このメールは「3年2組」に登録された方へお送りしています。" in text
    assert "@" not in text
