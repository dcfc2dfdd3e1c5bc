"""The pages of figures: three rates with their wholes, each picture with its table (E-10, E-16, E-17, X-13)."""

import csv
from datetime import timedelta
from io import StringIO

import pytest

import clock
from models import AuditLog, Delivery, PageView
from tests import cast_notices, smarthost
from tests.cast import PASSWORD
from tests.cast_notices import PHONE, outcome
from tests.web.notice_factory import get_page


@pytest.fixture
def sent(school):
    smarthost.send_by(1)
    at = clock.now() - timedelta(hours=5)
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=at, subject="=休校のお知らせ")
    outcome(made.deliveries["鈴木 大輔"], "bounced")
    read_at = at + timedelta(minutes=7)
    Delivery.update(read_at=read_at).where(Delivery.id == made.deliveries["石川 直樹"].id).execute()
    return made


@pytest.mark.proves("X-07", "E-14", "E-16")
def test_one_page_holds_the_three_rates_with_what_they_are_a_share_of(as_, sent):
    """E-16: 3 of 4 letters; 1 of 5 households, those without an address that works included; nothing asked."""
    text = get_page(as_("花子"), f"/figures/{sent.notice.id}")
    assert "<b>75%</b>" in text and "4通のうち3通" in text
    assert "5世帯のうち1世帯" in text and "<b>20%</b>" in text
    assert "<b>―</b>" in text and "対象がありません" in text
    assert text.count('<svg class="chart"') == 2 and text.count("<table") >= 2
    assert "style=" not in text


@pytest.mark.proves("X-13", "E-17")
def test_over_time_by_notice_hour_and_list(as_, sent, school):
    """E-17, X-13."""
    hanako = as_("花子")
    text = get_page(hanako, "/figures")
    assert "お知らせ1件" in text and f"/figures/{sent.notice.id}" in text
    hour = clock.to_local(sent.notice.started_at + timedelta(minutes=7)).hour
    assert f"{hour}時台" in text and "1年1組" in text
    assert "半数の確認まで" in text
    assert get_page(hanako, "/figures?sort=fast&year=1") and get_page(hanako, "/figures?page=99")
    assert "/figures" in get_page(hanako, "/history")


@pytest.mark.proves("X-10", "E-16")
def test_openings_and_links_stand_only_where_they_are_counted(as_, sent, school):
    """X-10, E-16, D-31: labelled estimates, with what they are a share of, by notice, hour and list."""
    assert "目安" not in get_page(as_("花子"), "/figures").partition('id="meant"')[0]
    made = cast_notices.send(
        [school.lists["1-1"]], by=school.users["花子"], at=clock.now() - timedelta(hours=3), tracking={"opens": True}
    )
    at = made.notice.started_at + timedelta(minutes=9)
    PageView.create(delivery=made.deliveries["石川 直樹"], page="o", at=at, agent=PHONE)
    hanako = as_("花子")
    text = get_page(hanako, "/figures")
    assert "開封（目安）" in text and "1/4" in text and "リンクの開封（目安）" not in text.partition('id="each"')[0]
    assert text.count("25%") >= 4  # all together, notice, list, hour of sending
    assert f"{clock.to_local(at).hour}時台" in text
    rows = list(csv.DictReader(StringIO(hanako.get("/figures/figures.csv?sort=opened").get_data().decode("utf-8-sig"))))
    assert [row["開封の割合（%、目安）"] for row in rows] == ["25.0"]
    alone = get_page(hanako, f"/figures/{made.notice.id}")
    assert "4通のうち1" in alone and "開封とリンク（目安）" in alone


def test_as_a_file_with_numbers_as_numbers_and_no_formula(as_, sent):
    answer = as_("花子").get("/figures/figures.csv")
    rows = list(csv.DictReader(StringIO(answer.get_data().decode("utf-8-sig"))))
    assert rows[0]["件名"] == "'=休校のお知らせ" and rows[0]["送信通数"] == "4" and rows[0]["届いた割合（%）"] == "75.0"
    assert rows[0]["回答の割合（%）"] == "" and rows[0]["半数が確認するまでの分"] == ""
    assert AuditLog.select().where(AuditLog.action == "figures.exported").count() == 1


def test_who_looks_at_one_class_sees_the_board_instead_of_the_whole_school(as_, school, sent):
    """T-33."""
    whole = cast_notices.send([school.lists["whole"]], by=school.users["守"])
    viewer = as_("見る子")
    answer = viewer.get(f"/figures/{whole.notice.id}")
    assert answer.status_code in (302, 404)
    assert "休校のお知らせ" in get_page(viewer, "/figures")
    assert as_("太郎").get(f"/figures/{sent.notice.id}").status_code == 404
    assert "休校のお知らせ" not in get_page(as_("太郎"), "/figures")


def test_before_anything_was_sent_it_says_so(as_):
    assert "この年度に送ったお知らせはありません" in get_page(as_("守"), "/figures")


@pytest.mark.proves("E-12")
def test_addresses_to_look_at_are_shown_printed_and_written_to_a_file(as_, school):
    """E-12"""
    hanako = as_("花子")
    assert "/figures/addresses" in get_page(hanako, "/figures")
    text = get_page(hanako, "/figures/addresses")
    assert "雑音 三" in text and "宛先不明で停止" in text and "noise3@example.net" in text and "data-print" in text
    assert "雑音 三" not in get_page(hanako, "/figures/addresses?why=stopped")
    assert get_page(hanako, "/figures/addresses?why=nonsense")
    asked = hanako.get("/figures/addresses.csv")
    assert (asked.status_code, asked.location) == (303, "/account/confirm?next=/figures/addresses")
    assert not AuditLog.select().where(AuditLog.action == "addresses.exported").exists()
    hanako.post("/account/confirm/password", data={"password": PASSWORD})
    answer = hanako.get("/figures/addresses.csv")
    rows = list(csv.DictReader(StringIO(answer.get_data().decode("utf-8-sig"))))
    assert [row["名前"] for row in rows] == ["雑音 三", "雑音 一"] and rows[0]["リスト"] == "1年1組"
    assert AuditLog.select().where(AuditLog.action == "addresses.exported").count() == 1
    assert "noise3@example.net" not in get_page(as_("見る子"), "/figures/addresses")
    assert "どのアドレスにも届いていて" in get_page(as_("太郎"), "/figures/addresses")


@pytest.mark.parametrize("path", ["/figures", "/figures/figures.csv", "/figures/addresses", "/figures/addresses.csv"])
def test_a_foreign_list_is_not_there_and_nothing_is_recorded(as_confirmed, school, path):
    """T-33, N-08"""
    for number in (school.lists["1-1"].id, 99):
        assert as_confirmed("太郎").get(f"{path}?list={number}").status_code == 404
    assert as_confirmed("花子").get(f"{path}?list={school.lists['1-1'].id}").status_code == 200
    assert (
        AuditLog.select().where(AuditLog.action.contains("exported"), AuditLog.user == school.users["太郎"]).count()
        == 0
    )
