"""Token sets, and JWTs: how they are written, read, and verified.

Which claims a token has is the dialect's decision; who gets one is decided by the rules.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, sha384, sha512
from math import isfinite
from typing import Any, Final

from fake_oauth.provider.keys import Key, PublicKey, base64url

_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)

WriteJSON = Callable[[Mapping[str, Any]], str]
"""A function that writes an object as JSON text, in the layout of a dialect."""


class InvalidTokenError(ValueError):
    """A text that is not a JWT, or a JWT that none of the given keys has signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """The tokens that a client gets. A member that does not apply is None."""

    access_token: str
    refresh_token: str | None
    scope: str | None
    id_token: str | None
    token_type: str = "Bearer"
    expires_in: int
    """The lifetime of the access token in seconds, as the dialect reports it."""
    issued_token_type: str | None = None
    """What a token exchange has issued (RFC 8693 section 2.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDetails:
    """What an access token or an ID token is made from."""

    issuer: str
    sub: str
    client_id: str
    issued_at: int
    """Seconds since 1970."""
    lifetime_seconds: int
    jti: str
    scopes: Sequence[str]
    nonce: str | None
    extra_claims: Mapping[str, Any]
    """The user's claims, then the client's."""
    audience: Sequence[str] = ()
    """The resources that an access token is for (RFC 8707 section 2); none is the client."""
    auth_time: int | None = None
    """When the user logged in, in seconds since 1970; None is unknown."""
    confirmation: Mapping[str, str] | None = None
    """The key that a client must prove to have: the `cnf` claim (RFC 7800 section 3)."""
    actor: Mapping[str, Any] | None = None
    """Who acts for the user: the `act` claim (RFC 8693 section 4.1)."""
    alg: str = "RS256"
    """The algorithm that signs the token."""
    access_token: str | None = None
    """The access token that an ID token is issued with."""

    @property
    def aud(self) -> str | list[str]:
        """The `aud` of an access token: its audience, or else its client."""
        audience = list(self.audience)
        return audience[0] if len(audience) == 1 else audience or self.client_id

    @property
    def at_hash(self) -> str | None:
        """The hash of the access token that an ID token is issued with."""
        return None if self.access_token is None else half_hash(self.access_token, self.alg)


def half_hash(value: str, alg: str) -> str:
    """Return the left half of the hash of a value (OpenID Connect Core 1.0 section 3.1.3.6).

    The algorithm that signs the ID token decides about the hash: PS384 about SHA-384. Ed25519 has
    SHA-512 inside (RFC 8032 section 5.1).
    """
    digest = _HASHES.get(alg[-3:], sha512)(value.encode()).digest()
    return base64url(digest[: len(digest) // 2])


def encode(
    header: Mapping[str, Any], claims: Mapping[str, Any], key: Key, write_json: WriteJSON
) -> str:
    """Return a signed JWT (RFC 7515 section 7.1). The header is written as it is given."""
    signed = signing_input(header, claims, write_json)
    return compact(signed, key.sign(signed.encode()))


def signing_input(
    header: Mapping[str, Any], claims: Mapping[str, Any], write_json: WriteJSON
) -> str:
    """Return the text that a JWT's signature is over (RFC 7515 section 5.1)."""
    head = _header_segment(tuple(header.items()), write_json) if _is_plain(header) else None
    return f"{head or _segment(header, write_json)}.{_segment(claims, write_json)}"


def _segment(members: Mapping[str, Any], write_json: WriteJSON) -> str:
    # A lone surrogate, which JSON allows, has no UTF-8.
    return base64url(write_json(members).encode(errors="backslashreplace"))


def _is_plain(header: Mapping[str, Any]) -> bool:
    return all(type(value) is str for value in header.values())


@lru_cache(maxsize=64)
def _header_segment(header: tuple[tuple[str, str], ...], write_json: WriteJSON) -> str:
    """Return the first segment, which is the same for every token of a key."""
    return _segment(dict(header), write_json)


def compact(signed: str, signature: bytes) -> str:
    """Return a JWT from its signing input and its signature."""
    return f"{signed}.{base64url(signature)}"


def decode(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and claims of a JWT without verifying it.

    Raise InvalidTokenError for a text that is not a JWT.
    """
    segments = token.split(".")
    if len(segments) != 3:
        raise InvalidTokenError("not three segments")
    header, claims = (_object(decode_segment(segment)) for segment in segments[:2])
    return header, claims


def verify(token: str, keys: Iterable[PublicKey]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and claims of a JWT that one of the keys has signed.

    Raise InvalidTokenError for any other text. Lifetime, issuer, and audience are not checked.
    """
    header, claims = decode(token)
    # An extension that the reader does not understand invalidates the token (RFC 7515 4.1.11).
    if "crit" in header:
        raise InvalidTokenError("has a header parameter crit")
    signed, _, signature = token.rpartition(".")
    kid = header.get("kid")
    fitting = [key for key in keys if None in (kid, key.kid) or key.kid == kid]
    if not fitting:
        raise InvalidTokenError(f"no published key has kid {kid!r}")
    fitting = [key for key in fitting if key.alg == header.get("alg")]
    if not fitting:
        raise InvalidTokenError(f"alg {header.get('alg')!r} is not the algorithm of the key")
    decoded = decode_segment(signature)
    if not any(key.has_signed(signed.encode(), decoded) for key in fitting):
        raise InvalidTokenError("the signature does not match")
    return header, claims


def decode_segment(segment: str) -> bytes:
    """Return the bytes of a segment. Raise InvalidTokenError unless it is canonical base64url."""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise InvalidTokenError("a segment is not base64url without padding")
    data = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64url(data) != segment:
        raise InvalidTokenError("a segment has stray bits at its end")
    return data


def _object(data: bytes) -> dict[str, Any]:
    try:
        members = json.loads(
            data, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except RecursionError:
        raise InvalidTokenError("nested too deeply") from None
    except InvalidTokenError:
        raise
    except ValueError:
        raise InvalidTokenError("a segment is not a JSON object") from None
    if not isinstance(members, dict):
        raise InvalidTokenError("a segment is not a JSON object")
    return members


def _finite(text: str) -> float:
    """Return a number. NaN, Infinity, and what is too large for a float are not JSON, or cannot be
    written as JSON again (RFC 8259 section 6)."""
    number = float(text)
    if not isfinite(number):
        raise InvalidTokenError(f"{text[:20]} is not a number that JSON has")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose names differ, as RFC 7515 section 4 and RFC 7519 section 4 require."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidTokenError("a member is repeated")
    return members
