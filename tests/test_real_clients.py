"""Clients that others wrote, each used over a socket as its documentation says."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import (
    AssertionSession,
)
from authlib.integrations.requests_client import (
    OAuth2Session as AuthlibSession,
)
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, ExpiredTokenError
from joserfc.jwk import ECKey, KeySet
from oauthlib.oauth2 import (
    AccessDeniedError,
    BackendApplicationClient,
    DeviceClient,
    InvalidGrantError,
)
from requests_oauthlib import OAuth2Session

from fake_oauth import Client, FakeOAuth, Settings, TrustedIssuer, User
from tests.support.assertions import SECRET

CALLBACK = "https://app.example/callback"
SCOPE = "openid email"
WEB = Client(
    client_id="web",
    client_secret="s3cret",
    scopes=["openid", "email"],
    redirect_uris=[CALLBACK],
    logout_redirect_uris=["https://app.example/out"],
)
PHONE = Client(client_id="phone", scopes=["openid", "email"], redirect_uris=[CALLBACK])
ALICE = User(sub="u-alice", username="alice", email="alice@example.com", claims={"name": "Alice"})


@pytest.fixture
def oauth_settings() -> Settings:
    bob = User(sub="u-bob", username="bob", password="builder")
    return Settings(users=[ALICE, bob], clients=[WEB, PHONE], refresh_tokens=[])


@pytest.fixture
def discovered(oauth_server: FakeOAuth) -> Any:
    """Where everything is."""
    response = httpx.get(f"{oauth_server.issuer}/.well-known/openid-configuration")
    return response.raise_for_status().json()


def sent_back(url: str, **options: Any) -> str:
    """Where the browser is sent by an authorize that shows no page."""
    return httpx.get(url, **options).headers["Location"]


def answer(url: str) -> dict[str, str]:
    """What the application is told there."""
    assert url.startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(url).query))


def keys_of(discovered: Mapping[str, str]) -> KeySet:
    return KeySet.import_key_set(httpx.get(discovered["jwks_uri"]).json())


# Authlib


def authlib_session(client: Client, method: str, **options: Any) -> Any:
    return AuthlibSession(
        client.client_id,
        client.client_secret,
        scope=SCOPE,
        redirect_uri=CALLBACK,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        code_challenge_method="S256",
        **options,
    )


def log_in(session: Any, discovered: Mapping[str, str], **asked: str) -> Any:
    """Authlib's way from its authorization URL to tokens."""
    verifier = generate_token(48)
    url, state = session.create_authorization_url(
        discovered["authorization_endpoint"], code_verifier=verifier, **asked
    )
    return session.fetch_token(
        discovered["token_endpoint"],
        authorization_response=sent_back(url),
        state=state,
        code_verifier=verifier,
    )


@pytest.fixture
def authlib(oauth_server: FakeOAuth) -> Iterator[Any]:
    """An Authlib session of the client `web`; alice is at the browser."""
    oauth_server.login("alice")
    with authlib_session(WEB, "client_secret_basic") as session:
        yield session


@pytest.mark.parametrize(
    ("client", "method"),
    [(WEB, "client_secret_basic"), (WEB, "client_secret_post"), (PHONE, "none")],
)
def test_authlib_logs_in_with_pkce_and_is_told_who_it_is(
    oauth_server: FakeOAuth, discovered: Any, client: Client, method: str
) -> None:
    oauth_server.login("alice")
    with authlib_session(client, method) as session:
        token = log_in(session, discovered, nonce="N")
        assert token["token_type"] == "Bearer"
        assert set(token["scope"].split()) == set(SCOPE.split())
        told = session.get(discovered["userinfo_endpoint"]).json()
    assert told == {"sub": "u-alice", "email": "alice@example.com", "name": "Alice"}


def test_authlib_finds_both_tokens_signed_and_meant_for_it(
    oauth_server: FakeOAuth, discovered: Any, authlib: Any
) -> None:
    token = log_in(authlib, discovered, nonce="N")
    keys = keys_of(discovered)
    algorithms = discovered["id_token_signing_alg_values_supported"]
    access = jwt.decode(token["access_token"], keys, algorithms)
    registry = jwt.JWTClaimsRegistry(
        now=lambda: int(oauth_server.clock.now()),
        leeway=0,
        iss={"essential": True, "value": discovered["issuer"]},
        aud={"essential": True, "value": "web"},
        exp={"essential": True},
        sub={"essential": True, "value": "u-alice"},
    )
    registry.validate(access.claims)
    identity = jwt.decode(token["id_token"], keys, algorithms)
    CodeIDToken(
        identity.claims,
        identity.header,
        options={"iss": {"values": [discovered["issuer"]]}},
        params={"nonce": "N", "client_id": "web", "access_token": token["access_token"]},
    ).validate(now=oauth_server.clock.now(), leeway=0)
    oauth_server.clock.advance(301)
    with pytest.raises(ExpiredTokenError):
        registry.validate(access.claims)


def test_authlib_finds_out_the_signature_of_another_token(
    make_oauth_server: Any, discovered: Any, authlib: Any
) -> None:
    token = log_in(authlib, discovered)
    head, payload, _ = token["access_token"].split(".")
    *_, signature = make_oauth_server().issue_tokens().access_token.split(".")
    with pytest.raises(BadSignatureError):
        jwt.decode(f"{head}.{payload}.{signature}", keys_of(discovered), ["RS256"])


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_authlib_refreshes_when_its_token_is_no_longer_taken(
    oauth_server: FakeOAuth, discovered: Any, authlib: Any
) -> None:
    first = log_in(authlib, discovered)
    oauth_server.clock.advance(300)
    assert authlib.get(discovered["userinfo_endpoint"]).status_code == 401
    second = authlib.refresh_token(discovered["token_endpoint"])
    assert second["refresh_token"] != first["refresh_token"]
    assert authlib.get(discovered["userinfo_endpoint"]).json()["sub"] == "u-alice"
    with pytest.raises(OAuthError, match="invalid_grant"):
        authlib.refresh_token(discovered["token_endpoint"], refresh_token=first["refresh_token"])


@pytest.mark.oauth_server(access_token_seconds=30)
def test_authlib_refreshes_by_itself_a_token_that_is_about_to_expire(
    oauth_server: FakeOAuth, discovered: Any
) -> None:
    oauth_server.login("alice")
    updates: list[tuple[str, str]] = []

    def update_token(token: Mapping[str, str], **old: str) -> None:
        updates.append((token["access_token"], old["refresh_token"]))

    session = authlib_session(
        PHONE, "none", update_token=update_token, token_endpoint=discovered["token_endpoint"]
    )
    with session:
        first = log_in(session, discovered)
        assert session.get(discovered["userinfo_endpoint"]).json()["sub"] == "u-alice"
    assert updates == [(session.token["access_token"], first["refresh_token"])]
    assert updates[0][0] != first["access_token"]
    grants = [exchange.grant_type for exchange in oauth_server.journal]
    assert grants[-2:] == ["refresh_token", None]


def test_authlib_gives_up_its_tokens(
    oauth_server: FakeOAuth, discovered: Any, authlib: Any
) -> None:
    token = log_in(authlib, discovered)
    response = authlib.revoke_token(
        discovered["revocation_endpoint"],
        token=token["refresh_token"],
        token_type_hint="refresh_token",
    )
    assert response.status_code == 200
    assert authlib.get(discovered["userinfo_endpoint"]).status_code == 401
    with pytest.raises(OAuthError, match="invalid_grant"):
        authlib.refresh_token(discovered["token_endpoint"])
    assert oauth_server.journal[-1].reason == "refresh token revoked by request 4"


def test_authlib_is_told_that_a_code_is_spent(discovered: Any, authlib: Any) -> None:
    url, state = authlib.create_authorization_url(discovered["authorization_endpoint"])
    back = {"authorization_response": sent_back(url), "state": state}
    authlib.fetch_token(discovered["token_endpoint"], **back)
    with pytest.raises(OAuthError, match="invalid_grant"):
        authlib.fetch_token(discovered["token_endpoint"], **back)


KEY = ECKey.generate_key("P-256")
JWKS: dict[str, Any] = {"keys": [KEY.as_dict(private=False)]}
BY_JWT = [
    Client(client_id="svc", jwks=JWKS),
    Client(
        client_id="mac", client_secret=SECRET, token_endpoint_auth_methods=["client_secret_jwt"]
    ),
]


@pytest.mark.parametrize(
    ("client_id", "secret", "method"),
    [("svc", KEY, PrivateKeyJWT(alg="ES256")), ("mac", SECRET, ClientSecretJWT())],
)
def test_authlib_authenticates_by_jwt(
    make_oauth_server: Any, client_id: str, secret: Any, method: Any
) -> None:
    server = make_oauth_server(dialect="rfc", clients=BY_JWT, refresh_tokens=[])
    issued = server.issue_tokens(client=client_id)
    options = {
        "token_endpoint_auth_method": method.name,
        "revocation_endpoint_auth_method": method.name,
    }
    with AuthlibSession(client_id, secret, **options) as session:
        session.register_client_auth_method(method)
        token = session.fetch_token(server.token_url, grant_type="client_credentials")
        assert token["token_type"] == "Bearer"
        # Its audience is the URL that it calls.
        assert "stricter servers require the issuer alone" in server.journal[-1].reason
        session.refresh_token(server.token_url, refresh_token=issued.refresh_token)
        revoked = session.revoke_token(server.url_of("revoke"), token=issued.refresh_token)
        assert revoked.status_code == 200
        server.clock.advance(-60)
        with pytest.raises(OAuthError, match="invalid_client"):
            session.fetch_token(server.token_url, grant_type="client_credentials")
        assert "exp: expected at most 3600 s from now, got 36" in server.journal[-1].reason
    strict = make_oauth_server(dialect="rfc", clients=BY_JWT, assertion_audience="issuer")
    with AuthlibSession(client_id, secret, **options) as session:
        session.register_client_auth_method(method)
        with pytest.raises(OAuthError, match="invalid_client"):
            session.fetch_token(strict.token_url, grant_type="client_credentials")


def test_authlib_exchanges_assertions_for_tokens(make_oauth_server: Any) -> None:
    trusted = TrustedIssuer(issuer="https://ci.example", jwks=JWKS, client="app")
    server = make_oauth_server(
        dialect="rfc",
        clients=[WEB, Client(client_id="app", scopes=["read"])],
        users=[ALICE],
        refresh_tokens=[],
        trusted_issuers=[trusted],
        access_token_seconds=30,  # Authlib replaces a token within its last minute.
    )
    options = {
        "token_endpoint": server.token_url,
        "issuer": "https://ci.example",
        "key": KEY,
        "header": {"alg": "ES256"},
        "scope": "read",
    }
    with AssertionSession(subject="alice", **options) as session:
        for _ in range(2):
            assert session.get(server.resource_url).json()["sub"] == "u-alice"
        assert [exchange.client_id for exchange in server.journal] == [None] * 4
    with AssertionSession(subject="mallory", **options) as session:
        with pytest.raises(OAuth2Error, match="invalid_grant"):
            session.get(server.resource_url)
        assert "'mallory'" in server.journal[-1].reason


# requests-oauthlib


@pytest.fixture
def insecure_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauthlib speaks plain http only where it is told to."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.usefixtures("insecure_transport")
@pytest.mark.parametrize("pkce", [None, "S256"])
def test_requests_oauthlib_logs_in(
    oauth_server: FakeOAuth, discovered: Any, pkce: str | None
) -> None:
    oauth_server.login("alice")
    with OAuth2Session("web", redirect_uri=CALLBACK, scope=SCOPE.split(), pkce=pkce) as session:
        url, _ = session.authorization_url(discovered["authorization_endpoint"])
        token = session.fetch_token(
            discovered["token_endpoint"],
            authorization_response=sent_back(url),
            client_secret="s3cret",
        )
        assert set(token.scopes) == set(SCOPE.split())
        assert session.get(discovered["userinfo_endpoint"]).json()["name"] == "Alice"
    assert ("code_challenge" in oauth_server.journal[1].query) == (pkce is not None)


@pytest.mark.usefixtures("insecure_transport")
def test_requests_oauthlib_refreshes_by_itself_once_its_token_has_expired(
    oauth_server: FakeOAuth, discovered: Any
) -> None:
    old = oauth_server.issue_tokens(user="alice", client="web", scope=SCOPE)
    oauth_server.clock.advance(330)
    saved: list[dict[str, Any]] = []
    session = OAuth2Session(
        "web",
        token={
            "access_token": old.access_token,
            "refresh_token": old.refresh_token,
            "token_type": "Bearer",
            "expires_in": -30,  # what the client's own clock would say by now
        },
        auto_refresh_url=discovered["token_endpoint"],
        auto_refresh_kwargs={"client_id": "web", "client_secret": "s3cret"},
        token_updater=saved.append,
    )
    with session:
        assert session.get(discovered["userinfo_endpoint"]).json()["sub"] == "u-alice"
    assert len(saved) == 1
    assert saved[0]["access_token"] != old.access_token


@pytest.mark.usefixtures("insecure_transport")
def test_requests_oauthlib_is_told_when_a_session_is_over(
    oauth_server: FakeOAuth, discovered: Any
) -> None:
    old = oauth_server.issue_tokens(user="alice", client="web")
    oauth_server.clock.advance(3601)
    with OAuth2Session("web") as session, pytest.raises(InvalidGrantError):
        session.refresh_token(
            discovered["token_endpoint"], refresh_token=old.refresh_token, auth=("web", "s3cret")
        )
    assert oauth_server.journal[-1].reason == "refresh token expired 1 s ago"


@pytest.mark.usefixtures("insecure_transport")
def test_requests_oauthlib_gets_a_token_for_itself(discovered: Any) -> None:
    with OAuth2Session(client=BackendApplicationClient(client_id="web")) as session:
        token = session.fetch_token(
            discovered["token_endpoint"], client_id="web", client_secret="s3cret"
        )
    claims = jwt.decode(token["access_token"], keys_of(discovered), ["RS256"]).claims
    assert claims["sub"] == "web"
    assert "refresh_token" not in token


@pytest.mark.oauth_server(tls=True)
def test_over_https_requests_oauthlib_needs_no_leave(
    oauth_server: FakeOAuth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oauth_server.login("alice")
    authority = tmp_path / "ca.pem"
    authority.write_text(oauth_server.ca_pem)
    # Not `session.verify`: this variable, where somebody has set it, goes before that in requests.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    with OAuth2Session("web", redirect_uri=CALLBACK, scope=SCOPE.split()) as session:
        url, _ = session.authorization_url(f"{oauth_server.url}/oauth2/authorize")
        context = ssl.create_default_context(cadata=oauth_server.ca_pem)
        back = sent_back(url, verify=context)
        session.fetch_token(
            oauth_server.token_url, authorization_response=back, client_secret="s3cret"
        )
        told = session.get(f"{oauth_server.url}/userinfo").json()
    assert oauth_server.url.startswith("https://")
    assert told["sub"] == "u-alice"


# By hand, with httpx


def shown_page(browser: httpx.Client, server: FakeOAuth) -> dict[str, str]:
    """Go to authorize, follow to the login page, and read what its forms hide."""
    asked = {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": "S",
    }
    page = browser.get(f"{server.url}/oauth2/authorize", params=asked, follow_redirects=True)
    assert page.url.path == "/portal/login"
    (p_state,) = set(re.findall(r'name="p_state" value="([^"]+)"', page.text))
    return {"p_state": unescape(p_state)}


def code_bought(browser: httpx.Client, server: FakeOAuth, code: str) -> Any:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    return browser.post(server.token_url, data=form, auth=("web", "s3cret")).json()


@pytest.mark.parametrize(
    "choice", [{"sub": "u-bob"}, {"username": "bob", "password": "builder"}], ids=["pick", "type"]
)
def test_a_browser_without_a_screen_logs_in_on_the_page(
    oauth_server: FakeOAuth, choice: dict[str, str]
) -> None:
    with httpx.Client() as browser:
        hidden = shown_page(browser, oauth_server)
        response = browser.post(f"{oauth_server.url}/portal/login", data=hidden | choice)
        told = answer(response.headers["Location"])
        assert told["state"] == "S"
        token = code_bought(browser, oauth_server, told["code"])
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert browser.get(f"{oauth_server.url}/userinfo", headers=headers).json() == {
            "sub": "u-bob"
        }


def test_a_browser_without_a_screen_can_say_no(oauth_server: FakeOAuth) -> None:
    with httpx.Client() as browser:
        hidden = shown_page(browser, oauth_server)
        response = browser.post(f"{oauth_server.url}/portal/login", data=hidden | {"deny": "yes"})
    told = answer(response.headers["Location"])
    assert (told["error"], told["state"]) == ("access_denied", "S")


@pytest.mark.oauth_server(tls=True)
def test_over_https_the_page_keeps_its_browser_logged_in(oauth_server: FakeOAuth) -> None:
    context = ssl.create_default_context(cadata=oauth_server.ca_pem)
    with httpx.Client(verify=context) as browser:
        hidden = shown_page(browser, oauth_server)
        page = f"{oauth_server.url}/portal/login"
        response = browser.post(page, data=hidden | {"sub": "u-alice"})
        token = code_bought(browser, oauth_server, answer(response.headers["Location"])["code"])
        assert token["token_type"] == "Bearer"
        assert [cookie.secure for cookie in browser.cookies.jar] == [True]
        asked = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK}
        again = browser.get(f"{oauth_server.url}/oauth2/authorize", params=asked)
        assert "code" in answer(again.headers["Location"])
        out = browser.get(f"{oauth_server.url}/logout", params={"client_id": "web"})
        assert out.headers["Location"] == "https://app.example/out"
        again = browser.get(f"{oauth_server.url}/oauth2/authorize", params=asked)
        assert again.headers["Location"].startswith(f"{page}?p_state=")


# Devices (RFC 8628)


DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def device_authorization(server: FakeOAuth, **form: str) -> Any:
    url = server.metadata()["device_authorization_endpoint"]
    return httpx.post(url, data=form).raise_for_status().json()


@pytest.mark.oauth_server(dialect="rfc")
def test_authlib_polls_for_the_tokens_of_a_device(oauth_server: FakeOAuth) -> None:
    told = device_authorization(oauth_server, client_id="web", client_secret="s3cret")
    asked = {"grant_type": DEVICE_CODE, "device_code": told["device_code"]}
    with AuthlibSession("web", "s3cret") as session:
        with pytest.raises(OAuthError, match=r"^authorization_pending:"):
            session.fetch_token(oauth_server.token_url, **asked)
        with pytest.raises(OAuthError, match=r"^slow_down:"):
            session.fetch_token(oauth_server.token_url, **asked)
        oauth_server.approve_device(told["user_code"], "bob")
        token = session.fetch_token(oauth_server.token_url, **asked)
    assert (token["token_type"], token["scope"]) == ("Bearer", "email openid")
    assert [exchange.form["device_code"] for exchange in list(oauth_server.journal)[1:]] == [
        told["device_code"]
    ] * 3


@pytest.mark.oauth_server(dialect="rfc")
def test_oauthlib_is_a_public_device(oauth_server: FakeOAuth) -> None:
    told = device_authorization(oauth_server, client_id="phone", scope="openid")
    client = DeviceClient("phone")
    body = client.prepare_request_body(told["device_code"], include_client_id=True)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    oauth_server.deny_device(told["user_code"])
    refused = httpx.post(oauth_server.token_url, content=body, headers=headers)
    with pytest.raises(AccessDeniedError):
        client.parse_request_body_response(refused.text)
    told = device_authorization(oauth_server, client_id="phone", scope="openid")
    body = client.prepare_request_body(told["device_code"], include_client_id=True)
    oauth_server.approve_device(told["user_code"])
    granted = httpx.post(oauth_server.token_url, content=body, headers=headers)
    assert client.parse_request_body_response(granted.text)["scope"] == ["openid"]
