"""The session cookie: its name and its header."""

from __future__ import annotations

from zlib import crc32

from fake_oauth.provider.realm import Realm


def name(realm: Realm) -> str:
    """Return the name of the session cookie.

    Browsers share cookies between the ports of a host, so each issuer has its own name.
    """
    return f"fake_oauth_{crc32(realm.issuer.encode()):08x}"


def header(realm: Realm, session: str) -> tuple[str, str]:
    """Return the header that sets a session, or that ends it if `session` is empty."""
    parts = [f"{name(realm)}={session}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if realm.issuer.startswith("https:"):
        parts.append("Secure")
    if not session:
        parts.append("Max-Age=0")
    return "Set-Cookie", "; ".join(parts)
