"""Addresses as people type them and carriers issued them; marks of letters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail import address

SECRET = b"a secret of thirty-two bytes ..."


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ｋｉｔａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "kita@example.com"),
        ("  taro@example.com\u3000", "taro@example.com"),
        ("taro@example.com\u200b", "taro@example.com"),
        ("\ufefftaro@example.com", "taro@example.com"),
        ("taro@example。com", "taro@example.com"),
        ("taro@example｡com", "taro@example.com"),
        ("Taro.Yamada@EXAMPLE.Com", "Taro.Yamada@example.com"),
        ("mailto:taro@example.com?subject=x", "taro@example.com"),
        ("山田 太郎 <taro@example.com>", "taro@example.com"),
        ("<taro@example.com>", "taro@example.com"),
        ("taro@日本語.jp", "taro@xn--wgv71a119e.jp"),
        ("ta..ro.@docomo.ne.jp", "ta..ro.@docomo.ne.jp"),
        ('"ta..ro."@docomo.ne.jp', "ta..ro.@docomo.ne.jp"),
        (".a@ezweb.ne.jp", ".a@ezweb.ne.jp"),
        ("-x@ezweb.ne.jp", "-x@ezweb.ne.jp"),
        ("a/b?c@docomo.ne.jp", "a/b?c@docomo.ne.jp"),
        ("taro@home.test", "taro@home.test"),
        ("taro@mail.kaedehara.example", "taro@mail.kaedehara.example"),
        ("taro@home.invalid", "taro@home.invalid"),
    ],
)
def test_it_reads_what_people_type(typed, stored):
    assert address.parse_address(typed) == stored
    assert address.parse_address(stored) == stored


@pytest.mark.parametrize(
    "typed",
    [
        *("", "  ", "taro", "@example.com", "taro@", "山田@example.jp", "a@b@example.com", "a b@example.com"),
        *("taro@localhost", "taro@192.0.2.1", "taro@[192.0.2.1]", "taro@example..com", "taro@-a.example"),
        *("a\r\nBcc: b@example.com", "a@example.com\r\nBcc: b@example.com", "a@example.com,b@example.com"),
        *("x" * 65 + "@example.com", "x@" + "y" * 60 + ".y" * 120 + ".example", '"a b"@example.com'),
    ],
)
def test_it_refuses_what_no_letter_can_reach(typed):
    with pytest.raises(address.BadAddress) as caught:
        address.parse_address(typed)
    assert caught.value.message.endswith(".")


@given(st.text(max_size=80))
def test_clean_returns_a_safe_address_or_refuses(typed):
    try:
        found = address.parse_address(typed)
    except address.BadAddress:
        return
    assert found.isascii() and found.isprintable() and " " not in found and found.count("@") == 1
    assert address.parse_address(address.quote_if_needed(found)) == found


@pytest.mark.parametrize(
    ("stored", "written", "broken"),
    [
        ("a..b@docomo.ne.jp", '"a..b"@docomo.ne.jp', True),
        ("taro.@ezweb.ne.jp", '"taro."@ezweb.ne.jp', True),
        (".x@ezweb.ne.jp", '".x"@ezweb.ne.jp', True),
        ("-x@ezweb.ne.jp", "-x@ezweb.ne.jp", False),
        ("a.b+c@example.com", "a.b+c@example.com", False),
    ],
)
def test_carrier_addresses_are_quoted_in_headers_and_commands(stored, written, broken):
    assert address.quote_if_needed(stored) == written
    assert address.quote_if_needed(written) == written
    assert address.violates_rfc(stored) is broken


def test_equal_addresses_have_one_key():
    assert (
        address.comparison_key('"A..b"@DoCoMo.ne.jp')
        == address.comparison_key("a..B@docomo.ne.jp")
        == "a..b@docomo.ne.jp"
    )
    assert address.comparison_key("a.b@docomo.ne.jp") != address.comparison_key("a..b@docomo.ne.jp")


def test_parts_for_pages():
    assert address.domain_of("Taro@EXAMPLE.com") == "example.com"
    assert address.mask_address("hanako@example.com") == "h***@example.com"


PURPOSES = ("return", "reply", "id")


@given(st.integers(0, 2**40 - 1), st.sampled_from(PURPOSES))
def test_a_tag_is_read_back_in_any_case_and_for_its_purpose_only(number, purpose):
    made = address.make_verp_tag(number, purpose, SECRET)
    assert len(made) == 24 and made == made.lower() and made.isalnum()
    assert address.decode_verp_tag(made.upper(), purpose, SECRET) == number
    others = [one for one in PURPOSES if one != purpose]
    assert [address.decode_verp_tag(made, one, SECRET) for one in others] == [None, None]
    assert address.decode_old_verp_tag(made, SECRET) is None


@given(st.integers(0, 2**40 - 1))
def test_an_old_tag_has_no_purpose(number):
    made = address.make_old_verp_tag(number, SECRET)
    assert address.decode_old_verp_tag(made.upper(), SECRET) == number
    assert [address.decode_verp_tag(made, one, SECRET) for one in PURPOSES] == [None] * 3


@given(st.integers(0, 2**40 - 1), st.integers(0, 23), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_mark_is_nobodys(number, place, letter):
    made = address.make_verp_tag(number, "reply", SECRET)
    forged = made[:place] + letter + made[place + 1 :]
    assert (address.decode_verp_tag(forged, "reply", SECRET) == number) is (forged == made)


@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")))
def test_other_text_is_no_mark(text):
    assert address.decode_verp_tag(text, "return", SECRET) is None


def test_another_secret_opens_nothing():
    assert address.decode_verp_tag(address.make_verp_tag(17, "return", SECRET), "return", b"another") is None


def test_addresses_of_one_letter():
    back, reply, own_id = (address.make_verp_tag(17, purpose, SECRET) for purpose in PURPOSES)
    assert address.return_path(17, SECRET, "mail.example") == f"b-{back}@mail.example"
    assert address.reply_address(17, SECRET, "mail.example") == f"r-{reply}@mail.example"
    assert address.message_id(17, SECRET, "mail.example") == f"<{own_id}@mail.example>"
    assert len({back, reply, own_id}) == 3 and len(f"b-{back}") <= 64


@pytest.mark.parametrize(
    "local",
    [
        *("b-abc", "r-abc", "1nen1kumi-join", "1nen-join-7kq2", "1nen-leave", "1nen-request", "Postmaster"),
        *("abuse", "webmaster", "hostmaster", "mailer-daemon", "root", "info", "security"),
    ],
)
def test_names_that_no_list_may_take(local):
    assert address.is_reserved_local_part(local)


@pytest.mark.parametrize("local", ["1nen1kumi", "band", "rugby", "pta", "join", "leaves"])
def test_names_that_a_list_may_take(local):
    assert not address.is_reserved_local_part(local)
    assert address.is_valid_list_local_part(local)


@pytest.mark.parametrize(
    "local", ["", "1年1組", "Pta", ".pta", "pta.", "-pta", "p..ta", "a" * 41, "a b", "pta\n", "a@b"]
)
def test_shapes_that_no_list_may_take(local):
    assert not address.is_valid_list_local_part(local)
