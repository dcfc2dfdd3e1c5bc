"""The hand-over sheet: addresses, roles, dates, where the server is; no password (field.md 5, 5.3 no. 12)."""

from datetime import date

from core.settings import update_organization
from models import AllowedSender, Role
from tests import cast
from tests.web.notice_factory import get_page

SMTP = "smtps://schule:sehr-geheim-7@smtp.provider.example:465"


def test_everything_whoever_comes_next_must_know(school, as_):
    update_organization(None, smtp=SMTP, server_until=date(2027, 3, 1))
    Role.update(until=date(2030, 3, 31)).where(Role.user == school.users["送る子"]).execute()
    AllowedSender.create(list=school.lists["1-1"], address="k@example.jp", address_key="k@example.jp", name="教頭 小川")
    browser = as_("守")
    shown = get_page(browser, "/rollover/hand-over")
    for words in (
        "http://kairan.test",
        "1nen1kumi@mail.school.example",
        "教頭 小川",
        "送る子",
        "2030年3月31日",
        "全体管理者",
        "smtp.provider.example:465",
        "2027年3月1日",
        "./kairan backup",
    ):
        assert words in shown, words
    assert "sehr-geheim" not in shown and cast.PASSWORD not in shown
    browser.post("/rollover/hand-over", data={"note": "契約者：山田\n電話 000-0000-0009 <b>"})
    assert "契約者：山田\n電話 000-0000-0009 <b>" in get_page(browser, "/rollover/hand-over")
    assert "引き継ぎ書を作る" in get_page(browser, "/rollover")


def test_only_administrators(school, as_):
    get_page(as_("花子"), "/rollover/hand-over", 403)
    assert as_("花子").post("/rollover/hand-over", data={"note": "x"}).status_code == 403
