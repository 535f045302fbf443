"""Faults in a token: what a client must find out when it checks one.

Each opens the token that the endpoint minted and signs it anew, unless the signature is the fault.
"""

from __future__ import annotations

import hmac
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fake_oauth.faults.seams import Tampering
from fake_oauth.provider.errors import Problem
from fake_oauth.provider.keys import KeyRing, SigningKey
from fake_oauth.provider.parties import not_json
from fake_oauth.provider.tokens import compact, opened, sign, signing_input


@dataclass(frozen=True, slots=True)
class _Claims(Tampering):
    """A token that is signed well and says something wrong."""

    def tamper(self, token: str, keys: KeyRing) -> str:
        _, claims = opened(token)
        return sign(keys.signing, self.told(claims))

    @abstractmethod
    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims that are signed instead of these."""


@dataclass(frozen=True, slots=True)
class Expired(_Claims):
    """A token that lived its whole life and ended `seconds_ago` (by the server's clock)."""

    seconds_ago: int = 3600

    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        shift = claims["exp"] - claims["iat"] + self.seconds_ago
        return {
            name: value - shift if name in ("nbf", "exp", "iat") else value
            for name, value in claims.items()
        }

    def problems(self) -> Iterator[Problem]:
        yield from _not_positive("seconds_ago", self.seconds_ago)


@dataclass(frozen=True, slots=True)
class NotYetValid(_Claims):
    """A token whose `nbf` is so many seconds ahead; its `exp` is moved along."""

    seconds: int = 3600

    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {
            **claims,
            "nbf": claims["iat"] + self.seconds,
            "exp": claims["exp"] + self.seconds,
        }

    def problems(self) -> Iterator[Problem]:
        yield from _not_positive("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class WrongIssuer(_Claims):
    """A token whose `iss` is another."""

    issuer: str = "https://other.example"

    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {**claims, "iss": self.issuer}


@dataclass(frozen=True, slots=True)
class WrongAudience(_Claims):
    """A token for somebody else: another `aud`, and in an id_token another `azp`."""

    audience: str = "OTHER_CLIENT_ID"

    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        party = {"azp": self.audience} if "azp" in claims else {}
        return {**claims, "aud": self.audience, **party}


@dataclass(frozen=True, slots=True)
class Claim(_Claims):
    """A token with one claim changed or added."""

    name: str
    value: Any

    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {**claims, self.name: self.value}

    def problems(self) -> Iterator[Problem]:
        yield from _blank("name", self.name)
        yield from not_json("value", self.value)


@dataclass(frozen=True, slots=True)
class NoClaim(_Claims):
    """A token that lacks one claim."""

    name: str

    def told(self, claims: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in claims.items() if name != self.name}

    def problems(self) -> Iterator[Problem]:
        yield from _blank("name", self.name)


@dataclass(frozen=True, slots=True)
class BadSignature(Tampering):
    """A token whose signature has one wrong bit."""

    def tamper(self, token: str, keys: KeyRing) -> str:
        header, claims = opened(token)
        signed = signing_input(header, claims)
        signature = bytearray(keys.signing.sign(signed.encode()))
        signature[-1] ^= 1
        return compact(signed, bytes(signature))


@dataclass(frozen=True, slots=True)
class UnknownKey(Tampering):
    """A token signed by a key that is not in the JWKS, and whose `kid` says so."""

    def tamper(self, token: str, keys: KeyRing) -> str:
        _, claims = opened(token)
        return sign(keys.stranger, claims)


@dataclass(frozen=True, slots=True)
class NoKeyId(Tampering):
    """A token signed well, without a `kid` in its header."""

    def tamper(self, token: str, keys: KeyRing) -> str:
        header, claims = opened(token)
        del header["kid"]
        return _signed(keys.signing, header, claims)


@dataclass(frozen=True, slots=True)
class AlgNone(Tampering):
    """A token with `alg` none and no signature (RFC 8725 section 2.1)."""

    def tamper(self, token: str, keys: KeyRing) -> str:
        header, claims = opened(token)
        return compact(signing_input({**header, "alg": "none"}, claims), b"")


@dataclass(frozen=True, slots=True)
class HmacConfusion(Tampering):
    """A token with `alg` HS256, its secret the PEM of the public key (RFC 8725 section 2.1)."""

    def tamper(self, token: str, keys: KeyRing) -> str:
        header, claims = opened(token)
        signed = signing_input({**header, "alg": "HS256"}, claims)
        secret = keys.signing.public_pem()
        return compact(signed, hmac.new(secret, signed.encode(), sha256).digest())


def _signed(key: SigningKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    signed = signing_input(header, claims)
    return compact(signed, key.sign(signed.encode()))


def _not_positive(name: str, seconds: int) -> Iterator[Problem]:
    if seconds < 1:
        yield Problem(name, f"expected at least 1, got {seconds}")


def _blank(name: str, value: str) -> Iterator[Problem]:
    if not value:
        yield Problem(name, "expected the name of a claim, got an empty one")
