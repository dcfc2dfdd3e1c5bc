"""A WebAuthn authenticator in a few lines: makes and uses passkeys as a browser would, also wrongly."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class SoftAuthenticator:
    """One passkey. `count` is the counter that it shows with its next answer."""

    origin: str
    number: bytes = b"passkey-0001"
    count: int = 1
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any]) -> str:
        """Answer `navigator.credentials.create`."""
        data = self._client_data("webauthn.create", options["challenge"])
        point = self.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        credential = bytes(16) + len(self.number).to_bytes(2, "big") + self.number + cose
        authenticator_data = self._authenticator_data(options["rp"]["id"], PRESENT | VERIFIED | ATTESTED) + credential
        attestation = {"fmt": "none", "attStmt": {}, "authData": authenticator_data}
        return self._answer(
            {"clientDataJSON": data, "attestationObject": cbor2.dumps(attestation)}, transports=["internal", "odd"]
        )

    def get(self, options: dict[str, Any]) -> str:
        """Answer `navigator.credentials.get`."""
        data = self._client_data("webauthn.get", options["challenge"])
        authenticator_data = self._authenticator_data(options["rpId"], PRESENT)
        signature = self.key.sign(authenticator_data + sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer({"clientDataJSON": data, "authenticatorData": authenticator_data, "signature": signature})

    def _client_data(self, kind: str, challenge: str) -> bytes:
        plain = bytes_to_base64url(base64url_to_bytes(challenge))
        return json.dumps({"type": kind, "challenge": plain, "origin": self.origin}).encode()

    def _authenticator_data(self, host: str, flags: int) -> bytes:
        return sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _answer(self, parts: dict[str, bytes], **more: Any) -> str:
        response = {name: bytes_to_base64url(value) for name, value in parts.items()} | more
        number = bytes_to_base64url(self.number)
        return json.dumps({"id": number, "rawId": number, "type": "public-key", "response": response})
