"""Whether the tokens of an answer are signed by the keys that the server publishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.hosts import Host
from fake_oauth.contract.members import Difference
from fake_oauth.contract.pages import Page, Request
from fake_oauth.contract.transports import json_of
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.tokens import opened

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


def pyjwt() -> ModuleType:
    """The library that verifies. Raises FakeOAuthError where it is not installed."""
    try:
        import jwt
    except ImportError:
        raise FakeOAuthError('signatures need PyJWT: pip install "fake_oauth[check]"') from None
    return jwt


def wrong_signatures(page: Page, answer: Answer, host: Host) -> Iterator[Difference]:
    """A difference for each token whose signature is not good.

    Asks for the JWKS (RFC 7517 section 5). One that is signed with the client's secret (HS256) is
    taken as it is. Raises FakeOAuthError where PyJWT is not installed.
    """
    if not page.response.claims or "jwks" not in host.dialect.paths:
        return
    told = json_of(host.send(Request(method="GET", path=host.dialect.paths["jwks"])))
    keys = told.get("keys") if isinstance(told, dict) else None
    published = {_kid_of(key): _public(key) for key in keys or () if isinstance(key, dict)}
    data = json_of(answer)
    for member in page.response.claims:
        token = data.get(member) if isinstance(data, dict) else None
        try:
            opened(str(token))
        except ValueError:
            continue  # That it is no JWT is a difference already.
        yield from _wrong(member, str(token), published)


def _wrong(
    member: str, token: str, published: Mapping[str | None, Mapping[str, Any]]
) -> Iterator[Difference]:
    jwt = pyjwt()
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        yield Difference(f"{member} header", "one of a JWS (RFC 7515 section 4)", str(error))
        return
    algorithm, kid = str(header.get("alg")), header.get("kid")
    if algorithm == "none":
        yield Difference(f"{member} header alg", "one that signs", algorithm)
        return
    if algorithm.startswith("HS"):
        return
    key = published.get(kid)
    if kid is None and len(published) == 1:
        (key,) = published.values()
    if key is None:
        known = _listed([str(one) for one in published])
        yield Difference(f"{member} header kid", f"a key of the JWKS: {known}", str(kid))
        return
    try:
        jwt.PyJWS().decode(token, jwt.PyJWK(dict(key), algorithm), algorithms=[algorithm])
    except jwt.PyJWTError as error:
        yield Difference(f"{member} signature", f"by key {kid}, {algorithm}", str(error))


def _public(jwk: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what is private in it (RFC 7518 section 6), which a JWKS is not to have."""
    return {name: value for name, value in jwk.items() if name not in _PRIVATE}


def _kid_of(jwk: Mapping[str, Any]) -> str | None:
    return None if jwk.get("kid") is None else str(jwk["kid"])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "it has none"
