"""The one table of what a letter may become is kept by every statement of the engine (design 1, States)."""

import random
from contextlib import suppress

import clock
from core.delivery import lifecycle, queue
from core.errors import DomainError
from core.notices import workflow
from core.settings import load_settings
from database import db
from models import Membership, Notice
from tests import smarthost
from tests.smarthost import begun, later, sender

NAOKI, MEGUMI = "naoki@example.jp", "megumi.@mobile.example.jp"


# the table of moves


def test_every_change_of_state_in_a_random_life_stands_in_the_table(school, host, hanako):
    """All UPDATEs of the engine keep to TRANSITIONS, whatever happens in whatever order."""
    db.execute_sql("CREATE TEMP TABLE moves (before, after)")
    db.execute_sql(
        "CREATE TEMP TRIGGER seen AFTER UPDATE OF state ON letter WHEN OLD.state <> NEW.state"
        " BEGIN INSERT INTO moves VALUES (OLD.state, NEW.state); END"
    )
    dice = random.Random(20261122)
    smarthost.families(school.lists["1-1"], 25, "docomo.ne.jp")
    smarthost.families(school.lists["1-1"], 30, start=100)
    rules = ["", "", "", "451 4.7.1 x", "550 5.1.1 User unknown", "data 550 5.7.1 spam", "vanish", "421 x", "cut"]
    for _ in range(24):
        host.rules = {f"p{number:05d}": dice.choice(rules) for number in range(130)}
        _something_happens(dice, school, hanako)
        heart = sender()
        limit = len(host.asked) + dice.randrange(60)
        for _ in range(4):
            heart.run_once(lambda limit=limit: len(host.asked) >= limit)
            later(seconds=dice.choice((6, 70, 400)))
            heart._recover_and_finish(clock.now())
        if dice.random() < 0.3:
            queue.claim_batch("dead", heart.boot, load_settings(), clock.now(), 7)
        heart.close()
    seen = set(db.execute_sql("SELECT DISTINCT before, after FROM moves").fetchall())
    wrong = {move for move in seen if move[1] not in lifecycle.TRANSITIONS[move[0]]}
    assert not wrong
    assert len(seen) >= 12, seen


def _something_happens(dice, school, hanako):
    running = list(Notice.select().where(Notice.state.in_(("sending", "paused", "sent"))))
    notice = dice.choice(running) if running else None
    kind = dice.choice(("new", "urgent", "stop", "withdraw", "again", "leave", "held"))
    if notice is None or kind in ("new", "urgent"):
        begun(hanako, [school.lists["1-1"]], urgent=kind == "urgent", useful_s=dice.choice((300, 3600)))
    elif kind in ("stop", "withdraw", "again"):
        verb = {"stop": workflow.stop_sending, "withdraw": workflow.withdraw_notice, "again": workflow.resend_unknown}[
            kind
        ]
        with suppress(DomainError):
            verb(notice, hanako, clock.now())
    elif kind == "leave":
        Membership.update(state="left").where(Membership.id == dice.randrange(20, 70)).execute()
    for held in Notice.select().where(Notice.hold_reason == "late", Notice.state == "held"):
        dice.choice((workflow.release_held, workflow.discard_held))(held, hanako, clock.now())
