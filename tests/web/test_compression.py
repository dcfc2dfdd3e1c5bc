"""Pages and static files go packed where the browser takes it (field 5.2: a page opens on a slow line)."""

import gzip
import re

import pytest

TOKEN = re.compile(rb'(?<=csrf_token" value=")[^"]+|(?<=X-CSRFToken": ")[^"]+')
"""Signed with its time, so it differs between two answers."""
PACKED = {"Accept-Encoding": "gzip, br"}


def test_a_page_is_packed_and_the_same_page(as_):
    hanako = as_("花子")
    plain, packed = hanako.get("/lists"), hanako.get("/lists", headers=PACKED)
    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert TOKEN.sub(b"", gzip.decompress(packed.get_data())) == TOKEN.sub(b"", plain.get_data())
    assert len(packed.get_data()) == packed.content_length < len(plain.get_data()) / 2
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in packed.headers["Vary"]


def test_a_static_file_is_packed_once_and_still_answers_not_modified(client):
    first = client.get("/static/kairan.css", headers=PACKED)
    assert first.headers["Content-Encoding"] == "gzip" and b"--color-accent" in gzip.decompress(first.get_data())
    with client.get("/static/kairan.css", headers={**PACKED, "If-None-Match": first.headers["ETag"]}) as again:
        assert (again.status_code, again.get_data()) == (304, b"")


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip;q=0"}])
def test_who_does_not_take_it_gets_it_plain(client, headers):
    with client.get("/static/kairan.css", headers=headers) as answer:
        assert "Content-Encoding" not in answer.headers and b"--color-accent" in answer.get_data()


def test_short_answers_and_other_kinds_stay_as_they_are(client):
    for path in ("/healthz", "/static/favicon.svg"):
        with client.get(path, headers=PACKED) as answer:
            assert "Content-Encoding" not in answer.headers and answer.get_data()
    with client.head("/static/kairan.css", headers=PACKED) as answer:
        assert answer.get_data() == b""
