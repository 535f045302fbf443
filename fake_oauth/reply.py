"""An answer, as data and as bytes, in the documented layout.

What makes an error an answer, and which headers every reply has, is `web.writing`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from json.encoder import encode_basestring
from typing import Any, Final

# As D writes it: no space before charset.
JSON_UTF8: Final = "application/json;charset=UTF-8"
JSON: Final = "application/json"

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer before it is bytes: data, or a page, or an empty body."""

    status: int = 200
    data: Mapping[str, Any] | None = None
    page: str | None = None
    content_type: str = JSON_UTF8
    headers: tuple[tuple[str, str], ...] = ()
    is_clients_401: bool = False
    """Whether it tells a client that it has not said who it is."""
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """A reply as it goes out: bytes and all the headers."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status_line(self) -> str:
        """The status with its phrase: `200 OK`."""
        return f"{self.status} {_PHRASES.get(self.status, 'Unknown')}"

    def changed(self, body: bytes | None = None, **headers: str | None) -> Written:
        """With another body, its length told truly, and other headers; None leaves one out.

        A header's name has underscores here: `content_type`.
        """
        body = self.body if body is None else body
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        told.setdefault("content-length", str(len(body)))
        kept = [(name, told.pop(name.lower(), value)) for name, value in self.headers]
        added = [(name.title(), value) for name, value in told.items()]
        given = tuple((name, value) for name, value in (*kept, *added) if value is not None)
        return Written(self.status, given, body)


# An encoder is made once: json.dumps would make one for every value of a reply.
compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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
    return compact(data)
