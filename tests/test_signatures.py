"""Tokens of a server are verified with the keys that it publishes."""

from __future__ import annotations

import json
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from fake_oauth import Dialect, FakeOAuthError
from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.holes import Level
from fake_oauth.contract.pages import Page, Request, Response
from fake_oauth.contract.running import run_one
from fake_oauth.provider.keys import key_ring

RING = key_ring([])
KEY = RING.signing
PAGE = Page(
    name="a.b",
    title="A page",
    source="=",
    request=Request(method="POST", path="/token"),
    response=Response(
        status=200, body='{"id_token":"<jwt>"}', claims={"id_token": {"sub": "alice"}}
    ),
)


class Server:
    """A server that answers with a token, and publishes keys."""

    level: Level = "loose"
    dialect = Dialect.RFC

    def __init__(self, token: str, jwks: object) -> None:
        self._token = token
        self._jwks = jwks

    def ready(self, page: Page) -> AbstractContextManager[Mapping[str, str]]:
        return nullcontext({})

    def send(self, request: Request) -> Answer:
        told = {"id_token": self._token} if request.path == "/token" else self._jwks
        return Answer(200, {}, told if isinstance(told, bytes) else json.dumps(told).encode())


def differing(token: str, jwks: object) -> list[tuple[str, str]]:
    outcome = run_one(PAGE, Server(token, jwks))
    return [(one.where, one.actual) for one in outcome.differences]


def _segment(data: object) -> str:
    return urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def token(key: Any = KEY.private, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode({"sub": "alice"}, key, algorithm, headers=header)


def test_a_token_is_verified_with_the_key_that_it_names() -> None:
    jwks = {"keys": [RING.next.jwk(), KEY.jwk()]}
    assert differing(token(kid=KEY.kid), jwks) == []
    found = [("id_token signature", "Signature verification failed")]
    assert differing(token(kid=RING.next.kid), jwks) == found


def test_a_token_that_names_none_is_verified_with_the_only_one() -> None:
    assert differing(token(), {"keys": [KEY.jwk()]}) == []
    assert differing(token(), {"keys": [KEY.jwk(), RING.next.jwk()]}) == [
        ("id_token header kid", "None")
    ]


@pytest.mark.parametrize("jwks", [{"keys": []}, {"keys": None}, {"keys": [7]}, [], b"<p>"])
def test_where_nothing_is_published_nothing_verifies(jwks: object) -> None:
    assert differing(token(kid="k"), jwks) == [("id_token header kid", "k")]


def test_other_algorithms_are_verified_too() -> None:
    private = generate_private_key(SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
    assert differing(token(private, "ES256", kid="e"), {"keys": [{**jwk, "kid": "e"}]}) == []


def test_a_key_that_is_none_verifies_nothing() -> None:
    ((where, _),) = differing(token(kid="k"), {"keys": [{"kty": "RSA", "kid": "k"}]})
    assert where == "id_token signature"


@pytest.mark.parametrize("kid", [7, ["k"]])
def test_a_kid_that_is_no_text_is_told_as_wrong(kid: object) -> None:
    other = token(kid="k").replace(
        token(kid="k").split(".")[0], _segment({"alg": "RS256", "kid": kid})
    )
    assert differing(other, {"keys": [KEY.jwk() | {"kid": kid}]}) == [
        ("id_token header", "Key ID header parameter must be a string")
    ]


def test_what_the_client_can_sign_itself_is_taken_as_it_is() -> None:
    assert differing(token("s3cret" * 8, "HS256"), {"keys": []}) == []


def test_signatures_need_pyjwt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(FakeOAuthError, match=r'pip install "fake_oauth\[check\]"'):
        differing("e30.eyJzdWIiOiJhbGljZSJ9.x", {"keys": []})
