"""A process loads only what its part needs: the second start stays under three seconds (design 4)."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
SLOW = {"dns", "dkim", "email_validator", "aiosmtpd", "asyncio", "python_calamine", "mail.bounce.phrases"}
WEB = {"flask", "werkzeug", "gunicorn", "wtforms", "huey"}


@pytest.mark.parametrize(
    ("loads", "never"),
    [
        ("import cli.work", SLOW | WEB),
        ("import cli.scheduler", (SLOW | WEB) - {"huey"}),
        ("import cli.serve", SLOW | WEB),
        ("import app", SLOW | {"gunicorn", "huey", "models"}),
        ("import cli.web_server", SLOW - {"asyncio"}),
        ("import app, config; app._with_pages(app.Kairan('app'), config.load())", SLOW),
    ],
    ids=["sender", "clock", "supervisor", "flask", "pages", "areas"],
)
def test_a_part_does_not_load_what_it_does_not_need(loads, never, tmp_path):
    told = f"{loads}\nimport sys\nprint(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", told],
        cwd=HERE,
        env={"KAIRAN_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(found.stdout.split())
    assert {name for name in never if name in loaded} == set()
