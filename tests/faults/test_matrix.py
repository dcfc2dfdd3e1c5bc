"""Whatever a mail server does to a letter, none is lost, none is doubled in silence, and the pages say what is true.

A quick part runs in every test run, in this process. `make faults` runs all rows with processes of their own.
"""

import json
import os
from pathlib import Path

import pytest

from tests.faults.cases import CASES, Case
from tests.faults.matrix import run_case

WHOLE = os.environ.get("KAIRAN_FAULTS") == "whole"
COUNTS = os.environ.get("KAIRAN_FAULTS_COUNTS")
LETTERS = 30 if WHOLE else 12


@pytest.mark.parametrize("case", [one for one in CASES if WHOLE or one.quick], ids=lambda case: case.name)
def test_no_answer_of_a_server_loses_or_doubles_a_letter(case: Case, school, config, as_, monkeypatch):
    found = run_case(case, school, config.data, as_("花子"), WHOLE, LETTERS, monkeypatch)
    if COUNTS:
        place = CASES.index(case)
        Path(COUNTS, f"server-{place:03}.json").write_text(json.dumps(found.as_row()), "utf-8")
    assert found.wrong == []
