"""The tokens of a server are verified with the keys that it publishes."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from fake_oauth.contract.cases import Case, ExpectedResponse, Request
from fake_oauth.contract.client import ReceivedResponse
from fake_oauth.contract.runner import run_case
from fake_oauth.provider.keys import key_ring
from tests.support.contract import StubTarget, encoded, received

RING = key_ring([])
KEY = RING.signing
CASE = Case(
    name="a.b",
    title="A token",
    source="RFC 7519",
    request=Request(method="POST", path="/token"),
    response=ExpectedResponse(
        status=200, body='{"id_token":"<jwt>"}', claims={"id_token": {"sub": "alice"}}
    ),
)


def differing(token: str, jwks: Any) -> list[tuple[str, str]]:
    """Return the differences of a server with this token and these keys."""

    def respond(request: Request) -> ReceivedResponse:
        return received({"id_token": token} if request.path == "/token" else jwks)

    outcome = run_case(CASE, StubTarget(respond))
    return [(one.where, one.actual) for one in outcome.differences]


def token(key: Any = KEY.private, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode({"sub": "alice"}, key, algorithm, headers=header)


def test_a_token_is_verified_with_the_key_that_it_names() -> None:
    jwks = {"keys": [RING.next.jwk(), KEY.jwk()]}
    assert differing(token(kid=KEY.kid), jwks) == []
    found = [("id_token signature", "the signature does not match")]
    assert differing(token(kid=RING.next.kid), jwks) == found


def test_a_token_without_a_kid_is_verified_with_the_only_key() -> None:
    assert differing(token(), {"keys": [KEY.jwk()]}) == []
    assert differing(token(), {"keys": [KEY.jwk(), RING.next.jwk()]}) == [
        ("id_token header kid", "None")
    ]


@pytest.mark.parametrize("jwks", [{"keys": []}, {"keys": None}, {"keys": [7]}, [], b"<p>"])
def test_no_token_is_valid_without_published_keys(jwks: Any) -> None:
    assert differing(token(kid="k"), jwks) == [("id_token header kid", "k")]


def test_other_algorithms_are_verified_too() -> None:
    private = generate_private_key(SECP256R1())
    jwk = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key())), "kid": "e"}
    assert differing(token(private, "ES256", kid="e"), {"keys": [jwk]}) == []
    # The key is for another algorithm than the token says.
    (where, _) = differing(token(kid="e"), {"keys": [jwk]})[0]
    assert where == "id_token signature"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"n": 7, "e": "AQAB"},
        {"n": "!!!", "e": "AQAB"},
        {"n": "AQAB", "e": "AQAB"},
        {"n": "Q" * 100_000, "e": "Q" * 100_000},
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        {"kty": "OKP", "crv": [], "x": {}},
        {"kty": ["RSA"], "n": None},
        {"kty": "oct", "k": 7},
    ],
    ids=range(9),
)
def test_a_malformed_key_verifies_nothing(members: dict[str, Any]) -> None:
    jwks = {"keys": [{"kty": "RSA", "kid": "k", **members}]}
    ((where, _),) = differing(token(kid="k"), jwks)
    assert where == "id_token signature"


@pytest.mark.parametrize("kid", [7, ["k"]])
def test_a_kid_is_a_text(kid: object) -> None:
    _, claims, signature = token(kid="k").split(".")
    other = ".".join((encoded({"alg": "RS256", "kid": kid}), claims, signature))
    assert differing(other, {"keys": [KEY.jwk() | {"kid": kid}]}) == [
        ("id_token header kid", str(kid))
    ]


def test_a_token_without_a_signing_algorithm_is_not_signed() -> None:
    _, claims, _ = token(kid="k").split(".")
    unsigned = ".".join((encoded({"alg": "none"}), claims, "eA"))
    assert differing(unsigned, {"keys": [KEY.jwk()]}) == [("id_token header alg", "none")]


def test_a_token_that_the_client_secret_signs_is_not_verified() -> None:
    assert differing(token("s3cret" * 8, "HS256"), {"keys": []}) == []
