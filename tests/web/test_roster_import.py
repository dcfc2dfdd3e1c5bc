"""Bringing a roster in on the pages: upload, paste, preview, confirm, undo (T-36; scripts are not needed)."""

import io
import re

import pytest

from models import Job, Membership, Person

SHEET = "氏名,メールアドレス,組\r\n山田 花子,hanako@example.jp,1組\r\n林,bad,\r\n青山 健太,aoyama.k@example.com,\r\n"


@pytest.fixture
def one(school):
    return school.lists["1-1"]


@pytest.fixture
def begin(as_, one):
    """Upload a file as 花子; return the browser and the address of the preview."""

    def upload():
        browser = as_("花子")
        answer = browser.post(f"/lists/{one.id}/import", data={"file": (io.BytesIO(SHEET.encode("cp932")), "名簿.csv")})
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return browser, answer.location

    return upload


def text(answer):
    return answer.get_data(as_text=True)


def confirm(browser, where):
    mark = re.search(r'name="fingerprint" value="(\w+)"', text(browser.get(where)))[1]
    return browser.post(f"{where}/run", data={"fingerprint": mark})


def test_the_preview_says_what_will_happen_and_writes_nothing(begin):
    before = Person.select().count()
    browser, where = begin()
    shown = text(browser.get(where))
    for word in (
        "Shift_JIS",
        "名簿.csv",
        "まだ何も登録していません",
        "登録済みです",
        "1人を取り込む",
        "登録できない 1人",
        "見出しは1行目",
    ):
        assert word in shown
    row = re.search(r'<tr id="row-2">.*?</tr>', shown, re.DOTALL)[0]
    for word in (">3</td>", "林, bad", "途中で切れています", '<b class="shu">登録しません。</b>'):
        assert word.replace(", ", "、") in row
    assert Person.select().count() == before


def test_confirming_registers_and_names_the_wrong_lines(begin, one):
    browser, where = begin()
    assert confirm(browser, where).location == where
    shown = text(browser.get(where))
    assert "名簿を取り込みました" in shown
    assert '<td class="n">3</td><td>林</td>' in shown
    row = Membership.select().join(Person).where(Person.name == "山田 花子").get()
    assert (row.list_id, row.joined_via) == (one.id, "file")


def test_pasted_lines_are_read_too(as_, one):
    browser = as_("花子")
    answer = browser.post(f"/lists/{one.id}/import", data={"text": "山田 花子 <hanako@example.jp>\nk@example.jp"})
    assert "2人を取り込む" in text(browser.get(answer.location))
    confirm(browser, answer.location)
    assert Person.select().where(Person.address.in_(("hanako@example.jp", "k@example.jp"))).count() == 2


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({}, "選ぶか"),
        ({"text": "  "}, "選ぶか"),
        ({"file": (io.BytesIO(b"PK\x03\x04x"), "a.xlsx")}, "Excel"),
        ({"file": (io.BytesIO(b",,\r\n"), "a.csv")}, "読める内容"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(as_, one, data, word):
    answer = as_("花子").post(f"/lists/{one.id}/import", data=data)
    assert answer.status_code == 422
    assert word in text(answer)
    assert Job.select().count() == 0


@pytest.mark.parametrize("columns", [["name"], ["name"] * 50, ["", "address", "no such column"]])
def test_more_or_fewer_columns_than_the_file_has_change_nothing_about_it(begin, columns):
    """Law 6: a forged form."""
    browser, where = begin()
    browser.post(f"{where}/read", data={"column": columns})
    assert browser.get(where).status_code == 200


def test_undo_gives_the_list_back(begin, one):
    browser, where = begin()
    confirm(browser, where)
    answer = browser.post(f"{where}/undo", follow_redirects=True)
    assert "元に戻しました" in text(answer)
    assert not Person.select().where(Person.name == "山田 花子").exists()
    assert "すでに" in text(browser.post(f"{where}/undo", follow_redirects=True))


def test_columns_and_encoding_can_be_changed_without_script(begin):
    browser, where = begin()
    browser.post(f"{where}/read", data={"encoding": "utf-8"})
    assert "読めない文字" in text(browser.get(where))
    browser.post(f"{where}/read", data={"encoding": "cp932"})
    columns = ["", "address", "attribute"]
    browser.post(f"{where}/read", data={"encoding": "cp932", "column": columns})
    confirm(browser, where)
    person = Person.get(Person.address == "hanako@example.jp")
    assert (person.name, person.memberships.get().attributes) == ("", {"組": "1組"})


def test_a_double_tap_registers_once(begin):
    browser, where = begin()
    mark = re.search(r'name="fingerprint" value="(\w+)"', text(browser.get(where)))[1]
    first = browser.post(f"{where}/run", data={"fingerprint": mark})
    second = browser.post(f"{where}/run", data={"fingerprint": mark})
    assert first.status_code == second.status_code == 303
    assert Person.select().where(Person.name == "山田 花子").count() == 1


def test_an_old_preview_asks_again(begin):
    browser, where = begin()
    answer = browser.post(f"{where}/run", data={"fingerprint": "old"}, follow_redirects=True)
    assert "もう一度ご確認ください" in text(answer)
    assert not Person.select().where(Person.name == "山田 花子").exists()


def test_an_import_under_way_shows_its_progress(begin):
    browser, where = begin()
    Job.update(state="working", done=2, total=3).execute()
    assert "全3行" in text(browser.get(where))
    assert text(browser.get(where, headers={"HX-Request": "true"})).lstrip().startswith("<section")


@pytest.mark.parametrize("path", ["", "/run", "/read", "/undo"])
def test_another_list_or_a_looker_gets_nothing(begin, as_, school, path):
    _, where = begin()
    method = "get" if not path else "post"
    assert getattr(as_("太郎"), method)(where + path).status_code == 404
    assert getattr(as_("見る子"), method)(where + path).status_code == 403
    other = where.replace(f"/lists/{school.lists['1-1'].id}/", f"/lists/{school.lists['2-1'].id}/")
    assert getattr(as_("太郎"), method)(other + path).status_code == 404


def test_wrong_methods_and_no_login(begin, client):
    browser, where = begin()
    assert browser.get(f"{where}/run").status_code == 405
    assert client.post(f"{where}/run").status_code == 302


def test_an_unknown_column_is_taken_only_if_ticked(as_, one):
    browser = as_("花子")
    lines = "氏名,メール,備考,当番日\n林 冬,hayashi@example.jp,卵アレルギー,3日\n谷 花,tani@example.jp,,\n"
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines}).location
    page = text(browser.get(where))
    assert 'name="take" value="2"' in page
    assert "次の列は読みません" in page
    assert '<span class="soft">卵アレルギー</span>' in page, "an empty cell leaves no comma"
    browser.post(f"{where}/read", data={"take": ["3"]})
    page = text(browser.get(where))
    assert 'name="take" value="2"' in page
    assert 'name="take" value="3"' not in page
    confirm(browser, where)
    person = Person.get(Person.address == "hayashi@example.jp")
    assert person.memberships.get().attributes == {"当番日": "3日"}


def test_what_was_changed_in_the_whole_file_is_said(as_, one):
    browser = as_("花子")
    lines = "学年,組,児童氏名,メール\n1,1,林 冬,hayashi@example.jp\n〃,〃,谷 花,tani@example.jp\n"
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines}).location
    assert "上の行の値を入れました（2か所）" in text(browser.get(where))


def test_separator_and_heading_can_be_chosen_on_the_preview(as_, one):
    browser = as_("花子")
    content = "ひばり会;;\n氏名,補足;メール\n山田,あ;y@example.jp\n".encode()
    where = browser.post(f"/lists/{one.id}/import", data={"file": (io.BytesIO(content), "名簿.csv")}).location
    browser.post(f"{where}/read", data={"encoding": "utf-8", "separator": ";", "heading": "1"})
    browser.post(f"{where}/read", data={"encoding": "utf-8", "separator": ";", "heading": "2"})
    shown = text(browser.get(where))
    assert "セミコロン区切り" in shown and "見出しは2行目" in shown
    browser.post(f"{where}/read", data={"column": ["name", "address"]})
    confirm(browser, where)
    assert Person.get(Person.address == "y@example.jp").name == "山田,あ"


def test_the_numbers_come_first_then_rows_to_look_at_then_all_rows(begin):
    browser, where = begin()
    shown = text(browser.get(where))
    places = [shown.index(mark) for mark in ('<p class="count">', 'id="look"', "すべての行（", 'id="reading"')]
    assert places == sorted(places)


def test_one_press_takes_the_address_that_was_meant(as_, one):
    browser = as_("花子")
    lines = "氏名,メール\n林 冬,hayashi@gmial.com\n谷 花,tani@docomo.ne.co\n"
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines}).location
    page = text(browser.get(where))
    assert 'name="meant" value="1"' in page and "hayashi@gmail.com にする" in page
    assert "2件のアドレスをまとめて直す" in page
    assert browser.post(f"{where}/choose", data={"meant": ["1"]}).location.endswith("#look")
    page = text(browser.get(where))
    assert "hayashi@gmail.com にする" not in page and "tani@docomo.ne.jp にする" in page
    confirm(browser, where)
    assert {row.person.address for row in Membership.select().where(Membership.joined_via == "file")} == {
        "hayashi@gmail.com",
        "tani@docomo.ne.co",
    }


def test_a_row_can_be_left_out_and_taken_in_again(as_, one):
    browser = as_("花子")
    lines = "氏名,メール,連絡\n林 冬,hayashi@example.jp,転出\n谷 花,tani@example.jp,\n"
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines}).location
    page = text(browser.get(where))
    assert "「連絡」に「転出」とあります" in page and 'name="leave_out" value="1"' in page
    browser.post(f"{where}/choose", data={"leave_out": "1"})
    page = text(browser.get(where))
    assert 'name="take_in" value="1"' in page and "1人を取り込む" in page
    browser.post(f"{where}/choose", data={"take_in": "1"})
    assert "2人を取り込む" in text(browser.get(where))


def test_the_class_of_the_list_is_given_unless_it_is_unticked(as_, one):
    browser = as_("花子")
    lines = "児童氏名,保護者氏名,メール\n林 冬,林 父,hayashi@example.jp\n"
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines}).location
    page = text(browser.get(where))
    assert "クラスが書かれていないお子さんを1年1組にする" in page
    browser.post(f"{where}/choose", data={"class_asked": "y"})
    assert 'name="give_class" value="y" checked' not in text(browser.get(where))
    browser.post(f"{where}/choose", data={"class_asked": "y", "give_class": "y"})
    confirm(browser, where)
    place = Membership.select().join(Person).where(Person.address == "hayashi@example.jp").get()
    assert (place.child.grade, place.child.class_name) == ("1", "1")


def test_a_new_address_of_a_known_guardian_is_asked_on_the_preview(as_, one):
    browser = as_("花子")
    lines = "保護者氏名,児童氏名,メール\n清水 奈々,清水 葵,{}\n"
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines.format("old@example.jp")}).location
    confirm(browser, where)
    where = browser.post(f"/lists/{one.id}/import", data={"text": lines.format("new@example.jp")}).location
    page = text(browser.get(where))
    for word in ("old@example.jp で登録されています", 'value="1:replace"', 'value="1:second"', "アドレスのままです"):
        assert word in page
    browser.post(f"{where}/choose", data={"known": "1:replace"})
    assert "登録済みのアドレスを置き換えます" in text(browser.get(where))
    confirm(browser, where)
    assert [person.address for person in Person.select().where(Person.name == "清水 奈々")] == ["new@example.jp"]


@pytest.mark.parametrize("data", [{"meant": "x", "known": "1:burn", "leave_out": "99"}, {"known": ["", ":", "1"]}, {}])
def test_a_forged_choice_changes_nothing(begin, data):
    browser, where = begin()
    assert browser.post(f"{where}/choose", data=data).status_code == 303
    assert browser.get(where).status_code == 200
