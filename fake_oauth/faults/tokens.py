"""Faults in a token: what a client must notice when it validates one.

Each decodes the token that the endpoint issued and signs it again, unless the signature is the
fault. The claims can have any values, because extra claims and earlier faults change them; each
docstring says how its fault treats them. A new one is a subclass of `TokenFault` and a row of
`KINDS`.

The claims of an opaque token are in the store. A fault in them sends another opaque token, and the
resource or an introspection shows it. A fault in the signature has nothing to change there.
"""

from __future__ import annotations

import hmac
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, TypeGuard

from fake_oauth.faults.base import LONGEST_SECONDS, FaultContext, TokenFault
from fake_oauth.provider.tokens import (
    InvalidTokenError,
    compact,
    decode,
    decode_segment,
    encode,
    half_hash,
    signing_input,
    verify,
)
from fake_oauth.structure import Problem, json_problems


def tampered(
    fault: TokenFault, members: Mapping[str, Any], context: FaultContext
) -> dict[str, Any] | None:
    """Return the members of a token response with their tokens changed.

    Return None if there is no token to change, or nothing to change in it.
    """
    changed: dict[str, Any] = {}
    for name in fault.tokens:
        sent = {**members, **changed}
        if isinstance(token := sent.get(name), str):
            try:
                tampered_token = fault.tamper(token, context)
            except InvalidTokenError:
                continue  # An opaque token has no signature, or another fault has replaced it.
            if tampered_token is not None:
                changed[name] = tampered_token
                if name == "access_token":
                    changed |= _id_token_with(tampered_token, members, context)
    return {**members, **changed} if changed else None


def _id_token_with(
    access_token: str, members: Mapping[str, Any], context: FaultContext
) -> dict[str, str]:
    """Return the ID token with the `at_hash` of a changed access token, if it has one that is
    right: a client would refuse the ID token for another reason than the fault."""
    if not isinstance(id_token := members.get("id_token"), str):
        return {}
    try:
        keys = [key.public for key in context.realm.keys.published()]
        header, claims = verify(id_token, keys)
    except InvalidTokenError:
        return {}  # Another fault has changed the ID token.
    alg = header["alg"]
    if claims.get("at_hash") != half_hash(members["access_token"], alg):
        return {}
    changed = {**claims, "at_hash": half_hash(access_token, alg)}
    return {"id_token": _signed(header, changed, context)}


@dataclass(frozen=True, slots=True)
class _ClaimsFault(TokenFault):
    """A fault in the claims; the signature is valid."""

    def tamper(self, token: str, context: FaultContext) -> str | None:
        now = int(context.realm.clock.now())
        try:
            header, claims = decode(token)
        except InvalidTokenError:
            return self._reissued(token, context, now)
        changed = self.changed(claims, now)
        return None if changed is None else _signed(header, changed, context)

    def _reissued(self, token: str, context: FaultContext, now: int) -> str | None:
        """Return another opaque token of the same record, with other claims."""
        realm = context.realm
        with realm.lock:
            record = realm.store.access_token(token)
            claims = None if record is None else record.claims_of(token)
            if record is None or claims is None:
                raise InvalidTokenError("neither a JWT nor an opaque token of this server")
            changed = self.changed(dict(claims), now)
            if changed is None:
                return None
            value = realm.ids.draw("access_token")
            realm.store.add_opaque_token(value, record, changed)
            return value

    @abstractmethod
    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any] | None:
        """Return the claims that are signed instead; None if there is nothing to change."""


@dataclass(frozen=True, slots=True)
class Expired(_ClaimsFault):
    """A token that lived its whole life and expired `seconds_ago`, by the server's clock.

    `exp` is set, also in a token without it; `iat` and `nbf` move back with it. Without a number in
    `exp`, they move back by `seconds_ago`. An `iat` or `nbf` that is not a number is unchanged.
    """

    seconds_ago: int = 3600
    """How many seconds ago the token expired."""

    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any]:
        exp, expired_at = claims.get("exp"), now - self.seconds_ago
        shift = exp - expired_at if _is_moment(exp) else self.seconds_ago
        moved = {
            name: moment - shift
            for name in ("iat", "nbf")
            if _is_moment(moment := claims.get(name))
        }
        return {**claims, **moved, "exp": expired_at}

    def problems(self) -> Iterator[Problem]:
        yield from _duration_problems("seconds_ago", self.seconds_ago)


@dataclass(frozen=True, slots=True)
class NotYetValid(_ClaimsFault):
    """A token that becomes valid in some `seconds`, by the server's clock.

    `nbf` is set, also in a token without it; `exp` moves along if it is a number.
    """

    seconds: int = 3600
    """In how many seconds the token becomes valid."""

    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any]:
        exp = claims.get("exp")
        moved = {"exp": exp + self.seconds} if _is_moment(exp) else {}
        return {**claims, "nbf": now + self.seconds, **moved}

    def problems(self) -> Iterator[Problem]:
        yield from _duration_problems("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class WrongIssuer(_ClaimsFault):
    """A token with another `iss`."""

    issuer: str = "https://other.example"
    """The `iss` of the token."""

    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any]:
        return {**claims, "iss": self.issuer}


@dataclass(frozen=True, slots=True)
class WrongAudience(_ClaimsFault):
    """A token for another client: another `aud`, and another `azp` if it has one."""

    audience: str = "OTHER_CLIENT_ID"
    """The `aud` of the token."""

    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any]:
        party = {"azp": self.audience} if "azp" in claims else {}
        return {**claims, "aud": self.audience, **party}


@dataclass(frozen=True, slots=True)
class Claim(_ClaimsFault):
    """A token with one claim changed or added."""

    name: str
    """The name of the claim."""
    value: Any
    """The value of the claim, of any type."""

    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any]:
        return {**claims, self.name: self.value}

    def problems(self) -> Iterator[Problem]:
        yield from _name_problems(self.name)
        yield from json_problems("value", self.value)


@dataclass(frozen=True, slots=True)
class MissingClaim(_ClaimsFault):
    """A token without one of its claims. A token that does not have the claim is unchanged."""

    name: str
    """The name of the claim."""

    def changed(self, claims: dict[str, Any], now: int) -> dict[str, Any] | None:
        if self.name not in claims:
            return None
        return {name: value for name, value in claims.items() if name != self.name}

    def problems(self) -> Iterator[Problem]:
        yield from _name_problems(self.name)


@dataclass(frozen=True, slots=True)
class BadSignature(TokenFault):
    """A token with one bit of its signature changed. An unsigned token is unchanged."""

    breaks_signature: ClassVar[bool] = True

    def tamper(self, token: str, context: FaultContext) -> str | None:
        decode(token)
        signed, _, segment = token.rpartition(".")
        signature = bytearray(decode_segment(segment))
        if not signature:
            return None
        signature[-1] ^= 1
        return compact(signed, bytes(signature))


@dataclass(frozen=True, slots=True)
class UnknownKey(TokenFault):
    """A token signed by a key that is not in the JWK Set, with the `kid` of that key."""

    breaks_signature: ClassVar[bool] = True

    def tamper(self, token: str, context: FaultContext) -> str:
        header, claims = decode(token)
        key = context.realm.keys.stranger
        header |= {"kid": key.kid, "alg": key.alg}
        return encode(header, claims, key, context.realm.dialect.write_jwt_json)


@dataclass(frozen=True, slots=True)
class NoKeyId(TokenFault):
    """A token with a valid signature and without `kid`. One without it already is unchanged."""

    def tamper(self, token: str, context: FaultContext) -> str | None:
        header, claims = decode(token)
        return None if header.pop("kid", None) is None else _signed(header, claims, context)


@dataclass(frozen=True, slots=True)
class AlgNone(TokenFault):
    """A token with `alg` none and without a signature (RFC 8725 section 2.1)."""

    breaks_signature: ClassVar[bool] = True

    def tamper(self, token: str, context: FaultContext) -> str:
        header, claims = decode(token)
        header["alg"] = "none"
        return compact(signing_input(header, claims, context.realm.dialect.write_jwt_json), b"")


@dataclass(frozen=True, slots=True)
class HmacConfusion(TokenFault):
    """A token with `alg` HS256, signed with the PEM of the public key (RFC 8725 section 2.1)."""

    breaks_signature: ClassVar[bool] = True

    def tamper(self, token: str, context: FaultContext) -> str:
        header, claims = decode(token)
        header["alg"] = "HS256"
        signed = signing_input(header, claims, context.realm.dialect.write_jwt_json)
        secret = context.realm.keys.signing.public_pem()
        return compact(signed, hmac.new(secret, signed.encode(), sha256).digest())


def _signed(header: dict[str, Any], claims: dict[str, Any], context: FaultContext) -> str:
    # A fault before this one may have changed the algorithm.
    key = context.realm.keys.signing
    return encode({**header, "alg": key.alg}, claims, key, context.realm.dialect.write_jwt_json)


def _is_moment(value: object) -> TypeGuard[int | float]:
    """Return whether a claim is a number that can be moved on the time line."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _duration_problems(name: str, seconds: int) -> Iterator[Problem]:
    if not 1 <= seconds <= LONGEST_SECONDS:
        yield Problem(name, f"expected 1 to {LONGEST_SECONDS}, got {seconds}")


def _name_problems(name: str) -> Iterator[Problem]:
    if not name:
        yield Problem("name", "expected the name of a claim, got ''")
