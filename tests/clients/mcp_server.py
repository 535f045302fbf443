"""An MCP server of the Python SDK: the protected resource beside the authorization server.

It checks access tokens in one of the two ways that its documentation names: by the signature of a
JWT, or by introspection (RFC 7662).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final

import httpx2
import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

SCOPE: Final = "notes:read"


class Signature:
    """Verify a JWT with the keys of its issuer (RFC 9068 section 4)."""

    def __init__(self, metadata: Mapping[str, Any], resource: str) -> None:
        self._issuer = metadata["issuer"]
        self._keys = jwt.PyJWKClient(metadata["jwks_uri"])
        self._resource = resource

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what a valid access token says; None for another one."""
        try:
            claims = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token),
                algorithms=["RS256"],
                issuer=self._issuer,
                audience=self._resource,
                options={"require": ["exp", "iat", "aud", "sub", "client_id"]},
            )
        except jwt.PyJWTError:
            return None
        return _access_token(token, claims)


class Introspection:
    """Ask the authorization server about each token."""

    def __init__(
        self, metadata: Mapping[str, Any], resource: str, auth: tuple[str, str] | None
    ) -> None:
        self._endpoint = metadata["introspection_endpoint"]
        self._resource = resource
        self._auth = auth

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what an active access token says; None for another one."""
        async with httpx2.AsyncClient(trust_env=False, auth=self._auth) as client:
            response = await client.post(self._endpoint, data={"token": token})
        claims = response.raise_for_status().json()
        return _access_token(token, claims) if claims["active"] else None


def _access_token(token: str, claims: Mapping[str, Any]) -> AccessToken:
    return AccessToken(
        token=token,
        client_id=claims["client_id"],
        scopes=claims.get("scope", "").split(),
        expires_at=claims["exp"],
        resource=claims["aud"],
        subject=claims["sub"],
        claims=dict(claims),
    )


class Notes:
    """The running server. Change `scope` to require more than the SDK checks."""

    def __init__(self, url: str, verifier: TokenVerifier) -> None:
        self.url = url
        self.scope: str | None = None
        self._verifier = verifier
        self._app: Any = None

    def wrap(self, app: Any) -> None:
        """Serve this app below the check of `scope`."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse a token without the scopes; the challenge has them (MCP 2026-07-28).

        There is no stream besides the responses, which MCP allows. A client that reads one sends
        two requests at once, and refreshes twice if the access token has expired.
        """
        if scope.get("method") == "GET" and self.url.endswith(scope["path"]):
            fields = [(b"allow", b"POST, DELETE"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 405, "headers": fields})
            await send({"type": "http.response.body"})
            return
        headers = dict(scope.get("headers", ()))
        token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        if self.scope is not None and token:
            access = await self._verifier.verify_token(token)
            if access is not None and not set(self.scope.split()) <= set(access.scopes):
                challenge = f'Bearer error="insufficient_scope", scope="{self.scope}"'
                fields = [(b"www-authenticate", challenge.encode()), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 403, "headers": fields})
                await send({"type": "http.response.body"})
                return
        await self._app(scope, receive, send)


@contextmanager
def serve(
    metadata: Mapping[str, Any], *, introspect_as: tuple[str, str] | None = None
) -> Iterator[Notes]:
    """Serve an MCP server with the tool `whoami`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        verifier: TokenVerifier = Signature(metadata, url)
        if introspect_as is not None:
            verifier = Introspection(metadata, url, introspect_as)
        mcp = MCPServer(
            "Notes",
            token_verifier=verifier,
            # An AnyHttpUrl would have a slash after the origin, and be another issuer.
            auth=AuthSettings.model_validate(
                {
                    "issuer_url": metadata["issuer"],
                    "resource_server_url": url,
                    "required_scopes": [SCOPE],
                    "validate_token_resource": True,
                }
            ),
        )

        async def whoami() -> str:
            """Return the user of the access token."""
            token = get_access_token()
            assert token is not None
            return str(token.subject)

        mcp.add_tool(whoami)

        notes = Notes(url, verifier)
        notes.wrap(mcp.streamable_http_app())
        server = uvicorn.Server(uvicorn.Config(notes, log_level="error", ws="none"))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield notes
        finally:
            server.should_exit = True
            thread.join()
