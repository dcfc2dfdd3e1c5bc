"""What SpamAssassin thinks of our letters, without network (defences 1; the goal is 0.5 points)."""

import re
import subprocess

import pytest

from tests import smarthost
from tests.real.letters import ENGLISH, JAPANESE, as_files
from tests.real.programs import program
from tests.smarthost import begun, drained

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(180)]

LETTERS = {
    "ja with read confirmation": ("明日の水筒について", JAPANESE, True),
    "ja without": ("明日の水筒について", JAPANESE, False),
    "en with read confirmation": ("Bring water tomorrow", ENGLISH, True),
    "en without": ("Bring water tomorrow", ENGLISH, False),
}


def test_notices_score_at_most_half_a_point(school, tmp_path, capsys):
    command = program("spamassassin", "spamassassin")
    with smarthost.running() as (host, port):
        smarthost.send_by(port, base_url="https://mail.school.example")
        for subject, text, read in LETTERS.values():
            begun(school.users["花子"], [school.lists["1-1"]], subject=subject, text=text, read_confirmation=read)
            assert drained()
    mails = host.mails[:: len(host.mails) // len(LETTERS)]
    scores = {}
    for name, file in zip(LETTERS, as_files([raw for _, _, raw, _ in mails], tmp_path / "mails"), strict=True):
        judged = subprocess.run([command, "-L", "-t"], input=file.read_bytes(), capture_output=True, timeout=90)
        said = judged.stdout.decode("utf-8", "replace")
        scores[name] = float(re.search(r"score=(-?[\d.]+)", said)[1])
        complaints = re.search(r"tests=([A-Z0-9_,\s]*)", said)[1].split()
        with capsys.disabled():
            print(f"\n  SpamAssassin -L, {name}: {scores[name]} {' '.join(complaints)}", end="")
    assert max(scores.values()) <= 0.5, scores
