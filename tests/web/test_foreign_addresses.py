"""No address, of today or added later, leads a manager into another list (T-33)."""

import re

import pytest

from models import AuditLog, ChangeRequest, Letter, Membership, Notice, Target
from tests import cast_notices

NOT_OF_A_LIST = {"account", "admin", "incoming", "outbox", "replies", "rollover", "setup", "users"}
"""First words of addresses whose number is no list, notice or member; administrators or the own account only."""
BY_MARK = {"invitation", "login", "mail", "password", "samples"}
"""Addresses with a mark that cannot be guessed, or a sample's code."""


def written() -> list[int]:
    """Return the size of every table that a request might grow, and what was done."""
    tables = (Notice, Target, Membership, Letter)
    return [table.select().count() for table in tables] + [
        AuditLog.select().where(AuditLog.action.not_in(("session.started", "session.ended"))).count()
    ]


@pytest.mark.proves("T-33")
def test_no_address_leads_to_another_list(app, as_, school):
    sent = cast_notices.send([school.lists["2-1"]], by=school.users["太郎"])
    request = ChangeRequest.create(person=school.people["加藤 誠"], list=school.lists["2-1"], changes={"name": "加藤"})
    numbers = {
        "requests": request.id,
        "lists": school.lists["2-1"].id,
        "members": school.people["加藤 誠"].id,
        **dict.fromkeys(("notices", "figures", "history"), sent.notice.id),
    }
    browser, before, tried = as_("花子"), written(), 0
    for rule in app.url_map.iter_rules():
        first = rule.rule.split("/")[1]
        if "<" not in rule.rule or rule.endpoint == "static" or rule.endpoint.startswith("public."):
            continue
        if first in NOT_OF_A_LIST | BY_MARK or "<int:number>" not in rule.rule and first == "notices":
            continue
        assert first in numbers, f"{rule.rule}: say here what its number stands for"
        address = re.sub(r"<\w+>", "aaaa2222", rule.rule.replace("<int:number>", str(numbers[first])))
        address = re.sub(r"<int:\w+>", "1", address)
        for method in {"GET", "POST"} & rule.methods:
            answer = browser.open(address, method=method)
            assert answer.status_code in (403, 404), (method, address, answer.status_code)
            assert not re.search("2年1組|加藤", answer.get_data(as_text=True)), (method, address)
            tried += 1
    assert tried > 120 and written() == before
    for address in (
        f"/lists/{numbers['lists']}",
        f"/members/{numbers['members']}",
        f"/notices/{sent.notice.id}/record",
    ):
        assert as_("太郎").get(address).status_code == 200, address
