"""The page that says whether all is well, and the dates of renewal."""

from datetime import timedelta

import pytest

import clock
import config as ground
from core import audit, backup
from core.system import health_email
from core.system.diagnostics import CheckResult
from models import AuditLog, Letter, Organization
from tests.web.notice_factory import get_page

FOUND = [
    CheckResult("smtp", False, "smtp://127.0.0.1:25", "The mail server cannot be reached."),
    CheckResult("disk", True, "9 MB", ""),
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch) -> None:
    monkeypatch.setattr(health_email, "collect_findings", lambda now: FOUND)


def test_the_page_comes_at_once_and_the_findings_into_it(as_):
    browser = as_("守")
    page = browser.get("/admin/health").get_data(as_text=True)
    assert "問い合わせています" in page and "smtp://" not in page
    part = browser.get("/admin/health", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert part.lstrip().startswith("<section") and "確認してください" in part and "異常なし" in part
    assert "smtp://127.0.0.1:25" in browser.get("/admin/health?look=1").get_data(as_text=True)  # without script


def test_dates_are_saved_and_shown_on_the_first_page_when_near(as_):
    browser = as_("守")
    near = clock.today() + timedelta(days=20)
    data = {"domain_until": near.isoformat(), "server_until": ""}
    assert browser.post("/admin/health/renewals", data=data).status_code == 303
    assert Organization.load_row().domain_until == near
    assert "ドメインの期限は" in browser.get("/").get_data(as_text=True)
    assert "ドメインの期限は" not in get_page(as_("花子"), "/")


def test_a_missed_backup_stands_where_an_administrator_looks(as_):
    """Shown with the command for this machine; on the first page only once it is too long ago."""
    browser = as_("守")
    Organization.update(set_up_at=clock.now() - timedelta(days=1)).execute()
    page = browser.get("/admin/health").get_data(as_text=True)
    assert "バックアップはまだありません" in page and f"KAIRAN_DATA={ground.current_config().data} " in page
    assert "バックアップ" not in browser.get("/").get_data(as_text=True)
    Organization.update(set_up_at=clock.now() - timedelta(days=20)).execute()
    assert all("バックアップはまだありません" in browser.get(one).get_data(as_text=True) for one in ("/", "/admin"))
    assert "バックアップ" not in get_page(as_("花子"), "/")
    audit.log_action(None, "house.backed_up", detail={"files": 3})
    assert "バックアップは" not in browser.get("/").get_data(as_text=True)
    assert "最後のバックアップは" in browser.get("/admin/health").get_data(as_text=True)
    AuditLog.update(at=clock.now() - timedelta(days=3)).where(AuditLog.action == "house.backed_up").execute()
    assert "最後のバックアップは" in browser.get("/").get_data(as_text=True)


@pytest.fixture
def stored(school):
    """A nightly backup that lies in the data folder."""
    folder = ground.current_config().data / "backups"
    folder.mkdir()
    path = folder / "nightly-20261014-020700.tar.gz"
    backup.create_backup(ground.current_config(), path, clock.now())
    return path


def test_size_and_age_of_backups_stand_on_the_health_page(as_, stored):
    text = get_page(as_("守"), "/admin/health")
    assert "14日分" in text and "10月14日" in text and "KAIRAN_BACKUP_COPY" in text
    assert f"{stored.stat().st_size / 1000:.1f} kB" in text
    audit.log_action(None, backup.FAILED, detail={"why": "No space left on device"})
    for page in ("/", "/admin/health"):
        assert "No space left on device" in get_page(as_("守"), page)
    assert "No space left on device" not in get_page(as_("花子"), "/")


def test_backup_is_downloaded_by_an_administrator_who_confirms(as_, as_confirmed, stored):
    path = f"/admin/health/backups/{stored.name}"
    asked = as_("守").post(path)
    assert asked.status_code == 303 and "/account/confirm" in asked.location
    browser = as_confirmed("守")
    answer = browser.post(path)
    assert answer.status_code == 200 and answer.data == stored.read_bytes()
    answer.close()
    assert "attachment" in answer.headers["Content-Disposition"] and answer.headers["Cache-Control"] == "no-store"
    assert AuditLog.select().where(AuditLog.action == "house.backup_downloaded").count() == 1
    for name in ("before-roster-20261014-020700.tar.gz", "..%2Fkairan.db", "nightly-20261015-020700.tar.gz"):
        assert browser.post(f"/admin/health/backups/{name}").status_code == 404
    assert as_confirmed("花子").post(path).status_code == 403


def test_what_is_no_date_is_said_at_the_field(as_):
    answer = as_("守").post("/admin/health/renewals", data={"domain_until": "来年", "server_until": ""})
    assert answer.status_code == 422
    assert "aria-invalid" in answer.get_data(as_text=True)


def test_the_letter_comes_to_whoever_asks(as_):
    assert as_("守").post("/admin/health/letter").status_code == 303
    assert [(one.kind, one.address) for one in Letter.select()] == [("unwell", "user0@school.example")]


@pytest.mark.parametrize("name", ["花子", "見る子"])
def test_administrators_only(as_, name):
    browser = as_(name)
    assert browser.get("/admin/health").status_code == 403
    assert browser.post("/admin/health/letter").status_code == 403
