"""The engine against a real server that accepts, defers, refuses, drops (design 5, T-13, T-14, D-37, D-38)."""

import email
import email.policy
import os
import re
from collections import Counter
from datetime import timedelta

import dkim
import pytest

import clock
import config as ground
import models
from core.notices import start, workflow
from core.notices.questions import QuestionDraft
from core.notifications.kinds import KINDS
from core.notifications.notify import notify
from mail.dkim_signer import dns_record
from models import Delivery, Letter, Membership, Person
from tests import smarthost
from tests.real.sample_letters import send_every_kind
from tests.smarthost import begun, confirmed, drained, fresh, later, letter_to, sender, states, written

NAOKI, MEGUMI = "naoki@example.jp", "megumi.@mobile.example.jp"


# every reader one letter


@pytest.mark.proves("T-13", "D-04", "N-02", "E-08")
def test_everybody_gets_exactly_one_letter_in_a_transaction_of_its_own(school, host, hanako):
    """T-13, D-04, E-08."""
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    wanted = {"aoyama.k@example.com", "misaki@mobile.example.jp", NAOKI, "suzuki@example.com"}
    assert Counter(host.to()) == Counter(wanted)
    assert all(len(recipients) == 1 for _, recipients, _, _ in host.mails)
    assert states(notice) == {"accepted": 4}
    assert (fresh(notice).state, bool(fresh(notice).finished_at)) == ("sent", True)
    letter = letter_to(notice, NAOKI)
    assert (letter.code, letter.attempts, letter.enhanced) == (250, 1, "2.0.0")


def text_parts(host) -> list[str]:
    """Return the text part of each letter that the server took."""
    mails = [email.message_from_bytes(raw, policy=email.policy.default) for _, _, raw, _ in host.mails]
    return [one.get_body(("plain",)).get_content().replace("\r\n", "\n") for one in mails]


@pytest.mark.proves("N-02")
def test_all_readers_get_the_same_words(school, host, hanako):
    begun(hanako, [school.lists["1-1"]], text="一行目\n二行目\n")
    assert drained()
    words = {text.partition("─")[0].strip() for text in text_parts(host)}
    assert len(host.mails) == 4 and words == {"一行目\n二行目"}


@pytest.mark.proves("T-42", "D-26", "D-27", "D-28")
@pytest.mark.parametrize(("read", "footer"), [(True, True), (True, False), (False, True), (False, False)])
def test_options_of_the_notice_stand_in_the_letter(school, host, hanako, read, footer):
    """Read confirmation, then the way to stop, then the postal address at the very bottom; each as the notice says."""
    begun(hanako, [school.lists["1-1"]], text="本文です。", read_confirmation=read, footer=footer)
    assert drained()
    assert len(host.mails) == 4
    for text in text_parts(host):
        assert "本文です。" in text
        assert (re.search(r"/r/[a-z2-7]{26}\b", text) is not None) is read
        assert ("/u/" in text) is footer
        assert ("〒000-0000 例示県例示市かえで原1-2-3" in text.strip().splitlines()[-1]) is footer
        places = [text.find(one) for one in ("本文です。", "/r/", "/u/", "〒") if one in text]
        assert places == sorted(places)


@pytest.mark.proves("T-49")
def test_every_reader_has_an_own_link_for_every_choice(school, host, hanako):
    draft = written(
        hanako, [school.lists["1-1"]], text="本文です。", questions=[QuestionDraft("出欠", ("出席", "欠席"))]
    )
    notice = confirmed(draft, hanako)
    start.start_due_notices(clock.now())
    assert drained()
    tokens = {one.token for one in Delivery.select().where(Delivery.notice == notice, Delivery.reason == "")}
    seen = set()
    for text in text_parts(host):
        links = re.findall(r"https?://\S+/a/([a-z2-7]{26})/(\d)", text)
        assert [number for _, number in links] == ["1", "2"] and len({token for token, _ in links}) == 1
        seen.add(links[0][0])
        assert text.index("本文です。") < text.index("【アンケート】") < text.index("/a/") < text.index("〒")
    assert seen == tokens and len(tokens) == 4


@pytest.mark.proves("E-13")
def test_every_letter_that_leaves_is_signed(school, host, config):
    """Of every kind; the real verifier of tests/real is not needed."""
    record = dns_record(config.key("dkim.pem"))
    mails = send_every_kind(school, host)
    assert len(mails) >= 20
    assert all(dkim.verify(raw, dnsfunc=lambda asked, timeout=5: record.encode()) for raw in mails)


@pytest.mark.proves("E-13")
@pytest.mark.parametrize("language", ["ja", "en"])
def test_service_letters_of_every_kind_are_signed(school, host, config, language):
    """Automatic replies, digests and release links included: each kind of the catalogue is sent once."""
    for kind, message in KINDS.items():
        names = re.findall(r"%\((\w+)\)", message.subject + message.text)
        notify(kind, f"{kind}@example.com", clock.now(), language=language, **dict.fromkeys(names, "値"))
    assert {"digest", "release", "leave", "welcome", "own"} <= set(KINDS)
    assert drained()
    assert sorted(host.to()) == sorted(f"{kind}@example.com" for kind in KINDS)
    record = dns_record(config.key("dkim.pem")).encode()
    for _, (recipient,), raw, _ in host.mails:
        assert dkim.verify(raw, dnsfunc=lambda asked, timeout=5: record), recipient
        assert b"<postmaster@" in raw.partition(b"\r\nFrom: ")[2].partition(b"\r\nTo: ")[0], "as no list sends it"
        assert not dkim.verify(raw.replace(b"Subject: ", b"Subject: x", 1), dnsfunc=lambda asked, timeout=5: record)


def test_letters_share_a_connection(school, host, hanako):
    begun(hanako, [school.lists["1-1"]])
    assert drained()
    assert len({connection for *_, connection in host.mails}) == 1


# N-08
@pytest.mark.proves("T-14", "D-04", "N-08", "E-06", "E-08")
def test_no_letter_holds_the_address_of_anybody_else(school, host):
    """T-14, also when the writer is a reader too: his own address stands in his own letter alone."""
    writer = school.users["守"]
    Person.update(address=writer.email, address_key=writer.email, name=writer.name).where(
        Person.id == school.people["石川 直樹"].id
    ).execute()
    begun(writer, [school.lists["whole"]], urgent=True)
    assert drained()
    own = {one.address for one in Person.select() if one.address} | {one.email for one in models.User.select()}
    assert len(host.mails) == 6
    for sent_from, (recipient,), raw, _ in host.mails:
        seen = _all_that_can_be_read(raw) + sent_from.encode()
        for address in own - {recipient.replace('"', "")}:
            assert address.encode() not in seen, (address, recipient)
        for number in [one.id for one in models.User.select()]:
            assert f"user{number}".encode() not in seen or recipient.startswith("user")


def _all_that_can_be_read(raw):
    """Return a mail's bytes with everything that base64 hides."""
    import base64
    import email
    import email.header

    mail = email.message_from_bytes(raw)
    shown = [raw] + [part.get_payload(decode=True) or b"" for part in mail.walk()]
    for value in mail.values():
        shown.append(str(email.header.make_header(email.header.decode_header(value))).encode())
    for word in re.findall(rb"[A-Za-z0-9+/]{16,}", raw):
        shown.append(base64.b64decode(word[: len(word) // 4 * 4]))
    return b"\n".join(shown)


@pytest.mark.proves("T-44")
def test_each_letter_has_its_own_return_path_reply_address_and_links(school, host, hanako):
    begun(hanako, [school.lists["1-1"]], read_confirmation=True)
    assert drained()
    assert len({sent_from for sent_from, *_ in host.mails}) == 4
    assert all(sent_from.startswith("b-") for sent_from, *_ in host.mails)
    for header in (rb"Reply-To: r-(\S+)@", rb"Message-ID: <(\S+)>"):
        assert len({re.search(header, raw)[1] for *_, raw, _ in host.mails}) == 4, header
    assert len({re.search(rb"/u/([a-z2-7]{26})/one-click", raw)[1] for *_, raw, _ in host.mails}) == 4
    assert not [raw for _, _, raw, _ in host.mails if re.search(rb"\nBcc:|\nCc:", raw)]


@pytest.mark.proves("E-13")
def test_letters_are_signed(school, host, hanako):
    begun(hanako, [school.lists["1-1"]])
    assert drained()
    assert all(raw.startswith(b"DKIM-Signature: ") for *_, raw, _ in host.mails)


# what servers say


@pytest.mark.parametrize(
    ("rule", "state", "reason", "code"),
    [
        ("451 4.7.1 try later", "deferred", "temporary", 451),
        ("452 4.2.2 mailbox full", "deferred", "full", 452),
        ("421 4.3.2 closing", "deferred", "temporary", 421),
        ("550 5.1.1 User unknown", "refused", "unknown_user", 550),
        ("data 550 5.7.1 spam", "refused", "content", 550),
        ("data 552 5.2.2 mailbox full", "deferred", "full", 552),
        ("data 451 4.3.0 trouble", "deferred", "temporary", 451),
        ("vanish", "unknown", "", None),
    ],
)
def test_each_answer_has_its_state_and_reason_and_the_others_go_on(school, host, hanako, rule, state, reason, code):
    host.rules[NAOKI] = rule
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    letter = letter_to(notice, NAOKI)
    assert (letter.state, letter.reason, letter.code) == (state, reason, code)
    assert states(notice) == {"accepted": 3, state: 1}
    assert fresh(notice).state == ("sending" if state == "deferred" else "sent")


@pytest.mark.proves("D-37", "D-38")
def test_an_unknown_user_is_excluded_next_time(school, host, hanako):
    """D-37, D-38."""
    host.rules[NAOKI] = "550 5.1.1 User unknown"
    begun(hanako, [school.lists["1-1"]])
    drained()
    assert fresh(school.people["石川 直樹"]).address_state == "bounced"
    host.rules.clear()
    host.mails.clear()
    begun(hanako, [school.lists["1-1"]])
    drained()
    assert NAOKI not in host.to() and len(host.mails) == 3


def test_a_deferred_letter_is_tried_after_1_5_15_60_minutes_and_4_hours(school, host, hanako):
    host.rules[NAOKI] = "451 4.7.1 greylisted"
    notice = begun(hanako, [school.lists["1-1"]])
    for tried, minutes in enumerate((1, 5, 15, 60, 240, 240), 1):
        drained()
        letter = letter_to(notice, NAOKI)
        assert (letter.attempts, letter.next_attempt_at - letter.done_at) == (tried, timedelta(minutes=minutes))
        later(minutes=minutes, seconds=-1)
        drained()
        assert host.asked.count(NAOKI) == tried
        later(seconds=1)
    host.rules.clear()
    drained()
    assert states(notice) == {"accepted": 4} and fresh(notice).state == "sent"


def test_it_is_given_up_when_it_is_no_longer_useful(school, host, hanako):
    host.rules[NAOKI] = "451 4.7.1 greylisted"
    notice = begun(hanako, [school.lists["1-1"]], urgent=True)
    for _ in range(12):
        drained()
        later(hours=1)
    assert letter_to(notice, NAOKI).state == "expired" and fresh(notice).state == "sent"
    assert letter_to(notice, NAOKI).attempts == 5


def test_every_try_of_a_letter_has_the_same_message_id(school, host, hanako):
    host.rules[NAOKI] = ["vanish", "data 451 4.3.0 trouble", "451 4.7.1 x"]
    notice = begun(hanako, [school.lists["1-1"]], urgent=True)
    for _ in range(4):
        drained()
        later(hours=1)
    assert letter_to(notice, NAOKI).state == "accepted"
    mine = [smarthost.message_id(raw) for _, (to,), raw, _ in host.mails if to == NAOKI]
    assert len(mine) == 2 and len(set(mine)) == 1


def test_an_address_that_breaks_the_rules_is_tried_quoted_then_bare_and_that_is_remembered(school, host):
    """Field 3.5."""
    by = school.users["太郎"]
    host.rules['"megumi."@'] = "501 5.1.3 bad address"
    notice = begun(by, [school.lists["2-1"]])
    assert drained()
    assert letter_to(notice, MEGUMI).state == "accepted"
    assert fresh(school.people["木村 恵"]).bare
    assert [one for one in host.asked if "megumi" in one] == ['"megumi."@mobile.example.jp', MEGUMI]
    host.asked.clear()
    begun(by, [school.lists["2-1"]])
    assert drained()
    assert [one for one in host.asked if "megumi" in one] == [MEGUMI]


@pytest.mark.parametrize("code", ["501", "553"])
def test_an_address_refused_in_both_spellings_is_refused(school, host, code):
    host.rules['"megumi."@'] = host.rules["megumi."] = f"{code} 5.1.3 bad address"
    notice = begun(school.users["太郎"], [school.lists["2-1"]])
    assert drained()
    assert letter_to(notice, MEGUMI).state == "refused" and letter_to(notice, MEGUMI).attempts == 1
    assert not fresh(school.people["木村 恵"]).bare


# looking again at the claim


def test_who_stopped_left_or_bounced_meanwhile_gets_nothing(school, host, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    for name, state in (("青山 健太", "stopped"), ("青山 美咲", "left")):
        Membership.update(state=state).where(
            Membership.person == school.people[name], Membership.list == school.lists["1-1"]
        ).execute()
    Person.update(address_state="bounced").where(Person.id == school.people["石川 直樹"].id).execute()
    assert drained()
    assert host.to() == ["suzuki@example.com"]
    rows = Letter.select().where(Letter.notice == notice)
    found = {one.address: (one.state, one.reason, one.attempts) for one in rows}
    assert found[NAOKI] == ("skipped", "bounced", 0)
    assert found["aoyama.k@example.com"] == ("skipped", "stopped", 0)
    assert found["misaki@mobile.example.jp"] == ("skipped", "left", 0)


def test_a_corrected_address_gets_the_letter(school, host, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    Person.update(address="new@example.jp", address_key="new@example.jp").where(
        Person.id == school.people["石川 直樹"].id
    ).execute()
    assert drained()
    assert "new@example.jp" in host.to() and NAOKI not in host.to()
    assert letter_to(notice, "new@example.jp").address == "new@example.jp"


def test_urgent_letters_leave_first(school, host, hanako):
    first = begun(hanako, [school.lists["1-1"]], subject="plain")
    later(seconds=1)
    begun(hanako, [school.lists["1-1"]], subject="urgent", urgent=True)
    assert drained()
    subjects = [re.search(rb"\nSubject: (\w+)", raw)[1] for *_, raw, _ in host.mails]
    assert subjects == [b"urgent"] * 4 + [b"plain"] * 4
    assert fresh(first).state == "sent"


def test_stopping_in_the_middle_keeps_the_rest_of_the_batch_here(school, host, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()

    def somebody_stops_after_two():
        if len(host.mails) == 2 and fresh(notice).state == "sending":
            workflow.stop_sending(notice, hanako, clock.now())
        return False

    heart.run_once(somebody_stops_after_two)
    heart.close()
    # the third was handed over with the commit of the second
    assert states(notice) == {"accepted": 3, "cancelled": 1}
    assert len(host.mails) == 3


def test_a_sender_told_to_end_gives_back_what_it_has_not_handed_over(school, host, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(lambda: len(host.mails) == 2)
    heart.close()
    assert states(notice) == {"accepted": 2, "waiting": 2}
    assert {one.attempts for one in Letter.select().where(Letter.state == "waiting")} == {0}
    assert drained()
    assert set(host.times().values()) == {1} and len(host.mails) == 4


# service letters


def test_a_service_letter_loses_its_secrets_once_accepted(school, host):
    now = clock.now()
    letter = notify("login", "a@example.com", now, language="ja", url="http://kairan.test/x/geheim")
    host.rules["a@"] = ["451 4.7.1 later"]
    drained()
    assert "geheim" in str(fresh(letter).payload)
    later(minutes=2)
    drained()
    assert b"geheim" in _all_that_can_be_read(host.mails[0][2])
    assert (fresh(letter).state, fresh(letter).payload["url"]) == ("accepted", "")


def test_a_service_letter_to_a_dead_address_touches_nobody(school, host):
    host.rules["a@"] = "550 5.1.1 User unknown"
    letter = notify("login", "a@example.com", clock.now(), language="ja", url="geheim")
    assert drained()
    assert fresh(letter).state == "refused" and "geheim" not in str(fresh(letter).payload)


def test_a_letter_that_cannot_be_written_does_not_stop_the_others(school, host, hanako, caplog):
    notice = begun(hanako, [school.lists["1-1"]])
    broken = notify("login", "a@example.com", clock.now(), language="ja")
    Letter.update(address="a b@example.com").where(Letter.id == letter_to(notice, NAOKI).id).execute()
    Person.update(address="a b@example.com").where(Person.id == school.people["石川 直樹"].id).execute()
    assert drained()
    assert states(notice) == {"accepted": 3, "refused": 1}
    assert fresh(broken).state == "deferred" and fresh(broken).next_attempt_at > clock.now() + timedelta(minutes=10)
    assert f"letter {broken.id} cannot be written (KeyError)" in caplog.text
    assert "example.com" not in caplog.text


# the ways to run


def test_a_running_sender_notices_new_letters_and_ends_when_told(school, host, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run(lambda: len(host.mails) == 4)
    assert states(notice) == {"accepted": 4}
    assert not list((ground.current_config().data / "run").iterdir())


@pytest.mark.proves("E-20")
def test_without_a_server_letters_go_to_the_outbox_and_count_as_practice(school, config, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    assert len(list((config.data / "outbox").iterdir())) == 4
    assert (fresh(notice).state, fresh(notice).practice) == ("sent", True)


def test_draining_begins_what_is_due_and_leaves_what_is_not(school, host, hanako):
    due = confirmed(written(hanako, [school.lists["1-1"]]), hanako)
    booked = confirmed(written(hanako, [school.lists["1-1"]]), hanako, at=clock.now() + timedelta(hours=1))
    assert drained()
    assert (fresh(due).state, fresh(booked).state) == ("sent", "scheduled")


def test_a_sender_lives_until_its_lock_can_be_taken(config):
    first, second = sender(), sender()
    assert not second.lock.is_dead(first.lock.name) and not second.lock.is_dead(second.lock.name)
    assert second.lock.is_dead("sender-1-gone")
    first.lock._file.close()  # as the kernel does when a process dies
    assert second.lock.is_dead(first.lock.name)
    second.close()


def test_locks_of_the_long_dead_are_cleared_away_and_nobody_elses(config):
    folder = config.data / "run"
    living, dead, young = sender(), folder / "sender-1-old", folder / "sender-2-young"
    for path in (dead, young):
        path.touch()
    for path in (dead, folder / living.lock.name):
        os.utime(path, (1, 1))
    another = sender()
    assert {path.name for path in folder.iterdir()} == {living.lock.name, another.lock.name, young.name}
    living.close()
    another.close()
