"""A refusal names who may do it, on the page of the refusal and where a button is missing (T-33; field 4.3, 11)."""

import pytest

from core.accounts import accounts, roles, who_can
from models import Notice, Role, User
from tests import cast_notices


def text(answer, status):
    assert answer.status_code == status
    return answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("who", "path", "names"),
    [
        ("見る子", "/lists/{one}/settings", "リストのマネージャー（花子さん）"),
        ("送る子", "/lists/{one}/export", "リストのマネージャー（花子さん）"),
        ("花子", "/users", "全体管理者（守さん）"),
        ("花子", "/admin/organization", "全体管理者（守さん）"),
        ("見る子", "/notices/{draft}/delete", "役割を付けられるのは、全体管理者（守さん）"),
    ],
)
def test_a_refusal_names_who_may_do_it(as_, school, who, path, names):
    draft = Notice.create(state="draft", by=school.users["花子"])
    shown = text(as_(who).get(path.format(one=school.lists["1-1"].id, draft=draft.id)), 403)
    assert names in shown and "太郎" not in shown


def test_what_is_not_to_be_seen_names_nobody(as_, school):
    address = f"/lists/{school.lists['1-1'].id}/settings"
    assert "花子" in text(as_("見る子").get(address), 403)
    assert "花子" not in text(as_("太郎").get(address), 404)


def test_where_a_button_is_missing_stands_who_has_it(as_, school):
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], state="scheduled")
    Notice.update(started_at=None, send_at=sent.notice.confirmed_at).where(Notice.id == sent.notice.id).execute()
    viewer = as_("見る子")
    shown = text(viewer.get(f"/notices/{sent.notice.id}"), 200)
    assert "この操作ができるのは、リストに送信できる人（花子さん、送る子さん）です。" in shown
    assert "（花子さん）です。" in text(viewer.get(f"/lists/{school.lists['1-1'].id}"), 200)


def test_it_speaks_english_too(as_, school):
    User.update(language="en").where(User.name == "見る子").execute()
    shown = text(as_("見る子").get(f"/lists/{school.lists['1-1'].id}/settings"), 403)
    assert "This can be done by a manager of the list: 花子." in shown


def test_who_is_named(school):
    """Whoever knows the list best comes first, nobody whose role has ended or who is disabled, three at most."""
    one = school.lists["1-1"].id
    assert who_can.holders_for_lists("send", [one]).names == ("花子", "送る子")
    both = who_can.holders_for_lists("send", [one, school.lists["2-1"].id])
    assert (both.need, both.names) == ("admin", ("守",))
    for number in range(3):
        Role.create(user=accounts.add_user(f"係{number}"), list_id=one, kind="manager")
    User.update(disabled_at=school.users["花子"].created_at).where(User.name == "係0").execute()
    assert "花子さん、係1さん、係2さん" in who_can.holders_for_lists("manage", [one]).sentence("ja")
    Role.create(user=accounts.add_user("係3"), list_id=one, kind="manager")
    assert "係2さん ほか1人" in who_can.holders_for_lists("manage", [one]).sentence("ja")
    roles.revoke_role(Role.get(Role.list_id == one, Role.user == school.users["花子"]), by=None)
    assert "花子" not in who_can.holders_for_lists("manage", [one]).names
