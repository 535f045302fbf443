"""Assembling and signing tokens, to the documented byte.

Who may have one is not decided here, nor what time it is.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fake_oauth.provider.keys import SigningKey, base64url

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# Inside a string of JSON its quotes would be escaped; what may be nested comes after it.
_JTI = re.compile(rb'"jti":"([\x20-\x7e]*?)"')
# What the documented server's JSON writer (json-smart) escapes beyond ordinary JSON.
_ESCAPED = re.compile("[\x7f-\x9f\u2000-\u20ff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """What a client gets: the members of a token reply in the documented order.

    A member that does not apply is None here and absent on the wire (CIAM 1441/64400).
    """

    access_token: str
    refresh_token: str | None
    scope: str | None
    id_token: str | None
    token_type: str = "Bearer"
    expires_in: int
    """Seconds; the lifetime of the access token less one."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The tokens that a request bought, and a sentence for the journal."""

    tokens: TokenSet
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What both tokens of one grant say alike."""

    issuer: str
    sub: str
    client_id: str
    issued_at: int
    extra_claims: Mapping[str, Any]


def access_token_claims(
    subject: Subject, *, scopes: Iterable[str], lifetime_seconds: int, jti: str
) -> dict[str, Any]:
    """The claims of an access token in the documented order (CIAM 1441/64400)."""
    words = list(scopes)
    return {
        "sub": subject.sub,
        "aud": subject.client_id,
        "nbf": subject.issued_at,
        **({"scope": words} if words else {}),
        "iss": subject.issuer,
        "exp": subject.issued_at + lifetime_seconds,
        "iat": subject.issued_at,
        "jti": jti,
        **subject.extra_claims,
    }


def id_token_claims(
    subject: Subject, *, lifetime_seconds: int, nonce: str | None, jti: str
) -> dict[str, Any]:
    """The claims of an id_token in the documented order (CIAM 1441/64400)."""
    return {
        "sub": subject.sub,
        "aud": subject.client_id,
        "azp": subject.client_id,
        "iss": subject.issuer,
        "exp": subject.issued_at + lifetime_seconds,
        "iat": subject.issued_at,
        **({} if nonce is None else {"nonce": nonce}),
        "jti": jti,
        **subject.extra_claims,
    }


def sign(key: SigningKey, claims: Mapping[str, Any]) -> str:
    """A JWS in compact form; header members in the documented order."""
    signed = f"{_header(key.kid)}.{_segment(claims)}"
    return compact(signed, key.sign(signed.encode()))


def signing_input(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """What the signature of a JWS is over (RFC 7515 section 5.1)."""
    return f"{_segment(header)}.{_segment(claims)}"


def compact(signed: str, signature: bytes) -> str:
    """A JWS in compact form from its signing input and its signature."""
    return f"{signed}.{base64url(signature)}"


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT; nothing is verified. Raises ValueError for what is none."""
    segments = token.split(".")
    try:
        header, claims = (json.loads(_decoded(segment)) for segment in segments[:2])
    except RecursionError:
        raise ValueError("too deep to be a JWT") from None
    if len(segments) != 3 or not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("not a JWT")
    return header, claims


def jti_of(token: str) -> str | None:
    """The `jti` of a token of our own, without reading the rest; None if there is none."""
    segments = token.split(".")
    try:
        found = _JTI.search(_decoded(segments[1])) if len(segments) == 3 else None
    except ValueError:
        return None
    return None if found is None else found[1].decode()


@lru_cache(maxsize=64)
def _header(kid: str) -> str:
    return _segment({"kid": kid, "typ": "JWT", "alg": "RS256"})


def _segment(members: Mapping[str, Any]) -> str:
    text = _JSON(members).replace("/", "\\/")
    if not text.isascii():
        text = _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04X}", text)
    return base64url(text.encode())


def read(keys: Iterable[SigningKey], token: str) -> dict[str, Any] | None:
    """The claims of a JWT that one of these keys has signed; None if it is no such thing."""
    signing_input, _, signature = token.rpartition(".")
    by_kid = {key.kid: key for key in keys}
    try:
        header, claims = (json.loads(_decoded(part)) for part in signing_input.split("."))
        key = by_kid[header["kid"]]
        good = header["alg"] == "RS256" and key.has_signed(
            signing_input.encode(), _decoded(signature)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return claims if good and isinstance(claims, dict) else None


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
