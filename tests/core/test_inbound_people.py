"""What people send that looks like a machine's mail, or comes another way than it should (T-18, T-26, N-08)."""

import pytest

import clock
from core.inbound import dispatch
from core.settings import load_settings
from mail.address import message_id, original_sender, reply_address
from models import AllowedSender, InboundMessage, Letter, Membership, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, dns, mail, signed

LIST, JOIN, LEAVE = (f"1nen1kumi{end}@{DOMAIN}" for end in ("", "-join", "-leave"))
HANAKO = "user1@school.example"
SIGNATURE = "\n━━━━━━━━━━\n川上 道子\n〒000-0000 例示県例示市みどり町4-5-6 みどりハイツ201号室\nTEL 090-0000-0000\nhttps://example.jp/michiko/\n━━━━━━━━━━\n"


@pytest.fixture
def door(school, monkeypatch):
    monkeypatch.setattr(dispatch, "txt_lookup", dns("school.example", "example.jp"))
    AllowedSender.create(list=school.lists["1-1"], address=HANAKO, address_key=HANAKO, name="花子")
    return school


def come(raw: bytes, to: str, envelope: str) -> InboundMessage:
    row = dispatch.handle_message(raw, envelope, to, clock.now())
    assert row is not None
    return row


@pytest.mark.parametrize(
    "headers",
    [
        {"Feedback_ID": "1:user:proton"},
        {"X_Auto_Response_Suppress": "DR, OOF, AutoReply"},
        {"List_Id": "<gateway.example.net>", "List_Unsubscribe": "<mailto:x@example.net>"},
    ],
)
def test_fields_for_the_treatment_of_mail_make_no_machine(door, headers):
    row = come(signed(mail(HANAKO, LIST, "練習", "中止です。\n", **headers), "school.example"), LIST, HANAKO)
    assert (row.kind, row.outcome, row.notice.wording.text) == ("post", "done", "中止です。")
    row = come(mail("new@x.example", JOIN, **headers), JOIN, "new@x.example")
    assert (row.kind, row.outcome, row.reason) == ("join", "held", "asked to confirm")


@pytest.mark.parametrize(
    "subject", ["不在のお知らせ：30日は校長が出張です", "Auto: バスの時刻", "休暇中です。部活の連絡"]
)
def test_an_odd_subject_holds_a_registered_senders_post(door, subject):
    row = come(signed(mail(HANAKO, LIST, subject, "教頭までお願いします。\n"), "school.example"), LIST, HANAKO)
    assert (row.kind, row.outcome, row.reason) == ("post", "held", "automatic")
    row = come(mail("stranger@x.example", LIST, subject, "x\n"), LIST, "stranger@x.example")
    assert (row.kind, row.outcome) == ("automatic", "dropped")
    answered = mail(HANAKO, LIST, subject, "x\n", Auto_Submitted="auto-replied")
    assert come(answered, LIST, HANAKO).kind == "automatic", "RFC 3834 decides"


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("unsubscribe", {"Auto_Submitted": "auto-replied", "X_Apple_Unsubscribe": "true"}),
        ("Unsubscribe", {"Auto_Submitted": "auto-generated"}),
        ("配信停止", {"Auto_Submitted": "auto-generated"}),
    ],
)
@pytest.mark.parametrize("proven", [True, False])
def test_the_unsubscribe_button_of_a_mail_program_works(door, subject, headers, proven):
    person = Person.get(Person.name == "青山 健太")
    Person.update(address="kenta@example.jp", address_key="kenta@example.jp").where(Person.id == person.id).execute()
    raw = mail("kenta@example.jp", LEAVE, subject, "Apple Mail sent this.\n", **headers)
    row = come(signed(raw, "example.jp") if proven else raw, LEAVE, "kenta@example.jp")
    assert (row.kind, row.outcome) == ("leave", "done" if proven else "held")
    state = Membership.get(Membership.person == person, Membership.list == door.lists["1-1"]).state
    assert (state == "active") == (not proven)
    assert proven or Letter.select().where(Letter.kind == "leave").count() == 1


@pytest.mark.parametrize(
    ("author", "envelope"),
    [
        ("haha@batv.example", "prvs=1234abcdef=haha@batv.example"),
        ("haha@batv.example", "btv1==0123456789==haha@batv.example"),
        ("haha@srs.example", "SRS0=HHH=TT=srs.example=haha@forward.example"),
        ("haha@srs.example", "SRS1=XYZ=first.example==HHH=TT=srs.example=haha@second.example"),
        ("haha@gmail.example", "haha+caf_=x=y.example@gmail.example"),
        ("haha@xn--r8jz45g.example", "haha@例え.example"),
        ("haha@例え.example", "haha@xn--r8jz45g.example"),
    ],
)
def test_a_blank_mail_through_a_rewriting_server_is_asked(door, author, envelope):
    row = come(mail(author, JOIN), JOIN, envelope)
    assert (row.kind, row.outcome, row.reason) == ("join", "held", "asked to confirm")


def test_a_rewritten_sender_is_nobody_else():
    assert original_sender("<haha@x.example>") == "haha@x.example"
    assert original_sender("prvs=haha@x.example") == "prvs=haha@x.example"


@pytest.mark.parametrize(
    "text", [SIGNATURE, f"-- {SIGNATURE}", f"入会します。{SIGNATURE}", "＊＊＊＊＊＊\n" + "川上" * 90]
)
def test_a_signature_is_no_text(door, text):
    row = come(mail("haha@x.example", JOIN, "", text), JOIN, "haha@x.example")
    assert (row.outcome, row.reason) == ("held", "asked to confirm")
    long = come(mail("chichi@x.example", JOIN, "", "宣伝" * 90 + text), JOIN, "chichi@x.example")
    assert (long.outcome, long.reason) == ("silent", "unproven")


def test_a_reply_to_the_address_of_the_list_finds_its_letter(door):
    sent = cast_notices.send([door.lists["1-1"]])
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    ours = message_id(letter.id, load_settings().secret, DOMAIN)
    for number, headers in enumerate(({"In_Reply_To": ours}, {"References": f"<a@b.example> {ours}"})):
        row = come(mail("kenta@x.example", LIST, "Re: x", f"欠席{number}\n", **headers), LIST, "kenta@x.example")
        assert (row.kind, row.outcome, row.letter_id) == ("reply", "done", letter.id)
    row = come(mail("kenta@x.example", LIST, "Re: x", "欠席\n", In_Reply_To="<z@b.example>"), LIST, "kenta@x.example")
    assert (row.kind, row.reason) == ("stray", "stranger")


@pytest.mark.parametrize("recipient", ["postmaster", "<Postmaster>", f"postmaster@{DOMAIN}"])
def test_postmaster_needs_no_domain(door, recipient):
    """RFC 5321 4.5.1."""
    row = come(mail("a@x.example", recipient, "件名だけ"), recipient, "a@x.example")
    assert (row.kind, row.outcome, row.recipient) == ("house", "held", "postmaster")
    assert dispatch.resolve_recipient("abuse") is None


@pytest.mark.parametrize(
    ("headers", "text", "shown"),
    [
        ({"Content_Disposition": "attachment; filename=a.txt"}, "欠席します。\n", "欠席します。"),
        ({"Content_Type": "text/calendar"}, "BEGIN:VCALENDAR\n", ""),
        ({}, "\n", ""),
    ],
)
def test_a_reply_whose_words_came_oddly_or_not_keeps_its_raw_mail(door, headers, text, shown):
    sent = cast_notices.send([door.lists["1-1"]])
    letter, settings = Letter.get(Letter.delivery == sent.deliveries["青山 健太"]), load_settings()
    to = reply_address(letter.id, settings.secret, DOMAIN)
    row = come(mail("kenta@x.example", to, "", text, **headers), to, "kenta@x.example")
    assert (row.kind, row.text.strip()) == ("reply", shown) and row.file
