"""The school's own words on the phones' mail filters (T-17, N-09)."""

import pytest

from core.errors import DomainError
from core.signup import carrier_help
from models import AuditLog, Organization


def test_what_is_shipped_is_shown_as_long_as_nobody_wrote_anything(school):
    """T-17: the shipped words, by carrier, in both languages."""
    assert tuple(carrier_help.list_guidance("ja")) == carrier_help.CARRIERS
    assert carrier_help.guidance_for_address("a@docomo.ne.jp", "en") is carrier_help.DOCOMO
    assert "{{domain}}" in carrier_help.shipped_text("docomo", "ja")
    assert not any(one.changed for one in carrier_help.settings_entries())


def test_a_corrected_text_stands_everywhere_in_its_language(school):
    """N-09: menus are renamed every year."""
    texts = {"ja": "メール設定を開く\n ｛｛ドメイン｝｝ を  許可する \n\n", "en": carrier_help.shipped_text("au", "en")}
    carrier_help.change_carrier(school.users["守"], "au", texts)
    assert carrier_help.guidance_for_address("a@ezweb.ne.jp", "ja").steps == (
        "メール設定を開く",
        "%(domain)s を 許可する",
    )
    assert carrier_help.guidance_for_address("a@ezweb.ne.jp", "en").steps == carrier_help.AU.steps
    assert [one.carrier for one in carrier_help.list_guidance("ja")] == [one.carrier for one in carrier_help.CARRIERS]
    assert Organization.load_row().carriers == [{"key": "au", "ja": "メール設定を開く\n{{domain}} を 許可する"}]
    assert AuditLog.select().order_by(AuditLog.id.desc()).first().detail == {"fields": ["carriers"]}


def test_the_shipped_text_typed_again_is_no_text_of_ones_own(school):
    carrier_help.change_carrier(school.users["守"], "au", {"ja": "別の手順", "en": ""})
    carrier_help.change_carrier(
        school.users["守"], "au", {one: carrier_help.shipped_text("au", one) for one in ("ja", "en")}
    )
    assert Organization.load_row().carriers == []


def test_a_carrier_of_the_region_is_found_by_its_domains(school):
    key = carrier_help.add_carrier(
        school.users["守"], " みなと  ケーブル ", "@Cable.example.jp、mail.minato.example", {"ja": "窓口へ"}
    )
    found = carrier_help.guidance_for_address("hanako@sub.cable.example.jp", "en")
    assert (found.carrier, found.steps, found.key) == ("みなと ケーブル", ("窓口へ",), key)
    assert carrier_help.list_guidance("ja")[-1].carrier == "みなと ケーブル"
    carrier_help.change_carrier(school.users["守"], key, {"ja": "窓口へ", "en": "Ask the desk"}, "Minato", "")
    assert carrier_help.guidance_for_address("a@cable.example.jp", "en") is carrier_help.OTHER_PROVIDER
    carrier_help.reset_carrier(school.users["守"], key)
    carrier_help.reset_carrier(school.users["守"], key)
    assert len(carrier_help.list_guidance("ja")) == len(carrier_help.CARRIERS)


@pytest.mark.parametrize(
    ("name", "domains", "ja", "field"),
    [
        ("", "", "手順", "name"),
        ("あ" * 41, "", "手順", "name"),
        ("ケーブル", "not a domain", "手順", "domains"),
        ("ケーブル", "a.example/..", "手順", "domains"),
        ("ケーブル", "", "", "ja"),
        ("ケーブル", "", "行\n" * 13, "ja"),
        ("ケーブル", "", "長" * 1001, "ja"),
    ],
)
def test_what_cannot_be_kept_is_named(school, name, domains, ja, field):
    with pytest.raises(DomainError) as refused:
        carrier_help.add_carrier(school.users["守"], name, domains, {"ja": ja, "en": ""})
    assert refused.value.field == field
    assert Organization.load_row().carriers == []


def test_nobody_changes_a_carrier_that_is_not_there(school):
    with pytest.raises(KeyError):
        carrier_help.change_carrier(school.users["守"], "own-9", {"ja": "x"})
