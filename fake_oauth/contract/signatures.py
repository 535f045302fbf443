"""Whether the tokens of a response are signed by the keys that the server publishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fake_oauth.contract.compare import Difference, decode_jwt
from fake_oauth.provider.keys import public_key
from fake_oauth.provider.tokens import InvalidTokenError, verify

# The private members of a JWK (RFC 7518 section 6). `compare` reports them.
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


def signature_differences(
    members: Sequence[str], response: Mapping[str, Any], jwks: Any
) -> Iterator[Difference]:
    """Yield a difference for each token that no published key has signed.

    `members` are those of the response that are tokens, and `jwks` is a JWK Set (RFC 7517 section
    5). A token that the client's secret signs (HS256) is not verified. `compare` reports a member
    that is not a JWT.
    """
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    listed = keys if isinstance(keys, list) else []
    published: dict[str | None, list[Mapping[str, Any]]] = {}
    for key in listed:
        if isinstance(key, dict):
            published.setdefault(_kid(key), []).append(key)
    for member in members:
        halves = decode_jwt(response.get(member))
        if halves is not None:
            yield from _differences(member, response[member], halves[0], published)


def _differences(
    member: str,
    token: str,
    header: Mapping[str, Any],
    published: Mapping[str | None, Sequence[Mapping[str, Any]]],
) -> Iterator[Difference]:
    algorithm, kid = str(header.get("alg")), header.get("kid")
    if algorithm == "none":
        yield Difference(f"{member} header alg", "a signing algorithm", algorithm)
        return
    if algorithm.startswith("HS"):
        return
    if not isinstance(kid, str | None):
        yield Difference(f"{member} header kid", "a text", str(kid))
        return
    keys = published.get(kid)
    if kid is None and len(published) == 1:
        (keys,) = published.values()
    if keys is None:
        known = ", ".join(map(str, published)) or "(none)"
        yield Difference(f"{member} header kid", f"a key of the JWK Set: {known}", str(kid))
        return
    problems = [_verify(token, algorithm, key) for key in keys]
    if None not in problems:
        yield Difference(f"{member} signature", f"by key {kid}, {algorithm}", problems[-1] or "")


def _verify(token: str, algorithm: str, jwk: Mapping[str, Any]) -> str | None:
    """Return why a key did not sign a token; None if it did."""
    public = {name: value for name, value in jwk.items() if name not in _PRIVATE}
    key = public_key(public, algorithm)
    if key is None:
        return f"the JWK cannot verify {algorithm}"
    try:
        verify(token, [replace(key, kid=None)])
    except InvalidTokenError as error:
        return str(error)
    return None


def _kid(jwk: Mapping[str, Any]) -> str | None:
    return None if jwk.get("kid") is None else str(jwk["kid"])
