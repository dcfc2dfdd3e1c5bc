"""Passkeys (WebAuthn) as second factor, by the library `webauthn`.

A challenge belongs to one session and one purpose, and is used once. Browsers offer passkeys to pages over https with
a host name, and to http://localhost.
"""

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from config import current_config, is_loopback
from core.errors import DomainError
from core.settings import load_settings
from i18n import N_
from models import Passkey, Session, User

MAX_PASSKEYS = 10
TIMEOUT_MS = 300_000


class PasskeyRefused(DomainError):
    """The answer of the browser is not accepted: wrong challenge, origin, signature or counter."""

    message = N_("The passkey was not accepted. Please try again.")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The site to which a passkey belongs: host (`id`), origin and name."""

    id: str
    origin: str
    name: str


def relying_party(page_url: str) -> RelyingParty | None:
    """Return the relying party of pages under this URL; None where browsers offer no passkeys.

    The address set for the installation counts, not the one that the request names. On this machine alone,
    http://localhost counts beside http://127.0.0.1, which browsers do not accept as a host.
    """
    config = load_settings()
    base = urlsplit(config.base_url)
    if base.scheme == "https" and base.hostname and not _is_ip(base.hostname):
        return RelyingParty(base.hostname, _origin(config.base_url), config.name or "Kairan")
    page = urlsplit(page_url)
    if is_loopback(config.base_url) and (page.scheme, page.hostname) == ("http", "localhost"):
        return RelyingParty("localhost", _origin(page_url), config.name or "Kairan")
    return None


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = "" if parts.port in (None, {"https": 443, "http": 80}[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


def localhost_url(path: str) -> str:
    """Return the address of a page under which passkeys work on this machine; empty on a server."""
    base = urlsplit(load_settings().base_url)
    return f"http://localhost:{base.port or 80}{path}" if is_loopback(load_settings().base_url) else ""


def passkeys_of(user: User, party: RelyingParty | None = None) -> list[Passkey]:
    """Return the user's passkeys; with `party`, those that work on its pages."""
    here = (Passkey.rp_id == party.id) if party else True
    return list(Passkey.select().where(Passkey.user == user, here).order_by(Passkey.id))


# ── registration ─────────────────────────────────────────────────────────────────────────────────────────────────


def registration_options(user: User, session: Session, party: RelyingParty) -> dict[str, Any]:
    """Return the options for `navigator.credentials.create`. Their challenge replaces the session's earlier one."""
    import webauthn  # heavy and rarely needed, so not imported at every start
    from webauthn.helpers import structs

    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=hmac.digest(current_config().key("secret"), f"kairan passkey {user.id}".encode(), "sha256"),
        user_name=user.name,
        challenge=_new_challenge(session, "create"),
        timeout=TIMEOUT_MS,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.PREFERRED,
            user_verification=structs.UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=_descriptors(passkeys_of(user, party)),
    )
    return _as_json(options)


def add_passkey(
    user: User, session: Session, party: RelyingParty, credential: str, name: str, now: datetime
) -> Passkey:
    """Store the passkey that the browser made. Raises PasskeyRefused, DomainError."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url
    from webauthn.helpers.exceptions import WebAuthnException

    if Passkey.select().where(Passkey.user == user).count() >= MAX_PASSKEYS:
        raise DomainError(N_("At most %(n)s passkeys can be kept. Please remove one first."), n=MAX_PASSKEYS)
    challenge = _use_challenge(session, "create")
    try:
        made = webauthn.verify_registration_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=party.id, expected_origin=party.origin
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as wrong:
        raise PasskeyRefused from wrong
    number = bytes_to_base64url(made.credential_id)
    if Passkey.select().where(Passkey.credential_id == number).exists():
        raise PasskeyRefused
    return Passkey.create(
        user=user,
        credential_id=number,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        transports=_transports(credential),
        rp_id=party.id,
        name=name[:60],
        created_at=now,
    )


def _transports(credential: str) -> list[str]:
    """Return the ways to the authenticator that the browser named; unknown words are dropped."""
    from webauthn.helpers.structs import AuthenticatorTransport

    named = json.loads(credential).get("response", {}).get("transports") or []
    known = {one.value for one in AuthenticatorTransport}
    return [one for one in named if one in known] if isinstance(named, list) else []


# ── use ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def use_options(user: User, session: Session, party: RelyingParty) -> dict[str, Any]:
    """Return the options for `navigator.credentials.get`. Their challenge replaces the session's earlier one."""
    import webauthn

    return _as_json(
        webauthn.generate_authentication_options(
            rp_id=party.id,
            challenge=_new_challenge(session, "get"),
            timeout=TIMEOUT_MS,
            allow_credentials=_descriptors(passkeys_of(user, party)),
        )
    )


def check_passkey(user: User, session: Session, party: RelyingParty, credential: str, now: datetime) -> Passkey:
    """Check the browser's answer to `use_options` and store the counter. Raises PasskeyRefused."""
    import webauthn
    from webauthn.helpers import parse_authentication_credential_json
    from webauthn.helpers.exceptions import WebAuthnException

    challenge = _use_challenge(session, "get")
    try:
        answer = parse_authentication_credential_json(credential)
        passkey = Passkey.get_or_none(
            Passkey.user == user, Passkey.credential_id == answer.id, Passkey.rp_id == party.id
        )
        if passkey is None:
            raise PasskeyRefused
        checked = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as wrong:
        raise PasskeyRefused from wrong
    unchanged = Passkey.id == passkey.id, Passkey.sign_count == passkey.sign_count
    if not Passkey.update(sign_count=checked.new_sign_count, used_at=now).where(*unchanged).execute():
        raise PasskeyRefused
    return passkey


def _descriptors(passkeys: list[Passkey]) -> list[Any]:
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    return [
        PublicKeyCredentialDescriptor(
            id=base64url_to_bytes(one.credential_id),
            transports=[AuthenticatorTransport(way) for way in one.transports] or None,
        )
        for one in passkeys
    ]


def _as_json(options: Any) -> dict[str, Any]:
    import webauthn

    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found


# ── challenges ───────────────────────────────────────────────────────────────────────────────────────────────────


def _new_challenge(session: Session, purpose: str) -> bytes:
    challenge = secrets.token_bytes(32)
    Session.update(challenge=f"{purpose}:{challenge.hex()}").where(Session.id == session.id).execute()
    return challenge


def _use_challenge(session: Session, purpose: str) -> bytes:
    """Return the challenge of this session and purpose, and clear it: a second answer finds none."""
    kept = Session.get_by_id(session.id).challenge
    if not kept.startswith(f"{purpose}:"):
        raise PasskeyRefused
    if not Session.update(challenge="").where(Session.id == session.id, Session.challenge == kept).execute():
        raise PasskeyRefused
    return bytes.fromhex(kept.partition(":")[2])
