"""The application against the fake: in, still in after the access token has expired, out."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from app import app

from fake_oauth import Settings


@pytest.fixture
def oauth_settings():
    return Settings.from_toml(Path(__file__).with_name("fake.toml"))


@pytest.fixture
def browser(oauth_server):
    """A browser at the application, whose user is logged in at the provider."""
    app.config["OAUTH_ISSUER"] = oauth_server.issuer
    oauth_server.login("alice")
    return app.test_client()


def follow(browser, reply):
    """Go where the application sends the browser, by way of the provider if need be."""
    while reply.status_code == 302:
        place = urlsplit(reply.location)
        if place.netloc not in ("", "localhost"):
            place = urlsplit(
                requests.get(reply.location, allow_redirects=False, timeout=10).headers["Location"]
            )
        reply = browser.get(f"{place.path}?{place.query}")
    return reply


def test_a_user_logs_in(browser):
    assert follow(browser, browser.get("/")).text == "You are Alice."


def test_an_access_token_that_has_expired_is_refreshed_once(browser, oauth_server):
    follow(browser, browser.get("/"))
    oauth_server.clock.advance(301)
    assert browser.get("/").text == "You are Alice."
    assert browser.get("/").text == "You are Alice."
    grants = [exchange.grant_type for exchange in oauth_server.journal if exchange.grant_type]
    assert grants == ["authorization_code", "refresh_token"]


def test_a_user_logs_out_at_the_provider_too(browser, oauth_server):
    follow(browser, browser.get("/"))
    oauth_server.logout()
    reply = browser.get("/logout")
    assert urlsplit(reply.location).path == "/logout"
    back = requests.get(reply.location, allow_redirects=False, timeout=10)
    assert back.headers["Location"] == "http://localhost/"
    reply = browser.get("/login")
    page = requests.get(reply.location, timeout=10)
    assert "Log in" in page.text
