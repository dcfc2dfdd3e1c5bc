"""The school's own words on the phones' mail filters (T-17, N-09)."""

import pytest

from core.entry import carriers, guidance
from models import Log, Organization


def test_what_is_shipped_is_shown_as_long_as_nobody_wrote_anything(school):
    """T-17: the shipped words, by carrier, in both languages."""
    assert tuple(carriers.shown("ja")) == guidance.CARRIERS
    assert carriers.for_address("a@docomo.ne.jp", "en") is guidance.DOCOMO
    assert "{{domain}}" in carriers.shipped_text("docomo", "ja")
    assert not any(one.changed for one in carriers.entries())


def test_a_corrected_text_stands_everywhere_in_its_language(school):
    """N-09: menus are renamed every year."""
    texts = {"ja": "メール設定を開く\n ｛｛ドメイン｝｝ を  許可する \n\n", "en": carriers.shipped_text("au", "en")}
    carriers.change(school.users["守"], "au", texts)
    assert carriers.for_address("a@ezweb.ne.jp", "ja").steps == ("メール設定を開く", "%(domain)s を 許可する")
    assert carriers.for_address("a@ezweb.ne.jp", "en").steps == guidance.AU.steps
    assert [one.carrier for one in carriers.shown("ja")] == [one.carrier for one in guidance.CARRIERS]
    assert Organization.the().carriers == [{"key": "au", "ja": "メール設定を開く\n{{domain}} を 許可する"}]
    assert Log.select().order_by(Log.id.desc()).first().detail == {"fields": ["carriers"]}


def test_the_shipped_text_typed_again_is_no_text_of_ones_own(school):
    carriers.change(school.users["守"], "au", {"ja": "別の手順", "en": ""})
    carriers.change(school.users["守"], "au", {one: carriers.shipped_text("au", one) for one in ("ja", "en")})
    assert Organization.the().carriers == []


def test_a_carrier_of_the_region_is_found_by_its_domains(school):
    key = carriers.add(
        school.users["守"], " みなと  ケーブル ", "@Cable.example.jp、mail.minato.example", {"ja": "窓口へ"}
    )
    found = carriers.for_address("hanako@sub.cable.example.jp", "en")
    assert (found.carrier, found.steps, found.key) == ("みなと ケーブル", ("窓口へ",), key)
    assert carriers.shown("ja")[-1].carrier == "みなと ケーブル"
    carriers.change(school.users["守"], key, {"ja": "窓口へ", "en": "Ask the desk"}, "Minato", "")
    assert carriers.for_address("a@cable.example.jp", "en") is guidance.OTHERS
    carriers.put_back(school.users["守"], key)
    carriers.put_back(school.users["守"], key)
    assert len(carriers.shown("ja")) == len(guidance.CARRIERS)


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
    with pytest.raises(carriers.BadWords) as refused:
        carriers.add(school.users["守"], name, domains, {"ja": ja, "en": ""})
    assert refused.value.field == field
    assert Organization.the().carriers == []


def test_nobody_changes_a_carrier_that_is_not_there(school):
    with pytest.raises(KeyError):
        carriers.change(school.users["守"], "own-9", {"ja": "x"})
