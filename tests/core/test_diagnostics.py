"""What the doctor prints to publish, and what it says of what it finds (E-02, X-08, field 3.3)."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import dns.flags
import dns.message
import dns.rrset
import pytest

import clock
import config as ground
from core import settings
from core.system import diagnostics
from mail import dkim_signer


@pytest.fixture
def zone(school, config) -> Iterator[dict[tuple[str, str], list[str]]]:
    """A real name server on loopback that answers from a dict: {(name, type): [texts]}."""
    answers: dict[tuple[str, str], list[str]] = {}
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            asked, who = door.recvfrom(4096)
            if not asked:
                return
            question = dns.message.from_wire(asked)
            answer = dns.message.make_response(question)
            answer.flags |= dns.flags.AA
            one = question.question[0]
            kind = one.rdtype.name
            texts = answers.get((one.name.to_text(omit_final_dot=True), kind))
            if texts:
                answer.answer.append(dns.rrset.from_text(one.name, 60, "IN", kind, *texts))
            door.sendto(answer.to_wire(), who)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ground.set_current_config(
        replace(config, dns=f"127.0.0.1:{door.getsockname()[1]}", base_url="https://kairan.school.example")
    )
    yield answers
    door.sendto(b"", door.getsockname())
    thread.join(5)
    door.close()


def examine() -> dict[str, dict]:
    found = diagnostics.run_diagnostics(ground.current_config(), settings.load_settings(), clock.now())
    return {one["kind"]: one for one in found["records"] + found["checks"]}


@pytest.mark.proves("X-08")
def test_names_every_record_to_publish_when_nothing_is_there(zone, config):
    found = examine()
    assert found["dkim"]["name"] == "kairan._domainkey.mail.school.example"
    assert found["dkim"]["value"] == dkim_signer.dns_record(config.key("dkim.pem"))
    assert found["spf"]["value"] == "v=spf1 a:kairan.school.example mx -all"
    assert found["dmarc"]["name"] == "_dmarc.mail.school.example"
    assert [found[kind]["ok"] for kind in ("dkim", "spf", "dmarc", "mx")] == [False] * 4
    assert all(found[kind]["advice"] for kind in ("dkim", "spf", "dmarc", "mx"))


@pytest.mark.proves("E-02", "E-19")
def test_finds_what_is_published(zone, config):
    key = dkim_signer.dns_record(config.key("dkim.pem"))
    halves = f'"{key[:200]}" "{key[200:]}"'
    zone["kairan._domainkey.mail.school.example", "TXT"] = [halves]
    zone["mail.school.example", "TXT"] = ['"v=spf1 mx -all"', '"some-other=1"']
    zone["_dmarc.mail.school.example", "TXT"] = ['"v=DMARC1; p=none"']
    zone["mail.school.example", "MX"] = ["10 kairan.school.example."]
    zone["kairan.school.example", "A"] = ["192.0.2.10"]
    zone["10.2.0.192.in-addr.arpa", "PTR"] = ["kairan.school.example."]
    found = examine()
    assert [found[kind]["ok"] for kind in ("dkim", "spf", "dmarc", "mx", "ptr")] == [True] * 5


@pytest.mark.proves("E-02")
def test_another_key_and_two_spf_records_are_faults(zone):
    zone["kairan._domainkey.mail.school.example", "TXT"] = [
        f'"{dkim_signer.dns_record(dkim_signer.generate_key())[:250]}"'
    ]
    zone["mail.school.example", "TXT"] = ['"v=spf1 mx -all"', '"v=spf1 a -all"']
    found = examine()
    assert found["dkim"]["ok"] is False and found["spf"]["ok"] is False
    assert "only one" in found["spf"]["advice"]


def test_without_network_the_records_are_printed_all_the_same(school, config, monkeypatch):
    """Design 4: the records to publish are printed without network too."""
    monkeypatch.setattr(diagnostics, "TIMEOUT_S", 0.2)
    ground.set_current_config(replace(config, dns="127.0.0.1:1"))
    found = examine()
    assert found["dkim"]["value"].startswith("v=DKIM1") and found["dkim"]["found"] is None
    assert found["dkim"]["ok"] is None


def test_says_when_the_mail_server_does_not_answer(school, config, monkeypatch):
    monkeypatch.setattr(diagnostics, "TIMEOUT_S", 0.2)
    ground.set_current_config(replace(config, dns="127.0.0.1:1", smtp="smtp://127.0.0.1:1"))
    found = examine()
    assert found["smtp"]["ok"] is False and found["smtp"]["advice"]
    assert found["smtp"]["found"] == "smtp://127.0.0.1:1"
