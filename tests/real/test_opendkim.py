"""Signatures held against verifiers that are not ours: OpenDKIM, and its library in a network of its own (RFC 6376)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mail import dkim_signer
from tests import smarthost
from tests.conftest import needs_part
from tests.real.external_programs import find_program
from tests.real.sample_letters import send_every_kind, write_files

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(120)]


@pytest.fixture
def signed(school, tmp_path):
    """Letters of every kind as files, and one that was tampered with."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        mails = send_every_kind(school, host)
    assert len(mails) >= 20
    tampered = mails[0].replace(b"\r\nSubject: ", b"\r\nSubject: Re: ", 1)
    return write_files([*mails, tampered], tmp_path / "signed")


@pytest.fixture
def published(config):
    """The name and the value of the record that an administrator publishes."""
    return f"{config.dkim_selector}._domainkey.{config.mail_domain}", dkim_signer.dns_record(config.key("dkim.pem"))


def test_opendkim_accepts_every_letter_and_no_tampered_one(signed, published, tmp_path):
    command = find_program("opendkim", "opendkim")
    (tmp_path / "keys").write_text(" ".join(published) + "\n")
    (tmp_path / "conf").write_text(f"Mode v\nSyslog no\nTestPublicKeys {tmp_path / 'keys'}\n")
    for file in signed:
        ended = subprocess.run(
            [command, "-x", tmp_path / "conf", "-t", file, "-v"], capture_output=True, text=True, timeout=30
        )
        said = ended.stdout + ended.stderr
        assert ("succeeded" in said) == (file != signed[-1]), (file.name, said)


def test_opendkim_testmsg_accepts_every_letter_that_asks_the_dns(signed, published):
    """Its library asks the resolver, so it runs where the only resolver is ours."""
    command = find_program("opendkim-testmsg", "opendkim-tools")
    needs_part(
        os.geteuid() == 0 and bool(find_program("unshare", "util-linux")), "the rights of root (for a private network)"
    )
    where = Path(__file__).with_name("private_dns.py")
    ended = subprocess.run(
        ["unshare", "-n", "-m", "--propagation", "private", sys.executable, where, *published, command, *signed],
        capture_output=True,
        text=True,
        timeout=100,
    )
    if "not permitted" in ended.stderr:
        needs_part(False, "a machine that may make private networks")
    codes = dict(line.split() for line in ended.stdout.splitlines())
    assert len(codes) == len(signed), ended.stderr
    assert [name for name, code in codes.items() if code != "0"] == [signed[-1].name], ended.stderr
