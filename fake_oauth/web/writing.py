"""Replies as HTTP says them: token sets, redirects, challenges, and the headers of every reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from email.utils import formatdate
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from fake_oauth.provider.bearer import BearerError
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.reply import Reply, Written, compact, pretty

HEADERS: Final = (
    ("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Expires", "0"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)

_TOKEN_MEMBERS: Final = tuple(field.name for field in fields(TokenSet))

# What the documented server leaves as it is in the query of a redirect.
_UNESCAPED: Final = "!$'()*+,;:@/?"

# What the codes are sent with that refuse an access token (RFC 6750 section 3.1).
BEARER_STATUS: Final = {
    None: 401,
    "invalid_request": 400,
    "invalid_token": 401,
    "insufficient_scope": 403,
}


def token_reply(tokens: TokenSet, reason: str) -> Reply:
    """The documented members in the documented order; what does not apply is absent."""
    members = ((name, getattr(tokens, name)) for name in _TOKEN_MEMBERS)
    return Reply(data={name: value for name, value in members if value is not None}, reason=reason)


def bearer_reply(error: BearerError) -> Reply:
    """RFC 6750 section 3, CIAM 1148/51476: no body, all is in one header."""
    told = ", ".join(f'{name}="{value}"' for name, value in error.challenge.items())
    return Reply(
        status=BEARER_STATUS[error.code],
        headers=(("WWW-Authenticate", f"Bearer {told}"),),
        reason=error.reason,
    )


def redirect(
    uri: str,
    params: Mapping[str, str],
    *,
    reason: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """Off to somewhere else, with parameters (RFC 6749 section 4.1.2)."""
    query = "&".join(f"{name}={quote(value, safe=_UNESCAPED)}" for name, value in params.items())
    join = "" if not query else "&" if "?" in uri else "?"
    return Reply(status=302, headers=(("Location", f"{uri}{join}{query}"), *headers), reason=reason)


def write(reply: Reply, *, now: float, compact_json: bool) -> Written:
    """The reply as bytes, with the headers that every reply has."""
    body = b""
    headers = [*HEADERS, *reply.headers, ("Date", _date(int(now)))]
    if reply.data is not None or reply.page is not None:
        text = reply.page
        if text is None:
            text = compact(reply.data) if compact_json else pretty(reply.data)
        body = text.encode(errors="backslashreplace")
        headers.append(("Content-Type", reply.content_type))
    headers.append(("Content-Length", str(len(body))))
    return Written(reply.status, tuple(headers), body)


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
