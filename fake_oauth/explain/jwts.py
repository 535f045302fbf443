"""The explanation of a JWT: header, claims, signature, and lifetime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fake_oauth.explain.members import CLAIMS, HEADERS, MOMENTS, TYPES
from fake_oauth.explain.moments import Now, duration, is_moment, moment
from fake_oauth.explain.page import Row, Section
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.keys import CLIENT_ALGORITHMS, public_key, shipped_key
from fake_oauth.provider.tokens import InvalidTokenError, decode, decode_segment

_SEGMENTS: Final = 3
_SEGMENTS_OF_JWE: Final = 5
_OPAQUE: Final = (
    "Only the server can say what an opaque token is worth, by introspection (RFC 7662). A client "
    "must not look into it."
)
_FOREIGN: Final = "If another server signed it, pass its keys with --jwks or --server."


@dataclass(frozen=True, slots=True, kw_only=True)
class JWKS:
    """Keys that were read from a file or a server."""

    source: str
    keys: Sequence[Mapping[str, Any]]


def explained(token: str, now: Now, jwks: JWKS | None = None) -> list[Section]:
    """Return the explanation of a text that may be a JWT. None of `jwks` is the shipped keys."""
    count = token.count(".") + 1
    if count == _SEGMENTS_OF_JWE:
        return [
            Section(
                "An encrypted JWT (JWE, RFC 7516): five segments",
                ["Only its receiver, who has the private key, can read it."],
            )
        ]
    if count != _SEGMENTS:
        text = "It has no dot: it is opaque" if count == 1 else f"It has {count} segments"
        return [
            Section(
                "Not a JWT",
                [
                    f"{text}. A JWT has three segments with a dot between them (RFC 7519).",
                    _OPAQUE,
                ],
            )
        ]
    notes: list[Row] = []
    try:
        header, claims = decode(token)
    except InvalidTokenError as error:
        # Some tools write base64 with padding, or with + and /.
        plain = token.replace("=", "").replace("+", "-").replace("/", "_")
        try:
            header, claims = decode(plain)
        except InvalidTokenError:
            return [
                Section(
                    "Not a JWT",
                    [f"It has three segments, but {error}.", "Is a part of it cut off?"],
                )
            ]
        notes.append(f"Readers refuse it: {error} (RFC 7515 section 2).")
        token = plain
    return [
        Section("A JWT (RFC 7519)", notes),
        Section("Header", [(name, _header(name, value)) for name, value in header.items()]),
        Section("Claims", list(claim_rows(claims, now))),
        Section("Signature", [_signature(token, header, jwks)]),
        Section("Lifetime", list(_lifetime(claims, now))),
    ]


def shown(value: Any) -> str:
    """Return a value of JSON as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "an empty list"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(one)}" for name, one in value.items()) or "empty"
    return json.dumps(value)


def claim_rows(claims: Mapping[str, Any], now: Now) -> Iterator[Row]:
    """Yield a row for each claim, with its meaning."""
    for name, value in claims.items():
        meaning = CLAIMS.get(name)
        if name in MOMENTS:
            when = moment(value, now) if is_moment(value) else _not_a_moment(value)
            yield name, f"{shown(value)} ({meaning}: {when})"
        else:
            yield name, f"{shown(value)} ({meaning})" if meaning else shown(value)


def _not_a_moment(value: Any) -> str:
    if isinstance(value, str):
        return "a string; it must be a number of seconds since 1970, so clients refuse it"
    return "not a time; it must be a number of seconds since 1970"


def _header(name: str, value: Any) -> str:
    meaning = HEADERS.get(name)
    if name == "typ" and isinstance(value, str):
        meaning = TYPES.get(value.lower().removeprefix("application/"), meaning)
    return f"{shown(value)} ({meaning})" if meaning else shown(value)


def _signature(token: str, header: Mapping[str, Any], jwks: JWKS | None) -> str:
    alg = header.get("alg")
    if isinstance(alg, str) and alg.lower() == "none":
        return (
            "None: alg is none. Anyone can write such a token; a client must refuse it (the fault "
            "AlgNone)."
        )
    if "crit" in header:
        return "Not verified: the header has crit, extensions that are not understood here."
    if isinstance(alg, str) and alg.startswith("HS"):
        return (
            f"Not verified: {alg} is made with a secret that both sides have. If the keys of the "
            "issuer are public, a client must refuse it (the fault HmacConfusion)."
        )
    if alg not in CLIENT_ALGORITHMS:
        return "Not verified: the algorithm is not known here."
    signed, _, last = token.rpartition(".")
    try:
        signature = decode_segment(last)
    except InvalidTokenError as error:
        return f"Malformed: {error}."
    if jwks is None:
        return _by_shipped_keys(alg, signed.encode(), signature)
    return _by_jwks(jwks, header, signed.encode(), signature)


def _by_shipped_keys(alg: str, signed: bytes, signature: bytes) -> str:
    for name in ("signing", "next", "stranger"):
        try:
            key = shipped_key(name, alg=alg).public
        except FakeOAuthError:
            break
        if key.has_signed(signed, signature):
            which = {
                "signing": "the signing key",
                "next": "the key that signs after a rotation",
                "stranger": "the key that is never published (the fault UnknownKey)",
            }[name]
            return (
                f"Matches: {which} that ships with fake_oauth. Its private key is public, so the "
                "signature proves nothing."
            )
    return f"Matches none of the keys that ship with fake_oauth. {_FOREIGN}"


def _by_jwks(jwks: JWKS, header: Mapping[str, Any], signed: bytes, signature: bytes) -> str:
    alg, kid = str(header["alg"]), header.get("kid")
    keys = [key for jwk in jwks.keys if (key := public_key(jwk, alg)) is not None]
    matching = [key for key in keys if key.has_signed(signed, signature)]
    if matching:
        named = [key.kid for key in matching]
        if kid is not None and kid not in named:
            return (
                f"Matches a key of {jwks.source}, but kid names another one, so clients refuse it."
            )
        return f"Matches the key {named[0] or 'without kid'} of {jwks.source}."
    kids = [jwk.get("kid") for jwk in jwks.keys]
    if kid is not None and kid not in kids:
        return (
            f"Matches no key of {jwks.source}, which has no key with this kid. The keys may have "
            "been rotated, or another issuer has signed it."
        )
    return f"Does not match the key of {jwks.source}: the token was changed, or the key was."


def _lifetime(claims: Mapping[str, Any], now: Now) -> Iterator[Row]:
    exp, nbf, iat = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if exp is None:
        yield "It has no exp, so it never expires. Clients refuse an ID token without exp."
    elif is_moment(exp):
        if exp <= now.seconds:
            yield f"Expired {duration(now.seconds - exp)} ago by {now.clock}."
        else:
            yield f"Expires in {duration(exp - now.seconds)} by {now.clock}."
    else:
        yield "exp is not a time, so clients refuse it."
    if is_moment(nbf) and nbf > now.seconds:
        yield f"Not valid yet: nbf is in {duration(nbf - now.seconds)}."
    if is_moment(iat) and iat > now.seconds:
        yield f"Issued in the future: iat is in {duration(iat - now.seconds)}. Do the clocks agree?"
    if is_moment(exp) and is_moment(iat):
        yield f"It lives for {duration(exp - iat)} in all."
