"""Signed letters of many kinds, as files for the programs that judge them."""

from pathlib import Path

import clock
from core.notices import author_copy, drafts, html_body
from core.notifications.notify import notify
from models import Letter, Person, User
from tests import files
from tests.smarthost import begun, drained

ENGLISH = "Dear parents,\n\nplease bring a water bottle tomorrow, since it will be hot.\nThank you.\n\nKaedehara School"
DECORATED = (
    "<div>保護者の皆様<br><br>明日は気温が高くなる見込みです。<strong>水筒</strong>をお持ちください。</div><h1>持ち物</h1>"
    '<ul><li>水筒</li><li>帽子</li></ul><div><a href="https://school.example/natsu">暑さ対策の案内</a>をご覧ください。'
    "<br><br>かえで原小学校</div>"
)
JAPANESE = "保護者の皆様\n\n明日は気温が高くなる見込みです。水筒をお持ちください。\n\nかえで原小学校\n"


def send_every_kind(school, host) -> list[bytes]:
    """Let the engine send letters of every kind to a host; return them as they arrived, signed."""
    by = school.users["花子"]
    Person.update(language="en").where(Person.name == "石川 直樹").execute()
    for read in (True, False):
        begun(by, [school.lists["1-1"]], subject="明日の水筒について", text=JAPANESE, read_confirmation=read)
        begun(by, [school.lists["1-1"]], subject="Bring water tomorrow", text=ENGLISH, read_confirmation=read)
    begun(by, [school.lists["1-1"]], subject="【緊急】" + "臨時休校 " * 12, text="一\n.\n..二\nFrom 三\n", urgent=True)
    begun(school.users["太郎"], [school.lists["2-1"]], subject="x" * 150, text="y" * 3000, footer=False)
    begun(by, [school.lists["1-1"]], subject="明日の水筒について", html=DECORATED + _picture())
    test = drafts.create_draft(by, now=clock.now())
    drafts.save_draft(test, now=clock.now(), subject="試し", text="本文")
    author_copy.send_test(test, by, clock.now())
    author_copy.send_test_to_person(Person.get(Person.name == "青山 健太"), User.get(), clock.now())
    for kind in ("login", "password", "invitation"):
        values = {"name": "花子", "by": "守", "url": "http://kairan.test/x/" + "a" * 43}
        notify(kind, "hanako@example.com", clock.now(), language="ja", **values)
    assert drained()
    assert not Letter.select().where(Letter.state != "accepted").exists()
    return [raw for _, _, raw, _ in host.mails]


def _picture() -> str:
    return f'<div><img src="cid:{html_body.add_image("a.png", files.png())}" alt="水筒の置き場所"></div>'


def write_files(mails: list[bytes], folder: Path) -> list[Path]:
    """Write mails with the line ends that these programs expect on standard input."""
    folder.mkdir()
    made = []
    for number, raw in enumerate(mails):
        made.append(folder / f"{number:02d}.eml")
        made[-1].write_bytes(raw.replace(b"\r\n", b"\n"))
    return made
