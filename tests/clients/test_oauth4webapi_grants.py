"""oauth4webapi (npm) with keys, slow devices, exchanges, resources, and registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fake_oauth import FakeOAuth, faults
from tests.clients.conftest import KEY, PUBLIC_KEY, sent_to

SCRIPT = "oauth4webapi_grants.mjs"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TYPE = "urn:ietf:params:oauth:token-type"


@pytest.mark.oauth_server(dpop_nonces="rotating")
def test_judges_a_proof_as_a_resource_server(
    oauth_server: FakeOAuth, node: Callable[..., Any]
) -> None:
    oauth_server.login("alice")
    oauth_server.script(faults.Rule(faults.Refuse("use_dpop_nonce"), endpoint="resource"))
    found = node(SCRIPT, "judged", key=KEY, resource=oauth_server.resource_url)
    assert found == {"status": 200, "type": "dpop", "bound": [True, True], "calls": 2}


def test_waits_longer_for_the_user_of_a_device(
    oauth_server: FakeOAuth, node: Callable[..., Any]
) -> None:
    slow_down = faults.Refuse("slow_down")
    oauth_server.script(faults.Rule(slow_down, grant_type=DEVICE_CODE, skip=1))
    assert node(SCRIPT, "device") == {
        "pending": "authorization_pending",
        "slower": "slow_down",
        "sub": "u-alice",
    }
    oauth_server.assert_client.slowed_down()
    oauth_server.assert_client.polled_at_the_interval()


def test_is_told_that_a_device_code_has_expired(node: Callable[..., Any]) -> None:
    assert node(SCRIPT, "expired_device") == "expired_token"


def test_exchanges_a_token_for_another_api(
    oauth_server: FakeOAuth, node: Callable[..., Any]
) -> None:
    subject = oauth_server.issue_tokens(user="alice", client="phone").access_token
    assert node(SCRIPT, "exchange", subject_token=subject, audience="service") == {
        "sub": "u-alice",
        "aud": "service",
        "client_id": "web",
        "types": [f"{TYPE}:access_token", f"{TYPE}:id_token"],
    }


def test_presents_an_assertion(
    node: Callable[..., Any], make_assertion: Callable[..., str]
) -> None:
    assert node(SCRIPT, "bearer", assertion=make_assertion()) == "email"


@pytest.mark.oauth_server(resource_metadata=["path"])
def test_finds_the_server_of_a_resource(oauth_server: FakeOAuth, node: Callable[..., Any]) -> None:
    found = node(SCRIPT, "resource", resource=oauth_server.resource_url)
    assert found == [oauth_server.issuer]


@pytest.mark.oauth_server(register_clients=True)
def test_registers_with_a_key(oauth_server: FakeOAuth, node: Callable[..., Any]) -> None:
    oauth_server.login("alice")
    assert node(SCRIPT, "registered", key=KEY, public_key=PUBLIC_KEY)
    (authorized,) = sent_to(oauth_server, "authorize")
    assert set(authorized.query) == {"client_id", "request_uri"}
