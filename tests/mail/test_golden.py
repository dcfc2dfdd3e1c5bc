"""Letters of every kind, octet by octet (T-47: both kinds must read well as plain text)."""

import pytest

from tests.mail import golden


@pytest.mark.parametrize("name", golden.LETTERS)
def test_a_letter_is_as_it_was_looked_at(name):
    raw, text = golden.made(name)
    assert text == (golden.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert raw == (golden.FOLDER / f"{name}.eml").read_bytes()


def test_no_sample_is_left_over():
    kept = {path.stem for path in golden.FOLDER.glob("*.*") if path.suffix in (".eml", ".txt")}
    assert kept == set(golden.LETTERS)
