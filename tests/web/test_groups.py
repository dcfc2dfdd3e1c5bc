"""Groups on the pages: made by a condition, chosen by hand, named as recipients (D-10 to D-14, E-15, T-33)."""

import re

import pytest

import clock
from core.members import groups, segment_rules
from core.members.segment_rules import SegmentRule
from core.notices import drafts
from models import Child, Group, Notice, Target
from tests.web.notice_factory import get_page


@pytest.fixture
def hanako(as_):
    """花子 manages 1年1組."""
    return as_("花子")


@pytest.fixture
def number(school) -> int:
    """The number of 1年1組, with districts."""
    for child, district in (("青山 陽菜", "本町"), ("石川 蓮", "川端"), ("鈴木 美月", "本町")):
        Child.update(attributes={"地区": district}).where(Child.name == child).execute()
    return school.lists["1-1"].id


@pytest.fixture
def draft(school) -> Notice:
    return drafts.create_draft(school.users["花子"], now=clock.now())


def typed(*rules, **more) -> dict[str, str]:
    """Return a form with rules of (field, op, value, word)."""
    form = dict(more)
    for place, (field, op, value, *word) in enumerate(rules):
        form |= {
            f"field-{place}": field,
            f"op-{place}": op,
            f"value-{place}": value,
            f"word-{place}": (*word, "and")[0],
        }
    return form


def group_of(school, name, district, key="1-1") -> Group:
    blocks = segment_rules.parse_blocks([("and", SegmentRule("item:地区", "is", district))])
    return groups.add_group(school.lists[key], name, None, clock.now(), blocks)


TOWN = ("item:地区", "is", "本町")


# ── making ──


@pytest.mark.proves("E-15")
def test_the_form_offers_the_fields_of_the_list_and_shows_whom_it_finds(hanako, number):
    """E-15: preview of who matches, before anything is saved."""
    shown = get_page(hanako, f"/lists/{number}/groups/new")
    assert all(f">{name}</option>" in shown for name in ("学年", "組", "続柄", "地区")) and 'value="本町"' in shown
    answer = hanako.post(f"/lists/{number}/groups/new/preview", data=typed(TOWN))
    assert answer.status_code == 200 and not Group.select().exists()
    assert "地区が「本町」" in answer.text and "<b>3</b><span>人が当てはまります" in answer.text
    assert "青山 健太" in answer.text and "石川 直樹" not in answer.text
    part = hanako.post(f"/lists/{number}/groups/new/preview", data=typed(TOWN), headers={"HX-Request": "true"})
    assert part.text.startswith('<section class="part" id="found"') and "青山 健太" in part.text


def test_a_group_is_saved_changed_and_removed(hanako, number):
    answer = hanako.post(f"/lists/{number}/groups/new", data=typed(TOWN, name="本町"))
    assert answer.status_code == 303
    made = Group.get()
    shown = get_page(hanako, f"/lists/{number}/groups")
    assert "地区が「本町」" in shown and "3人" in shown
    more = typed(TOWN, ("item:地区", "is", "川端", "or"), name="本町と川端")
    assert hanako.post(f"/lists/{number}/groups/{made.id}", data=more).status_code == 303
    shown = get_page(hanako, f"/lists/{number}/groups/{made.id}")
    assert 'value="or" selected' in shown and "本町と川端" in shown
    assert hanako.post(f"/lists/{number}/groups/{made.id}/close").status_code == 303
    assert hanako.get(f"/lists/{number}/groups/{made.id}").status_code == 404


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (typed(TOWN, name=" "), "名前を入力してください。"),
        (typed(name="本町"), "条件を1つ以上選んでください。"),
        (typed(("item:地区", "is", ""), name="本町"), "比べる内容を書いてください。"),
        (typed(("item:地区", "like", "x"), name="本町"), "比べ方を選んでください。"),
        (typed(("password", "is", "x"), name="本町"), "項目を選んでください。"),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_typed_is_lost(hanako, number, form, sentence):
    answer = hanako.post(f"/lists/{number}/groups/new", data=form)
    assert answer.status_code == 422 and sentence in answer.text and not Group.select().exists()
    for value in (form["name"], form.get("value-0", "")):
        assert not value.strip() or f'value="{value}"' in answer.text


def test_people_ticked_in_the_roster_go_into_a_group(hanako, number, school):
    two = [school.people["青山 健太"].id, school.people["石川 直樹"].id, school.people["加藤 誠"].id]
    asked = hanako.post(f"/lists/{number}/members/group", data={"m": two})
    assert "2人をグループに入れる" in asked.text and "加藤" not in asked.text
    assert hanako.post(f"/lists/{number}/groups/put", data={"m": two, "name": "役員"}).status_code == 303
    made = Group.get()
    shown = get_page(hanako, f"/lists/{number}/groups/{made.id}")
    assert "2人" in shown and "石川 直樹" in shown
    hanako.post(f"/lists/{number}/groups/{made.id}/out", data={"m": two[0]})
    assert "青山 健太" not in get_page(hanako, f"/lists/{number}/groups/{made.id}")
    assert hanako.post(f"/lists/{number}/groups/{made.id}", data={"name": "新役員"}).status_code == 303
    assert Group.get().name == "新役員" and Group.get().condition == []


def test_a_condition_is_fixed_to_those_of_today(hanako, number, school):
    made = group_of(school, "本町", "本町")
    assert hanako.post(f"/lists/{number}/groups/{made.id}/fix").status_code == 303
    assert Group.get().condition == [] and "鈴木 大輔" in get_page(hanako, f"/lists/{number}/groups/{made.id}")


# ── naming as recipients ──


def choose(browser, notice, **form):
    return browser.post(f"/notices/{notice.id}/recipients", data=form)


@pytest.mark.proves("D-11")
def test_groups_are_sent_to_and_left_out(hanako, draft, school, number):
    """D-11, D-12, D-13: 送信する and 送信しない for each group; the choice is shown before going on."""
    town, river = group_of(school, "本町", "本町"), group_of(school, "川端", "川端")
    assert "送信する" in get_page(hanako, f"/notices/{draft.id}/recipients")
    answer = choose(hanako, draft, lists=[number], **{f"group-{town.id}": "out", f"group-{river.id}": "in"})
    assert answer.status_code == 303
    shown = get_page(hanako, f"/notices/{draft.id}/recipients")
    assert "1年1組、川端" in shown and "いま1通" in shown
    who = get_page(hanako, f"/notices/{draft.id}/recipients/all")
    assert "石川 直樹" in who and "青山 健太" in who


@pytest.mark.proves("D-10")
def test_the_way_to_make_a_group_leads_back_to_the_recipients(hanako, draft, number):
    """D-10: ＋追加/管理, and back with the new group among the recipients; what was ticked is kept."""
    there = hanako.post(f"/notices/{draft.id}/recipients/groups", data={"of": number, "lists": [number]})
    assert there.location.endswith(f"/lists/{number}/groups?notice={draft.id}")
    assert "保存して宛先に加える" in get_page(hanako, f"/lists/{number}/groups/new?notice={draft.id}")
    back = hanako.post(f"/lists/{number}/groups/new", data=typed(TOWN, name="本町", notice=draft.id))
    assert f"/notices/{draft.id}/recipients" in back.location
    kinds = {(row.kind, row.include) for row in Target.select().where(Target.notice == draft)}
    assert kinds == {("list", True), ("group", True)}


@pytest.mark.proves("D-10")
def test_the_recipients_page_offers_groups_and_the_text_page_leads_back(hanako, draft, number):
    shown = get_page(hanako, f"/notices/{draft.id}/recipients")
    assert re.search(r"<button[^>]*/groups[^>]*>[^<]*＋追加/管理", shown, re.DOTALL)
    words = get_page(hanako, f"/notices/{draft.id}/words")
    assert f'href="/notices/{draft.id}/recipients"' in words


@pytest.mark.proves("D-14")
def test_the_sixteenth_group_is_refused_with_the_number_and_the_choice_is_kept(hanako, draft, school, number):
    """D-14"""
    made = [group_of(school, f"組{n}", str(n)) for n in range(16)]
    form = {f"group-{one.id}": "in" if place % 2 else "out" for place, one in enumerate(made)}
    answer = choose(hanako, draft, lists=[number], **form)
    assert answer.status_code == 422
    assert "指定できるグループは15個までです。（現在16個）" in answer.text
    assert answer.text.count('value="in" selected') == 8 and answer.text.count('value="out" selected') == 8
    form.popitem()
    assert choose(hanako, draft, lists=[number], **form).status_code == 303


# ── rights ──


def test_another_lists_groups_are_not_there(as_, draft, school, number):
    """T-33: only people of one's own lists."""
    foreign = group_of(school, "よそ", "本町", key="2-1")
    hanako, taro, viewer = as_("花子"), as_("太郎"), as_("見る子")
    assert "よそ" not in get_page(hanako, f"/notices/{draft.id}/recipients")
    assert choose(hanako, draft, **{f"group-{foreign.id}": "in"}).status_code == 404
    other = school.lists["2-1"].id
    for address in (f"/lists/{other}/groups", f"/lists/{other}/groups/new", f"/lists/{other}/groups/{foreign.id}"):
        assert hanako.get(address).status_code == 404 and taro.get(address).status_code == 200
    assert hanako.get(f"/lists/{number}/groups/{foreign.id}").status_code == 404
    assert hanako.post(f"/lists/{number}/groups/{foreign.id}/close").status_code == 404
    assert viewer.get(f"/lists/{number}/groups").status_code == 403
    assert taro.get(f"/lists/{other}/groups?notice={draft.id}").status_code == 404


def test_a_foreign_draft_is_looked_at_before_a_group_is_made(as_, draft, school):
    """taro manages the list, and may not touch this draft."""
    other = school.lists["2-1"].id
    posted = {**typed(TOWN, name="よその下書き"), "notice": draft.id}
    assert as_("太郎").post(f"/lists/{other}/groups/new", data=posted).status_code == 404
    assert not Group.select().where(Group.name == "よその下書き").exists()
