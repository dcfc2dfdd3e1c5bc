"""In whose name a notice goes out, and who is told what comes back (D-07, D-08, D-19 to D-23, decision 4)."""

from datetime import timedelta
from email import message_from_bytes, policy

import pytest

import clock
from core.notices import approval, audience, drafts, rendering, sender_names, start
from core.permissions import permissions_of
from core.settings import load_settings
from models import AllowedSender, Delivery, Letter, Notice, Role, User


@pytest.fixture
def named(school):
    """花子's list has a colleague who may send, and a registered sender's name."""
    AllowedSender.create(list=school.lists["1-1"], address="k@example.jp", address_key="k@example.jp", name="教頭 小川")
    return school


def draft(school, name: str = "花子", key: str = "1-1") -> Notice:
    made = drafts.create_draft(school.users[name], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists[key].id], now=clock.now())
    drafts.save_draft(made, subject="遠足", text="行きます。", now=clock.now())
    return made


def confirm(notice: Notice, by: User) -> Notice:
    mark = audience.resolve_audience(notice).fingerprint
    return approval.confirm_send(notice, by=by, fingerprint=mark, now=clock.now())


def begin(notice: Notice, by: User) -> None:
    confirm(notice, by)
    start.start_due_notices(clock.now() + timedelta(minutes=5))


def from_of(notice: Notice) -> set[tuple[str, str]]:
    """Return display name and address of From of all letters of a notice."""
    desk = rendering.RenderCache(load_settings())
    found = set()
    for letter in Letter.select().where(Letter.notice == notice):
        sender = message_from_bytes(desk.render(letter, False, clock.now()), policy=policy.default)["From"]
        found.add((sender.addresses[0].display_name, sender.addresses[0].addr_spec))
    return found


def choose(notice: Notice, by: User, **what: object) -> None:
    sender_names.set_sender_name(notice, permissions_of(by), clock.now(), **what)


@pytest.mark.proves("D-07", "N-11")
def test_the_name_is_that_of_who_sends_and_the_address_the_lists(school):
    """D-07."""
    notice, hanako = draft(school), school.users["花子"]
    begin(notice, hanako)
    assert from_of(notice) == {("かえで原小学校（花子）", "1nen1kumi@mail.school.example")}


@pytest.mark.proves("D-19", "D-20")
def test_a_manager_sends_in_the_name_of_another_user_and_both_are_kept(named):
    """D-19, D-20, T-41: From keeps the list's address, replies are told to the other one."""
    notice, hanako, other = draft(named), named.users["花子"], named.users["送る子"]
    choose(notice, hanako, user=other.id)
    begin(notice, hanako)
    assert from_of(notice) == {("かえで原小学校（送る子）", "1nen1kumi@mail.school.example")}
    kept = Notice.get_by_id(notice.id)
    assert (kept.by_name, kept.sender_name) == ("花子", "送る子")
    first = Delivery.select().where(Delivery.notice == notice).first()
    assert sender_names.response_recipient(first) == other
    User.update(disabled_at=clock.now()).where(User.id == other.id).execute()
    assert sender_names.response_recipient(Delivery.get_by_id(first.id)) == hanako


@pytest.mark.proves("D-19")
def test_a_registered_senders_name_may_be_chosen(named):
    """D-19: it has no account, so who pressed is told."""
    notice, hanako = draft(named), named.users["花子"]
    choose(notice, hanako, name="教頭 小川")
    begin(notice, hanako)
    assert from_of(notice) == {("かえで原小学校（教頭 小川）", "1nen1kumi@mail.school.example")}
    assert sender_names.response_recipient(Delivery.select().where(Delivery.notice == notice).first()) == hanako


@pytest.mark.proves("D-21")
def test_below_manager_no_other_name(named):
    """D-08, D-21: not by choosing, and not by pressing "send" on a colleague's draft."""
    notice, sender = draft(named, "送る子"), named.users["送る子"]
    with pytest.raises(sender_names.SenderNameForbidden):
        choose(notice, sender, user=named.users["花子"].id)
    shared = draft(named)
    choose(shared, named.users["花子"], name="教頭 小川")
    with pytest.raises(sender_names.SenderNameForbidden):
        confirm(shared, sender)
    assert Notice.get_by_id(shared.id).state == "draft"
    choose(shared, sender)  # back to the own name everybody may
    assert confirm(shared, sender).signed == "送る子"


def test_whoever_is_named_may_send_the_draft(named):
    """A manager prepares it, the one in whose name it goes presses the button."""
    notice, other = draft(named), named.users["送る子"]
    choose(notice, named.users["花子"], user=other.id)
    assert confirm(notice, other).signed == "送る子"


def test_a_manager_of_one_list_names_nobody_for_another(named):
    """T-33: all lists of the notice must be managed; names of foreign lists are not offered."""
    notice, taro = draft(named, "太郎", "2-1"), named.users["太郎"]
    offer = sender_names.sender_name_choices(permissions_of(taro))
    assert offer.names == ()
    assert "花子" not in {one.name for one in offer.users}
    for wrong in ({"user": named.users["花子"].id}, {"name": "教頭 小川"}, {"user": 4711, "name": "x"}):
        with pytest.raises(sender_names.SenderNameUnavailable):
            choose(notice, taro, **wrong)
    both = draft(named)
    drafts.set_recipients(both, lists=[named.lists["1-1"].id, named.lists["2-1"].id], now=clock.now())
    assert not sender_names.may_choose_sender_name(permissions_of(named.users["花子"]), both)
    assert sender_names.may_choose_sender_name(permissions_of(named.users["守"]), both)


def test_a_name_that_is_gone_is_refused_when_sending(named):
    """Roles end, drafts stay."""
    notice, hanako = draft(named), named.users["花子"]
    choose(notice, hanako, user=named.users["送る子"].id)
    Role.delete().where(Role.user == named.users["送る子"]).execute()
    with pytest.raises(sender_names.SenderNameUnavailable):
        confirm(notice, hanako)
