"""Clients that others wrote, used as their documentation says, over a socket."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from joserfc import jwt as jose
from joserfc.jwk import KeySet
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests_oauthlib import OAuth2Session

from fake_oauth import Client, FakeOAuth, Settings, User

CALLBACK = "https://example.com/callback"
SETTINGS = Settings(
    users=[User(sub="u-alice", username="alice", password="pw", claims={"name": "Alice"})],
    clients=[
        Client(
            client_id="web",
            client_secret="s3cret",
            redirect_uris=[CALLBACK],
            scopes=["openid", "email"],
        ),
        Client(client_id="app", redirect_uris=[CALLBACK], rotate_refresh_tokens=True),
    ],
    refresh_tokens=[],
)


@pytest.fixture
def oauth_settings() -> Settings:
    return SETTINGS


@pytest.fixture
def _insecure(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauthlib speaks http only if told that this is a test."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def metadata(server: FakeOAuth) -> dict[str, str]:
    document: dict[str, str] = requests.get(
        f"{server.issuer}/.well-known/openid-configuration", timeout=10
    ).json()
    return document


def answered(uri: str) -> str:
    """Where the browser of somebody who is logged in is sent back to."""
    return requests.get(uri, allow_redirects=False, timeout=10).headers["Location"]


@pytest.mark.parametrize(
    ("client_id", "secret", "method"),
    [
        ("web", "s3cret", "client_secret_post"),
        ("web", "s3cret", "client_secret_basic"),
        ("app", None, "none"),
    ],
)
def test_authlib_logs_in_with_pkce_refreshes_verifies_and_revokes(
    oauth_server: FakeOAuth, client_id: str, secret: str | None, method: str
) -> None:
    oauth_server.login("alice")
    served = metadata(oauth_server)
    with AuthlibSession(
        client_id,
        secret,
        scope="openid",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    ) as session:
        verifier, nonce = generate_token(48), generate_token(16)
        uri, state = session.create_authorization_url(
            served["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
        token = session.fetch_token(
            served["token_endpoint"],
            authorization_response=answered(uri),
            state=state,
            code_verifier=verifier,
        )
        keys = KeySet.import_key_set(requests.get(served["jwks_uri"], timeout=10).json())
        identity = jose.decode(token["id_token"], keys).claims
        assert identity["iss"] == oauth_server.issuer
        assert (identity["aud"], identity["sub"], identity["nonce"]) == (
            client_id,
            "u-alice",
            nonce,
        )
        assert jose.decode(token["access_token"], keys).claims["scope"] == ["openid"]
        oauth_server.clock.advance(301)
        assert session.get(served["userinfo_endpoint"]).status_code == 401
        refreshed = session.refresh_token(
            served["token_endpoint"], refresh_token=token["refresh_token"]
        )
        assert (refreshed["refresh_token"] == token["refresh_token"]) == (client_id == "web")
        assert session.get(served["userinfo_endpoint"]).json() == {
            "sub": "u-alice",
            "name": "Alice",
        }
        reply = session.revoke_token(
            served["revocation_endpoint"], token=refreshed["refresh_token"]
        )
        assert reply.status_code == 200
        assert session.get(served["userinfo_endpoint"]).status_code == 401


@pytest.mark.usefixtures("_insecure")
def test_requests_oauthlib_logs_in_and_refreshes_by_itself(oauth_server: FakeOAuth) -> None:
    oauth_server.login("alice")
    served = metadata(oauth_server)
    stored: list[dict[str, str]] = []
    with OAuth2Session(
        "web",
        redirect_uri=CALLBACK,
        scope=["openid"],
        auto_refresh_url=served["token_endpoint"],
        auto_refresh_kwargs={"client_id": "web", "client_secret": "s3cret"},
        token_updater=stored.append,
    ) as session:
        uri, _ = session.authorization_url(served["authorization_endpoint"])
        token = session.fetch_token(
            served["token_endpoint"],
            authorization_response=answered(uri),
            client_secret="s3cret",
            include_client_id=True,
        )
        # It judges expiry by its own clock: let the token be old in its eyes.
        session.token = {**token, "expires_at": 1}
        assert session.get(served["userinfo_endpoint"]).json()["sub"] == "u-alice"
    (updated,) = stored
    assert updated["refresh_token"] == token["refresh_token"]
    assert updated["access_token"] != token["access_token"]
    assert [exchange.grant_type for exchange in oauth_server.journal if exchange.grant_type] == [
        "authorization_code",
        "refresh_token",
    ]


@pytest.mark.usefixtures("_insecure")
def test_oauthlib_tells_an_expired_refresh_token_from_the_rest(oauth_server: FakeOAuth) -> None:
    tokens = oauth_server.issue()
    oauth_server.clock.advance(3601)
    with (
        OAuth2Session("web", token={"access_token": tokens.access_token}) as session,
        pytest.raises(InvalidGrantError),
    ):
        session.refresh_token(
            oauth_server.token_url,
            refresh_token=tokens.refresh_token,
            client_id="web",
            client_secret="s3cret",
        )


@pytest.mark.usefixtures("_insecure")
def test_oauthlib_gets_a_clients_own_token(oauth_server: FakeOAuth) -> None:
    with OAuth2Session(client=BackendApplicationClient("web", scope=["email"])) as session:
        token = session.fetch_token(oauth_server.token_url, client_secret="s3cret")
    assert token["scope"] == ["email"]
    assert "refresh_token" not in token


def p_state_of(page: httpx.Response) -> str:
    found = re.search(r'name="p_state" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("form", "member"),
    [
        ({"sub": "u-alice"}, "code"),
        ({"username": "alice", "password": "pw"}, "code"),
        ({"deny": "yes"}, "error"),
    ],
)
def test_httpx_goes_by_way_of_the_login_page(
    oauth_server: FakeOAuth, form: dict[str, str], member: str
) -> None:
    asked = {"client_id": "web", "redirect_uri": CALLBACK, "response_type": "code", "state": "S"}
    with httpx.Client(base_url=oauth_server.url) as browser:
        page = browser.get("/oauth2/authorize", params=asked, follow_redirects=True)
        assert page.url.path == "/portal/login"
        reply = browser.post("/portal/login", data={"p_state": p_state_of(page), **form})
    told = parse_qs(urlsplit(reply.headers["Location"]).query)
    assert member in told
    assert told["state"] == ["S"]


def test_requests_over_https(make_oauth_server: Callable[..., FakeOAuth], tmp_path: Path) -> None:
    server = make_oauth_server(tls=True)
    certificate = tmp_path / "ca.pem"
    certificate.write_text(server.ca_pem, encoding="utf-8")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": server.issue().refresh_token,
        "client_id": "web",
        "client_secret": "s3cret",
    }
    with requests.Session() as session:
        for _ in range(2):
            reply = session.post(server.token_url, data=form, verify=str(certificate), timeout=10)
            assert reply.json()["token_type"] == "Bearer"
