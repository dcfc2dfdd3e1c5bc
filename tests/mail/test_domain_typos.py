"""Likely typing errors of mail domains get a suggestion; real domains get none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.domain_typos import is_one_edit_apart, suggest_address


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *[(typed, "gmail.com") for typed in ("gmial.com", "gamil.com", "gmai.com", "gmail.con", "gmail.co", "gmail")],
        *[(typed, "gmail.com") for typed in ("gmail.cm", "gmaill.com", "gmail,com", "gmail..com", "gmail.co.jp")],
        *[(typed, "docomo.ne.jp") for typed in ("docomo.ne.co", "docomo.ne", "docmo.ne.jp", "docomo.nejp")],
        *[(typed, "docomo.ne.jp") for typed in ("docomone.jp", "docomo.co.jp", "docomo.ne.jpn", "dokomo.ne.jp")],
        *[(typed, "ezweb.ne.jp") for typed in ("ezweb.ne,jp", "ezwed.ne.jp", "ezweb.ne", "ezweb。ne、jp")],
        *[(typed, "yahoo.co.jp") for typed in ("yahoo.co,jp", "yaho.co.jp", "yahoo.cojp", "ｙａｈｏｏ.ｃｏ,ｊｐ")],
        *[(typed, "i.softbank.jp") for typed in ("i.softbank.ne.jp", "i.softbank.jp.", "i.sofbank.jp")],
        *[(typed, "icloud.com") for typed in ("icould.com", "iclod.com", "icloud.con", "icloud.co.jp")],
        ("softbank.ne.jo", "softbank.ne.jp"),
        ("hotmial.com", "hotmail.com"),
        ("school.example.con", "school.example.com"),
        ("city.example.lg.jpp", "city.example.lg.jp"),
    ],
)
@pytest.mark.parametrize("at", ["@", "＠"])
def test_a_likely_error_gets_the_domain_that_was_meant(typed, meant, at):
    assert suggest_address(f"a.b{at}{typed}") == f"a.b@{meant}"


@pytest.mark.parametrize(
    "domain",
    [
        *("gmail.com", "ＧＭＡＩＬ.ＣＯＭ", "docomo.ne.jp", "ezweb.ne.jp", "au.com", "yahoo.co.jp", "yahoo.ne.jp"),
        *("yahoo.com", "softbank.ne.jp", "softbank.co.jp", "t.vodafone.ne.jp", "i.softbank.jp", "icloud.com", "me.com"),
        *("mail.com", "ymail.com", "nifty.ne.jp", "ocn.ne.jp", "odn.ne.jp", "aa.so-net.ne.jp", "hotmail.co.jp"),
        *("example.jp", "example.com", "school.ed.jp", "city.tokyo.lg.jp", "example.cm", "example.co", "x.kp"),
        *("mobile.example.jp", "kaede.example.or.jp", "outlook.jp", "live.jp", "qq.com", "163.com", "", "かえで.jp"),
    ],
)
def test_a_right_or_unknown_domain_gets_no_suggestion(domain):
    assert suggest_address(f"a@{domain}") == ""


@pytest.mark.parametrize("typed", ["", "@", "a", "a@", "@gmial.com", "a@b@gmial.com", "山田 花子"])
def test_what_is_no_address_gets_no_suggestion(typed):
    assert suggest_address(typed) == ""


def test_a_doubled_at_is_one():
    assert suggest_address("a@@example.jp") == "a@example.jp"


@given(st.text(max_size=60))
def test_a_suggestion_is_final(text):
    meant = suggest_address(f"a@{text}")
    assert suggest_address(meant) == ""


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [("ab", "ba", True), ("abc", "ac", True), ("abc", "abcd", True), ("abc", "axc", True), ("abc", "abc", False)]
    + [("abc", "cab", False), ("abcd", "ab", False), ("", "a", True)],
)
def test_one_edit(one, other, near):
    assert is_one_edit_apart(one, other) is is_one_edit_apart(other, one) is near
