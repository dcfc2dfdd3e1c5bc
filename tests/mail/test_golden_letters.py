"""Letters of every kind, octet by octet (T-47: both kinds must read well as plain text)."""

import pytest

from tests.mail import golden_letters


@pytest.mark.proves("T-47", "T-49", "N-08")
@pytest.mark.parametrize("name", golden_letters.LETTERS)
def test_a_letter_is_as_it_was_looked_at(name):
    raw, text = golden_letters.render_sample(name)
    assert text == (golden_letters.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert raw == (golden_letters.FOLDER / f"{name}.eml").read_bytes()


@pytest.mark.proves("T-47")
def test_no_sample_is_left_over():
    kept = {path.stem for path in golden_letters.FOLDER.glob("*.*") if path.suffix in (".eml", ".txt")}
    assert kept == set(golden_letters.LETTERS)
