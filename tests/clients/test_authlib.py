"""Authlib (PyPI) at a server of the RFCs; tests/test_real_clients.py has it at `ciam`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from fake_oauth import FakeOAuth
from tests.clients.conftest import KEY, REDIRECT_URI, SCOPE, SECRET, sent_to


@pytest.fixture
def metadata(oauth_server: FakeOAuth, browser: Any) -> Any:
    """Return the discovery document."""
    return browser.get(f"{oauth_server.issuer}/.well-known/openid-configuration").json()


@pytest.fixture
def make_session(metadata: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a session of a client."""
    sessions = []

    def make_session(client_id: str, method: str, **options: Any) -> Any:
        session = OAuth2Session(
            client_id,
            None if method == "none" else SECRET,
            scope=SCOPE,
            redirect_uri=REDIRECT_URI,
            token_endpoint=metadata["token_endpoint"],
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            code_challenge_method="S256",
            **options,
        )
        sessions.append(session)
        return session

    yield make_session
    for session in sessions:
        session.close()


def log_in(session: Any, metadata: Any, browse: Callable[[str], str], **asked: str) -> Any:
    """Return the tokens of a user who logged in."""
    verifier = generate_token(48)
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, **asked
    )
    return session.fetch_token(
        authorization_response=browse(url), state=state, code_verifier=verifier
    )


@pytest.mark.parametrize(
    ("client_id", "method"),
    [
        ("web", "client_secret_post"),
        # It doesn't form-encode the secret (RFC 6749 section 2.3.1).
        pytest.param(
            "web",
            "client_secret_basic",
            marks=pytest.mark.oauth_server(accept_raw_basic=True),
        ),
        ("phone", "none"),
    ],
)
def test_logs_in_validates_the_id_token_and_refreshes(
    oauth_server: FakeOAuth,
    metadata: Any,
    make_session: Callable[..., Any],
    browse: Callable[[str], str],
    client_id: str,
    method: str,
) -> None:
    oauth_server.login("alice")
    session = make_session(client_id, method)
    first = log_in(session, metadata, browse, nonce="N")
    keys = KeySet.import_key_set(session.get(metadata["jwks_uri"], withhold_token=True).json())
    decoded = jwt.decode(first["id_token"], keys, metadata["id_token_signing_alg_values_supported"])
    CodeIDToken(
        decoded.claims,
        decoded.header,
        options={"iss": {"values": [metadata["issuer"]]}},
        params={"nonce": "N", "client_id": client_id, "access_token": first["access_token"]},
    ).validate()
    assert session.get(metadata["userinfo_endpoint"]).json()["email"] == "alice@example.com"
    oauth_server.clock.advance(first["expires_in"])
    second = session.refresh_token()
    assert second["refresh_token"] != first["refresh_token"]
    assert session.get(metadata["userinfo_endpoint"]).json()["sub"] == "u-alice"


def test_refreshes_by_itself_a_token_that_is_about_to_expire(
    oauth_server: FakeOAuth,
    metadata: Any,
    make_session: Callable[..., Any],
    browse: Callable[[str], str],
) -> None:
    oauth_server.login("alice")
    updates: list[tuple[str, str]] = []

    def update_token(token: Any, **old: str) -> None:
        updates.append((old["refresh_token"], token["refresh_token"]))

    session = make_session("phone", "none", update_token=update_token, leeway=3600)
    first = log_in(session, metadata, browse)
    oauth_server.clock.advance(first["expires_in"])
    assert session.get(metadata["userinfo_endpoint"]).json()["sub"] == "u-alice"
    assert updates == [(first["refresh_token"], session.token["refresh_token"])]


@pytest.mark.allow_violations  # it presents a token that it revoked itself
def test_introspects_and_revokes(
    oauth_server: FakeOAuth,
    metadata: Any,
    make_session: Callable[..., Any],
    browse: Callable[[str], str],
) -> None:
    oauth_server.login("alice")
    session = make_session("web", "client_secret_post")
    token = log_in(session, metadata, browse)
    endpoint = metadata["introspection_endpoint"]
    found = session.introspect_token(endpoint, token=token["access_token"]).json()
    assert found["active"]
    assert found["client_id"] == "web"
    session.revoke_token(
        metadata["revocation_endpoint"],
        token=token["refresh_token"],
        token_type_hint="refresh_token",
    )
    found = session.introspect_token(endpoint, token=token["access_token"]).json()
    assert found == {"active": False}
    with pytest.raises(OAuthError, match="invalid_grant"):
        session.refresh_token()


def test_gets_a_token_for_itself(oauth_server: FakeOAuth, make_session: Callable[..., Any]) -> None:
    token = make_session("web", "client_secret_post").fetch_token(
        grant_type="client_credentials", scope="email"
    )
    assert token["scope"] == "email"
    assert len(sent_to(oauth_server, "token")) == 1


def test_sends_a_secret_that_rfc_6749_reads_as_another(make_session: Callable[..., Any]) -> None:
    session = make_session("web", "client_secret_basic")
    with pytest.raises(OAuthError, match="invalid_client"):
        session.fetch_token(grant_type="client_credentials")


@pytest.mark.allow_violations  # the clock of an assertion is the client's, so the server's stays
def test_authenticates_with_a_key(
    oauth_server: FakeOAuth,
    metadata: Any,
    make_session: Callable[..., Any],
    browse: Callable[[str], str],
) -> None:
    oauth_server.login("alice")
    session = make_session("service", "private_key_jwt")
    session.client_secret = ECKey.import_key(KEY)
    session.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"], alg="ES256"))
    first = log_in(session, metadata, browse)
    assert session.refresh_token()["refresh_token"] != first["refresh_token"]
    assert session.get(metadata["userinfo_endpoint"]).json()["sub"] == "u-alice"
    assert all("client_assertion" in exchange.form for exchange in sent_to(oauth_server, "token"))
