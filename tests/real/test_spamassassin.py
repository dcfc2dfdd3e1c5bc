"""What SpamAssassin thinks of our letters, without network (defences 1; the goal is 0.5 points)."""

import re
import subprocess
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from core.notices import html_body
from models import TrackedLink
from tests import files, smarthost
from tests.real.external_programs import find_program
from tests.real.sample_letters import DECORATED, ENGLISH, JAPANESE, write_files
from tests.smarthost import begun, drained

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(180)]

LETTERS = {
    "ja with read confirmation": ("明日の水筒について", JAPANESE, True),
    "ja without": ("明日の水筒について", JAPANESE, False),
    "en with read confirmation": ("Bring water tomorrow", ENGLISH, True),
    "en without": ("Bring water tomorrow", ENGLISH, False),
}


LINKS = JAPANESE + "くわしくは https://www.city.example.jp/bosai/index.html と\nhttps://school.example/oshirase?id=7\n"
MOST_WORSE = 0.5


def test_notices_score_at_most_half_a_point(school, tmp_path, capsys):
    with smarthost.running() as (host, port):
        smarthost.send_by(port, base_url="https://mail.school.example")
        for subject, text, read in LETTERS.values():
            begun(school.users["花子"], [school.lists["1-1"]], subject=subject, text=text, read_confirmation=read)
            assert drained()
    mails = host.mails[:: len(host.mails) // len(LETTERS)]
    scores = judged(dict(zip(LETTERS, write_files([raw for _, _, raw, _ in mails], tmp_path / "mails"), strict=True)))
    with capsys.disabled():
        _print(scores)
    assert max(score for score, _ in scores.values()) <= 0.5, scores


def test_decorated_letters_score_at_most_half_a_point(school, tmp_path, capsys):
    """X-15, X-08. A picture looks like an advertisement to this filter (HTML_IMAGE_ONLY); five points are spam."""
    photo = f'<div><img src="cid:{html_body.add_image("a.jpg", files.jpeg())}" alt="水筒の置き場所"></div>'
    letters = {"decorated": DECORATED, "with picture": DECORATED + photo}
    ways = {f"{name}{', read' * read}": (html, read) for name, html in letters.items() for read in (True, False)}
    with smarthost.running() as (host, port):
        smarthost.send_by(port, base_url="https://mail.school.example")
        for html, read in ways.values():
            begun(school.users["花子"], [school.lists["1-1"]], html=html, read_confirmation=read)
            assert drained()
    mails = [raw for _, to, raw, _ in host.mails if to == ["aoyama.k@example.com"]]
    scores = judged(dict(zip(ways, write_files(mails, tmp_path / "mails"), strict=True)))
    with capsys.disabled():
        _print(scores)
    assert max(score for name, (score, _) in scores.items() if "picture" not in name) <= 0.5, scores
    assert max(score for score, _ in scores.values()) <= 2, scores


@pytest.mark.parametrize("read", [True, False], ids=["with read confirmation", "without"])
def test_counting_openings_and_links_costs_at_most_half_a_point(school, tmp_path, capsys, read):
    """D-31, X-08: the same notice to the same reader, with picture and counted links, and without both."""
    ways = {"plain": {}, "picture": {"opens": True}, "links": {"clicks": True}}
    ways["both"] = ways["picture"] | ways["links"]
    with smarthost.running() as (host, port):
        smarthost.send_by(port, base_url="https://mail.school.example")
        for counts in ways.values():
            options = {"subject": "防災訓練のお知らせ", "text": LINKS, "read_confirmation": read}
            notice = begun(school.users["花子"], [school.lists["1-1"]], **options, tracking=counts)
            assert TrackedLink.select().where(TrackedLink.notice == notice).count() == (2 if "clicks" in counts else 0)
            assert drained()
    mails = [raw for _, to, raw, _ in host.mails if to == ["aoyama.k@example.com"]]
    _are_what_they_are_meant_to_be(mails, ways)
    scores = judged(dict(zip(ways, write_files(mails, tmp_path / "mails"), strict=True)))
    with capsys.disabled():
        _print(scores)
    plain = scores["plain"][0]
    assert all(score - plain <= MOST_WORSE for score, _ in scores.values()), scores


def _print(scores: dict[str, tuple[float, str]]) -> None:
    for name, (score, rules) in scores.items():
        print(f"\n  SpamAssassin -L, {name}: {score} {rules}", end="")


def _are_what_they_are_meant_to_be(mails: list[bytes], ways: dict[str, dict]) -> None:
    """Check that what is judged holds the picture and the counted links, or neither."""
    for raw, counts in zip(mails, ways.values(), strict=True):
        html = message_from_bytes(raw, policy=default).get_body(("html",))
        shown = html.get_content() if html else ""
        assert (".gif" in shown) is ("opens" in counts)
        assert ("/c/" in shown) is ("clicks" in counts)


def judged(files: dict[str, Path]) -> dict[str, tuple[float, str]]:
    """Return score and rules of each letter, by SpamAssassin's local tests; it is started once, which takes seconds."""
    command = [find_program("spamassassin", "spamassassin"), "-L", "-t", *map(str, files.values())]
    said = subprocess.run(command, capture_output=True, timeout=150).stdout.decode("utf-8", "replace")
    found = re.findall(r"^X-Spam-Status: .*?score=(-?[\d.]+).*?tests=([A-Z0-9_,\s]*)", said, re.MULTILINE | re.DOTALL)
    return {name: (float(score), " ".join(rules.split())) for name, (score, rules) in zip(files, found, strict=True)}
