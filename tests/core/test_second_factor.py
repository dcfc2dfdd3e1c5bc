"""Authenticator app, recovery codes, passkeys and known devices: what is accepted, and what never is."""

import json
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from webauthn.helpers import bytes_to_base64url

import clock
import config as ground
from core.accounts import devices, passkeys, recovery_codes, second_factor, sessions, totp
from core.accounts.logins import TooManyAttempts
from core.errors import DomainError
from models import AuditLog, Device, Letter, Passkey, RecoveryCode, Session, TotpKey, User
from tests.soft_authenticator import SoftAuthenticator

ORIGIN = "https://kairan.school.example"


@pytest.fixture
def hanako(school):
    """花子 with a session on a known device."""
    user = school.users["花子"]
    device, _ = devices.add_device(user, None, "Mozilla/5.0 (iPhone) Safari", clock.now())
    return sessions.start_session(user, now=clock.now(), device=device)


@pytest.fixture
def party(config):
    ground.set_current_config(replace(config, base_url=ORIGIN))
    found = passkeys.relying_party(ORIGIN + "/login")
    assert found == passkeys.RelyingParty("kairan.school.example", ORIGIN, found.name)
    return found


def with_app(user, now=None):
    """Set up the app; return its secret and the recovery codes."""
    now = now or clock.now()
    totp.start_setup(user, now)
    secret = totp.secret_of(totp.pending_key(user))
    return secret, second_factor.confirm_app(user, user.session, pyotp.TOTP(secret).at(now), now)


def check(user, typed, now):
    second_factor.check_code(user, user.session, typed, now)


# ── authenticator app ────────────────────────────────────────────────────────────────────────────────────────────


def test_app_counts_once_a_code_was_typed(hanako):
    now = clock.now()
    assert not second_factor.is_on(hanako)
    totp.start_setup(hanako, now)
    assert not second_factor.is_on(hanako)
    with pytest.raises(second_factor.WrongCode):
        second_factor.confirm_app(hanako, hanako.session, "000000", now)
    assert not second_factor.is_on(hanako)
    with_app(hanako)
    assert second_factor.methods_of(hanako) == second_factor.Methods(app=True, passkeys=0, recovery_codes=10)


def test_the_secret_is_not_in_the_tables(hanako):
    secret, codes = with_app(hanako)
    kept = str([list(table.select().dicts()) for table in (TotpKey, RecoveryCode, AuditLog, Letter, Session)])
    assert secret not in kept
    assert not [code for code in codes if code in kept or code.replace("-", "") in kept]


def test_a_code_is_accepted_once_and_no_older_one_after_it(hanako):
    """RFC 6238 5.2: the verifier must not accept a code a second time."""
    secret, _ = with_app(hanako)
    app, later = pyotp.TOTP(secret), clock.now() + timedelta(minutes=5)
    check(hanako, app.at(later), later)
    for used in (app.at(later), app.at(later - timedelta(seconds=30))):
        with pytest.raises(second_factor.WrongCode):
            check(hanako, used, later)
    check(hanako, app.at(later + timedelta(seconds=30)), later)  # the telephone is 30 s ahead
    with pytest.raises(second_factor.WrongCode):
        check(hanako, app.at(later + timedelta(seconds=90)), later)


def test_the_code_that_set_the_app_up_is_used(hanako):
    now = clock.now()
    secret, _ = with_app(hanako, now)
    with pytest.raises(second_factor.WrongCode):
        check(hanako, pyotp.TOTP(secret).at(now), now)


@pytest.mark.parametrize("shape", ["{0}{1}", "{0} {1}", " {0}-{1} "])
def test_codes_are_read_kindly(hanako, shape):
    secret, _ = with_app(hanako)
    later = clock.now() + timedelta(minutes=5)
    code = pyotp.TOTP(secret).at(later)
    wide = code.translate({ord(digit): ord(digit) - ord("0") + ord("０") for digit in "0123456789"})
    check(hanako, shape.format(wide[:3], wide[3:]), later)


def test_wrong_codes_are_slowed_down_and_recovery_codes_have_their_own_count(hanako):
    _, codes = with_app(hanako)
    now = clock.now()
    for _ in range(5):
        with pytest.raises(second_factor.WrongCode):
            check(hanako, "123456", now)
    with pytest.raises(TooManyAttempts):
        check(hanako, "123456", now)
    check(hanako, codes[0], now)
    for _ in range(5):
        with pytest.raises(second_factor.WrongRecoveryCode):
            check(hanako, "abcd-efgh-jkmn", now)
    with pytest.raises(TooManyAttempts):
        check(hanako, codes[1], now)


def test_guesses_on_new_devices_do_not_lock_the_known_one_and_are_told(hanako):
    secret, _ = with_app(hanako)
    Letter.delete().execute()
    now = clock.now() + timedelta(minutes=5)
    for attempt in range(7):  # each with a session of its own: they count together
        pending = sessions.start_pending_session(hanako, now=now, remember=False, agent="")
        with pytest.raises(second_factor.WrongCode if attempt < 5 else TooManyAttempts):
            second_factor.check_code(hanako, pending, "123456", now)
    check(hanako, pyotp.TOTP(secret).at(now), now)
    told = Letter.get()
    assert (told.kind, told.address) == ("second-factor", "user1@school.example")
    assert "違うコード" in told.payload["what"]


# ── recovery codes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_recovery_code_works_once_in_any_case_and_the_user_is_told(hanako):
    _, codes = with_app(hanako)
    assert len(set(codes)) == recovery_codes.COUNT == 10
    Letter.delete().execute()
    check(hanako, codes[0].upper().replace("-", " "), clock.now())
    with pytest.raises(second_factor.WrongRecoveryCode):
        check(hanako, codes[0], clock.now())
    assert second_factor.methods_of(hanako).recovery_codes == 9
    assert "残りは9個" in Letter.get().payload["what"]


def test_codes_of_another_user_open_nothing(hanako, school):
    _, codes = with_app(hanako)
    taro = sessions.start_session(school.users["太郎"], now=clock.now())
    with_app(taro)
    with pytest.raises(second_factor.WrongRecoveryCode):
        check(taro, codes[0], clock.now())


def test_new_recovery_codes_end_the_earlier_ones(hanako):
    _, codes = with_app(hanako)
    new = second_factor.replace_recovery_codes(hanako, clock.now())
    with pytest.raises(second_factor.WrongRecoveryCode):
        check(hanako, codes[0], clock.now())
    check(hanako, new[0], clock.now())


def test_letters_about_changes_end(hanako):
    with_app(hanako)
    for _ in range(second_factor.MAX_LETTERS + 5):
        second_factor.replace_recovery_codes(hanako, clock.now())
    assert Letter.select().where(Letter.kind == "second-factor").count() == second_factor.MAX_LETTERS


# ── passkeys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def add_passkey(user, party, **fields):
    device = SoftAuthenticator(**{"origin": party.origin, **fields})
    options = passkeys.registration_options(user, user.session, party)
    codes = second_factor.add_passkey(user, user.session, party, device.create(options), "iPhone", clock.now())
    return device, codes


def use(user, party, device, options=None):
    options = options or passkeys.use_options(user, user.session, party)
    device.count += 1
    second_factor.check_passkey(user, user.session, party, device.get(options), clock.now())


def test_a_passkey_is_added_and_used_and_its_counter_kept(hanako, party):
    device, codes = add_passkey(hanako, party)
    assert len(codes) == 10 and second_factor.is_on(hanako)
    use(hanako, party, device)
    kept = Passkey.get()
    assert (kept.sign_count, kept.transports, kept.rp_id) == (2, ["internal"], "kairan.school.example")
    assert kept.used_at is not None


def test_a_challenge_is_used_once_and_belongs_to_its_session_and_purpose(hanako, party):
    device, _ = add_passkey(hanako, party)
    options = passkeys.use_options(hanako, hanako.session, party)
    use(hanako, party, device, options)
    with pytest.raises(passkeys.PasskeyRefused):
        use(hanako, party, device, options)
    options = passkeys.use_options(hanako, hanako.session, party)
    elsewhere = sessions.start_session(User.get_by_id(hanako.id), now=clock.now())
    with pytest.raises(passkeys.PasskeyRefused):
        use(elsewhere, party, device, options)
    passkeys.registration_options(hanako, hanako.session, party)
    with pytest.raises(passkeys.PasskeyRefused):
        use(hanako, party, device, options)


def test_a_refused_answer_uses_up_the_challenge(hanako, party):
    device, _ = add_passkey(hanako, party)
    options = passkeys.use_options(hanako, hanako.session, party)
    with pytest.raises(passkeys.PasskeyRefused):
        use(hanako, party, replace(device, origin="https://evil.example"), options)
    with pytest.raises(passkeys.PasskeyRefused):
        use(hanako, party, device, options)


def test_a_counter_that_does_not_grow_is_refused(hanako, party):
    """WebAuthn 6.1.1: a copy of the authenticator shows an old counter."""
    device, _ = add_passkey(hanako, party, count=5)
    copy = replace(device, count=4)
    use(hanako, party, device)
    with pytest.raises(passkeys.PasskeyRefused):
        use(hanako, party, copy)
    assert Passkey.get().sign_count == 6


@pytest.mark.parametrize("wrong", ["key", "number", "host"])
def test_foreign_passkeys_are_refused(hanako, party, wrong):
    device, _ = add_passkey(hanako, party)
    options = passkeys.use_options(hanako, hanako.session, party)
    other = {
        "key": replace(device, key=SoftAuthenticator(party.origin).key),
        "number": replace(device, number=b"passkey-0002"),
        "host": device,
    }[wrong]
    options["rpId"] = "evil.example" if wrong == "host" else options["rpId"]
    with pytest.raises(passkeys.PasskeyRefused):
        use(hanako, party, other, options)


def test_a_passkey_of_another_user_opens_nothing(hanako, party, school):
    device, _ = add_passkey(hanako, party)
    taro = sessions.start_session(school.users["太郎"], now=clock.now())
    add_passkey(taro, party, number=b"passkey-taro")
    with pytest.raises(passkeys.PasskeyRefused):
        use(taro, party, device)


def test_the_same_passkey_is_not_registered_twice(hanako, party, school):
    add_passkey(hanako, party)
    taro = sessions.start_session(school.users["太郎"], now=clock.now())
    with pytest.raises(passkeys.PasskeyRefused):
        add_passkey(taro, party)
    assert not second_factor.is_on(taro)


NUMBER = bytes_to_base64url(b"passkey-0001")


def broken(data, number=NUMBER):
    parts = ("clientDataJSON", "authenticatorData", "signature", "attestationObject")
    return json.dumps({"id": number, "rawId": number, "type": "public-key", "response": dict.fromkeys(parts, data)})


@pytest.mark.parametrize(
    "credential",
    ["", "x", "[]", "{}", "null", '{"id": 1}', '{"id":"a","rawId":"a","type":"public-key","response":{}}']
    + [broken(one) for one in ("", "YQ", "!!!", "_____w", "oWNmbXRkbm9uZQ", "AAAA" * 5000, 7, None)]
    + [broken("YQ", number) for number in ("", "!", "YQ")],
)
def test_broken_answers_are_refused(hanako, party, credential):
    add_passkey(hanako, party)
    passkeys.use_options(hanako, hanako.session, party)
    with pytest.raises(passkeys.PasskeyRefused):
        second_factor.check_passkey(hanako, hanako.session, party, credential, clock.now())
    passkeys.registration_options(hanako, hanako.session, party)
    with pytest.raises(passkeys.PasskeyRefused):
        second_factor.add_passkey(hanako, hanako.session, party, credential, "", clock.now())


def test_passkey_answers_and_passkeys_are_limited(hanako, party):
    for number in range(passkeys.MAX_PASSKEYS):
        add_passkey(hanako, party, number=b"passkey-%d" % number)
    with pytest.raises(DomainError, match="At most"):
        add_passkey(hanako, party, number=b"passkey-more")
    for _ in range(second_factor.PASSKEYS_PER_WINDOW):
        with pytest.raises(passkeys.PasskeyRefused):
            second_factor.check_passkey(hanako, hanako.session, party, "{}", clock.now())
    with pytest.raises(TooManyAttempts):
        second_factor.check_passkey(hanako, hanako.session, party, "{}", clock.now())


@pytest.mark.parametrize(
    ("base", "page", "host"),
    [
        ("https://kairan.school.example:8443", "http://proxy/", "kairan.school.example"),
        ("http://kairan.school.example", "http://kairan.school.example/", None),
        ("https://192.0.2.1", "https://192.0.2.1/", None),
        ("http://127.0.0.1:8000", "http://localhost:8000/", "localhost"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/", None),
        ("https://kairan.school.example", "http://localhost:8000/", "kairan.school.example"),
        ("http://kairan.school.example", "http://localhost:8000/", None),
    ],
)
def test_passkeys_are_offered_where_browsers_allow_them(config, base, page, host):
    ground.set_current_config(replace(config, base_url=base))
    found = passkeys.relying_party(page)
    assert (found.id if found else None) == host


# ── devices ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_browser_is_known_to_each_of_its_users(school):
    now, cookie, found = clock.now(), None, {}
    for name in ("花子", "太郎", "守"):
        found[name], cookie = devices.add_device(school.users[name], cookie, "", now)
    assert {name: devices.find_device(school.users[name], cookie, now).id for name in found} == {
        name: device.id for name, device in found.items()
    }
    assert devices.find_device(school.users["見る子"], cookie, now) is None
    assert not [device for device in found.values() if device.digest in cookie]


@pytest.mark.parametrize("cookie", [None, "", ".", "x.y", "." * 500, "☃"])
def test_unknown_tokens_make_no_device_known(school, cookie):
    devices.add_device(school.users["花子"], None, "", clock.now())
    assert devices.find_device(school.users["花子"], cookie, clock.now()) is None


def test_a_planted_token_is_not_adopted(school):
    """Who writes a cookie into somebody's browser does not know the token that counts."""
    device, cookie = devices.add_device(school.users["花子"], "planted", "", clock.now())
    assert devices.find_device(school.users["花子"], "planted", clock.now()) is None
    assert devices.find_device(school.users["花子"], cookie, clock.now()) == device


def test_a_device_is_forgotten_after_a_year_and_when_it_is_removed(hanako):
    user, now = hanako, clock.now()
    device, cookie = devices.add_device(user, None, "", now)
    assert devices.find_device(user, cookie, now + timedelta(days=364)) == device
    assert devices.find_device(user, cookie, now + timedelta(days=366)) is None
    there = sessions.start_session(User.get_by_id(user.id), now=now, device=device)
    devices.revoke_device(device, now)
    assert devices.find_device(user, cookie, now) is None
    assert sessions.user_of_session(there.session.token) is None
    assert sessions.user_of_session(user.session.token) is not None


def test_old_devices_and_sessions_are_deleted_but_not_the_latest_device(hanako):
    now, latest = clock.now(), devices.add_device(hanako, None, "", clock.now())[0]
    assert devices.delete_old_devices(now + timedelta(days=364)) == 0
    assert devices.delete_old_devices(now + timedelta(days=366)) == 1
    assert [device.id for device in Device.select()] == [latest.id]
    devices.add_device(hanako, None, "", now)
    assert Letter.select().where(Letter.kind == "new-device").count() == 2
    assert sessions.delete_old_sessions(now + timedelta(days=90)) == 0
    assert sessions.delete_old_sessions(now + timedelta(days=92)) == 1
    assert not Session.select().exists()


def test_a_new_device_is_told_but_not_the_first_and_not_without_end(school):
    user = school.users["花子"]
    devices.add_device(user, None, "", clock.now())
    assert not Letter.select().exists()
    for _ in range(devices.MAX_LETTERS + 3):
        devices.add_device(user, None, "Mozilla/5.0 (Windows NT 10.0) Firefox", clock.now())
    told = list(Letter.select())
    assert len(told) == devices.MAX_LETTERS
    assert {(one.kind, one.address) for one in told} == {("new-device", "user1@school.example")}
    assert told[0].payload["device"] == "Windows · Firefox" and "守" in told[0].payload["administrators"]


def test_the_first_method_makes_all_other_devices_new_ones(hanako):
    other, _ = devices.add_device(hanako, None, "", clock.now())
    Device.update(second_factor_at=clock.now()).where(Device.id == other.id).execute()
    assert not second_factor.is_required(hanako, None)
    with_app(hanako)
    assert second_factor.is_required(hanako, Device.get_by_id(other.id))
    assert not second_factor.is_required(hanako, Device.get_by_id(hanako.session.device_id))
    assert second_factor.is_required(hanako, None)


# ── off and reset ────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_any_method_recovery_codes_end_too(hanako, party):
    with_app(hanako)
    add_passkey(hanako, party)
    second_factor.remove_app(hanako, clock.now())
    assert second_factor.methods_of(hanako) == second_factor.Methods(app=False, passkeys=1, recovery_codes=10)
    second_factor.remove_passkey(Passkey.get(), clock.now())
    assert second_factor.methods_of(hanako) == second_factor.Methods(app=False, passkeys=0, recovery_codes=0)
    assert "オフになりました" in Letter.select().order_by(Letter.id.desc()).get().payload["what"]


def test_a_reset_removes_everything_and_is_written_down(hanako, party, school):
    with_app(hanako)
    add_passkey(hanako, party)
    assert second_factor.reset(hanako, clock.now(), by=school.users["守"])
    assert second_factor.methods_of(hanako) == second_factor.Methods(app=False, passkeys=0, recovery_codes=0)
    row = AuditLog.get(AuditLog.action == "second_factor.reset")
    assert (row.user_id, row.number, row.detail) == (school.users["守"].id, hanako.id, {})
    assert not second_factor.reset(hanako, clock.now(), by=None)


def test_a_session_that_awaits_the_second_factor_opens_nothing(school):
    now, user = clock.now(), school.users["花子"]
    pending = sessions.start_pending_session(user, now=now, remember=False, agent="")
    assert sessions.user_of_session(pending.token) is None
    assert not list(sessions.active_sessions(user, now))
    assert sessions.pending_session(pending.token, now).id == pending.id
    assert sessions.pending_session(pending.token, now + timedelta(minutes=11)) is None
    assert sessions.end_pending_session(pending, now)
    assert not sessions.end_pending_session(pending, now)
    assert sessions.pending_session(pending.token, now) is None
