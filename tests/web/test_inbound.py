"""Incoming mail on pages, and the pages behind links in letters (T-27, T-30, T-31; law 3, law 6)."""

from email.message import EmailMessage

import pytest

import clock
from core.inbound import dispatch, spool
from core.inbound.message import read_inbound_mail
from core.members import signed_links
from core.notifications.notify import render_message
from core.settings import load_settings
from mail.address import reply_address
from models import AllowedSender, InboundMessage, Letter, MailingList, Membership, Notice, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, dns, mail, signed
from tests.files import PDF
from tests.web.notice_factory import get_page

LIST = f"1nen1kumi@{DOMAIN}"
EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def known_dns(monkeypatch):
    monkeypatch.setattr(dispatch, "txt_lookup", dns("example.jp"))


@pytest.fixture
def sender(school) -> AllowedSender:
    return AllowedSender.create(list=school.lists["1-1"], address="hanako@example.jp", address_key="hanako@example.jp")


def come(raw: bytes, to: str = LIST, envelope: str = "x@example.jp") -> InboundMessage:
    return dispatch.handle_message(raw, envelope, to, clock.now())


def path(letter: Letter, name: str = "url") -> str:
    return letter.payload[name].removeprefix("http://kairan.test")


# ── for administrators ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-31")
def test_strangers_and_what_could_not_be_read_are_shown_escaped(as_, school):
    """Law 6: whatever arrives from outside is hostile."""
    row = come(mail("evil@example.net", LIST, EVIL, EVIL))
    browser = as_("守")
    for url in ("/incoming", f"/incoming/{row.id}"):
        shown = browser.get(url).get_data(as_text=True)
        assert "&lt;script&gt;" in shown and EVIL not in shown
    raw = browser.get(f"/incoming/{row.id}/raw")
    assert raw.headers["Content-Disposition"].startswith("attachment")
    assert raw.headers["Content-Type"] == "application/octet-stream"
    assert b"evil@example.net" in raw.data


def test_the_views(as_, school):
    come(mail("evil@example.net", LIST, "宣伝です", "x"))
    come(mail("x@example.jp", LIST, "自動です", "x", Auto_Submitted="auto-replied"))
    browser = as_("守")
    assert "宣伝です" in browser.get("/incoming?view=people").get_data(as_text=True)
    assert browser.get("/incoming?view=machines").get_data(as_text=True).count("自動返信") >= 1
    assert browser.get("/incoming?view=all").get_data(as_text=True).count("/incoming/") >= 2
    assert browser.get("/incoming?view=nonsense").status_code == 404


def test_a_quarantined_mail_is_tried_again_by_a_press(as_, school, monkeypatch):
    sane = read_inbound_mail
    monkeypatch.setattr(dispatch, "read_inbound_mail", lambda *args: 1 / 0)
    raw = mail("evil@example.net", LIST, "x", "y")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            come(raw)
    row = come(raw)
    browser = as_("守")
    assert "読み取れませんでした" in browser.get("/incoming").get_data(as_text=True)
    monkeypatch.setattr(dispatch, "read_inbound_mail", sane)
    browser.post(f"/incoming/{row.id}/again")
    assert InboundMessage.get_by_id(row.id).kind == "stray"


@pytest.mark.parametrize("who", ["花子", "送る子", "見る子"])
def test_only_administrators_see_incoming_mail(as_, school, who):
    row = come(mail("evil@example.net", LIST, "x", "y"))
    browser = as_(who)
    for url in ("/incoming", f"/incoming/{row.id}", f"/incoming/{row.id}/raw"):
        assert browser.get(url).status_code == 403
    assert browser.post(f"/incoming/{row.id}/again").status_code == 403


def test_a_file_that_is_gone_is_not_found(as_, school):
    row = come(mail("x@example.jp", LIST, "x", "y", Auto_Submitted="auto-replied"))
    assert as_("守").get(f"/incoming/{row.id}/raw").status_code == 404


# ── releasing a posted mail ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def held(sender) -> Letter:
    come(mail("hanako@example.jp", LIST, f"練習中止{EVIL}", f"雨です。{EVIL}"), envelope="evil@evil.com")
    return Letter.get(Letter.kind == "release")


def test_opening_the_link_shows_the_mail_and_says_in_red_that_it_is_not_proven(client, held):
    """Law 3: scanners open links; inbound 4, policy 5."""
    for _ in range(3):
        got = client.get(path(held))
        assert got.status_code == 200
    shown = got.get_data(as_text=True)
    assert "練習中止" in shown and "雨です。" in shown and EVIL not in shown
    assert 'class="wrong"' in shown and "確かめられていません" in shown
    assert "4人に配信する" in shown
    client.head(path(held))
    assert Notice.get().hold_reason == "proof"


def test_one_press_releases_and_a_second_does_nothing(client, held):
    assert client.post(path(held)).status_code == 303
    notice = Notice.get()
    assert (notice.state, notice.hold_reason) == ("held", "window")
    begin = notice.send_at
    assert client.post(path(held)).status_code == 200
    assert Notice.get().send_at == begin
    assert "配信する</button>" not in get_page(client, path(held))


def test_a_wrong_or_old_link_does_nothing(client, held):
    assert client.get(path(held)[:-2] + "xx").status_code == 404
    assert client.post(path(held)[:-2] + "xx").status_code == 404
    clock.set_offset(25 * 3600)
    assert client.post(path(held)).status_code == 404
    assert Notice.get().hold_reason == "proof"


def test_everybody_wants_the_number_typed(client, school):
    AllowedSender.create(list=school.lists["whole"], address="hanako@example.jp", address_key="hanako@example.jp")
    to = f"zenko@{DOMAIN}"
    come(signed(mail("hanako@example.jp", to, "臨時休校", "休みです"), "example.jp"), to, "hanako@example.jp")
    url = path(Letter.get(Letter.kind == "release"))
    assert client.post(url, data={"typed": "5"}).status_code == 422
    assert Notice.get().hold_reason == "proof"
    assert client.post(url, data={"typed": "6"}).status_code == 303
    assert Notice.get().hold_reason == "window"


def test_the_link_in_the_receipt_cancels(client, sender):
    come(signed(mail("hanako@example.jp", LIST, "練習中止", "雨です"), "example.jp"), envelope="hanako@example.jp")
    url = path(Letter.get(Letter.kind == "posted"))
    assert "練習中止" in client.get(url).get_data(as_text=True)
    client.post(url)
    assert Notice.get().state == "draft"


def test_organizers_see_that_it_waits(as_, held):
    browser = as_("花子")
    number = Notice.get().id
    assert "送った人" in browser.get("/").get_data(as_text=True)
    assert "送った人" in browser.get("/notices").get_data(as_text=True)
    assert "メールで届いた" in browser.get(f"/notices/{number}").get_data(as_text=True)
    assert browser.get("/notices/booked").status_code == 200


# ── joining, names, leaving ──────────────────────────────────────────────────────────────────────────────────────


def blank(to: str, proven: bool) -> None:
    raw = mail("new@example.jp", to)
    come(signed(raw, "example.jp") if proven else raw, to, "new@example.jp")


def test_an_unproven_address_joins_by_a_press_only(client, school):
    blank(f"1nen1kumi-join@{DOMAIN}", proven=False)
    url = path(Letter.get(Letter.kind == "join"))
    assert "new@example.jp" in client.get(url).get_data(as_text=True)
    assert Person.get_or_none(Person.address == "new@example.jp") is None
    got = client.post(url)
    assert got.status_code == 303 and "/p/" in got.headers["Location"]
    assert Membership.select().join(Person).where(Person.address == "new@example.jp").get().state == "active"


def test_a_list_that_approves_says_so(client, school):
    MailingList.update(join_mode="approve").execute()
    blank(f"1nen1kumi-join@{DOMAIN}", proven=False)
    assert "承認" in client.post(path(Letter.get(Letter.kind == "join"))).get_data(as_text=True)


def test_leaving_and_coming_back(client, school):
    person, the_list = school.people["石川 直樹"], school.lists["1-1"]
    url = f"/mail/leave/{signed_links.sign_membership(person, the_list)}"
    mine = (Membership.person == person) & (Membership.list == the_list)
    assert "止めますか" in client.get(url).get_data(as_text=True)
    assert Membership.get(mine).state == "active"
    client.post(f"{url}/stop")
    client.post(f"{url}/stop")
    assert Membership.get(mine).state == "stopped"
    assert client.post(f"{url}/nonsense").status_code == 404
    assert client.post(url).status_code == 405
    client.post(f"{url}/resume")
    assert Membership.get(mine).state == "active"
    assert client.post(url[:-2] + "xx/stop").status_code == 404


def test_replies_are_shown_escaped(app, school):
    from flask import render_template

    from core.inbound import replies

    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    come(mail("aoyama.k@example.com", to, f"Re: {EVIL}", EVIL), to, "aoyama.k@example.com")
    with app.test_request_context():
        shown = render_template("inbound/_replies.html", replies=replies.list_replies(sent.notice))
    assert "青山 健太" in shown and "&lt;script&gt;" in shown and EVIL not in shown


def with_files(to: str, *parts: tuple[str, bytes]) -> bytes:
    """Return a reply with files."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "aoyama.k@example.com", to, "Re: 健康カード"
    made.set_content("カードの写真です。\n")
    for name, content in parts:
        made.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


def test_files_of_a_reply_can_be_saved_by_who_sees_the_reply(as_, school):
    """T-18: a photographed slip; what could act is not handed out; nobody else gets it; gone after 30 days."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    raw = with_files(to, ("../連絡帳.pdf", PDF), ("面白い.pdf", b"MZ\x90\x00 a program"), ("絵.svg", b"<svg onload=x>"))
    row = come(raw, to, "aoyama.k@example.com")
    assert (row.kind, row.outcome) == ("reply", "done")
    assert [name for name, _ in row.files] == ["連絡帳.pdf", "面白い.pdf", "絵.svg"]
    hanako, url = as_("花子"), f"/replies/{row.id}/files"
    page = hanako.get(f"/notices/{sent.notice.id}/board").get_data(as_text=True)
    assert f"{url}/0" in page and "連絡帳.pdf" in page
    got = hanako.get(f"{url}/0")
    assert (got.status_code, got.data, got.mimetype) == (200, PDF, "application/pdf")
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert [hanako.get(f"{url}/{place}").status_code for place in (1, 2, 3)] == [415, 415, 404]
    assert as_("太郎").get(f"{url}/0").status_code == 404
    told = Letter.select().where(Letter.kind == "reply").get()
    assert "添付ファイル: 3件" in render_message(told, "かえで原小学校")[1]
    (spool.spool_folder() / "kept" / row.file).unlink()
    assert hanako.get(f"{url}/0").status_code == 404
    page = hanako.get(f"/notices/{sent.notice.id}/board").get_data(as_text=True)
    assert f"{url}/0" not in page and "30日間" in page
