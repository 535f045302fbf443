"""An issuer with a path, which a proxy removes from requests, or does not remove."""

from __future__ import annotations

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from tests.support.client import DOCUMENTED, claims

DISCOVERY = "/.well-known/openid-configuration"


@pytest.mark.parametrize("issuer", ["https://issuer.example/t1", "https://issuer.example/t1/"])
@pytest.mark.parametrize("prefix", ["", "/t1"], ids=["removed", "kept"])
def test_endpoints_are_served_with_and_without_the_path_of_the_issuer(
    issuer: str, prefix: str
) -> None:
    client = WSGIClient(FakeOAuth(Settings(issuer=issuer)))
    document = client.get(f"{prefix}{DISCOVERY}").json
    assert document is not None
    assert document["issuer"] == issuer
    assert document["token_endpoint"] == "https://issuer.example/t1/oauth2/token"
    tokens = client.post(f"{prefix}/oauth2/token", data=DOCUMENTED).json
    assert tokens is not None
    assert claims(tokens["access_token"])["iss"] == issuer


@pytest.mark.parametrize("prefix", ["/t1x", "/t2", "/t1/t1", "/T1"])
def test_endpoints_are_not_served_below_another_path(prefix: str) -> None:
    client = WSGIClient(FakeOAuth(Settings(issuer="https://issuer.example/t1")))
    assert client.get(f"{prefix}{DISCOVERY}").status_code == 404


def test_metadata_has_the_path_of_the_issuer_at_the_end() -> None:
    """RFC 8414 section 3.1 puts the well-known part before the path of the issuer."""
    fake = FakeOAuth(Settings(issuer="https://issuer.example/t1", dialect="rfc"))
    path = "/.well-known/oauth-authorization-server"
    document = WSGIClient(fake).get(f"{path}/t1").json
    assert document is not None
    assert document["issuer"] == "https://issuer.example/t1"
    assert WSGIClient(fake).get(f"{path}/t2").status_code == 404


def test_a_fake_can_be_mounted_below_the_path_of_the_issuer() -> None:
    fake = FakeOAuth(Settings(issuer="https://issuer.example/auth"))
    response = WSGIClient(fake).get(DISCOVERY, base_url="https://issuer.example/auth/")
    assert response.status_code == 200
