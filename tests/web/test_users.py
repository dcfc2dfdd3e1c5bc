"""The users page: invitations, roles, disabled accounts (T-33, T-38, D-08)."""

import pytest

import clock
from core.permissions import permissions_of
from models import AuditLog, Letter, Role, Session, User
from tests.counting import queries

GIVEN = {
    "name": "新しい人",
    "email": "new@school.example",
    "language": "ja",
    "kind": "sender",
    "place": "0",
    "until": "",
}
POSTS = ("roles", "roles/2/remove", "disable", "enable", "invite-again", "log-out")


def role_of(name: str, place: int = 0) -> Role:
    return Role.get(Role.user == User.get(User.name == name), Role.list_id == place)


@pytest.mark.parametrize("path", ["", "/invite", "/2"])
@pytest.mark.parametrize("name", ["花子", "送る子", "見る子"])
def test_only_administrators_see_users(as_, path, name):
    """T-33: a manager's own list gives no look at the accounts."""
    assert as_(name).get(f"/users{path}").status_code == 403


@pytest.mark.parametrize("path", POSTS)
def test_forged_posts_of_others_are_refused(as_, client, path):
    assert as_("花子").post(f"/users/1/{path}").status_code == 403
    assert client.post(f"/users/1/{path}").location.startswith("/login")
    assert as_("守").get(f"/users/1/{path}").status_code == 405


@pytest.mark.parametrize("path", POSTS)
def test_users_that_do_not_exist_are_not_found(as_, path):
    given = {"kind": "viewer", "place": "0"}
    assert as_("守").post(f"/users/999/{path}", data=given).status_code == 404


def test_list_names_everybody_with_role_and_state(as_):
    as_("花子")
    User.update(disabled_at=clock.now()).where(User.name == "太郎").execute()
    text = as_("守").get("/users").text
    for word in ("花子", "マネージャー（1年1組）", "全体管理者（団体全体）", "停止中", "まだログインしていません"):
        assert word in text


def test_number_of_queries_does_not_grow_with_users(as_):
    browser = as_("守")
    browser.get("/users")  # the first page stores the form token in the cookie
    few = queries(lambda: browser.get("/users"))
    User.insert_many([{"name": f"人{n}", "name_key": f"人{n}"} for n in range(40)]).execute()
    assert queries(lambda: browser.get("/users")) == few


@pytest.mark.parametrize("path", ["/users/2/roles", "/users/invite"])
def test_where_a_role_counts_is_chosen_and_never_preset(as_, path):
    """X-04, field 5.3 no. 2: nobody gets the whole school by a press that chose nothing."""
    given = {"kind": "sender", "place": "", "name": "新しい人", "email": "neu@example.jp", "language": "ja"}
    before = Role.select().count(), User.select().count()
    answer = as_("守").post(path, data=given)
    assert answer.status_code == 422 and "どのリストでの役割かを選んでください" in answer.text
    assert (Role.select().count(), User.select().count()) == before


def test_invitation_makes_account_role_and_letter(as_, school, app):
    place = school.lists["1-1"].id
    answer = as_("守").post("/users/invite", data={**GIVEN, "place": str(place), "until": "2099-03-31"})
    assert answer.status_code == 303
    role = role_of("新しい人", place)
    assert (role.kind, str(role.until)) == ("sender", "2099-03-31")
    letter = Letter.get()
    assert (letter.kind, letter.address, letter.payload["by"]) == ("invitation", "new@school.example", "守")
    guest = app.test_client()
    link = letter.payload["url"].removeprefix("http://kairan.test")
    assert guest.get(link).status_code == 200
    assert guest.post(link, data={"password": "niwa-no-kaki-ga-akaku-naru"}).status_code == 303
    assert guest.get("/").status_code == 200
    assert guest.get("/users").status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "花子"), ("email", "x@"), ("email", ""), ("kind", "king"), ("place", "999"), ("until", "tomorrow")],
)
def test_bad_invitation_is_refused_with_everything_kept(as_, field, value):
    answer = as_("守").post("/users/invite", data={**GIVEN, field: value})
    assert answer.status_code == 422
    assert 'value="new@school.example"' in answer.text or field == "email"
    assert Letter.select().count() == User.select().where(User.name == "新しい人").count() == 0


def test_administrator_of_one_list_is_refused(as_, school):
    given = {**GIVEN, "kind": "admin", "place": str(school.lists["1-1"].id)}
    assert as_("守").post("/users/invite", data=given).status_code == 422
    assert User.select().where(User.name == "新しい人").count() == 0


def test_invitation_is_sent_again_until_it_is_taken_up(as_):
    browser = as_("守")
    browser.post("/users/invite", data=GIVEN)
    number = User.get(User.name == "新しい人").id
    assert browser.post(f"/users/{number}/invite-again").status_code == 303
    assert Letter.select().count() == 2
    User.update(password="x").where(User.id == number).execute()
    browser.post(f"/users/{number}/invite-again")
    assert Letter.select().count() == 2


def test_role_is_changed_and_works_at_once(as_, school):
    place, sender = school.lists["1-1"].id, school.users["送る子"]
    given = {"kind": "viewer", "place": str(place), "until": ""}
    assert as_("守").post(f"/users/{sender.id}/roles", data=given).status_code == 303
    assert role_of("送る子", place).kind == "viewer"
    assert AuditLog.select().where(AuditLog.action == "role.given", AuditLog.number == sender.id).count() == 1


def test_role_with_a_last_day_is_over_the_day_after(as_, school):
    place, sender = school.lists["1-1"].id, school.users["送る子"]
    until = clock.today().isoformat()
    as_("守").post(f"/users/{sender.id}/roles", data={"kind": "sender", "place": str(place), "until": until})
    assert permissions_of(sender).may("send", place)
    clock.set_offset(86400)
    assert not permissions_of(sender).may("view", place)


@pytest.mark.proves("T-38")
def test_last_manager_of_a_list_stays(as_, school):
    """T-38: refused, until another manager is named."""
    browser, place = as_("守"), school.lists["1-1"].id
    role, number = role_of("花子", place), school.users["花子"].id
    browser.post(f"/users/{number}/roles/{role.id}/remove")
    weaker = {"kind": "viewer", "place": str(place), "until": ""}
    assert browser.post(f"/users/{number}/roles", data=weaker).status_code == 422
    assert role_of("花子", place).kind == "manager"
    browser.post(f"/users/{school.users['送る子'].id}/roles", data={"kind": "manager", "place": str(place)})
    browser.post(f"/users/{number}/roles/{role.id}/remove")
    assert Role.select().where(Role.id == role.id).count() == 0


def test_last_administrator_stays(as_, school):
    browser, mamoru = as_("守"), school.users["守"]
    role = role_of("守")
    browser.post(f"/users/{mamoru.id}/roles/{role.id}/remove")
    browser.post(f"/users/{mamoru.id}/disable", data={"anyway": "y"})
    weaker = {"kind": "manager", "place": "0"}
    assert browser.post(f"/users/{mamoru.id}/roles", data=weaker).status_code == 422
    ending = {"kind": "admin", "place": "0", "until": "2099-01-01"}
    assert browser.post(f"/users/{mamoru.id}/roles", data=ending).status_code == 422
    assert role_of("守").kind == "admin" and role_of("守").until is None
    assert User.get_by_id(mamoru.id).disabled_at is None


def test_role_of_another_user_is_not_removed_through_this_one(as_, school):
    role = role_of("花子", school.lists["1-1"].id)
    path = f"/users/{school.users['太郎'].id}/roles/{role.id}/remove"
    assert as_("守").post(path).status_code == 404


def test_disabling_names_the_lists_left_alone_first(as_, school):
    browser, number = as_("守"), school.users["花子"].id
    hers = as_("花子")
    answer = browser.post(f"/users/{number}/disable")
    assert answer.status_code == 422
    assert "「1年1組」のマネージャーがいなくなります。" in answer.text
    assert User.get_by_id(number).disabled_at is None
    assert browser.post(f"/users/{number}/disable", data={"anyway": "y"}).status_code == 303
    assert hers.get("/").status_code == 302
    browser.post(f"/users/{number}/enable")
    assert User.get_by_id(number).disabled_at is None
    assert hers.get("/").status_code == 302, "the old session stays dead"


def test_lost_phone_is_logged_out_by_an_administrator(as_, school):
    hers = as_("花子")
    as_("守").post(f"/users/{school.users['花子'].id}/log-out")
    assert hers.get("/").status_code == 302
    assert Session.select().where(Session.user == school.users["花子"], Session.revoked_at.is_null()).count() == 0


def test_practice_shows_the_link_that_the_outbox_hides(as_):
    browser = as_("守")
    browser.post("/users/invite", data=GIVEN)
    number = User.get(User.name == "新しい人").id
    assert "http://kairan.test/invitation/" in browser.get(f"/users/{number}").text
