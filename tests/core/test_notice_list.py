"""What is listed to whom: drafts only to who may write on them (T-33)."""

import clock
from core.notices import drafts
from core.permissions import permissions_of
from core.reports import notice_list


def drafts_of(school, name: str) -> set[int]:
    return {one.id for one in notice_list.editable_drafts(permissions_of(school.users[name]))}


def test_a_draft_is_listed_to_who_may_write_on_it(school):
    """A manager's draft to one list, to two of different managers, and without recipients."""
    now, hanako = clock.now(), school.users["花子"]
    mine, both, bare = (drafts.create_draft(hanako, now=now) for _ in range(3))
    drafts.set_recipients(mine, now=now, lists=[school.lists["1-1"].id])
    drafts.set_recipients(both, now=now, lists=[school.lists["1-1"].id, school.lists["2-1"].id])
    assert drafts_of(school, "花子") == drafts_of(school, "守") == {mine.id, both.id, bare.id}
    assert drafts_of(school, "送る子") == {mine.id}
    assert drafts_of(school, "太郎") == set()
    assert drafts_of(school, "見る子") == set()


def test_every_listed_draft_may_be_steered(school):
    now = clock.now()
    for user in ("花子", "太郎", "守"):
        for key in ("whole", "1-1", "2-1"):
            draft = drafts.create_draft(school.users[user], now=now)
            drafts.set_recipients(draft, now=now, lists=[school.lists[key].id])
    for name, user in school.users.items():
        rights = permissions_of(user)
        assert all(rights.may_notice("send", one) for one in notice_list.editable_drafts(rights)), name
