"""Replies, to the documented byte: statuses, headers, layout.

The one place that knows which HTTP status an error code has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from json.encoder import encode_basestring
from typing import Any, Final
from urllib.parse import quote

from werkzeug.wrappers import Response

from fake_oauth.provider.bearer import BearerError
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.tokens import TokenSet

# As D writes it: no space before charset.
JSON_UTF8: Final = "application/json;charset=UTF-8"
JSON: Final = "application/json"

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

# Every code that is not named here is a 400.
STATUS: Final[Mapping[str | None, int]] = {
    None: 401,
    "invalid_client": 401,
    "not_found": 404,
    "user_not_found": 404,
    "temporarily_unavailable": 503,
}
# The same for what an access token is refused for (RFC 6750 section 3.1).
BEARER_STATUS: Final = {"invalid_request": 400, "invalid_token": 401, "insufficient_scope": 403}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer before it is bytes: data, or a page, or an empty body."""

    status: int = 200
    data: Mapping[str, Any] | None = None
    page: str | None = None
    content_type: str = JSON_UTF8
    headers: tuple[tuple[str, str], ...] = ()
    reason: str


def token_reply(tokens: TokenSet, reason: str) -> Reply:
    """The documented members in the documented order; what does not apply is absent."""
    members = ((name, getattr(tokens, name)) for name in _TOKEN_MEMBERS)
    return Reply(data={name: value for name, value in members if value is not None}, reason=reason)


def error_reply(
    error: OAuthError, notes: tuple[str, ...] = (), *, content_type: str = JSON_UTF8
) -> Reply:
    """RFC 6749 section 5.2; members in the documented order."""
    status, reason = STATUS.get(error.code, 400), "; ".join((error.reason, *notes))
    members = {
        "error": error.code,
        "error_description": error.description,
        "error_uri": error.uri,
    }
    data = {name: value for name, value in members.items() if value is not None}
    return Reply(status=status, data=data or None, content_type=content_type, reason=reason)


def bearer_reply(error: BearerError) -> Reply:
    """RFC 6750 section 3, CIAM 1148/51476: no body, all is in one header."""
    told = (
        f'Bearer error="{error.code}", error_description="{error.description}", '
        f'error_uri="{error.uri}"'
    )
    status = BEARER_STATUS[error.code or ""]
    return Reply(status=status, headers=(("WWW-Authenticate", told),), reason=error.reason)


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


@dataclass(frozen=True, slots=True)
class Written:
    """A reply as it goes out: bytes and all the headers."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def status_line(self) -> str:
        """The status with its phrase: `200 OK`."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"

    def response(self) -> Response:
        """The same as an object of werkzeug's, for those who speak that."""
        return _Response(self.body, self.status, self.headers)


class _Response(Response):
    default_mimetype = None


def write(reply: Reply, *, now: float, compact_json: bool) -> Written:
    """The reply as bytes, with the headers that every reply has."""
    body = b""
    headers = [*HEADERS, *reply.headers, ("Date", _date(int(now)))]
    if reply.data is not None or reply.page is not None:
        text = reply.page
        if text is None:
            text = _compact(reply.data) if compact_json else pretty(reply.data)
        body = text.encode(errors="backslashreplace")
        headers.append(("Content-Type", reply.content_type))
    headers.append(("Content-Length", str(len(body))))
    return Written(reply.status, headers, body)


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


# An encoder is made once: json.dumps would make one for every value of a reply.
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def pretty(data: Any, indent: str = "") -> str:
    """The layout of Jackson's default pretty printer, which the documented bodies have.

    >>> print(pretty({"keys": [{"kty": "RSA"}], "scopes_supported": ["openid", "email"]}))
    {
      "keys" : [ {
        "kty" : "RSA"
      } ],
      "scopes_supported" : [ "openid", "email" ]
    }
    """
    if isinstance(data, str):  # Most values are; asking this first is what makes it quick.
        return encode_basestring(data)
    if isinstance(data, Mapping):
        deeper = indent + "  "
        members = (
            f"{deeper}{encode_basestring(key)} : {pretty(data[key], deeper)}" for key in data
        )
        return "{\n" + ",\n".join(members) + f"\n{indent}}}" if data else "{ }"
    if isinstance(data, list | tuple):
        return f"[ {', '.join(pretty(item, indent) for item in data)} ]" if data else "[ ]"
    return _compact(data)
