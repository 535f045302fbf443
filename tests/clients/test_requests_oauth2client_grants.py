"""requests_oauth2client (PyPI) with a signed secret, assertions, actors, and slow devices."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from requests_oauth2client import (
    AccessDenied,
    ApiClient,
    ClientSecretJwt,
    ClientSecretPost,
    DeviceAuthorizationPollingJob,
    DPoPToken,
    InvalidGrant,
    OAuth2Client,
    OAuth2ClientCredentialsAuth,
    PrivateKeyJwt,
    PublicApp,
)

from fake_oauth import Client, FakeOAuth, faults
from tests.clients.conftest import KEY, LONG_SECRET, PUBLIC_KEY, REDIRECT_URI, SCOPE, SECRET

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
SERVICE = PrivateKeyJwt("service", KEY)
WEB = ClientSecretPost("web", SECRET)


def discovered(server: FakeOAuth, auth: Any = WEB, **more: Any) -> Any:
    """Return a client that read the discovery document; `testing` permits plain HTTP."""
    return OAuth2Client.from_discovery_endpoint(
        issuer=server.issuer, auth=auth, redirect_uri=REDIRECT_URI, testing=True, **more
    )


# The clock of a proof or an assertion is the client's, so the server's stays too.
@pytest.mark.allow_violations
@pytest.mark.parametrize(
    "audience",
    [
        pytest.param(name, id=name, marks=pytest.mark.oauth_server(assertion_audience=name))
        for name in ("any", "issuer")
    ],
)
def test_signs_with_its_secret(
    oauth_server: FakeOAuth, browse: Callable[[str], str], audience: str
) -> None:
    oauth_server.login("alice")
    # By default, the audience is the URL of the endpoint that it calls.
    aud = oauth_server.issuer if audience == "issuer" else None
    client = discovered(oauth_server, ClientSecretJwt("signer", LONG_SECRET, aud=aud))
    request = client.authorization_request(scope=SCOPE)
    pushed = client.pushed_authorization_request(request)
    tokens = client.authorization_code(request.validate_callback(browse(pushed.uri)))
    assert tokens.id_token.sub == "u-alice"
    tokens = client.refresh_token(tokens)
    assert client.introspect_token(tokens.access_token)["client_id"] == "signer"
    assert client.revoke_refresh_token(tokens)
    sent = [exchange for exchange in oauth_server.journal if exchange.method == "POST"]
    assert len(sent) == 5
    assert all("client_assertion" in exchange.form for exchange in sent)


@pytest.mark.allow_violations  # as above
@pytest.mark.parametrize(
    "nonces",
    [
        pytest.param(nonces, id=nonces, marks=pytest.mark.oauth_server(dpop_nonces=nonces))
        for nonces in ("required", "rotating")
    ],
)
def test_signs_an_assertion_and_a_proof_for_each_request(
    oauth_server: FakeOAuth, browse: Callable[[str], str], nonces: str
) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server, SERVICE)
    request = client.authorization_request(scope=SCOPE, dpop=True)
    pushed = client.pushed_authorization_request(request)
    back = request.validate_callback(browse(pushed.uri))
    tokens = client.authorization_code(back, validate=False)
    for _ in range(2):
        tokens = client.refresh_token(tokens)
        assert isinstance(tokens, DPoPToken)
        api = ApiClient(oauth_server.issuer, auth=tokens)
        assert api.get("resource").json()["sub"] == "u-alice"
    # Each of the refused requests had used up its assertion, so each retry has another one.
    refused = [exchange.cause for exchange in oauth_server.journal if exchange.cause]
    assert refused
    assert set(refused) == {"dpop_nonce"}, nonces
    oauth_server.assert_client.used_the_dpop_nonce()


@pytest.mark.oauth_server(
    clients=[
        Client(
            client_id="service",
            jwks={"keys": [PUBLIC_KEY]},
            scopes=SCOPE.split(),
            dpop_bound_access_tokens=True,
        )
    ]
)
def test_gets_a_bound_token_for_itself(oauth_server: FakeOAuth) -> None:
    client = discovered(oauth_server, SERVICE, dpop_bound_access_tokens=True)
    api = ApiClient(oauth_server.issuer, auth=OAuth2ClientCredentialsAuth(client, scope="email"))
    for _ in range(2):
        assert api.get("resource").json()["sub"] == "service"
    assert "cnf" in client.introspect_token(api.auth.token.access_token)


@pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "dpop"])
def test_presents_an_assertion(
    oauth_server: FakeOAuth, make_assertion: Callable[..., str], *, dpop: bool
) -> None:
    client, assertion = discovered(oauth_server), make_assertion()
    tokens = client.jwt_bearer(assertion, scope="email", dpop=dpop)
    assert isinstance(tokens, DPoPToken) is dpop
    assert ApiClient(oauth_server.issuer, auth=tokens).get("resource").json()["sub"] == "u-alice"
    with pytest.raises(InvalidGrant):
        client.jwt_bearer(assertion)


def test_names_who_acts_for_the_user(oauth_server: FakeOAuth) -> None:
    client = discovered(oauth_server)
    subject = oauth_server.issue_tokens(user="alice", client="phone").access_token
    exchanged = client.token_exchange(
        subject_token=subject,
        subject_token_type="access_token",
        actor_token=discovered(oauth_server, SERVICE).client_credentials(),
        audience=["service", "phone"],
    )
    found = client.introspect_token(exchanged.access_token)
    assert found["act"] == {"sub": "service"}
    assert found["aud"] == ["service", "phone"]


def test_requires_a_recent_login(oauth_server: FakeOAuth, browse: Callable[[str], str]) -> None:
    oauth_server.login("alice")
    client = discovered(oauth_server)
    times = []
    for _ in range(2):
        request = client.authorization_request(scope=SCOPE, max_age=600)
        tokens = client.authorization_code(request.validate_callback(browse(request.uri)))
        times.append(tokens.id_token.auth_time)
        oauth_server.clock.advance(700)
    assert times[1] >= times[0] + 700


@pytest.fixture
def make_job(
    oauth_server: FakeOAuth, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[Any, str]]:
    """Return a function that makes a polling job, which sleeps by the server's clock."""
    monkeypatch.setattr(time, "sleep", oauth_server.clock.advance)
    # It does not read this endpoint in the discovery document.
    endpoint = oauth_server.url_of("device_authorization")

    def make_job() -> tuple[Any, str]:
        auth = PublicApp("phone")
        client = discovered(oauth_server, auth, device_authorization_endpoint=endpoint)
        device = client.authorize_device(scope=SCOPE)
        return DeviceAuthorizationPollingJob(client, device), device.user_code

    return make_job


def test_polls_less_often_when_told_to(
    oauth_server: FakeOAuth, make_job: Callable[[], tuple[Any, str]]
) -> None:
    oauth_server.script(faults.Rule(faults.Refuse("slow_down"), grant_type=DEVICE_CODE))
    job, user_code = make_job()
    assert job() is None
    assert job() is None
    oauth_server.approve_device(user_code, "alice")
    assert job().id_token.sub == "u-alice"
    oauth_server.assert_client.slowed_down()
    oauth_server.assert_client.polled_at_the_interval()


def test_is_told_that_the_user_denied(
    oauth_server: FakeOAuth, make_job: Callable[[], tuple[Any, str]]
) -> None:
    job, user_code = make_job()
    oauth_server.deny_device(user_code)
    with pytest.raises(AccessDenied):
        job()
