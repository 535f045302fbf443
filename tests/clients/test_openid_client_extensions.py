"""openid-client (npm) with pushed requests, DPoP, keys, devices, logout, and `max_age`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from fake_oauth import FakeOAuth
from tests.clients.conftest import KEY, LOGOUT_REDIRECT_URI, sent_to

SCRIPT: Final = "openid_client_extensions.mjs"


@pytest.fixture
def run(oauth_server: FakeOAuth, node: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs a scenario, with alice logged in."""
    oauth_server.login("alice")

    def run(scenario: str, **options: Any) -> Any:
        return node(SCRIPT, scenario, resource=oauth_server.resource_url, **options)

    return run


@pytest.mark.oauth_server(require_pushed_authorization_requests=True)
def test_pushes_its_request(oauth_server: FakeOAuth, run: Callable[..., Any]) -> None:
    assert run("pushed") == "u-alice"
    (authorized,) = sent_to(oauth_server, "authorize")
    assert set(authorized.query) == {"client_id", "request_uri"}


# The clock of a proof or an assertion is the client's, so the server's stays too.
@pytest.mark.allow_violations
@pytest.mark.parametrize(
    "nonces",
    [
        pytest.param(nonces, id=nonces, marks=pytest.mark.oauth_server(dpop_nonces=nonces))
        for nonces in ("off", "required", "rotating")
    ],
)
@pytest.mark.parametrize("scenario", ["dpop", "pushed_dpop"])
def test_proves_a_key_with_each_request(
    oauth_server: FakeOAuth, run: Callable[..., Any], scenario: str, nonces: str
) -> None:
    found = run(scenario)
    assert found["type"].lower() == "dpop"
    assert (found["sub"], found["status"]) == ("u-alice", 200)
    refused = [exchange for exchange in oauth_server.journal if exchange.cause == "dpop_nonce"]
    assert bool(refused) is (nonces != "off")
    if refused:
        oauth_server.assert_client.used_the_dpop_nonce()


@pytest.mark.allow_violations  # the key of a public client's refresh token must not change
def test_is_told_that_a_refresh_token_belongs_to_another_key(run: Callable[..., Any]) -> None:
    assert run("another_key")["error"] == "invalid_grant"


@pytest.mark.allow_violations  # as above
@pytest.mark.parametrize(
    "audience",
    [
        pytest.param(name, id=name, marks=pytest.mark.oauth_server(assertion_audience=name))
        for name in ("any", "issuer")
    ],
)
def test_authenticates_with_a_key(
    oauth_server: FakeOAuth, run: Callable[..., Any], audience: str
) -> None:
    assert run("assertion", key=KEY) == {"sub": "u-alice", "active": True}
    assert "client_assertion" in sent_to(oauth_server, "token")[0].form, audience


@pytest.mark.oauth_server(device_interval_seconds=1)
@pytest.mark.parametrize("denied", [False, True], ids=["approved", "denied"])
def test_waits_for_the_user_of_a_device(
    oauth_server: FakeOAuth, run: Callable[..., Any], *, denied: bool
) -> None:
    found = run("device", denied=denied)
    assert found["error"] == "access_denied" if denied else found == "u-alice"
    oauth_server.assert_client.stopped_polling()


def test_logs_out(oauth_server: FakeOAuth, run: Callable[..., Any]) -> None:
    assert run("logout", out=LOGOUT_REDIRECT_URI) == "a+b/c d%2F"
    (logged_out,) = sent_to(oauth_server, "end_session")
    assert logged_out.status == 302


def test_requires_a_recent_login(run: Callable[..., Any]) -> None:
    first, second = run("max_age")
    assert second >= first + 700
