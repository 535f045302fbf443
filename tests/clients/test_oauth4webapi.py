"""oauth4webapi (npm) at the server: every response in the hands of a strict reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fake_oauth import FakeOAuth
from tests.clients.conftest import SCOPE

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
