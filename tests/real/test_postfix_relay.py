"""Letters through mail servers of others: Postfix's sink, and a real Postfix as the smart host (T-13, T-14)."""

import re
from collections import Counter

import dkim
import pytest

from mail import dkim_signer
from models import Person
from tests import smarthost
from tests.mail.smtp_servers import free_port
from tests.processes import until
from tests.real.external_programs import run_postfix, run_smtp_sink
from tests.smarthost import begun, drained, fresh, states

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(180)]


@pytest.mark.proves("T-13")
def test_postfixs_own_sink_takes_every_letter_with_one_recipient(school, tmp_path):
    readers = smarthost.families(school.lists["1-1"], 60)
    folder, port = tmp_path / "sunk", free_port()
    folder.mkdir()
    with run_smtp_sink(folder, port):
        smarthost.send_by(port)
        notice = begun(school.users["花子"], [school.lists["1-1"]], read_confirmation=True)
        assert drained()
    assert states(notice) == {"accepted": 64} and fresh(notice).state == "sent"
    mails = [file.read_bytes() for file in folder.iterdir()]
    recipients = [re.findall(rb"(?m)^X-Rcpt-Args: <(.*?)>", raw) for raw in mails]
    assert len(mails) == 64 and all(len(one) == 1 for one in recipients)
    assert {one[0].decode() for one in recipients} >= set(readers)
    for raw, (recipient,) in zip(mails, recipients, strict=True):
        foreign = {one.encode() for one in readers} - {recipient}
        assert not [one for one in foreign if one in raw]


def test_a_real_postfix_hands_every_letter_on_whole_signed_and_to_one_reader(school, config, tmp_path):
    readers = smarthost.families(school.lists["2-1"], 40)
    with smarthost.running() as (host, sink), run_postfix(tmp_path / "pf", port := free_port(), sink):
        smarthost.send_by(port)
        notice = begun(school.users["太郎"], [school.lists["2-1"]], read_confirmation=True, urgent=True)
        assert drained()
        assert states(notice) == {"accepted": 43}
        assert until(lambda: len(host.mails) >= 43, 40), (tmp_path / "pf" / "mail.log").read_text()
    assert Counter(host.to()) == Counter(
        [*readers, "kato@example.org", "suzuki@example.com", "megumi.@mobile.example.jp"]
    )
    key = dkim_signer.dns_record(config.key("dkim.pem")).encode()
    everybody = {one.address for one in Person.select() if one.address}
    for sender, (recipient,), raw, _ in host.mails:
        assert sender.startswith("b-")
        assert dkim.verify(raw, dnsfunc=lambda name, **_: key), recipient
        foreign = everybody - {recipient.replace('"', "")}
        assert not [one for one in foreign if one.encode() in raw]
