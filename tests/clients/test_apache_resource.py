"""mod_oauth2 in Debian's Apache: an API that judges access tokens, and proofs of their keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import requests
from pytest_httpserver import HTTPServer
from requests_oauth2client import (
    ApiClient,
    BearerToken,
    ClientSecretPost,
    DPoPKey,
    DPoPToken,
    OAuth2Client,
)

from fake_oauth import FakeOAuth
from tests.clients import apache
from tests.clients.conftest import HERE, LONG_SECRET, SECRET, sent_to

apache.require("mod_oauth2", "libapache2-mod-oauth2")


@pytest.fixture
def url(oauth_server: FakeOAuth, httpserver: HTTPServer, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an Apache that protects an application."""
    variables = {
        "ISSUER": oauth_server.issuer,
        "LONG_SECRET": quote(LONG_SECRET, safe=""),
        "SECRET": quote(SECRET, safe=""),
    }
    configuration = HERE / "apache_resource.conf"
    with apache.running(configuration, tmp_path, httpserver, variables) as url:
        yield url


@pytest.fixture
def call(url: str, browser: httpx.Client) -> Any:
    """Return a function that calls a place of the API with an access token."""
    return lambda place, token: browser.get(
        f"{url}/{place}", headers={"Authorization": f"Bearer {token}"}
    )


@pytest.mark.parametrize(
    ("place", "endpoint"),
    [
        ("keys", "jwks"),
        ("metadata", "jwks"),
        ("introspection", "introspect"),
        ("signed", "introspect"),
    ],
)
def test_lets_a_token_in_and_no_other(
    oauth_server: FakeOAuth, call: Any, place: str, endpoint: str
) -> None:
    token = oauth_server.issue_tokens(user="alice", client="web").access_token
    told = call(place, token).raise_for_status().json()
    assert told["X-Remote-User"] == "u-alice"
    assert told["Claim-Iss"] == oauth_server.issuer
    head, payload, signature = token.split(".")
    assert call(place, f"{head}.{payload}.{signature[::-1]}").status_code == 401
    assert sent_to(oauth_server, endpoint)


def test_reads_who_the_client_is(oauth_server: FakeOAuth, call: Any) -> None:
    token = oauth_server.issue_tokens(user="alice", client="phone").access_token
    assert call("keys", token).status_code == 401


@pytest.mark.parametrize("place", ["introspection", "signed"])
@pytest.mark.oauth_server(access_token_format="opaque")
def test_is_told_that_a_token_was_revoked(oauth_server: FakeOAuth, call: Any, place: str) -> None:
    first, second = (oauth_server.issue_tokens(user="alice", client="web") for _ in range(2))
    assert call(place, first.access_token).status_code == 200
    oauth_server.revoke(second.access_token)
    assert call(place, second.access_token).status_code == 401


@pytest.fixture
def bound(oauth_server: FakeOAuth) -> Any:
    """Return a token that is bound to a key."""
    auth = ClientSecretPost("web", SECRET)
    client = OAuth2Client(oauth_server.token_url, auth=auth, testing=True)
    return client.client_credentials(dpop=True)


def test_judges_the_proof_of_a_key(url: str, bound: Any) -> None:
    api = ApiClient(url, auth=bound)
    for _ in range(2):
        assert api.get("proof").json()["X-Remote-User"] == "web"


def test_refuses_the_proof_of_another_key(url: str, bound: Any) -> None:
    stolen = DPoPToken(bound.access_token, _dpop_key=DPoPKey.generate())
    assert requests.get(f"{url}/proof", auth=stolen, timeout=20).status_code == 401


def test_refuses_a_proof_that_was_used(url: str, bound: Any) -> None:
    with requests.Session() as session:
        request = session.prepare_request(requests.Request("GET", f"{url}/proof", auth=bound))
        assert [session.send(request).status_code for _ in range(2)] == [200, 401]


def test_refuses_a_bound_token_without_a_proof(url: str, bound: Any) -> None:
    bearer = BearerToken(bound.access_token)
    assert requests.get(f"{url}/proof", auth=bearer, timeout=20).status_code == 401
