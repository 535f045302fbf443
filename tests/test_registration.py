"""Clients that make themselves known: they register, or a document describes them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Barrier, Semaphore, Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, SettingsError, faults
from fake_oauth.dialects import DIALECTS, MCP
from fake_oauth.http import documents
from fake_oauth.provider import registration
from fake_oauth.provider.clients import REGISTERED_LIMIT, Clients
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import OAuthError, shown
from fake_oauth.provider.model import ProtectedResource
from fake_oauth.provider.store import Grant
from tests.support.assertions import JWKS, authenticated, signed
from tests.support.assertions import claims as assertion_claims
from tests.support.client import over_socket
from tests.support.contract import jwt_of
from tests.support.realms import NOW, realm

CALLBACK = "https://app.example/callback"
WEB = {"redirect_uris": [CALLBACK]}
PUBLIC = {**WEB, "token_endpoint_auth_method": "none"}
ISSUER = "https://issuer.example"
URL = "https://app.example/client.json"
DOCUMENT = {"client_id": URL, "client_name": "App", **WEB}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
S256 = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


class Site:
    """A server in process, and what a client does there."""

    def __init__(self, **settings: Any) -> None:
        given: dict[str, Any] = {
            "dialect": "mcp",
            "clients": [Client(client_id="web", client_secret="s", scopes=["openid", "a"])],
            "refresh_tokens": [],
            "issuer": ISSUER,
            "seed": 0,
            "start_time": NOW,
            "freeze_time": True,
        }
        self.server = FakeOAuth(Settings(**given | settings))
        self.browser = Browser(self.server)

    def register(self, document: Any = WEB, **options: Any) -> TestResponse:
        return self.browser.post("/register", json=document, **options)

    def registered(self, document: Any = WEB) -> dict[str, Any]:
        response = self.register(document)
        assert response.status_code == 201, response.text
        members: dict[str, Any] = response.get_json()
        return members

    def authorize(self, client_id: str, **query: str) -> TestResponse:
        self.server.login()
        sent = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, **S256}
        return self.browser.get("/authorize", query_string=sent | query)

    def code(self, client_id: str, **query: str) -> str:
        response = self.authorize(client_id, **query)
        assert response.status_code == 302, response.text
        return dict(parse_qsl(urlsplit(response.headers["Location"]).query))["code"]

    def token(self, **form: str) -> TestResponse:
        return self.browser.post("/token", data=form)

    def exchange(self, client_id: str, code: str, **form: str) -> TestResponse:
        code_form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return self.token(client_id=client_id, code_verifier=VERIFIER, **code_form, **form)

    @property
    def reason(self) -> str:
        return str(self.server.journal[-1].reason)


@pytest.fixture
def site() -> Site:
    return Site()


# The registration endpoint


def test_a_client_registers_and_gets_tokens(site: Site) -> None:
    metadata = site.browser.get("/.well-known/oauth-authorization-server").get_json()
    assert metadata["registration_endpoint"] == f"{ISSUER}/register"
    assert metadata["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_jwt",
        "client_secret_post",
        "none",
        "private_key_jwt",
    ]
    response = site.register({**WEB, "scope": "openid a", "client_name": "App", "x": 1})
    assert response.status_code == 201
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    members = response.get_json()
    client_id, secret = members["client_id"], members["client_secret"]
    assert list(members.items()) == [
        ("client_id", client_id),
        ("client_id_issued_at", NOW),
        ("client_secret", secret),
        ("client_secret_expires_at", 0),
        ("redirect_uris", [CALLBACK]),
        ("token_endpoint_auth_method", "client_secret_basic"),
        ("grant_types", ["authorization_code", "refresh_token"]),
        ("response_types", ["code"]),
        ("application_type", "web"),
        ("client_name", "App"),
        ("scope", "openid a"),
    ]
    assert site.reason == (
        f"registered {client_id}: client_secret_basic, authorization_code refresh_token, scope "
        f"'openid a', redirect_uris ['{CALLBACK}']; grant_types not sent, so these are the default "
        "ones"
    )
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    form |= {"code": site.code(client_id, scope="openid offline_access"), "code_verifier": VERIFIER}
    got = site.browser.post("/token", data=form, auth=(client_id, secret))
    assert got.status_code == 200, got.text
    refresh = {"grant_type": "refresh_token", "refresh_token": got.get_json()["refresh_token"]}
    assert site.browser.post("/token", data=refresh, auth=(client_id, "x")).status_code == 401
    assert site.browser.post("/token", data=refresh, auth=(client_id, secret)).status_code == 200
    # It registered for one method, and not for the other.
    both = {"client_id": client_id, "client_secret": secret}
    assert site.token(**refresh, **both).get_json()["error"] == "invalid_client"
    assert site.reason.endswith("not registered for client_secret_post")


def test_a_public_client_gets_no_secret(site: Site) -> None:
    members = site.registered(PUBLIC)
    assert not {"client_secret", "client_secret_expires_at"} & members.keys()
    client_id = members["client_id"]
    assert site.exchange(client_id, site.code(client_id)).status_code == 200
    assert site.token(grant_type="client_credentials", client_id=client_id).status_code == 400


def test_the_same_seed_makes_the_same_clients() -> None:
    first, second, other = (Site(seed=seed).registered() for seed in (1, 1, 2))
    assert first == second
    assert first["client_id"] != other["client_id"]
    assert first["client_secret"] != other["client_secret"]
    given = Site(ids={"client_id": ["c1"], "client_secret": ["s1"]}).registered()
    assert (given["client_id"], given["client_secret"]) == ("c1", "s1")


def test_a_client_that_registers_no_scope_can_have_every_scope_that_is_known() -> None:
    resource = ProtectedResource(path="/files", scopes=["files:read"], scope="files:write a")
    scope = Site(resources=[resource]).registered()["scope"]
    assert scope == "openid profile email address phone offline_access a files:read files:write"


def test_a_registered_client_steps_up_to_other_scopes() -> None:
    site = Site()
    client_id = site.registered({**PUBLIC, "scope": "a"})["client_id"]
    code = site.code(client_id, scope="a files:write")
    assert site.exchange(client_id, code).get_json()["scope"] == "a files:write"


class Strict(MCP):
    """A server that limits a client to the scopes of its registration."""

    limits_registered_scopes = True


def test_a_dialect_can_limit_a_registered_client_to_its_scopes() -> None:
    site = Site(dialect=Strict)
    client_id = site.registered({**PUBLIC, "scope": "a"})["client_id"]
    code = site.code(client_id, scope="a files:write")
    assert site.exchange(client_id, code).get_json()["scope"] == "a"


def test_a_client_of_the_settings_is_limited_to_its_scopes() -> None:
    phone = Client(client_id="phone", scopes=["a"], redirect_uris=[CALLBACK])
    site = Site(clients=[phone])
    code = site.code("phone", scope="a files:write")
    assert site.exchange("phone", code).get_json()["scope"] == "a"


@pytest.mark.parametrize(
    ("dialect", "grant_types"),
    [
        ("mcp", ["authorization_code", "refresh_token"]),
        ("rfc", ["authorization_code"]),
    ],
)
def test_the_dialect_decides_which_grant_types_are_the_default(
    dialect: str, grant_types: list[str]
) -> None:
    site = Site(dialect=dialect, register_clients=True)
    assert site.registered()["grant_types"] == grant_types
    own = {"grant_types": ["client_credentials"], "scope": "a"}
    members = site.registered(own)
    assert members["response_types"] == []
    assert "default" not in site.reason
    form = {"grant_type": "client_credentials"}
    auth = (members["client_id"], members["client_secret"])
    assert site.browser.post("/token", data=form, auth=auth).status_code == 200
    form = {"grant_type": "password", "username": "x", "password": "x"}
    refused = site.browser.post("/token", data=form, auth=auth).get_json()
    assert refused["error"] == "unauthorized_client"


def test_members_that_are_understood_are_returned_as_they_were_sent(site: Site) -> None:
    document: dict[str, Any] = {
        "redirect_uris": ["http://127.0.0.1:4000", "com.example.app:/cb", "https://[::1]/?a=b"],
        "post_logout_redirect_uris": ["https://app.example/bye"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "application_type": "native",
        "client_name": "Ä",
        "client_uri": "https://app.example",
        "logo_uri": "https://app.example/logo",
        "scope": "openid",
        "contacts": ["a@app.example"],
        "tos_uri": "https://app.example/tos",
        "policy_uri": "https://app.example/policy",
        "jwks": {"keys": []},
        "software_id": "s",
        "software_version": "1",
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
    }
    unknown = {
        "client_name#ja": "x",
        "client_id": "mine",
        "client_secret": "mine",
        "jwks_uri": None,
    }
    members = site.registered({**document, **unknown})
    assert {name: members[name] for name in document} == document
    assert members.keys() - document.keys() == {"client_id", "client_id_issued_at"}
    assert members["client_id"] != "mine"
    (client,) = site.server.registered_clients
    assert (client.name, client.redirect_uris) == ("Ä", tuple(document["redirect_uris"]))
    assert client.logout_redirect_uris == ("https://app.example/bye",)
    assert client.require_pushed_authorization_requests
    # The application type is the one that the redirect URIs need.
    for uri, kind in ((CALLBACK, "web"), ("http://x.example", "web"), ("app:/x", "native")):
        assert site.registered({"redirect_uris": [uri]})["application_type"] == kind


REDIRECT_URIS: list[Any] = [
    None,
    [],
    {},
    "https://app.example",
    [""],
    [" "],
    [1],
    ["/callback"],
    ["https://app.example/#x"],
    ["https://user@app.example/"],
    ["https://app.example/ x"],
    ["https://app.example\\@evil.example/"],
    ["https://äpp.example/"],
    ["https://[::1"],
    ["https://[1::2::3]/"],
    ["https:app.example"],
    ["http:/x"],
    ["javascript:alert(1)"],
    ["JavaScript:alert(1)"],
    ["data:text/html,x"],
    ["vbscript:x"],
    ["a b:c"],
    ["app:/x#y"],
    ["app:"],
    [CALLBACK, "x"],
]


@pytest.mark.parametrize("uris", REDIRECT_URIS, ids=repr)
def test_a_redirect_uri_that_cannot_be_used_is_refused(uris: Any) -> None:
    with pytest.raises(OAuthError) as caught:
        registration.register(realm(dialect=MCP()), {"redirect_uris": uris})
    code, description, reason = response_to_error(caught.value)
    assert code == "invalid_redirect_uri"
    assert description == "A redirect URI is missing, malformed, or not allowed"
    assert "redirect_uris" in reason


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("app:/x", "web"),
        ("http://app.example/", "native"),
        ("http://localhost.example/", "native"),
    ],
)
def test_a_redirect_uri_of_another_application_type_is_refused(uri: str, kind: str) -> None:
    with pytest.raises(OAuthError, match="application") as caught:
        registration.register(
            realm(dialect=MCP()), {"redirect_uris": [uri], "application_type": kind}
        )
    assert caught.value.code == "invalid_redirect_uri"


def test_a_native_application_has_its_scheme_this_machine_or_https(site: Site) -> None:
    uris = ["app:/x", "http://LOCALHOST/x", "http://127.0.0.2:1/x", "http://[::1]/", CALLBACK]
    document = {"redirect_uris": uris, "application_type": "native"}
    assert site.registered(document)["redirect_uris"] == uris


def response_to_error(error: OAuthError) -> tuple[str | None, str | None, str]:
    members = DIALECTS["mcp"].error(error).members
    return members.get("error"), members.get("error_description"), error.reason


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("token_endpoint_auth_method", "private", "'private' is not one of none, private_key_jwt,"),
        ("token_endpoint_auth_method", ["none"], "['none'] is not a string that is not blank"),
        ("token_endpoint_auth_method", "", "'' is not a string"),
        ("grant_types", "code", "'code' is not a list of strings"),
        ("grant_types", ["implicit"], "grant type 'implicit' is not served; served: authorization"),
        ("response_types", ["token"], "response type 'token' is not code"),
        ("response_types", [], "need each other"),
        ("application_type", "tv", "'tv' is not one of web, native"),
        ("client_name", 7, "client_name 7 is not a string"),
        ("contacts", "a@b.c", "contacts 'a@b.c' is not a list"),
        ("scope", "a  b", "scope 'a  b' is not words with one space between them"),
        ("scope", 'a"', "is not words"),
        ("scope", ["a"], "scope ['a'] is not a string"),
        ("jwks", [], "jwks [] is not an object"),
        ("jwks", {"a": float("inf")}, "is not an object"),
        ("logo_uri", {}, "logo_uri {} is not a string"),
        ("post_logout_redirect_uris", ["/bye"], "'/bye' is not an absolute URI"),
        ("dpop_bound_access_tokens", 1, "dpop_bound_access_tokens 1 is not true or false"),
    ],
)
def test_metadata_that_cannot_be_used_are_refused(member: str, value: Any, reason: str) -> None:
    with pytest.raises(OAuthError) as caught:
        registration.register(realm(dialect=MCP()), {**WEB, member: value})
    code, description, found = response_to_error(caught.value)
    assert code == "invalid_client_metadata"
    assert description == f"{member} is missing, malformed, or not supported"
    assert reason in found


def test_a_client_can_register_its_keys(site: Site) -> None:
    document = {**WEB, "token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS}
    members = site.registered(document)
    assert "client_secret" not in members
    client_id = members["client_id"]
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    form |= {"code": site.code(client_id), "code_verifier": VERIFIER}
    assert site.token(**form, client_id=client_id).get_json()["error"] == "invalid_client"
    response = site.token(**form, **authenticated(signed(assertion_claims(client_id))))
    assert response.status_code == 200, response.text
    # The keys of a client with another method are not used.
    client_id = site.registered({**PUBLIC, "jwks": JWKS})["client_id"]
    assert site.exchange(client_id, site.code(client_id)).status_code == 200
    for name, value, reason in (
        ("jwks_uri", "https://app.example/jwks", "needs jwks; a jwks_uri is not fetched"),
        ("jwks", {"keys": [{}]}, "jwks.keys[0]"),
    ):
        document = {**WEB, "token_endpoint_auth_method": "private_key_jwt", name: value}
        assert site.register(document).get_json()["error"] == "invalid_client_metadata"
        assert reason in site.reason


def test_a_client_can_sign_with_its_secret(site: Site) -> None:
    members = site.registered({**WEB, "token_endpoint_auth_method": "client_secret_jwt"})
    assertion = signed(assertion_claims(members["client_id"]), members["client_secret"], "HS512")
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    refused = site.token(**form, **authenticated(assertion)).get_json()
    assert refused["error"] == "invalid_grant", site.reason


def test_a_client_can_bind_its_tokens_to_a_key(site: Site) -> None:
    client_id = site.registered({**PUBLIC, "dpop_bound_access_tokens": True})["client_id"]
    response = site.exchange(client_id, site.code(client_id))
    assert response.get_json()["error"] == "invalid_dpop_proof"
    ciam = Site(dialect="ciam", register_clients=True)
    for name in ("dpop_bound_access_tokens", "require_pushed_authorization_requests"):
        response = ciam.register({**PUBLIC, name: True})
        assert response.get_json()["error"] == "invalid_client_metadata"
        assert ciam.reason == f"{name} is not served by ciam"


def test_a_client_can_promise_to_push_its_requests(site: Site) -> None:
    document = {**PUBLIC, "require_pushed_authorization_requests": True}
    client_id = site.registered(document)["client_id"]
    location = site.authorize(client_id).headers["Location"]
    assert dict(parse_qsl(urlsplit(location).query))["error"] == "invalid_request"
    assert site.reason == f"client {client_id} has to push its authorization requests"


def test_a_dialect_that_reads_no_assertions_registers_no_client_for_them() -> None:
    site = Site(dialect="ciam", register_clients=True, read_client_documents=True)
    document = {**WEB, "token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS}
    assert site.register(document).get_json()["error"] == "invalid_client_metadata"
    assert site.reason.endswith("is not one of none, client_secret_basic, client_secret_post")


def test_contradictions_are_refused(site: Site) -> None:
    both = {**WEB, "jwks": {"keys": []}, "jwks_uri": "https://app.example/jwks"}
    assert site.register(both).get_json()["error"] == "invalid_client_metadata"
    assert site.reason == "jwks and jwks_uri together (RFC 7591 section 2)"
    code_only = {**WEB, "grant_types": ["client_credentials"], "response_types": ["code"]}
    assert site.register(code_only).get_json()["error"] == "invalid_client_metadata"
    assert site.server.registered_clients == ()


def test_a_body_that_is_not_client_metadata_is_refused(site: Site) -> None:
    for body, reason in (
        (b"", "the body is not JSON"),
        (b"{", "body is not a JSON object"),
        (b"[]", "body is not a JSON object"),
        (b'"x"', "body is not a JSON object"),
        (b"\xff", "body is not a JSON object"),
        (b"[" * 60_000, "body is not a JSON object"),
        (b'{"jwks":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "body is not a JSON object"),
        (b'{"a":NaN}', "NaN is not a JSON number"),
        (b"x" * 66_000, "body over 65536 bytes"),
        (json.dumps({f"m{n}": 1 for n in range(101)}).encode(), "over 100 parameters"),
        (b'{"client_id":"a","client_id":"b"}', "client_id sent 2 times"),
    ):
        response = site.browser.post("/register", data=body, content_type="application/json")
        assert response.status_code == 400, body[:20]
        assert response.get_json() == {
            "error": "invalid_client_metadata",
            "error_description": "The request body is missing, malformed, or not supported",
        }
        assert reason in site.reason
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        response = site.browser.post("/register", data=b"a=b", content_type=kind)
        assert response.get_json()["error"] == "invalid_client_metadata"
        assert site.reason == f"the Content-Type is {kind or 'missing'}, not application/json"
    with pytest.raises(OAuthError, match=r"not a JSON object, but \[\]"):
        registration.register(realm(dialect=MCP()), [])
    assert site.browser.get("/register").status_code == 405


def test_huge_metadata_make_short_reasons(site: Site) -> None:
    uris = [f"{CALLBACK}/{n}" for n in range(1500)]
    assert site.registered({"redirect_uris": uris})["redirect_uris"] == uris
    assert len(site.reason) < 800
    site.register({**WEB, "client_uri": ["x" * 5000] * 5})
    assert len(site.reason) < 800
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert len(shown(deep)) < 100


# Software statements


def statement(header: Any = None, **claims: Any) -> str:
    return jwt_of({"iss": "https://vendor.example", **claims}, header or {"alg": "RS256"})


def test_the_claims_of_a_software_statement_take_precedence(site: Site) -> None:
    value = statement(client_name="Vendor", exp=NOW + 1)
    members = site.registered({**WEB, "client_name": "Mine", "software_statement": value})
    assert members["client_name"] == "Vendor"
    assert members["software_statement"] == value
    assert members["redirect_uris"] == [CALLBACK]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (7, "not a JWT: not three segments"),
        ("a.b.c", "not a JWT"),
        (statement({"alg": "None"}), "not signed"),
        (statement({"alg": 1}), "not signed"),
        (statement(iss=None), "no iss"),
        (statement(exp=NOW), f"exp {NOW} is not in the future"),
        (statement(exp="soon"), "exp 'soon' is not in the future"),
    ],
)
def test_a_software_statement_that_cannot_be_used_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(OAuthError) as caught:
        registration.register(realm(dialect=MCP()), {**WEB, "software_statement": value})
    code, description, found = response_to_error(caught.value)
    assert code == "invalid_software_statement"
    assert description == "The software statement is malformed, unsigned, or expired"
    assert found.startswith(f"software_statement: {reason}")


# The initial access token


def test_a_registration_can_require_an_initial_access_token() -> None:
    site = Site(registration_token="t0k3n")
    for header, challenge, reason in (
        (None, 'Bearer realm="fake_oauth"', "no initial access token"),
        ("Basic dDp0", 'Bearer realm="fake_oauth"', "no initial access token"),
        (
            "Bearer other",
            'Bearer realm="fake_oauth", error="invalid_token", error_description="The initial '
            'access token is not accepted"',
            "the initial access token does not match",
        ),
    ):
        headers = {} if header is None else {"Authorization": header}
        response = site.register(headers=headers)
        assert (response.status_code, response.data) == (401, b"")
        assert response.headers["WWW-Authenticate"] == challenge
        assert site.reason == reason
    assert site.register(headers={"Authorization": "Bearer t0k3n"}).status_code == 201
    # Without the setting, any token will do.
    assert Site().register(headers={"Authorization": "Bearer x"}).status_code == 201


# How long a client is known


def test_a_registration_expires(site: Site) -> None:
    site = Site(registration_seconds=60)
    members = site.registered()
    assert members["client_secret_expires_at"] == NOW + 60
    auth = (members["client_id"], members["client_secret"])
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    site.server.clock.advance(59)
    assert site.browser.post("/token", data=form, auth=auth).status_code == 400
    assert [client.client_id for client in site.server.registered_clients] == [auth[0]]
    site.server.clock.advance(1)
    response = site.browser.post("/token", data=form, auth=auth)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")
    assert site.reason == f"client {auth[0]} unknown: its registration expired 0 s ago"
    assert site.server.registered_clients == ()
    assert site.authorize(auth[0]).status_code == 400
    with pytest.raises(FakeOAuthError, match="; no client has registered"):
        site.server.forget_client(auth[0])
    known = site.registered()["client_id"]
    with pytest.raises(FakeOAuthError, match=f"unknown client 'x'; expected one of '{known}'"):
        site.server.forget_client("x")


def test_a_forgotten_client_must_register_again(site: Site) -> None:
    client_id = site.registered(PUBLIC)["client_id"]
    code = site.code(client_id)
    site.server.forget_client(client_id)
    response = site.exchange(client_id, code)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")
    assert site.reason == f"client {client_id} unknown: its registration was forgotten"
    again = site.registered(PUBLIC)["client_id"]
    assert again != client_id
    assert site.exchange(again, site.code(again)).status_code == 200
    for name, message in (
        (client_id, "unknown client"),
        ("web", "forget_client: client 'web' is in the settings; call replace_clients"),
    ):
        with pytest.raises(FakeOAuthError, match=message):
            site.server.forget_client(name)


def test_a_client_is_forgotten_during_a_login(site: Site) -> None:
    client_id = site.registered(PUBLIC)["client_id"]
    query = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, **S256}
    page = site.browser.get("/authorize", query_string=query)
    p_state = dict(parse_qsl(urlsplit(page.headers["Location"]).query))["p_state"]
    site.server.forget_client(client_id)
    form = {"p_state": p_state, "username": "MOCK_USERNAME", "password": "MOCK_PASSWORD"}
    assert site.browser.post("/login", data=form).status_code == 400
    assert site.reason == f"client {client_id} was removed"


def test_replaced_clients_leave_the_registered_ones(site: Site) -> None:
    client_id = site.registered(PUBLIC)["client_id"]
    site.server.replace_clients([Client(client_id="other")])
    assert [client.client_id for client in site.server.registered_clients] == [client_id]
    assert site.exchange(client_id, site.code(client_id)).status_code == 200
    site.server.replace_clients([Client(client_id=client_id, enabled=False)])
    assert site.server.registered_clients == ()
    assert site.authorize(client_id).status_code == 400
    assert site.reason == f"client {client_id} disabled"
    site.server.reset()
    assert site.server.registered_clients == ()


def test_only_the_latest_clients_are_known() -> None:
    made = realm(dialect=MCP())
    ids = [registration.register(made, WEB)[0]["client_id"] for _ in range(REGISTERED_LIMIT + 2)]
    assert list(made.clients) == ["web", "phone", *ids[2:]]
    assert len(made.clients) == 2 + REGISTERED_LIMIT
    absence = made.clients.absence(ids[1])
    assert absence == f"client {ids[1]} unknown: forgotten after {REGISTERED_LIMIT} later ones"
    # A request of a forgotten client may be running.
    grant = Grant(name="x/1", client_id=ids[0], sub="u-alice", scopes=(), is_users=True)
    assert made.owner(grant).redirect_uris == (CALLBACK,)
    assert made.terms(made.owner(grant)) == made.dialect.terms
    for _ in range(200):
        registration.register(made, WEB)
    assert made.owner(grant) == Client(client_id=ids[0])
    assert made.clients.absence(None) == "client None unknown"


def test_what_is_counted_of_a_client_is_forgotten_with_it(site: Site) -> None:
    document = {"grant_types": ["client_credentials"]}
    members = site.registered(document)
    auth = (members["client_id"], members["client_secret"])
    site.browser.post("/token", data={"grant_type": "client_credentials"}, auth=auth)
    logins = site.server._realm.store._logins
    assert logins == {f"{auth[0]}/": 1}
    site.server.forget_client(auth[0])
    assert not logins


def test_a_client_that_registers_again_is_the_latest() -> None:
    clients = Clients(Clock(NOW, frozen=True))
    for name in ("a", "b", "a"):
        assert clients.register(Client(client_id=name)) is None
    assert list(clients) == ["b", "a"]
    assert clients.forget("c", "x") is None
    # A client of the settings takes precedence.
    clients.replace([Client(client_id="b", name="B")])
    assert [client.name for client in clients.values()] == ["B", None]
    clients.replace([])
    assert clients["b"].name is None


def test_32_threads_register_32_clients() -> None:
    with FakeOAuth(Settings(dialect="mcp")) as server:
        together = Barrier(32)

        def register(number: int) -> tuple[str, str]:
            together.wait(20)
            document = {**WEB, "client_name": str(number)}
            members = httpx.post(server.url_of("register"), json=document, timeout=20).json()
            return members["client_id"], members["client_secret"]

        with ThreadPoolExecutor(32) as pool:
            made = list(pool.map(register, range(32)))
        assert len(set(made)) == len({client_id for client_id, _ in made}) == 32
        clients = {client.client_id: client for client in server.registered_clients}
        for number, (client_id, secret) in enumerate(made):
            assert clients[client_id].name == str(number)
            assert clients[client_id].client_secret == secret


# Settings, faults, and the control API


def test_a_setting_serves_the_endpoint_or_not() -> None:
    for dialect, chosen, is_served in (
        ("mcp", None, True),
        ("mcp", False, False),
        ("rfc", None, False),
        ("rfc", True, True),
        ("ciam", None, False),
        ("ciam", True, True),
    ):
        site = Site(dialect=dialect, register_clients=chosen)
        assert site.register().status_code == (201 if is_served else 404)
        is_listed = "registration_endpoint" in site.server.metadata()
        assert is_listed == is_served
    with FakeOAuth(Settings(dialect="rfc", register_clients=True)) as server:
        assert server.url_of("register") == f"{server.url}/register"
    server = FakeOAuth(Settings(dialect="mcp", register_clients=False))
    with server, pytest.raises(FakeOAuthError, match="does not serve 'register'"):
        server.url_of("register")


def test_settings_with_problems_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(
            Settings(
                registration_token=" ",
                registration_seconds=0,
                client_documents={"https://app.example": {}, URL: {"a": float("nan")}},
                resources=[ProtectedResource(path="/register")],
                register_clients=True,
            )
        )
    assert [str(problem) for problem in caught.value.problems] == [
        "$.resources[0].path: /register is the path of an endpoint of the dialect; use another",
        "$.registration_seconds: expected at least 1 second, got 0",
        "$.registration_token: blank; leave it out for registration without a token",
        "$.client_documents: the server reads no client documents; set read_client_documents",
        "$.client_documents: expected an http or https URL with a path, without user and fragment, "
        "got 'https://app.example'",
        f"$.client_documents.{URL}.a: JSON cannot represent nan",
    ]
    unserved: dict[str, Any] = {"registration_token": "x", "registration_seconds": 5}
    for name, value in unserved.items():
        with pytest.raises(SettingsError, match=rf"{name}: the server registers no clients; set"):
            FakeOAuth(Settings(dialect="rfc").changed(**{name: value}))
    with pytest.raises(SettingsError, match=r"endpoint: unknown name 'register'"):
        FakeOAuth(
            Settings(dialect="rfc", faults=[faults.Rule(faults.EmptyBody(), endpoint="register")])
        )


def test_settings_files_have_documents(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(
        f"""
dialect = "rfc"
read_client_documents = true
register_clients = true
registration_seconds = 60
registration_token = "x"

[client_documents."{URL}"]
client_id = "{URL}"
client_name = "App"
redirect_uris = ["{CALLBACK}"]
""",
        encoding="utf-8",
    )
    settings = Settings.from_toml(path)
    assert settings.registration.documents == {URL: DOCUMENT}
    assert (settings.registration.token, settings.registration.seconds) == ("x", 60)


def test_faults_apply_to_the_endpoint_and_to_registered_clients(site: Site) -> None:
    error = faults.Status(500)
    site.server.script(
        faults.Rule(error, endpoint="register"),
        faults.Rule(faults.MissingField("client_secret_expires_at"), endpoint="register"),
        faults.Rule(faults.Field("token_endpoint_auth_method", "tls"), endpoint="register"),
    )
    assert site.register().status_code == 500
    assert "client_secret_expires_at" not in site.registered()
    assert site.registered()["token_endpoint_auth_method"] == "tls"
    client_id = site.registered(PUBLIC)["client_id"]
    site.server.barrier(1, client_id=client_id)
    site.server.script(faults.Rule(error, endpoint="token", client_id=client_id))
    site.server.replace_clients([])
    assert site.exchange(client_id, site.code(client_id)).status_code == 500
    with pytest.raises(SettingsError, match="client_id: unknown name 'nobody'"):
        site.server.script(faults.Rule(error, endpoint="token", client_id="nobody"))


def test_the_control_api_lists_and_forgets_registered_clients() -> None:
    site = Site(control=True)
    assert site.browser.get("/_fake/registered_clients").get_json() == {"clients": []}
    client_id = site.registered(PUBLIC)["client_id"]
    (client,) = site.browser.get("/_fake/registered_clients").get_json()["clients"]
    assert client["client_id"] == client_id
    assert client["redirect_uris"] == [CALLBACK]
    response = site.browser.post("/_fake/forget_client", json={"client_id": client_id})
    assert response.status_code == 200
    assert site.browser.get("/_fake/registered_clients").get_json() == {"clients": []}
    response = site.browser.post("/_fake/forget_client", json={"client_id": client_id})
    assert response.status_code == 400


def test_the_login_page_names_the_client(site: Site) -> None:
    client_id = site.registered({**PUBLIC, "client_name": "<App>"})["client_id"]
    nameless = site.registered(PUBLIC)["client_id"]
    for name, text in (
        (client_id, f"<strong>&lt;App&gt;</strong> (<code>{client_id}</code>)"),
        (nameless, f"to <code>{nameless}</code>"),
    ):
        query = {"response_type": "code", "client_id": name, "redirect_uri": CALLBACK, **S256}
        found = site.browser.get("/authorize", query_string=query).headers["Location"]
        assert text in site.browser.get(found.removeprefix(ISSUER)).text
    with pytest.raises(SettingsError, match="name: blank; leave it out"):
        FakeOAuth(Settings(clients=[Client(client_id="web", name=" ")], refresh_tokens=[]))


# Client ID Metadata Documents


def test_a_document_describes_a_client() -> None:
    site = Site(client_documents={URL: DOCUMENT})
    assert site.server.metadata()["client_id_metadata_document_supported"] is True
    code = site.code(URL, scope="openid offline_access")
    tokens = site.exchange(URL, code)
    assert tokens.status_code == 200, tokens.text
    refresh_token = tokens.get_json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": URL}
    assert site.token(**form).status_code == 200
    (client,) = site.server.registered_clients
    assert (client.client_id, client.name, client.is_public) == (URL, "App", True)
    assert site.authorize(URL, redirect_uri="https://evil.example/").status_code == 400
    # Until its next authorization request, a forgotten client is unknown.
    site.server.forget_client(URL)
    refused = site.exchange(URL, "x")
    assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_client")
    assert site.exchange(URL, site.code(URL)).status_code == 200


def test_a_setting_reads_documents_or_not() -> None:
    for dialect, chosen, reads in (
        ("mcp", None, True),
        ("mcp", False, False),
        ("rfc", None, False),
        ("rfc", True, True),
    ):
        site = Site(dialect=dialect, read_client_documents=chosen)
        member = "client_id_metadata_document_supported"
        assert site.server.metadata().get(member) == (reads or None)
        assert (
            "none" in site.server.metadata()["token_endpoint_auth_methods_supported"]
        ) == reads or (dialect == "mcp")
        site.authorize(URL)
        known = f"cannot read '{URL}': only http and https URLs of 127.0.0.0/8"
        assert site.reason.startswith(known if reads else f"client {URL} unknown")


def test_a_client_of_the_settings_takes_precedence() -> None:
    client = Client(client_id=URL, redirect_uris=["https://own.example/"])
    site = Site(clients=[client], client_documents={URL: DOCUMENT})
    assert site.authorize(URL).status_code == 400
    assert site.authorize(URL, redirect_uri="https://own.example/").status_code == 302
    # Its document is not even read.
    site = Site(clients=[client])
    assert site.authorize(URL, redirect_uri="https://own.example/").status_code == 302


@pytest.mark.parametrize(
    ("changes", "member", "reason"),
    [
        ({"client_id": "https://app.example/other"}, "client_id", "is not its URL"),
        ({"client_id": None}, "client_id", "client_id None is not its URL"),
        ({"client_secret": "s"}, "client_secret", "the document has client_secret"),
        ({"client_secret_expires_at": 0}, "client_secret_expires_at", "the document has client_s"),
        ({"client_name": None}, "client_name", "the document has no client_name"),
        ({"redirect_uris": None}, "redirect_uris", "redirect_uris missing"),
        (
            {"token_endpoint_auth_method": "client_secret_basic"},
            "token_endpoint_auth_method",
            "'client_secret_basic' is not one of none, private_key_jwt",
        ),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(
    changes: Mapping[str, Any], member: str, reason: str
) -> None:
    site = Site(client_documents={URL: {**DOCUMENT, **changes}})
    response = site.authorize(URL)
    assert response.status_code == 400
    assert "WWW-Authenticate" not in response.headers
    assert response.get_json() == {
        "error": "invalid_client_metadata",
        "error_description": f"{member} in the document of the client is missing or not allowed",
    }
    assert reason in site.reason
    assert site.server.registered_clients == ()


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example",
        "https://app.example/",
        "https://user@app.example/x",
        "https://app.example/x#y",
        "https://app.example/./x",
        "https://app.example/a/..",
        "https://app.example/%2E%2e/x",
        "https://app.example/a b",
        "https:///x",
    ],
)
def test_not_every_url_can_have_a_document(site: Site, url: str) -> None:
    assert not registration.is_document_url(url)
    response = site.authorize(url)
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_client")
    assert "is not the URL of a document" in site.reason


def test_a_realm_without_a_transport_fetches_nothing() -> None:
    made = realm(dialect=MCP())
    assert not made.registration.reads_documents
    registration.described(made, URL)
    assert URL not in made.clients
    with pytest.raises(ValueError, match="fetches nothing"):
        made.fetch(URL)


# Fetching documents


Serve = Callable[[socket.socket], object]


@contextmanager
def server_that(serve: Serve, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve one connection after the other, with whatever a function does there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with closing(connection), suppress(OSError):
                    serve(connection)

        thread = Thread(target=run, daemon=True)
        thread.start()
        shown_host = f"[{host}]" if ":" in host else host
        yield f"http://{shown_host}:{listener.getsockname()[1]}/client.json"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)
    assert not thread.is_alive()


def responding(body: bytes, *, status: str = "200 OK", headers: str = "") -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        connection.sendall(head.encode() + body)

    return serve


def test_a_document_is_fetched_from_this_machine() -> None:
    asked: list[bytes] = []
    content: dict[str, Any] = {}

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        body = json.dumps(content).encode()
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\n" + body)

    site = Site()
    with server_that(serve) as url:
        content |= {**DOCUMENT, "client_id": url}
        assert site.exchange(url, site.code(url)).status_code == 200
        authority = urlsplit(url).netloc
        assert asked == [
            f"GET /client.json HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\n"
            "Connection: close\r\n\r\n".encode()
        ]
        # A document is read again for each authorization request.
        content["redirect_uris"] = ["https://moved.example/"]
        assert site.authorize(url).status_code == 400
        assert site.authorize(url, redirect_uri="https://moved.example/").status_code == 302
        content["client_id"] = "x"
        assert site.authorize(url, redirect_uri="https://moved.example/").status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_has_several_addresses(host: str) -> None:
    with server_that(responding(b"{}"), host) as url:
        assert documents.fetch(url) == b"{}"
        port = urlsplit(url).port
        if host != "127.9.9.9":
            # Both addresses of localhost are tried, and no name is looked up.
            assert documents.fetch(f"http://localhost:{port}/x?y=z") == b"{}"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "https://10.0.0.1/x",
        "http://169.254.169.254/x",
        "http://0.0.0.0/x",
        "http://0/x",
        "http://2130706433/x",
        "http://127.1/x",
        "http://0x7f.0.0.1/x",
        "http://127.0.0.1.example/x",
        "http://localhost.example/x",
        "http://LOCALHOST.example/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://[::]/x",
        "http://127.0.0.1@example.com/x",
        "http://example.com@127.0.0.1/x",
        "http://127.0.0.1:80@example.com/x",
        "http://127.0.0.1\\@example.com/x",
        "http://127.0.0.1#@example.com/x",
        "http://127.0.0.1/x\r\nHost: y",
        "http://127.0.0.1/x y",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
    ],
)
def test_no_other_address_is_ever_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    with pytest.raises(ValueError, match=r"only http and https URLs of 127\.0\.0\.0/8"):
        documents.fetch(url)


@pytest.mark.parametrize("url", ["http://127.0.0.999/x", "http://127.0.0.1:65536/x"])
def test_an_address_must_exist(url: str) -> None:
    with pytest.raises(ValueError, match=r"999|65536"):
        documents.fetch(url)


@pytest.mark.parametrize(
    ("serve", "error", "reason"),
    [
        (
            responding(b"", status="302 Found", headers="Location: http://127.0.0.1:1/x\r\n"),
            "invalid_client",
            "the status is 302, not 200",
        ),
        (responding(b"{}", status="404 Not Found"), "invalid_client", "the status is 404, not 200"),
        (responding(b"{}", status="201 Created"), "invalid_client", "the status is 201, not 200"),
        (
            responding(b"x" * 5121),
            "invalid_client",
            "the document is larger than 5120 bytes",
        ),
        (
            responding(b"{}", headers="Content-Encoding: gzip\r\n"),
            "invalid_client",
            "the document is encoded: gzip",
        ),
        (
            responding(b"{}", headers="X: " + "y" * 70_000 + "\r\n"),
            "invalid_client",
            "not a response in HTTP",
        ),
        (lambda c: c.sendall(b"SSH-2.0-x\r\n\r\n"), "invalid_client", "not a response in HTTP"),
        (lambda c: c.recv(65536), "invalid_client", "not a response in HTTP"),
        (
            lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
            "invalid_client",
            "cannot read",
        ),
        (responding(b"<p>"), "invalid_client_metadata", "is not a JSON object"),
        (responding(b"[]"), "invalid_client_metadata", "is not a JSON object"),
        (responding(b"\xff"), "invalid_client_metadata", "is not a JSON object"),
        (responding(b"[" * 5000), "invalid_client_metadata", "is not a JSON object"),
    ],
)
def test_a_hostile_server_of_a_document_is_refused(
    site: Site, serve: Serve, error: str, reason: str
) -> None:
    with server_that(serve) as url:
        response = site.authorize(url)
    assert (response.status_code, response.get_json()["error"]) == (400, error)
    assert reason in site.reason
    assert site.server.registered_clients == ()


def test_nothing_listens(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        assert site.authorize(f"http://{host}:{port}/x").status_code == 400
        assert "refused" in site.reason


def test_a_slow_document_is_given_up() -> None:
    assert documents.TIMEOUT_SECONDS <= 5

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" ")

    def stay_silent(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.recv(1)

    message = r"no complete response within 0\.05 s"
    with server_that(stay_silent) as url, pytest.raises(TimeoutError, match=message):
        documents.fetch(url, timeout_seconds=0.05)
    with server_that(trickle) as url, pytest.raises(ValueError, match="larger than 5120"):
        documents.fetch(url, timeout_seconds=20)
    # The time is that of the whole response, also of one that goes on and on.
    with pytest.raises(TimeoutError):
        documents.fetch(url, timeout_seconds=0)


def test_a_response_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(documents, "monotonic", lambda: next(seconds))

    def promise(connection: socket.socket) -> None:
        for _ in range(10_000):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with server_that(promise) as url, pytest.raises(TimeoutError, match="within 4 s"):
        documents.fetch(url, timeout_seconds=4)


def test_a_document_can_be_served_with_any_certificate() -> None:
    with FakeOAuth(Settings(dialect="rfc", tls=True)) as host:
        assert json.loads(documents.fetch(host.url_of("jwks")))["keys"]
        plain = host.url_of("jwks").replace("https", "http")
        with pytest.raises((OSError, ValueError)):
            documents.fetch(plain)
    with server_that(responding(b"{}")) as url, pytest.raises(OSError, match="SSL"):
        documents.fetch(url.replace("http", "https"))


def test_a_server_can_be_asked_for_its_own_documents() -> None:
    with FakeOAuth(Settings(dialect="mcp")) as server:
        query = {"client_id": server.url_of("jwks"), "response_type": "code", **S256}
        response = httpx.get(server.url_of("authorize"), params=query)
        assert response.status_code == 400
        # A request about itself ends, because a URL has an end.
        nested = server.url_of("jwks")
        for _ in range(3):
            nested = str(httpx.URL(server.url_of("authorize"), params={"client_id": nested}))
        assert httpx.get(nested, timeout=20).status_code == 400
        assert len(server.journal) == 2 + 4


def test_a_machine_that_accepts_no_connection_is_given_up() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        waiting = stack.enter_context(socket.socket())
        waiting.connect(listener.getsockname())  # It fills the queue.
        with pytest.raises(TimeoutError, match=r"no complete response within 0\.2 s"):
            documents.fetch(url, timeout_seconds=0.2)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_stop_waits_for_no_document(scheme: str) -> None:
    """Nothing is left of requests whose documents never come."""
    has_asked = Semaphore(0)

    def stay_silent(connection: socket.socket) -> None:
        connection.recv(1)
        has_asked.release()
        while connection.recv(65536):
            pass

    server = FakeOAuth(Settings(dialect="mcp"))
    with server_that(stay_silent) as url, server, ThreadPoolExecutor(1) as pool:
        client_id = url.replace("http", scheme, 1)
        asked = urlencode({"client_id": client_id, "response_type": "code"})
        response = pool.submit(over_socket, server, "GET", f"/authorize?{asked}", None, {})
        assert has_asked.acquire(timeout=20)
        server.stop()
        assert not [thread for thread in threading.enumerate() if server.url in thread.name]
        assert response.result()[0] == 400
    assert "cannot read" in str(server.journal[-1].reason)
    assert str(server.journal[-1].reason).endswith("the server stops")
