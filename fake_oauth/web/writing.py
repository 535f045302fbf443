"""Replies as HTTP says them: token sets, refusals, redirects, challenges, and their headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from email.utils import formatdate
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from fake_oauth.dialects import Dialect
from fake_oauth.provider.bearer import BearerError
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.reply import JSON_UTF8, Reply, Written, compact, pretty

_TOKEN_MEMBERS: Final = tuple(field.name for field in fields(TokenSet))

# What the documented server leaves as it is in the query of a redirect.
_UNESCAPED: Final = "!$'()*+,;:@/?"
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


def token_reply(tokens: TokenSet, reason: str) -> Reply:
    """The documented members in the documented order; what does not apply is absent."""
    members = ((name, getattr(tokens, name)) for name in _TOKEN_MEMBERS)
    return Reply(data={name: value for name, value in members if value is not None}, reason=reason)


def error_reply(
    dialect: Dialect,
    error: OAuthError,
    notes: tuple[str, ...] = (),
    *,
    content_type: str = JSON_UTF8,
) -> Reply:
    """RFC 6749 section 5.2; members in the documented order."""
    status = dialect.statuses.get(error.code, 400)
    return Reply(
        status=status,
        data=dialect.conventions.told(error) or None,
        content_type=content_type,
        is_clients_401=status == 401,
        reason="; ".join((error.reason, *notes)),
    )


def bearer_reply(dialect: Dialect, error: BearerError) -> Reply:
    """RFC 6750 section 3, CIAM 1148/51476: no body, all is in one header."""
    told = ", ".join(f'{name}="{value}"' for name, value in error.challenge.items())
    return Reply(
        status=dialect.bearer_statuses[error.code],
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
    uri = quote(uri, safe=_ASCII)  # A header has no other letters (RFC 3987 section 3.1).
    query = "&".join(f"{name}={quote(value, safe=_UNESCAPED)}" for name, value in params.items())
    join = "" if not query else "&" if "?" in uri else "?"
    return Reply(status=302, headers=(("Location", f"{uri}{join}{query}"), *headers), reason=reason)


def write(reply: Reply, *, now: float, dialect: Dialect, compact_json: bool) -> Written:
    """The reply as bytes, with the headers that every reply has."""
    body = b""
    headers = [*dialect.headers, *reply.headers, ("Date", _date(int(now)))]
    if reply.is_clients_401 and dialect.client_challenge is not None:
        headers.append(("WWW-Authenticate", dialect.client_challenge))
    if reply.data is not None or reply.page is not None:
        text = reply.page
        if text is None:
            text = compact(reply.data) if compact_json else pretty(reply.data)
        body = text.encode(errors="backslashreplace")
        content_type = dialect.content_types.get(reply.content_type, reply.content_type)
        headers.append(("Content-Type", content_type))
    headers.append(("Content-Length", str(len(body))))
    return Written(reply.status, tuple(headers), body)


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
