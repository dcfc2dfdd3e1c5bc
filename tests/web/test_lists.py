"""The pages of lists: who sees which, members found, several stopped at once, settings (T-24, T-32 to T-34)."""

import pytest

import clock
from core.accounts import roles, who_can
from core.members import lists, member_list
from core.permissions import permissions_of
from database import bulk_insert, new_join_code
from models import AuditLog, Child, MailingList, Membership, Notice, Person, Role, Target
from tests.counting import queries
from tests.web.notice_factory import get_page


@pytest.fixture
def one(school):
    return school.lists["1-1"]


def url(mailing_list, rest=""):
    return f"/lists/{mailing_list.id}{rest}"


def text(answer):
    return answer.get_data(as_text=True)


# ── the lists ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-33")
def test_everybody_sees_the_own_lists_only(as_):
    shown = text(as_("花子").get("/lists"))
    assert "1年1組" in shown
    assert "2年1組" not in shown
    assert "全校" in text(as_("守").get("/lists"))
    assert "去年の6年" not in text(as_("守").get("/lists"))


def test_lists_want_a_login(client, one):
    for path in ("/lists", url(one), url(one, "/import"), url(one, "/export")):
        assert client.get(path).status_code == 302


def test_lists_count_their_people(as_):
    shown = text(as_("花子").get("/lists"))
    assert "登録者7人" in shown
    assert "届きません 1" in shown


@pytest.mark.proves("T-34")
def test_an_administrator_adds_a_list(as_):
    answer = as_("守").post("/lists/new", data={"name": "3年2組", "address": "3nen2kumi", "purpose": "連絡"})
    assert answer.status_code == 303
    assert MailingList.get(MailingList.address == "3nen2kumi").purpose == "連絡"


@pytest.mark.proves("T-38")
def test_a_new_list_has_a_manager_from_the_beginning(as_, school):
    """T-38: the user who adds it unless another one is chosen; the last one stays."""
    shown = as_("守").get("/lists/new")
    assert shown.status_code == 200
    assert f'<option selected value="{school.users["守"].id}">守</option>' in text(shown)
    as_("守").post("/lists/new", data={"name": "3年2組", "address": "3nen2kumi", "manager": school.users["送る子"].id})
    as_("守").post("/lists/new", data={"name": "4年1組", "address": "4nen1kumi"})
    made = MailingList.get(MailingList.address == "3nen2kumi")
    assert [user.name for user in who_can.managers_of(made)] == ["送る子"]
    assert permissions_of(school.users["送る子"]).may_list("manage", made)
    assert [user.name for user in who_can.managers_of(MailingList.get(address="4nen1kumi"))] == ["守"]
    with pytest.raises(roles.LastManager):
        roles.revoke_role(Role.get(Role.list_id == made.id), by=None)


@pytest.mark.proves("T-38")
def test_a_list_of_the_terminal_is_managed_by_the_administrators(school):
    """T-38: until a manager is named; the last administrator stays."""
    made = lists.add_list(None, "3年2組", "3nen2kumi", now=clock.now())
    managing = [user for user in school.users.values() if permissions_of(user).may_list("manage", made)]
    assert [user.name for user in managing if Role.get(Role.user == user).kind == "admin"] == ["守"]
    with pytest.raises(roles.LastAdministrator):
        roles.revoke_role(Role.get(Role.user == school.users["守"]), by=None)


@pytest.mark.parametrize("number", [0, 10**6, "x"])
def test_a_list_is_not_added_without_a_user_who_may_log_in(as_, school, number):
    roles.disable_account(school.users["送る子"], by=None, now=clock.now())
    for typed in (number, school.users["送る子"].id):
        answer = as_("守").post("/lists/new", data={"name": "3年2組", "address": "3nen2kumi", "manager": typed})
        assert answer.status_code == 422
    assert not MailingList.select().where(MailingList.address == "3nen2kumi").exists()


def test_a_manager_adds_none(as_):
    assert as_("花子").get("/lists/new").status_code == 403


@pytest.mark.parametrize(("address", "word"), [("postmaster", "管理者"), ("zenko", "別のリスト"), ("３年", "半角")])
def test_a_bad_address_is_refused_and_what_was_typed_stays(as_, address, word):
    answer = as_("守").post("/lists/new", data={"name": "新しい組", "address": address})
    assert answer.status_code == 422
    assert word in text(answer)
    assert "新しい組" in text(answer)
    assert address in text(answer)


# ── one list ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("X-07")
def test_a_list_shows_each_person_once_with_children(as_, school):
    shown = text(as_("守").get(url(school.lists["whole"])))
    assert shown.count(">鈴木 大輔</a>") == 1
    assert "鈴木 海斗" in shown
    assert "鈴木 美月" in shown
    assert "雑音 二" not in shown


@pytest.mark.proves("T-33")
@pytest.mark.parametrize("path", ["", "/import", "/export", "/settings"])
def test_another_list_is_not_there(as_, one, path):
    assert as_("太郎").get(url(one, path)).status_code == 404


@pytest.mark.parametrize("path", ["/import", "/export", "/settings"])
def test_who_may_only_look_changes_nothing(as_, one, path):
    assert as_("見る子").get(url(one)).status_code == 200
    assert as_("見る子").get(url(one, path)).status_code == 403
    assert as_("送る子").post(url(one, "/members/stop"), data={"m": 1}).status_code == 403
    assert as_("送る子").post(url(one, "/export")).status_code == 403


def test_addresses_are_hidden_from_who_may_only_look(as_, one):
    assert "naoki@example.jp" in text(as_("花子").get(url(one)))
    looker = as_("見る子")
    assert "naoki" not in get_page(looker, url(one))
    assert ">石川 直樹</a>" not in get_page(looker, url(one, "?q=naoki@example.jp"))


@pytest.mark.parametrize("asked", ["石川", "いしかわ", "ｲｼｶﾜ", "naoki@", "石川蓮", "NAOKI"])
def test_members_are_found_by_name_reading_address_and_child(as_, one, asked):
    shown = text(as_("花子").get(url(one), query_string={"q": asked}))
    assert ">石川 直樹</a>" in shown
    assert ">青山 健太</a>" not in shown


@pytest.mark.parametrize("asked", ["%", "_", "'", "zzz", "石川 蓮 海斗"])
def test_odd_searches_find_nobody(as_, one, asked):
    shown = text(as_("花子").get(url(one), query_string={"q": asked}))
    assert "当てはまる方がいません" in shown


def test_kana_rows_and_states_filter(as_, one):
    browser = as_("花子")
    shown = text(browser.get(url(one, "?row=あ")))
    assert ">青山 健太</a>" in shown
    assert ">和田 幸子</a>" not in shown
    assert ">和田 幸子</a>" in text(browser.get(url(one, "?state=telephone")))
    bounced = text(browser.get(url(one, "?state=undelivered")))
    assert ">雑音 三</a>" in bounced
    assert ">青山 健太</a>" not in bounced
    assert ">雑音 一</a>" in text(browser.get(url(one, "?state=stopped")))


def test_the_chips_count_what_they_show(school, one):
    counts = member_list.count_by_state(one)
    assert counts == {"all": 7, "pending": 0, "undelivered": 1, "stopped": 1, "telephone": 1}
    for state in member_list.STATES:
        assert member_list.query_members(one, member_list.MemberQuery(state=state)).count() == counts[state]


def test_the_order_can_be_chosen(school):
    def names(sort):
        wish = member_list.MemberQuery(sort=sort)
        return [row.name for row in member_list.query_members(school.lists["whole"], wish)]

    assert names("kana")[0] == "青山 健太"
    assert names("class")[-1] == "木村 恵"
    Membership.update(joined_at=clock.now()).where(Membership.person == school.people["加藤 誠"]).execute()
    assert names("joined")[0] == "加藤 誠"


def test_htmx_gets_the_members_alone(as_, one):
    answer = as_("花子").get(url(one), headers={"HX-Request": "true"})
    assert text(answer).lstrip().startswith('<div id="members"')


def test_a_page_has_fifty_and_the_same_few_queries(as_, one, school):
    browser = as_("花子")
    browser.get(url(one))
    few = queries(lambda: browser.get(url(one)))
    people = [{"name": f"山田 {n}", "kana": f"ヤマダ {n:04}", "household": f"h{n}"} for n in range(500)]
    bulk_insert(Person, people)
    new = Person.select().where(Person.kana.startswith("ヤマダ"))
    bulk_insert(Membership, [{"person": person.id, "list": one.id} for person in new])
    assert queries(lambda: browser.get(url(one))) == few
    shown = text(browser.get(url(one, "?page=2")))
    assert shown.count('class="name"') == 50
    assert "51～100人目（全507人）" in shown


def test_the_letters_of_all_filters_stay_in_the_links(as_, one):
    shown = text(as_("花子").get(url(one, "?q=山&state=stopped")))
    assert "q=%E5%B1%B1&amp;state=stopped&amp;row=" in shown


# ── several at once ──────────────────────────────────────────────────────────────────────────────────────────────


def states(mailing_list):
    return {row.person.name: row.state for row in Membership.select().where(Membership.list == mailing_list)}


def test_chosen_members_are_stopped_and_resumed(as_, one, school):
    chosen = [school.people["青山 健太"].id, school.people["石川 直樹"].id]
    browser = as_("花子")
    assert browser.post(url(one, "/members/stop"), data={"m": chosen}).status_code == 303
    assert states(one)["青山 健太"] == states(one)["石川 直樹"] == "stopped"
    assert states(one)["青山 美咲"] == "active"
    assert states(school.lists["whole"])["青山 健太"] == "active"
    browser.post(url(one, "/members/resume"), data={"m": chosen})
    assert states(one)["青山 健太"] == "active"


def test_removing_asks_first_and_says_what_is_lost(as_, one, school):
    browser, number = as_("花子"), school.people["青山 健太"].id
    asked = browser.post(url(one, "/members/remove"), data={"m": number})
    assert asked.status_code == 200
    assert "元に戻せません" in text(asked)
    assert "青山 健太" in text(asked)
    assert states(one)["青山 健太"] == "active"
    browser.post(url(one, "/members/remove"), data={"m": number, "sure": "y"})
    assert states(one)["青山 健太"] == "left"


def test_who_stopped_himself_is_resumed_on_his_wish(as_, one, school):
    number = school.people["青山 健太"].id
    Membership.update(state="stopped", stopped_by="reader").where(Membership.person == number).execute()
    browser = as_("花子")
    asked = browser.post(url(one, "/members/resume"), data={"m": number})
    assert "ご本人の意思" in text(asked)
    assert states(one)["青山 健太"] == "stopped"
    browser.post(url(one, "/members/resume"), data={"m": number, "wished": "y"})
    assert states(one)["青山 健太"] == "active"


def test_people_of_another_list_are_not_touched_by_number(as_, one, school):
    number = school.people["加藤 誠"].id
    as_("花子").post(url(one, "/members/remove"), data={"m": number, "sure": "y"})
    assert states(school.lists["2-1"])["加藤 誠"] == "active"


def test_nobody_chosen_and_odd_actions(as_, one):
    browser = as_("花子")
    assert "選んでください" in text(browser.post(url(one, "/members/stop"), follow_redirects=True))
    assert browser.post(url(one, "/members/explode"), data={"m": 1}).status_code == 404
    assert browser.get(url(one, "/members/stop")).status_code == 405


# ── settings, closing, export ────────────────────────────────────────────────────────────────────────────────────


def test_a_manager_changes_name_and_purpose_but_not_the_address(as_, one):
    answer = as_("花子").post(
        url(one, "/settings"), data={"name": "1の1", "purpose": "連絡", "address": "taken-over", "whole": "y"}
    )
    assert answer.status_code == 303
    after = MailingList.get_by_id(one.id)
    assert (after.name, after.purpose, after.address, after.whole) == ("1の1", "連絡", "1nen1kumi", False)


def test_an_administrator_changes_all_and_the_whole_is_one(as_, one):
    browser = as_("守")
    data = {"name": "1年1組", "purpose": "", "address": "1-1"}
    assert browser.post(url(one, "/settings"), data=data).status_code == 303
    refused = browser.post(url(one, "/settings"), data={**data, "whole": "y"})
    assert refused.status_code == 422
    assert "全校" in text(refused)


def test_closing_asks_and_is_refused_under_way(as_, one):
    browser = as_("守")
    assert "1年1組" in text(browser.get(url(one, "/close")))
    Target.create(notice=Notice.create(state="scheduled"), kind="list", number=one.id)
    assert "予約中" in text(browser.post(url(one, "/close"), follow_redirects=True))
    Notice.update(state="sent").execute()
    assert browser.post(url(one, "/close")).status_code == 303
    assert MailingList.get_by_id(one.id).closed_at is not None
    assert as_("花子").post(url(one, "/close")).status_code == 403


def test_the_export_is_a_file_and_is_written_down(as_confirmed, one):
    browser = as_confirmed("花子")
    assert "操作履歴" in text(browser.get(url(one, "/export")))
    answer = browser.post(url(one, "/export"))
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "青山 健太" in answer.data.decode("utf-8-sig")
    assert AuditLog.select().where(AuditLog.action == "roster.exported", AuditLog.number == one.id).count() == 1


def test_two_thousand_members_are_shown_quickly(as_, one):
    people = [{"name": f"山田 {n}", "kana": f"ヤマダ {n:04}", "household": f"h{n}"} for n in range(2000)]
    bulk_insert(Person, people)
    new = list(Person.select().where(Person.kana.startswith("ヤマダ")))
    bulk_insert(
        Child,
        [
            {"name": f"子 {n}", "grade": str(n % 6), "class_name": "1", "join_code": new_join_code()}
            for n in range(2000)
        ],
    )
    children = list(Child.select().where(Child.name.startswith("子 ")))
    places = zip(new, children, strict=True)
    bulk_insert(Membership, [{"person": p.id, "list": one.id, "child": c.id} for p, c in places])
    assert lists.count_members(one)["members"] == 2007
    assert as_("花子").get(url(one, "?sort=class&q=子")).status_code == 200
