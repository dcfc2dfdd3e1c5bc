"""The running mail door under attack (defences 2): it stays open, small and silent; nobody joins or posts."""

import pytest

from core.signup import quotas
from tests.real import attack

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(300)]


def test_the_door_outlives_what_is_thrown_at_it(school, config):
    """Bombing, loops, poison, crowds, slow and endless clients: bounded memory, 550 to the unknown, no change."""
    with attack.run_smtpd(config.data) as (target, made):
        held = attack.run_attacks(target)
        said = made.said()
    told = "\n".join(held.said)
    assert held.alive and held.unread == 0 and "Traceback" not in said, told + said[-3000:]
    assert held.changed == {}, "no member, no notice, no letter to a family"
    assert held.letters_to_one <= 1, "one question to an address"
    assert held.letters <= quotas.PER_LIST_PER_HOUR + 20, told
    assert held.memory_mib < 400, told
    assert "250" in held.said[5] and "27 MB: 552" in held.said[5] and "cut" in held.said[5], told
    assert "read all" in told and "DOES NOT PASS" not in told and "meanwhile 250" in told, told
