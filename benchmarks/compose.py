"""Time to render and sign a letter, compared with simple implementations.

    python benchmarks/compose.py [LETTERS]

Absolute times depend on the machine. The ratios are taken in the same run and are stable (medians of five).
"""

import sys
import timeit
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dkim

from mail.compose import LetterRecipient, LetterRenderer, LetterTemplate
from mail.dkim_signer import OVERSIGNED_HEADERS, SIGNED_HEADERS, DkimSigner, generate_key

ROUNDS = 5
PARAGRAPH = "秋も深まってまいりました。下記のとおり授業参観を行います。\n"

FORM = LetterTemplate(
    language="ja",
    subject="授業参観・学級懇談会のお知らせ（出欠のお返事をお願いします）",
    text="{{氏名}} 様\n\n" + PARAGRAPH * 20,
    organization="かえで原小学校PTA",
    contact="かえで原小学校　電話 000-0000-0000",
    postal="〒000-0000 例示県例示市かえで原1-2-3",
    from_name="かえで原小学校 3年2組",
    from_address="3nen2kumi@mail.kaedehara.example",
    mail_domain="mail.kaedehara.example",
    base_url="https://mail.kaedehara.example",
    secret=b"a secret of thirty-two bytes ...",
    list_name="3年2組",
    list_id="3nen2kumi.mail.kaedehara.example",
    read_confirmation=True,
)
READER = LetterRecipient(
    number=1,
    address="reader@parents.example",
    bare=False,
    name="鈴木 花子",
    token="7kq2m7xwpt7kq2m7xwpt7kq2m7",
    values={"氏名": "鈴木 花子"},
    at=datetime(2026, 11, 7, 6, 0, tzinfo=UTC),
)


def plain_message(subject: str, text: str, reader: LetterRecipient) -> bytes:
    """Build the same letter with the standard library only."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(FORM.from_name, addr_spec=FORM.from_address)
    mail["To"] = Address(reader.name, addr_spec=reader.address)
    mail["Reply-To"] = f"r-{reader.number}@{FORM.mail_domain}"
    mail["Subject"] = subject
    mail["Date"] = reader.at
    mail["Message-ID"] = f"<{reader.number}@{FORM.mail_domain}>"
    mail["List-Id"] = f"<{FORM.list_id}>"
    mail["List-Unsubscribe"] = f"<{FORM.base_url}/u/{reader.token}/one-click>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(text, charset="utf-8", cte="base64")
    return mail.as_bytes()


def per_call(work: Callable[[], object], times: int) -> float:
    """Return the median in microseconds per call."""
    return median(timeit.repeat(work, number=times, repeat=ROUNDS)) / times * 1e6


def main() -> None:
    """Print microseconds per letter and the ratio to the baseline."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    prepared, pem = LetterRenderer(FORM), generate_key()
    fixed = LetterRenderer(replace(FORM, text=PARAGRAPH * 20))
    subject, text, raw = prepared.subject(READER), prepared.text(READER), prepared.letter(READER)
    signer = DkimSigner("k1", FORM.mail_domain, pem)
    signed = [name for name in (*SIGNED_HEADERS, *OVERSIGNED_HEADERS) if name != b"auto-submitted"]

    def by_dkimpy() -> bytes:
        return dkim.sign(
            raw, b"k1", FORM.mail_domain.encode(), pem, canonicalize=(b"relaxed", b"relaxed"), include_headers=signed
        )

    message = per_call(lambda: plain_message(subject, text, READER), max(times // 20, 20))
    plain_sign = per_call(by_dkimpy, max(times // 40, 10))
    rows = [
        ("compose, EmailMessage per letter", message, message),
        ("compose, ours, a field at the beginning", per_call(lambda: prepared.letter(READER), times), message),
        ("compose, ours, the same text for all", per_call(lambda: fixed.letter(READER), times), message),
        ("sign, dkimpy alone", plain_sign, plain_sign),
        ("sign, ours", per_call(lambda: signer.sign(raw), max(times // 10, 20)), plain_sign),
    ]
    print(f"{'':44}{'µs a letter':>12}{'× baseline':>12}")
    for name, cost, baseline in rows:
        print(f"{name:44}{cost:12,.0f}{baseline / cost:12,.1f}")


if __name__ == "__main__":
    main()
