"""Handing letters over: what the server said, and whether it may have the letter."""

import smtplib
import time
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail import smtp, smtp_session
from mail.server_urls import BadServerUrl, SmtpServer
from mail.smtp import OutcomeUnknown, SmtpConnection, Unreachable, dot_stuff, rcpt_address
from tests.mail.smtp_servers import ScriptedServer, authenticate_hanako, free_port, run_sink, self_signed_context

LETTER = b"From: a@school.example\r\nSubject: x\r\n\r\nhello\r\n"
TO = ("b-mark@school.example", "hanako@parents.example", LETTER)
IN_ONE_GO = {"EHLO": "250-ok\r\n250 PIPELINING"}


def connected(route: SmtpServer, timeout: float = 5) -> SmtpConnection:
    return SmtpConnection(route, "mail.school.example", timeout)


# Routes


@pytest.mark.parametrize(
    ("url", "route"),
    [
        ("smtp://127.0.0.1:1025", SmtpServer("127.0.0.1", 1025)),
        ("smtp://mail.example", SmtpServer("mail.example", 25)),
        ("smtp+starttls://u:p@mail.example", SmtpServer("mail.example", 587, "starttls", "u", "p")),
        ("smtps://u%40x:p%3A%2F@mail.example", SmtpServer("mail.example", 465, "tls", "u@x", "p:/")),
        (" smtps://[::1]:2465/ ", SmtpServer("::1", 2465, "tls")),
    ],
)
def test_a_route_is_read_from_an_address(url, route):
    assert SmtpServer.parse(url) == route


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example", "http://mail.example", "smtp://", "smtp://h:port", "smtp://h:99999", "smtp://h/path"),
        *("smtps://user@h", "smtps://:password@h", "smtp://user:password@mail.example"),
    ],
)
def test_a_wrong_route_is_explained(url):
    with pytest.raises(BadServerUrl) as caught:
        SmtpServer.parse(url)
    assert caught.value.message.endswith(".")
    assert "password" not in caught.value.message or "wants" in caught.value.message or "open" in caught.value.message


def test_a_route_never_shows_its_password():
    route = SmtpServer.parse("smtps://hanako:geheim@mail.example")
    assert route.shown() == "smtps://hanako@mail.example:465"
    assert "geheim" not in repr(route) + route.shown()


def test_only_loopback_is_loopback():
    assert (
        SmtpServer("127.0.0.1", 25).is_loopback
        and SmtpServer("::1", 25).is_loopback
        and SmtpServer("localhost", 25).is_loopback
    )
    assert not SmtpServer("192.0.2.1", 25).is_loopback and not SmtpServer("127.example", 25).is_loopback


# Letters


def test_letters_go_over_one_connection():
    with run_sink() as (taken, route):
        line = connected(route)
        replies = [line.send(*TO) for _ in range(3)]
        line.close()
    assert [(reply.accepted, reply.code, reply.phase, reply.enhanced) for reply in replies] == [
        (True, 250, "end", "2.0.0")
    ] * 3
    assert taken.mails == [(TO[0], [TO[1]], LETTER)] * 3
    assert len(taken.sessions) == 1 and next(iter(taken.sessions)).endswith(" mail.school.example")


def test_the_null_sender_and_a_quoted_address_are_said_as_meant():
    server = ScriptedServer()
    with server as route:
        line = connected(route)
        line.send("", rcpt_address("ta..ro.@docomo.ne.jp", bare=False), LETTER)
        line.send("", rcpt_address("ta..ro.@docomo.ne.jp", bare=True), LETTER)
        line.close()
    assert [heard for heard in server.heard if ":" in heard] == [
        "MAIL FROM:<>",
        'RCPT TO:<"ta..ro."@docomo.ne.jp>',
        "MAIL FROM:<>",
        "RCPT TO:<ta..ro.@docomo.ne.jp>",
    ]


def test_dots_and_line_ends_arrive_as_meant():
    with run_sink() as (taken, route):
        line = connected(route)
        line.send("", TO[1], b".a\r\n..b\n.\r\nc\rd\n.")
        line.close()
    assert taken.mails[0][2] == b".a\r\n..b\r\n.\r\nc\r\nd\r\n.\r\n"


@given(st.binary(max_size=200) | st.text(alphabet=".\r\nab", max_size=60).map(str.encode))
def test_the_end_mark_stands_at_the_end_alone(raw):
    """RFC 5321 4.5.2: no content can end a letter early, and undoing the dots gives the lines back."""
    wire = dot_stuff(raw)
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""] and b"." not in lines[:-2]
    assert b"\r" not in wire.replace(b"\r\n", b"") and b"\n" not in wire.replace(b"\r\n", b"")
    undone = [line[1:] if line.startswith(b".") else line for line in lines[:-2]]
    given_lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert undone == (given_lines[:-1] if given_lines[-1] == b"" and len(given_lines) > 1 else given_lines)


def test_commands_go_in_one_go_where_the_server_offers_it(monkeypatch):
    """RFC 2920: no command waits for the answer before it, and the same letters arrive over one connection."""
    said, send = [], smtp_session.SmtpSession.send
    monkeypatch.setattr(smtp_session.SmtpSession, "send", lambda self, what: (said.append(what), send(self, what)))
    server = ScriptedServer(**IN_ONE_GO)
    with server as route:
        line = connected(route)
        assert [line.send(*TO).accepted for _ in range(2)] == [True] * 2
        line.close()
    begin = f"MAIL FROM:<{TO[0]}>\r\nRCPT TO:<{TO[1]}>\r\nDATA\r\n"
    assert said == ["ehlo mail.school.example\r\n", *(begin, dot_stuff(LETTER)) * 2, "quit\r\n"]
    assert server.connections == 1
    assert [one.split()[0] for one in server.heard] == ["ehlo", *("MAIL", "RCPT", "DATA") * 2, "quit"]


@pytest.mark.parametrize(
    ("answers", "phase"),
    [
        ({"MAIL": "550 5.1.7 no", "RCPT": "503 5.5.1 no", "DATA": "503 5.5.1 no"}, "mail"),
        ({"RCPT": "550 5.1.1 no", "DATA": "554 5.5.1 no"}, "rcpt"),
        ({"RCPT": "550 5.1.1 no", "end": "554 5.5.1 nobody"}, "rcpt"),
        ({"RCPT": "450 4.2.1 no", "DATA": "close"}, "rcpt"),
        ({"DATA": "451 4.3.0 no"}, "data"),
        ({"MAIL": "421 4.3.2 bye", "RCPT": "close"}, "mail"),
        ({"RCPT": "421 4.3.2 bye", "DATA": "421 4.3.2 bye"}, "rcpt"),
    ],
    ids=lambda found: " ".join(found) if isinstance(found, dict) else found,
)
def test_a_refusal_in_one_go_is_the_first_that_was_said(answers, phase):
    """RFC 2920 3.1: all answers are heard; content that the server waits for all the same is empty."""
    server = ScriptedServer(**IN_ONE_GO, **answers)
    with server as route:
        line = connected(route)
        reply = line.send(*TO)
        line.close()
    assert (reply.phase, reply.accepted) == (phase, False)
    assert reply.text == server.answers[phase.upper()].partition(" ")[2]
    assert "Subject: s" not in server.heard


@pytest.mark.parametrize("phase", ["mail", "rcpt", "end"])
@pytest.mark.parametrize(("code", "kind"), [(450, "deferred"), (550, "refused")])
def test_a_refusal_is_told_and_the_next_letter_goes(phase, code, kind):
    with run_sink({phase: f"{code} {code // 100}.1.1 not today"}) as (taken, route):
        line = connected(route)
        reply = line.send(*TO)
        taken.answers.clear()
        assert line.send(*TO).accepted and line.is_open
        line.close()
    assert (reply.code, reply.phase, reply.text) == (code, phase, f"{code // 100}.1.1 not today")
    assert reply.enhanced == f"{code // 100}.1.1" and not reply.accepted and getattr(reply, kind)
    assert len(taken.sessions) == 1


def test_a_refusal_of_the_content_command():
    server = ScriptedServer(DATA="554 5.5.1 no valid recipients")
    with server as route:
        line = connected(route)
        reply = line.send(*TO)
        line.close()
    assert (reply.phase, reply.code, reply.refused) == ("data", 554, True)
    assert "RSET" in [heard.upper() for heard in server.heard]


def test_long_and_odd_answers_are_cut_and_made_readable():
    with ScriptedServer(RCPT="550-5.1.1 one\r\n550 5.1.1 two\x1b[31m " + "x" * 600) as route:
        line = connected(route)
        reply = line.send(*TO)
        line.close()
    assert len(reply.text) == 500 and reply.text.isprintable() and reply.text.startswith("5.1.1 one 5.1.1 two")


@pytest.mark.parametrize(("verb", "phase"), [("MAIL", "mail"), ("RCPT", "rcpt"), ("DATA", "data"), ("end", "end")])
def test_421_defers_and_the_connection_is_closed(verb, phase):
    """RFC 5321 3.8: after 421 the server closes the connection."""
    with ScriptedServer(**{verb: "421 4.3.2 shutting down"}) as route:
        line = connected(route)
        reply = line.send(*TO)
        assert (reply.code, reply.phase, reply.deferred) == (421, phase, True) and not line.is_open
        line.close()


# Trouble


@pytest.mark.parametrize("offers", [{}, IN_ONE_GO], ids=["one by one", "in one go"])
@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_break_before_the_content_leaves_nothing_there(verb, cut, offers):
    with ScriptedServer(**offers, **{verb: cut}) as route:
        line = connected(route)
        with pytest.raises(Unreachable) as caught:
            line.send(*TO)
        assert caught.value.reason == "broken" and not line.is_open


def test_a_break_within_the_content_leaves_nothing_there():
    """The end mark never left, so the server must drop what came (RFC 5321 4.1.1.4)."""
    with ScriptedServer(content="reset") as route:
        line = connected(route)
        with pytest.raises(Unreachable):
            line.send(TO[0], TO[1], LETTER + b"x" * 20_000_000)
        assert not line.is_open


@pytest.mark.parametrize("answer", ["close", "reset", "silence", "hello there", "999 what", "354 go on", "300 what"])
def test_a_break_after_the_content_is_unknown(answer):
    with ScriptedServer(end=answer) as route:
        line = connected(route, timeout=0.3)
        with pytest.raises(OutcomeUnknown):
            line.send(*TO)
        assert not line.is_open


def test_a_real_server_that_takes_the_letter_and_dies():
    with run_sink({"end": "drop"}) as (taken, route):
        with pytest.raises(OutcomeUnknown):
            connected(route).send(*TO)
        assert len(taken.mails) == 1


def test_a_server_that_falls_silent_is_given_up():
    with ScriptedServer(RCPT="silence") as route, pytest.raises(Unreachable):
        connected(route, timeout=0.3).send(*TO)


@pytest.mark.parametrize("offers", [{}, IN_ONE_GO], ids=["one by one", "in one go"])
@pytest.mark.parametrize("parting", ["421 4.4.2 idle too long", "close"])
def test_a_connection_that_went_stale_is_opened_again(parting, offers):
    """Servers close idle and much used connections at will; that is no trouble to tell anybody."""
    server = ScriptedServer(**offers, MAIL=["250 ok", parting, "250 ok"])
    with server as route:
        line = connected(route)
        assert line.send(*TO).accepted
        assert line.send(*TO).accepted
        line.close()
    assert server.connections == 2


# Waiting


def endless(pause_s: float, line: bytes = b"250-and more\r\n"):
    """Answer with lines and no end."""

    def talk(connection):
        with suppress(OSError):
            while True:
                connection.sendall(line)
                time.sleep(pause_s)
        return False

    return talk


@pytest.mark.parametrize(("verb", "failure"), [("EHLO", Unreachable), ("RCPT", Unreachable), ("end", OutcomeUnknown)])
@pytest.mark.parametrize(
    "talk", [endless(0), endless(0.05), endless(0, b"x" * 8192)], ids=["many lines", "drip", "no line end"]
)
def test_an_answer_without_end_is_given_up(verb, failure, talk):
    """The time counts for the answer as a whole, and so do its lines and bytes."""
    with ScriptedServer(**{verb: talk}) as route:
        line = connected(route, timeout=0.6)
        began = time.monotonic()
        with pytest.raises(failure):
            line.send(*TO)
        assert time.monotonic() - began < 5 and not line.is_open


def test_a_long_answer_that_ends_counts():
    with ScriptedServer(end="250 2.0.0 " + "x" * 20_000) as route, closing(connected(route)) as line:
        assert line.send(*TO).accepted


@pytest.mark.parametrize("verb", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "end"])
def test_a_wait_ends_soon_after_the_process_is_told_to_stop(verb, monkeypatch):
    monkeypatch.setattr(smtp_session, "STOP_GRACE_S", 0.2)
    with ScriptedServer(**{verb: "silence"}) as route:
        began = time.monotonic()
        line = SmtpConnection(route, "mail.school.example", stopped=lambda: time.monotonic() > began + 0.3)
        with pytest.raises(OutcomeUnknown if verb == "end" else Unreachable) as caught:
            line.send(*TO)
        line.close()
        assert time.monotonic() - began < 4
    assert verb == "end" or caught.value.reason == "stopped"


def test_a_wait_for_tls_ends_soon_after_the_process_is_told_to_stop(monkeypatch):
    monkeypatch.setattr(smtp_session, "STOP_GRACE_S", 0.2)
    with ScriptedServer(greeting="silence") as route:
        began = time.monotonic()
        secure = replace(route, security="tls")
        line = SmtpConnection(secure, "mail.school.example", stopped=lambda: time.monotonic() > began + 0.3)
        with pytest.raises(Unreachable) as caught:
            line.open()
        assert time.monotonic() - began < 4
    assert caught.value.reason == "stopped"


@pytest.mark.parametrize("offers", [{}, IN_ONE_GO], ids=["one by one", "in one go"])
def test_each_command_has_the_time_of_the_standard(offers, monkeypatch):
    """RFC 5321 4.5.3.2: MAIL and RCPT five minutes, DATA two, the end of the content ten."""
    limits, getreply = [], smtp_session.SmtpSession.getreply
    monkeypatch.setattr(
        smtp_session.SmtpSession, "getreply", lambda self: (limits.append(self.limit_s), getreply(self))[1]
    )
    with ScriptedServer(**offers) as route:
        line = SmtpConnection(route, "mail.school.example")
        assert line.send(*TO).accepted and line.send(*TO).accepted
        line.close()
    assert limits.pop() == 2
    first = [30, 30, 30, 600] if offers else [300, 300, 120, 600]
    assert limits == [60, 60, *first, 300, 300, 120, 600]


def test_a_server_that_stops_taking_the_content_is_given_up_and_does_not_have_it(monkeypatch):
    """The end mark never left."""
    monkeypatch.setattr(smtp_session, "MIN_BYTES_PER_S", 1e9)
    with ScriptedServer(content="silence") as route, closing(connected(route, timeout=0.5)) as line:
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            line.send(TO[0], TO[1], LETTER + b"x" * 40_000_000)
        assert time.monotonic() - began < 4 and caught.value.reason == "broken"


def test_a_slow_answer_is_told_and_waited_for(monkeypatch):
    monkeypatch.setattr(smtp_session, "SLOW_S", 0.3)
    told = []

    def late(connection):
        time.sleep(1)
        connection.sendall(b"250 2.0.0 ok\r\n")
        return True

    with ScriptedServer(end=late) as route:
        line = SmtpConnection(route, "mail.school.example", on_slow=lambda: told.append("slow"))
        assert line.send(*TO).accepted
        line.close()
    assert 1 <= len(told) <= 4


def test_a_host_that_loses_pipelined_commands_is_spoken_to_one_at_a_time_for_a_day(monkeypatch):
    monkeypatch.setattr(smtp, "PIPELINING_TRIAL_S", 0.3)
    server = ScriptedServer(loses_input=True, **IN_ONE_GO)
    with server as route:
        with closing(connected(route)) as line:
            assert line.send(*TO).accepted
        heard = len(server.heard)
        line = connected(route)
        assert [line.send(*TO).accepted for _ in range(2)] == [True] * 2
        line.close()
        assert [one.split()[0] for one in server.heard[heard:]] == [*("ehlo", *("MAIL", "RCPT", "DATA") * 2, "quit")]
        host = (route.host, route.port)
        assert 86000 < smtp._no_pipelining_until[host] - time.monotonic() <= 86400


@pytest.mark.parametrize("answer", ["503 5.5.1 bad sequence", "500 what"])
def test_a_complaint_about_the_order_is_tried_one_at_a_time(answer):
    server = ScriptedServer(RCPT=[answer, "250 ok"], **IN_ONE_GO)
    with server as route, closing(connected(route)) as line:
        assert line.send(*TO).accepted
    assert (route.host, route.port) in smtp._no_pipelining_until


def test_one_letter_at_which_a_host_hangs_up_does_not_end_pipelining():
    with ScriptedServer(RCPT="close", **IN_ONE_GO) as route, pytest.raises(Unreachable):
        connected(route).send(*TO)
    assert (route.host, route.port) not in smtp._no_pipelining_until


def test_nobody_listens():
    with pytest.raises(Unreachable) as caught:
        connected(SmtpServer("127.0.0.1", free_port())).open()
    assert caught.value.reason == "connect"


@pytest.mark.parametrize("greeting", ["554 no", "421 later", "nonsense", "close"])
def test_an_unfriendly_greeting(greeting):
    with ScriptedServer(greeting=greeting) as route, pytest.raises(Unreachable) as caught:
        connected(route).open()
    assert caught.value.reason == "greeting"


def test_a_server_without_ehlo_is_greeted_the_old_way():
    with ScriptedServer(EHLO="502 what") as route:
        line = connected(route)
        assert line.send(*TO).accepted
        line.close()


@pytest.mark.parametrize(
    "wrong", ["a@b.example>\r\nRCPT TO:<c@d.example", "a b@c.example", "あ@b.example", "a@b.example\n", "<a@b.example>"]
)
def test_no_command_can_be_injected(wrong):
    line = connected(SmtpServer("127.0.0.1", free_port()))
    with pytest.raises(ValueError, match="command"):
        line.send("", wrong, LETTER)
    with pytest.raises(ValueError, match="command"):
        line.send(wrong, TO[1], LETTER)
    with pytest.raises(ValueError, match="command"):
        line.send(TO[0], "", LETTER)


def test_closing_twice_is_harmless():
    with run_sink() as (_, route):
        line = connected(route)
        line.open()
        line.open()
        line.close()
        line.close()
        assert not line.is_open


# TLS and login


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server that wants STARTTLS and then a login."""
    context = self_signed_context(tmp_path_factory.mktemp("tls"))
    options = {"require_starttls": True, "auth_required": True, "authenticator": authenticate_hanako}
    with run_sink(tls_context=context, **options) as (taken, route):
        yield taken, route


def with_login(route: SmtpServer, password: str = "p:@ss/word", security: str = "starttls") -> SmtpServer:
    return SmtpServer(route.host, route.port, security, "hanako@school", password)


def test_letters_go_by_starttls_and_login(secure):
    taken, route = secure
    line = connected(with_login(route))
    assert line.send(*TO).accepted
    line.close()
    assert taken.mails[-1][1] == [TO[1]]


@pytest.mark.parametrize("password", ["wrong", "パスワード"])
def test_a_wrong_password_is_told_without_it(secure, password):
    with pytest.raises(Unreachable) as caught:
        connected(with_login(secure[1], password)).open()
    assert caught.value.reason == "login"
    assert password not in caught.value.message + caught.value.detail + str(caught.value)


def test_no_login_is_refused_by_the_server(secure):
    line = connected(SmtpServer(secure[1].host, secure[1].port, "starttls"))
    reply = line.send(*TO)
    assert reply.refused and reply.code == 530
    line.close()


def test_no_tls_is_refused_by_the_server(secure):
    line = connected(secure[1])
    assert line.send(*TO).code == 530
    line.close()


def test_starttls_is_never_given_up_silently():
    with run_sink() as (_, route), pytest.raises(Unreachable) as caught:
        connected(SmtpServer(route.host, route.port, "starttls")).open()
    assert caught.value.reason == "tls"


def test_tls_to_a_plain_server_fails_clearly():
    with run_sink() as (_, route), pytest.raises(Unreachable) as caught:
        connected(SmtpServer(route.host, route.port, "tls"), timeout=2).open()
    assert caught.value.reason == "tls"


def test_a_strangers_certificate_is_refused_but_on_loopback(secure, monkeypatch):
    """The same server, reached as if it stood elsewhere."""
    monkeypatch.setattr("mail.smtp.is_loopback", lambda host: False)
    with pytest.raises(Unreachable) as caught:
        connected(with_login(secure[1])).open()
    assert caught.value.reason == "tls" and "certificate" in caught.value.message


def test_a_login_where_none_is_offered_fails_clearly():
    with run_sink() as (_, route), pytest.raises(Unreachable) as caught:
        connected(with_login(route, security="none")).open()
    assert caught.value.reason == "login"


def test_smtplib_still_has_what_we_use():
    assert all(hasattr(smtplib.SMTP, name) for name in ("docmd", "getreply", "send", "rset", "quit", "close"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled", True),
        ("[ALERT] Application-specific password required", True),
        ("AUTH XOAUTH2 OAUTHBEARER", True),
        ("535 5.7.8 Error: authentication failed", False),
        ("[AUTHENTICATIONFAILED] Invalid credentials", False),
    ],
)
def test_a_provider_that_takes_no_passwords_is_told_apart(said, told):
    """Nobody is to type the right password ten times where only OAuth or an app password opens."""
    assert (smtp.login_failure_message(said, "usual") == smtp.APP_PASSWORD_NEEDED) is told
