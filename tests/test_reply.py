"""Replies to the byte: headers, layout, key order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, PreconfiguredRefreshToken, Settings
from fake_oauth.dialects import DIALECTS
from fake_oauth.http.endpoints import ENDPOINTS
from fake_oauth.provider.dialect import pretty_json
from tests.support.client import ask, form

HEADERS = {
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/oauth2/token"),
        ("GET", "/oauth2/token"),
        ("GET", "/oauth2/jwks"),
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/nowhere"),
    ],
)
def test_the_documented_headers_are_on_every_reply(method: str, path: str) -> None:
    response = WSGIClient(FakeOAuth()).open(path, method=method)
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["Content-Length"] == str(len(response.data))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/oauth2/jwks", "application/json"),
        ("/.well-known/openid-configuration", "application/json"),
        ("/nowhere", "application/json;charset=UTF-8"),
    ],
)
def test_the_content_type_is_the_endpoints_own(path: str, content_type: str) -> None:
    assert WSGIClient(FakeOAuth()).get(path).headers["Content-Type"] == content_type


def test_the_date_is_the_clocks() -> None:
    fake = FakeOAuth(Settings(start_time=0, freeze_time=True))
    assert ask(fake).headers["Date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    fake.clock.advance(86400)
    assert ask(fake).headers["Date"] == "Fri, 02 Jan 1970 00:00:00 GMT"


def test_an_error_has_its_members_in_the_documented_order() -> None:
    assert ask(FakeOAuth(), form(grant_type="x")).text == (
        "{\n"
        '  "error" : "unsupported_grant_type",\n'
        '  "error_description" : "OAuth 2.0 Parameter: grant_type",\n'
        '  "error_uri" : "https://datatracker.ietf.org/doc/html/rfc6749#section-5.2"\n'
        "}"
    )


def test_compact_json_is_the_one_line_form() -> None:
    fake = FakeOAuth(Settings(compact_json=True))
    assert ask(fake, form(refresh_token="x")).text == '{"error":"invalid_grant"}'


def test_a_member_that_does_not_apply_is_absent() -> None:
    token = PreconfiguredRefreshToken(value="R", scope="")
    reply = ask(FakeOAuth(Settings(refresh_tokens=[token])), form(refresh_token="R")).json
    assert reply is not None
    assert list(reply) == ["access_token", "refresh_token", "token_type", "expires_in"]


def test_a_key_is_laid_out_as_documented() -> None:
    lines = WSGIClient(FakeOAuth()).get("/oauth2/jwks").text.splitlines()
    assert lines[:4] == ["{", '  "keys" : [ {', '    "kty" : "RSA",', '    "e" : "AQAB",']
    assert lines[-2:] == ["  } ]", "}"]


def test_several_objects_in_an_array_share_lines() -> None:
    data = {"keys": [{"a": 1}, {"b": [{"c": None}]}], "none": {}, "empty": []}
    assert pretty_json(data) == (
        '{\n  "keys" : [ {\n    "a" : 1\n  }, {\n    "b" : [ {\n      "c" : null\n    } ]\n  } ],\n'
        '  "none" : { },\n  "empty" : [ ]\n}'
    )


@given(JSON)
def test_the_layout_changes_nothing_of_what_is_said(data: Any) -> None:
    assert json.loads(pretty_json(data)) == data


def test_discovery_lists_what_is_served() -> None:
    settings = Settings(
        issuer="https://issuer.example/",
        clients=[
            Client(client_id="a", client_secret="s", scopes=["openid", "email"]),
            Client(client_id="b", scopes=["phone"]),
        ],
    )
    client = WSGIClient(FakeOAuth(settings))
    document = client.get("/.well-known/openid-configuration").json
    assert document == {
        "issuer": "https://issuer.example/",
        "authorization_endpoint": "https://issuer.example/oauth2/authorize",
        "token_endpoint": "https://issuer.example/oauth2/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "none",
        ],
        "jwks_uri": "https://issuer.example/oauth2/jwks",
        "response_types_supported": ["code"],
        "grant_types_supported": list(DIALECTS["ciam"].grant_types),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["email", "openid", "phone"],
        "userinfo_endpoint": "https://issuer.example/userinfo",
        "revocation_endpoint": "https://issuer.example/oauth2/revoke",
        "code_challenge_methods_supported": ["S256"],
    }
    urls = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}
    served = {ENDPOINTS[name].metadata: path for name, path in DIALECTS["ciam"].paths.items()}
    served.pop(None)
    assert urls == {name: f"https://issuer.example{path}" for name, path in served.items()}
