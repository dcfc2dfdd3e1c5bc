"""「その他」: settings of the organization, the outbox, the record."""

import ast
from dataclasses import replace

import pytest

import clock
import config as ground
from blueprints.admin.audit_log import ACTION_LABELS
from core import settings
from core.delivery import dev_outbox
from core.delivery.dev_outbox import save_letter
from core.notifications.kinds import KINDS, has_secrets
from mail import address
from models import AuditLog, Letter, Notice, Organization
from tests.counting import queries
from tests.web.notice_factory import get_page

HOUSE = {
    "name": "もみじ小学校",
    "postal": "〒000-0000 例示県例示市1-1",
    "contact": "電話 000-0000-0000",
    "language": "ja",
    "base_url": "https://kairan.momiji.example",
    "mail_domain": "mail.momiji.example",
}
PACE = {"rate": "100", "domain_rate": "50", "hold_s": "60", "hold_urgent_s": "15"}
PAGES = ("/admin/organization", "/outbox", "/outbox/x", "/outbox/x/html", "/admin/record")
POSTS = ("/admin/organization", "/admin/organization/pace")
HTML = '<p>こんにちは <a href="https://x.example/r/abc">見る</a></p><script>alert(1)</script>'


@pytest.fixture
def free(config):
    """The same installation, with nothing fixed by the environment."""
    return ground.set_current_config(replace(config, mail_domain="", base_url=""))


def caught(config, kind="notice", html="", **fields) -> str:
    """Put a letter of ours into the outbox and return its name."""
    notice = Notice.create(state="sent") if kind == "notice" else None
    letter = Letter.create(
        kind=kind, notice=notice, address="a@example.jp", domain="example.jp", expires_at=clock.now(), payload={}
    )
    mark = address.make_verp_tag(letter.id, "id", config.key("secret"))
    head = f"Message-ID: <{mark}@mail.school.example>\r\nFrom: =?utf-8?b?5qCh?= <zenko@mail.school.example>\r\n"
    head += "To: a@example.jp\r\nSubject: =?utf-8?b?6YGL5YuV5Lya?=\r\nMIME-Version: 1.0\r\n"
    text = "下のURLを開いてください。\r\nhttps://x.example/r/abc?x=1&y=2\r\n<b>"
    if html:
        body = (
            'Content-Type: multipart/alternative; boundary="B"\r\n\r\n'
            f"--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
            "--B\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            f"{html}\r\n--B--\r\n"
        )
    else:
        body = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}"
    return save_letter(
        dev_outbox.outbox_dir(), "b-x@mail.school.example", ["a@example.jp"], (head + body).encode(), clock.now()
    )


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_everybody_finds_account_and_logout_and_only_administrators_the_rest(as_):
    text = as_("花子").get("/admin").text
    assert "/account" in text and "/logout" in text
    assert "/users" not in text and "/outbox" not in text
    text = as_("守").get("/admin").text
    for path in ("/users", "/admin/organization", "/outbox", "/admin/record"):
        assert f'"{path}"' in text


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_administrators(as_, client, path):
    assert as_("花子").get(path).status_code == 403
    assert client.get(path).location.startswith("/login")


@pytest.mark.parametrize("path", POSTS)
def test_forged_posts_are_refused(as_, client, path):
    """D-08: whoever is no administrator gets no further than the door."""
    assert as_("花子").post(path, data=HOUSE).status_code == 403
    assert client.post(path, data=HOUSE).location.startswith("/login")


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("D-28")
def test_what_families_see_is_changed_and_recorded(as_, free):
    browser = as_("守")
    assert browser.post("/admin/organization", data=HOUSE).status_code == 303
    row, config = Organization.load_row(), ground.current_config()
    addresses = {name: getattr(config, name) for name in ("base_url", "mail_domain")}
    assert {**{name: getattr(row, name) for name in HOUSE}, **addresses} == HOUSE
    log = AuditLog.select().where(AuditLog.action == "organization.changed").order_by(AuditLog.id.desc()).get()
    assert log.detail == {"fields": sorted(HOUSE)}


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("mail_domain", "x y"), ("base_url", "kairan"), ("base_url", "http://["), ("language", "xx")],
)
def test_bad_value_keeps_what_was_typed_and_changes_nothing(as_, free, field, value):
    answer = as_("守").post("/admin/organization", data={**HOUSE, field: value})
    assert answer.status_code == 422
    assert f'value="{HOUSE["postal"]}"' in answer.text
    assert Organization.load_row().name == "かえで原小学校"


def test_what_the_environment_fixes_is_named_and_cannot_be_posted(as_, config):
    browser = as_("守")
    text = browser.get("/admin/organization").text
    assert "KAIRAN_BASE_URL" in text and "KAIRAN_MAIL_DOMAIN" in text
    assert 'name="base_url"' not in text
    assert browser.post("/admin/organization", data=HOUSE).status_code == 303
    assert not (config.data / "kairan.toml").exists()


def test_pace_is_changed(as_):
    assert as_("守").post("/admin/organization/pace", data=PACE).status_code == 303
    current = settings.load_settings()
    assert (current.rate, current.domain_rate, current.hold_s, current.hold_urgent_s) == (100, 50, 60, 15)


@pytest.mark.proves("N-06")
@pytest.mark.parametrize(("field", "value"), [("hold_s", "0"), ("hold_urgent_s", "0"), ("rate", "-1"), ("rate", "x")])
def test_time_to_cancel_is_never_switched_off(as_, field, value):
    """N-06"""
    assert as_("守").post("/admin/organization/pace", data={**PACE, field: value}).status_code == 422
    assert settings.load_settings().hold_s == 180


# ── the outbox ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_letter_is_listed_and_shown_with_links_that_work(as_, config):
    browser = as_("守")
    name = caught(config, html=HTML)
    text = browser.get("/outbox").text
    assert "運動会" in text and "a@example.jp" in text
    text = browser.get(f"/outbox/{name}").text
    assert '<a href="https://x.example/r/abc?x=1&amp;y=2"' in text
    assert "&lt;b&gt;" in text and "<b>" not in text.split("</h1>")[1]
    assert f'src="/outbox/{name}/html"' in text


def test_html_stands_in_a_sandbox_with_its_own_policy(as_, config):
    answer = as_("守").get(f"/outbox/{caught(config, html=HTML)}/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy
    assert "allow-scripts" not in policy and "allow-same-origin" not in policy
    assert "見る" in answer.text


@pytest.mark.parametrize("kind", ["login", "password", "invitation", "a kind of tomorrow"])
def test_letters_with_secrets_are_not_shown(as_, config, kind):
    assert has_secrets(kind) or kind not in KINDS
    browser, name = as_("守"), caught(config, kind=kind)
    text = browser.get(f"/outbox/{name}").text
    assert "運動会" in text and "https://x.example" not in text
    assert browser.get(f"/outbox/{name}/html").status_code == 404


@pytest.mark.parametrize("kind", ["join", "welcome", "registered", "page", "new-address"])
def test_joining_can_be_practised_to_its_end(as_, config, kind):
    """T-26: the link to confirm an address stands in the outbox, the only place where that letter can be read."""
    assert has_secrets(kind)
    assert "https://x.example" in as_("守").get(f"/outbox/{caught(config, kind=kind)}").text


def test_letter_that_no_row_explains_is_not_shown(as_, config):
    browser, name = as_("守"), caught(config)
    assert "https://x.example" in browser.get(f"/outbox/{name}").text
    Letter.delete().execute()
    answer = browser.get(f"/outbox/{name}")
    assert answer.status_code == 200 and "運動会" in answer.text and "内容は表示しません" in answer.text
    assert "https://x.example" not in answer.text


@pytest.mark.parametrize("name", ["x", "..%2Fkeys%2Fsecret", "20260101T000000000000Z-0123456789abcdef.eml"])
def test_names_that_are_none_of_ours_are_not_found(as_, name):
    assert as_("守").get(f"/outbox/{name}").status_code == 404


def test_outbox_is_paged(as_, config):
    for _ in range(31):
        caught(config)
    browser = as_("守")
    assert browser.get("/outbox").text.count('class="name"') == 30
    assert browser.get("/outbox?page=2").text.count('class="name"') == 1


# ── the record ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_record_names_who_did_what(as_, school):
    as_("花子")
    AuditLog.create(user=school.users["守"], action="user.disabled", kind="user", number=school.users["太郎"].id)
    text = as_("守").get("/admin/record").text
    assert "ログインしました" in text and "アカウントを停止" in text and "太郎" in text


def test_record_can_be_narrowed_and_paged(as_, school):
    AuditLog.insert_many([{"action": "list.added", "kind": "list", "at": clock.now()} for _ in range(60)]).execute()
    browser = as_("守")
    assert browser.get("/admin/record?kind=list").text.count("リストを追加") == 50
    assert browser.get("/admin/record?kind=list&page=2").text.count("リストを追加") == 10
    assert "リストを追加" not in get_page(browser, "/admin/record?kind=session")


def test_record_takes_the_same_queries_for_any_number_of_lines(as_, school):
    browser = as_("守")
    few = queries(lambda: browser.get("/admin/record"))
    AuditLog.insert_many(
        [{"action": "user.changed", "kind": "user", "number": 1, "user": 2, "at": clock.now()} for _ in range(40)]
    ).execute()
    assert queries(lambda: browser.get("/admin/record")) == few


def written_actions() -> set[str]:
    """Find every action that the source writes into the record as a plain string."""
    found = set()
    for path in [
        *(ground.PROJECT_DIR / "core").rglob("*.py"),
        *ground.PROJECT_DIR.glob("blueprints/*/*.py"),
        *ground.PROJECT_DIR.glob("cli/*.py"),
    ]:
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) == "log_action":
                second = call.args[1] if len(call.args) > 1 else None
                if isinstance(second, ast.Constant) and "." in str(second.value):
                    found.add(second.value)
    return found


def test_every_action_has_its_words():
    actions = written_actions()
    assert "user.disabled" in actions
    assert actions - ACTION_LABELS.keys() == set()
