"""Each signed mark opens one door: its purpose is part of what is signed."""

from datetime import timedelta

import clock
from core.accounts import login_links
from core.delivery.letter_tags import decode_letter_tag
from core.inbound import post_by_mail
from core.members import preference_page, signed_links
from core.notices import author_copy
from core.settings import load_settings
from core.signup import emails
from mail.address import make_verp_tag
from models import Letter, Notice, Person
from tests import cast_notices

LOGIN_PURPOSES = tuple(login_links.PATHS)
TAG_PURPOSES = ("return", "reply", "id")


def make_marks(letter: Letter, notice: Notice, person: Person, user, the_list) -> dict[str, str]:
    """Return a mark of every purpose. All name the same number, so only the purpose can tell them apart."""
    settings, now = load_settings(), clock.now()
    marks = {
        "cancel": author_copy.notice_cancel_token(notice, settings),
        "release": post_by_mail.make_release_token(notice, settings),
        "own page": signed_links.sign_page_token(person, now + timedelta(hours=1)),
        "leave": signed_links.sign_membership(person, the_list),
        "form": signed_links.form_token(the_list, now),
        "join": signed_links.link_signer(settings, "join").dumps([letter.id, the_list.id]),
        "new address": signed_links.link_signer(settings, "new address").dumps(
            [person.id, signed_links.address_fingerprint(person), letter.id]
        ),
    }
    marks |= {one: login_links.sign_link_token(user, one, now) for one in LOGIN_PURPOSES}
    return marks | {one: make_verp_tag(letter.id, one, settings.secret) for one in TAG_PURPOSES}


def test_no_mark_opens_the_door_of_another(school):
    sent = cast_notices.send([school.lists["1-1"]], subject="運動会")
    letter = Letter.get(Letter.delivery == sent.deliveries["青山 健太"])
    Letter.update(kind="join").where(Letter.id == letter.id).execute()
    Notice.update(confirmed_at=clock.now(), route="mail").where(Notice.id == sent.notice.id).execute()
    notice, person = Notice.get_by_id(sent.notice.id), Person.get_by_id(letter.person_id)
    the_list, user, now, settings = school.lists["1-1"], school.users["花子"], clock.now(), load_settings()
    marks = make_marks(letter, notice, person, user, the_list)

    def opens_login(text: str, purpose: str) -> bool:
        try:
            return bool(login_links.user_by_token(text, purpose, now))
        except login_links.InvalidLink:
            return False

    def opens_new_address(text: str) -> bool:
        Letter.update(kind="new-address").where(Letter.id == letter.id).execute()
        opened = preference_page.new_address_from_link(text, now)
        Letter.update(kind="join").where(Letter.id == letter.id).execute()
        return opened is not None

    doors = {
        "cancel": lambda text: author_copy.notice_by_cancel_token(text) is not None,
        "release": lambda text: post_by_mail.notice_by_release_token(text, now) is not None,
        "own page": lambda text: signed_links.person_by_token(text, now) is not None,
        "leave": lambda text: signed_links.membership_by_token(text) is not None,
        "form": lambda text: signed_links.is_form_token_valid(text, the_list, now + timedelta(seconds=5)),
        "join": lambda text: emails.request_from_link(text, now) is not None,
        "new address": opens_new_address,
        **{one: lambda text, one=one: opens_login(text, one) for one in LOGIN_PURPOSES},
        **{one: lambda text, one=one: decode_letter_tag(text, one, settings) == letter.id for one in TAG_PURPOSES},
    }
    assert set(doors) == set(marks)
    assert {door: [mark for mark in marks if opens(marks[mark])] for door, opens in doors.items()} == {
        door: [door] for door in doors
    }
    assert author_copy.reminder_by_cancel_token(marks["cancel"]) is None
