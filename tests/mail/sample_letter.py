"""A form and a reader of the sample school, for tests of letters."""

from dataclasses import replace
from datetime import UTC, datetime

from mail.compose import LetterRecipient, LetterTemplate

SECRET = b"a secret of thirty-two bytes ..."

NOTICE = LetterTemplate(
    language="ja",
    subject="授業参観のお知らせ",
    text="{{氏名}} 様\n\n11月14日(土)に授業参観を行います。\n上履きをお持ちください。",
    organization="かえで原小学校PTA",
    contact="かえで原小学校　電話 000-0000-0000",
    postal="〒000-0000 例示県例示市かえで原1-2-3",
    from_name="かえで原小学校 3年2組",
    from_address="3nen2kumi@mail.kaedehara.example",
    mail_domain="mail.kaedehara.example",
    base_url="https://mail.kaedehara.example",
    secret=SECRET,
    list_name="3年2組",
    list_id="3nen2kumi.mail.kaedehara.example",
    read_confirmation=True,
)

SERVICE = replace(
    NOTICE,
    subject="「3年2組」のメールを止めました",
    text="まちがって押された方は、こちらから元に戻せます。\nhttps://mail.kaedehara.example/p/7kq2m9",
    from_name="かえで原小学校",
    from_address="postmaster@mail.kaedehara.example",
    list_name="",
    list_id="",
    read_confirmation=False,
    automatic=True,
)

HANAKO = LetterRecipient(
    number=17,
    address="hanako@parents.example",
    bare=False,
    name="鈴木 花子",
    token="7kq2m7xwpt7kq2m7xwpt7kq2m7",
    values={"氏名": "鈴木 花子", "学年": "3年"},
    at=datetime(2026, 11, 7, 21, 12, 3, 456789, tzinfo=UTC),
)
