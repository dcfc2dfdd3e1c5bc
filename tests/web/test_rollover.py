"""The pages of the rollover: for administrators, one for each step, in order; nothing acts twice (field.md 5.1)."""

import io
import re

from core.rollover import year_end
from models import Membership, Rollover
from tests.core.test_rollover import DOUBTFUL, ROSTER
from tests.web.notice_factory import get_page


def mark(text: str, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', text)[1]


def ended(browser) -> None:
    browser.post("/rollover/begin")
    shown = get_page(browser, "/rollover")
    browser.post("/rollover/end", data={"fingerprint": mark(shown, "fingerprint")})


def upload(browser, text: str):
    return browser.post("/rollover/roster", data={"file": (io.BytesIO(text.encode()), "r.csv")})


def test_the_whole_way(school, as_):
    browser = as_("守")
    assert "何が変わるかを見る" in get_page(browser, "/rollover")
    browser.post("/rollover/begin")
    shown = get_page(browser, "/rollover")
    for words in ("加藤 悠斗", "2年1組", "2クラスの年度末の処理をする"):
        assert words in shown
    browser.post("/rollover/plan", data={"grades": ["2"], "lists": [school.lists["2-1"].id]})
    assert "1クラスの年度末の処理をする" in get_page(browser, "/rollover")
    browser.post("/rollover/plan", data={"grades": ["2"], "lists": [school.lists[key].id for key in ("1-1", "2-1")]})
    browser.post("/rollover/end", data={"fingerprint": "old"})
    assert Rollover.select().get().state == "planned"
    browser.post("/rollover/end", data={"fingerprint": mark(get_page(browser, "/rollover"), "fingerprint")})
    assert "新しい名簿を取り込む" in get_page(browser, "/rollover")
    assert upload(browser, ROSTER).status_code == 303
    shown = get_page(browser, "/rollover")
    assert "登録のある児童：4人" in shown and "新しい児童：1人" in shown
    form = {"seen": mark(shown, "seen")}
    assert browser.post("/rollover/roster/run", data=form).status_code == 303
    shown = get_page(browser, "/rollover")
    assert "新しい年度の準備ができました" in shown and "元に戻す" in shown
    for _tap in range(2):  # the second one does not take the year's end back too
        browser.post("/rollover/undo", data={"step": mark(shown, "step")})
        assert Rollover.select().get().state == "ended"
    shown = get_page(browser, "/rollover")
    assert "新しい名簿を取り込む" in shown
    browser.post("/rollover/undo", data={"step": mark(shown, "step")})
    assert "何が変わるかを見る" in get_page(browser, "/rollover")


def test_doubtful_lines_wait_for_a_decision_and_what_was_decided_is_kept(school, as_):
    browser = as_("守")
    ended(browser)
    upload(browser, DOUBTFUL)
    shown = get_page(browser, "/rollover")
    number = re.search(r'name="line-(\d+)" value="skip"', shown)[1]
    form = {"seen": mark(shown, "seen"), f"line-{number}": "skip"}
    browser.post("/rollover/roster/decide", data=form)
    again = get_page(browser, "/rollover")
    assert f'name="line-{number}" value="skip" checked' in again
    browser.post("/rollover/roster/run", data=form)
    assert year_end.current_rollover().state == "ended" and "まだ決まっていない" in get_page(browser, "/rollover")
    browser.post("/rollover/roster/forget")
    assert "新しい名簿を取り込む" in get_page(browser, "/rollover")


def test_what_cannot_be_read_is_said_and_pasted_lines_stay(school, as_):
    browser = as_("守")
    ended(browser)
    assert browser.post("/rollover/roster", data={}).status_code == 422
    answer = browser.post("/rollover/roster", data={"text": "氏名,メールアドレス\n山田,a@example.jp"})
    assert answer.status_code == 422 and "山田,a@example.jp" in answer.get_data(as_text=True)


def test_a_waiting_class_says_so_where_recipients_are_chosen(school, as_):
    browser = as_("守")
    ended(browser)
    number = re.search(r"/notices/(\d+)", browser.post("/notices/new", data={"form_key": "k"}).headers["Location"])[1]
    answer = browser.post(f"/notices/{number}/recipients", data={"lists": school.lists["1-1"].id})
    assert answer.status_code == 422 and "新しい年度の名簿を待っている" in answer.get_data(as_text=True)
    browser.post(f"/rollover/lists/{school.lists['1-1'].id}/open")
    assert "新しい年度の名簿を待っている" not in get_page(browser, f"/notices/{number}/recipients")


def test_only_administrators_and_only_in_order(school, as_):
    """T-33; a second tap or a step out of order changes nothing."""
    for address in ("", "/begin", "/plan", "/end", "/undo", "/drop", "/roster", "/roster/decide", "/roster/forget"):
        call = as_("花子").post if address else as_("花子").get
        assert call(f"/rollover{address}").status_code == 403
    browser = as_("守")
    before = Membership.select().where(Membership.state == "left").count()
    for address in ("/end", "/undo", "/plan", "/drop", "/roster", "/roster/decide", "/roster/forget"):
        assert browser.post(f"/rollover{address}", data={"fingerprint": "x"}).status_code in (302, 303)
    assert Membership.select().where(Membership.state == "left").count() == before
    browser.post("/rollover/begin")
    browser.post("/rollover/drop")
    assert Rollover.select().count() == 0


def test_unknown_columns_of_the_new_roster_are_named_and_taken_only_by_name(school, as_):
    browser = as_("守")
    ended(browser)
    lines = "児童氏名,学年,組,備考,係\n新井 空,1,1,卵アレルギー,広報\n合計 1名,,,,\n"
    browser.post("/rollover/roster", data={"text": lines})
    shown = get_page(browser, "/rollover")
    assert "次の列は読んでいません：備考、係" in shown
    assert "3行目：合計のようです" in shown or "合計" in shown
    assert "卵アレルギー" not in shown
    browser.post("/rollover/roster", data={"text": lines, "take": "係"})
    assert "次の列は読んでいません：備考。" in get_page(browser, "/rollover")
