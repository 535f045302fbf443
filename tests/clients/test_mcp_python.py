"""The MCP SDK for Python (PyPI: mcp) at the server: from an unknown client to a called tool.

The server has no settings but its dialect, except where a test says so.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyHttpUrl

from fake_oauth import Client as ClientOfSettings
from fake_oauth import FakeOAuth, Settings, faults
from tests.clients.conftest import form_in, sent_to
from tests.clients.mcp_server import SCOPE, serve

# The redirect URI of the SDK's documentation.
REDIRECT_URI: Final = "http://localhost:3030/callback"
DOCUMENT_URL: Final = "https://agent.example/client.json"
# A client reads in the response when its token expires; then no clock has to move.
EXPIRES_AT_ONCE: Final = faults.Field("expires_in", 0)


@pytest.fixture(scope="session")
def oauth_settings() -> Settings:
    """Return the settings of `fake-oauth serve --dialect mcp`."""
    return Settings(dialect="mcp")


class Storage:
    """What a client keeps between its runs, as the SDK's documentation shows it."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the stored tokens."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Store tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the stored registration."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Store a registration."""
        self.client = client_info


Provide = Callable[..., OAuthClientProvider]


@pytest.fixture
def provide(browse: Callable[[str], str]) -> Provide:
    """Return a function that makes the SDK's provider for a URL, with a browser."""

    def provide(
        url: str,
        storage: Storage | None = None,
        browse: Callable[[str], str] = browse,
        token_endpoint_auth_method: str | None = None,
        **own: Any,
    ) -> OAuthClientProvider:
        led_back: list[str] = []

        async def redirect(authorization_url: str) -> None:
            led_back.append(browse(authorization_url))

        async def callback() -> AuthorizationCodeResult:
            query = parse_qs(urlsplit(led_back[-1]).query)
            (code,), (state,), (iss,) = (
                query.get(name, [None]) for name in ("code", "state", "iss")
            )
            return AuthorizationCodeResult(code=code, state=state, iss=iss)

        metadata = OAuthClientMetadata.model_validate(
            {
                "client_name": "Agent",
                "redirect_uris": [REDIRECT_URI],
                "token_endpoint_auth_method": token_endpoint_auth_method,
            }
        )
        return OAuthClientProvider(url, metadata, storage or Storage(), redirect, callback, **own)

    return provide


def get(provider: OAuthClientProvider, url: str, times: int = 1) -> list[int]:
    """Return the statuses of requests that one client sends, one after the other."""

    async def send() -> list[int]:
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            return [(await http.get(url)).status_code for _ in range(times)]

    return asyncio.run(send())


def call_tool(provider: OAuthClientProvider, url: str) -> str:
    """Return what the tool of the MCP server says: the user of the access token."""

    async def call() -> str:
        async with (
            httpx2.AsyncClient(auth=provider, trust_env=False) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            result = await client.call_tool("whoami")
            assert result.structured_content is not None
            return str(result.structured_content["result"])

    return asyncio.run(call())


def flow(server: FakeOAuth) -> list[str]:
    """Return the endpoints that the client went through, with the status of each response."""
    return [f"{exchange.endpoint} {exchange.status}" for exchange in server.journal]


LOGIN: Final = ["metadata 200", "register 201", "authorize 302", "token 200"]


def test_an_unknown_client_registers_logs_in_and_calls_a_tool(
    oauth_server: FakeOAuth, provide: Provide
) -> None:
    oauth_server.login()
    with serve(oauth_server.metadata()) as notes:
        assert call_tool(provide(notes.url), notes.url) == "MOCK_USERNAME"
    assert flow(oauth_server) == [*LOGIN, "jwks 200"]
    _, _, authorized, exchanged, *_ = oauth_server.journal
    assert SCOPE in authorized.query["scope"]
    assert authorized.query["code_challenge_method"] == "S256"
    assert authorized.query["resource"] == exchanged.form["resource"] == notes.url


def test_the_server_of_the_tool_introspects_each_token(
    oauth_server: FakeOAuth, provide: Provide
) -> None:
    oauth_server.login()
    resource_server = ("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    with serve(oauth_server.metadata(), introspect_as=resource_server) as notes:
        assert call_tool(provide(notes.url), notes.url) == "MOCK_USERNAME"
    assert {exchange.status for exchange in sent_to(oauth_server, "introspect")} == {200}


@pytest.fixture
def click(browser: httpx.Client) -> Callable[[str], str]:
    """Return a function that picks the user on the login page, and returns where it leads."""

    def click(url: str) -> str:
        page = browser.get(url, follow_redirects=True)
        form = form_in(page.text)
        fields = {**form["fields"], "sub": "MOCK_USERNAME"}
        return browser.post(str(page.url.join(form["url"])), data=fields).headers["Location"]

    return click


def test_logs_in_at_the_stub_server_without_any_settings(
    provide: Provide, browser: httpx.Client, click: Callable[[str], str]
) -> None:
    command = [sys.executable, "-m", "fake_oauth", "serve", "--dialect", "mcp", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stub:
        try:
            assert stub.stdout is not None
            (issuer,) = (
                line.split()[-1]
                for line in iter(stub.stdout.readline, "Press Ctrl-C to stop.\n")
                if line.startswith("  issuer ")
            )
            metadata = browser.get(f"{issuer}/.well-known/oauth-authorization-server").json()
            with serve(metadata) as notes:
                assert call_tool(provide(notes.url, browse=click), notes.url) == "MOCK_USERNAME"
        finally:
            stub.terminate()


# An AnyHttpUrl of the SDK's documentation has a slash after the origin.
@pytest.mark.oauth_server(issuer="http://127.0.0.1:{port}/")
def test_the_issuer_can_have_a_slash(oauth_server: FakeOAuth, provide: Provide) -> None:
    oauth_server.login()
    assert oauth_server.issuer == str(AnyHttpUrl(oauth_server.url))
    with serve(oauth_server.metadata()) as notes:
        assert call_tool(provide(notes.url), notes.url) == "MOCK_USERNAME"


def test_logs_in_at_the_resource_in_the_box(oauth_server: FakeOAuth, provide: Provide) -> None:
    oauth_server.login()
    url = oauth_server.resource_url
    assert get(provide(url), url, times=2) == [200, 200]
    resource = ["resource 401", "resource_metadata 200"]
    assert flow(oauth_server) == [*resource, *LOGIN, "resource 200", "resource 200"]


def test_steps_up_to_the_scopes_of_a_challenge(oauth_server: FakeOAuth, provide: Provide) -> None:
    oauth_server.login()
    oauth_server.resource.scope = "notes:read"
    url, storage = oauth_server.resource_url, Storage()
    assert get(provide(url, storage), url) == [200]
    oauth_server.resource.scope = "notes:read notes:write"
    assert get(provide(url, storage), url) == [200]
    assert storage.tokens is not None
    assert storage.tokens.scope is not None
    assert {"notes:read", "notes:write"} <= set(storage.tokens.scope.split())


@pytest.mark.parametrize(
    ("method", "rotates"), [("none", True), ("client_secret_post", False)], ids=["none", "post"]
)
def test_refreshes_before_it_calls(
    oauth_server: FakeOAuth, provide: Provide, method: str, *, rotates: bool
) -> None:
    oauth_server.login()
    oauth_server.script(EXPIRES_AT_ONCE)
    url, storage = oauth_server.resource_url, Storage()
    provider = provide(url, storage, token_endpoint_auth_method=method)
    assert get(provider, url, times=3) == [200, 200, 200]
    _, refreshed = sent_to(oauth_server, "token")
    assert refreshed.grant_type == "refresh_token"
    assert refreshed.form["resource"] == url
    assert storage.tokens is not None
    assert (storage.tokens.refresh_token != refreshed.form["refresh_token"]) is rotates


def test_logs_in_again_when_its_refresh_token_is_refused(
    oauth_server: FakeOAuth, provide: Provide
) -> None:
    oauth_server.login()
    oauth_server.script(EXPIRES_AT_ONCE, faults.Refuse("invalid_grant"))
    url = oauth_server.resource_url
    assert get(provide(url), url, times=2) == [200, 200]
    grants = [exchange.grant_type for exchange in sent_to(oauth_server, "token")]
    assert grants == ["authorization_code", "refresh_token", "authorization_code"]
    assert len(sent_to(oauth_server, "register")) == 1


def test_a_forgotten_client_registers_again_without_its_registration(
    oauth_server: FakeOAuth, provide: Provide
) -> None:
    oauth_server.login()
    url, storage = oauth_server.resource_url, Storage()
    assert get(provide(url, storage), url) == [200]
    assert storage.tokens is not None
    assert storage.client is not None
    forgotten = storage.client.client_id
    oauth_server.forget_client(forgotten)
    oauth_server.expire(storage.tokens.access_token)
    # The SDK keeps a registration until its application deletes it.
    with pytest.raises(AssertionError):
        get(provide(url, storage), url)
    reason = f"client {forgotten} unknown: its registration was forgotten"
    assert oauth_server.journal[-1].reason == reason
    assert get(provide(url, Storage()), url) == [200]
    assert len(sent_to(oauth_server, "register")) == 2


@pytest.mark.oauth_server(
    clients=[
        ClientOfSettings(
            client_id="agent",
            scopes=["openid"],
            redirect_uris=[REDIRECT_URI],
        )
    ],
    register_clients=False,
    refresh_tokens=[],
)
def test_a_client_of_the_settings_does_not_register(
    oauth_server: FakeOAuth, provide: Provide
) -> None:
    oauth_server.login()
    url, storage = oauth_server.resource_url, Storage()
    storage.client = OAuthClientInformationFull(client_id="agent", issuer=oauth_server.issuer)
    assert get(provide(url, storage), url) == [200]
    assert not sent_to(oauth_server, "register")


@pytest.mark.oauth_server(
    client_documents={
        DOCUMENT_URL: {
            "client_id": DOCUMENT_URL,
            "client_name": "Agent",
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }
    }
)
def test_a_client_is_known_by_its_document(oauth_server: FakeOAuth, provide: Provide) -> None:
    oauth_server.login()
    oauth_server.script(EXPIRES_AT_ONCE)
    url = oauth_server.resource_url
    provider = provide(url, client_metadata_url=DOCUMENT_URL)
    assert get(provider, url, times=2) == [200, 200]
    assert not sent_to(oauth_server, "register")
    assert [exchange.client_id for exchange in sent_to(oauth_server, "token")] == [DOCUMENT_URL] * 2


@pytest.mark.parametrize(
    "places",
    [
        pytest.param(places, id=places[0], marks=pytest.mark.oauth_server(resource_metadata=places))
        for places in (["challenge", "path"], ["path"], ["root"])
    ]
    # Servers of the revision 2025-03-26 have no metadata of the resource.
    + [pytest.param([], id="none", marks=pytest.mark.oauth_server(resource_metadata=[]))],
)
def test_finds_the_authorization_server(
    oauth_server: FakeOAuth, provide: Provide, places: list[str]
) -> None:
    oauth_server.login()
    url = oauth_server.resource_url
    assert get(provide(url), url) == [200]
    found = [exchange.status for exchange in sent_to(oauth_server, "resource_metadata")]
    assert (found[-1:] == [200]) is bool(places)


@pytest.mark.parametrize(
    "fault",
    [
        faults.RedirectParameter("iss", "https://other.example"),
        faults.MissingRedirectParameter("iss"),
        faults.RedirectParameter("state", "other"),
    ],
    ids=["iss", "no_iss", "state"],
)
def test_refuses_the_response_of_another_server(
    oauth_server: FakeOAuth, provide: Provide, fault: faults.Fault
) -> None:
    oauth_server.login()
    oauth_server.script(faults.Rule(fault, endpoint="authorize"))
    url = oauth_server.resource_url
    with pytest.raises(OAuthFlowError):
        get(provide(url), url)
    assert not sent_to(oauth_server, "token")


def test_shows_nothing_of_one_authorization_server_to_the_next(
    oauth_server: FakeOAuth, provide: Provide
) -> None:
    url, storage = oauth_server.resource_url, Storage()
    oauth_server.login()
    assert get(provide(url, storage), url) == [200]
    assert storage.client is not None
    assert storage.tokens is not None
    first = storage.client.client_id
    with FakeOAuth(Settings(dialect="mcp")) as other, httpx.Client(trust_env=False) as browser:
        other.login()
        oauth_server.resource.authorization_servers = [other.issuer]
        oauth_server.expire(storage.tokens.access_token)

        def browse(url: str) -> str:
            return browser.get(url).headers["Location"]

        # The resource in the box has only tokens of its own server.
        assert get(provide(url, storage, browse), url) == [401]
        assert flow(other) == LOGIN
        assert first not in str([exchange.form for exchange in other.journal])
        assert storage.client.issuer == other.issuer
