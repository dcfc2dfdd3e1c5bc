"""E-12: which addresses need a look, by the gravest reason, recounted by plain SQL."""

from datetime import timedelta

import clock
from core.permissions import permissions_of
from core.reports import dead_addresses
from database import db
from models import Delivery, Membership, Notice, Person
from tests import cast_notices


def found(school, name="守", **options):
    rows = dead_addresses.list_dead_addresses(permissions_of(school.users[name]), clock.now(), **options)
    return {one.person.name: (one.why, one.lists) for one in rows}


def test_dead_refusing_stopped_and_open_ones_with_their_lists(school):
    month = clock.now() - timedelta(days=30)
    Person.update(address_state="refusing", address_state_at=month).where(Person.name == "加藤 誠").execute()
    Membership.update(state="unconfirmed", joined_at=month).where(
        Membership.person == school.people["石川 直樹"], Membership.list == school.lists["1-1"]
    ).execute()
    assert found(school) == {
        "雑音 三": ("bounced", ("1年1組",)),
        "加藤 誠": ("refusing", ("2年1組", "全校")),
        "石川 直樹": ("pending", ("1年1組",)),
        "雑音 一": ("stopped", ("1年1組",)),
    }
    by_sql = db.execute_sql(
        "SELECT count(DISTINCT p.id) FROM person p JOIN membership m ON m.person_id = p.id JOIN mailing_list l"
        " ON l.id = m.list_id WHERE p.address IS NOT NULL AND l.closed_at IS NULL"
        " AND m.state NOT IN ('left', 'refused') AND (p.address_state <> 'fine' OR m.state <> 'active')"
    ).fetchone()
    assert by_sql == (4,)
    assert list(found(school))[0] == "雑音 三"  # the gravest first


def test_who_never_confirms_is_among_them_and_whose_family_does_is_not(school):
    for hours in (20, 40, 60):
        sent = cast_notices.send([school.lists["2-1"]], at=clock.now() - timedelta(hours=hours))
        Delivery.update(read_at=clock.now()).where(Delivery.id == sent.deliveries["木村 恵"].id).execute()
    silent = {name for name, (why, _) in found(school).items() if why == "silent"}
    assert silent == {"加藤 誠", "鈴木 大輔"}
    Notice.update(purged_at=clock.now()).execute()  # last year's letters are deleted: they accuse nobody
    assert "加藤 誠" not in found(school)


def test_each_sees_the_own_lists_and_whole_addresses_only_who_manages(school):
    """T-33, T-37"""
    assert set(found(school, "太郎")) == set()
    assert set(found(school, "花子")) == {"雑音 一", "雑音 三"}
    assert set(found(school, list_id=school.lists["2-1"].id)) == set()

    def address(name):
        return {
            one.address
            for one in dead_addresses.list_dead_addresses(permissions_of(school.users[name]), clock.now())
            if one.why == "bounced"
        }

    assert address("花子") == {"noise3@example.net"}
    assert address("見る子") == {"n***@example.net"}


def test_families_without_an_address_are_no_address(school):
    Membership.update(state="stopped").where(Membership.person == school.people["和田 幸子"]).execute()
    assert "和田 幸子" not in found(school)
    assert dead_addresses.count_by_reason([]) == {}
