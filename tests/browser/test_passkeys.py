"""Passkeys in a real browser with Chromium's virtual authenticator: add, use on a new device, confirm, refuse."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

import config as ground
from models import Device, Passkey
from tests import cast
from tests.browser.conftest import SMALL, barriers, login

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def here(site, config) -> str:
    """The pages under http://localhost, where browsers allow passkeys without https."""
    ground.set_current_config(replace(config, base_url=site))
    return site.replace("127.0.0.1", "localhost")


@pytest.fixture
def authenticator(page: Page) -> Iterator[dict]:
    """A platform authenticator that answers at once; `send` speaks to it."""
    yield add_authenticator(page)


def add_authenticator(page: Page) -> dict:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return {"id": made["authenticatorId"], "send": devtools.send}


def confirm_password(page: Page) -> None:
    page.fill("[name=password]", cast.PASSWORD)
    page.get_by_role("button", name="確認する").click()


def add_passkey(page: Page, here: str) -> list[str]:
    """Add a passkey with the password before it; return the recovery codes."""
    page.goto(f"{here}/account/second-factor")
    page.get_by_role("button", name="パスキーを追加する").click()
    confirm_password(page)
    page.get_by_role("button", name="パスキーを追加する").click()
    expect(page.locator("#codes li")).to_have_count(10)
    return page.locator("#codes li").all_inner_texts()


def test_a_passkey_is_added_and_opens_a_new_device(page, here, authenticator, school):
    login(page, here)
    codes = add_passkey(page, here)
    assert len(set(codes)) == 10 and barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    page.goto(f"{here}/account/second-factor")
    expect(page.locator("main")).to_contain_text("設定済み")
    page.get_by_role("button", name="パスキーを追加する").click()
    expect(page.get_by_role("alert")).to_have_text("このパスキーはすでに登録されています。")
    page.context.clear_cookies()  # a new device with the same authenticator, as a synced passkey has it
    login_to_second_step(page, here)
    assert barriers(page) == []
    page.get_by_role("button", name="パスキーを使う").click()
    page.wait_for_url(f"{here}/")
    assert Passkey.get().sign_count >= 2
    assert Device.select().where(Device.second_factor_at.is_null(False)).count() == 2
    page.goto(f"{here}/lists/{school.lists['1-1'].id}/export")  # the second factor was shown a moment ago
    expect(page.get_by_role("button", name="書き出す（CSV）")).to_be_visible()


def login_to_second_step(page: Page, here: str) -> None:
    page.goto(f"{here}/login")
    page.fill("[name=name]", "花子")
    page.fill("[name=password]", cast.PASSWORD)
    page.click("main form button")
    page.wait_for_url(f"{here}/login/second")


def test_a_refused_passkey_is_said_and_a_recovery_code_still_opens(page, here, authenticator):
    login(page, here)
    codes = add_passkey(page, here)
    page.context.clear_cookies()
    login_to_second_step(page, here)
    authenticator["send"]("WebAuthn.clearCredentials", {"authenticatorId": authenticator["id"]})
    page.get_by_role("button", name="パスキーを使う").click()
    expect(page.get_by_role("alert")).to_contain_text("端末からパスキーを受け取れませんでした")
    page.fill("[name=code]", codes[0])
    page.get_by_role("button", name="このコードを使う").click()
    page.wait_for_url(f"{here}/")


def test_without_script_the_page_offers_the_app_alone(browser, here):
    context = browser.new_context(viewport=SMALL, java_script_enabled=False)
    page = context.new_page()
    login(page, here)
    page.goto(f"{here}/account/second-factor")
    expect(page.get_by_role("button", name="パスキーを追加する")).to_be_hidden()
    expect(page.locator("main")).to_contain_text("このブラウザではパスキーを使えないか")
    page.get_by_role("button", name="認証アプリを設定する").click()
    confirm_password(page)
    page.get_by_role("button", name="認証アプリを設定する").click()
    expect(page.locator("svg.qr")).to_be_visible()
    context.close()


@pytest.mark.parametrize("path", ["/account", "/account/second-factor", "/account/confirm"])
def test_the_pages_have_no_barriers_and_fit_a_phone(page, here, path):
    login(page, here)
    page.goto(here + path)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
