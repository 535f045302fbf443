"""mod_auth_openidc in Debian's Apache: an application behind it that knows nothing of OAuth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pytest_httpserver import HTTPServer

from fake_oauth import FakeOAuth
from tests.clients import apache
from tests.clients.conftest import HERE, SECRET, form_in, sent_to

apache.require("mod_auth_openidc", "libapache2-mod-auth-openidc")


@pytest.fixture
def start(
    oauth_server: FakeOAuth, httpserver: HTTPServer, tmp_path: Path
) -> Iterator[Callable[..., str]]:
    """Return a function that starts Apache and returns its URL."""
    with ExitStack() as stack:

        def start(*defines: str, authentication: str = "client_secret_basic") -> str:
            variables = {
                "ISSUER": oauth_server.issuer,
                "SECRET": SECRET,
                "TOKEN_ENDPOINT_AUTH": authentication,
            }
            return stack.enter_context(
                apache.running(HERE / "apache.conf", tmp_path, httpserver, variables, *defines)
            )

        yield start


@pytest.mark.parametrize("authentication", ["client_secret_basic", "client_secret_post"])
def test_a_protected_page_shows_who_logged_in(
    oauth_server: FakeOAuth,
    start: Callable[..., str],
    browser: httpx.Client,
    authentication: str,
) -> None:
    oauth_server.login("alice")
    site = start(authentication=authentication)
    told = browser.get(f"{site}/pages", follow_redirects=True).raise_for_status().json()
    assert told["X-Remote-User"] == "u-alice"
    assert told["Claim-Email"] == "alice@example.com"
    (authorized,) = sent_to(oauth_server, "authorize")
    assert authorized.query["code_challenge_method"] == "S256"
    # The session is Apache's from now on.
    before = len(oauth_server.journal)
    assert browser.get(f"{site}/pages").json()["X-Remote-User"] == "u-alice"
    assert len(oauth_server.journal) == before


def test_the_code_arrives_in_a_form(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    oauth_server.login("alice")
    site = start("FORM_POST")
    page = browser.get(f"{site}/pages", follow_redirects=True).raise_for_status()
    form = form_in(page.text)
    assert form["url"] == f"{site}/callback"
    back = browser.post(form["url"], data=form["fields"], follow_redirects=True)
    assert back.raise_for_status().json()["X-Remote-User"] == "u-alice"


def test_the_application_refreshes_with_a_request_to_apache(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    oauth_server.login("alice")
    site = start()
    page = f"{site}/pages"
    browser.get(page, follow_redirects=True).raise_for_status()
    held = []
    for _ in range(3):
        held.append(browser.get(f"{site}/callback", params={"info": "json"}).json())
        oauth_server.clock.advance(3600)
        query = {"refresh": page, "access_token": held[-1]["access_token"]}
        back = browser.get(f"{site}/callback", params=query)
        assert back.headers["Location"] == page
    assert len({info["refresh_token"] for info in held}) == 3
    assert len(sent_to(oauth_server, "token")) == 4


@pytest.mark.allow_violations  # it refreshes before every page, as it is configured
def test_apache_refreshes_by_itself(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    oauth_server.login("alice")
    site = start("REFRESH")
    for _ in range(3):
        told = browser.get(f"{site}/pages", follow_redirects=True).raise_for_status().json()
        assert told["X-Remote-User"] == "u-alice"
        oauth_server.clock.advance(3600)
    grants = [exchange.grant_type for exchange in sent_to(oauth_server, "token")]
    assert grants == ["authorization_code"] + ["refresh_token"] * 3


def test_an_api_introspects_what_it_gets(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    api = f"{start()}/api"
    tokens = oauth_server.issue_tokens(user="alice", client="web")
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    assert browser.get(api, headers=headers).json()["X-Remote-User"] == "u-alice"
    other = oauth_server.issue_tokens(user="alice", client="web")
    oauth_server.revoke(other.access_token)
    headers = {"Authorization": f"Bearer {other.access_token}"}
    assert browser.get(api, headers=headers).status_code == 401
    assert [exchange.reply["active"] for exchange in sent_to(oauth_server, "introspect")] == [
        True,
        False,
    ]
