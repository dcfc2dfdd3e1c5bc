"""What of a posted mail members may read (T-15, N-07, decision 6)."""

import time

import pytest

from mail import clean_post
from mail.clean_post import clean_subject_and_text, looks_like_reply

BASE = "https://kairan.example.jp"


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        ("練習中止", "", ("練習中止", "練習中止")),
        ("", "雨のため中止です。\nまた連絡します。", ("雨のため中止です。", "雨のため中止です。\nまた連絡します。")),
        ("", "", ("", "")),
        ("  二行の\r\n 件名 ", "本文", ("二行の 件名", "本文")),
        ("", "長" * 61, ("長" * 60, "長" * 61)),
        ("題" * 201, "文" * 20_001, ("題" * 200, "文" * 20_000)),
    ],
)
def test_an_empty_half_is_filled_from_the_other(subject, text, expected):
    assert clean_subject_and_text(subject, text, BASE) == expected


@pytest.mark.parametrize(
    "link",
    [
        "https://kairan.example.jp/r/abcdefghijklmnopqrstuvwxyz",
        "https://kairan.example.jp/a/abcdefghijklmnopqrstuvwxyz/2",
        "HTTPS://Kairan.Example.jp/u/abcdefghijklmnopqrstuvwxyz",
        "kairan.example.jp/r/abcdefghijklmnopqrstuvwxyz",
        "https://kairan.example.jp/notices/cancel/WzEsMl0.abc",
        "https://kairan.example.jp/mail/release/WzEsMl0.abc-_",
        "https://kairan.example.jp/c/abcdefghijklmnopqrstuvwxyz/1",
        "https://kairan.example.jp/o/abcdefghijklmnopqrstuvwxyz.gif",
        "https://kairan.example.jp/p/WzEsMl0.abc-_",
        "https://kairan.example.jp/notices/call-off/WzEsMl0.abc-_",
        "https://kairan.example.jp/login/letter/WzEsMl0.abc-_",
        "https://kairan.example.jp/invitation/WzEsMl0.abc-_",
        "https://kairan.example.jp/password/WzEsMl0.abc-_",
        "https://kairan.example.jp/account/email/WzEsMl0.abc-_",
        "https://kairan.example.jp/setup/abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_links_with_a_token_never_pass(link):
    """Whoever pressed one would answer in another family's name, or release another's mail."""
    subject, text = clean_subject_and_text(f"見て {link}", f"前\n{link}\n後", BASE)
    assert "kairan.example.jp" not in (subject + text).lower()
    assert text.split() == ["前", "後"]


@pytest.mark.parametrize("mark", [">", "＞", "|", "｜"])
def test_quoted_lines_go_under_every_mark(mark):
    text = clean_subject_and_text("x", f"お知らせです。\n{mark} 秘密の前文\n以上です。", BASE)[1]
    assert text == "お知らせです。\n以上です。"


@pytest.mark.parametrize(
    "border", ["-----original message-----", "----- Forwarded Message -----", "begin forwarded message:"]
)
def test_the_line_above_a_forwarded_letter_goes_and_its_text_stays(border):
    text = clean_subject_and_text("x", f"回します。\n{border}\n運動会のご案内", BASE)[1]
    assert text == "回します。\n運動会のご案内"


@pytest.mark.parametrize("lines_between", [0, 1, 2])
def test_an_introduction_goes_only_close_above_a_quote(lines_between):
    intro, between = "先生のメール：", "\n" * lines_between
    assert clean_subject_and_text("x", f"前\n{intro}\n{between}> 引用", BASE)[1] == "前"
    assert clean_subject_and_text("x", f"前\n{intro}\n次の行", BASE)[1] == f"前\n{intro}\n次の行"


def test_of_a_header_block_only_lines_with_addresses_go():
    block = "差出人: 花子\n送信者: mother@example.com\n件名: 運動会\n日時: 10月5日"
    text = clean_subject_and_text("x", f"回します。\n{block}\n本文", BASE)[1]
    assert text == "回します。\n差出人: 花子\n件名: 運動会\n日時: 10月5日\n本文"
    two = "日時: 10月5日\n差出人: hanako@school.example"
    assert clean_subject_and_text("x", two, BASE)[1] == two, "two lines are no header block"


def test_other_links_pass():
    text = "申込 https://kairan.example.jp/j/1nen1kumi と https://example.com/r/x"
    assert clean_subject_and_text("x", text, BASE)[1] == text


@pytest.mark.parametrize(
    "quoted",
    [
        "> 秘密の前文 mother@example.com",
        "＞ 秘密の前文 mother@example.com",
        "On Mon, 5 Oct 2026 at 9:00, Hanako <mother@example.com> wrote:\n> x",
        "2026年10月5日(月) 9:00 花子 <mother@example.com>:\n> x",
        "----- Original Message -----\nFrom: mother@example.com\nTo: father@example.com\nSubject: x",
        "差出人: 花子 <mother@example.com>\n宛先: father@example.com\nCc: other@example.com\n件名: x",
    ],
)
def test_addresses_of_quoted_letters_never_pass(quoted):
    """N-07: whoever was in Cc, or is quoted, stays unknown to the members."""
    text = clean_subject_and_text("x", f"お知らせです。\n\n{quoted}\n", BASE)[1]
    assert "@example.com" not in text
    assert text.startswith("お知らせです。")


def test_what_the_writer_means_stays():
    text = "日時：10月5日\n場所：体育館\n宛先：1年生の保護者\n\n--\n花子 hanako@school.example\n5 > 3 です。"
    assert clean_subject_and_text("x", text, BASE)[1] == text


@pytest.mark.parametrize(
    "subject", ["Re: 臨時休校", "RE:臨時休校", "Ｒｅ： 臨時休校", "返信: x", "返：x", "Re[2]: x", "Aw: x"]
)
def test_what_looks_like_a_reply(subject):
    assert looks_like_reply(subject, False)


@pytest.mark.parametrize("subject", ["臨時休校", "Recital", "返信用封筒について", "Fwd: x", ""])
def test_what_does_not(subject):
    assert not looks_like_reply(subject, False)
    assert looks_like_reply(subject, True), "but a mail that refers to a letter of ours does"


@pytest.mark.parametrize(
    "unit", [" ", "\t", "\u3000", "To: a@b.example\n", "> a\n", "On 1 wrote:\n", "2026年1月 <", "a\n", "\n"]
)
def test_a_megabyte_made_to_hurt_takes_no_long(unit):
    text = unit * (10**6 // len(unit))
    began = time.process_time()
    clean_post.clean_subject_and_text("件名", text, "https://kairan.example")
    assert time.process_time() - began < 2


def test_a_header_line_counts_by_its_neighbours():
    crowd = ["From: a@b.example", "", "To: c@d.example", "", "Date: today", "ここから本文"]
    apart = ["To: c@d.example", *[""] * 9, "From: a@b.example", *[""] * 9, "Date: today"]
    assert clean_post._without_header_block(crowd) == ["", "", "Date: today", "ここから本文"]
    assert clean_post._without_header_block(apart) == apart
