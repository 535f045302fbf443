"""What lets a page of another origin read replies (Fetch standard, section 3.2)."""

from __future__ import annotations

from collections.abc import Collection

from fake_oauth.reply import Reply
from fake_oauth.web.endpoints import Endpoint


def allowing(origins: Collection[str], origin: str | None) -> tuple[tuple[str, str], ...]:
    """The headers for a page of this origin; none for one that may not read."""
    if origin is None or not {"*", origin} & set(origins):
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "WWW-Authenticate"),
        ("Vary", "Origin"),
    )


def preflight(endpoint: Endpoint) -> Reply:
    """The answer to a browser that asks whether a page may ask."""
    allowed = (
        ("Access-Control-Allow-Methods", ", ".join(endpoint.allowed)),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    )
    return Reply(headers=allowed, reason="CORS preflight")
