"""What a reader and an organizer see once the letters of a school year are deleted (design decision 15)."""

import re
from datetime import datetime, timedelta

import pytest

import clock
from core.retention import purge
from models import Delivery, Letter, Membership, Organization
from tests import cast_notices, smarthost
from tests.web.notice_factory import get_page


@pytest.fixture
def old(school):
    """A notice of March, on the second of May; its letters are still there."""
    smarthost.send_by(1)
    march, may = (clock.from_local(datetime(2027, month, day, 10)) for month, day in ((3, 10), (5, 2)))  # noqa: DTZ001
    clock.set_offset((may - clock.now() + clock._offset).total_seconds())
    sent = cast_notices.send(
        [school.lists["whole"], school.lists["1-1"]], by=school.users["守"], at=march, subject="修了式について"
    )
    cast_notices.ask(sent)
    when = march + timedelta(minutes=3)
    Delivery.update(read_at=when).where(Delivery.id == sent.deliveries["石川 直樹"].id).execute()
    return sent


def forget() -> None:
    Organization.update(purge_before_year=2027, purge_starts_at=clock.now()).execute()
    assert purge.run_purge(clock.now(), pause=lambda seconds: None)


def test_a_page_says_what_is_kept_and_until_when(as_, old):
    mamoru = as_("守")
    assert "何をいつまで残すか" in get_page(mamoru, "/admin")
    assert "お知らせ1件です" in get_page(mamoru, "/admin/keeping")
    purge.warn_administrators(clock.now())
    text = get_page(mamoru, "/admin/keeping")
    assert "5月16日" in text and "書き出してください" in text
    assert (
        "バックアップには、作ったときの内容がそのまま残ります" in text
        and "90日" in text
        and "年度末から30日後まで" in text
    )
    assert "5月16日" in get_page(mamoru, "/") and "まもなく削除" in get_page(mamoru, "/")
    assert as_("花子").get("/admin/keeping").status_code == 403
    assert "まもなく削除" not in get_page(as_("花子"), "/")


def test_the_history_stays_readable_with_the_sums(as_, old):
    forget()
    mamoru, number = as_("守"), old.notice.id
    text = get_page(mamoru, f"/notices/{number}/record")
    assert "修了式について" in text and "回答" not in re.findall(r'<nav class="tabs.*?</nav>', text, re.DOTALL)[0]
    assert "10月14日(火)は臨時休校とします" in get_page(mamoru, f"/notices/{number}/text")
    assert "5月2日" in text and "残っている集計" in text and "1年1組" in text and "石川" not in text
    assert "出席する" in text  # the choices with their numbers
    for gone in ("board", "board?view=print", "phone", "board.csv", "answers"):
        answer = mamoru.get(f"/notices/{number}/{gone}")
        assert (answer.status_code, answer.location) == (302, f"/notices/{number}/record#kept"), gone
    assert mamoru.get(f"/history/{number}/incident").location == f"/notices/{number}/record#kept"
    assert "7世帯" in get_page(mamoru, "/history")
    over_time = get_page(mamoru, "/figures?year=2026")
    assert "修了式について" in over_time and "7世帯のうち1" in over_time
    assert "残っている集計" in get_page(mamoru, f"/figures/{number}")
    assert get_page(mamoru, f"/notices/{number}")


def test_who_sees_one_class_is_told_that_the_letters_are_gone_and_no_more(as_, old):
    forget()
    text = get_page(as_("花子"), f"/history/{old.notice.id}")
    assert "年度が終わったため" in text and "全体を見られる人" in text and "2年1組" not in text


def test_links_in_old_letters_say_a_clear_sentence(client, old):
    token = old.deliveries["石川 直樹"].token
    forget()
    for path in (f"/r/{token}", f"/a/{token}/1", f"/c/{token}/1"):
        text = get_page(client, path, 410)
        assert "前の年度のお知らせです" in text and "学校へお問い合わせください" in text and f"/u/{token}" in text
        assert "石川" not in text and "修了式" not in text
    assert client.post(f"/r/{token}").status_code == 410
    assert client.get(f"/o/{token}.gif").status_code == 200
    assert client.get("/r/" + "a" * 26).status_code == 404


def test_by_an_old_letter_the_mail_is_still_stopped(client, old, school):
    """Decision 15, RFC 8058: GET shows, a press stops; one click stops at once and writes how to undo it."""
    ishikawa = school.people["石川 直樹"]
    token = old.deliveries["石川 直樹"].token
    forget()
    choice = get_page(client, f"/u/{token}")
    assert "全校" in choice and "1年1組" in choice and choice.count("/mail/leave/") == 2
    way = choice.partition('href="/mail/leave/')[2].partition('"')[0]
    assert "止め" in get_page(client, f"/mail/leave/{way}")
    assert not Membership.select().where(Membership.state == "stopped", Membership.person == ishikawa).exists()
    answer = client.post(f"/u/{token}/one-click", data={"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, answer.data) == (200, b"ok\n")
    assert Membership.select().where(Membership.state == "stopped", Membership.person == ishikawa).count() == 2
    assert Letter.select().where(Letter.kind == "resume").count() == 2
    assert client.post("/u/" + "b" * 26 + "/one-click").status_code == 404


def test_while_its_letters_are_being_deleted_a_page_is_closed_already(client, old):
    """Nothing is answered between the last count and the deletion."""
    token = old.deliveries["石川 直樹"].token
    type(old.notice).update(purged_at=clock.now()).execute()
    assert "前の年度のお知らせです" in get_page(client, f"/r/{token}", 410)
    assert "止め" in get_page(client, f"/u/{token}")
