"""`flask notice send`, `flask notice show`, `flask work --drain` (design 4)."""

import json
import signal
from datetime import timedelta

import pytest
from click.testing import CliRunner

import clock
from cli.notice import notice
from cli.work import work
from core.notices import questions, start
from core.responses import answers, read_confirmations
from core.responses.answers import SubmittedAnswer
from database import db
from models import Attachment, AuditLog, Delivery, Letter, Membership, Notice
from tests import files, smarthost
from tests.cast_notices import PHONE


@pytest.fixture
def run(school, config, monkeypatch, tmp_path):
    """Run one command on the installation of this test."""
    monkeypatch.setenv("KAIRAN_DATA", str(config.data))
    monkeypatch.setenv("KAIRAN_MAIL_DOMAIN", config.mail_domain)
    monkeypatch.setenv("KAIRAN_RATE", "0")
    (tmp_path / "body.txt").write_text("保護者の皆様\n\n明日は水筒をお持ちください。\n", "utf-8")
    monkeypatch.chdir(tmp_path)

    def command(what, *words, typed=None):
        return CliRunner().invoke(what, words, input=typed)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)
    db.close()


def send(run, *more, to="1nen1kumi", subject="水筒", body="body.txt", by="花子", typed=None):
    words = ("--list", to, "--subject", subject, "--body-file", body, "--by", by, *more)
    return run(notice, "send", *words, typed=typed)


def test_the_number_alone_stands_on_stdout_the_counts_on_stderr(run):
    answer = send(run)
    assert answer.exit_code == 0, answer.output
    made = Notice.get()
    assert answer.stdout == f"{made.id}\n"
    assert "4 letters to 1年1組" in answer.stderr
    assert "1 without a letter: No address: to be told by telephone" in answer.stderr
    assert (made.state, made.route, made.by_name, made.read_confirmation) == ("held", "terminal", "花子", False)
    assert made.send_at <= clock.now() and not Letter.select().exists()


@pytest.mark.proves("N-04")
def test_words_of_a_template_are_named_and_nothing_is_sent(run, tmp_path):
    (tmp_path / "body.txt").write_text("〔日付〕は、〔理由〕のため休校です。\n", "utf-8")
    answer = send(run, subject="〔日付〕は休校です")
    assert answer.exit_code == 1 and "〔日付〕 〔理由〕" in answer.stderr
    assert not Notice.select().exists()


def test_a_user_is_found_by_a_name_of_two_words_and_by_the_address(run, school):
    for by in ("送る子", "送る 子", "user3@school.example"):
        answer = send(run, by=by)
        assert answer.exit_code == 0, answer.output
    assert {made.by_name for made in Notice.select()} == {"送る子"}


def test_files_go_with_it_or_nothing_goes(run, tmp_path):
    """Decision 12; a command is the check, so no file waits to be opened."""
    (tmp_path / "しおり.pdf").write_bytes(files.PDF)
    (tmp_path / "page.pdf").write_bytes(b"<html>")
    assert send(run, "--attach", "しおり.pdf").exit_code == 0
    assert [one.name for one in Attachment.select()] == ["しおり.pdf"]
    answer = send(run, "--attach", "しおり.pdf", "--attach", "page.pdf")
    assert answer.exit_code == 1 and "page.pdf" in answer.stderr
    assert (Notice.select().count(), Attachment.select().count()) == (1, 1)


def test_options_reach_the_notice(run):
    send(run, "--urgent", "--read-confirmation")
    made = Notice.get()
    assert (made.urgent, made.read_confirmation, made.useful_s) == (True, True, 6 * 3600)
    assert made.wording.text == "保護者の皆様\n\n明日は水筒をお持ちください。\n"


def test_the_text_may_come_from_standard_input(run):
    assert send(run, body="-", typed="こんにちは\n").exit_code == 0
    assert Notice.get().wording.text == "こんにちは\n"


def test_the_text_may_come_from_windows(run, tmp_path):
    (tmp_path / "bom.txt").write_bytes("\ufeffこんにちは\r\n".encode())
    assert send(run, body="bom.txt").exit_code == 0
    assert Notice.get().wording.text.startswith("こんにちは")
    (tmp_path / "cp932.txt").write_bytes("こんにちは".encode("cp932"))
    answer = send(run, body="cp932.txt")
    assert (answer.exit_code, answer.stdout) == (1, "") and "cp932.txt is not written in UTF-8" in answer.stderr
    assert Notice.select().count() == 1


@pytest.mark.parametrize("wanted", ["1nen1kumi", "1年1組", "2"])
def test_a_list_is_named_by_address_name_or_number(run, wanted):
    assert send(run, to=wanted).exit_code == 0
    assert [one.number for one in Notice.get().targets] == [2]


def test_several_lists_and_the_whole_school_need_no_typed_number_here(run):
    answer = send(run, "--list", "2nen1kumi", "--list", "zenko", by="守")
    assert answer.exit_code == 0 and "6 letters to 1年1組, 2年1組, 全校" in answer.stderr


def test_with_hold_it_can_be_cancelled_for_the_usual_time(run):
    send(run, "--hold")
    assert Notice.get().send_at > clock.now() + timedelta(seconds=170)


def test_a_time_books_it_in_the_schools_zone(run):
    answer = send(run, "--at", "2099-04-01T07:00")
    assert answer.exit_code == 0
    made = Notice.get()
    assert (made.state, made.send_at.isoformat()) == ("scheduled", "2099-03-31T22:00:00+00:00")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"to": "nirgends"}, 1, "There is no list 'nirgends'"),
        ({"by": "誰か"}, 1, "There is no user '誰か'"),
        ({"by": "太郎"}, 1, "太郎 may not send to 1年1組"),
        ({"by": "見る子"}, 1, "見る子 may not send to 1年1組"),
        ({"subject": " "}, 1, "Write a subject"),
        ({"body": "nichts.txt"}, 2, "nichts.txt"),
        ({"body": "-", "typed": "\n"}, 1, "Write the text"),
    ],
)
def test_what_cannot_be_sent_is_one_clear_refusal(run, options, code, said):
    answer = send(run, **options)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert said in answer.stderr and "Traceback" not in answer.stderr
    assert not Notice.select().exists()


@pytest.mark.parametrize(("at", "code"), [("2020-01-01T07:00", 1), ("morgen", 2), ("2099-13-01T07:00", 2)])
def test_a_time_that_is_none_or_has_passed_sends_nothing(run, at, code):
    answer = send(run, "--at", at)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert not Notice.select().where(Notice.state != "draft").exists()


def test_missing_options_are_wrong_usage(run):
    assert run(notice, "send", "--list", "1nen1kumi").exit_code == 2


# questions


def test_a_question_goes_along_and_show_counts_its_answers(run, school):
    """T-49, T-52"""
    answer = send(
        run, "--question", "出席しますか", "--choice", "はい", "--choice", "いいえ", "--deadline", "2099-01-31"
    )
    assert answer.exit_code == 0, answer.output
    made = Notice.get()
    asked = questions.load_questions(made)[0]
    assert questions.deadline_text("ja", asked.deadline) == "1月31日(土)"
    start.start_due_notices(clock.now())
    first, other = Delivery.select().where(Delivery.reason == "").order_by(Delivery.id)[:2]
    answers.submit_answers(
        read_confirmations.delivery_by_token(first.token), {asked.id: SubmittedAnswer(2)}, agent=PHONE, now=clock.now()
    )
    document = json.loads(run(notice, "show", str(made.id), "--json", "--deliveries").stdout)
    assert document["answers"] == 1
    assert [(one["number"], one["count"]) for one in document["questions"][0]["choices"]] == [(1, 0), (2, 1)]
    rows = {row["address"]: row["answers"] for row in document["deliveries"]}
    assert [(one["choice"], one["text"]) for said in rows.values() for one in said] == [(2, "いいえ")]
    assert "2. いいえ  1" in run(notice, "show", str(made.id)).stdout


def test_several_questions_come_from_a_file(run, tmp_path):
    entries = [
        {
            "text": "出席",
            "choices": ["はい", "いいえ"],
            "unit": "person",
            "comment": True,
            "deadline": "2099-01-31T21:00",
        },
        {"text": "お弁当", "choices": ["要る", "要らない"]},
    ]
    (tmp_path / "q.json").write_text(json.dumps(entries), "utf-8")
    assert send(run, "--questions-file", "q.json").exit_code == 0
    made = questions.load_questions(Notice.get())
    assert [(one.text, one.unit, one.comment) for one in made] == [
        ("出席", "person", True),
        ("お弁当", "household", False),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "it is no JSON"),
        ("[]", "it must hold a list of questions"),
        ('[{"text": "q"}]', "question 1 needs a text and a list of choices"),
        ('[{"text": "q", "choices": ["a", 2]}]', "question 1 needs a text and a list of choices"),
        ('[{"text": "q", "choices": ["a", "b"], "deadline": "soon"}]', "deadline 'soon' is no time"),
        ('[{"text": "q", "choices": ["a", "b"], "unit": "class"}]', "unit is one of"),
        ('[{"text": "q", "choices": ["a", "b"], "colour": 1}]', "question 1 must have only"),
        ('[{"text": "q", "choices": ["a"]}]', "A question needs at least two choices."),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_sent(run, tmp_path, content, sentence):
    (tmp_path / "q.json").write_text(content, "utf-8")
    answer = send(run, "--questions-file", "q.json")
    assert answer.exit_code == 1 and sentence in answer.stderr
    assert not Notice.select().exists()


@pytest.mark.parametrize(
    "words",
    [("--choice", "a"), ("--deadline", "2099-01-01"), ("--question", "q", "--choice", "a", "--deadline", "soon")],
)
def test_options_that_do_not_fit_together_are_wrong_usage(run, words):
    assert send(run, *words).exit_code == 2


# work --drain and show


def test_draining_sends_and_show_tells_it(run, monkeypatch):
    with smarthost.running() as (host, port):
        monkeypatch.setenv("KAIRAN_SMTP", f"smtp://127.0.0.1:{port}")
        host.rules["naoki@"] = "550 5.1.1 User unknown"
        number = send(run).stdout.strip()
        drained = run(work, "--drain")
        assert (drained.exit_code, drained.stdout) == (0, ""), drained.stderr
    assert sorted(host.to()) == ["aoyama.k@example.com", "misaki@mobile.example.jp", "suzuki@example.com"]
    document = json.loads(run(notice, "show", number, "--json", "--deliveries").stdout)
    assert (document["number"], document["state"]) == (int(number), "sent")
    counts = {state: count for state, count in document["counts"].items() if count}
    assert counts == {"accepted": 3, "refused": 1, "skipped": 3}
    assert len(document["deliveries"]) == Delivery.select().count() == 7
    assert "deliveries" not in json.loads(run(notice, "show", number, "--json").stdout)
    shown = run(notice, "show", number, "--deliveries")
    assert "accepted   3" in shown.stdout and "naoki@example.jp  refused  unknown_user" in shown.stdout


def test_a_server_that_is_away_is_one_clear_line_and_nothing_is_lost(run, monkeypatch):
    monkeypatch.setenv("KAIRAN_SMTP", f"smtp://127.0.0.1:{smarthost.closed_port()}")
    send(run)
    drained = run(work, "--drain")
    assert (drained.exit_code, drained.stdout) == (1, "")
    assert drained.stderr.strip().splitlines()[-1].startswith("The mail server cannot be used (connect)")
    assert Notice.get().state == "paused"
    with smarthost.running() as (host, port):
        monkeypatch.setenv("KAIRAN_SMTP", f"smtp://127.0.0.1:{port}")
        assert run(work, "--drain").exit_code == 0
    assert len(host.mails) == 4 and Notice.get().state == "sent"


def test_draining_with_nothing_due_ends_at_once(run):
    assert run(work, "--drain").exit_code == 0
    assert not AuditLog.select().where(AuditLog.action == "notice.started").exists()


@pytest.mark.parametrize("words", [["show", "99"], ["show", "99", "--json"]])
def test_an_unknown_notice_is_a_clear_failure(run, words):
    answer = run(notice, *words)
    assert (answer.exit_code, answer.stdout, answer.stderr) == (1, "", "There is no notice 99.\n")


def test_merge_fields_follow_the_rules_of_the_pages(run, tmp_path, school):
    """N-13, D-22, D-24, D-25 on the terminal: refused, skipped and named, or left empty."""
    of_naoki = Membership.person == school.people["石川 直樹"]
    Membership.update(attributes={"当番日": "10月20日"}).where(of_naoki).execute()
    for text, told in (("{{当番}}", "Did you mean “当番日”"), ("{{送信者の署名}}", "Your signature is not entered")):
        (tmp_path / "body.txt").write_text(text, "utf-8")
        refused = send(run)
        assert refused.exit_code == 1 and told in refused.stderr and not Notice.select().exists()
    (tmp_path / "body.txt").write_text("{{当番日}}", "utf-8")
    skipped, kept = send(run), send(run, "--fields-may-be-empty")
    assert "1 letters to 1年1組" in skipped.stderr and "3 of them because “当番日” is empty" in skipped.stderr
    assert "4 letters to 1年1組" in kept.stderr
