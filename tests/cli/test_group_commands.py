"""`flask group add`, `flask group show`, and groups as recipients of `flask notice send` (E-15, D-13, D-14)."""

import json

import pytest
from click.testing import CliRunner

from cli.lists import group
from cli.notice import notice
from database import db
from models import Child, Notice


@pytest.fixture
def run(school, config, monkeypatch, tmp_path):
    """Run one command on the installation of this test."""
    monkeypatch.setenv("KAIRAN_DATA", str(config.data))
    monkeypatch.setenv("KAIRAN_MAIL_DOMAIN", config.mail_domain)
    (tmp_path / "body.txt").write_text("水筒をお持ちください。\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    for child, district in (("青山 陽菜", "本町"), ("石川 蓮", "川端"), ("鈴木 美月", "本町")):
        Child.update(attributes={"地区": district}).where(Child.name == child).execute()
    yield lambda what, *words: CliRunner().invoke(what, words)
    db.close()


def test_a_group_is_made_shown_and_sent_to(run):
    made = run(group, "add", "1nen1kumi", "本町の父", "--where", "地区 is 本町", "--where", "続柄 is 父")
    assert made.exit_code == 0, made.output
    assert "2 people, 2 by mail" in made.stderr
    assert (
        run(group, "add", "1nen1kumi", "川端", "--where", "学年 is 9", "--where", "or 地区 one_of 川端,月").exit_code
        == 0
    )
    shown = json.loads(run(group, "show", "--json").stdout)
    assert {one["name"]: one["people"] for one in shown} == {"本町の父": 2, "川端": 1}
    words = ("--subject", "水筒", "--body-file", "body.txt", "--by", "花子")
    sent = run(notice, "send", "--list", "1nen1kumi", "--not-group", "1nen1kumi/本町の父", *words)
    assert sent.exit_code == 0 and "2 letters to 1年1組" in sent.stderr, sent.output
    alone = run(notice, "send", "--group", "川端", *words)
    assert "1 letters to 川端" in alone.stderr and Notice.select().count() == 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("send", "--subject", "x", "--body-file", "body.txt", "--by", "花子"), 2, "--list or --group"),
        (("send", "--group", "無い", "--subject", "x", "--body-file", "body.txt", "--by", "花子"), 1, "no group"),
    ],
)
def test_no_recipients_are_refused_in_one_line(run, words, code, told):
    """D-06"""
    answer = run(notice, *words)
    assert answer.exit_code == code and told in answer.stderr and len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("rule", ["地区", "地区 like 本町", "地区 is"])
def test_a_bad_rule_is_named(run, rule):
    answer = run(group, "add", "1nen1kumi", "本町", "--where", rule)
    assert answer.exit_code == 1 and len(answer.stderr.splitlines()) == 1


def test_another_lists_group_is_refused(run):
    run(group, "add", "2nen1kumi", "二年", "--where", "学年 is 2")
    answer = run(notice, "send", "--group", "二年", "--subject", "x", "--body-file", "body.txt", "--by", "花子")
    assert answer.exit_code == 1 and "may not send to 2年1組" in answer.stderr


@pytest.mark.parametrize("name", ['Tシャツ "M"', "Tシャツ サイズ", "a'b"])
def test_a_rule_names_an_item_with_quotes_and_spaces(name):
    from cli.lists import _parse_rules

    ((word, rule),) = _parse_rules((f"or {name} one_of はい,is 2",))
    assert (word, rule.field, rule.op, rule.value) == ("or", f"item:{name}", "one_of", "はい,is 2")
