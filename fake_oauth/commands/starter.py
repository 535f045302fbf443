"""The settings file that `fake-oauth init` writes: for one purpose, with comments.

A comment begins with `# `. A setting that is turned off begins with `#` alone, so that a reader, or
a test, can turn it on by removing the character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fake_oauth.dialects import load_dialect
from fake_oauth.provider.model import Terms

SCHEMA_NAME: Final = "fake_oauth.schema.json"
"""The file with the JSON Schema, next to the settings file."""
_LOCALHOST: Final = re.compile("http://localhost(?::[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A row of `PURPOSES`: what the server is for, and the settings that fit."""

    title: str
    dialect: str
    rotates: bool
    """Whether a refresh issues a new refresh token."""
    client_id: str
    is_public: bool = False
    """Whether its client has no secret."""
    redirect_uri: str | None = None
    """Where its client receives codes; None if clients register themselves."""


PURPOSES: Final[Mapping[str, Purpose]] = {
    "pytest": Purpose(
        title="tests with pytest",
        dialect="rfc",
        rotates=False,
        client_id="web",
        redirect_uri="http://127.0.0.1:8000/callback",
    ),
    "spa": Purpose(
        title="an application in the browser, without a secret",
        dialect="rfc",
        rotates=True,
        client_id="spa",
        is_public=True,
        redirect_uri="http://localhost:3000/callback",
    ),
    "mcp": Purpose(
        title="an MCP server and its clients, which register themselves",
        dialect="mcp",
        rotates=True,
        client_id="mcp-server",
    ),
    "backend": Purpose(
        title="a backend with a secret, in any language",
        dialect="rfc",
        rotates=False,
        client_id="web",
        redirect_uri="http://localhost:8000/callback",
    ),
}
"""What `init` can write a file for, by name, in the order of its first question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answers that a file is written from."""

    purpose: Purpose
    redirect_uri: str | None
    dialect: str
    rotates: bool
    has_schema: bool = True

    @property
    def is_documented(self) -> bool:
        """Whether the file has the names in CIAM's documentation, so that its examples work."""
        return self.dialect == "ciam" and self.purpose.client_id == "web"

    @property
    def client_id(self) -> str:
        """The `client_id` of the client in the file."""
        return "TENANT_CLIENT_ID" if self.is_documented else self.purpose.client_id

    @property
    def client_secret(self) -> str | None:
        """The `client_secret` of that client; None if it is public."""
        if self.purpose.is_public:
            return None
        return "TENANT_CLIENT_SECRET" if self.is_documented else "s3cret"

    @property
    def refresh_token(self) -> str:
        """The refresh token that exists from the start, if the file has one."""
        return "MOCK_REFRESH_TOKEN" if self.is_documented else "REFRESH_TOKEN"

    @property
    def issuer(self) -> str | None:
        """The issuer, with `{port}`; None if it is the URL that the server listens on.

        Cookies of SameSite=Lax are not sent to a frame of another site, which 127.0.0.1 is for a
        page on localhost.
        """
        origin = origin_of(self.redirect_uri or "")
        if not self.purpose.is_public or origin is None or not _LOCALHOST.fullmatch(origin):
            return None
        return f"http://localhost:{{port}}{load_dialect(self.dialect).issuer_path}"


def origin_of(redirect_uri: str) -> str | None:
    """Return the origin of a page (RFC 6454 section 4); None for a URI of another kind."""
    try:
        parts = urlsplit(redirect_uri)
    except ValueError:
        return None
    is_page = parts.scheme in ("http", "https") and parts.netloc
    return f"{parts.scheme}://{parts.netloc}" if is_page else None


def settings_text(plan: Plan) -> str:
    """Return the settings file, as TOML."""
    blocks = [*_server(plan), *_tables(plan)]
    head = [f"#:schema {SCHEMA_NAME}"] if plan.has_schema else []
    return "\n".join([*head, "\n\n".join(block.strip() for block in blocks), ""])


def _server(plan: Plan) -> Iterator[str]:
    """Yield the settings above the first table."""
    yield f"""
# Settings of fake_oauth, a fake authorization server, for
# {plan.purpose.title}.
#
# A line such as "#seed = 1" is a setting that is turned off. Remove the "#" to
# turn it on; a table needs all of its lines.
"""
    yield f"""
# The server to imitate: "ciam" (Tencent Cloud CIAM), "rfc" (the standards),
# "mcp" (the Model Context Protocol), or your own class: "package.module:Class".
dialect = {_toml(plan.dialect)}
"""
    policy = ("rfc9700", "ciam")[not plan.rotates]
    yield f"""
# What a refresh does. "ciam" keeps the refresh token. "rfc9700" replaces it,
# and revokes the login if the former one is used again. Others are
# "rotate", and those of services: "auth0", "okta", "keycloak", "dex", "entra",
# "github", "hydra", "shopify", "cognito", "intuit", "google", and "zoho".
refresh_policy = "{policy}"
"""
    terms = load_dialect(plan.dialect).terms
    yield f"""
# Lifetimes, in seconds.
#access_token_seconds = 60  # default: {terms.access_token_seconds}
#id_token_seconds = 60  # default: {terms.id_token_seconds}
#refresh_token_seconds = 600  # default: {_of_refresh_token(terms)}

# The same IDs in each run.
#seed = 1  # default: a random one

# Where the clock starts, and whether it is frozen.
#start_time = 2026-01-01T00:00:00Z  # default: now
#freeze_time = true  # default: false
"""
    if plan.purpose.is_public:
        origin = origin_of(plan.redirect_uri or "")
        yield f"""
# The origins whose pages can read responses (CORS).
cors_origins = [{_toml(origin or "http://localhost:3000")}]
"""
    if plan.purpose.client_id != "web":
        yield """
# No login exists at the start.
refresh_tokens = []
"""
    yield """
# A user who is logged in from the start: no login page is shown.
#auto_login = "alice"  # default: no user
"""
    if plan.issuer is None:
        yield """
# The issuer, if clients reach the server by another name than it prints.
#issuer = "http://localhost:{port}"  # default: what the server prints
"""
    else:
        yield f"""
# The issuer. A page on localhost and a server on 127.0.0.1 are different sites
# for a browser: it would send no session cookie if the application renews in a
# hidden frame (prompt=none).
issuer = {_toml(plan.issuer)}
"""
    yield """
# HTTPS, with a certificate made at the start: pip install "fake_oauth[tls]"
#tls = true  # default: false
"""
    if plan.purpose.redirect_uri is None:
        if plan.dialect != "mcp":
            yield """
# What the dialect "mcp" does by default.
register_clients = true
indicate_resources = true
resource_metadata = ["challenge", "path", "root"]
authorization_response_iss = true
"""
        yield """
# The initial access token that a registration needs, and how long one lasts.
#registration_token = "REGISTRATION_TOKEN"
#registration_seconds = 86400  # default: forever
"""


def _tables(plan: Plan) -> Iterator[str]:
    yield _client(plan)
    yield """
# The users who can log in. On the login page, a click is enough.
[[users]]
sub = "u-alice"
username = "alice"
password = "alice"
email = "alice@example.com"
claims = { name = "Alice" }

# A frozen user can neither log in nor refresh.
#[[users]]
#sub = "u-bob"
#username = "bob"
#status = "frozen"
"""
    if plan.purpose.client_id == "web":
        yield f"""
# A refresh token that exists from the start, of the first client and user. It
# does not expire unless it has a lifetime.
[[refresh_tokens]]
value = "{plan.refresh_token}"
#lifetime_seconds = 600  # default: unlimited
"""
    if plan.purpose.redirect_uri is None:
        yield """
# Your MCP server, if clients should get tokens for no other one. The
# identifier is the "aud" of the access tokens.
#[[resources]]
#identifier = "http://127.0.0.1:8000/mcp"
#scopes = ["notes:read"]
"""
    yield """
# Faults, in order: the next two requests to the token endpoint get a 503.
#[[faults]]
#fault = "Status"
#code = 503
#retry_after_seconds = 2
#times = 2
"""


def _client(plan: Plan) -> str:
    purpose = plan.purpose
    client_id = _toml(plan.client_id)
    if plan.redirect_uri is None:
        return f"""
# Your MCP server, for introspection. MCP clients register themselves.
[[clients]]
client_id = {client_id}
client_secret = "s3cret"
"""
    uri = _toml(plan.redirect_uri)
    after = _toml(f"{origin_of(plan.redirect_uri) or 'http://localhost:3000'}/")
    kind = "Without a secret, it is public, and must use PKCE." if purpose.is_public else ""
    secret = "" if plan.client_secret is None else f'client_secret = "{plan.client_secret}"\n'
    more = (
        ""
        if purpose.is_public
        else """#token_endpoint_auth_methods = ["client_secret_basic"]
#require_pkce = true
"""
    )
    return f"""
# Your application. {kind}
[[clients]]
client_id = {client_id}
{secret}redirect_uris = [{uri}]
logout_redirect_uris = [{after}]
scopes = ["openid", "profile", "email", "offline_access"]
#name = "My application"
#grant_types = ["authorization_code", "refresh_token"]
{more}#extra_claims = {{ roles = ["admin"] }}
""".replace(" \n", "\n")


def _of_refresh_token(terms: Terms) -> str:
    days, rest = divmod(terms.refresh_token_seconds, 86400)
    return f"{terms.refresh_token_seconds}" + (f", {days} days" if days and not rest else "")


def _toml(text: str) -> str:
    """Return a basic string of TOML. The text is printable ASCII."""
    return json.dumps(text)
