"""Mails to a list's own address (T-15, T-23, T-28 to T-31, T-39, T-40, T-46, N-07; decision 6)."""

import quopri
import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest

import clock
import config as ground
from core.errors import MissingFields, SendingStarted, WrongLetterCount
from core.inbound import dispatch, post_by_mail
from core.notices import start, workflow
from core.notices.rendering import RenderCache
from core.notifications.notify import render_message
from core.settings import load_settings
from models import AllowedSender, Delivery, InboundMessage, Letter, MailingList, Notice, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, body, dns, mail, signed, today
from tests.web.notice_factory import confirm_notice, get_page

LIST = f"1nen1kumi@{DOMAIN}"
HANAKO = "user1@school.example"
TEXT = "雨のため、10月3日(土)の練習は中止します。\n"


@pytest.fixture(autouse=True)
def known_dns(monkeypatch):
    """A DNS in which two providers publish their keys."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns("school.example", "example.jp", "evil.com"))


@pytest.fixture
def door(school):
    """花子 may post to 1年1組 from two addresses, somebody else to 2年1組 and to everybody."""
    for key, address, name in (
        ("1-1", HANAKO, "花子"),
        ("1-1", "hanako@docomo.ne.jp", "花子（携帯）"),
        ("2-1", "taro@example.jp", "太郎"),
        ("whole", HANAKO, "花子"),
    ):
        AllowedSender.create(list=school.lists[key], address=address, address_key=address, name=name)
    return school


def come(raw: bytes, to: str = LIST, envelope: str = HANAKO) -> InboundMessage:
    return dispatch.handle_message(raw, envelope, to, clock.now())


def genuine(subject: str = "練習中止", text: str = TEXT, to: str = LIST, **headers: str) -> bytes:
    return signed(mail(HANAKO, to, subject, text, **headers), "school.example")


def letters(kind: str) -> list[Letter]:
    return list(Letter.select().where(Letter.kind == kind).order_by(Letter.id))


# ── a list that waits ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("proven", [True, False])
def test_a_list_that_waits_for_its_new_roster_distributes_nothing(door, proven):
    """The school year has ended: last year's parents get no post; the sender is told at the registered address."""
    MailingList.update(awaiting_roster_since=clock.now()).where(MailingList.address == "1nen1kumi").execute()
    row = come(genuine() if proven else mail(HANAKO, LIST, "練習中止", TEXT))
    assert (row.kind, row.outcome, row.reason) == ("post", "dropped", "new roster")
    assert row.notice.state == "dropped" and not Delivery.select().exists()
    told = Letter.select().get()
    assert (told.kind, told.address) == ("waits", HANAKO)
    subject, text = render_message(told, "かえで原小学校")
    assert "練習中止" in subject and "名簿" in text and "URL" not in text


def test_what_waited_for_its_release_does_not_go_to_last_years_parents(door):
    """Held before the year ended, released after it."""
    notice = come(mail(HANAKO, LIST, "練習中止", TEXT)).notice
    MailingList.update(awaiting_roster_since=clock.now()).where(MailingList.address == "1nen1kumi").execute()
    with pytest.raises(MissingFields):
        post_by_mail.release_post(Notice.get_by_id(notice.id), clock.now())
    assert Notice.get_by_id(notice.id).state == "held" and not Delivery.select().exists()


# ── proven ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-08", "T-23", "T-28", "T-30", "T-40")
def test_a_proven_post_waits_the_usual_window_and_goes_to_every_active_member(door):
    """T-23, T-40: same engine and history as from the pages, with its route."""
    row = come(genuine())
    notice = row.notice
    assert (row.kind, row.outcome, row.reason) == ("post", "done", "dkim")
    assert (notice.state, notice.hold_reason, notice.route) == ("held", "window", "mail")
    assert (notice.wording.subject, notice.wording.text) == ("練習中止", TEXT.strip())
    assert notice.by_name == "花子" and notice.by_id == door.users["花子"].id
    window = timedelta(seconds=load_settings().hold_s)
    assert window > timedelta(minutes=1) and abs(notice.send_at - notice.created_at - window) < timedelta(seconds=1)
    assert start.start_due_notices(notice.send_at - timedelta(seconds=1)) == []
    later = notice.send_at + timedelta(seconds=1)
    assert start.start_due_notices(later) == [notice.id]
    went = {one.address for one in Letter.select().where(Letter.kind == "notice")}
    active = {"aoyama.k@example.com", "misaki@mobile.example.jp", "naoki@example.jp", "suzuki@example.com"}
    assert went == active
    assert notice.id in {one.id for one in Notice.latest()}


@pytest.mark.proves("T-08")
def test_a_mail_cannot_book_and_is_sent_after_the_hold_window(door):
    now = clock.now()
    later = {"Deferred_Delivery": "Mon, 30 Nov 2037 08:00:00 +0900"}
    notice = come(genuine(subject="予約 12月1日 8:00 練習中止", **later)).notice
    assert (notice.state, notice.hold_reason, notice.booked) == ("held", "window", False)
    window = timedelta(seconds=load_settings().hold_s + 1)
    assert timedelta(0) <= notice.send_at - now <= window
    assert start.start_due_notices(now + window) == [notice.id]
    assert not Notice.select().where(Notice.booked == True).exists()


@pytest.mark.proves("T-53")
def test_a_post_carries_no_question_whatever_stands_in_it(door):
    """T-53: questions are written on the pages; a mail that looks like one is words."""
    notice = come(genuine(text="【アンケート】出席されますか。\n1. 出席する\n2. 欠席する\n")).notice
    assert notice.questions.count() == 0
    assert "1. 出席する" in notice.wording.text


def test_the_receipt_names_the_number_the_time_and_how_to_cancel(door):
    """T-23: within a minute, since service letters go ahead."""
    notice = come(genuine()).notice
    (receipt,) = letters("posted")
    assert (receipt.address, receipt.urgent, receipt.payload["letters"]) == (HANAKO, True, "4")
    mark = receipt.payload["url"].rpartition("/")[2]
    from core.notices.author_copy import notice_by_cancel_token

    assert notice_by_cancel_token(mark).id == notice.id
    workflow.cancel_send(notice, None, clock.now())
    assert Notice.get_by_id(notice.id).state == "draft"


@pytest.mark.proves("T-46")
def test_no_read_confirmation_unless_the_list_says_so(door):
    """T-46."""
    assert come(genuine()).notice.read_confirmation is False
    MailingList.update(post_confirm=True).execute()
    assert come(genuine("別の件")).notice.read_confirmation is True


@pytest.mark.proves("T-29", "T-39")
def test_which_address_was_used_is_known(door):
    """T-39: one person with two addresses; the history shows which."""
    raw = mail("hanako@docomo.ne.jp", LIST, "携帯から", TEXT)
    row = come(raw, envelope="hanako@docomo.ne.jp")
    assert post_by_mail.posted_from_address(row.notice) == "hanako@docomo.ne.jp"
    assert row.notice.by_name == "花子（携帯）"


@pytest.mark.proves("T-39", "T-40", "T-28")
def test_posts_stand_in_the_history_with_person_and_address(door, as_):
    """A mail of each address, and a notice from the pages: one history, the same record."""
    first = come(genuine("家から")).notice
    second = come(mail("hanako@docomo.ne.jp", LIST, "携帯から", TEXT), envelope="hanako@docomo.ne.jp").notice
    post_by_mail.release_post(Notice.get_by_id(second.id), clock.now())
    pages = confirm_notice(door, subject="画面のもの")
    clock.set_offset(load_settings().hold_s + 60)
    assert set(start.start_due_notices(clock.now())) == {first.id, second.id, pages.id}
    hanako = as_("花子")
    listed = get_page(hanako, "/history")
    for subject, way in (("家から", "メールから"), ("携帯から", "メールから"), ("画面のもの", "")):
        (row,) = [part for part in listed.split("<li") if subject in part]
        assert way in row and "花子" in row
    assert f"メールから {HANAKO}" in get_page(hanako, f"/history/{first.id}")
    assert "メールから hanako@docomo.ne.jp" in get_page(hanako, f"/history/{second.id}")
    rows = [Notice.get_by_id(one.id).__data__ for one in (first, pages)]
    empty = [{name for name, value in row.items() if value in (None, "", [])} for row in rows]
    assert empty[0] ^ empty[1] <= {"form_key", "within", "fingerprint"}


@pytest.mark.proves("T-29")
def test_a_post_from_a_telephone_is_distributed_to_the_list(door, config):
    """Carriers sign nothing: the word of our own mail server (SPF) proves the sender."""
    ground.set_current_config(replace(config, authserv_id="mx.school.example"))
    head = f"From: hanako@docomo.ne.jp\nTo: {LIST}\nSubject: =?iso-2022-jp?b?GyRCTnM9LBsoQg==?=\nDate: {today()}\n"
    head += "Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: 7bit\n\n"
    result = "Authentication-Results: mx.school.example; spf=pass smtp.mailfrom=docomo.ne.jp\n"
    raw = (result + head).encode() + "雨で中止。\n".encode("iso-2022-jp")
    row = come(raw, envelope="hanako@docomo.ne.jp")
    assert (row.kind, row.outcome, row.reason) == ("post", "done", "spf")
    assert row.notice.wording.text == "雨で中止。"
    assert start.start_due_notices(row.notice.send_at + timedelta(seconds=1)) == [row.notice_id]
    assert len(letters("notice")) == 4


# ── not proven ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-31")
def test_a_forged_sender_reaches_nobody_and_the_registered_address_is_asked(door):
    """T-31, decision 6: From is typed by whoever sends."""
    row = come(mail(HANAKO, LIST, "偽の連絡", TEXT, Reply_To="evil@evil.com"), envelope="evil@evil.com")
    assert (row.outcome, row.reason) == ("held", "unproven")
    assert (row.notice.state, row.notice.hold_reason) == ("held", "proof")
    assert start.start_due_notices(clock.now() + timedelta(days=2)) == []
    (asked,) = letters("release")
    assert asked.address == HANAKO, "never Reply-To"
    assert Letter.select().where(Letter.address == "evil@evil.com").count() == 0


@pytest.mark.proves("T-31")
def test_a_post_that_fails_the_policy_of_its_domain_is_dropped_and_its_sender_warned_once_an_hour(
    door, config, monkeypatch
):
    """T-31: the provider asks to refuse it; a link to release it would be a mistake."""
    ground.set_current_config(replace(config, authserv_id="mx.school.example"))
    monkeypatch.setattr(dispatch, "txt_lookup", dns(__dmarc_school_example="v=DMARC1; p=reject"))
    verdict = b"Authentication-Results: mx.school.example; dmarc=fail header.from=school.example\n"
    for subject in ("偽の連絡", "もう一つ"):
        row = come(verdict + mail(HANAKO, LIST, subject, TEXT), envelope="evil@evil.com")
        assert (row.kind, row.outcome, row.reason, row.notice) == ("post", "dropped", "forged", None)
    assert row.text.strip() == TEXT.strip(), "the managers can read it"
    assert [one.address for one in letters("forged")] == [HANAKO]
    assert letters("release") == []
    clock.set_offset(3700)
    come(verdict + mail(HANAKO, LIST, "三つ目", TEXT), envelope="evil@evil.com")
    assert [one.address for one in letters("forged")] == [HANAKO, HANAKO]


def test_somebody_elses_valid_signature_is_no_proof(door):
    assert come(signed(mail(HANAKO, LIST, "x", TEXT), "evil.com")).reason == "unproven"


def test_the_release_letter_says_not_sent_yet(door):
    """Field 4.4 no. 19."""
    come(mail(HANAKO, LIST, "練習中止", TEXT))
    (asked,) = letters("release")
    raw = RenderCache(load_settings()).render(asked, False, clock.now())
    text = body(raw)
    assert "まだ" in text and "4" in text
    assert re.search(r"http://kairan\.test/mail/release/\S+", text)
    import email
    import email.policy

    subject = email.message_from_bytes(raw, policy=email.policy.default)["Subject"]
    assert subject.startswith("【まだ送られていません】「練習中止」")


def mark_of(letter: Letter) -> str:
    return letter.payload["url"].rpartition("/")[2]


def test_the_link_releases_once_within_a_day(door):
    now = clock.now()
    notice = come(mail(HANAKO, LIST, "練習中止", TEXT)).notice
    mark = mark_of(letters("release")[0])
    assert post_by_mail.notice_by_release_token(mark, now).id == notice.id
    assert post_by_mail.is_waiting_for_release(notice)
    assert post_by_mail.release_post(notice, now) == 4
    with pytest.raises(SendingStarted):
        post_by_mail.release_post(notice, now)
    assert start.start_due_notices(clock.now()) == [notice.id]
    assert post_by_mail.notice_by_release_token(mark, now + timedelta(hours=24, seconds=5)) is None
    assert post_by_mail.notice_by_release_token(mark[:-2] + ("A" if mark[-2] != "A" else "B") + mark[-1], now) is None


def test_an_organizer_may_release_or_drop_it_on_the_pages(door):
    notice = come(mail(HANAKO, LIST, "練習中止", TEXT)).notice
    workflow.discard_held(notice, door.users["花子"], clock.now())
    assert Notice.get_by_id(notice.id).state == "dropped"
    other = come(mail(HANAKO, LIST, "別の件", TEXT)).notice
    workflow.release_held(other, door.users["花子"], clock.now())
    assert start.start_due_notices(clock.now()) == [other.id]


def test_after_ten_held_posts_a_day_there_is_silence(door):
    for number in range(12):
        row = come(mail(HANAKO, LIST, f"件名{number}", TEXT))
    assert (row.outcome, row.reason, row.notice_id) == ("silent", "too many", None)
    assert len(letters("release")) == 10


@pytest.mark.parametrize(
    ("change", "why"),
    [({"subject": "Re: 運動会"}, "reply"), ({"to": f"somebody@{DOMAIN}"}, "bcc"), ({"post_ask": True}, "ask")],
)
def test_even_a_proven_mail_is_asked_about(door, change, why):
    """Decision 6; a signed mail to somebody else, sent on to the list, must not be distributed."""
    if change.pop("post_ask", False):
        MailingList.update(post_ask=True).execute()
    assert come(genuine(**change)).reason == why


def test_an_answer_to_a_letter_of_ours_is_asked_about(door):
    """An officer who answers a letter must not post to the school."""
    sent = cast_notices.send([door.lists["1-1"]])
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    from mail.address import message_id

    ours = message_id(letter.id, load_settings().secret, DOMAIN)
    assert come(genuine("運動会の件", In_Reply_To=ours)).reason == "reply"
    assert come(genuine("運動会の件2", References=f"<a@b.example> {ours}")).reason == "reply"
    assert come(genuine("運動会の件3", In_Reply_To="<other@example.jp>")).reason == "dkim"


def test_the_same_words_twice_are_asked_about(door):
    """A signed mail may be caught and sent again; it also comes twice by two roads."""
    assert come(genuine()).outcome == "done"
    row = come(b"Received: from evil by mx; now\r\n" + genuine())
    assert (row.outcome, row.reason) == ("held", "seen")
    row = come(genuine(Message_ID="<2@client.example>"))
    assert (row.outcome, row.reason) == ("held", "again")
    Notice.update(created_at=clock.now() - timedelta(hours=25)).execute()
    row = come(genuine(Message_ID="<3@client.example>"))
    assert (row.outcome, row.reason) == ("done", "dkim"), "a day later the same words are a new post"


def test_everybody_is_always_asked_about_and_typed(door):
    """Decision 7: 全校 goes only by typing the number."""
    to = f"zenko@{DOMAIN}"
    row = come(genuine(to=to), to)
    assert row.reason == "whole"
    with pytest.raises(WrongLetterCount):
        post_by_mail.release_post(row.notice, clock.now(), "")
    assert post_by_mail.release_post(row.notice, clock.now(), " 6 ") == 6


def test_a_silent_dns_holds(door, monkeypatch):
    monkeypatch.setattr(dispatch, "txt_lookup", dns(silent=True))
    assert come(genuine()).reason == "unproven"
    assert AllowedSender.get(AllowedSender.address == HANAKO).last_post_at is None, "and says nothing about the sender"


# ── who may not ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-30")
@pytest.mark.parametrize(
    ("author", "to"),
    [
        ("stranger@example.net", LIST),
        ("taro@example.jp", LIST),
        (HANAKO, f"2nen1kumi@{DOMAIN}"),
        ("aoyama.k@example.com", LIST),
    ],
)
def test_only_registered_senders_of_this_list_post(door, author, to):
    """T-30: a sender of list A cannot post to list B."""
    raw = signed(mail(author, to, "宣伝", "買ってください"), author.rpartition("@")[2])
    row = come(raw, to, author)
    assert (row.kind, row.outcome, row.reason) == ("stray", "held", "stranger")
    assert Notice.select().count() == 0
    assert row.text == "買ってください", "the managers may look"


@pytest.mark.proves("T-31")
def test_strangers_get_no_answer_and_the_managers_are_told(door):
    """T-31: no content goes to a forged address."""
    come(mail("victim@example.net", LIST, "宣伝", "買ってください"), envelope="victim@example.net")
    assert [(one.kind, one.address) for one in Letter.select()] == [("stranger", HANAKO)]
    assert "買って" not in str(Letter.get().payload)


def test_a_member_whose_mail_is_proven_hears_of_it_once(door):
    Person.update(address="a@example.jp", address_key="a@example.jp").where(Person.name == "青山 健太").execute()
    for number in range(2):
        come(signed(mail("a@example.jp", LIST, f"質問{number}", "本文"), "example.jp"), envelope="a@example.jp")
    assert [one.address for one in letters("not-a-sender")] == ["a@example.jp"]
    come(mail("misaki@mobile.example.jp", LIST, "質問", "本文"), envelope="misaki@mobile.example.jp")
    assert len(letters("not-a-sender")) == 1, "an unproven one gets nothing"


def test_a_flood_of_strangers_does_not_flood_the_managers(door):
    for number in range(13):
        come(mail(f"s{number}@example.net", LIST, "x", str(number)))
    assert len(letters("stranger")) == 10


@pytest.mark.parametrize("author", [f"{HANAKO}, evil@evil.com", "", "花子"])
def test_a_mail_without_exactly_one_author_is_dropped(door, author):
    row = come(mail(author, LIST, "x", TEXT))
    assert (row.outcome, row.reason) == ("dropped", "two senders")


def test_two_from_fields_are_dropped(door):
    raw = b"From: evil@evil.com\r\n" + genuine()
    assert come(raw).reason == "two senders"


def test_the_sender_header_and_the_name_count_nothing(door):
    raw = mail(f'"{HANAKO}" <evil@evil.com>', LIST, "x", TEXT, Sender=HANAKO, Reply_To=HANAKO)
    assert come(raw).reason == "stranger"


# ── what members see ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-14", "N-07")
def test_nobody_else_who_got_the_mail_is_passed_on(door):
    """N-07: people in Cc, hidden headers and our own links never reach members."""
    secret_link = "http://kairan.test/r/abcdefghijklmnopqrstuvwxyz"
    raw = genuine(
        text=f"お知らせです。\n{secret_link}\n\n> 差出人: mother@example.com\n",
        to=f"{LIST}, grandma@example.com",
        Cc="father@example.com, uncle@example.net",
        X_Secret="hidden@example.com",
    )
    notice = come(raw).notice
    start.start_due_notices(notice.send_at)
    rows = Letter.select(Letter, Delivery).join(Delivery).where(Letter.kind == "notice")
    for letter in rows:
        made = RenderCache(load_settings()).render(letter, False, clock.now())
        for never in ("father@", "uncle@", "grandma@", "hidden@", "mother@", "abcdefghijklmnop"):
            assert never not in made.decode("ascii") and never not in body(made), never
        assert letter.address.encode() in made


def test_an_empty_subject_is_filled_from_the_text(door):
    """T-15."""
    wording = come(genuine("", "本文だけです。\n二行目")).notice.wording
    assert (wording.subject, wording.text) == ("本文だけです。", "本文だけです。\n二行目")


@pytest.mark.parametrize("text", ["", "\n\n", "iPhoneから送信\n", "-- \nSent from my Pixel\n"])
def test_a_subject_alone_becomes_the_text_only_by_a_press(door, text):
    row = come(genuine("明日は休校です", text))
    assert (row.outcome, row.reason) == ("held", "subject")
    assert row.notice.wording.text == "明日は休校です"


@pytest.mark.parametrize("text", ["", "iPhoneから送信\n"])
def test_an_empty_mail_is_no_notice_and_its_writer_is_told(door, text):
    row = come(genuine("", text))
    assert (row.outcome, row.reason, row.notice_id) == ("dropped", "empty", None)
    assert "本文がありません" in letters("no-words")[0].payload["why"] and row.file, "the raw mail is kept"


@pytest.mark.proves("N-04")
def test_a_mail_with_words_of_a_template_is_refused_and_names_them(door):
    row = come(genuine("〔行事〕の延期", "〔雨〕のため、〔行事〕を延期します。\n"))
    assert (row.outcome, row.reason, row.notice_id) == ("dropped", "placeholders", None)
    (letter,) = letters("placeholders")
    assert letter.address == HANAKO and letter.payload["places"] == "〔行事〕 〔雨〕"


def parts(*pieces: str) -> bytes:
    """Return a signed mail whose body has these parts, each with its own header."""
    head = f"From: {HANAKO}\nTo: {LIST}\nDate: {today()}\nSubject: plan\nMIME-Version: 1.0\n"
    body = "".join(f"--B\n{piece}\n" for piece in pieces) + "--B--\n"
    return signed(f'{head}Content-Type: multipart/mixed; boundary="B"\n\n{body}'.encode(), "school.example")


@pytest.mark.parametrize(
    ("piece", "told"),
    [
        ("Content-Type: application/pdf; name=a.pdf\n\nx", "ファイル"),
        ("Content-Type: image/jpeg; name=IMG_1.jpg\nContent-Disposition: inline\n\nx", "画像"),
        ("Content-Type: message/rfc822\n\nFrom: city@city.example\nSubject: x\n\n台風が来ます。", "添付"),
        ("Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nEND:VCALENDAR", "予定"),
        ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nx", "暗号"),
    ],
)
def test_a_mail_without_words_is_refused_with_a_letter_and_kept(door, piece, told):
    """The subject never stands in for words that Kairan cannot read."""
    row = come(parts("Content-Type: text/plain; charset=utf-8\n\n\niPhoneから送信", piece))
    assert (row.outcome, row.reason, row.notice_id) == ("dropped", "empty", None)
    (letter,) = letters("no-words")
    assert letter.address == HANAKO and told in letter.payload["why"] and row.file


@pytest.mark.parametrize(
    ("text", "reason", "shown"),
    [
        ("連絡は mother@example.com まで\n", "others", "連絡は ［…］ まで"),
        ("持ち物\n> 水筒\n> 弁当\n", "quoted", "持ち物\n> 水筒\n> 弁当"),
        ("あ" * 20_001 + "\n", "long", "あ" * 19_999 + "…"),
        (f"連絡は {HANAKO} か {LIST} まで\n", "dkim", f"連絡は {HANAKO} か {LIST} まで"),
    ],
)
def test_what_may_be_of_others_is_taken_out_and_held_with_its_reason(door, client, text, reason, shown):
    row = come(genuine("遠足", text))
    assert (row.reason, row.notice.wording.text) == (reason, shown)
    if row.outcome == "held":
        page = get_page(client, f"/mail/release/{mark_of(letters('release')[0])}")
        assert ("<mark>［…］</mark>" in page) == (reason == "others")


def test_attachments_are_told_of(door):
    raw = signed(
        (
            f"From: {HANAKO}\nTo: {LIST}\nDate: {today()}\nSubject: plan\nMIME-Version: 1.0\n"
            'Content-Type: multipart/mixed; boundary="B"\n\n--B\nContent-Type: text/plain\n\nsee the file\n'
            '--B\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="a.pdf"\n\nx\n--B--\n'
        ).encode(),
        "school.example",
    )
    assert come(raw).outcome == "done"
    assert "添付" in letters("posted")[0].payload["attachments"]


def test_a_list_without_readers_says_so(door):
    Person.update(address_state="bounced").execute()
    row = come(genuine())
    assert (row.outcome, row.reason, row.notice.state) == ("dropped", "nobody", "dropped")
    assert len(letters("nobody")) == 1


@pytest.mark.proves("T-15", "T-29")
def test_a_post_in_an_old_japanese_encoding_is_read(door):
    """T-15, T-29."""
    head = f"From: {HANAKO}\nTo: {LIST}\nDate: {today()}\nSubject: =?iso-2022-jp?b?GyRCTnM9LBsoQg==?=\n".encode()
    kind = b"Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: 7bit\n\n"
    raw = signed(head + kind + "雨で中止。\n".encode("iso-2022-jp"), "school.example")
    assert come(raw).notice.wording.text == "雨で中止。"


BOTH_PARTS = """Content-Type: multipart/alternative; boundary="B"

--B
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

{plain}
--B
Content-Type: text/html; charset=utf-8

<div>another text</div>
--B--
"""
SOFTWARE = {
    "Gmail: two parts, base64, emoji": BOTH_PARTS.format(plain=b64encode("雨で中止。☔\n".encode()).decode()).encode(),
    "Outlook: HTML alone, quoted-printable": (
        b"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        + quopri.encodestring("<html><body><p>雨で中止。☔</p></body></html>".encode())
    ),
    "a telephone: Shift_JIS, 8bit": (
        b"Content-Type: text/plain; charset=Shift_JIS\nContent-Transfer-Encoding: 8bit\n\n"
        + "雨で中止。\n".encode("shift_jis")
    ),
    "Thunderbird: flowed, quoted-printable": (
        b"Content-Type: text/plain; charset=utf-8; format=flowed\nContent-Transfer-Encoding: quoted-printable\n\n"
        + quopri.encodestring("雨で中止。☔\n".encode())
    ),
}


@pytest.mark.proves("T-15")
@pytest.mark.parametrize("content", SOFTWARE.values(), ids=SOFTWARE)
def test_a_post_of_any_mail_program_is_read(door, content):
    head = f"From: {HANAKO}\nTo: {LIST}\nDate: {today()}\nSubject: =?utf-8?b?{b64encode('練習中止☔'.encode()).decode()}?=\n"
    row = come(signed(head.encode() + b"MIME-Version: 1.0\n" + content, "school.example"))
    assert (row.outcome, row.reason) == ("done", "dkim")
    assert row.notice.wording.subject == "練習中止☔"
    assert row.notice.wording.text.strip().rstrip("☔") == "雨で中止。"
