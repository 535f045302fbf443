"""What an access token is good for, and how tokens are given up."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import jwt
import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, User, faults
from fake_oauth.faults.base import FaultContext, TokenFault
from fake_oauth.provider.dialect import compact_json
from fake_oauth.provider.keys import base64url, key_ring, public_key
from fake_oauth.provider.tokens import InvalidTokenError, decode, encode
from tests.support.client import DOCUMENTED, ask

CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
OTHER = Client(client_id="other", client_secret="s")


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(Settings(start_time=1_700_000_000, freeze_time=True))


def userinfo(fake: FakeOAuth, token: str, method: str = "GET") -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    return WSGIClient(fake).open("/userinfo", method=method, headers=headers)


def revoke(fake: FakeOAuth, **form: Any) -> TestResponse:
    asked = {name: value for name, value in {**CLIENT, **form}.items() if value is not None}
    return WSGIClient(fake).post("/oauth2/revoke", data=asked)


def why_not(fake: FakeOAuth, token: str) -> str | None:
    """Why userinfo refuses a token; the wire says the same of all."""
    response = userinfo(fake, token)
    assert (response.status_code, response.data) == (401, b"")
    assert response.headers["WWW-Authenticate"].startswith(
        'Bearer error="invalid_token", error_description="Error decoding JWT", '
    )
    return fake.journal[-1].reason


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_tells_the_users_claims(fake: FakeOAuth, method: str) -> None:
    response = userinfo(fake, fake.issue_tokens().access_token, method)
    assert response.json == {
        "sub": "MOCK_USERNAME",
        "email": "MOCK_USERNAME@example.com",
        "phone_number": "13612345678",
    }


def test_userinfo_tells_a_client_what_it_may_know_in_the_users_order() -> None:
    user = User(sub="alice", email="a@example.com", claims={"b": 1, "a": [2], "c": 3})
    client = Client(client_id="web", claims=["a", "b", "email"])
    fake = FakeOAuth(Settings(users=[user], clients=[client]))
    reply = userinfo(fake, fake.issue_tokens().access_token).json
    assert reply == {"sub": "alice", "email": "a@example.com", "b": 1, "a": [2]}
    assert list(reply) == ["sub", "email", "b", "a"]


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer  ", "Basic x", "bearer"])
def test_without_a_token_it_is_an_invalid_request(fake: FakeOAuth, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = WSGIClient(fake).get("/userinfo", headers=headers)
    assert response.status_code == 400
    assert 'error="invalid_request"' in response.headers["WWW-Authenticate"]


def test_a_token_that_has_expired(fake: FakeOAuth) -> None:
    token = fake.issue_tokens().access_token
    fake.clock.advance(299)
    assert userinfo(fake, token).status_code == 200
    fake.clock.advance(3)
    assert why_not(fake, token) == "access token expired 2 s ago"


def changed(token: str, part: int, **members: Any) -> str:
    """The token with some members of its header (0) or claims (1) changed, signature kept."""
    parts = token.split(".")
    decoded = json.loads(urlsafe_b64decode(parts[part] + "=="))
    parts[part] = (
        urlsafe_b64encode(json.dumps({**decoded, **members}).encode()).decode().rstrip("=")
    )
    return ".".join(parts)


def test_a_token_that_somebody_made_up(fake: FakeOAuth) -> None:
    good = fake.issue_tokens()
    ring = key_ring()
    claims = jwt.decode(good.access_token, options={"verify_signature": False})
    header = {"alg": "RS256", "typ": "JWT", "kid": ring.signing.kid}
    wrong = [
        "x",
        "a.b.c",
        "a.b",
        f"{good.access_token}x",
        good.access_token.rpartition(".")[0] + ".",
        changed(good.access_token, 1, sub="somebody"),
        changed(good.access_token, 0, alg="none"),
        changed(good.access_token, 0, kid="unknown"),
        changed(good.access_token, 0, kid=["x"]),
        encode(header, claims, ring.stranger, compact_json),
        encode(header, claims, ring.signing, lambda _: "[]"),
        encode({**header, "crit": ["exp"], "exp": 1}, claims, ring.signing, compact_json),
        f"{good.access_token}=",
        jwt.encode(claims, "secret" * 8, algorithm="HS256", headers={"kid": ring.signing.kid}),
    ]
    for token in wrong:
        assert str(why_not(fake, token)).startswith("not an access token of this server: "), token


def test_an_id_token_is_no_access_token(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens()
    assert tokens.id_token is not None
    assert why_not(fake, tokens.id_token) == "not an access token of this server: an ID token"


def test_a_user_who_is_gone_is_not_found(fake: FakeOAuth) -> None:
    token = fake.issue_tokens().access_token
    other = FakeOAuth(fake.settings.changed(users=[User(sub="bob")], refresh_tokens=[]))
    response = userinfo(other, token)
    assert (response.status_code, response.json) == (404, {"error": "user_not_found"})
    assert other.journal[-1].reason == "no user MOCK_USERNAME"


def test_a_client_that_is_gone_knew_everything(fake: FakeOAuth) -> None:
    token = fake.issue_tokens().access_token
    other = FakeOAuth(fake.settings.changed(clients=[OTHER]))
    reply = userinfo(other, token).json
    assert reply is not None
    assert "email" in reply


def test_an_access_token_is_revoked_alone(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens()
    response = revoke(fake, token=tokens.access_token)
    assert (response.status_code, response.data) == (200, b"")
    assert fake.journal[-1].reason == "access token revoked"
    assert why_not(fake, tokens.access_token) == "access token revoked by request 1"
    reply = ask(fake, {**DOCUMENTED, "refresh_token": tokens.refresh_token}).json
    assert reply is not None
    assert userinfo(fake, reply["access_token"]).status_code == 200


def test_a_refresh_token_takes_the_access_tokens_of_its_grant_along(fake: FakeOAuth) -> None:
    tokens, others = fake.issue_tokens(), fake.issue_tokens()
    refreshed = ask(fake, {**DOCUMENTED, "refresh_token": tokens.refresh_token}).json
    assert refreshed is not None
    assert revoke(fake, token=tokens.refresh_token).status_code == 200
    for token in (tokens.access_token, refreshed["access_token"]):
        assert why_not(fake, token) == "access token revoked by request 2"
    assert userinfo(fake, others.access_token).status_code == 200
    assert ask(fake, {**DOCUMENTED, "refresh_token": tokens.refresh_token}).status_code == 400
    assert fake.journal[-1].reason == "refresh token revoked by request 2"
    assert revoke(fake, token=tokens.refresh_token).status_code == 200


@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "nonsense"])
def test_a_hint_is_ignored(fake: FakeOAuth, hint: str | None) -> None:
    token = fake.issue_tokens().access_token
    assert revoke(fake, token=token, token_type_hint=hint).status_code == 200
    assert userinfo(fake, token).status_code == 401


def test_what_is_unknown_and_an_id_token_are_revoked_without_effect(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens()
    for token in ("nonsense", tokens.id_token):
        response = revoke(fake, token=token)
        assert (response.status_code, response.data) == (200, b"")
        assert fake.journal[-1].reason == "nothing to revoke: unknown token"
    assert userinfo(fake, tokens.access_token).status_code == 200


def test_a_token_of_another_client_stays() -> None:
    fake = FakeOAuth(Settings(clients=[*Settings().clients, OTHER]))
    tokens = fake.issue_tokens(client="other")
    for token in (tokens.access_token, tokens.refresh_token):
        response = revoke(fake, token=token)
        assert (response.status_code, response.json) == (401, {"error": "invalid_client"})
        assert fake.journal[-1].reason == "token belongs to client other"
    assert userinfo(fake, tokens.access_token).status_code == 200


@pytest.mark.parametrize("token", [None, "", " ", ["a", "b"]])
def test_a_token_must_come_once(fake: FakeOAuth, token: object) -> None:
    response = revoke(fake, token=token)
    assert response.status_code == 400
    assert response.json == {
        "error": "invalid_request",
        "error_description": "OAuth 2.0 Token Revocation Parameter: token",
        "error_uri": "https://tools.ietf.org/html/rfc7009#section-2.1",
    }


def test_revocation_authenticates_the_client(fake: FakeOAuth) -> None:
    token = fake.issue_tokens().access_token
    assert revoke(fake, token=token, client_secret="x").status_code == 401
    assert revoke(fake, token=token, client_id=None).data == b""
    assert userinfo(fake, token).status_code == 200


@pytest.mark.parametrize(
    ("fault", "flaw"),
    [
        (faults.Claim("nbf", "soon"), "access token with nbf 'soon', which is not a number"),
        (faults.Claim("exp", [1]), "access token with exp [1], which is not a number"),
        (faults.MissingClaim("exp"), "access token without exp"),
        (faults.NotYetValid(60), "access token not valid for another 60 s"),
    ],
)
def test_a_protected_resource_reads_the_times_of_a_token(
    fake: FakeOAuth, fault: TokenFault, flaw: str
) -> None:
    fake.script(fault)
    tokens = ask(fake).json
    assert tokens is not None
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    response = WSGIClient(fake).get("/resource", headers=headers)
    assert response.status_code == 401
    assert (fake.journal[-1].reason or "").startswith(flaw)


def test_a_token_that_another_server_with_the_same_keys_issued_can_be_revoked() -> None:
    clock: dict[str, Any] = {"start_time": 1_700_000_000, "freeze_time": True}
    one, other = FakeOAuth(Settings(**clock)), FakeOAuth(Settings(**clock, seed=7))
    token = one.issue_tokens().access_token
    assert userinfo(other, token).status_code == 200
    assert revoke(other, token=token).status_code == 200
    assert other.journal[-1].reason == "access token revoked"
    assert userinfo(other, token).status_code == 401


class Opaque(TokenFault):
    """A token that is no JWT."""

    def tamper(self, token: str, context: FaultContext) -> str:
        return "opaque"


def test_an_access_token_that_a_fault_replaces_keeps_its_lifetime(fake: FakeOAuth) -> None:
    fake.script(Opaque())
    tokens = ask(fake).json
    assert tokens is not None
    assert tokens["access_token"] == "opaque"
    fake.revoke("opaque")


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        (b"[1]", "a segment is not a JSON object"),
        (b"{", "a segment is not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"sub":"a","sub":"b"}', "a member is repeated"),
    ],
)
def test_a_segment_that_is_no_object_is_not_a_jwt(claims: bytes, problem: str) -> None:
    with pytest.raises(InvalidTokenError, match=problem):
        decode(f"{base64url(b'{}')}.{base64url(claims)}.")


def test_a_jwk_of_another_algorithm_is_no_key() -> None:
    jwk = key_ring([]).signing.jwk()
    assert public_key(jwk, "RS256") is not None
    assert public_key(jwk, "HS256") is None
    assert public_key({**jwk, "alg": "RS512"}, "RS256") is None
