"""A process loads only what its part needs: the second start stays under three seconds (design 4)."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]
SLOW = {"dns", "dkim", "email_validator", "aiosmtpd", "asyncio", "python_calamine", "compiled-reasons"}
WEB = {"flask", "werkzeug", "waitress", "wtforms", "huey"}


LOADED = """
import sys
phrases = sys.modules.get("mail.bounce.phrases")
print(*sys.modules)
print("compiled-reasons" if phrases and phrases.reason_patterns.cache_info().currsize else "")
"""
PARTS = {
    "sender": ("import cli.work", SLOW | WEB),
    "scheduler": ("import cli.scheduler", (SLOW | WEB) - {"huey"}),
    "supervisor": ("import cli.serve", SLOW | WEB),
    "flask": ("import app", SLOW | {"waitress", "huey", "models"}),
    "web server": ("import cli.web_server", SLOW - {"asyncio"}),
    "areas": ("import app, config; app._configure_web(app.KairanFlask('app'), config.load_config())", SLOW),
}


def test_a_part_does_not_load_what_it_does_not_need(tmp_path):
    needless = {}
    for part, (code, never) in PARTS.items():
        done = subprocess.run(
            [sys.executable, "-c", code + LOADED],
            cwd=HERE,
            env={"KAIRAN_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (part, done.stderr)
        loaded = set(done.stdout.split())
        assert loaded, part
        if found := never & loaded:
            needless[part] = sorted(found)
    assert needless == {}
