"""The conformance suite of MCP (npm: @modelcontextprotocol/conformance) judges the server.

Its command `authorization` reads the metadata, and logs in with PKCE. It prints the URL for the
browser, and waits at its redirect URI.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from fake_oauth import Client, FakeOAuth, Settings, faults
from tests.clients.conftest import PACKAGES, node_program, sent_to

SUITE: Final = PACKAGES / "@modelcontextprotocol/conformance/dist/index.js"
OLDEST_NODE: Final = 22


@pytest.fixture(scope="session")
def oauth_settings() -> Settings:
    """Return a server with the clients that the suite needs to be told."""
    registered: dict[str, Any] = {
        "scopes": ["openid"],
        "redirect_uris": ["http://127.0.0.1/callback"],
    }
    return Settings(
        dialect="mcp",
        clients=[
            Client(client_id="web", client_secret="secret", **registered),
            Client(client_id="phone", **registered),
        ],
        refresh_tokens=[],
    )


@pytest.fixture
def judge(
    oauth_server: FakeOAuth, browser: httpx.Client, tmp_path: Path
) -> Callable[..., dict[str, str]]:
    """Return a function that runs the suite, and returns the status of each of its checks."""
    node = node_program(OLDEST_NODE)

    def judge(**options: str) -> dict[str, str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = {"url": oauth_server.issuer, "port": port, "output-dir": tmp_path, **options}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        with subprocess.Popen(
            [node, SUITE, "authorization", *words], stdout=subprocess.PIPE, text=True
        ) as suite:
            assert suite.stdout is not None
            try:
                for line in suite.stdout:
                    if re.match(r"http://127\S+/authorize\?", line):
                        url = line.strip()
                    elif "Callback server started" in line:
                        browser.get(url, follow_redirects=True).raise_for_status()
            finally:
                suite.kill()
        reports = [json.loads(path.read_text()) for path in tmp_path.glob("*/checks.json")]
        return {check["id"]: check["status"] for checks in reports for check in checks}

    return judge


def test_finds_nothing_with_a_public_client(
    oauth_server: FakeOAuth, judge: Callable[..., dict[str, str]]
) -> None:
    oauth_server.login()
    found = judge(**{"client-id": "phone", "resource": oauth_server.resource_url})
    assert len(found) >= 3
    assert set(found.values()) == {"SUCCESS"}, found


def test_finds_an_issuer_that_is_not_the_url(
    oauth_server: FakeOAuth, judge: Callable[..., dict[str, str]]
) -> None:
    oauth_server.login()
    wrong = faults.Field("issuer", "https://other.example")
    with oauth_server.always(faults.Rule(wrong, endpoint="metadata")):
        found = judge(**{"client-id": "phone"})
    assert found["authorization-server-metadata"] == "FAILURE"


@pytest.mark.oauth_server(
    clients=[
        Client(
            client_id="web",
            client_secret="secret",
            scopes=["openid"],
            redirect_uris=["http://127.0.0.1/callback"],
        )
    ],
    # The suite sends no secret where the metadata list the method `none`.
    register_clients=False,
    read_client_documents=False,
)
def test_finds_nothing_with_a_confidential_client(
    oauth_server: FakeOAuth, judge: Callable[..., dict[str, str]]
) -> None:
    oauth_server.login()
    client = {"client-id": "web", "client-secret": "secret"}
    found = judge(**client, resource=oauth_server.resource_url)
    assert found["authorization-code-grant"] == "SUCCESS"
    assert sent_to(oauth_server, "token")[0].status == 200
