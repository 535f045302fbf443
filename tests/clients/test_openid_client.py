"""openid-client (npm) at the server: what its users do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fake_oauth import FakeOAuth
from tests.clients.conftest import SCOPE, sent_to

SCRIPT = "openid_client.mjs"
ALICE = {"sub": "u-alice", "email": "alice@example.com", "name": "Alice"}


@pytest.mark.parametrize(
    ("scenario", "method"),
    [("basic", "client_secret_basic"), ("post", "client_secret_post"), ("none", "none")],
)
def test_logs_in_with_pkce_and_refreshes(
    oauth_server: FakeOAuth, node: Callable[..., Any], scenario: str, method: str
) -> None:
    oauth_server.login("alice")
    found = node(SCRIPT, scenario)
    assert found["userinfo"] == ALICE
    assert set(found["scope"].split()) == set(SCOPE.split())
    assert found["rotated"]
    assert found["sub"] == "u-alice"
    (authorized,) = sent_to(oauth_server, "authorize")
    assert authorized.query["code_challenge_method"] == "S256"
    exchanged, *_ = sent_to(oauth_server, "token")
    assert {
        "client_secret_basic": "Authorization" in exchanged.headers,
        "client_secret_post": "client_secret" in exchanged.form,
        "none": exchanged.form.get("client_id") == "phone",
    }[method]


def test_gets_a_token_for_itself(oauth_server: FakeOAuth, node: Callable[..., Any]) -> None:
    assert node(SCRIPT, "credentials") == {"scope": "email"}
    assert oauth_server.journal[-1].grant_type == "client_credentials"


@pytest.mark.allow_violations
def test_is_told_that_a_refresh_token_was_rotated(
    oauth_server: FakeOAuth, node: Callable[..., Any]
) -> None:
    oauth_server.login("alice")
    assert node(SCRIPT, "reuse")["error"] == "invalid_grant"
    assert oauth_server.journal[-1].reason == "refresh token rotated by request 5"


def test_is_told_that_its_secret_is_wrong(node: Callable[..., Any]) -> None:
    # openid-client turns a 401 with a challenge into an error of its own.
    found = node(SCRIPT, "wrong_secret")
    assert found["status"] == 401


@pytest.mark.allow_violations
def test_introspects_and_revokes(oauth_server: FakeOAuth, node: Callable[..., Any]) -> None:
    oauth_server.login("alice")
    found = node(SCRIPT, "revocation")
    assert found["before"]["active"]
    assert found["before"]["client_id"] == "web"
    assert found["after"] == {"active": False}
    assert found["refresh"]["error"] == "invalid_grant"
    assert found["userinfo"]["status"] == 401


@pytest.mark.oauth_server(authorization_response_iss=True)
@pytest.mark.parametrize("scenario", ["basic", "form_post"])
def test_compares_the_issuer_of_the_authorization_response(
    oauth_server: FakeOAuth, node: Callable[..., Any], scenario: str
) -> None:
    # It refuses a response without `iss` if the metadata promise one (RFC 9207).
    oauth_server.login("alice")
    node(SCRIPT, scenario)
    assert oauth_server.metadata()["authorization_response_iss_parameter_supported"]


def test_receives_the_code_in_a_form(oauth_server: FakeOAuth, node: Callable[..., Any]) -> None:
    oauth_server.login("alice")
    assert node(SCRIPT, "form_post") == "u-alice"
    assert sent_to(oauth_server, "authorize")[0].query["response_mode"] == "form_post"


def test_is_told_that_a_silent_login_is_not_possible(node: Callable[..., Any]) -> None:
    assert node(SCRIPT, "silent")["error"] == "login_required"
