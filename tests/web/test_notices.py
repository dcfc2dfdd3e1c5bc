"""Writing a notice: recipients, words, check, send (T-01, T-25, D-01, D-06, D-09 to D-13, D-36, N-05, X-04, X-06)."""

import re

import pytest

import clock
from core.notices import approval, drafts
from core.notices import audience as audiences
from database import millis
from models import MailingList, Notice, Target

CLASS, OTHER = "1-1", "2-1"


@pytest.fixture
def hanako(as_):
    """花子 manages 1年1組."""
    return as_("花子")


@pytest.fixture
def draft(school):
    """A draft of 花子's to 1年1組, with words."""
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists[CLASS].id], now=clock.now())
    drafts.save_draft(made, subject="遠足のお知らせ", text="あす、遠足です。", now=clock.now())
    return made


def page(browser, address, status=200):
    answer = browser.get(address)
    assert answer.status_code == status, (address, answer.status_code)
    return answer.get_data(as_text=True)


def hidden(text, name):
    """Return the value of a hidden field of a page."""
    return re.search(rf'name="{name}" value="([^"]*)"', text)[1]


def fields_of(text):
    """Return what the form of the check page sends along."""
    return {name: hidden(text, name) for name in ("seen", "shown", "fingerprint", "at")}


# ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_double_tap_begins_one_draft(hanako):
    for _ in range(2):
        answer = hanako.post("/notices/new", data={"form_key": "k1"})
        assert answer.status_code == 303
    assert Notice.select().count() == 1
    assert answer.location.endswith("/recipients")


def test_an_urgent_notice_begins_urgent(hanako):
    hanako.post("/notices/new", data={"form_key": "k1", "urgent": "1"})
    assert Notice.get().urgent
    assert Notice.get().useful_s == 6 * 3600


def test_practice_begins_with_the_own_list(hanako, school):
    school.users["花子"].email = school.users["花子"].email or "hanako@example.org"
    school.users["花子"].save()
    hanako.post("/notices/new", data={"form_key": "k-self", "practice": "1"})
    target = Target.get(Target.notice == Notice.get(Notice.form_key == "k-self"))
    assert (target.kind, target.number) == ("list", MailingList.get(MailingList.practice_of == school.users["花子"]).id)


def test_beginning_is_no_get(hanako):
    assert hanako.get("/notices/new").status_code == 405


@pytest.mark.proves("D-05")
def test_the_front_page_offers_a_key_that_no_other_page_has(hanako):
    first, second = (hidden(page(hanako, "/notices"), "form_key") for _ in range(2))
    assert first != second


def test_a_viewer_may_not_write(as_, draft):
    viewer = as_("見る子")
    assert viewer.post("/notices/new").status_code == 403
    for path in ("recipients", "words", "check"):
        assert viewer.get(f"/notices/{draft.id}/{path}").status_code == 403
    assert 'action="/notices/new"' not in page(viewer, "/notices")
    assert viewer.get(f"/notices/{draft.id}/recipients/all").status_code == 404


@pytest.mark.parametrize("path", ["recipients", "words", "check", "recipients/all", "delete", ""])
def test_the_organizer_of_another_list_finds_nothing(as_, draft, path):
    """T-33: a draft of another list is 404."""
    assert as_("太郎").get(f"/notices/{draft.id}/{path}".rstrip("/")).status_code == 404


@pytest.mark.parametrize("path", ["recipients", "words", "check", "delete", ""])
def test_without_a_login_there_is_only_the_login_page(client, draft, path):
    answer = client.get(f"/notices/{draft.id}/{path}".rstrip("/"))
    assert answer.status_code == 302
    assert "/login" in answer.location


# ── ① recipients ─────────────────────────────────────────────────────────────────────────────────────────────────


# D-10, E-07
@pytest.mark.proves("X-04")
def test_only_the_own_lists_are_offered_and_none_is_chosen(hanako, school):
    """X-04, field 5.3.2: nothing is preselected, nothing of others is in sight."""
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    text = page(hanako, f"/notices/{notice.id}/recipients")
    assert "1年1組" in text
    assert "2年1組" not in text
    assert "全校" not in text
    assert "checked" not in re.sub(r'value=""\s+checked', "", text)


def test_the_whole_school_is_offered_last_and_apart(as_, school):
    notice = drafts.create_draft(school.users["守"], now=clock.now())
    text = page(as_("守"), f"/notices/{notice.id}/recipients")
    assert text.index("1年1組") < text.index("2年1組") < text.index('class="shu">全校')


@pytest.mark.proves("D-12")
def test_the_choice_is_kept_and_counted(hanako, school):
    """D-01, D-12: who receives is shown with the number before going on."""
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    address = f"/notices/{notice.id}/recipients"
    answer = hanako.post(f"{address}/count", data={"lists": school.lists[CLASS].id})
    assert answer.status_code == 303
    text = page(hanako, address)
    assert "4通" in text
    assert "青山 健太" in text
    assert "和田 幸子" in text
    assert "雑音 二" not in text


def test_htmx_gets_the_count_alone(hanako, school):
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    answer = hanako.post(
        f"/notices/{notice.id}/recipients/count", data={"lists": school.lists[CLASS].id}, headers={"HX-Request": "true"}
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "<html" not in text
    assert 'id="recipients-now"' in text
    assert "4通" in text


@pytest.mark.proves("D-06")
def test_next_without_recipients_is_refused_beside_the_button(hanako, school):
    """D-06."""
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    answer = hanako.post(f"/notices/{notice.id}/recipients")
    assert answer.status_code == 422
    assert "宛先を選んでください。" in answer.get_data(as_text=True)


@pytest.mark.proves("D-10", "X-11")
def test_next_with_recipients_goes_on_to_the_words(hanako, school):
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    answer = hanako.post(f"/notices/{notice.id}/recipients", data={"lists": school.lists[CLASS].id})
    assert answer.status_code == 303
    assert answer.location.endswith(f"/notices/{notice.id}/words")


@pytest.mark.parametrize("key", [OTHER, "whole"])
def test_a_forged_list_is_refused(as_, school, key):
    """A sender of 1年1組 cannot choose another list, whatever the form says (T-33)."""
    notice = drafts.create_draft(school.users["送る子"], now=clock.now())
    answer = as_("送る子").post(f"/notices/{notice.id}/recipients", data={"lists": school.lists[key].id})
    assert answer.status_code == 404
    assert not Target.select().exists()


def test_a_forged_person_is_refused(as_, school):
    notice = drafts.create_draft(school.users["送る子"], now=clock.now())
    stranger = school.people["加藤 誠"].id
    answer = as_("送る子").post(f"/notices/{notice.id}/recipients", data={f"person-{stranger}": "in"})
    assert answer.status_code == 404


def test_a_list_that_is_no_number_keeps_the_page(hanako, school):
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    answer = hanako.post(f"/notices/{notice.id}/recipients", data={"lists": "x"})
    assert answer.status_code == 422


@pytest.mark.proves("D-11")
def test_leaving_out_wins(hanako, school, draft):
    """D-11, D-13: 送信しない wins over the list."""
    one = school.people["青山 健太"].id
    hanako.post(f"/notices/{draft.id}/recipients", data={"lists": school.lists[CLASS].id, f"person-{one}": "out"})
    text = page(hanako, f"/notices/{draft.id}/recipients")
    assert "3通" in text
    assert "青山 健太</span>：今回は送信しない" in text


def test_a_single_person_is_found_by_reading_and_child(hanako, school, draft):
    """X-04: persons are chosen, never typed; hiragana finds katakana, noise is not found."""
    for piece in ("あおやま", "青山", "陽菜", "ケンタ"):
        text = page(hanako, f"/notices/{draft.id}/recipients?find={piece}")
        assert f'name="person-{school.people["青山 健太"].id}"' in text, piece
    assert "加藤 誠" not in page(hanako, f"/notices/{draft.id}/recipients?find=加藤")


def test_two_windows_do_not_overwrite_each_other_silently(hanako, school, draft):
    answer = hanako.post(f"/notices/{draft.id}/recipients", data={"seen": "1"})
    assert answer.status_code == 422
    assert "別の画面" in answer.get_data(as_text=True)
    assert Target.select().where(Target.notice == draft).count() == 1


@pytest.mark.proves("D-12")
def test_everybody_is_listed_with_the_reason(hanako, draft):
    """D-12: who receives and who does not, and why; the full list."""
    text = page(hanako, f"/notices/{draft.id}/recipients/all")
    for name in ("青山 美咲", "石川 直樹", "鈴木 大輔", "和田 幸子", "雑音 一", "雑音 三"):
        assert name in text
    assert "雑音 二" not in text


# ── ② words ──────────────────────────────────────────────────────────────────────────────────────────────────────


def words(draft, **more):
    fresh = Notice.get_by_id(draft.id)
    data = {"seen": str(millis(fresh.updated_at)), "subject": "件名", "text": "本文", "useful_s": "0"}
    return {**data, "read_confirmation": "y", "footer": "y", **more}


def test_words_are_saved_by_themselves(hanako, draft):
    """Autosave: the draft survives a closed tab (field 5.2)."""
    answer = hanako.post(f"/notices/{draft.id}/words", data=words(draft, text="途中"), headers={"HX-Request": "true"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "に下書きを保存しました" in text
    assert hidden(text, "seen") == str(millis(Notice.get_by_id(draft.id).updated_at))
    assert draft.wording.text == "途中"
    assert "途中" in page(hanako, f"/notices/{draft.id}/words")


@pytest.mark.proves("D-09")
def test_next_wants_subject_and_text_and_keeps_what_was_typed(hanako, draft):
    """D-09: errors stand beside the field."""
    answer = hanako.post(f"/notices/{draft.id}/words/next", data=words(draft, subject=" ", text="長い本文"))
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "件名を入力してください。" in text
    assert "長い本文" in text
    assert 'aria-invalid="true"' in text


def test_an_htmx_next_with_errors_gets_the_form(hanako, draft):
    answer = hanako.post(f"/notices/{draft.id}/words/next", data=words(draft, text=""), headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert answer.headers["HX-Retarget"] == "#words"
    assert "本文を入力してください。" in answer.get_data(as_text=True)
    assert "<html" not in answer.get_data(as_text=True)


@pytest.mark.proves("X-11")
def test_next_goes_to_the_check(hanako, draft):
    answer = hanako.post(f"/notices/{draft.id}/words/next", data=words(draft))
    assert answer.status_code == 303
    assert answer.location.endswith("/check")


@pytest.mark.proves("T-42", "D-27")
def test_options_are_saved(hanako, draft):
    """T-42, D-27: read confirmation and footer are options of each notice."""
    data = words(draft, useful_s=str(24 * 3600), urgent="y")
    del data["read_confirmation"], data["footer"]
    hanako.post(f"/notices/{draft.id}/words", data=data)
    kept = Notice.get_by_id(draft.id)
    assert (kept.read_confirmation, kept.footer, kept.urgent, kept.useful_s) == (False, False, True, 24 * 3600)


def test_urgent_shortens_the_usual_time(hanako, draft):
    hanako.post(f"/notices/{draft.id}/words", data=words(draft, urgent="y"))
    assert Notice.get_by_id(draft.id).useful_s == 6 * 3600
    hanako.post(f"/notices/{draft.id}/words", data=words(draft))
    assert Notice.get_by_id(draft.id).useful_s == 48 * 3600


def test_switching_the_footer_off_is_warned_about(hanako, draft):
    """D-29."""
    assert "特定電子メール法" in page(hanako, f"/notices/{draft.id}/words")


def test_a_second_window_does_not_overwrite_the_words(hanako, draft):
    data = words(draft, text="こちらの窓")
    drafts.save_draft(draft, text="あちらの窓", now=clock.now())
    answer = hanako.post(f"/notices/{draft.id}/words/next", data={**data, "seen": "1"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "こちらの窓" in text
    assert "あちらの窓" in text
    assert draft.wording.text == "あちらの窓"
    hanako.post(f"/notices/{draft.id}/words/overwrite", data={**data, "seen": "1"})
    assert draft.wording.text == "こちらの窓"


def test_a_subject_that_is_too_long_keeps_everything(hanako, draft):
    answer = hanako.post(f"/notices/{draft.id}/words", data=words(draft, subject="長" * 201))
    assert answer.status_code == 422
    assert "長" * 201 in answer.get_data(as_text=True)


def test_words_of_a_sent_notice_cannot_be_changed(hanako, draft):
    approval.confirm_send(
        draft, by=draft.by, fingerprint=audiences.resolve_audience(draft).fingerprint, now=clock.now()
    )
    answer = hanako.post(f"/notices/{draft.id}/words", data=words(draft, text="あとから"))
    assert answer.status_code == 303
    assert draft.wording.text == "あす、遠足です。"


# ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_draft_is_deleted_after_asking(hanako, draft):
    address = f"/notices/{draft.id}/delete"
    assert "下書きを削除する" in page(hanako, address)
    assert Notice.select().count() == 1
    assert hanako.post(address).status_code == 303
    assert Notice.select().count() == 0


def test_what_was_sent_is_not_deleted(hanako, draft):
    approval.confirm_send(
        draft, by=draft.by, fingerprint=audiences.resolve_audience(draft).fingerprint, now=clock.now()
    )
    assert hanako.post(f"/notices/{draft.id}/delete").status_code == 303
    assert Notice.get_by_id(draft.id).state == "held"


@pytest.mark.proves("D-05")
def test_a_notice_is_begun_by_the_button_of_the_list(hanako, as_, draft):
    text = page(hanako, "/notices")
    form = re.search(r'<form[^>]*action="/notices/new".*?</form>', text, re.DOTALL)[0]
    assert re.search(r"<button[^>]*>(?:(?!</button>).)*新しいお知らせ", form, re.DOTALL)
    answer = hanako.post("/notices/new", data={"form_key": hidden(form, "form_key")})
    number = int(re.fullmatch(r"/notices/(\d+)/recipients", answer.location)[1])
    assert answer.status_code == 303 and Notice.get_by_id(number).state == "draft"
    looking = page(as_("見る子"), "/notices")
    assert "お知らせ" in looking and 'action="/notices/new"' not in looking


@pytest.mark.proves("X-11")
@pytest.mark.parametrize(("screen", "current"), [("recipients", 1), ("words", 2), ("check", 4)])
def test_the_five_steps_are_shown_and_which_one_is_open(hanako, draft, screen, current):
    items = re.findall(
        r'<li(.*?)><span class="t">(.*?)</span></li>', page(hanako, f"/notices/{draft.id}/{screen}"), re.DOTALL
    )
    assert [name for _, name in items] == ["宛先", "件名・本文", "オプション", "確認", "送信"]
    assert [number for number, (kind, _) in enumerate(items, 1) if 'aria-current="step"' in kind] == [current]
    assert [number for number, (kind, _) in enumerate(items, 1) if 'class="past"' in kind] == list(range(1, current))


@pytest.mark.proves("E-07")
def test_a_typed_address_is_no_recipient(hanako, school):
    draft = drafts.create_draft(school.users["花子"], now=clock.now())
    typed = {"to": "x@example.com", "cc": "x@example.com", "bcc": "x@example.com", "person-x@example.com": "in"}
    hanako.post(f"/notices/{draft.id}/recipients", data={"lists": school.lists[CLASS].id, **typed})
    assert {(row.kind, row.number) for row in Target.select()} == {("list", school.lists[CLASS].id)}
    hanako.post(f"/notices/{draft.id}/words", data={"subject": "遠足", "text": "あす", **typed})
    found = audiences.resolve_audience(Notice.get_by_id(draft.id))
    assert len(found.receiving) == 4 and "x@example.com" not in {one.address for one in found.receiving}
