"""The application against the fake: every test has a server of its own, on a port of its own."""

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
    app.config["SERVER_NAME"] = "localhost:5000"  # where fake.toml lets people be sent back to
    return app.test_client()


@pytest.fixture
def browser():
    """What the person in front of the application uses to talk to the provider."""
    with requests.Session() as browser:
        yield browser


@pytest.fixture
def logged_in(application, browser, oauth_server):
    """The application with alice logged in, for tests that are not about logging in."""
    oauth_server.login("alice")
    answer = browser.get(application.get("/login").location, allow_redirects=False)
    application.get(answer.headers["Location"])
    return application


def choose(browser, url, **choice):
    """Go to the provider, make a choice on its login page, and give where that leads."""
    page = browser.get(url)
    p_state = re.search(r'name="p_state" value="([^"]+)"', page.text)[1]
    answer = browser.post(page.url, data={"p_state": p_state, **choice}, allow_redirects=False)
    return answer.headers["Location"]


def grant_types(server):
    return [exchange.grant_type for exchange in server.journal if exchange.endpoint == "token"]


def test_one_logs_in_on_the_provider_s_page(application, browser):
    assert application.get("/profile").status_code == 401
    back = choose(browser, application.get("/login").location, sub="u-alice")
    assert "Hello Alice!" in application.get(back, follow_redirects=True).text
    told = {"sub": "u-alice", "email": "alice@example.com", "name": "Alice"}
    assert application.get("/profile").json == told


def test_one_can_say_no(application, browser):
    back = choose(browser, application.get("/login").location, deny="yes")
    response = application.get(back)
    assert response.status_code == 401
    assert "Not logged in: access_denied" in response.text


@pytest.mark.parametrize("hours", [1, 2])
@pytest.mark.oauth_server(rotate_refresh_tokens=True, refresh_token_seconds=24 * 3600)
def test_an_access_token_that_is_refused_is_refreshed(logged_in, oauth_server, hours):
    for _ in range(hours):
        oauth_server.clock.advance(3600)
        assert logged_in.get("/profile").json["name"] == "Alice"
        assert logged_in.get("/profile").json["name"] == "Alice"
    assert grant_types(oauth_server) == ["authorization_code", *hours * ["refresh_token"]]


@pytest.mark.oauth_server(access_token_seconds=30)
def test_an_access_token_that_is_about_to_expire_is_refreshed_first(logged_in, oauth_server):
    assert logged_in.get("/profile").status_code == 200
    assert grant_types(oauth_server) == ["authorization_code", "refresh_token"]
    assert 401 not in [exchange.status for exchange in oauth_server.journal]


def test_a_session_ends_with_its_refresh_token(logged_in, oauth_server):
    oauth_server.clock.advance(3601)
    response = logged_in.get("/profile")
    assert response.status_code == 401
    assert "Not logged in: invalid_grant" in response.text
    assert oauth_server.journal[-1].reason == "refresh token expired 1 s ago"
    assert "Hello" not in logged_in.get("/").text


def test_one_logs_out_here_and_there(application, browser):
    application.get(choose(browser, application.get("/login").location, sub="u-bob"))
    out = browser.get(application.get("/logout").location, allow_redirects=False)
    assert "Log in" in application.get(out.headers["Location"]).text
    page = browser.get(application.get("/login").location)
    assert "Pick a user" in page.text
