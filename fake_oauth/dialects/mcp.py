"""`mcp`: an authorization server for MCP clients, with the protected resource in the box.

Model Context Protocol, revisions 2025-11-25 and 2026-07-28, section Authorization: the standards of
`rfc`, and what MCP requires beyond them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from fake_oauth.dialects.rfc import RFC
from fake_oauth.provider.model import Terms
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.resources import Place


class MCP(RFC):
    """A server that an MCP client can use.

    >>> MCP().paths["resource"]
    '/mcp'
    """

    name: ClassVar[str] = "mcp"
    paths: ClassVar[Mapping[str, str]] = {
        **RFC.paths,
        "register": "/register",
        "resource": "/mcp",
    }
    # As the MCP servers in the examples of the SDK introspect.
    accepts_anonymous_introspection: ClassVar[bool] = True
    reads_client_documents: ClassVar[bool] = True
    # Many MCP clients omit `grant_types`, and expect a refresh token.
    registered_grant_types: ClassVar[tuple[str, ...]] = ("authorization_code", "refresh_token")
    # MCP clients register the scopes of the first challenge, and later request those of others.
    limits_registered_scopes: ClassVar[bool] = False
    sends_issuer: ClassVar[bool] = True
    indicates_resources: ClassVar[bool] = True
    resource_metadata: ClassVar[tuple[Place, ...]] = ("challenge", "path", "root")
    requires_pkce: ClassVar[bool] = True
    # Refresh tokens of public clients must rotate (OAuth 2.1 section 4.3.1).
    terms: ClassVar[Terms] = replace(
        RFC.terms,
        refresh_policy=RefreshPolicy(public=RefreshPolicy.RFC9700),
        issue_refresh_tokens="offline_access",
    )
