"""A response, first as data (`Reply`), then as bytes (`Response`).

Which status and members an error has, and how JSON is laid out, is the dialect's decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fake_oauth.provider.errors import Cause
from fake_oauth.provider.store import IssuedToken

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
HTML: Final = "text/html;charset=UTF-8"

Headers = tuple[tuple[str, str], ...]

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The result of an endpoint: data, a page, or no body at all.

    A page with data shows an error to a person; the data are what a program gets.
    """

    status: int = 200
    data: Mapping[str, Any] | None = None
    page: str | None = None
    content_type: str = JSON
    headers: Headers = ()
    reason: str
    """Why the server responds like this, for the journal."""
    cause: Cause | None = None
    """The rule that refused the request."""
    issued: tuple[IssuedToken, ...] = ()
    """The records of the tokens in the data."""
    authorization_error: str | None = None
    """The error code in an authorization response (RFC 6749 section 4.1.2.1)."""

    @property
    def error(self) -> str | None:
        """The error code in the data; None if it has none."""
        code = None if self.data is None else self.data.get("error")
        return code if isinstance(code, str) else None

    @property
    def browser_error(self) -> str | None:
        """The error code on a page, or in an authorization response; None if it has none."""
        if self.authorization_error is not None or self.page is None:
            return self.authorization_error
        return self.error


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it is sent: the status, all headers, and the body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def status_line(self) -> str:
        """The status with its reason phrase: `200 OK`."""
        return f"{self.status} {_PHRASES.get(self.status, 'Unknown')}"

    def changed(
        self, body: bytes | None = None, *, status: int | None = None, **headers: str | None
    ) -> Response:
        """Return a copy with another body, status, and headers; None removes a header.

        Write header names with underscores: `content_type`. The `Content-Length` follows the body
        unless it is passed.
        """
        body = self.body if body is None else body
        changes = {name.replace("_", "-"): value for name, value in headers.items()}
        changes.setdefault("content-length", str(len(body)))
        kept = [(name, changes.pop(name.lower(), value)) for name, value in self.headers]
        added = [(name.title(), value) for name, value in changes.items()]
        return Response(
            self.status if status is None else status,
            tuple((name, value) for name, value in (*kept, *added) if value is not None),
            body,
        )


def redirect(
    uri: str,
    parameters: Mapping[str, str],
    *,
    reason: str,
    headers: Headers = (),
    cause: Cause | None = None,
    unescaped: str = "",
    in_fragment: bool = False,
) -> Reply:
    """Return a redirect to a URI with these parameters (RFC 6749 section 4.1.2).

    They are in its query, or in its fragment. `unescaped` are reserved characters that are not
    escaped.
    """
    uri = quote(uri, safe=_ASCII)  # A header has ASCII only (RFC 3987 section 3.1).
    query = "&".join(
        f"{name}={quote(value, safe=unescaped, errors='replace')}"
        for name, value in parameters.items()
    )
    join = "#" if in_fragment else "&" if "?" in uri else "?"
    return Reply(
        status=302,
        headers=(("Location", f"{uri}{join}{query}" if query else uri), *headers),
        reason=reason,
        cause=cause,
    )


def texts_in(data: object) -> set[str]:
    """Return every text in JSON data, at any depth."""
    texts, waiting = set(), [data]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            texts.add(found)
        elif isinstance(found, Mapping):
            waiting.extend(found.values())
        elif isinstance(found, list | tuple):
            waiting.extend(found)
    return texts
