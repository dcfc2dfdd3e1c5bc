"""Whatever a mail server does to a letter, none is lost, none is doubled in silence, and the pages say what is true.

Each test run takes the quick rows, with the worker in this process and the clock moved by hand. `make faults`
(KAIRAN_FAULTS=whole) takes all rows, and the quick ones once more with two sender processes and a clock that runs faster.
"""

import json
import os
from pathlib import Path

import pytest

from tests.faults.cases import CASES, Case
from tests.faults.matrix import run_case

WHOLE = os.environ.get("KAIRAN_FAULTS") == "whole"
COUNTS = os.environ.get("KAIRAN_FAULTS_COUNTS")
LETTERS = 18 if WHOLE else 12
ROWS = [(case, False) for case in CASES if WHOLE or case.quick]
ROWS += [(case, True) for case in CASES if WHOLE and case.quick]


@pytest.mark.parametrize(("case", "processes"), ROWS, ids=[f"{case.name}{' (processes)' * two}" for case, two in ROWS])
def test_no_answer_of_a_server_loses_or_doubles_a_letter(case: Case, processes, school, config, as_, monkeypatch):
    found = run_case(case, school, config.data, as_("花子"), processes, LETTERS, monkeypatch)
    if COUNTS:
        name = f"{'processes' if processes else 'server'}-{CASES.index(case):03}.json"
        Path(COUNTS, name).write_text(json.dumps(found.as_row()), "utf-8")
    assert found.wrong == []
