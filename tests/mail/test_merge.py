"""Merge fields and the cleaning of what people paste."""

from hypothesis import given
from hypothesis import strategies as st

from mail import merge

VALUES = {"氏名": "鈴木 花子", "当番日": "10/14(火)"}


def test_fields_are_named_once_in_order():
    text = "{{氏名}} 様 {{ 当番日 }} ｛｛氏名｝｝ {{}} {{ }} {氏名}"
    assert merge.field_names(text) == ["氏名", "当番日"]


def test_values_are_put_in():
    assert merge.fill_fields("{{氏名}} 様、{{　当番日　}}です", VALUES) == "鈴木 花子 様、10/14(火)です"
    assert merge.fill_fields("｛｛氏名｝｝ 様", VALUES) == "鈴木 花子 様"


def test_an_allowed_field_without_value_becomes_empty_and_others_stay():
    assert merge.fill_fields("[{{学年}}]{{知らない}}", VALUES, {"氏名", "学年"}) == "[]{{知らない}}"


def test_values_are_not_expanded_again():
    assert merge.fill_fields("{{氏名}}", {"氏名": "{{当番日}}", "当番日": "x"}) == "{{当番日}}"


def test_no_expression_is_evaluated():
    for text in ("{{7*7}}", "{{ self.__class__ }}", "{% if 1 %}", "%(氏名)s", "${氏名}"):
        assert merge.fill_fields(text, VALUES) == text


@given(st.text(alphabet="{}｛｝氏名 x\n", max_size=60))
def test_pieces_are_the_text(text):
    assert "".join(piece.text for piece in merge.split_fields(text)) == text


@given(st.lists(st.sampled_from(["{{氏名}}", "｛｛ 氏名 ｝｝", "様", "\n", "{", "}", "氏名"]), max_size=12))
def test_known_names_never_keep_their_braces(parts):
    written = "|".join(parts)
    expected = "|".join("鈴木 花子" if len(part) > 4 else part for part in parts)
    assert merge.fill_fields(written, VALUES) == expected


@given(st.text(alphabet=st.characters(codec=None), max_size=80))
def test_plain_text_can_always_be_sent(text):
    fit = merge.clean_text(text)
    fit.encode("utf-8")
    assert "\r" not in fit and "\x00" not in fit and merge.clean_text(fit) == fit


@given(st.text(alphabet=st.characters(codec=None), max_size=80))
def test_a_subject_is_one_line(text):
    line = merge.one_line(text)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1 and "\t" not in line and merge.one_line(line) == line


def test_ordinary_text_is_kept():
    assert merge.clean_text("一行\r\n二行\r三行\tx 👨‍👩‍👧 髙﨑𠮷") == "一行\n二行\n三行\tx 👨‍👩‍👧 髙﨑𠮷"
    assert merge.one_line("件名\r\nBcc: x@example.com") == "件名 Bcc: x@example.com"
    assert merge.one_line(" 鈴木　花子\t \n 様  ") == "鈴木　花子 様"
