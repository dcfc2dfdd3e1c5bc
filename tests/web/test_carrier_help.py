"""The page on which an administrator corrects what phones must allow (T-17, N-09)."""

from core.signup import carrier_help
from models import Organization


def text(answer):
    return answer.get_data(as_text=True)


def test_an_administrator_corrects_a_text_and_parents_read_it(as_, client, school):
    """T-17, N-09: corrected once, it stands on the page for joining, the hand-out and the member's page."""
    admin = as_("守")
    assert "au" in text(admin.get("/admin/carriers"))
    page = text(admin.get("/admin/carriers/docomo"))
    assert "{{domain}}" in page and "Steps" not in page
    done = admin.post("/admin/carriers/docomo", data={"ja": "新しい手順で\n{{ドメイン}}を許可", "en": ""})
    assert done.status_code == 303
    domain = "mail.school.example"
    one = school.lists["1-1"]
    for path in (f"/j/{one.address}/{one.join_code}", f"/lists/{one.id}/handout", "/admin/carriers"):
        shown = text(admin.get(path))
        assert "新しい手順で" in shown and f"{domain}を許可" in shown, path
    assert admin.post("/admin/carriers/docomo/back").status_code == 303
    assert Organization.load_row().carriers == []


def test_a_carrier_is_added_and_a_mistake_keeps_what_was_typed(as_, school):
    admin = as_("守")
    wrong = admin.post("/admin/carriers/new", data={"name": "ケーブル", "domains": "これは違う", "ja": "手順いち"})
    assert wrong.status_code == 422
    assert "手順いち" in text(wrong) and "@" in text(wrong)
    admin.post("/admin/carriers/new", data={"name": "<b>ケーブル", "domains": "cable.example", "ja": "100%の手順"})
    shown = text(admin.get("/admin/carriers"))
    assert "&lt;b&gt;ケーブル" in shown and "100%の手順" in shown
    assert carrier_help.guidance_for_address("x@cable.example", "ja").steps == ("100%の手順",)


def test_only_administrators_may(as_, school):
    for path in ("/admin/carriers", "/admin/carriers/docomo", "/admin/carriers/new"):
        assert as_("花子").get(path).status_code == 403
    assert as_("守").get("/admin/carriers/none").status_code == 404
