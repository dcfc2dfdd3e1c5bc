"""Reading never needs a write (law 11): a locked database and a full disk; what must be written waits and says so."""

import io
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

import clock
import database
import web_security
from core import demo, disk_space
from core.accounts import accounts
from core.members import signed_links
from database import db
from models import AuditLog, Delivery, Letter, Notice, PageView, Session, User
from tests import cast, cast_notices
from tests.full_disk import fill_database, installed_on, locked, small_disk

NUMBERS = re.compile(r"\d+")


@pytest.fixture
def impatient(monkeypatch):
    """Wait 0.05 s for a lock instead of 5 s, so that many pages can be looked at."""
    monkeypatch.setattr(web_security, "WRITE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(database, "OPTIONAL_TIMEOUT_S", 0.02)


@pytest.fixture
def sent(school):
    return cast_notices.send(
        [school.lists["1-1"]], by=school.users["花子"], read_confirmation=True, tracking={"opens": True, "clicks": True}
    )


@pytest.fixture
def token(sent):
    return sent.deliveries["石川 直樹"].token


def reader_pages(token):
    return (f"/r/{token}", f"/u/{token}", f"/o/{token}.gif", "/p", "/j/zenko", "/login", "/healthz", "/now")


def test_readers_pages_are_shown_while_another_process_writes(config, client, sent, token, impatient):
    person = sent.deliveries["石川 直樹"].person
    preferences = "/p/" + signed_links.sign_page_token(person, clock.now() + timedelta(hours=1))
    with locked(config.database):
        found = {path: client.get(path).status_code for path in reader_pages(token)}
        text = client.get(f"/r/{token}").text
        own_page = client.get(preferences)
        unknown = client.get("/r/" + "a" * 26)
    assert {path: code for path, code in found.items() if code >= 500} == {}
    assert found[f"/r/{token}"] == found[f"/u/{token}"] == found["/login"] == found[f"/o/{token}.gif"] == 200
    assert own_page.status_code == 200 and person.address in own_page.text
    assert "見ました" in text and unknown.status_code == 404
    assert PageView.select().count() == 0
    client.get(f"/r/{token}")
    assert PageView.select().count() == 1


def test_press_waits_and_is_repeated_with_one_button(config, client, token, impatient):
    with locked(config.database):
        answer = client.post(f"/r/{token}", data={"hand": "1"}, headers={"User-Agent": cast_notices.PHONE})
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "60"
    assert f'action="/r/{token}"' in answer.text and 'name="hand" value="1"' in answer.text
    assert "まだ記録されていません" in answer.text
    assert Delivery.get(token=token).read_at is None
    again = client.post(f"/r/{token}", data={"hand": "1"}, headers={"User-Agent": cast_notices.PHONE})
    assert again.status_code == 303 and Delivery.get(token=token).read_at is not None


def test_typed_words_are_kept_but_no_password(config, as_, client, impatient):
    browser = as_("花子")
    with locked(config.database):
        words = browser.post("/account", data={"name": "花子", "language": "ja", "signature": "一年一組\n<担任>"})
        login = client.post("/login", data={"name": "花子", "password": cast.PASSWORD})
    assert words.status_code == 503 and 'name="signature" value="一年一組\n&lt;担任&gt;"' in words.text
    assert login.status_code == 303 and cast.PASSWORD not in login.text


def test_session_is_used_while_its_time_cannot_be_noted(config, as_, impatient):
    browser = as_("花子")
    Session.update(seen_at=clock.now() - timedelta(hours=1)).execute()
    before = Session.get().seen_at
    with locked(config.database):
        assert browser.get("/").status_code == 200
    assert Session.get().seen_at == before
    browser.get("/")
    assert Session.get().seen_at > before


def test_export_is_given_and_its_audit_line_written_later(config, as_, sent, impatient):
    browser = as_("守")
    path = f"/notices/{sent.notice.id}/board.csv"
    exports = AuditLog.select().where(AuditLog.action == "board.exported")
    with locked(config.database):
        assert browser.get(path).status_code == 200
        assert exports.count() == 0
    browser.get(path)
    assert [row.number for row in exports] == [sent.notice.id] * 2


def test_full_disk_promises_no_end_of_sending(as_, school, monkeypatch):
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], state="sending")
    Letter.update(state="waiting").execute()
    browser, pages = as_("花子"), ("/", f"/notices/{sent.notice.id}/board")
    assert all("ごろ" in browser.get(path).text for path in pages)
    monkeypatch.setattr(disk_space, "MIN_FREE_BYTES", 2**60)
    for path in pages:
        text = browser.get(path).text
        assert "空きができるまで待っています" in text and "ディスクがいっぱい" in text
        assert "終わりは" not in text


def test_no_rollback_hides_that_the_disk_is_full(school):
    pages = db.execute_sql("PRAGMA page_count").fetchone()[0]
    db.execute_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(database.OperationalError, match="disk is full") as full, db.atomic():
        for _ in range(2000):
            with db.atomic():
                db.execute_sql("INSERT INTO audit_log (at, action, kind, detail) VALUES (0, ?, '', '{}')", ["x" * 500])
    assert database.is_full_error(full.value) and not db.in_transaction()
    db.execute_sql("PRAGMA max_page_count = 1000000")
    User.update(name="さくら").where(User.name == "花子").execute()
    assert User.select().where(User.name == "さくら").exists()


def shape(url):
    parts = urlsplit(url)
    names = sorted(one.partition("=")[0] for one in parts.query.split("&") if one)
    return NUMBERS.sub("0", parts.path) + ("?" + "&".join(names) if names else "")


def walk(browser, visit):
    """Call `visit` once for each shape of page that links reach from the first page."""
    waiting, seen = ["/"], {"/"}
    while waiting:
        path = waiting.pop(0)
        answer = browser.get(path)
        visit(path, answer)
        if answer.mimetype != "text/html":
            continue
        for link in re.findall(r'href="(/[^"#]*)', answer.text):
            link = link.replace("&amp;", "&")
            if not link.startswith("/static/") and shape(link) not in seen:
                seen.add(shape(link))
                waiting.append(link)


@pytest.mark.timeout(300)
def test_every_page_of_the_sample_school_is_shown_while_another_process_writes(one_app, config, impatient):
    one_app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    demo.fill_demo(clock.now())
    accounts.set_password(User.get(User.name == "小川 守"), cast.PASSWORD, now=clock.now())
    browser = one_app.test_client()
    browser.post("/login", data={"name": "小川 守", "password": cast.PASSWORD})
    tokens = [row.token for row in Delivery.select().where(Delivery.reason == "").group_by(Delivery.notice)]
    failed, shown = [], []

    def look(path, answer):
        (failed if answer.status_code >= 500 else shown).append((path, answer.status_code))

    with locked(config.database):
        walk(browser, look)
        for token in tokens:
            for path in (f"/r/{token}", f"/a/{token}", f"/a/{token}/2", f"/u/{token}", f"/c/{token}/1"):
                look(path, browser.get(path))
    assert failed == []
    assert sum(code == 200 for _, code in shown) > 80
    assert Notice.select().count() > 5


def test_full_disk_is_said_and_nothing_is_lost(one_app, tmp_path, mould, impatient):
    """A disk without room: families read, presses are kept for later, organizers are told; then all goes on."""
    with small_disk(tmp_path / "disk") as disk, installed_on(disk, mould) as config:
        school = cast.build()
        one_app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
        browser, reader = one_app.test_client(), one_app.test_client()
        browser.post("/login", data={"name": "守", "password": cast.PASSWORD})
        sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], read_confirmation=True)
        token = sent.deliveries["石川 直樹"].token
        press = {"data": {"hand": "1"}, "headers": {"User-Agent": cast_notices.PHONE}}
        disk.fill()
        fill_database(config.database)
        found = {path: reader.get(path).status_code for path in reader_pages(token)}
        assert {path: code for path, code in found.items() if code >= 500} == {}
        assert found[f"/r/{token}"] == 200
        newcomer = one_app.test_client()
        assert newcomer.post("/login", data={"name": "守", "password": cast.PASSWORD}).status_code == 303
        assert newcomer.get(f"/notices/{sent.notice.id}/board").status_code == 200
        refused = reader.post(f"/r/{token}", **press)
        assert refused.status_code == 507 and 'name="hand"' in refused.text
        save = browser.post("/account", data={"name": "守", "language": "ja", "signature": "字" * 900})
        assert save.status_code == 507 and "字" * 900 in save.text
        upload = {"file": (io.BytesIO("氏名,メール\n山田,a@example.com\n".encode()), "a.csv")}
        imported = browser.post(f"/lists/{school.lists['1-1'].id}/import", data=upload)
        assert imported.status_code == 507 and "もう一度" in imported.text
        for path in ("/", f"/notices/{sent.notice.id}/board"):
            page = browser.get(path)
            assert page.status_code == 200 and 'id="disk-full"' in page.text
        disk.free()
        disk_space.note_room()
        assert reader.post(f"/r/{token}", **press).status_code == 303
        assert Delivery.get(token=token).read_at is not None
        assert 'id="disk-full"' not in browser.get("/").text
