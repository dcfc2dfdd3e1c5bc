"""What of a posted mail members may read (T-15, N-07, decision 6)."""

import time

import pytest

from mail.clean_post import clean_post, looks_like_reply

BASE = "https://kairan.example.jp"
WRITER = "hanako@school.example"


def clean_subject_and_text(subject: str, text: str) -> tuple[str, str]:
    cleaned = clean_post(subject, text, BASE, (WRITER,))
    return cleaned.subject, cleaned.text


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        ("練習中止", "", ("練習中止", "")),
        ("練習中止", "iPhoneから送信", ("練習中止", "")),
        ("練習中止", "\n-- \nSent from my Galaxy\n", ("練習中止", "")),
        ("", "iPhoneから送信\n雨です。", ("雨です。", "iPhoneから送信\n雨です。")),
        ("", "雨のため中止です。\nまた連絡します。", ("雨のため中止です。", "雨のため中止です。\nまた連絡します。")),
        ("", "", ("", "")),
        ("  二行の\r\n 件名 ", "本文", ("二行の 件名", "本文")),
        ("", "長" * 61, ("長" * 59 + "…", "長" * 61)),
        ("題" * 201, "文" * 20_001, ("題" * 199 + "…", "文" * 19_999 + "…")),
    ],
)
def test_an_empty_subject_is_filled_from_the_text(subject, text, expected):
    assert clean_subject_and_text(subject, text) == expected


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
    subject, text = clean_subject_and_text(f"見て {link}", f"前\n{link}\n後")
    assert "kairan.example.jp" not in (subject + text).lower()
    assert text.split() == ["前", "後"]


@pytest.mark.parametrize("mark", [">", "＞", ">>", "> >"])
def test_quoted_lines_of_a_reply_go_under_every_mark(mark):
    text = f"お知らせです。\n{mark} 秘密の前文\n以上です。"
    assert clean_post("Re: x", text, BASE).text == "お知らせです。\n以上です。"
    assert clean_post("x", text, BASE, refers_to_ours=True).text == "お知らせです。\n以上です。"


@pytest.mark.parametrize(
    "text",
    [
        "集合時刻\n\n｜学年｜集合｜\n| 3年 | 8:30 |\n\n＞＞雨の日は中止です。",
        "持ち物\n| 水筒\n| 弁当",
        "持ち物：\n＞ 水筒\n＞ 弁当",
        "日時：10月5日\n場所：体育館\n宛先：1年生の保護者\n件名：遠足",
        "To: 保護者の皆様\nFrom: 3年2組担任\n\n明日は遠足です。",
        "練習@体育館。雨の場合は中止です。1個@1.50円、3@500円",
        "--- 持ち物 ---\n水筒\n----------\n弁当",
        "申込 https://zoom.example/j/99912345678?pwd=UVd4S2JZbHlYc0ZtTkVhQkFKZz09 まで",
        "https://forms.example/d/e/1FAIpQLSdXc0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcdEFG/viewform",
    ],
)
def test_nothing_is_stripped_from_a_new_mail(text):
    cleaned = clean_post("遠足", text, BASE)
    assert (cleaned.text, cleaned.had_addresses, cleaned.may_quote) == (text, False, False)


def test_marks_of_a_quote_in_a_new_mail_stay_and_hold_it():
    cleaned = clean_post("遠足", "持ち物\n> 水筒\n> 弁当", BASE)
    assert (cleaned.text, cleaned.may_quote) == ("持ち物\n> 水筒\n> 弁当", True)


@pytest.mark.parametrize(
    "border", ["-----original message-----", "----- Forwarded Message -----", "begin forwarded message:"]
)
def test_the_line_above_a_forwarded_letter_goes_and_its_text_stays(border):
    text = clean_subject_and_text("x", f"回します。\n{border}\n運動会のご案内")[1]
    assert text == "回します。\n運動会のご案内"


@pytest.mark.parametrize("lines_between", [0, 1, 2])
def test_an_introduction_goes_only_close_above_a_quote(lines_between):
    intro, between = "先生のメール：", "\n" * lines_between
    assert clean_subject_and_text("x", f"前\n{intro}\n{between}> 引用")[1] == "前"
    assert clean_subject_and_text("x", f"前\n{intro}\n次の行")[1] == f"前\n{intro}\n次の行"


def test_header_lines_of_another_mail_go():
    block = "差出人: 花子\n送信者: mother@example.com\n件名: 運動会\n日時: 10月5日"
    text = clean_subject_and_text("x", f"回します。\n{block}\n本文")[1]
    assert text == "回します。\n本文"
    two = "日時: 10月5日\n差出人: hanako@school.example"
    assert clean_subject_and_text("x", two)[1] == two, "two lines are no header block"


def test_other_links_pass():
    text = "申込 https://kairan.example.jp/j/1nen1kumi と https://example.com/r/x"
    assert clean_subject_and_text("x", text)[1] == text


@pytest.mark.parametrize(
    "quoted",
    [
        "> 秘密の前文 mother@example.com",
        "連絡は mother@example.com まで",
        "連絡はmother＠example．comまで",
        "連絡はmailto:mother%40example.com",
        "mother&#64;example.com",
        "bW90aGVyQGV4YW1wbGUuY29t",
        "mother@exam\nple.com",
        "＞ 秘密の前文 mother@example.com",
        "On Mon, 5 Oct 2026 at 9:00, Hanako <mother@example.com> wrote:\n> x",
        "2026年10月5日(月) 9:00 花子 <mother@example.com>:\n> x",
        "----- Original Message -----\nFrom: mother@example.com\nTo: father@example.com\nSubject: x",
        "差出人: 花子 <mother@example.com>\n宛先: father@example.com\nCc: other@example.com\n件名: x",
    ],
)
def test_addresses_of_quoted_letters_never_pass(quoted):
    """N-07: whoever was in Cc, or is quoted, stays unknown to the members."""
    text = clean_subject_and_text("x", f"お知らせです。\n\n{quoted}\n")[1]
    assert "example.com" not in text and "bW90" not in text
    assert text.startswith("お知らせです。")


def test_what_the_writer_means_stays():
    text = "日時：10月5日\n場所：体育館\n宛先：1年生の保護者\n\n--\n花子 hanako@school.example\n5 > 3 です。"
    assert clean_subject_and_text("x", text)[1] == text


@pytest.mark.parametrize(
    "subject", ["Re: 臨時休校", "RE:臨時休校", "Ｒｅ： 臨時休校", "返信: x", "返：x", "Re[2]: x", "Aw: x"]
)
def test_what_looks_like_a_reply(subject):
    assert looks_like_reply(subject, False)


@pytest.mark.parametrize("subject", ["臨時休校", "Recital", "返信用封筒について", "Fwd: x", ""])
def test_what_does_not(subject):
    assert not looks_like_reply(subject, False)
    assert looks_like_reply(subject, True), "but a mail that refers to a letter of ours does"


# ── replies of mail programs, in the order: name, text; "何時" and names stand for the quoted letter ─────────────────────

REPLIES = {
    "Gmail": "2026年11月22日(日) 8:00 山田 <y@p.example>:\n> 何時",
    "Gmail, wrapped": "2026年11月22日(日) 8:00 みどり小学校PTA会長 山田 <\ny@p.example>:\n\n> 何時",
    "iPhone": "iPadから送信\n\n2026/11/22 8:00、山田 <y@p.example>のメール:\n\n> 何時",
    "iPhone, quoted introduction": "> 2026/11/22 8:00、山田 <y@p.example>のメール:\n> \n> 何時",
    "Becky": "On Sun, 22 Nov 2026 08:00:00 +0900\n山田 <y@p.example> wrote:\n\n> 何時",
    "Thunderbird": "On 2026/11/22 8:00, 山田 wrote:\n> 何時",
    "Korean": "2026년 11월 22일 (일) 오전 8:00, 山田 <y@p.example>님이 작성:\n> 何時",
    "German, wrapped": "Am So., 22. Nov. 2026 um 08:00 Uhr schrieb 山田\n<y@p.example>:\n\n> 何時",
    "bars": "山田さんは書きました：\n| 何時\n| どこ",
}
OUTLOOK = {
    "Japanese": "差出人: 山田 <y@p.example>\n送信日時: 2026年11月22日 8:00\n宛先: 佐藤 <s@p.example>;\n鈴木 <z@p.example>\n件名: x",
    "English": "From: 山田 <y@p.example>\nSent: Sunday\nTo: s@p.example\nSubject: x",
    "Vietnamese": "Từ: 山田 <y@p.example>\nĐã gửi: x\nĐến: s@p.example\nChủ đề: x",
    "bold": "*From:* 山田 <y@p.example>\n*Sent:* x\n*To:* s@p.example\n*Cc:* z@p.example\n*Subject:* x",
}


@pytest.mark.parametrize("quoted", REPLIES.values(), ids=REPLIES)
def test_the_quote_of_a_reply_goes(quoted):
    cleaned = clean_post("集合時刻", f"9時です。\n\n{quoted}\n", BASE)
    assert cleaned.text.split("\n")[0] == "9時です。"
    assert not any(word in cleaned.text for word in ("何時", "どこ", "山田", "p.example"))
    assert not (cleaned.had_addresses or cleaned.may_quote)


@pytest.mark.parametrize("border", ["", "________________________________\n", "-----Original Message-----\n"])
@pytest.mark.parametrize("header", OUTLOOK.values(), ids=OUTLOOK)
def test_a_quote_without_marks_goes_from_a_reply_and_holds_a_mail_that_does_not_say_what_it_is(header, border):
    text = f"9時です。\n\n{border}{header}\n\n何時\n"
    assert clean_post("Re: 集合", text, BASE).text == "9時です。"
    unclear = clean_post("集合", text, BASE)
    assert (unclear.text, unclear.may_quote) == ("9時です。\n\n\n何時", True)


FORWARDS = {
    **{f"Outlook, {name}": f"________________________________\n{header}\n\n" for name, header in OUTLOOK.items()},
    "Gmail": "---------- Forwarded message ---------\nFrom: 市 <y@p.example>\nDate: x\nSubject: y\nTo: 佐藤 <\n"
    "s@p.example>, 鈴木 <z@p.example>\n\n\n",
    "Thunderbird, folded": "-------- Forwarded Message --------\nSubject: y\nFrom: 市 <y@p.example>\nTo: 佐藤 <s@p.example>,\n"
    " 鈴木 <z@p.example>\nCc: a@p.example,\n\tb@p.example\n\n",
    "indented": "    From: 市 <y@p.example>\n    To: s@p.example,\n      z@p.example\n    Subject: y\n\n",
    "another order": "----- 転送メッセージ -----\n件名：y\n宛先：佐藤<s@p.example>\n　　　鈴木<z@p.example>\n差出人：市<y@p.example>\n\n",
    "a language that is not known": "---------- Xyzzy plugh ---------\nFoo: 市 <y@p.example>\nBar: x\nQux: s@p.example\n\n",
    "addresses one a line": "From: 市 <y@p.example>\nTo:\ns@p.example\nz@p.example\nSubject: y\n\n",
}


@pytest.mark.parametrize("header", FORWARDS.values(), ids=FORWARDS)
def test_a_forward_keeps_its_words_without_header_lines(header):
    words = "明日は遠足です。\n日時：11月25日\n場所：体育館"
    cleaned = clean_post("Fwd: 遠足", f"回します。\n\n{header}{words}\n", BASE)
    assert [line.strip() for line in cleaned.text.split("\n") if line] == ["回します。", *words.split("\n")]
    assert not (cleaned.had_addresses or cleaned.may_quote)


def test_a_forward_below_marks_loses_them_and_quotes_inside_it():
    text = (
        "Androidから送信\n\nBegin forwarded message:\n\n> From: 市 <y@p.example>\n> Date: x\n> To: s@p.example\n> Subject: y\n"
        "> \n> 遠足です。\n> \n> 山田さんのメール：\n> > 何時"
    )
    assert clean_post("Fwd: x", text, BASE).text.split() == ["Androidから送信", "遠足です。"]


@pytest.mark.parametrize(
    "unit",
    [
        *(
            " ",
            "\t",
            "\u3000",
            "To: a@b.example\n",
            "> a\n",
            "On 1 wrote:\n",
            "2026年1月 <",
            "a\n",
            "\n",
            "| a\n",
            "On 8:00:\n> a\n",
        ),
        *(
            "From: a\nTo: a@b.example\nDate: x\n\n",
            "-----Original Message-----\n",
            "漢",
            "a@",
            "x: y@b.example\n",
            "-",
            ":",
        ),
    ],
)
@pytest.mark.parametrize("subject", ["件名", "Re: x", "Fwd: x"])
def test_a_megabyte_made_to_hurt_takes_no_long(unit, subject):
    text = unit * (10**6 // len(unit))
    began = time.process_time()
    clean_post(subject, text, "https://kairan.example")
    assert time.process_time() - began < 2
