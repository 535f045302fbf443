"""The MCP clients for JavaScript (npm) at the server, calling a tool of an MCP server beside it.

`@modelcontextprotocol/sdk` is version 1, and `@modelcontextprotocol/client` is version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from fake_oauth import FakeOAuth, Settings, faults
from tests.clients.conftest import sent_to
from tests.clients.mcp_server import SCOPE, Notes, serve

PACKAGES: Final = ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"]
ALICE: Final = "MOCK_USERNAME"
DOCUMENT_URL: Final = "https://agent.example/client.json"
REFRESHES: Final = {"grant_types": ["authorization_code", "refresh_token"]}


@pytest.fixture(scope="session")
def oauth_settings() -> Settings:
    """Return the settings of `fake-oauth serve --dialect mcp`."""
    return Settings(dialect="mcp")


@pytest.fixture
def notes(oauth_server: FakeOAuth) -> Iterator[Notes]:
    """Return an MCP server that asks the authorization server about each token."""
    resource_server = ("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    with serve(oauth_server.metadata(), introspect_as=resource_server) as notes:
        yield notes


@pytest.fixture(params=PACKAGES)
def call(
    request: pytest.FixtureRequest, notes: Notes, node: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function that calls the tool with a client that nothing knows."""

    def call(*between: Callable[[Any], object], **options: Any) -> Any:
        steps = iter(between)

        def step(tokens: Any) -> None:
            next(steps)(tokens)

        own = {"package": request.param, "url": notes.url, "calls": len(between) + 1, **options}
        return node("mcp_client.mjs", "call", {"between": step}, **own)

    return call


def grants(server: FakeOAuth) -> list[str | None]:
    """Return the grant types of the token requests."""
    return [exchange.grant_type for exchange in sent_to(server, "token")]


def test_an_unknown_client_registers_logs_in_and_calls_a_tool(
    oauth_server: FakeOAuth, notes: Notes, call: Callable[..., Any]
) -> None:
    oauth_server.login()
    assert call()["users"] == [ALICE]
    (authorized,), (exchanged,) = (sent_to(oauth_server, name) for name in ("authorize", "token"))
    assert authorized.query["code_challenge_method"] == "S256"
    assert SCOPE in authorized.query["scope"]
    assert authorized.query["resource"] == exchanged.form["resource"] == notes.url


def test_steps_up_to_the_scopes_of_a_challenge(
    oauth_server: FakeOAuth, notes: Notes, call: Callable[..., Any]
) -> None:
    oauth_server.login()

    def require(_: Any) -> None:
        notes.scope = f"{SCOPE} notes:write"

    found = call(require)
    assert found["users"] == [ALICE, ALICE]
    assert "notes:write" not in found["tokens"][0]["scope"]
    assert "notes:write" in found["tokens"][1]["scope"]
    assert len(sent_to(oauth_server, "register")) == 1


@pytest.mark.oauth_server(issue_refresh_tokens="always")
@pytest.mark.parametrize(
    ("method", "rotates"), [("none", True), ("client_secret_post", False)], ids=["none", "post"]
)
def test_refreshes_when_its_token_has_expired(
    oauth_server: FakeOAuth, call: Callable[..., Any], method: str, *, rotates: bool
) -> None:
    oauth_server.login()

    def expire(tokens: Any) -> None:
        oauth_server.expire(tokens["access_token"])

    metadata = {**REFRESHES, "token_endpoint_auth_method": method}
    found = call(expire, expire, metadata=metadata)
    assert found["users"] == [ALICE] * 3
    assert grants(oauth_server) == ["authorization_code", "refresh_token", "refresh_token"]
    kept = {tokens["refresh_token"] for tokens in found["tokens"]}
    assert (len(kept) == 3) is rotates


@pytest.mark.oauth_server(issue_refresh_tokens="always")
def test_a_forgotten_client_registers_again(
    oauth_server: FakeOAuth, call: Callable[..., Any]
) -> None:
    oauth_server.login()

    def forget(tokens: Any) -> None:
        (client,) = oauth_server.registered_clients
        oauth_server.forget_client(client.client_id)
        oauth_server.expire(tokens["access_token"])

    assert call(forget, metadata=REFRESHES)["users"] == [ALICE, ALICE]
    assert grants(oauth_server) == ["authorization_code", "refresh_token", "authorization_code"]
    first, second = sent_to(oauth_server, "register")
    assert first.body != second.body


@pytest.mark.oauth_server(issue_refresh_tokens="always")
def test_logs_in_again_when_its_refresh_token_is_refused(
    oauth_server: FakeOAuth, call: Callable[..., Any]
) -> None:
    oauth_server.login()
    oauth_server.script(faults.Rule(faults.Refuse("invalid_grant"), grant_type="refresh_token"))

    def expire(tokens: Any) -> None:
        oauth_server.expire(tokens["access_token"])

    assert call(expire, metadata=REFRESHES)["users"] == [ALICE, ALICE]
    assert grants(oauth_server) == ["authorization_code", "refresh_token", "authorization_code"]
    assert len(sent_to(oauth_server, "register")) == 1


@pytest.mark.oauth_server(
    client_documents={
        DOCUMENT_URL: {
            "client_id": DOCUMENT_URL,
            "client_name": "Agent",
            "redirect_uris": ["http://localhost:8090/callback"],
            "token_endpoint_auth_method": "none",
        }
    }
)
def test_a_client_is_known_by_its_document(
    oauth_server: FakeOAuth, call: Callable[..., Any]
) -> None:
    oauth_server.login()
    assert call(document=DOCUMENT_URL)["users"] == [ALICE]
    assert not sent_to(oauth_server, "register")
    assert sent_to(oauth_server, "token")[0].client_id == DOCUMENT_URL


def test_version_2_refuses_the_response_of_another_server(
    oauth_server: FakeOAuth, notes: Notes, node: Callable[..., Any]
) -> None:
    oauth_server.login()
    fault = faults.RedirectParameter("iss", "https://other.example")
    oauth_server.script(faults.Rule(fault, endpoint="authorize"))
    package = "@modelcontextprotocol/client"
    error = node("mcp_client.mjs", "refuse", package=package, url=notes.url)
    assert error == "IssuerMismatchError"
    assert not sent_to(oauth_server, "token")


@pytest.mark.parametrize(
    ("call", "refreshes"), [(PACKAGES[0], False), (PACKAGES[1], True)], indirect=["call"]
)
def test_only_version_2_requests_offline_access(
    oauth_server: FakeOAuth, call: Callable[..., Any], *, refreshes: bool
) -> None:
    oauth_server.login()
    (tokens,) = call(metadata=REFRESHES)["tokens"]
    assert ("refresh_token" in tokens) is refreshes


@pytest.mark.parametrize("package", PACKAGES)
def test_steps_up_at_an_mcp_server_of_the_same_sdk(
    oauth_server: FakeOAuth, node: Callable[..., Any], package: str
) -> None:
    oauth_server.login()

    def call(url: str) -> Any:
        answers: dict[str, Callable[[Any], object]] = {"between": lambda _: None}
        return node("mcp_client.mjs", "call", answers, package=package, url=url, calls=2)

    metadata = oauth_server.metadata()
    found = node("mcp_server.mjs", "serve", {"call": call}, metadata=metadata)
    assert found["users"] == [ALICE, ALICE]
    assert "notes:write" in found["tokens"][1]["scope"]
    assert len(sent_to(oauth_server, "register")) == 1
