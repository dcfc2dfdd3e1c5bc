"""English counts: one of a thing is said as one; and whose name a stamp holds."""

import pytest

from core import display_names
from i18n import say


@pytest.mark.parametrize(
    ("message", "number", "said"),
    [
        ("%(n)s people", 1, "1 person"),
        ("%(n)s people", 2, "2 people"),
        ("%(n)s letters are being sent once more.", "1", "1 letter is being sent once more."),
        ("%(n)s people need a call.", 1, "1 person needs a call."),
        ("%(n)s letters", "1,001", "1,001 letters"),
        ("%(n)s of %(all)s households", 1, "1 of 5 households"),
    ],
)
def test_one_of_a_thing(message, number, said):
    assert say("en", message, n=number, all=5) == said


def test_what_people_wrote_is_left_alone():
    assert say("en", "%(n)s letters: %(subject)s", n=1, subject="1 letters") == "1 letter: 1 letters"


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("教頭 小川 守", "小川"),
        ("小川 守", "小川"),
        ("校長　佐藤", "佐藤"),
        ("会長", "会長"),
        ("用務 北村 光代", "北村"),
        ("Anna Smith", "済"),
    ],
)
def test_a_stamp_holds_the_surname(name, cut):
    assert display_names.make_stamp(name).text == cut
