"""The letters whose every octet is kept in `samples/`, to be looked at whenever one changes.

    python -m tests.mail.golden_letters        write them anew, then read the difference before committing it

Each is kept twice: `.eml` as it goes to the mail server, `.txt` as people read it.
"""

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

from mail import mime_encoding
from mail.compose import LetterQuestion, LetterRecipient, LetterRenderer, LetterTemplate
from mail.html import sanitizer, text_part
from tests.mail.sample_letter import HANAKO, NOTICE, SERVICE

FOLDER = Path(__file__).parent / "samples"

ENGLISH = replace(
    NOTICE,
    language="en",
    subject="Open day on 14 November",
    text="Dear {{氏名}},\n\nOur open day is on Saturday 14 November.\nPlease bring indoor shoes.",
    organization="Kaedehara PTA",
    contact="Kaedehara School, phone 000-0000-0000",
    postal="1-2-3 Kaedehara, Reiji",
    from_name="Kaedehara School, class 3-2",
    list_name="Class 3-2",
)
BARE_WORDS = {"read_confirmation": False, "footer": False}
LONG = "【緊急】台風19号の接近にともなう明日の臨時休校と、髙橋先生・山﨑先生・𠮷田先生の学級の引き渡しについて🌀☂👨‍👩‍👧"
CARRIER = replace(HANAKO, address="ta..ro.@docomo.ne.jp", name="髙﨑 𠮷郎", values={"氏名": "髙﨑 𠮷郎"})

PARENTS_DAY = LetterQuestion(
    "授業参観・学級懇談会に出席されますか。",
    "11月7日(土)",
    ((1, "両方に出席する"), (2, "授業参観のみ出席する"), (3, "懇談会のみ出席する"), (4, "欠席する")),
)
LIFT = LetterQuestion(
    "お子さんを連れて来られる方は、人数をお知らせください。", "11月7日(土)", ((5, "1人"), (6, "2人以上"))
)
DAYS = LetterQuestion(
    "面談のご都合をお知らせください。",
    "11月7日(土) 21:00",
    ((1, "○ 来られる"), (2, "△ たぶん"), (3, "× 来られない")),
    ((1, "11月16日(月) 15:00～"), (4, "11月17日(火) 15:00～"), (7, "11月18日(水) 9:00～")),
)
BRING = LetterQuestion("Will you come to the open day?", "Sat 7 Nov", ((1, "Yes, we come"), (2, "No, sorry")))

SEAL = "p-" + "5" * 32
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e366"
    "0000000049454e44ae426082"
)


def decorated(form: LetterTemplate, html: str) -> LetterTemplate:
    """Return a form whose words are decorated, its text part made from them."""
    words = sanitizer.sanitize_html(html, {SEAL})
    behind = mime_encoding.inline_image_parts([(SEAL, "image/png", DOT)], form.mail_domain) if words.pictures() else b""
    return replace(form, html=words.html(), text=text_part.render_text(words, form.language), inline_images=behind)


SPORTS_DAY = (
    "<div>{{氏名}} 様<br><br>運動会のご案内です。<strong>雨の日は翌日</strong>に行います。<br>"
    'くわしくは<a href="https://school.example/undokai?id=7&amp;x=1">学校のページ</a>をご覧ください。</div>'
    "<h1>持ち物</h1><ul><li>水筒<ul><li>中身はお茶か水</li></ul></li><li>赤白帽子</li></ul>"
    "<h1>当日の流れ</h1><ol><li>8:30 登校</li><li><del>9:00</del> 9:15 開会式</li></ol>"
    "<blockquote>お弁当は教室でいただきます。</blockquote>"
    f'<figure><img src="cid:{SEAL}"><figcaption>正門から運動場までの地図</figcaption></figure>'
    '<div>地図は<a href="https://school.example/map">こちら</a>、'
    '申込書は<a href="https://school.example/form">こちらのページ</a>にあります。</div>'
)
OPEN_DAY = (
    "<div>Dear {{氏名}},<br><br>our <em>open day</em> is on <strong>14 November</strong>.</div>"
    '<ul><li>indoor shoes</li><li><a href="https://school.example/list">everything else</a></li></ul>'
    '<div>Questions? <a href="mailto:office@school.example">Write to us</a>.</div>'
)

LETTERS: dict[str, tuple[LetterTemplate, LetterRecipient]] = {
    "ja": (NOTICE, HANAKO),
    "ja-no-confirmation": (replace(NOTICE, read_confirmation=False), HANAKO),
    "ja-no-footer": (replace(NOTICE, footer=False), HANAKO),
    "ja-words-alone": (replace(NOTICE, **BARE_WORDS), HANAKO),
    "ja-reply-to-sender": (replace(NOTICE, reply_to="tanaka@school.example"), HANAKO),
    "ja-one-child": (NOTICE, replace(HANAKO, child="海斗")),
    "ja-urgent-long-subject": (replace(NOTICE, subject=LONG, urgent=True), HANAKO),
    "ja-carrier-address": (NOTICE, CARRIER),
    "ja-carrier-address-bare": (NOTICE, replace(CARRIER, bare=True)),
    "ja-question": (replace(NOTICE, questions=(PARENTS_DAY,), read_confirmation=False), HANAKO),
    "ja-two-questions-and-confirmation": (replace(NOTICE, questions=(PARENTS_DAY, LIFT)), HANAKO),
    "ja-days": (replace(NOTICE, questions=(DAYS,), read_confirmation=False), HANAKO),
    "ja-html": (decorated(NOTICE, SPORTS_DAY), HANAKO),
    "ja-html-question": (decorated(replace(NOTICE, questions=(PARENTS_DAY,)), OPEN_DAY), replace(HANAKO, child="海斗")),
    "ja-service": (SERVICE, HANAKO),
    "en": (ENGLISH, replace(HANAKO, name="Hanako Suzuki", values={"氏名": "Ms. Suzuki"})),
    "en-question": (
        replace(ENGLISH, questions=(BRING,), read_confirmation=False),
        replace(HANAKO, name="Hanako Suzuki", values={"氏名": "Ms. Suzuki"}),
    ),
    "en-html": (
        decorated(ENGLISH, OPEN_DAY),
        replace(HANAKO, name="Hanako Suzuki", values={"氏名": 'Ms. <Suzuki> & "Co"'}),
    ),
    "en-words-alone": (replace(ENGLISH, **BARE_WORDS), replace(HANAKO, name="")),
    "en-service": (
        replace(SERVICE, language="en", subject="Mail from class 3-2 is stopped", text="Pressed by mistake?"),
        HANAKO,
    ),
}


def render_sample(name: str) -> tuple[bytes, str]:
    """Return a letter as octets, and as people read it."""
    form, reader = LETTERS[name]
    raw = LetterRenderer(form).letter(reader)
    mail = message_from_bytes(raw, policy=policy.default)
    head = "".join(f"{header}: {mail[header]}\n" for header in ("From", "To", "Reply-To", "Subject", "Date"))
    text = mail.get_body(("plain",)).get_content()
    page = mail.get_body(("html",))
    shown = f"\n──── HTML ────\n{page.get_content()}" if mail.is_multipart() and page else ""
    return raw, (f"{head}\n{text}{shown}").replace("\r\n", "\n")


def main() -> None:
    """Write all samples anew."""
    for name in LETTERS:
        raw, text = render_sample(name)
        (FOLDER / f"{name}.eml").write_bytes(raw)
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
