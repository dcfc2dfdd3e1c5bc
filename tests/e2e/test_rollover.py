"""The school year changes on a phone: the demo school's classes end, and its new roster comes in (field.md 5.1)."""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import clock
import config as ground
from core import demo, install
from core.accounts import accounts
from database import db
from models import User
from tests import cast
from tests.e2e.conftest import PHONE, Installation, fits_the_width, has_no_axe_faults, log_in

pytestmark = pytest.mark.xdist_group("journeys")


@pytest.fixture
def house(tmp_path: Path, key_box: Path) -> Iterator[Installation]:
    """The sample school, running; its administrator has the password of the cast."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copytree(key_box, data / "keys")
    ground.set_current_config(ground.Config(data=data))
    install.prepare_data_folder(ground.current_config())
    demo.fill_demo(clock.now())
    accounts.set_password(User.get(User.name == "小川 守"), cast.PASSWORD, now=clock.now())
    db.close()
    running = Installation(data, KAIRAN_MAIL_DOMAIN="").start()
    yield running
    running.stop()


def next_roster(data: Path) -> tuple[str, int]:
    """Return next year's roster as pasted lines, one name written differently and one child new; how many lines."""
    with closing(sqlite3.connect(data / "kairan.db")) as tables:
        asked = "SELECT name, kana, grade, class_name FROM child WHERE grade IN ('1','2','3','4','5') ORDER BY id"
        rows = tables.execute(asked).fetchall()
    first = rows[0]
    rows[0] = (first[0][:-1] + "花", *first[1:])
    lines = [f"{name},{kana},{int(grade) + 1},{room}" for name, kana, grade, room in rows]
    return "\n".join(["児童氏名,ふりがな,学年,組", *lines, "新井 空,アライ ソラ,1,1"]), len(rows) + 1


def begin_a_notice_to(page, house: Installation, name: str) -> None:
    """Try to write to a class."""
    page.goto(house.url + "/")
    page.get_by_role("button", name="新しいお知らせを作る").click()
    page.wait_for_url(re.compile("/recipients"))
    page.locator("[name=lists]").locator("xpath=..").filter(has_text=name).first.click()
    page.locator("#next").click()


@pytest.mark.timeout(180)
def test_the_demo_school_goes_into_a_new_year(visit, house) -> None:
    """Plan, year's end, new roster with one doubtful line decided by hand; left in between and taken up again."""
    page = visit(PHONE)
    log_in(page, "小川 守")
    page.goto(house.url + "/rollover")
    page.get_by_role("button", name="何が変わるかを見る").click()
    fits_the_width(page)
    has_no_axe_faults(page)
    page.get_by_role("button", name="12クラスの年度末の処理をする").click()
    begin_a_notice_to(page, house, "3年2組")
    page.get_by_text("新しい年度の名簿を待っているため、まだ送れません").wait_for()
    visit.noises[:] = [one for one in visit.noises if "422" not in one]  # the refusal itself
    page.goto(house.url + "/")  # another day
    page.goto(house.url + "/rollover")
    text, count = next_roster(house.data)
    page.locator("#text").fill(text)
    page.locator("form.sheet button").click()
    fits_the_width(page)
    has_no_axe_faults(page)
    page.locator("input[type=radio]").first.check()
    page.get_by_role("button", name="新しいクラスにする").click()
    page.get_by_text(f"新しい名簿を取り込みました（{count}人）").wait_for()
    page.get_by_role("link", name="引き継ぎ書を作る").click()
    page.wait_for_url("**/hand-over")
    page.wait_for_load_state()
    has_no_axe_faults(page)
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) == 1, "the hand-over sheet is one A4 page"
    for path in ("/history", "/rollover"):
        page.goto(house.url + path)
        fits_the_width(page)
        has_no_axe_faults(page)
