"""The right people and the right words, from the writer's screen to what arrives (D-01, D-10 to D-25, E-15, N-13).

The school of the cast, and two more things of real life: 加藤 誠 has twins in one class, 鈴木 大輔 a child in each.
"""

import re
from datetime import timedelta
from email.message import EmailMessage

import pytest

import clock
import config as ground
import tasks
from core import install
from database import db
from tests.e2e.conftest import DESKTOP, PHONE, by_day, fits_the_width, links, log_in, wait_for

pytestmark = pytest.mark.xdist_group("days")

SETTINGS = {"KAIRAN_CLOCK_OFFSET_S": by_day()}
HEAD = "保護者氏名,メールアドレス,続柄,児童氏名,学年,組,地区,当番日"
FAMILIES = (
    "青山 健太,aoyama.k@example.com,父,青山 陽菜,1,1,本町,10/1(木)",
    "石川 直樹,naoki@example.jp,父,石川 蓮,1,1,川端,",
    "鈴木 大輔,suzuki@example.com,父,鈴木 美月,1,1,本町,10/3(土)",
    "鈴木 大輔,suzuki@example.com,父,鈴木 海斗,2,1,本町,10/2(金)",
    "加藤 誠,kato@example.org,父,加藤 悠斗,2,1,駅前,10/5(月)",
    "加藤 誠,kato@example.org,父,加藤 結斗,2,1,駅前,10/6(火)",
)


@pytest.fixture(scope="module", autouse=True)
def roster(house) -> None:
    """Bring districts, duty days and the twin brother in, as the roster of the school has them."""
    for name, room in (("zenko", ""), ("1nen1kumi", "1,1"), ("2nen1kumi", "2,1")):
        file = house.data.parent / f"{name}.csv"
        file.write_text("\n".join([HEAD, *(row for row in FAMILIES if room in row)]), encoding="utf-8")
        house.run("member", "import", name, str(file), "--take", "当番日")


def begin(page, *lists: str) -> None:
    """Begin a notice and tick some lists."""
    page.goto("/")
    page.get_by_role("button", name="新しいお知らせを作る").click()
    page.wait_for_url(re.compile("/recipients"))
    for name in lists:
        page.locator("[name=lists]").locator("xpath=..").filter(has_text=name).first.click()


def on_to_the_words(page) -> None:
    page.locator("#next").click()
    page.wait_for_url(re.compile("/words"))


def on_to_the_check(page) -> None:
    page.locator("#next").click()
    page.wait_for_url(re.compile("/check"))


def send_off(page) -> None:
    page.locator("#go").click()
    page.wait_for_url(re.compile(r"/notices/\d+$"))


def arrived(house, word: str, count: int) -> list[EmailMessage]:
    """Wait for so many letters whose subject holds a word, the own copy left out."""

    def theirs() -> list[EmailMessage]:
        return [one for one in house.letters(subject=word) if "school.example" not in str(one["To"])]

    wait_for(lambda: len(theirs()) >= count, 30, f"{count} letters")
    return theirs()


def to(letter: EmailMessage) -> str:
    return re.search(r"([\w.@-]+@[\w.-]+)", str(letter["To"]))[1]


def text_of(letter: EmailMessage) -> str:
    return letter.get_body(("plain",)).get_content()


# ── whom ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_a_group(page, name: str, script: bool) -> None:
    """Make 「本町」 of the whole school by a condition, look whom it finds, save it and come back (D-10, E-15)."""
    page.locator("#groups > summary").click()
    page.select_option("#group-list", label="全校")
    page.locator("#manage-groups").click()
    page.get_by_role("link", name="条件でグループを作る").click()
    page.select_option("#field-0", "item:地区")
    page.fill("#value-0", "本町")
    page.get_by_role("button", name="条件を増やす").click()
    page.select_option("#field-1", "item:当番日")
    page.select_option("#op-1", "not_empty")
    if not script:
        page.get_by_role("button", name="当てはまる方を見る").first.click()
    page.locator("#found .count").wait_for()
    found = page.locator("#found").inner_text()
    assert "鈴木 大輔" in found and "石川" not in found and "かつ" in found
    fits_the_width(page)
    page.fill("[name=name]", name)
    page.get_by_role("button", name="保存して宛先に加える").click()
    page.wait_for_url(re.compile("/recipients"))


def say_of(page, name: str, choice: str, script: bool) -> None:
    """Search somebody by name and say 送信する or 送信しない."""
    if not page.locator("#search").is_visible():
        page.locator("#find > summary").click()
    page.fill("#search", name)
    page.locator("#find").get_by_role("button", name="探す").click()
    row = page.locator("#found li").filter(has_text=name)
    row.wait_for()
    row.locator("select").select_option(label=choice)
    if not script:
        page.locator("#count").click()
        page.wait_for_load_state()


@pytest.mark.proves("D-01", "D-11")
@pytest.mark.timeout(90)
@pytest.mark.parametrize("script", [True, False], ids=["phone", "no-script"])
def test_lists_groups_and_persons_mixed_with_some_left_out(visit, house, script) -> None:
    """D-01, D-10 to D-13, E-15: a list, a group by condition saved on the way, one person in and one out."""
    page = visit(PHONE, java_script_enabled=script)
    log_in(page, "守")
    begin(page, "2年1組")
    make_a_group(page, f"本町の当番{script}", script)
    say_of(page, "石川", "送信する", script)
    say_of(page, "加藤", "送信しない", script)
    on_to_the_words(page)
    subject = f"川ざらい{script}"
    page.fill("[name=subject]", subject)
    page.fill("[name=text]", "日曜日に川ざらいをします。")
    on_to_the_check(page)
    shown = page.locator("#audience").inner_text()
    assert "2年1組" in shown and f"本町の当番{script}" in shown
    assert re.search(r"加藤 誠\s*：\s*今回は送信しない", shown)
    wanted = {"suzuki@example.com", "megumi.@mobile.example.jp", "naoki@example.jp", "aoyama.k@example.com"}
    count = int(page.locator("#audience .count b").inner_text())
    send_off(page)
    letters = arrived(house, subject, count)
    assert len(letters) == count == len({to(one) for one in letters})
    assert {to(one) for one in letters} == wanted


# ── which words ──────────────────────────────────────────────────────────────────────────────────────────────────


def tap(page, into: str, name: str) -> None:
    """Tap a merge field into a place, as a thumb does."""
    page.locator(f"[name={into}]").click()
    page.keyboard.press("Control+End")
    page.locator("#fields").get_by_role("button", name=name, exact=True).click()


@pytest.mark.timeout(90)
def test_fields_are_tapped_in_and_every_child_has_the_own_values(visit, house) -> None:
    """N-13, D-23 to D-25: the preview steps through the letters, who lacks a value is named, twins get one each."""
    page = visit(PHONE)
    log_in(page, "守")
    begin(page, "1年1組", "2年1組")
    on_to_the_words(page)
    page.locator("#more > summary").click()
    page.locator("#fields > summary").click()
    page.fill("[name=subject]", "当番 ")
    tap(page, "subject", "当番日")
    page.fill("[name=text]", "お子さん：")
    tap(page, "text", "児童の名")
    page.keyboard.type("。当番は")
    tap(page, "text", "当番日")
    assert "{{児童の名}}" in page.input_value("[name=text]") and "{{当番日}}" in page.input_value("[name=subject]")
    on_to_the_check(page)
    main = page.inner_text("main")
    assert "「当番日」が空の" in main and "石川 直樹" in main
    count = int(page.locator("#audience .count b").inner_text())
    seen = set()
    page.locator("#others summary").click()
    for place in range(count):
        page.get_by_text(f"{place + 1}／{count}通目").wait_for()
        seen.add(page.locator("#as .letter").inner_text())
        page.locator("#next-reader").click()
    assert len(seen) == count and not [one for one in seen if "{{" in one or "}}" in one]
    send_off(page)
    letters = arrived(house, "当番 10/", count)
    assert len(letters) == count
    theirs = [one for one in letters if to(one) in ("kato@example.org", "suzuki@example.com")]
    found = {
        (str(one["Subject"]), re.search(r"お子さん：(\S+?)。当番は(\S+)", text_of(one)).groups()) for one in theirs
    }
    assert found == {
        ("当番 10/5(月)（悠斗さん）", ("悠斗", "10/5(月)")),
        ("当番 10/6(火)（結斗さん）", ("結斗", "10/6(火)")),
        ("当番 10/3(土)（美月さん）", ("美月", "10/3(土)")),
        ("当番 10/2(金)（海斗さん）", ("海斗", "10/2(金)")),
    }
    for one in theirs:
        own = re.search(r"お子さん：(\S+?)。", text_of(one))[1]
        assert not [name for name in ("悠斗", "結斗", "美月", "海斗") if name != own and name in text_of(one)]


def test_the_same_families_get_one_letter_of_a_plain_notice(house) -> None:
    """D-01: twins, and brother and sister in two classes: nothing in it depends on the child."""
    body = house.data.parent / "plain.txt"
    body.write_text("運動会の写真ができました。", encoding="utf-8")
    words = ("--list", "1nen1kumi", "--list", "2nen1kumi", "--subject", "写真", "--body-file", str(body))
    house.run("notice", "send", *words, "--by", "守")
    letters = [to(one) for one in arrived(house, "写真", 6)]
    assert letters.count("suzuki@example.com") == 1 and letters.count("kato@example.org") == 1


# ── in whose name ────────────────────────────────────────────────────────────────────────────────────────────────


def assign_teacher(page, house, name: str, teacher: str) -> None:
    """Make somebody the class teacher on the page of the list."""
    page.goto("/lists")
    page.get_by_role("link", name=name).first.click()
    page.wait_for_url(re.compile(r"/lists/\d+"))
    page.goto(page.url.split("?")[0].rstrip("/") + "/in-charge")
    page.locator("select[name=user-0]").select_option(label=teacher)
    page.get_by_role("button", name="保存する").click()


@pytest.mark.proves("D-15", "D-18")
@pytest.mark.timeout(120)
def test_every_family_hears_from_its_teacher_and_each_teacher_of_the_own_families(visit, house) -> None:
    """D-03, D-15 to D-18, D-20: the name in From, the address the list's, and a digest to each for the own members."""
    page = visit(DESKTOP)
    log_in(page, "守")
    for name, teacher in (("1年1組", "見る子"), ("2年1組", "太郎")):
        assign_teacher(page, house, name, teacher)
    begin(page, "1年1組", "2年1組")
    on_to_the_words(page)
    page.fill("[name=subject]", "学級だより")
    page.fill("[name=text]", "今月のめあてをお知らせします。")
    page.locator("#more > summary").click()
    page.get_by_role("button", name="名前を変える").click()
    page.check("[name=from_class_teacher]")
    page.get_by_role("button", name="この名前にする").click()
    page.wait_for_url(re.compile("/words"))
    assert "担任・担当者" in page.inner_text("main")
    on_to_the_check(page)
    facts = page.locator("#audience").inner_text()
    assert "見る子" in facts and "太郎" in facts
    count = int(page.locator("#audience .count b").inner_text())
    send_off(page)
    letters = arrived(house, "学級だより", count)
    signed = {
        (to(one), str(one["From"].addresses[0].display_name), one["From"].addresses[0].username) for one in letters
    }
    assert ("naoki@example.jp", "かえで原小学校（見る子）", "1nen1kumi") in signed
    assert ("kato@example.org", "かえで原小学校（太郎）", "2nen1kumi") in signed
    of_suzuki = {(name, box) for address, name, box in signed if address == "suzuki@example.com"}
    assert of_suzuki == {("かえで原小学校（見る子）", "1nen1kumi"), ("かえで原小学校（太郎）", "2nen1kumi")}
    for address in ("naoki@example.jp", "kato@example.org"):
        parent = visit(PHONE)
        mine = next(one for one in letters if to(one) == address)
        parent.goto(re.sub(r"^https?://[^/]+", house.url, next(url for url in links(mine) if "/r/" in url)))
        parent.get_by_role("button", name=re.compile("見ました")).click()
        parent.get_by_text("受け付けました").first.wait_for()
    page.goto("/history")
    assert "（担任・担当者の名前で）" in page.inner_text("main")
    _the_next_morning(house)
    for teacher in ("user4@school.example", "user2@school.example"):
        told = text_of(house.wait_letters(1, to=teacher, subject="日次")[0])
        assert re.search(r"学級だより[\s\S]*確認.*1", told), told
    assert house.letters(to="user0@school.example", subject="日次") == []


def _the_next_morning(house) -> None:
    """Start Kairan again 23 hours later, and do what it does by itself at seven minutes past every hour.

    If it is just seven minutes past, the started house may do it first; the letters come once either way.
    """
    house.stop()
    offset = int(SETTINGS["KAIRAN_CLOCK_OFFSET_S"]) + 23 * 3600
    house.environ["KAIRAN_CLOCK_OFFSET_S"] = str(offset)
    house.start()
    ground.set_current_config(ground.Config(data=house.data, mail_domain="mail.school.example"))
    install.prepare_data_folder(ground.current_config())
    tasks.digests.send_due_digests(clock.now() + timedelta(seconds=offset))
    db.close()
