"""Authlib (PyPI) with a signed secret, assertions as grants, exchanges, and scopes sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import AssertionSession, OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT
from joserfc.jwk import ECKey

from fake_oauth import FakeOAuth
from tests.clients.conftest import (
    KEY,
    LONG_SECRET,
    PARTNER,
    REDIRECT_URI,
    SCOPE,
    SECRET,
    sent_to,
)

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type"


@pytest.fixture
def make_session(oauth_server: FakeOAuth) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a session of a client."""
    sessions = []

    def make_session(client_id: str, secret: str | None, method: str, **options: Any) -> Any:
        session = OAuth2Session(
            client_id,
            secret,
            redirect_uri=REDIRECT_URI,
            token_endpoint=oauth_server.token_url,
            token_endpoint_auth_method=method,
            code_challenge_method="S256",
            **options,
        )
        sessions.append(session)
        return session

    yield make_session
    for session in sessions:
        session.close()


def log_in(session: Any, server: FakeOAuth, browse: Callable[[str], str]) -> Any:
    """Return the tokens of a user who logged in."""
    verifier = generate_token(48)
    authorize = server.url_of("authorize")
    url, state = session.create_authorization_url(authorize, code_verifier=verifier)
    return session.fetch_token(
        authorization_response=browse(url), state=state, code_verifier=verifier
    )


@pytest.mark.allow_violations  # the clock of an assertion is the client's, so the server's stays
@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_signs_with_its_secret(
    oauth_server: FakeOAuth,
    make_session: Callable[..., Any],
    browse: Callable[[str], str],
    algorithm: str,
) -> None:
    oauth_server.login("alice")
    session = make_session("signer", LONG_SECRET, "client_secret_jwt", scope=SCOPE)
    session.register_client_auth_method(ClientSecretJWT(oauth_server.token_url, alg=algorithm))
    first = log_in(session, oauth_server, browse)
    assert session.refresh_token()["refresh_token"] != first["refresh_token"]
    found = session.introspect_token(
        oauth_server.url_of("introspect"), token=session.token["access_token"]
    )
    assert found.json()["client_id"] == "signer"


def test_signs_its_grants(oauth_server: FakeOAuth) -> None:
    with AssertionSession(
        oauth_server.token_url,
        PARTNER,
        "alice",
        key=ECKey.import_key(KEY),
        header={"alg": "ES256", "kid": "k1"},
        scope="email",
        client_id="phone",
    ) as session:
        for _ in range(2):
            assert session.get(oauth_server.resource_url).json()["sub"] == "u-alice"
        (exchange,) = sent_to(oauth_server, "token")
        assert (exchange.reply["scope"], exchange.client_id) == ("email", "phone")
        session.token = {**session.token, "expires_at": 1}
        assert session.get(oauth_server.resource_url).json()["sub"] == "u-alice"
        assert len(sent_to(oauth_server, "token")) == 2


@pytest.mark.allow_violations  # it repeats a request that was refused
def test_repeats_its_jti_if_it_has_claims_of_its_own(
    oauth_server: FakeOAuth, make_session: Callable[..., Any]
) -> None:
    session = make_session("signer", LONG_SECRET, "client_secret_jwt")
    # It writes the `jti` into the claims that it was given, and finds it there the next time.
    method = ClientSecretJWT(oauth_server.token_url, claims={"tenant": "t1"})
    session.register_client_auth_method(method)
    session.fetch_token(grant_type="client_credentials")
    with pytest.raises(OAuthError, match="invalid_client"):
        session.fetch_token(grant_type="client_credentials")
    assert "jti: " in (oauth_server.journal[-1].reason or "")


def test_exchanges_a_token(oauth_server: FakeOAuth, make_session: Callable[..., Any]) -> None:
    subject = oauth_server.issue_tokens(user="alice", client="phone").access_token
    session = make_session("web", SECRET, "client_secret_post")
    found = session.fetch_token(
        grant_type=EXCHANGE,
        subject_token=subject,
        subject_token_type=f"{TYPE}:access_token",
        audience="service",
    )
    assert found["issued_token_type"] == f"{TYPE}:access_token"
    assert session.get(oauth_server.resource_url).json()["sub"] == "u-alice"


def test_polls_as_a_device(oauth_server: FakeOAuth, make_session: Callable[..., Any]) -> None:
    session = make_session("phone", None, "none", scope=SCOPE)
    # It has no function for the first request.
    device = session.post(
        oauth_server.url_of("device_authorization"),
        data={"client_id": "phone", "scope": SCOPE},
        withhold_token=True,
    ).json()

    def poll() -> Any:
        oauth_server.clock.advance(device["interval"])
        return session.fetch_token(grant_type=DEVICE_CODE, device_code=device["device_code"])

    with pytest.raises(OAuthError, match="authorization_pending"):
        poll()
    oauth_server.approve_device(device["user_code"], "alice")
    assert poll()["refresh_token"]
    assert session.get(oauth_server.resource_url).json()["sub"] == "u-alice"


@pytest.mark.allow_violations  # it refreshes with a scope that was not granted
@pytest.mark.oauth_server(accept_unknown_scopes=True)
def test_sends_an_ignored_scope_again(
    oauth_server: FakeOAuth, make_session: Callable[..., Any], browse: Callable[[str], str]
) -> None:
    oauth_server.login("alice")
    session = make_session("phone", None, "none", scope=f"{SCOPE} calendar")
    assert set(log_in(session, oauth_server, browse)["scope"].split()) == set(SCOPE.split())
    # RFC 6749 section 6 forbids it, and a server may refuse it (section 5.2).
    with pytest.raises(OAuthError, match="invalid_scope"):
        session.refresh_token()
    assert [found.check for found in oauth_server.violations()] == ["requested_no_wider_scope"]
    session.scope = session.token["scope"]
    assert set(session.refresh_token()["scope"].split()) == set(SCOPE.split())
