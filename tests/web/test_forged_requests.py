"""Requests that no page offers: by lower roles, with the numbers of foreign lists, groups, people and samples.

花子 manages 1年1組, 送る子 sends there, 見る子 looks; 太郎 manages 2年1組. Refused means: nothing of it was written.
"""

from itertools import count

import pytest

import clock
from core.accounts import class_teacher
from core.members import groups, segment_rules
from core.notices import drafts, templates
from models import AllowedSender, AuditLog, Group, Membership, Notice, NoticeTemplate, Role, Target

STEER = (
    "recipients",
    "recipients/count",
    "recipients/search",
    "recipients/groups",
    "words",
    "words/overwrite",
    "words/next",
    "words/sender-name",
    "words/tracking",
    "words/files",
    "words/files/1/remove",
    "words/rich-text",
    "words/plain-text",
    "words/images",
    "words/questions/add/own",
    "words/questions/1/remove",
    "words/questions/1/choices/add",
    "words/questions/1/choices/1/remove",
    "name",
    "check",
    "test",
    "measure",
    "files",
    "cancel",
    "approve",
    "send-back",
    "take-back",
    "stop",
    "withdraw",
    "again",
    "release",
    "drop",
    "remind",
    "retime",
    "correct",
    "correct/apology",
    "update",
    "delete",
    "pictures",
)


@pytest.fixture
def foreign(school):
    """What 太郎 has: a group, a sample, a registered sender's name, a draft."""
    room, now, taro = school.lists["2-1"], clock.now(), school.users["太郎"]
    AllowedSender.create(list=room, address="k@example.jp", address_key="k@example.jp", name="校長 山田")
    group = groups.add_group(
        room, "2年", taro, now, segment_rules.parse_blocks([("and", segment_rules.SegmentRule("grade", "is", "2"))])
    )
    sample = templates.add_template(taro, templates.TemplateContent("海", "海", "海"), room)
    draft = drafts.create_draft(taro, now=now)
    drafts.set_recipients(draft, lists=[room.id], now=now)
    drafts.save_draft(draft, subject="海", text="行く", now=now)
    return {"list": room, "group": group, "sample": sample, "draft": draft, "user": taro}


def own_draft(school, name: str) -> Notice:
    made = drafts.create_draft(school.users[name], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="山", text="行く", now=clock.now())
    return made


def written() -> list[int]:
    """Return the size of every table that a forged request might grow, and what was done."""
    return [table.select().count() for table in (Notice, Target, Group, NoticeTemplate, Role, Membership)] + [
        AuditLog.select().where(AuditLog.action.not_in(("session.started", "session.ended"))).count()
    ]


@pytest.mark.proves("X-04", "E-07")
@pytest.mark.parametrize("name", ["花子", "送る子"])
def test_foreign_recipients_are_not_found(school, as_, foreign, name):
    """T-33, D-01: lists, groups and persons, to send to and to leave out, alone and beside the own ones."""
    notice, browser, before = own_draft(school, name), as_(name), written()
    own = str(school.lists["1-1"].id)
    for forged in (
        {"lists": [own, str(foreign["list"].id)]},
        {"lists": own, "without": str(foreign["list"].id)},
        {"lists": own, f"group-{foreign['group'].id}": "in"},
        {"lists": own, f"group-{foreign['group'].id}": "out"},
        {"lists": own, f"person-{school.people['加藤 誠'].id}": "in"},
        {"lists": own, f"person-{school.people['加藤 誠'].id}": "out"},
        {"lists": "9999999"},
        {"group-9999999": "in"},
    ):
        assert browser.post(f"/notices/{notice.id}/recipients", data=forged).status_code == 404, forged
    assert written() == before
    assert [one.number for one in notice.targets] == [school.lists["1-1"].id]


def test_the_search_gives_nothing_of_what_was_forged_into_it(school, as_):
    """T-33: numbers that come along with a search are looked up among the own people alone."""
    notice, browser = own_draft(school, "花子"), as_("花子")
    mine, other = school.people["石川 直樹"].id, school.people["加藤 誠"].id
    shown = page_part(browser, f"/notices/{notice.id}/recipients/find?find=青山&person-{mine}=in&person-{other}=in")
    assert "石川 直樹" in shown and "青山 健太" in shown and "加藤" not in shown
    again = page_part(browser, f"/notices/{notice.id}/recipients/find?find=石川&person-{mine}=out")
    assert again.count(f'name="person-{mine}"') == 1 and 'value="out" selected' in again


def page_part(browser, address: str) -> str:
    return browser.get(address, headers={"HX-Request": "true"}).get_data(as_text=True)


@pytest.mark.proves("T-33")
@pytest.mark.parametrize("name", ["花子", "送る子", "見る子"])
def test_a_foreign_notice_is_steered_by_nobody_else(as_, foreign, name):
    """T-33, D-21: every verb of a notice, at a notice of another list."""
    browser, before = as_(name), written()
    for verb in STEER:
        answer = browser.post(
            f"/notices/{foreign['draft'].id}/{verb}", data={"lists": "1", "subject": "x", "typed": "3"}
        )
        assert answer.status_code in (403, 404), verb
    assert written() == before and Notice.get_by_id(foreign["draft"].id).state == "draft"


@pytest.mark.proves("E-05")
def test_who_may_only_look_writes_nothing(school, as_):
    """D-08: 見る子 sees the list and its notices."""
    notice, browser, number = own_draft(school, "花子"), as_("見る子"), school.lists["1-1"].id
    before = written()
    for address in (
        "/notices/new",
        f"/notices/{notice.id}/check",
        f"/lists/{number}/in-charge",
        "/samples/wait/begin",
        "/samples/new",
        *(f"/lists/{number}/members/{verb}" for verb in ("stop", "resume", "approve", "remove", "group")),
        f"/lists/{number}/import",
        "/rollover/begin",
        f"/lists/{number}/transfer",
        f"/lists/{number}/transfer/run",
        f"/lists/{number}/groups/new",
        f"/lists/{number}/groups/new/preview",
    ):
        assert browser.post(address, data={"form_key": "x", "name": "x"}).status_code in (403, 404), address
    assert written() == before


@pytest.mark.parametrize("as_whom", ["user:{}", "name:校長 山田", "name:教頭", "user:0", "user:-1"])
def test_no_foreign_name_under_a_notice(school, as_, foreign, as_whom):
    """D-08, D-19 to D-21: below manager refused outright; a manager names nobody of a foreign list."""
    wanted = as_whom.format(foreign["user"].id)
    for name, refused in (("送る子", 403), ("花子", 422)):
        notice = own_draft(school, name)
        answer = as_(name).post(f"/notices/{notice.id}/name", data={"as": wanted})
        assert answer.status_code == refused, (name, wanted)
        kept = Notice.get_by_id(notice.id)
        assert (kept.sender_name, kept.sender_user_id, kept.from_class_teacher) == ("", None, False)


def test_the_tick_for_class_teachers_is_refused_below_manager(school, as_):
    """D-16, D-21."""
    notice = own_draft(school, "送る子")
    answer = as_("送る子").post(f"/notices/{notice.id}/name", data={"as": "me", "from_class_teacher": "y"})
    assert answer.status_code == 403 and not Notice.get_by_id(notice.id).from_class_teacher


def test_class_teachers_of_foreign_lists_stay(school, as_, foreign):
    """D-03, T-33: neither a foreign list, nor a foreign user in the own list, nor a foreign member's place."""
    taro, hanako = foreign["user"], as_("花子")
    class_teacher.assign_classes(foreign["list"], {("2", "1"): taro.id}, None)
    form = {"class-0": "2\t1", "user-0": str(school.users["花子"].id)}
    assert hanako.post(f"/lists/{foreign['list'].id}/in-charge", data=form).status_code == 404
    assert as_("送る子").post(f"/lists/{school.lists['1-1'].id}/in-charge", data=form).status_code == 403
    hanako.post(f"/lists/{school.lists['1-1'].id}/in-charge", data={"class-0": "1\t1", "user-0": str(taro.id)})
    assert {one.class_teacher_id for one in school.lists["1-1"].memberships} == {None}
    assert {one.class_teacher_id for one in foreign["list"].memberships} == {taro.id}
    place = foreign["list"].memberships.first()
    form = {"class_teacher": str(school.users["花子"].id), "child_name": "x"}
    assert hanako.post(f"/members/{place.person_id}/places/{place.id}", data=form).status_code == 404


def test_groups_and_samples_of_foreign_lists(school, as_, foreign):
    """T-33, E-15, N-04: not through their own addresses, nor through those of an own list."""
    hanako, own, before = as_("花子"), school.lists["1-1"].id, written()
    group, sample, other = foreign["group"].id, foreign["sample"].id, foreign["list"].id
    typed = {"name": "x", "subject": "x", "text": "x", "kind": "other"}
    for address in (
        f"/lists/{other}/groups/new",
        f"/lists/{other}/groups/{group}",
        f"/lists/{other}/groups/{group}/preview",
        f"/lists/{own}/groups/{group}/rule",
        f"/lists/{own}/groups/{group}",
        f"/lists/{own}/groups/{group}/close",
        f"/lists/{own}/groups/{group}/fix",
        f"/lists/{own}/groups/{group}/out",
        f"/samples/own-{sample}/edit",
        f"/samples/own-{sample}/edit/questions/add/own",
        f"/samples/own-{sample}/begin",
        f"/samples/own-{sample}/remove",
        "/samples/own-999/begin",
        "/samples/no/edit",
    ):
        assert hanako.post(address, data=typed).status_code == 404, address
    for address in ("/samples/new", "/samples/wait/edit"):
        assert hanako.post(address, data={**typed, "list": str(other)}).status_code == 422, address
    assert hanako.get(f"/samples/new?notice={foreign['draft'].id}").status_code == 404
    assert written() == before


def test_moving_members_and_the_school_year_are_the_administrators(school, as_, foreign):
    """T-35, field 5.1."""
    browser, before = as_("花子"), written()
    form = {"to": str(foreign["list"].id), "m": str(school.people["石川 直樹"].id), "kind": "copy"}
    for address in (
        f"/lists/{school.lists['1-1'].id}/transfer",
        f"/lists/{school.lists['1-1'].id}/transfer/run",
        "/rollover/begin",
        "/rollover/plan",
        "/rollover/end",
        "/rollover/roster",
        "/rollover/roster/run",
        "/rollover/undo",
        "/rollover/hand-over",
        "/samples/show-again",
    ):
        assert browser.post(address, data=form).status_code == 403, address
    assert written() == before


def test_sixteen_groups_are_refused_with_the_sentence_and_nothing_is_lost(school, as_):
    """D-14: fifteen pass, those left out counted too; the sixteenth brings the page back as it was ticked."""
    notice, browser, number = own_draft(school, "花子"), as_("花子"), count(1)
    made = [groups.add_group(school.lists["1-1"], f"班{next(number)}", None, clock.now()) for _ in range(16)]
    said = {f"group-{one.id}": "out" if place % 2 else "in" for place, one in enumerate(made)}
    answer = browser.post(f"/notices/{notice.id}/recipients", data=said)
    assert answer.status_code == 422 and "15個まで" in answer.text and "16個" in answer.text
    assert answer.text.count('<option value="out" selected>') == 8
    said.popitem()
    assert browser.post(f"/notices/{notice.id}/recipients/count", data=said).status_code == 303
    assert Target.select().where(Target.notice == notice, Target.kind == "group").count() == 15
