"""openid-client (npm) with exchanged tokens, assertions, a signed secret, and registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest

from fake_oauth import FakeOAuth
from tests.clients.conftest import LONG_SECRET

SCRIPT = "openid_client_grants.mjs"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture
def run(oauth_server: FakeOAuth, node: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs a scenario, with alice logged in."""
    oauth_server.login("alice")
    return lambda scenario, **options: node(SCRIPT, scenario, **options)


def test_exchanges_a_token_for_a_narrower_one(run: Callable[..., Any]) -> None:
    assert run("exchange") == {
        "token_type": "bearer",
        "issued_token_type": ACCESS_TOKEN,
        "sub": "u-alice",
        "scope": "email",
    }


def test_exchanges_a_token_for_an_id_token(run: Callable[..., Any]) -> None:
    found = run("exchange_for_id_token")
    assert found["token_type"] == "n_a"
    claims = jwt.decode(found["id_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == ("u-alice", "phone")


def test_names_who_acts_for_the_user(run: Callable[..., Any]) -> None:
    assert run("exchange_with_actor") == {"sub": "web"}


# The clock of a proof is the client's, so the server's stays too.
@pytest.mark.parametrize(
    "nonces",
    [
        pytest.param(nonces, id=nonces, marks=pytest.mark.oauth_server(dpop_nonces=nonces))
        for nonces in ("off", "rotating")
    ],
)
def test_binds_an_exchanged_token_to_its_key(run: Callable[..., Any], nonces: str) -> None:
    assert run("exchange_with_proof") == {"token_type": "dpop", "bound": True}, nonces


def test_is_told_that_an_audience_is_unknown(run: Callable[..., Any]) -> None:
    assert run("refused_exchange")["error"] == "invalid_target"


def test_presents_an_assertion_once(
    run: Callable[..., Any], make_assertion: Callable[..., str]
) -> None:
    found = run("bearer", assertion=make_assertion())
    assert (found["sub"], found["refreshes"]) == ("u-alice", False)
    assert found["replayed"]["error"] == "invalid_grant"


@pytest.mark.allow_violations  # the clock of an assertion is the client's, so the server's stays
def test_signs_with_its_secret(oauth_server: FakeOAuth, run: Callable[..., Any]) -> None:
    assert run("secret_jwt", secret=LONG_SECRET) == "signer"
    sent = [exchange for exchange in oauth_server.journal if exchange.method == "POST"]
    assert [exchange.endpoint for exchange in sent] == [
        "pushed_authorization_request",
        "token",
        "token",
        "introspect",
    ]
    for exchange in sent:
        assert "client_assertion" in exchange.form
        assert "client_secret" not in exchange.form


@pytest.mark.allow_violations  # as above, for a proof
@pytest.mark.oauth_server(
    register_clients=True, registration_token="initial", dpop_nonces="required"
)
def test_registers_and_logs_in(oauth_server: FakeOAuth, run: Callable[..., Any]) -> None:
    found = run("registered", token="initial")
    assert found["token_type"] == "dpop"
    (client,) = oauth_server.registered_clients
    assert found["registered"]["client_id"] == client.client_id
    assert found["registered"]["client_secret"] == client.client_secret
    assert client.dpop_bound_access_tokens


@pytest.mark.oauth_server(register_clients=True, registration_token="initial")
def test_is_told_that_a_registration_needs_a_token(run: Callable[..., Any]) -> None:
    assert run("refused_registration")["status"] == 401
