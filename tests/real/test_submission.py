"""A real Postfix as a provider's server: STARTTLS and a login by Dovecot (E-02, N-10); its words in ours."""

from dataclasses import replace

import pytest

import clock
import config as ground
from core.system import mail_settings
from core.system.diagnostics import CheckResult
from models import Letter
from tests import smarthost
from tests.mail.smtp_servers import free_port, self_signed_context
from tests.processes import until
from tests.real.dovecot import PASSWORD, SASL, USER, run_dovecot
from tests.real.external_programs import run_postfix
from tests.smarthost import begun, drained, states

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(180)]

MASTER = """127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=kairantest/submission
  -o mynetworks=127.255.255.255/32
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=inet:127.0.0.1:{sasl}
  -o smtpd_sender_login_maps=regexp:{home}/logins
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""


@pytest.fixture
def provider(school, tmp_path):
    """Run the provider's servers; give the port for letters and the parents' server."""
    key = tmp_path / "tls"
    key.mkdir()
    self_signed_context(key)
    (key / "logins").write_text(f"/@mail\\.school\\.example$/ {USER}\n/^/ somebody-else\n")
    main = f"smtpd_tls_cert_file = {key}/both.pem\nsmtpd_tls_key_file = {key}/both.pem\n"
    port = free_port()
    with run_dovecot(tmp_path / "sasl", SASL) as logins, smarthost.running() as (host, sink):
        more = MASTER.format(port=port, sasl=logins.port, home=key)
        with run_postfix(tmp_path / "pf", free_port(), sink, main, more):
            yield port, host


def said(port: int, to, login: str = "", scheme: str = "smtp+starttls") -> CheckResult:
    ground.set_current_config(replace(ground.current_config(), smtp=f"{scheme}://{login}127.0.0.1:{port}", rate=0))
    return mail_settings.send_test_letter(to, clock.now())


def test_letters_go_by_starttls_and_login_and_every_mistake_has_its_words(provider, school, tmp_path, monkeypatch):
    port, host = provider
    to, right = school.users["守"], f"{USER}:{PASSWORD.replace(' ', '%20')}@"
    good = said(port, to, right)
    assert good.ok and good.found.startswith("250 2.0.0"), (good, (tmp_path / "pf" / "mail.log").read_text())
    wrong = said(port, to, f"{USER}:falsch@")
    assert "refused the login" in wrong.advice and wrong.found.startswith("535 5.7.8")
    bare = said(port, to, scheme="smtp")
    assert "encryption or a login first" in bare.advice and bare.found.startswith("530 5.7.0")
    nobody = said(port, to)
    assert not nobody.ok and "login" in nobody.advice, nobody
    early = said(port, to, right, scheme="smtps")
    assert "TLS from the start" in early.advice
    with monkeypatch.context() as outside:
        outside.setattr("mail.smtp.is_loopback", lambda host: False)
        strange = said(port, to, right)
        assert "certificate" in strange.advice and "self" in strange.found
    ground.set_current_config(replace(ground.current_config(), mail_domain="other.example"))
    other = said(port, to, right)
    assert "does not let this login send as" in other.advice and other.found.startswith("553 5.7.1")
    assert PASSWORD not in "".join(str(one) for one in (good, wrong, bare, nobody, early, strange, other))
    assert [one.state for one in Letter.select().order_by(Letter.id)] == [
        "accepted",
        "cancelled",
        "refused",
        "refused",
        "cancelled",
        "cancelled",
        "refused",
    ]


def test_a_notice_goes_by_the_provider(provider, school):
    port, host = provider
    login = f"{USER}:{PASSWORD.replace(' ', '%20')}@"
    ground.set_current_config(
        replace(ground.current_config(), smtp=f"smtp+starttls://{login}127.0.0.1:{port}", rate=0, domain_rate=0)
    )
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    assert drained()
    assert set(states(notice)) == {"accepted"}


def test_postfix_hands_letters_on_with_the_settings_for_a_provider(provider, school, tmp_path):
    """deploy/postfix/smarthost.cf: Kairan → our Postfix → STARTTLS and login at the provider → the parents' server."""
    port, host = provider
    passwords = tmp_path / "passwords"
    passwords.write_text(f"[127.0.0.1]:{port} {USER}:{PASSWORD}\n", "utf-8")
    text = (ground.PROJECT_DIR / "deploy" / "postfix" / "smarthost.cf").read_text("utf-8")
    assert "smtp_tls_security_level = secure" in text
    for there, here in (
        ("[smtp.example.net]:587", f"[127.0.0.1]:{port}"),
        ("/etc/postfix/kairan-smarthost", str(passwords)),
        ("smtp_tls_security_level = secure", "smtp_tls_security_level = encrypt"),  # nobody signed the test's
        ("smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt", ""),
    ):
        text = text.replace(there, here)
    own = free_port()
    with run_postfix(tmp_path / "own", own, port, text):
        smarthost.send_by(own)
        notice = begun(school.users["花子"], [school.lists["1-1"]])
        assert drained() and set(states(notice)) == {"accepted"}
        log = lambda: (tmp_path / "own" / "mail.log").read_text("utf-8", "replace")  # noqa: E731
        assert until(lambda: len(host.mails) == states(notice)["accepted"], 30), log()
    assert all(sender.startswith("b-") for sender, *_ in host.mails), "the return path passes both servers"
