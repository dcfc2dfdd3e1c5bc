"""A family in the lists of two managers, on a phone: it is entered twice, the reader or a manager makes it one."""

import os
import re

import pytest

from tests.e2e.conftest import PHONE, fits_the_width, has_no_axe_faults, links, log_in

pytestmark = pytest.mark.xdist_group("families")


def look(page, name: str) -> None:
    fits_the_width(page)
    has_no_axe_faults(page)
    if folder := os.environ.get("KAIRAN_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def enter_family(page, name: str, address: str) -> None:
    page.goto("/lists")
    page.get_by_role("link", name="2年1組").first.click()
    page.goto(re.sub(r"[?#].*", "", page.url) + "/members/new")
    page.fill("[name=name]", name)
    page.fill("[name=address]", address)
    page.get_by_role("button", name="登録する", exact=True).click()
    page.get_by_text("登録しました").wait_for()


@pytest.mark.proves("T-33")
def test_the_reader_and_a_manager_make_one_registration_of_two(visit, house) -> None:
    taro = visit(PHONE)
    log_in(taro, "太郎")
    enter_family(taro, "青山 健太", "aoyama.k@example.com")
    look(taro, "second-row")
    assert taro.get_by_text("全校").count() == 0
    enter_family(taro, "石川 直樹", "naoki@example.jp")

    house.run("work", "--drain")  # the scheduler, which runs every minute
    letter = house.wait_letters(1, to="aoyama.k@example.com", subject="にも登録されました")[-1]
    reader = visit(PHONE)
    url = next(url for url in links(letter) if "/p/" in url)
    reader.goto(re.sub(r"^https?://[^/]+", house.url, url))
    look(reader, "own-page")
    reader.get_by_role("button", name="一つにまとめる").click()
    reader.get_by_text("登録を一つにまとめました").wait_for()

    hanako = visit(PHONE)
    log_in(hanako, "花子")
    look(hanako, "home")
    hanako.get_by_text("変更の依頼").wait_for()
    hanako.goto("/requests")
    look(hanako, "merge-request")
    hanako.get_by_role("button", name="同じ家庭です").click()
    hanako.get_by_text("依頼はありません").wait_for()

    hanako.goto("/lists")
    hanako.get_by_role("link", name="1年1組").first.click()
    hanako.get_by_role("link", name="石川 直樹").first.click()
    member = re.sub(r"[?#].*", "", hanako.url)
    hanako.goto(f"{member}/edit")
    look(hanako, "edit-that-asks")
    hanako.fill("[name=phone]", "000-1111-2222")
    hanako.get_by_role("button", name="保存する").click()
    hanako.get_by_text("承認待ち").wait_for()
    look(hanako, "waits-for-consent")

    admin = visit(PHONE)
    log_in(admin, "守")
    admin.goto("/requests")
    look(admin, "change-request")
    admin.get_by_role("button", name="変更する").click()
    admin.goto(member)
    assert admin.get_by_text("000-1111-2222").count() == 1
