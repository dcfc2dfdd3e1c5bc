"""Where incoming mail goes: roads, gate, one row for each mail and recipient (design 2c, 3; inbound 1)."""

import json
from datetime import timedelta

import pytest

import clock
from core.inbound import allowed_senders, dispatch, replies, spool
from core.inbound.message import read_inbound_mail
from core.notices.questions import QuestionDraft
from core.settings import load_settings
from mail.address import make_old_verp_tag, make_verp_tag, message_id, reply_address, return_path
from models import Answer, AuditLog, Delivery, InboundMessage, Letter, Notice, Organization, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, dns, mail, signed

LIST = f"1nen1kumi@{DOMAIN}"


@pytest.fixture(autouse=True)
def no_dns(monkeypatch):
    """Every test has a DNS that knows nobody, so no question leaves the machine."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns())


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")


def letter_of(sent, name: str = "青山 健太") -> Letter:
    return Letter.get(Letter.delivery == sent.deliveries[name])


def come(raw: bytes, to: str, envelope: str = "x@example.jp") -> InboundMessage:
    return dispatch.handle_message(raw, envelope, to, clock.now())


def dsn(letter: Letter, status: str = "5.1.1", action: str = "failed", said: str = "550 5.1.1 User unknown") -> bytes:
    """A report as Postfix writes it."""
    ours = message_id(letter.id, load_settings().secret, DOMAIN)
    return f"""From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
To: {return_path(letter.id, load_settings().secret, DOMAIN)}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

<{letter.address}>: host mx.example.com said: {said} (in reply to RCPT TO command)

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.school.example

Final-Recipient: rfc822; {letter.address}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; {said}

--B
Content-Type: message/rfc822

From: 1nen1kumi@{DOMAIN}
To: {letter.address}
Subject: x
Message-ID: {ours}
X-Kairan-Letter: {make_verp_tag(letter.id, "return", load_settings().secret)}

text
--B--
""".encode()


# ── roads ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-26")
@pytest.mark.parametrize(
    ("local", "kind"),
    [
        ("1nen1kumi", "post"),
        ("1NEN1KUMI", "post"),
        ("1nen1kumi-join", "join"),
        ("1nen1kumi-leave", "leave"),
        ("postmaster", "house"),
        ("Abuse", "house"),
        ("1nen1kumi-join-aaaa", None),
        ("nobody", None),
        ("nobody-join", None),
        ("kyonen", None),
        ("kyonen-join", None),
        ("b-" + "a" * 24, None),
        ("r-" + "a" * 24, None),
        ("", None),
    ],
)
def test_the_roads(school, local, kind):
    """T-26: every list has its own addresses; a closed list has none."""
    place = dispatch.resolve_recipient(f"{local}@{DOMAIN}")
    assert (place and place.kind) == kind


def test_marks_lead_to_their_letter_whatever_their_case(school):
    secret = load_settings().secret
    for kind, address in (("return", return_path(7, secret, DOMAIN)), ("reply", reply_address(7, secret, DOMAIN))):
        for written in (address, address.upper()):
            place = dispatch.resolve_recipient(written)
            assert (place.kind, place.letter, place.has_verp_tag) == (kind, 7, True)
    forged = make_verp_tag(7, "return", b"another key")
    assert dispatch.resolve_recipient(f"b-{forged}@{DOMAIN}") is None


def test_practice_lists_take_no_mail(school):
    from core.accounts import accounts

    made = accounts.ensure_practice_list(school.users["花子"], clock.now())
    assert dispatch.resolve_recipient(f"{made.address}@{DOMAIN}") is None
    assert dispatch.resolve_recipient(f"{school.lists['1-1'].address}@{DOMAIN}") is not None


# ── once and only once ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_bytes_to_the_same_recipient_change_nothing(sent):
    """Design 2c."""
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    raw = mail("aoyama.k@example.com", to, "Re: 運動会", "行きます")
    first = come(raw, to)
    before = Letter.select().count()
    assert come(raw, to).id == first.id
    assert (InboundMessage.select().count(), Letter.select().count()) == (1, before)


def test_the_effect_and_the_row_are_one(sent, monkeypatch):
    """A fault after the effect takes the effect back: the next try does it once."""
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    raw = mail("aoyama.k@example.com", to, "Re: 運動会", "行きます")
    sane = dispatch._save_result

    def broken(*args):
        raise OSError("no room")

    monkeypatch.setattr(dispatch, "_save_result", broken)
    before = Letter.select().count()
    with pytest.raises(OSError, match="no room"):
        come(raw, to)
    assert Delivery.get_by_id(letter.delivery_id).replied_at is None
    assert Letter.select().count() == before
    monkeypatch.setattr(dispatch, "_save_result", sane)
    assert come(raw, to).outcome == "done"
    assert Delivery.get_by_id(letter.delivery_id).replied_at is not None


def test_what_failed_is_not_counted_against_the_next_try(school, monkeypatch):
    """A blank mail is answered once in ten minutes: a try that came to nothing must not silence the next one."""
    to, sane = f"1nen1kumi-join@{DOMAIN}", dispatch._save_result
    raw = mail("new@example.jp", to)

    def broken(*args):
        raise OSError("no room")

    monkeypatch.setattr(dispatch, "_save_result", broken)
    with pytest.raises(OSError, match="no room"):
        come(raw, to, "new@example.jp")
    monkeypatch.setattr(dispatch, "_save_result", sane)
    assert come(raw, to, "new@example.jp").reason == "asked to confirm"
    assert Letter.select().where(Letter.kind == "join").count() == 1


def test_quarantined_mail_can_be_tried_again(school, monkeypatch):
    raw, sane = mail("x@example.jp", LIST, "a", "b"), read_inbound_mail
    monkeypatch.setattr(dispatch, "read_inbound_mail", lambda *args: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            come(raw, LIST)
    row = come(raw, LIST)
    assert (row.outcome, row.reason) == ("quarantined", "ZeroDivisionError")
    assert not dispatch.retry_quarantined(row, clock.now())
    assert InboundMessage.get_by_id(row.id).outcome == "quarantined"
    monkeypatch.setattr(dispatch, "read_inbound_mail", sane)
    assert dispatch.retry_quarantined(InboundMessage.get_by_id(row.id), clock.now())
    assert InboundMessage.get_by_id(row.id).kind == "stray"


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bounce_by_its_return_path(sent):
    letter = letter_of(sent)
    row = come(dsn(letter), return_path(letter.id, load_settings().secret, DOMAIN), "")
    assert (row.kind, row.outcome, row.reason, row.letter_id) == ("bounce", "done", "unknown_user", letter.id)
    assert Person.get_by_id(letter.person_id).address_state == "bounced"
    assert row.text == "", "the returned letter is not kept"


def test_a_delay_by_its_return_path_is_noted_only(sent):
    letter = letter_of(sent)
    raw = dsn(letter, "4.2.2", "delayed", "452 4.2.2 Mailbox full")
    come(raw, return_path(letter.id, load_settings().secret, DOMAIN), "")
    assert letter_of(sent).state == "accepted"
    assert Person.get_by_id(letter.person_id).address_state == "fine"


def test_a_bounce_to_the_list_is_matched_by_its_return_tag(sent):
    """Inbound 3: broken servers answer From; it counts only with the tag of the return path of a letter of ours."""
    letter = letter_of(sent)
    come(dsn(letter), LIST, "")
    assert Person.get_by_id(letter.person_id).address_state == "bounced"


def test_a_notification_of_amazon_ses_is_matched_by_the_envelope_sender_in_it(sent):
    """SNS sends it to one subscribed address; "source" is the return path of the letter."""
    letter = letter_of(sent)
    source = return_path(letter.id, load_settings().secret, DOMAIN)
    said = {"emailAddress": letter.address, "action": "failed", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}
    told = {"notificationType": "Bounce", "bounce": {"bouncedRecipients": [said]}, "mail": {"source": source}}
    raw = f"From: no-reply@sns.amazonaws.com\nSubject: AWS Notification Message\n\n{json.dumps(told)}\n".encode()
    row = come(raw, f"postmaster@{DOMAIN}", "0101@amazonses.example")
    assert (row.kind, row.outcome, row.reason, row.letter_id) == ("bounce", "done", "unknown_user", letter.id)
    assert Person.get_by_id(letter.person_id).address_state == "bounced"


def test_a_forged_bounce_excludes_nobody(sent):
    """Without a mark anybody could stop a member."""
    letter = letter_of(sent)
    secret = load_settings().secret
    forged = dsn(letter)
    for purpose in ("return", "id"):
        forged = forged.replace(
            make_verp_tag(letter.id, purpose, secret).encode(), make_verp_tag(letter.id, purpose, b"guess").encode()
        )
    row = come(forged, LIST, "")
    assert row.outcome == "dropped"
    assert Person.get_by_id(letter.person_id).address_state == "fine"


def test_a_report_by_what_a_reply_shows_excludes_nobody(sent):
    """Who gets a copy of a reply knows its reply address and our Message-ID, never the tag of the return path."""
    letter, secret = letter_of(sent), load_settings().secret
    shown = reply_address(letter.id, secret, DOMAIN)
    report = dsn(letter).replace(make_verp_tag(letter.id, "return", secret).encode(), b"a" * 24)
    assert message_id(letter.id, secret, DOMAIN).encode() in report
    for to in (shown, LIST, f"postmaster@{DOMAIN}"):
        row = come(report, to, "")
        assert (row.kind, row.outcome, row.reason, row.letter_id) == ("bounce", "dropped", "no return tag", letter.id)
    assert dispatch.resolve_recipient(shown.replace("r-", "b-")) is None
    tag = message_id(letter.id, secret, DOMAIN)[1:25]
    assert dispatch.resolve_recipient(f"b-{tag}@{DOMAIN}") is dispatch.resolve_recipient(f"r-{tag}@{DOMAIN}") is None
    assert Person.get_by_id(letter.person_id).address_state == "fine" and letter_of(sent).state == "accepted"
    assert come(report, return_path(letter.id, secret, DOMAIN), "").reason == "unknown_user"


def test_old_tags_are_valid_for_letters_older_than_the_upgrade(sent):
    """Version 0.1 wrote one tag for all purposes."""
    letter = letter_of(sent)
    tag = make_old_verp_tag(letter.id, load_settings().secret)
    addresses = [f"b-{tag}@{DOMAIN}", f"r-{tag}@{DOMAIN}"]
    assert [dispatch.resolve_recipient(one) for one in addresses] == [None, None], "a new installation"
    Organization.update(tags_have_purpose_since=letter.made_at - timedelta(seconds=1)).execute()
    assert [dispatch.resolve_recipient(one) for one in addresses] == [None, None], "a letter after the upgrade"
    Organization.update(tags_have_purpose_since=letter.made_at + timedelta(seconds=1)).execute()
    assert [dispatch.resolve_recipient(one).letter for one in addresses] == [letter.id, letter.id]
    old = dsn(letter)
    for purpose in ("return", "id"):
        old = old.replace(make_verp_tag(letter.id, purpose, load_settings().secret).encode(), tag.encode())
    assert come(old, LIST, "").reason == "unknown_user"


def test_a_machine_is_never_answered_distributed_or_joined(sent):
    letters, people = Letter.select().count(), Person.select().count()
    for to in (LIST, f"1nen1kumi-join@{DOMAIN}", f"1nen1kumi-leave@{DOMAIN}", f"postmaster@{DOMAIN}"):
        come(mail("MAILER-DAEMON@mx.example.com", to, "Undelivered Mail", "x"), to, "")
    assert Letter.select().count() == letters
    assert Person.select().count() == people
    assert Notice.select().count() == 1


DOUBTFUL = (
    {"Precedence": "bulk"},
    {"Subject": "Out of office: away"},
    {"Subject": "=?utf-8?b?6Ieq5YuV6L+U5L+h?="},  # 自動返信
)
"""Signs that people's own words may bear, too."""


@pytest.mark.parametrize("header", [{"Auto_Submitted": "auto-replied"}, {"X_Autoreply": "yes"}, *DOUBTFUL])
@pytest.mark.parametrize("road", ["-join", "", "-leave"])
def test_automatic_mail_joins_posts_and_leaves_nothing(sent, school, header, road):
    if road or header not in DOUBTFUL:
        allowed_senders.add_sender(school.lists["1-1"], None, "hanako@example.jp", "", clock.now())
    to = f"1nen1kumi{road}@{DOMAIN}"
    letters = Letter.select().count()
    row = come(mail("hanako@example.jp", to, **{"subject": "s", "text": "t", **header}), to, "hanako@example.jp")
    assert row.kind == "automatic"
    assert (Letter.select().count(), Notice.select().count()) == (letters, 1)


@pytest.mark.parametrize("header", DOUBTFUL)
def test_a_post_of_an_allowed_sender_that_may_be_automatic_is_held(sent, school, header):
    allowed_senders.add_sender(school.lists["1-1"], None, "hanako@example.jp", "", clock.now())
    to = f"1nen1kumi@{DOMAIN}"
    row = come(mail("hanako@example.jp", to, **{"subject": "s", "text": "t", **header}), to, "hanako@example.jp")
    assert (row.kind, row.outcome) == ("post", "held")
    assert Notice.get_by_id(row.notice_id).state == "held"


@pytest.mark.parametrize("header", [{"List_Id": f"<1nen1kumi.{DOMAIN}>"}, {"X_Kairan_Loop": "1nen1kumi"}])
def test_our_own_mail_is_dropped_and_a_loop_alarms(sent, header):
    for number in range(6):
        row = come(mail("x@example.jp", LIST, str(number), "t", **header), LIST)
        assert (row.kind, row.outcome) == ("loop", "dropped")
    assert AuditLog.select().where(AuditLog.action == "mail.loop_alarm").count() == 1


def test_a_list_address_as_envelope_sender_is_a_loop(sent):
    assert come(mail("x@example.jp", LIST, "s", "t"), LIST, f"2nen1kumi@{DOMAIN}").kind == "loop"


def test_an_absence_note_is_no_bounce_and_no_reading(sent):
    """A third of real bounces carry Auto-Submitted, and most absence notes none (inbound 1)."""
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    row = come(mail("aoyama.k@example.com", to, "不在: 運動会", "休暇中です", Auto_Submitted="auto-replied"), to)
    assert (row.kind, row.reason, row.letter_id) == ("automatic", "auto-reply", letter.id)
    fresh = Delivery.get_by_id(letter.delivery_id)
    assert (fresh.read_at, fresh.replied_at) == (None, None)
    assert letter_of(sent).state == "accepted"


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-18")
def test_a_reply_is_shown_told_and_never_distributed(sent):
    """T-18: no answer, no confirmation; the cell is marked, the writer of the notice is told."""
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    before = Letter.select().count()
    row = come(mail("aoyama.k@example.com", to, "Re: 運動会", "<b>欠席</b>します %(url)s"), to)
    assert (row.kind, row.notice_id, row.person_id) == ("reply", sent.notice.id, letter.person_id)
    delivery = Delivery.get_by_id(letter.delivery_id)
    assert delivery.replied_at is not None and delivery.read_at is None
    assert Letter.select().count() == before + 1
    told = Letter.select().order_by(Letter.id.desc()).get()
    assert (told.kind, told.address) == ("reply", "user1@school.example")
    shown = replies.list_replies(sent.notice)
    assert [(one.name, one.text, one.from_other_address) for one in shown] == [
        ("青山 健太", "<b>欠席</b>します %(url)s", False)
    ]


def test_a_reply_that_proves_no_author_is_shown_with_a_warning(sent, monkeypatch):
    """Whoever gets a copy of a reply knows the reply address, and anybody can write any From."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.com"))
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    genuine = signed(mail("aoyama.k@example.com", to, "Re: 運動会", "3時に迎えに行きます"), "example.com")
    forged = mail("aoyama.k@example.com", to, "Re: 運動会", "今日は別の人が迎えに行きます")
    sent_on = signed(mail("aoyama.k@example.com", "x@elsewhere.example", "Re: 別件", "別の日の話"), "example.com")
    for raw in (genuine, forged, sent_on):
        assert come(raw, to).outcome == "done"
    shown = {one.text.strip(): one.is_doubtful for one in replies.list_replies(sent.notice)}
    assert shown == {"3時に迎えに行きます": False, "今日は別の人が迎えに行きます": True, "別の日の話": True}
    told = [row.payload["text"] for row in Letter.select().where(Letter.kind == "reply").order_by(Letter.id)]
    assert ["電話" in text for text in told] == [False, True, True]


@pytest.mark.proves("T-18")
@pytest.mark.parametrize("text", ["1", "欠席します"])
def test_a_reply_to_a_question_is_no_answer(sent, text):
    cast_notices.ask(sent, QuestionDraft("出欠", ("出席", "欠席")))
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    assert come(mail("aoyama.k@example.com", to, "Re: 運動会", text), to).kind == "reply"
    delivery = Delivery.get_by_id(letter.delivery_id)
    assert delivery.replied_at is not None and delivery.read_at is None
    assert not Answer.select().exists()


def test_a_reply_from_another_address_says_so(sent):
    letter = letter_of(sent)
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    come(mail("someone@example.net", to, "Re: 運動会", "x"), to, "someone@example.net")
    assert replies.list_replies(sent.notice)[0].from_other_address


def test_a_flood_of_replies_does_not_flood_the_organizer(sent, monkeypatch):
    monkeypatch.setattr(replies, "MAX_NOTIFICATIONS_PER_DAY", 2)
    to = reply_address(letter_of(sent).id, load_settings().secret, DOMAIN)
    for number in range(5):
        come(mail("aoyama.k@example.com", to, "Re", str(number)), to)
    assert Letter.select().where(Letter.kind == "reply").count() == 2
    assert len(replies.list_replies(sent.notice)) == 5


def test_a_reply_to_an_old_letter_is_kept(school):
    to = reply_address(4711, load_settings().secret, DOMAIN)
    assert come(mail("x@example.jp", to, "Re", "x"), to).reason == "old letter"


def test_a_mail_to_postmaster_reaches_the_administrators(school):
    """RFC 2142."""
    row = come(mail("x@example.jp", f"postmaster@{DOMAIN}", "迷惑です", "苦情の本文"), f"postmaster@{DOMAIN}")
    assert (row.kind, row.subject, row.text) == ("house", "迷惑です", "苦情の本文")
    assert [one.address for one in Letter.select().where(Letter.kind == "house")] == ["user0@school.example"]


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_words_of_strangers_are_forgotten_after_thirty_days(school):
    row = come(mail("x@example.jp", LIST, "件名", "本文"), LIST)
    assert (row.subject, row.text) == ("件名", "本文")
    assert dispatch.erase_old_messages(clock.now() + timedelta(days=29)) == 0
    assert dispatch.erase_old_messages(clock.now() + timedelta(days=31)) == 1
    again = InboundMessage.get_by_id(row.id)
    assert (again.subject, again.text, again.address, again.file) == ("", "", "", "")
    assert spool.read_raw(row.file) is None
    assert come(mail("x@example.jp", LIST, "件名", "本文"), LIST).id == row.id, "but the mail is still known"
