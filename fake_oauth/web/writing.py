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
from typing import Any, Final

from werkzeug.wrappers import Response

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

# Every code that is not named here is a 400.
STATUS: Final[Mapping[str | None, int]] = {None: 401, "invalid_client": 401, "not_found": 404}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer before it is bytes. Data of None is an empty body."""

    status: int = 200
    data: Mapping[str, Any] | None = None
    content_type: str = JSON_UTF8
    headers: tuple[tuple[str, str], ...] = ()
    reason: str


def token_reply(tokens: TokenSet, reason: str) -> Reply:
    """The documented members in the documented order; what does not apply is absent."""
    members = ((field.name, getattr(tokens, field.name)) for field in fields(TokenSet))
    return Reply(data={name: value for name, value in members if value is not None}, reason=reason)


def error_reply(error: OAuthError, notes: tuple[str, ...] = ()) -> Reply:
    """RFC 6749 section 5.2; members in the documented order."""
    status, reason = STATUS.get(error.code, 400), "; ".join((error.reason, *notes))
    members = {
        "error": error.code,
        "error_description": error.description,
        "error_uri": error.uri,
    }
    data = {name: value for name, value in members.items() if value is not None}
    return Reply(status=status, data=data or None, reason=reason)


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
    if reply.data is not None:
        body = (_compact(reply.data) if compact_json else pretty(reply.data)).encode()
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
    if isinstance(data, Mapping):
        deeper = indent + "  "
        members = (f"{deeper}{_compact(key)} : {pretty(data[key], deeper)}" for key in data)
        return "{\n" + ",\n".join(members) + f"\n{indent}}}" if data else "{ }"
    if isinstance(data, list | tuple):
        return f"[ {', '.join(pretty(item, indent) for item in data)} ]" if data else "[ ]"
    return _compact(data)
