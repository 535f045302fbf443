"""oauth4webapi (npm) at the server: every response in the hands of a strict reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fake_oauth import FakeOAuth
from tests.clients.conftest import KEY, SCOPE

SCRIPT = "oauth4webapi.mjs"


@pytest.mark.parametrize(("algorithm", "endpoint"), [("oidc", "discovery"), ("oauth2", "metadata")])
def test_logs_in_and_refreshes(
    oauth_server: FakeOAuth, node: Callable[..., Any], algorithm: str, endpoint: str
) -> None:
    oauth_server.login("alice")
    found = node(SCRIPT, algorithm)
    assert found["userinfo"]["email"] == "alice@example.com"
    assert found["rotated"]
    assert oauth_server.journal[0].endpoint == endpoint


def test_validates_the_access_token_as_a_resource_server(
    oauth_server: FakeOAuth, node: Callable[..., Any]
) -> None:
    oauth_server.login("alice")
    claims = node(SCRIPT, "resource_server")
    assert claims["iss"] == oauth_server.issuer
    assert claims["sub"] == "u-alice"
    assert claims["client_id"] == "web"
    assert set(claims["scope"].split()) == set(SCOPE.split())


@pytest.mark.parametrize(
    "nonces",
    [
        pytest.param(nonces, id=nonces, marks=pytest.mark.oauth_server(dpop_nonces=nonces))
        for nonces in ("off", "required", "rotating")
    ],
)
def test_pushes_its_request_and_proves_a_key(
    oauth_server: FakeOAuth, node: Callable[..., Any], nonces: str
) -> None:
    oauth_server.login("alice")
    found = node(SCRIPT, "bound", resource=oauth_server.resource_url)
    assert found["type"] == "dpop"
    assert found["userinfo"]["email"] == "alice@example.com"
    assert found["called"] == 200
    assert any(exchange.cause == "dpop_nonce" for exchange in oauth_server.journal) is (
        nonces != "off"
    )


def test_authenticates_with_a_key_and_waits_for_the_user_of_a_device(
    oauth_server: FakeOAuth, node: Callable[..., Any]
) -> None:
    found = node(SCRIPT, "device", key=KEY)
    assert found == {"pending": "authorization_pending", "sub": "u-alice"}
    oauth_server.assert_client.polled_at_the_interval()
