"""Hand-out and slips: both ways to join with QR codes, carriers, no guardian's data (T-17, T-26)."""

import shutil
import struct
import subprocess

import pytest

from core.members import join_codes
from core.signup import handouts
from database import db
from models import Child, MailingList, Membership, Person
from tests.conftest import needs_part


@pytest.fixture(autouse=True)
def mail_comes_in(app):
    app.jinja_env.globals["mail_comes_in"], before = (lambda: True), app.jinja_env.globals["mail_comes_in"]
    yield
    app.jinja_env.globals["mail_comes_in"] = before


@pytest.fixture
def the_list(school) -> MailingList:
    return school.lists["1-1"]


def shown(browser, url: str) -> str:
    got = browser.get(url)
    assert got.status_code == 200
    return got.get_data(as_text=True)


def test_the_handout_has_both_ways_and_the_carriers(as_, the_list):
    """T-17, T-26, N-09: mailto: with the blank mail's address, https with the page's, and no session's leftovers."""
    text = shown(as_("花子"), f"/lists/{the_list.id}/handout")
    code = the_list.join_code
    mail, page = f"mailto:1nen1kumi-join-{code}@mail.school.example", f"http://kairan.test/j/1nen1kumi/{code}"
    for held in (mail, page):
        assert handouts.qr_svg_path(held).path in text and held.removeprefix("mailto:") in text
    for words in (
        "ドコモ",
        "au",
        "ソフトバンク",
        "ワイモバイル",
        "楽天",
        "mail.school.example",
        "学校からのお知らせ",
        "令和",
    ):
        assert words in text
    assert "No app and no password" in shown(as_("花子"), f"/lists/{the_list.id}/handout?lang=en")


def test_without_incoming_mail_the_page_is_the_only_way(as_, app, the_list):
    app.jinja_env.globals["mail_comes_in"] = lambda: False
    for page in ("handout", "slips"):
        text = shown(as_("花子"), f"/lists/{the_list.id}/{page}")
        assert "-join-" not in text and "/j/1nen1kumi/" in text


def test_each_child_has_one_slip_and_no_guardian_stands_on_it(as_, school, the_list):
    """One child with two guardians: one slip. No name and no address of theirs."""
    text = shown(as_("花子"), f"/lists/{the_list.id}/slips")
    assert text.count('class="slip"') == 4
    for name in ("青山 陽菜", "石川 蓮", "和田 慎", "鈴木 美月"):
        child = school.children[name]
        assert name in text and join_codes.format_code(join_codes.child_code(the_list, child)) in text
        assert (
            handouts.qr_svg_path(f"http://kairan.test/j/1nen1kumi/{join_codes.child_code(the_list, child)}").path
            in text
        )
    for other in ("青山 健太", "naoki@example.jp", "000-0000-0001", "加藤 悠斗", the_list.join_code):
        assert other not in text


def test_slips_by_class_and_for_families_that_no_letter_reaches(as_, school):
    whole = school.lists["whole"]
    browser = as_("守")
    assert shown(browser, f"/lists/{whole.id}/slips").count('class="slip"') == 7
    assert shown(browser, f"/lists/{whole.id}/slips?room=2-1").count('class="slip"') == 3
    missing = shown(browser, f"/lists/{whole.id}/slips?missing=1")
    assert missing.count('class="slip"') == 1 and "和田 慎" in missing
    assert shown(browser, f"/lists/{whole.id}/slips?room=nonsense").count('class="slip"') == 0


def test_a_big_school_begins_with_its_first_class(as_, school, monkeypatch):
    whole = school.lists["whole"]
    parent = Person.create(name="雑音")
    with db.atomic():
        for number in range(80):
            child = Child.create(name=f"児童 {number}", grade=str(number // 40 + 3), class_name="1")
            Membership.create(person=parent, list=whole, child=child)
    text = shown(as_("守"), f"/lists/{whole.id}/slips")
    assert text.count('class="slip"') == 4 and "room=3-1" in text
    assert shown(as_("守"), f"/lists/{whole.id}/slips?room=all").count('class="slip"') == 87


def test_the_codes_as_pictures(as_, school, the_list):
    browser, child = as_("花子"), school.children["石川 蓮"]
    for url in ("mail.png", "page.png", f"page.png?child={child.id}"):
        got = browser.get(f"/lists/{the_list.id}/joining/{url}")
        width, height = struct.unpack(">II", got.data[16:24])
        assert got.mimetype == "image/png" and got.data.startswith(b"\x89PNG") and width == height > 300
    foreign = school.children["加藤 悠斗"]
    assert browser.get(f"/lists/{the_list.id}/joining/page.png?child={foreign.id}").status_code == 404


def read_by_zbar(picture, tmp_path) -> str:
    """Return what a reader that is not ours sees in a picture."""
    needs_part(shutil.which("zbarimg") is not None, "zbar-tools")
    file = tmp_path / "code.png"
    file.write_bytes(picture)
    return subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", file],
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.strip()


@pytest.mark.parametrize("way", ["mail", "page"])
def test_another_reader_reads_the_codes(as_, school, the_list, tmp_path, way):
    """T-26, T-27: what a phone's camera gets is exactly the link, or the address of the blank mail, of the code."""
    browser, child = as_("花子"), school.children["石川 蓮"]
    for code, more in ((the_list.join_code, ""), (join_codes.child_code(the_list, child), f"?child={child.id}")):
        ways = handouts.join_links(the_list, code)
        picture = browser.get(f"/lists/{the_list.id}/joining/{way}.png{more}").data
        assert read_by_zbar(picture, tmp_path) == (ways.mailto if way == "mail" else ways.link)


@pytest.mark.parametrize(("who", "status"), [("太郎", 404), ("送る子", 403), ("見る子", 403)])
@pytest.mark.parametrize("page", ["handout", "slips", "joining/mail.png"])
def test_paper_with_codes_is_for_managers(as_, the_list, who, status, page):
    assert as_(who).get(f"/lists/{the_list.id}/{page}").status_code == status


def test_a_closed_list_has_no_paper(as_, the_list):
    MailingList.update(join_mode="closed").execute()
    assert as_("花子").get(f"/lists/{the_list.id}/handout").status_code == 404


def test_a_code_is_never_micro_and_has_its_quiet_zone():
    """Phones of parents do not read Micro QR."""
    made = handouts.qr_svg_path("x")
    assert made.size == 21 + 2 * handouts.QUIET_ZONE_MODULES and made.path.startswith("M4 4")


def test_a_name_that_is_mark_up_stays_a_name(as_, school, the_list):
    Child.update(name='"><script>x</script>').where(Child.name == "石川 蓮").execute()
    text = shown(as_("花子"), f"/lists/{the_list.id}/slips")
    assert "&lt;script&gt;x&lt;/script&gt;" in text and "<script>x" not in text


def test_the_date_as_letters_of_a_school_bear_it():
    from datetime import date

    assert handouts.format_print_date("ja", date(2026, 4, 8)) == "令和8年4月8日"
    assert handouts.format_print_date("ja", date(2019, 5, 1)) == "令和元年5月1日"
    assert handouts.format_print_date("en", date(2026, 4, 8)) == "Wed 8 Apr 2026"
