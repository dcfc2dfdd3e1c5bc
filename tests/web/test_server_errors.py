"""A fault of ours: the reader sees a kind page, the log names no link and no person (house rules of logs, law 6)."""

import pytest

from core.responses import read_confirmations
from tests import cast_notices


@pytest.fixture
def faulty(app, monkeypatch):
    """Let the readers' page fail as it would outside of tests."""

    def fail(*args, **kwargs):
        raise RuntimeError("the roof is open")

    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setattr(read_confirmations, "record_visit", fail)


def test_fault_on_a_readers_page_leaves_no_token_in_the_log_and_no_internals_on_the_page(
    faulty, client, school, caplog
):
    token = cast_notices.send([school.lists["1-1"]], by=school.users["花子"]).deliveries["石川 直樹"].token
    answer = client.get(f"/r/{token}")
    assert answer.status_code == 500
    assert "roof" not in answer.text and "Traceback" not in answer.text and token not in answer.text
    assert "public.read_notice" in caplog.text and "the roof is open" in caplog.text
    assert token not in caplog.text
