"""Whatever is sent to whichever endpoint is answered, and changes nothing for the next one."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client as Browser

from fake_oauth import FakeOAuth, Settings
from fake_oauth.dialects import DIALECTS
from fake_oauth.provider.grants import GRANTS
from tests.support.client import DOCUMENTED, basic

EVIL = "<script>alert(1)</script>"
NAMES = [
    *("grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "scope"),
    *("refresh_token", "username", "password", "auth_source_id", "otp", "otp_token", "email"),
    *("phone_number", "usage", "token", "token_type_hint", "state", "nonce", "response_type"),
    *("code_challenge", "code_challenge_method", "p_state", "sub", "deny", "logout_redirect_uri"),
    *("device_code", "user_code", "allow", "request_uri", "resource", "audience", "assertion"),
    *("client_assertion", "client_assertion_type", "subject_token", "subject_token_type"),
    *("actor_token", "actor_token_type", "requested_token_type", "id_token_hint", "logout_hint"),
    *("post_logout_redirect_uri", "ui_locales", "confirm", "response_mode", "prompt", "max_age"),
    *("login_hint", "dpop_jkt", "access_token", "redirect_uris", "grant_types", "client_name"),
    *("token_endpoint_auth_method", "jwks", "software_statement", "find"),
]
VALUES = [
    *("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET", "https://example.com/callback", "openid", "code"),
    *("MOCK_USERNAME", "MOCK_PASSWORD", "MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID", "S256", "login"),
    *("MOCK_SMS_OTP_AUTH_SOURCE_ID", "13612345678", "signup", "", " ", EVIL, "\ud800", "\0"),
    *("urn:ietf:params:oauth:request_uri:x", "form_post", "fragment", "none", "login", "-1"),
    *("urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "http://127.0.0.1:1/x", "a.b.c"),
    *("urn:ietf:params:oauth:token-type:jwt", "https://api.example/", "private_key_jwt"),
    *GRANTS,
]
names = st.sampled_from(NAMES) | st.text(max_size=5)
values = st.sampled_from(VALUES) | st.text(max_size=10)
parameters = st.lists(st.tuples(names, values), max_size=8)
documents: st.SearchStrategy[Any] = st.dictionaries(names, values | st.integers() | st.none())


def encoded(pairs: list[tuple[str, str]]) -> str:
    return urlencode(pairs, errors="replace")


@pytest.mark.parametrize(
    ("dialect", "name"), [(d, name) for d in DIALECTS for name in DIALECTS[d].paths]
)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"]),
    query=parameters,
    form=parameters,
    document=st.none() | documents,
    authorization=st.sampled_from(
        ["", "Bearer", "Bearer x", "Bearer a.b.c", "DPoP a.b.c", "Basic x", "good"]
    ),
    cookie=st.text(max_size=10) | st.just("fake_oauth=x"),
    proof=st.none() | st.text(max_size=10) | st.sampled_from(["a.b.c", "a.b.c, a.b.c", ","]),
    accept=st.sampled_from(["*/*", "text/html", "text/html;q=0.1, */*;q=0.2", "text/html;q=,"]),
    language=st.none() | st.text(max_size=10) | st.sampled_from(["zh-CN", "en, zh;q=0.5", EVIL]),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_whatever_is_sent_gets_an_answer(
    dialect: str,
    name: str,
    method: str,
    query: list[tuple[str, str]],
    form: list[tuple[str, str]],
    document: Any,
    authorization: str,
    cookie: str,
    proof: str | None,
    accept: str,
    language: str | None,
) -> None:
    fake = FakeOAuth(Settings(dialect=dialect, cors_origins=["*"]))
    headers = {"Cookie": cookie.encode(errors="replace").decode("latin-1"), "Origin": "null"}
    headers["Accept"] = accept
    if language is not None:
        headers["Accept-Language"] = language.encode(errors="replace").decode("latin-1")
    if authorization == "good":
        headers |= basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    elif authorization:
        headers["Authorization"] = authorization
    if proof is not None:
        headers["DPoP"] = proof.encode(errors="replace").decode("latin-1")
    body, kind = encoded(form), "application/x-www-form-urlencoded"
    if document is not None:
        body, kind = json.dumps(document), "application/json"
    response = Browser(fake).open(
        fake.dialect.paths[name],
        method=method,
        query_string=encoded(query),
        data=body,
        content_type=kind,
        headers={key: value for key, value in headers.items() if value.isprintable()},
    )
    assert response.status_code in {200, 201, 302, 400, 401, 403, 404, 405}
    assert "no-store" in response.headers["Cache-Control"]
    assert "<script" not in response.text
    assert "\n" not in response.headers.get("Location", "")
    exchange = fake.journal[-1]
    assert exchange.status == response.status_code
    assert exchange.reason
    assert str(exchange).isprintable()
    again = Browser(fake).post(fake.dialect.paths["token"], data=DOCUMENTED)
    assert again.status_code == 200, "the documented request is as good as before"


def test_nothing_is_redirected_to_a_place_that_is_not_registered() -> None:
    fake = FakeOAuth()
    fake.login()
    for place in ("https://evil.example", "https://example.com", "//evil.example", EVIL):
        for path, name in (
            ("/oauth2/authorize", "redirect_uri"),
            ("/logout", "logout_redirect_uri"),
        ):
            asked = {"client_id": "TENANT_CLIENT_ID", "response_type": "code", name: place}
            response = Browser(fake).get(f"{path}?{urlencode(asked)}")
            assert response.status_code == 400
            assert "Location" not in response.headers
