"""requests_oauth2client (PyPI) at the server: each grant type as its documentation shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from requests_oauth2client import (
    ApiClient,
    ClientSecretBasic,
    ClientSecretPost,
    DeviceAuthorizationPollingJob,
    DPoPToken,
    InvalidGrant,
    OAuth2AccessTokenAuth,
    OAuth2Client,
    OAuth2ClientCredentialsAuth,
    PrivateKeyJwt,
    PublicApp,
    UnauthorizedClient,
)

from fake_oauth import FakeOAuth
from tests.clients.conftest import KEY, REDIRECT_URI, SCOPE, SECRET, sent_to

POST = ClientSecretPost("web", SECRET)
LIFETIME_SECONDS = 3600


def discovered(server: FakeOAuth, auth: Any = POST, **more: Any) -> Any:
    """Return a client that read the discovery document; `testing` permits plain HTTP."""
    return OAuth2Client.from_discovery_endpoint(
        issuer=server.issuer, auth=auth, redirect_uri=REDIRECT_URI, testing=True, **more
    )


def log_in(client: Any, browse: Callable[[str], str]) -> Any:
    """Return the tokens of a user who logged in; the client validates the ID token."""
    request = client.authorization_request(scope=SCOPE)
    return client.authorization_code(request.validate_callback(browse(request.uri)))


@pytest.mark.parametrize(
    "auth",
    [
        POST,
        # It doesn't form-encode the secret (RFC 6749 section 2.3.1).
        pytest.param(
            ClientSecretBasic("web", SECRET),
            marks=pytest.mark.oauth_server(accept_raw_basic=True),
        ),
        PublicApp("phone"),
    ],
    ids=["post", "basic", "none"],
)
def test_logs_in_with_pkce_and_refreshes(
    oauth_server: FakeOAuth, browse: Callable[[str], str], auth: Any
) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server, auth)
    first = log_in(client, browse)
    assert first.id_token.sub == "u-alice"
    assert client.userinfo(first)["email"] == "alice@example.com"
    oauth_server.clock.advance(LIFETIME_SECONDS)
    second = client.refresh_token(first)
    assert second.refresh_token != first.refresh_token
    assert client.userinfo(second)["sub"] == "u-alice"
    (authorized,) = sent_to(oauth_server, "authorize")
    assert authorized.query["code_challenge_method"] == "S256"


def test_refreshes_by_itself_before_its_token_expires(
    oauth_server: FakeOAuth, browse: Callable[[str], str]
) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server)
    # The leeway makes every token one that is about to expire.
    auth = OAuth2AccessTokenAuth(client, log_in(client, browse), leeway=LIFETIME_SECONDS)
    api = ApiClient(oauth_server.issuer, auth=auth)
    for _ in range(2):
        oauth_server.clock.advance(LIFETIME_SECONDS)
        assert api.get("userinfo").json()["sub"] == "u-alice"
    grants = [exchange.grant_type for exchange in sent_to(oauth_server, "token")]
    assert grants == ["authorization_code", "refresh_token", "refresh_token"]


def test_gets_a_token_for_itself(oauth_server: FakeOAuth) -> None:
    auth = OAuth2ClientCredentialsAuth(discovered(oauth_server), scope="email")
    api = ApiClient(oauth_server.issuer, auth=auth)
    assert api.get("resource").status_code == 200
    assert api.get("resource").status_code == 200
    (exchange,) = sent_to(oauth_server, "token")
    assert exchange.reply["scope"] == "email"


@pytest.mark.allow_violations  # it presents tokens that it revoked itself
def test_introspects_and_revokes(oauth_server: FakeOAuth, browse: Callable[[str], str]) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server)
    tokens = log_in(client, browse)
    found = client.introspect_token(tokens.access_token)
    assert found["active"]
    assert found["client_id"] == "web"
    assert client.revoke_refresh_token(tokens)
    assert client.introspect_token(tokens.access_token) == {"active": False}
    with pytest.raises(InvalidGrant):
        client.refresh_token(tokens)


@pytest.mark.allow_violations  # a token that was rotated is presented, to see it refused
def test_is_told_why_it_is_refused(oauth_server: FakeOAuth, browse: Callable[[str], str]) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server)
    tokens = log_in(client, browse)
    client.refresh_token(tokens)
    with pytest.raises(InvalidGrant):
        client.refresh_token(tokens)
    with pytest.raises(UnauthorizedClient):
        discovered(oauth_server, PublicApp("phone")).client_credentials()


SERVICE = PrivateKeyJwt("service", KEY)


@pytest.mark.allow_violations  # the clock of an assertion is the client's, so the server's stays
def test_authenticates_with_a_key(oauth_server: FakeOAuth, browse: Callable[[str], str]) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server, SERVICE)
    request = client.authorization_request(scope=SCOPE)
    pushed = client.pushed_authorization_request(request)
    tokens = client.authorization_code(request.validate_callback(browse(pushed.uri)))
    assert tokens.id_token.sub == "u-alice"
    assert client.refresh_token(tokens).refresh_token != tokens.refresh_token
    assert client.introspect_token(tokens.access_token)["client_id"] == "service"


@pytest.mark.parametrize(
    "nonces",
    [
        pytest.param(nonces, id=nonces, marks=pytest.mark.oauth_server(dpop_nonces=nonces))
        for nonces in ("off", "required", "rotating")
    ],
)
@pytest.mark.allow_violations  # as above
def test_proves_a_key_with_each_request(
    oauth_server: FakeOAuth, browse: Callable[[str], str], nonces: str
) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server, PublicApp("phone"))
    request = client.authorization_request(scope=SCOPE, dpop=True)
    back = request.validate_callback(browse(request.uri))
    # To validate the ID token of a DPoPToken, 1.8.0 makes the token again without its key.
    tokens = client.authorization_code(back, dpop=True, validate=False)
    assert isinstance(tokens, DPoPToken)
    api = ApiClient(oauth_server.issuer, auth=tokens)
    assert api.get("resource").json()["sub"] == "u-alice"
    second = client.refresh_token(tokens)
    assert ApiClient(oauth_server.issuer, auth=second).get("userinfo").json()["sub"] == "u-alice"
    assert any(exchange.cause == "dpop_nonce" for exchange in oauth_server.journal) is (
        nonces != "off"
    )


def test_waits_for_the_user_of_a_device(
    oauth_server: FakeOAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It does not read this endpoint in the discovery document.
    endpoint = oauth_server.url_of("device_authorization")
    client = discovered(oauth_server, PublicApp("phone"), device_authorization_endpoint=endpoint)
    device = client.authorize_device(scope=SCOPE)
    polling = DeviceAuthorizationPollingJob(client, device)
    monkeypatch.setattr(time, "sleep", oauth_server.clock.advance)
    assert polling() is None
    oauth_server.approve_device(device.user_code, "alice")
    assert polling().id_token.sub == "u-alice"
    oauth_server.assert_client.polled_at_the_interval()


def test_exchanges_a_token(oauth_server: FakeOAuth, browse: Callable[[str], str]) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server)
    tokens = log_in(client, browse)
    exchanged = client.token_exchange(subject_token=tokens, scope="email")
    assert exchanged.access_token != tokens.access_token
    assert exchanged.scope == "email"
