"""`serve` and `work`: parts that die come back, all end together, nobody is left behind (design 5, Processes)."""

import errno
import os
import signal
import socket
import urllib.request
from datetime import timedelta

import pytest

import clock
import tasks
from cli.serve import _port_error_hint
from models import Letter
from tests import smarthost
from tests.mail.smtp_servers import free_port
from tests.processes import children, lives, parts, until
from tests.smarthost import confirmed, fresh, states, written

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(120)]


@pytest.fixture
def house(school, config):
    """The processes of this installation, its pages on a free port."""
    with parts(config.data, http=f"127.0.0.1:{free_port()}", mail_domain=config.mail_domain) as made:
        yield made


def serving(house):
    """Start everything; return the supervisor once pages and senders are there."""
    process = house.start("serve")
    assert until(lambda: answers(house), 40), house.said()
    assert until(lambda: len(commands(process)) >= 4), house.said()
    return process


def answers(house):
    try:
        with urllib.request.urlopen(f"http://{house.environ['KAIRAN_HTTP']}/healthz", timeout=2) as page:
            return page.status == 200
    except OSError:
        return False


def commands(process):
    """Return the parts by number: what each was started as."""
    return {number: line.rpartition("cli ")[2] for number, line in children(process.pid).items()}


def everybody_below(number):
    """Return all descendants of a process."""
    found = set()
    for child in children(number):
        found |= {child} | everybody_below(child)
    return found


def test_a_part_that_dies_is_started_again(house):
    process = serving(house)
    before = commands(process)
    names = sorted(before.values())
    assert {"bell", "pages", "send-letters"} <= set(names) and names.count("send-letters") == 2
    for victim in before:
        os.kill(victim, signal.SIGKILL)
    assert until(lambda: not set(before) & set(commands(process)) and sorted(commands(process).values()) == names, 30)
    assert until(lambda: answers(house))
    for part in names:
        assert f"{part} ended with -9; starting it again" in house.said()


def test_when_the_supervisor_is_killed_everybody_ends_by_themselves(house):
    process = serving(house)
    assert until(lambda: len(everybody_below(process.pid)) >= 6)  # the pages have two workers of their own
    left = everybody_below(process.pid)
    process.kill()
    process.wait(10)
    assert until(lambda: not any(map(lives, left)), 20), [one for one in left if lives(one)]


@pytest.mark.parametrize(
    "how",
    [
        lambda process: os.killpg(process.pid, signal.SIGINT),  # Ctrl-C in a terminal
        lambda process: [process.send_signal(signal.SIGTERM), process.send_signal(signal.SIGTERM)],
    ],
    ids=["Ctrl-C", "TERM twice"],
)
def test_it_ends_cleanly_when_told(house, how):
    process = serving(house)
    left = everybody_below(process.pid)
    how(process)
    assert process.wait(40) == 0
    assert not any(map(lives, left))
    assert "Traceback" not in house.said() and "Aborted" not in house.said()


def test_a_taken_port_is_one_clear_line(house):
    host, port = house.environ["KAIRAN_HTTP"].split(":")
    with socket.create_server((host, int(port))):
        ended = house.run("serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.strip().splitlines()) == 1 and house.environ["KAIRAN_HTTP"] in ended.stderr


def test_the_same_house_is_not_served_twice(house):
    """Design 4, Start: a second `up` on another port is one clear line; when the first one is killed, it starts."""
    first = serving(house)
    port = f"127.0.0.1:{free_port()}"
    for command in (["serve"], ["up"], ["serve", "--only", "worker"]):
        house.environ["KAIRAN_HTTP"] = port
        ended = house.run(*command)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert len(ended.stderr.strip().splitlines()) == 1 and "running already" in ended.stderr
    first.kill()
    first.wait(10)
    serving(house)


@pytest.mark.parametrize(
    ("http", "said"),
    [
        ("203.0.113.9:8000", "This machine has no address 203.0.113.9."),
        ("no.such.host.invalid:8000", "This machine has no address no.such.host.invalid."),
        ("127.0.0.1:0x1f", "must be host:port"),
    ],
)
def test_an_address_that_cannot_be_served_from_is_one_clear_line(config, http, said):
    with parts(config.data, http=http) as house:
        ended = house.run("serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.strip().splitlines()) == 1 and said in ended.stderr


def test_a_port_of_root_says_what_to_do(config):
    """Not tried with a real port: whoever runs the tests may be root."""
    said = _port_error_hint(PermissionError(errno.EACCES, "Permission denied"), config)
    assert "below 1024" in said


@pytest.mark.proves("T-02", "D-39", "N-14")
def test_the_worker_alone_sends_what_is_confirmed_and_what_is_booked(school, config):
    """T-02: nobody is logged in; the bell rings for both."""
    with (
        smarthost.running() as (host, port),
        parts(config.data, smtp=f"smtp://127.0.0.1:{port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        process = house.start("work")
        assert until(lambda: len(commands(process)) == 3), house.said()
        by = school.users["守"]
        now_ = confirmed(written(by, [school.lists["1-1"]]), by)
        tasks.wake_worker(now_.send_at)
        booked = confirmed(written(by, [school.lists["2-1"]]), by, at=clock.now() + timedelta(seconds=3))
        tasks.wake_worker(booked.send_at)
        assert until(lambda: fresh(now_).state == fresh(booked).state == "sent", 30), house.said()
        first = Letter.select().where(Letter.notice == booked).order_by(Letter.done_at).first()
        assert first.done_at >= booked.send_at
        assert states(now_) == {"accepted": 4} and states(booked) == {"accepted": 3}
        assert set(host.times().values()) == {1}
        process.terminate()
        assert process.wait(40) == 0


def test_a_lost_queue_is_no_harm(school, config):
    """Law 1: a bell that cannot be rung is only a bell."""
    tasks.get_huey.cache_clear()
    (config.data / "huey.db").mkdir()
    tasks.wake_worker()
    tasks.wake_worker(clock.now() + timedelta(hours=1))
    tasks.get_huey.cache_clear()
