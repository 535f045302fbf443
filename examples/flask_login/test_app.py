"""Tests of the application against the fake. Each test has its own server, on its own port."""

import re
from pathlib import Path

import pytest
import requests
from app import create_app

from fake_oauth import Settings


@pytest.fixture
def oauth_settings():
    return Settings.from_toml(Path(__file__).with_name("fake.toml"))


@pytest.fixture
def application(oauth_server):
    app = create_app(oauth_server.issuer)
    app.config["SERVER_NAME"] = "localhost:5000"  # the host of the redirect URIs in fake.toml
    return app.test_client()


@pytest.fixture
def browser():
    """Provide the user's browser, which visits the provider."""
    with requests.Session() as browser:
        yield browser


@pytest.fixture
def logged_in(application, browser, oauth_server):
    """Provide the application with Alice logged in, for tests that are not about login."""
    oauth_server.login("alice")
    response = browser.get(application.get("/login").location, allow_redirects=False)
    application.get(response.headers["Location"])
    return application


def choose(browser, url, **choice):
    """Submit a choice on the provider's login page. Return the URL that it redirects to."""
    page = browser.get(url)
    p_state = re.search(r'name="p_state" value="([^"]+)"', page.text)[1]
    response = browser.post(page.url, data={"p_state": p_state, **choice}, allow_redirects=False)
    return response.headers["Location"]


def grant_types(server):
    return [exchange.grant_type for exchange in server.journal if exchange.endpoint == "token"]


def test_a_user_logs_in_on_the_login_page(application, browser):
    assert application.get("/profile").status_code == 401
    callback = choose(browser, application.get("/login").location, sub="u-alice")
    assert "Hello Alice!" in application.get(callback, follow_redirects=True).text
    claims = {"sub": "u-alice", "email": "alice@example.com", "name": "Alice"}
    assert application.get("/profile").json == claims


def test_a_user_denies_the_login(application, browser):
    callback = choose(browser, application.get("/login").location, deny="yes")
    response = application.get(callback)
    assert response.status_code == 401
    assert "Not logged in: access_denied" in response.text


@pytest.mark.parametrize("hours", [1, 2])
@pytest.mark.oauth_server(refresh_policy="rotate", refresh_token_seconds=24 * 3600)
def test_a_refused_access_token_is_refreshed(logged_in, oauth_server, hours):
    for _ in range(hours):
        oauth_server.clock.advance(3600)
        assert logged_in.get("/profile").json["name"] == "Alice"
        assert logged_in.get("/profile").json["name"] == "Alice"
    assert grant_types(oauth_server) == ["authorization_code", *hours * ["refresh_token"]]


@pytest.mark.oauth_server(access_token_seconds=30)
def test_an_access_token_is_refreshed_before_it_expires(logged_in, oauth_server):
    assert logged_in.get("/profile").status_code == 200
    assert grant_types(oauth_server) == ["authorization_code", "refresh_token"]
    assert 401 not in [exchange.status for exchange in oauth_server.journal]


def test_an_expired_refresh_token_ends_the_session(logged_in, oauth_server):
    oauth_server.clock.advance(3601)
    response = logged_in.get("/profile")
    assert response.status_code == 401
    assert "Not logged in: invalid_grant" in response.text
    assert oauth_server.journal[-1].reason == "refresh token expired 1 s ago"
    assert "Hello" not in logged_in.get("/").text


def test_logout_ends_both_sessions(application, browser):
    application.get(choose(browser, application.get("/login").location, sub="u-bob"))
    response = browser.get(application.get("/logout").location, allow_redirects=False)
    assert "Log in" in application.get(response.headers["Location"]).text
    page = browser.get(application.get("/login").location)
    assert "Pick a user" in page.text
