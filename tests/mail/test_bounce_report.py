"""What reports are taken for: a folder of samples written for this, and the sentences of many servers (D-37, N-08).

`inbound/expected.tsv` says of each sample kind, permanence, reason ("*": any) and the addresses that failed.
"""

import re
from pathlib import Path

import pytest

from mail import message
from mail.bounce.report import REASON_TEXTS, explain_message
from mail.bounce.verdict import Refusal, judge_refusal

SAMPLES = Path(__file__).parent / "inbound"
FORMS = sorted((Path(__file__).parent / "forms").glob("*.eml"))
"""Reports as fourteen mail systems write them around a server's line; words of our own notice follow."""
SAID = {True: "permanent", False: "temporary", None: "-"}


def rows() -> list[list[str]]:
    lines = (SAMPLES / "expected.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def sample(name: str) -> message.ParsedMessage:
    return message.parse_message((SAMPLES / f"{name}.eml").read_bytes())


@pytest.mark.parametrize(("name", "kind", "permanent", "reason", "failed"), rows(), ids=lambda row: row)
def test_a_sample_is_understood(name, kind, permanent, reason, failed):
    found = explain_message(sample(name))
    assert (found.kind, SAID[found.permanent], " ".join(found.failed) or "-") == (kind, permanent, failed)
    assert reason in ("*", found.reason or "-")
    if kind in ("bounce", "delayed"):
        assert found.reason in REASON_TEXTS


def test_every_sample_has_its_row_and_every_row_its_sample():
    assert {row[0] for row in rows()} == {path.stem for path in SAMPLES.glob("*.eml")}
    assert sum(row[1] == "bounce" for row in rows()) >= 80


def lines(name: str) -> list[str]:
    return [line for line in (SAMPLES / name).read_text(encoding="utf-8").splitlines() if line]


def judged(line: str) -> bool:
    """Judge one line of a server, refused at RCPT."""
    code, _, rest = line.partition(" ") if line[3] == " " else (line[:3], "", line[4:])
    first = rest.split(" ")[0].lstrip("#")
    enhanced = first if first[:2] in ("4.", "5.") and first[2:].replace(".", "").isdigit() else ""
    return judge_refusal(Refusal(line, int(code), enhanced, "rcpt", "parents.example")).permanent


def test_these_sentences_mean_that_the_address_is_dead():
    assert [line for line in lines("permanent.txt") if not judged(line)] == []
    assert len(lines("permanent.txt")) > 100


def test_these_sentences_exclude_nobody():
    assert [line for line in lines("temporary.txt") if judged(line)] == []
    assert len(lines("temporary.txt")) > 100


def report(form: Path, line: str) -> message.ParsedMessage:
    """Put a server's line into a system's report."""
    found = re.match(r"\d{3}[ -]#?([45]\.\d+\.\d+)", line)
    status = found[1] if found else f"{line[0]}.0.0"
    return message.parse_message(form.read_text("utf-8").replace("@LINE@", line).replace("@STATUS@", status).encode())


@pytest.mark.parametrize(("name", "permanent"), [("permanent.txt", True), ("temporary.txt", False)])
def test_a_sentence_means_the_same_in_every_system_s_report(name, permanent):
    """D-37: each line goes through three of the systems."""
    wrong = []
    for number, line in enumerate(lines(name)):
        for form in (FORMS[(number + step) % len(FORMS)] for step in (0, 5, 9)):
            found = explain_message(report(form, line))
            assert found.kind in ("bounce", "delayed"), (form.stem, line)
            if found.permanent is not permanent:
                wrong.append((form.stem, line, found.reason))
    assert len(FORMS) == 14 and not wrong


def test_several_recipients_only_ours_counts():
    mail = sample("dsn-two-one-soft")
    assert explain_message(mail, "Hanako@parents.example").permanent is True
    full = explain_message(mail, "taro@parents.example")
    assert (full.permanent, full.reason, full.failed) == (False, "full", ("taro@parents.example",))
    assert explain_message(mail, "nobody@parents.example").permanent is False


def test_the_letter_that_came_back_is_known():
    for name in ("postfix-user-unknown", "qmail-no-mailbox", "powermta", "exim-mailbox-full", "arf-redacted"):
        assert explain_message(sample(name)).original.message_id == "aaaaaaaqgezdgnbvgy3tqojq@mail.kaedehara.example"


def test_the_words_of_the_server_are_kept_short():
    found = explain_message(sample("postfix-user-unknown"))
    assert found.text.startswith("550 5.1.1 <hanako@parents.example>: Recipient address rejected")
    assert found.phase == "rcpt"
    long = (
        b"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n<a@b.example>:\nuser unknown 550 " + b"so " * 5000
    )
    assert len(explain_message(message.parse_message(long)).text) <= 500


def test_a_machine_that_reports_forgery_is_no_reader_who_complains():
    assert explain_message(sample("arf-abuse")).is_about_a_reader
    assert not explain_message(sample("arf-auth-failure")).is_about_a_reader
    assert not explain_message(sample("ordinary-reply")).is_about_a_reader


def test_words_of_our_own_letter_decide_nothing():
    """Behind the border stands what we wrote ourselves: it may well speak of full mailboxes."""
    raw = (SAMPLES / "qmail-no-mailbox.eml").read_bytes()
    raw = raw.replace(b"Content-Transfer-Encoding: base64", b"X: y") + b"Your mailbox is full. Quota exceeded.\n"
    found = explain_message(message.parse_message(raw))
    assert (found.reason, found.permanent) == ("unknown_user", True)


def test_a_server_that_gave_up_on_an_unknown_user_means_it():
    """A reply 450 is tried for days before the report: the mail says "unknown", the count waits for more of them."""
    line = "450 4.1.1 x@y.example User unknown"
    for form in FORMS:
        found = explain_message(report(form, line))
        assert (found.kind, found.permanent, found.reason) == ("bounce", True, "doubtful"), form.stem
    assert explain_message(report(FORMS[0], "450 4.2.0 mailbox unavailable, user unknown")).permanent is False


@pytest.mark.parametrize("name", ["zoho-two-fates", "qmail-two-fates"])
def test_of_two_fates_in_a_free_text_the_letter_s_recipient_decides(name):
    mail = sample(name)
    dead, full = explain_message(mail, "hanako@parents.example"), explain_message(mail, "Taro@family.example")
    assert (dead.permanent, dead.reason, dead.failed) == (True, "unknown_user", ("hanako@parents.example",))
    assert (full.permanent, full.reason, full.failed) == (False, "full", ("taro@family.example",))


@pytest.mark.parametrize("name", ["ses-json-unknown", "ses-json-full", "ses-json-complaint", "ses-json-delivery"])
def test_a_notification_in_json_names_our_letter(name):
    assert explain_message(sample(name)).original.message_id == "aaaaaaaqgezdgnbvgy3tqojq@mail.kaedehara.example"


@pytest.mark.parametrize(
    "body",
    [
        '{"notificationType": ' + '{"a":' * 10_000,
        '{"notificationType":"Bounce","bounce":{"bouncedRecipients":[null,1,"x",{"emailAddress":{}}]}}',
        '{"notificationType":"Bounce","bounce":[],"mail":{"headers":[1,{"name":1}],"destination":[{}]}}',
        '{"Type":"Notification","Message":"{\\"notificationType\\":\\"Complaint\\"}"}',
        '{"eventType":"Bounce","Message":"x"}',
    ],
)
def test_a_notification_that_is_not_well_made_raises_nothing(body):
    found = explain_message(message.parse_message(b"From: no-reply@sns.amazonaws.com\n\n" + body.encode()))
    assert found.permanent is not True
