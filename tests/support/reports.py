"""Requests over a socket, for the tests of public bug reports."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from fake_oauth import FakeOAuth
from tests.support.client import form


def logged_in(server: FakeOAuth, client: str | None = None, scope: str | None = None) -> str:
    """Return the refresh token of a user who has just logged in."""
    token = server.issue_tokens(client=client, scope=scope).refresh_token
    assert token is not None
    return token


def refresh(
    server: FakeOAuth,
    token: str,
    *,
    headers: Mapping[str, str] | None = None,
    **changes: str | None,
) -> httpx.Response:
    """Refresh with the client of the documentation, or with some parameters changed."""
    return httpx.post(
        server.token_url, data=form(refresh_token=token, **changes), headers=headers or {}
    )


def call(server: FakeOAuth, access_token: str) -> httpx.Response:
    """Call the protected resource."""
    return httpx.get(server.resource_url, headers={"Authorization": f"Bearer {access_token}"})
