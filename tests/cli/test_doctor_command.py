"""`flask doctor`: one JSON document, or lines for people."""

import json
from dataclasses import replace

from click.testing import CliRunner

import config as ground
from cli.doctor import doctor
from core.system import diagnostics as examination


def test_prints_the_dkim_record_as_json(school, config, monkeypatch):
    """E-13: the DKIM record to publish, without network."""
    monkeypatch.setattr(examination, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(ground, "load_config", lambda: replace(config, dns="127.0.0.1:1"))
    done = CliRunner().invoke(doctor, ["--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    dkim = next(one for one in document["records"] if one["kind"] == "dkim")
    assert dkim["value"].startswith("v=DKIM1; k=rsa; p=") and set(document) == {"mail_domain", "records", "checks"}


def test_speaks_to_people_too(school, config, monkeypatch):
    monkeypatch.setattr(examination, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(ground, "load_config", lambda: replace(config, dns="127.0.0.1:1"))
    done = CliRunner().invoke(doctor, [])
    assert done.exit_code == 0 and "DNS records to publish" in done.stdout and "→" in done.stdout
