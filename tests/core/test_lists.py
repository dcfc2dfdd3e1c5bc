"""Lists: names and addresses, the one whole list, closing, and people counted once (T-26, T-34)."""

import pytest

import clock
from core.errors import DomainError
from core.members import lists
from models import AuditLog, Child, MailingList, Membership, Notice, Person, Target


def make(name="3年2組", address="3nen2kumi", **extra) -> MailingList:
    return lists.add_list(None, name, address, now=clock.now(), **extra)


def join(mailing_list, name, state="active", child=None, **person):
    found = Person.get_or_none(Person.name == name) or Person.create(name=name, **person)
    return Membership.create(person=found, list=mailing_list, state=state, child=child)


def test_it_adds_a_list_and_notes_it(config):
    made = make(purpose=" 学校からのお知らせ ")
    assert (made.name, made.address, made.purpose) == ("3年2組", "3nen2kumi", "学校からのお知らせ")
    assert AuditLog.get().action == "list.added"


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("3年2組", "small letters"),
        ("", "small letters"),
        (".a", "small letters"),
        ("a" * 41, "small letters"),
        ("postmaster", "administrators"),
        ("b-hello", "bounces"),
        ("club-leave", "signup"),
        ("club-join-x", "signup"),
        ("3NEN2KUMI", "Another list"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_its_reason(config, address, word):
    make()
    with pytest.raises(DomainError) as refused:
        make(name="別の組", address=address)
    assert refused.value.field == "address"
    assert word in refused.value.message


def test_two_lists_never_share_a_name(config):
    make()
    with pytest.raises(DomainError, match="name"):
        make(name=" 3年2組 ", address="other")


def test_only_one_list_is_the_whole(config):
    make(name="全校", address="zenko", whole=True)
    with pytest.raises(DomainError) as refused:
        make(whole=True)
    assert refused.value.values == {"name": "全校"}


def test_changing_keeps_what_is_its_own(config):
    made = make(name="全校", address="zenko", whole=True)
    lists.change_list(made, None, name="全校", address="zenko2", purpose="連絡", whole=True)
    after = MailingList.get_by_id(made.id)
    assert (after.name, after.address, after.purpose, after.whole) == ("全校", "zenko2", "連絡", True)


def test_a_list_with_a_booked_notice_is_not_closed(config):
    made = make()
    notice = Notice.create(state="scheduled")
    Target.create(notice=notice, kind="list", number=made.id)
    with pytest.raises(DomainError):
        lists.close_list(made, None, clock.now())
    Notice.update(state="sent").execute()
    lists.close_list(made, None, clock.now())
    assert MailingList.open_lists().count() == 0


@pytest.mark.proves("T-34")
def test_people_are_counted_once_per_list(config):
    made, other = make(), make("別", "betsu")
    kaito, mitsuki = Child.create(name="鈴木 海斗"), Child.create(name="鈴木 美月")
    join(made, "鈴木", child=kaito)
    join(made, "鈴木", child=mitsuki)
    join(made, "止めた", "stopped")
    join(made, "片方だけ止めた", "stopped", child=kaito)
    join(made, "片方だけ止めた", "active", child=mitsuki)
    join(made, "待つ", "pending")
    join(made, "確かめ中", "unconfirmed")
    join(made, "去った", "left")
    join(made, "届かない", address_state="bounced")
    join(made, "苦情", address_state="complained")
    join(other, "ほかの人")
    assert lists.count_members(made) == {"members": 7, "active": 2, "stopped": 2, "bounced": 1, "pending": 2}
    assert lists.count_members_by_list([other.id])[other.id]["members"] == 1


def test_an_empty_list_counts_zeros(config):
    assert lists.count_members(make()) == dict.fromkeys(lists.COUNT_KEYS, 0)
