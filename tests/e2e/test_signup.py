"""A parent's way in on a phone, and the page of one's own: slip, letter, press, names, new address, farewell."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from tests.conftest import needs_part
from tests.e2e.conftest import DESKTOP, PHONE, fits_the_width, has_no_axe_faults, links, log_in, slip_code

pytestmark = pytest.mark.xdist_group("families")


def of(house, sql: str) -> str:
    with closing(sqlite3.connect(house.data / "kairan.db")) as tables:
        return tables.execute(sql).fetchone()[0]


def open_letter(page, house, to: str, path: str) -> None:
    """Open the first link with this path in the newest letter to an address."""
    letter = house.wait_letters(1, to=to)[-1]
    found = next(url for url in links(letter) if path in url)
    page.goto(re.sub(r"^https?://[^/]+", house.url, found))


def look(page) -> None:
    fits_the_width(page)
    has_no_axe_faults(page)


@pytest.mark.parametrize("script", [True, False], ids=["phone", "no-script"])
def test_a_parent_joins_by_the_slip_and_keeps_the_own_page_right(visit, house, script) -> None:
    """T-26, T-36, N-16, T-17: all at 360 px, with and without JavaScript, without a cookie."""
    page = visit(PHONE, java_script_enabled=script)
    see = look if script else fits_nothing
    mail, moved = f"haha{script}@example.net", f"atarashii{script}@example.net"

    number = of(house, "SELECT id FROM mailing_list WHERE address = '1nen1kumi'")
    code = slip_code(house, number, of(house, "SELECT join_code FROM child WHERE name = '石川 蓮'"))
    page.goto(f"{house.url}/j/1nen1kumi/{code}")
    see(page)
    page.fill("[name=mail]", mail)
    page.wait_for_timeout(2000)  # a person's time: what comes back at once is no person
    page.get_by_role("button", name="確認のメールを受け取る").click()
    page.get_by_text("届いたメールをご確認ください").wait_for()
    see(page)

    open_letter(page, house, mail, "/mail/join/")
    see(page)
    page.get_by_role("button", name="このアドレスを登録").click()
    page.get_by_role("heading", name="ご登録の内容").wait_for()
    see(page)
    page.fill("[name=name]", "石川 母")
    page.get_by_role("button", name="保存する").click()
    page.get_by_text("保存しました").wait_for()
    assert page.get_by_text("1年1組").count() >= 1

    page.fill("[name=address]", moved)
    page.get_by_role("button", name="確認のメールを送る").click()
    page.get_by_text("新しいアドレスにメールをお送りしました").wait_for()
    open_letter(page, house, moved, "/p/new/")
    see(page)
    page.get_by_role("button", name="このアドレスに変更する").click()
    page.get_by_text("アドレスを変更しました").wait_for()
    assert "別のアドレス" in house.wait_letters(1, to=mail, subject="届かなくなります")[-1].get_body().get_content()

    page.goto(f"{house.url}/p")
    page.fill("[name=mail]", moved)
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="URLをメールで受け取る").click()
    house.wait_letters(1, to=moved, subject="ご登録のページ")
    open_letter(page, house, moved, "/p/")
    page.get_by_role("button", name="メールを止める").first.click()
    page.get_by_role("button", name="もう一度受け取る").first.click()
    page.get_by_text("また届きます").wait_for()
    page.get_by_role("link", name="登録を削除する").click()
    see(page)
    page.get_by_role("button", name="登録を削除する").click()
    page.get_by_text("登録を削除しました").wait_for()
    assert page.context.cookies() == []
    assert of(house, "SELECT count(*) FROM person WHERE name = '石川 母' AND address IS NULL") >= 1


def fits_nothing(page) -> None:
    """Look at nothing: axe needs the JavaScript that this browser has not."""


def test_a_camera_reads_the_printed_slips(visit, house, tmp_path) -> None:
    """T-26: each code on the page of slips, as it is drawn there, read by a program that is not ours."""
    needs_part(shutil.which("zbarimg") is not None, "zbar-tools")
    page = visit(DESKTOP)
    log_in(page, "花子")
    number = of(house, "SELECT id FROM mailing_list WHERE address = '1nen1kumi'")
    page.goto(f"{house.url}/lists/{number}/slips")
    picture = tmp_path / "slips.png"
    page.screenshot(path=str(picture), full_page=True)
    seen = subprocess.run(["zbarimg", "--quiet", "--raw", picture], capture_output=True, text=True, timeout=60).stdout
    seeds = of(
        house,
        "SELECT group_concat(DISTINCT join_code) FROM child JOIN membership ON child.id = child_id "
        f"WHERE list_id = {number} AND state != 'left'",
    ).split(",")
    codes = sorted(slip_code(house, number, seed) for seed in seeds)
    assert sorted(line.rpartition("/")[2] for line in seen.split()) == codes
