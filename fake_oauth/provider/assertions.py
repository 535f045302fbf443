"""Assertions: JWTs of clients and of trusted issuers, and the rules for them (RFC 7523).

A client authenticates with an assertion, and a trusted issuer grants with one. `verify` applies the
rules of RFC 7523 section 3 and changes nothing. `use` makes an assertion's `jti` single-use. Both
raise InvalidAssertionError, which names the rule, the expected value, and the actual one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from fake_oauth.provider.clock import END_OF_TIME
from fake_oauth.provider.errors import shown
from fake_oauth.provider.keys import (
    CLIENT_ALGORITHMS,
    SECRET_ALGORITHMS,
    PublicKey,
    SecretKey,
    public_key,
)
from fake_oauth.provider.store import Store
from fake_oauth.provider.tokens import InvalidTokenError, decode, decode_segment

CLIENT_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST_SECONDS: Final = 3600
"""How long an assertion can be valid (RFC 7523 section 3, rule 4); most clients use less."""


class InvalidAssertionError(ValueError):
    """An assertion that breaks a rule: which one, what was expected, and what the assertion has."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A JWT that is not verified yet."""

    text: str = field(repr=False)
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def auth_method(self) -> Literal["client_secret_jwt", "private_key_jwt"]:
        """How a client that sends it authenticates (OpenID Connect Core 1.0 section 9)."""
        is_hmac = self.header.get("alg") in tuple(SECRET_ALGORITHMS)
        return "client_secret_jwt" if is_hmac else "private_key_jwt"

    def claim(self, name: str) -> str | None:
        """Return a claim that is text; None if it is missing or not text."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What an assertion must say, and who must have signed it."""

    issuer: str
    """The `iss`."""
    keys: Sequence[Mapping[str, Any]] | str
    """The issuer's public keys as JWKs, or the secret that the issuer shares with this server."""
    audiences: Sequence[str]
    """The values of `aud` of which one must be there."""
    allows_other_audiences: bool = True
    """Whether `aud` may have more values."""
    subject: str | None = None
    """The `sub`; None is any, or none."""
    needs_jti: bool = False
    """Whether there must be a `jti` (OpenID Connect Core 1.0 section 9)."""


def read(text: str) -> Assertion:
    """Return an assertion, decoded. Nothing is verified. Raise InvalidAssertionError."""
    try:
        return Assertion(text, *decode(text))
    except InvalidTokenError as error:
        raise InvalidAssertionError(f"not a JWT: {error}") from None


def verify(assertion: Assertion, required: Requirements, now: float) -> None:
    """Check an assertion (RFC 7523 section 3). Raise InvalidAssertionError."""
    # An extension that the reader does not understand invalidates it (RFC 7515 section 4.1.11).
    if "crit" in assertion.header:
        raise InvalidAssertionError("crit: this server understands no extension of the header")
    has_secret = isinstance(required.keys, str)
    allowed = tuple(SECRET_ALGORITHMS) if has_secret else CLIENT_ALGORITHMS
    alg = assertion.header.get("alg")
    if alg not in allowed:
        raise _unexpected("alg", f"one of {', '.join(allowed)}", alg)
    _require(assertion, "iss", required.issuer)
    if required.subject is not None:
        _require(assertion, "sub", required.subject)
    _require_audience(assertion, required)
    _require_lifetime(assertion.claims, now)
    jti = assertion.claims.get("jti")
    if (jti is None and required.needs_jti) or not isinstance(jti, str | None) or jti == "":
        raise _unexpected("jti", "a text that no other assertion has", jti)
    _require_signature(assertion, required.keys, alg)


def use(assertion: Assertion, store: Store, now: float) -> None:
    """Use up the `jti` of a verified assertion, if it has one. Call it with the realm's lock held.

    Raise InvalidAssertionError if the issuer's `jti` was used before (RFC 7523 section 3, rule 7).
    """
    claims, jti = assertion.claims, assertion.claim("jti")
    if jti is None:
        return
    used_at = store.assertion_ids.use(claims["iss"], jti, claims["exp"], now)
    if used_at is not None:
        raise InvalidAssertionError(
            f"jti: {shown(jti)} was used {now - used_at:.0f} s ago; each request needs a new "
            "assertion, and so does a retry"
        )


def audience_note(assertion: Assertion, issuer: str) -> str | None:
    """Return what a stricter server objects to in the `aud` of a client assertion, if anything.

    The draft that updates RFC 7523 (rfc7523bis) allows the issuer alone.
    """
    audience = assertion.claims.get("aud")
    if audience in (issuer, [issuer]):
        return None
    got = shown(audience)
    return (
        f"the aud of the client assertion is {got}, and stricter servers require the issuer alone"
    )


def _require(assertion: Assertion, name: str, expected: str) -> None:
    value = assertion.claims.get(name)
    if value != expected:
        raise _unexpected(name, repr(expected), value)


def _require_audience(assertion: Assertion, required: Requirements) -> None:
    value = assertion.claims.get("aud")
    audience = value if isinstance(value, list) else [value]
    is_named = any(one in audience for one in required.audiences)
    if not is_named or (len(audience) > 1 and not required.allows_other_audiences):
        alone = "" if required.allows_other_audiences else " alone"
        named = " or ".join(map(repr, dict.fromkeys(required.audiences)))
        raise _unexpected("aud", f"{named}{alone}", value)


def _require_lifetime(claims: Mapping[str, Any], now: float) -> None:
    """Check `exp`, `nbf`, and `iat` (RFC 7523 section 3, rules 4 to 6)."""
    clock = datetime.fromtimestamp(int(now), UTC).strftime("the clock shows %Y-%m-%dT%H:%M:%SZ")
    expires_at = _moment(claims, "exp")
    if expires_at is None:
        raise _unexpected("exp", "seconds since 1970", None)
    if expires_at <= now:
        raise InvalidAssertionError(f"exp: expired {now - expires_at:.0f} s ago; {clock}")
    if expires_at > now + LONGEST_SECONDS:
        raise InvalidAssertionError(
            f"exp: expected at most {LONGEST_SECONDS} s from now, got {expires_at - now:.0f} s; "
            f"{clock}"
        )
    for name in ("nbf", "iat"):
        moment = _moment(claims, name)
        if moment is not None and moment > now:
            raise InvalidAssertionError(f"{name}: {moment - now:.0f} s in the future; {clock}")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a claim that is a time; None if it is missing (RFC 7519 section 2: NumericDate)."""
    value = claims.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < END_OF_TIME:
        raise _unexpected(name, "seconds since 1970", value)
    return float(value)


def _require_signature(
    assertion: Assertion, keys: Sequence[Mapping[str, Any]] | str, alg: str
) -> None:
    candidates: Sequence[PublicKey | SecretKey]
    if isinstance(keys, str):
        candidates = [SecretKey(keys, alg)]
    else:
        candidates = _fitting(keys, alg, assertion.header.get("kid"))
    signed, _, segment = assertion.text.rpartition(".")
    try:
        signature = decode_segment(segment)
    except InvalidTokenError as error:
        raise InvalidAssertionError(f"signature: {error}") from None
    if not any(key.has_signed(signed.encode(), signature) for key in candidates):
        whose = "the client_secret" if isinstance(keys, str) else "the registered keys"
        raise InvalidAssertionError(f"signature: not one of {whose} with alg {alg}")


def _fitting(keys: Sequence[Mapping[str, Any]], alg: str, kid: object) -> list[PublicKey]:
    """Return the keys that may have made a signature: that of the `kid`, or any for the `alg`."""
    named = [jwk for jwk in keys if kid is None or jwk.get("kid", kid) == kid]
    if not named:
        known = ", ".join(repr(jwk["kid"]) for jwk in keys if "kid" in jwk)
        raise _unexpected("kid", f"that of a registered key: {known}", kid)
    usable = (public_key(jwk, alg) for jwk in named if jwk.get("use", "sig") == "sig")
    fitting = [key for key in usable if key is not None]
    if not fitting:
        raise InvalidAssertionError(f"alg: no registered key can verify {alg}")
    return fitting


def _unexpected(name: str, expected: str, value: object) -> InvalidAssertionError:
    got = "none" if value is None else shown(value)
    return InvalidAssertionError(f"{name}: expected {expected}, got {got}")
