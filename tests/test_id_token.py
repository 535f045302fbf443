"""What an ID token says of the login and of the access token, and who gets a refresh token."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from authlib.oidc.core import CodeIDToken
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, PreconfiguredRefreshToken, Settings, SigningKey, faults
from fake_oauth.dialects import RFC
from fake_oauth.provider.issuing import log_in, new_id_token, token_details
from fake_oauth.provider.keys import base64url, key_ring
from fake_oauth.provider.tokens import InvalidTokenError, TokenDetails, half_hash, verify
from tests.support.client import claims

NOW = 1_700_000_000
WEB = Client(
    client_id="web",
    client_secret="s",
    scopes=("openid", "email", "offline_access"),
    redirect_uris=("https://app.example/cb",),
)
FORM = {"client_id": "web", "client_secret": "s"}


def server(client: Client = WEB, **settings: Any) -> FakeOAuth:
    return FakeOAuth(
        Settings(
            **{
                "dialect": "rfc",
                "clients": [client],
                "refresh_tokens": [],
                "seed": 0,
                "start_time": NOW,
                "freeze_time": True,
                **settings,
            }
        )
    )


def token(fake: FakeOAuth, **form: str) -> dict[str, Any]:
    members: dict[str, Any] = WSGIClient(fake).post("/token", data={**FORM, **form}).get_json()
    return members


def exchanged(fake: FakeOAuth, scope: str = "openid", **options: Any) -> dict[str, Any]:
    return token(
        fake, grant_type="authorization_code", code=fake.issue_code(scope=scope, **options)
    )


def refreshed(fake: FakeOAuth, tokens: dict[str, Any], **form: str) -> dict[str, Any]:
    return token(fake, grant_type="refresh_token", refresh_token=tokens["refresh_token"], **form)


def pem(private: Any) -> str:
    text: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


def validated(fake: FakeOAuth, tokens: dict[str, Any], **parameters: str) -> None:
    """Let Authlib judge the claims of the ID token, with at_hash."""
    header = {"alg": fake.metadata()["id_token_signing_alg_values_supported"][0]}
    given = {"client_id": "web", "access_token": tokens["access_token"], **parameters}
    judged = CodeIDToken(claims(tokens["id_token"]), header, params=given)
    judged.validate(now=fake.clock.now(), leeway=0)


def test_the_claims_of_a_login() -> None:
    fake = server()
    tokens = exchanged(fake, nonce="N")
    told = claims(tokens["id_token"])
    assert told.pop("jti")
    assert told == {
        "iss": "http://localhost",
        "sub": "MOCK_USERNAME",
        "aud": "web",
        "azp": "web",
        "iat": NOW,
        "exp": NOW + 3600,
        "auth_time": NOW,
        "nonce": "N",
        "at_hash": base64url(sha256(tokens["access_token"].encode()).digest()[:16]),
    }
    validated(fake, tokens, nonce="N")


def test_the_claims_of_a_refresh() -> None:
    fake = server()
    first = exchanged(fake, nonce="N")
    fake.clock.advance(100)
    second = refreshed(fake, first)
    validated(fake, second)
    before, after = claims(first["id_token"]), claims(second["id_token"])
    for same in ("iss", "sub", "aud", "azp", "auth_time"):
        assert after[same] == before[same]
    assert after["iat"] == before["iat"] + 100
    assert after["at_hash"] != before["at_hash"]
    assert before.keys() - after.keys() == {"nonce"}


def test_the_time_of_the_login_is_that_of_the_code_and_not_of_its_exchange() -> None:
    fake = server()
    code = fake.issue_code()
    fake.clock.advance(60)
    told = claims(token(fake, grant_type="authorization_code", code=code)["id_token"])
    assert (told["auth_time"], told["iat"]) == (NOW, NOW + 60)


def test_a_password_is_a_login() -> None:
    form = {"grant_type": "password", "username": "MOCK_USERNAME", "password": "MOCK_PASSWORD"}
    told = claims(token(server(), **form)["id_token"])
    assert told["auth_time"] == NOW
    assert "nonce" not in told


def test_the_user_of_a_preconfigured_token_has_logged_in_at_the_start() -> None:
    fake = server(refresh_tokens=[PreconfiguredRefreshToken(value="R1")])
    fake.metadata()  # In process, the server starts with its first use.
    fake.clock.advance(50)
    told = claims(refreshed(fake, {"refresh_token": "R1"})["id_token"])
    assert (told["auth_time"], told["iat"]) == (NOW, NOW + 50)


def test_what_is_unknown_is_left_out() -> None:
    details = TokenDetails(
        issuer="https://issuer.example",
        sub="u",
        client_id="web",
        issued_at=NOW,
        lifetime_seconds=60,
        jti="j",
        scopes=("openid",),
        nonce=None,
        extra_claims={},
    )
    told = RFC().id_token_claims(details)
    assert list(told) == ["sub", "aud", "azp", "iss", "exp", "iat", "jti"]


def test_ciam_has_neither() -> None:
    fake = server(dialect="ciam")
    told = claims(fake.issue_tokens().id_token or "")
    assert list(told) == ["sub", "aud", "azp", "iss", "exp", "iat", "jti"]


def test_the_example_of_the_standard() -> None:
    """OpenID Connect Core 1.0 appendix A.3."""
    access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert half_hash(access_token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


KEYS: dict[str, Any] = {
    "RS256": {},
    "RS384": {"alg": "RS384"},
    "RS512": {"alg": "RS512"},
    "PS256": {"alg": "PS256"},
    "ES256": {"pem": pem(ec.generate_private_key(ec.SECP256R1()))},
    "ES384": {"pem": pem(ec.generate_private_key(ec.SECP384R1()))},
    "EdDSA": {"pem": pem(ed25519.Ed25519PrivateKey.generate())},
}
LENGTHS = {"256": 16, "384": 24, "512": 32, "DSA": 32}


@pytest.mark.parametrize("alg", KEYS)
def test_the_algorithm_of_the_id_token_decides_about_the_hash(alg: str) -> None:
    fake = server(keys=[SigningKey(**KEYS[alg])])
    tokens = exchanged(fake)
    at_hash = claims(tokens["id_token"])["at_hash"]
    assert len(at_hash) == len(base64url(bytes(LENGTHS[alg[-3:]])))
    validated(fake, tokens)


def test_keys_that_rotate_between_two_tokens_keep_the_hash_right() -> None:
    fake = server()
    realm = fake._realm
    grant = log_in(realm, realm.client("web"), realm.user(None), ["openid"])
    before = token_details(
        realm, grant, fake.clock.now(), kind="id_token", scopes=["openid"], goes_with="x"
    )
    id_token = new_id_token(realm, replace(before, alg="PS512"))
    assert claims(id_token)["at_hash"] == half_hash("x", "RS256")


@pytest.mark.parametrize("changed", ["access_token", "both"])
def test_the_hash_is_that_of_the_access_token_that_is_sent(changed: Any) -> None:
    fake = server()
    first = exchanged(fake)
    fake.script(faults.Claim("x", 1, token=changed))
    tokens = refreshed(fake, first)
    assert claims(tokens["access_token"])["x"] == 1
    assert ("x" in claims(tokens["id_token"])) == (changed == "both")
    validated(fake, tokens)


def test_a_fault_can_be_the_hash() -> None:
    fake = server()
    first = exchanged(fake)
    fake.script(
        faults.Claim("at_hash", "AAAA", token="id_token"),
        faults.MissingClaim("at_hash", token="id_token"),
        faults.Combined([faults.Claim("at_hash", "AAAA", token="id_token"), faults.Claim("x", 1)]),
        faults.Combined(
            [faults.BadSignature(token="id_token"), faults.Claim("x", 1, token="access_token")]
        ),
        faults.Combined([faults.Field("id_token", 7), faults.Claim("x", 1)]),
    )
    assert claims(refreshed(fake, first)["id_token"])["at_hash"] == "AAAA"
    assert "at_hash" not in claims(refreshed(fake, first)["id_token"])
    third = refreshed(fake, first)
    assert claims(third["id_token"])["at_hash"] == "AAAA"
    unsigned = refreshed(fake, first)
    assert claims(unsigned["access_token"])["x"] == 1
    keys = [key_ring().signing.public]
    with pytest.raises(InvalidTokenError, match="signature"):
        verify(unsigned["id_token"], keys)
    assert refreshed(fake, first)["id_token"] == 7


# Refresh tokens


@pytest.mark.parametrize(
    ("rule", "scope", "is_issued"),
    [
        (None, "openid", True),
        ("always", "openid", True),
        ("offline_access", "openid", False),
        ("offline_access", "openid offline_access", True),
        ("never", "openid offline_access", False),
    ],
)
def test_who_gets_a_refresh_token(rule: Any, scope: str, *, is_issued: bool) -> None:
    for fake in (
        server(issue_refresh_tokens=rule),
        server(replace(WEB, issue_refresh_tokens=rule)),
    ):
        assert ("refresh_token" in exchanged(fake, scope)) == is_issued
        assert (fake.issue_tokens(scope=scope).refresh_token is not None) == is_issued


def test_the_client_has_the_last_word() -> None:
    fake = server(replace(WEB, issue_refresh_tokens="always"), issue_refresh_tokens="never")
    assert "refresh_token" in exchanged(fake)
    may_not = replace(WEB, grant_types=["authorization_code"])
    assert "refresh_token" not in exchanged(server(may_not, issue_refresh_tokens="always"))


def test_a_refresh_token_that_exists_is_refreshed_and_rotated_all_the_same() -> None:
    known = [PreconfiguredRefreshToken(value="R1", scope="openid")]
    fake = server(
        refresh_tokens=known, issue_refresh_tokens="offline_access", refresh_policy="rotate"
    )
    tokens = refreshed(fake, {"refresh_token": "R1"})
    assert tokens["refresh_token"] != "R1"


def test_every_client_can_request_the_scope_if_a_refresh_token_depends_on_it() -> None:
    client = replace(WEB, scopes=("openid",))
    fake = server(client, issue_refresh_tokens="offline_access", auto_login="MOCK_USERNAME")
    asked = {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": "https://app.example/cb",
        "scope": "openid offline_access",
        "state": "s",
    }
    location = WSGIClient(fake).get("/authorize", query_string=asked).headers["Location"]
    code = location.partition("code=")[2].partition("&")[0]
    redirect_uri = asked["redirect_uri"]
    members = token(fake, grant_type="authorization_code", code=code, redirect_uri=redirect_uri)
    assert members["scope"] == "offline_access openid"
    assert "refresh_token" in members
